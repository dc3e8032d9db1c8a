"""Nasty texts: refused with a code, at once, or taken literally; nothing of them is ever executed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cogseedc
from cogseedc.diagnostics import UserError, render
from cogseedc.driver.program import load
from cogseedc.verify import verify_artifact

"""Seconds; what is wanted is half a second on a quiet machine."""


def body(text: str, head: str = "", ports: str = "    in  x: f32[N, D=4]\n    out y: f32[N, D]\n") -> str:
    return f"{head}export seed Net {{\n{ports}{text}\n}}\n"


GATE = "    gate g over N = mean[over=D](x) > 0\n"
LAUGHS = "".join(
    f"seed S{i} {{\n    in  x: f32[N, D]\n    out y: f32[N, D]\n"
     "    y = x" + f" |> S{i - 1}" * 10 + "\n}\n"
    for i in range(1, 11)
)  # fmt: skip
FIRST = "seed S0 {\n    in  x: f32[N, D]\n    out y: f32[N, D]\n    y = relu(x)\n}\n"
REFUSED = {
    "threshold_inf_literal": (body("    y = when mean(x) > 1e999 { x } else { -x }"), ["CS0116"]),
    "threshold_not_a_number": (body("    y = when mean(x) > 0.0 / 0 { x } else { -x }"), ["CS0206"]),
    "batch_gate_in_sample_gate": (
        body(f"{GATE}    y = when g {{ yield when mean[over=(N, D)](x) > 0 {{ -x }} else {{ x }} }} else {{ x }}"),
        ["CS0404"],
    ),
    "softmax_over_batch_in_gate": (body(f"{GATE}    y = when g {{ softmax[over=N](x) }} else {{ x }}"), ["CS0404"]),
    "mean_over_batch_in_gate": (body(f"{GATE}    y = when g {{ x - mean[over=N](x) }} else {{ x }}"), ["CS0404"]),
    "nfkc_pair": (body("    ﬁ = relu(x)\n    y = x"), ["CS0113"]),
    "homoglyph_a": (body("    а = relu(x)\n    y = x"), ["CS0113"]),
    "bidi_comment": (body("    # \u202e reversed\n    y = x"), ["CS0114"]),
    "line_separator": (body("    # \u2028 y = relu(x)\n    y = x"), ["CS0114"]),
    "ansi_escape_in_name": (body("    a\x1b[31m = relu(x)\n    y = x"), None),
    "nul_byte": (body("    y = x\0"), None),
    "nest_10k_braces": (body("    y = " + "when true { " * 10_000 + "x" + " } else { x }" * 10_000), ["CS0602"]),
    "nest_10k_parentheses": (body("    y = " + "(" * 10_000 + "x" + ")" * 10_000), ["CS0602"]),
    "nest_10k_calls": (body("    y = " + "relu(" * 10_000 + "x" + ")" * 10_000), ["CS0602"]),
    "gate_depth_65": (
        body("    y = " + "when mean(x) > 0 { " * 65 + "x" + " } else { x }" * 65), ["CS0602"],
    ),
    "int_5000_digits": (body("    y = x * " + "9" * 5000), ["CS0116"]),
    "dim_2pow63": (body("    y = x", ports="    in  x: f32[N, D=9223372036854775808]\n    out y: f32[N, D]\n"), None),
    "dim_2pow31": (body("    y = x", ports="    in  x: f32[N, D=2147483648]\n    out y: f32[N, D]\n"), ["CS0608"]),
    "dims_product_overflow": (
        body("    param w: f32[A=2000000000, B=2000000000, C=2000000000] = zeros()\n    y = x"), ["CS0609"],
    ),
    "zero_dim": (body("    y = x", ports="    in  x: f32[N, D=0]\n    out y: f32[N, D]\n"), ["CS0230"]),
    "negative_dim": (body("    y = x", ports="    in  x: f32[N, D=-3]\n    out y: f32[N, D]\n"), ["CS0230"]),
    "knob_of_billions": (body("    knob t: f32[L=2000000000] = 0.5 in 0 .. 1\n    y = x"), ["CS0609"]),
    "seed_laughs": (FIRST + LAUGHS + body("    y = S10(x)"), ["CS0606"]),
    "seed_laughs_unused": (FIRST + LAUGHS + body("    y = x"), ["CS0606"]),
    "loop_laughs": (
        body("    y = for i in 0 .. 1000 with a = x { next a = for j in 0 .. 1000 with b = a { next b = relu(b) } }"),
        ["CS0606"],
    ),
    "power_laughs": (body("    y = x * 9 ^ 9 ^ 9 ^ 9"), None),
    "mega_literal_list": (body("    y = x * len((" + "1, " * 1_000_000 + "1))"), ["CS0601"]),
    "import_absolute": (body("    y = x", head='import "/etc/passwd.seed" as p\n'), ["CS0508"]),
    "import_above": (body("    y = x", head='import "../../etc/passwd.seed" as p\n'), ["CS0508"]),
    "import_itself": (body("    y = x", head='import "./net.seed" as me\n'), ["CS0504"]),
}  # fmt: skip


def mistakes(path: Path) -> list[str]:
    with pytest.raises(UserError) as caught:
        load(path)
    text = render(caught.value.diagnostics)
    assert not any(ord(c) < 32 and c != "\n" for c in text), "no control character reaches the terminal"
    assert "\u202e" not in text
    assert all(d.labels for d in caught.value.diagnostics), "each has a span"
    return [d.code for d in caught.value.diagnostics]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_at_once(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text, expected = REFUSED[name]
    Path("net.seed").write_text(text, encoding="utf-8", newline="")
    found = mistakes(Path("net.seed"))
    assert found
    assert found == (expected or found)


def test_only_what_is_certain_counts(tmp_path: Path) -> None:
    """An arm that is not chosen costs nothing, and a seed that is given counts as what it is."""
    part = "seed Use[f: seed] {\n    in  x: f32[N, D]\n    out y: f32[N, D]\n    y = x |> f |> f\n}\n"
    chosen = (
        "    a = Use[S1](x)\n    y = when 1 == 2 { for i in 0 .. 1000000 with h = a { next h = relu(h) } } else { a }"
    )
    (tmp_path / "net.seed").write_text(FIRST + LAUGHS.partition("seed S4")[0] + part + body(chosen))
    assert len(load(tmp_path / "net.seed").elaborated.graph) < 50


def test_a_cycle_shows_its_path_and_a_diamond_is_read_once(tmp_path: Path) -> None:
    part = "seed {0} {{\n    in  x: f32[N, D]\n    out y: f32[N, D]\n    y = {1}\n}}\n"
    (tmp_path / "base.seed").write_text(part.format("Base", "relu(x)"))
    for name in ("left", "right"):
        (tmp_path / f"{name}.seed").write_text(
            'import "./base.seed" as base\n' + part.format(name.title(), "base.Base(x)")
        )
    main = tmp_path / "net.seed"
    head = 'import "./left.seed" as left\nimport "./right.seed" as right\n'
    main.write_text(body("    y = left.Left(right.Right(x))", head=head))
    assert sorted(load(main).files) == ["base.seed", "left.seed", "net.seed", "right.seed"]
    (tmp_path / "base.seed").write_text('import "./left.seed" as left\n' + part.format("Base", "relu(x)"))
    with pytest.raises(UserError) as caught:
        load(main)
    (found,) = caught.value.diagnostics
    assert found.code == "CS0504"
    assert "left.seed -> base.seed -> left.seed" in found.message


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_imports_follow_no_link(tmp_path: Path) -> None:
    (tmp_path / "outside.seed").write_text("seed A {\n    in  x: f32[N]\n    out y: f32[N]\n    y = x\n}\n")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "net.seed").write_text(body("    y = x", head='import "./link.seed" as link\n'))
    (folder / "link.seed").symlink_to(tmp_path / "outside.seed")
    assert mistakes(folder / "net.seed") == ["CS0509"]
    (folder / "net.seed").write_text(body("    y = x", head='import "./sub/outside.seed" as link\n'))
    (folder / "sub").symlink_to(tmp_path)
    assert mistakes(folder / "net.seed") in (["CS0508"], ["CS0509"])


@pytest.mark.parametrize("depth", [13, 30])
def test_deep_choices_compile(depth: int, tmp_path: Path) -> None:
    text = "x"
    for level in range(depth):
        text = f"when mean[over=D](x) > {level / depth} {{ relu({text}) }} else {{ x - {level} }}"
    (tmp_path / "net.seed").write_text(body(f"    y = {text}"))
    for target in ("torch-cpu", "onnx-cpu", "onnx-edge"):
        report = verify_artifact(cogseedc.compile(tmp_path / "net.seed", target, tmp_path / target))
        assert report.ok, report.to_text()


HOSTILE = (
    'quotes """ and \'\'\' and \\"""', "{{ 7 * 7 }} {% raise %} {# #}", "</script><script>alert(1)</script>",
    "<!-- -->",
    "import os; os.system('touch hacked')", "\\n\\r\\x00 %s %(name)s {0} ${HOME} `id`", "🌱",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_comments_are_inert(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documentation goes into no generated code, and into pages and cards as text only."""
    monkeypatch.chdir(tmp_path)
    program = f"## {text}\n" + body(f"    ## {text}\n    # {text}\n    y = linear[4](x)  # {text}")
    source = tmp_path / "net.seed"
    source.write_text(program, encoding="utf-8")
    for target in ("torch-cpu", "onnx-cpu"):
        artifact = cogseedc.compile(source, target, tmp_path / target)
        assert verify_artifact(artifact).ok
        for name in ("model.py", "model.onnx"):
            for file in artifact.rglob(name):
                assert text.encode() not in file.read_bytes()
    from cogseedc.driver.picture import draw

    page = draw(load(source), "html").decode()
    assert "<script>alert(1)" not in page
    assert "<!-- -->" not in page.partition("<body")[2]
    assert not (tmp_path / "hacked").exists()


ODD_FILES: dict[str, Callable[[str], bytes]] = {
    "crlf": lambda text: text.replace("\n", "\r\n").encode(),
    "byte_order_mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "no_last_newline": lambda text: text.rstrip("\n").encode(),
    "many_blank_lines": lambda text: text.replace("\n", "\n" * 50).encode(),
}


@pytest.mark.parametrize("name", ODD_FILES)
def test_odd_files_are_read(name: str, tmp_path: Path) -> None:
    source = tmp_path / "net.seed"
    source.write_bytes(ODD_FILES[name](body("    y = relu(x)")))
    assert load(source).name == "Net"


def test_an_empty_file_is_no_program(tmp_path: Path) -> None:
    source = tmp_path / "net.seed"
    source.write_bytes(b"")
    assert mistakes(source) == ["CS0503"]


def test_the_locale_does_not_matter(tmp_path: Path) -> None:
    import subprocess

    source = tmp_path / "net.seed"
    source.write_text(body("    y = relu(x)  # grün 🌱"), encoding="utf-8")
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    for command in (["fmt", "--diff"], ["check"]):
        call = [sys.executable, "-m", "cogseedc", *command, str(source)]
        done = subprocess.run(call, capture_output=True, env=env, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
