"""Error texts: each case in `golden/errors` gives exactly the `.err` beside it, and each code has a case.

`--bless` writes what is found as what is expected, for review.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cogseedc.cli.main import run
from cogseedc.diagnostics import CODES

from .golden.case import SMALL, perform, read

FOLDER = Path(__file__).parent / "golden" / "errors"
CASES = sorted([*FOLDER.glob("*.seed"), *FOLDER.glob("*.toml")])


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_error_text(
    path: Path, bless: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = read(path)
    monkeypatch.chdir(FOLDER if path.suffix == ".seed" else tmp_path)
    if path.suffix == ".toml":
        for name, text in {"small.seed": SMALL, **case.files}.items():
            Path(name).write_text(text, encoding="utf-8")
    for step in case.steps[:-1]:
        assert perform(step) == 0, capsys.readouterr()
    capsys.readouterr()
    status = perform(case.steps[-1])
    text = case.shown(*capsys.readouterr())
    assert status == case.status, text
    expected = path.with_suffix(".err")
    if bless:
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
    assert case.code in text
    assert str(tmp_path) not in text
    assert str(FOLDER.parent) not in text


def test_each_code_has_a_case_and_each_case_a_code() -> None:
    assert sorted({path.stem.split("_")[0] for path in CASES}) == sorted(CODES)


def test_no_expected_text_is_left_over() -> None:
    assert {path.stem for path in FOLDER.glob("*.err")} == {path.stem for path in CASES}


THREE = """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, K=2]
    a = x |> lineer[8]
    b = concat[over=C](x, x)
    y = linear[K=2](x, x, x)
}
"""


def test_three_mistakes_give_three_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("three.seed").write_text(THREE)
    assert run(["check", "three.seed"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    heads = [line for line in captured.err.splitlines() if "error[" in line]
    assert [head.split(": error[")[0] for head in heads] == ["three.seed:4:14", "three.seed:5:24", "three.seed:6:24"]
    assert [head.split("[")[1][:6] for head in heads] == ["CS0201", "CS0302", "CS0319"]

    assert run(["check", "three.seed", "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.err == ""
    found = json.loads(captured.out)
    assert [(d["code"], d["severity"]) for d in found] == [(c, "error") for c in ("CS0201", "CS0302", "CS0319")]
    places = [(d["spans"][0]["file"], d["spans"][0]["line"], d["spans"][0]["column"]) for d in found]
    assert places == [("three.seed", 4, 14), ("three.seed", 5, 24), ("three.seed", 6, 24)]
    assert all(d["message"] for d in found)
