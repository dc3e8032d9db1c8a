"""The formatter: same meaning, same comments, and nothing left to do the second time."""

from __future__ import annotations

from pathlib import Path

import pytest

from cogseedc.diagnostics import Diagnostics, UserError
from cogseedc.frontend.format import WIDTH, format_source
from cogseedc.frontend.parser import parse
from cogseedc.frontend.tokens import tokenize
from cogseedc.frontend.walk import shape
from cogseedc.limits import Limits
from cogseedc.source import Source

ROOT = Path(__file__).parent
FILES = sorted([*(ROOT / "tour").glob("*.seed"), *(ROOT.parent / "examples").glob("*.seed")])

CASES = [
    ("seed  A{in x:f32[N,C=3]\n}", "seed A {\n    in  x: f32[N, C=3]\n}\n"),
    ("seed A { y=x+ -1*( 2^s )  z=f [k = 3] (y) }", "seed A { y = x + -1 * (2 ^ s)  z = f[k=3](y) }\n"),
    ("seed A[n:int=3] { }", "seed A[n: int = 3] {}\n"),
    (
        "seed A {\n\n\n  y = when a { x }\n  else { x } # tail\n\n\n\n  # own line\n  z = 3\n\n}\n\n\n",
        "seed A {\n    y = when a { x } else { x }  # tail\n\n    # own line\n    z = 3\n}\n",
    ),
    (
        "seed A {\ny = when a { t = x\nyield t } else { x } }",
        "seed A {\n    y = when a {\n        t = x\n        yield t\n    } else { x }\n}\n",
    ),
    (
        "seed A {\n@bits(int8)\ny = x\n|> f\n|> g[\n1\n]\n}",
        "seed A {\n    @bits(int8)\n    y = x\n        |> f\n        |> g[\n            1\n        ]\n}\n",
    ),
    (
        "seed A {\n    a = 1     # one\n    bcd = 2   # two\n}\n",
        "seed A {\n    a = 1    # one\n    bcd = 2  # two\n}\n",
    ),
    ("from a.b @^1.0.0 import C,D\n\n\nconst E=-3\n", "from a.b @^1.0.0 import C, D\n\nconst E = -3\n"),
    ("seed A { c = not(a) and (b)  gate g over N = a via(f) }", None),
    ("", ""),
    ("# only a comment", "# only a comment\n"),
]


def formatted(text: str) -> str:
    return format_source(Source("t.seed", text), Limits())


def meaning(text: str) -> list[object]:
    diagnostics = Diagnostics()
    file = parse(Source("t.seed", text), diagnostics, Limits())
    assert list(diagnostics) == []
    return shape(file)


def comments(text: str) -> list[str]:
    tokens = tokenize(Source("t.seed", text), Diagnostics(), Limits())
    return [text[start:end].rstrip() for start, end in tokens.comments]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_layout(text: str, expected: str | None) -> None:
    result = formatted(text)
    assert expected is None or result == expected
    assert formatted(result) == result
    assert meaning(result) == meaning(text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_programs_keep_their_meaning(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    result = formatted(text)
    assert meaning(result) == meaning(text)
    assert comments(result) == comments(text)
    assert formatted(result) == result


def test_long_blocks_are_opened() -> None:
    text = "seed A { y = when a { " + " + ".join(["x"] * 20) + " } else { " + " + ".join(["y"] * 20) + " } }\n"
    result = formatted(text)
    assert max(map(len, result.splitlines())) <= WIDTH
    assert formatted(result) == result


def test_broken_files_are_left_alone() -> None:
    with pytest.raises(UserError) as caught:
        formatted("seed A { y = }")
    assert caught.value.diagnostics[0].code == "CS0101"
