"""Mistakes: a comment `# ^ CSnnnn` under a line says which error begins where in it; there are no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cogseedc
from cogseedc.diagnostics import Severity, UserError

CASES = sorted((Path(__file__).parent / "mistakes").glob("*.seed"))
MARK = re.compile(r"#(\s*)\^ (CS\d{4})$")


def expected(text: str) -> list[tuple[str, int, int]]:
    """(code, line, column) of each mark."""
    found: list[tuple[str, int, int]] = []
    line = 0
    for number, content in enumerate(text.splitlines(), 1):
        mark = MARK.fullmatch(content.rstrip())
        if mark is None:
            line = number
        else:
            found.append((mark[2], line, len(mark[1]) + 2))
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_mistake(case: Path) -> None:
    with pytest.raises(UserError) as caught:
        cogseedc.load(case)
    errors = [d for d in caught.value.diagnostics if d.severity is Severity.ERROR]
    found = [(d.code, d.labels[0].span.line, d.labels[0].span.column) for d in errors if d.labels]
    assert sorted(found, key=lambda f: f[1:]) == expected(case.read_text())
    assert all(d.message for d in errors)
