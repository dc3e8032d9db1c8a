"""The table of codes tells the truth: each `wrong` program gives its code and nothing else, each `right` gives none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cogseedc
from cogseedc.diagnostics import CODES, Code, Diagnostics, UserError
from cogseedc.diagnostics.codes import neural, types
from cogseedc.driver.program import check, load
from cogseedc.frontend.parser import parse
from cogseedc.limits import Limits
from cogseedc.source import Source

DESCRIBED = {"CS0114", "CS0115", "CS0601", "CS0602", "CS0603", "CS0604", "CS0610"}
"""Their `wrong` is a description: the text itself would be invisible, or fill the screen."""
CHECKED = ("CS02", "CS03", "CS04", "CS05", "CS06", "CS0703", "CS0704")
"""Codes that a program alone leads to; the others need a command, a target, or a file."""
SYNTAX = [c for c in CODES.values() if c.code.startswith("CS01") and c.code not in DESCRIBED]
PROGRAMS = [c for c in CODES.values() if c.code.startswith(CHECKED) and c.code not in DESCRIBED]
ROWS = [(r[0], r[3], r[4], r[5]) for r in types._ROWS] + [
    (r[0], r[3], "y = " + r[4], "y = " + r[5]) for r in neural._ROWS
]


def parsed(text: str) -> list[str]:
    """Codes of reading a text; what is no file of its own stands in a seed."""
    whole = re.search(r"^(export )?seed |^import |^from ", text, re.MULTILINE)
    found = Diagnostics()
    parse(Source("x.seed", text if whole else f"seed A {{\n{text}\n}}\n"), found, Limits())
    return [d.code for d in found]


def checked(path: Path, text: str) -> list[str]:
    """Codes, notes too, of checking a program; where it exports none, of what to compile."""
    path.write_text(text, encoding="utf-8")
    found = [d.code for d in check(path, cogseedc.driver.program.Settings())]
    if found:
        return found
    try:
        load(path)
    except UserError as error:
        return [d.code for d in error.diagnostics]
    return []


@pytest.mark.parametrize("code", SYNTAX, ids=lambda c: c.code)
def test_wrong_text_gives_its_code(code: Code) -> None:
    assert parsed(code.wrong) == [code.code]


@pytest.mark.parametrize("code", SYNTAX, ids=lambda c: c.code)
def test_right_text_is_read(code: Code) -> None:
    assert parsed(code.right) == []


@pytest.mark.parametrize("code", PROGRAMS, ids=lambda c: c.code)
def test_wrong_program_gives_its_code(code: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert checked(Path(f"{code.code}.seed"), code.wrong) == [code.code]


@pytest.mark.parametrize(("code", "ports", "wrong", "right"), ROWS, ids=[row[0] for row in ROWS])
def test_right_statement_has_no_fault(code: str, ports: str, wrong: str, right: str, tmp_path: Path) -> None:
    statement, _, remark = right.partition("  # with ")
    if remark:
        name, _, type_ = remark.partition(": ")
        ports = re.sub(rf"in  {name}: .*", f"in  {name}: {type_}", ports)
    statement = statement.replace("y = ", "result = ", 1)
    body = f"    {ports}\n    out done: f32[Only=1]\n    {statement}\n    done = zeros[Only]()\n"
    found = checked(tmp_path / "x.seed", f"export seed Net {{\n{body}}}\n")
    assert set(found) <= {"CS0248"}  # nothing reads the result, nor an input that only the wrong one needs


def test_each_code_that_is_raised_is_in_the_table_and_the_reverse() -> None:
    root = Path(cogseedc.__file__).parent
    sources = [p for p in root.rglob("*.py") if p.parent.name != "codes"]
    raised = {code for p in sources for code in re.findall(r"\bCS\d{4}\b", p.read_text(encoding="utf-8"))}
    grammar = {code for p in (root / ".." / "grammar").glob("*") for code in re.findall(r"\bCS\d{4}\b", p.read_text())}
    assert raised | grammar == set(CODES)


def test_texts_are_whole() -> None:
    for code in CODES.values():
        assert code.title
        assert not code.title.endswith(".")
        assert code.why.endswith((".", "]", "`", ".json"))
        assert code.wrong
        assert code.right
        assert code.wrong != code.right
