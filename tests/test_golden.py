"""Error texts: each `golden/errors/CSnnnn_name.seed` gives exactly the `.err` beside it.

The first line of a file is a comment with the command that it tests, as a user would type it. `--bless` writes them.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from cogseedc.cli.main import run
from cogseedc.diagnostics import CODES

FOLDER = Path(__file__).parent / "golden" / "errors"
CASES = sorted(FOLDER.glob("*.seed"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_error_text(
    case: Path, bless: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(FOLDER)
    first = case.read_bytes().split(b"\n", 1)[0].decode()
    assert first.startswith("# cogseedc "), "the first line of a golden file is its command"
    status = run(shlex.split(first)[2:])
    text = capsys.readouterr().err
    expected = case.with_suffix(".err")
    if bless:
        expected.write_text(text, encoding="utf-8")
    assert (status, text) == (1, expected.read_text(encoding="utf-8"))
    assert f"[{case.stem.split('_')[0]}]" in text


def test_each_case_is_named_after_a_code() -> None:
    assert {case.stem.split("_")[0] for case in CASES} <= set(CODES)


def test_each_syntax_code_has_a_case() -> None:
    named = {case.stem.split("_")[0] for case in CASES}
    assert [code for code in CODES if code.startswith("CS01") and code not in named] == []
