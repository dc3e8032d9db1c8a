"""What the documents show is true: their programs check, their links lead somewhere, their tables are the code's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cogseedc import target
from cogseedc.cli.main import GROUPS
from cogseedc.diagnostics import CODES, render
from cogseedc.driver.program import Settings, check
from cogseedc.frontend.format import format_source
from cogseedc.limits import LIMIT_CODES, Limits
from cogseedc.source import Source

ROOT = Path(__file__).parents[2]
FILES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
FENCE = re.compile(r"^```([a-z-]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`]*`")


def blocks(language: str) -> list[tuple[str, str]]:
    """(place, text) of every fenced block of a language. ```seed-fragment is part of a program and not run."""
    found = []
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            if match[1] == language:
                found.append((f"{file.name}:{text.count(chr(10), 0, match.start()) + 1}", match[2]))
    return found


PROGRAMS = blocks("seed")
COMMANDS = {name for group in GROUPS.values() for name in group}


@pytest.mark.parametrize(("place", "text"), PROGRAMS, ids=[place for place, _ in PROGRAMS])
def test_program_checks_and_is_laid_out(place: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "program.seed"
    file.write_text(text, encoding="utf-8")
    found = list(check(file, Settings()))
    assert not found, f"{place}\n{render(tuple(found), color=False)}"
    assert format_source(Source(place, text), Limits()) == text


def test_there_are_programs() -> None:
    assert {place.partition(":")[0] for place, _ in PROGRAMS} >= {"README.md", "language.md", "tutorial.md"}


@pytest.mark.parametrize(("place", "text"), blocks("python"), ids=[place for place, _ in blocks("python")])
def test_python_is_python(place: str, text: str) -> None:
    compile(text, place, "exec")


def test_commands_exist() -> None:
    for place, text in blocks("console"):
        for command in re.findall(r"^\$ cogseedc ([a-z-]+)", text, re.MULTILINE):
            assert command in COMMANDS, f"{place}: there is no command {command}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_links_lead_somewhere(file: Path) -> None:
    text = CODE.sub("", FENCE.sub("", file.read_text(encoding="utf-8")))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        where = file.parent / path if path else file
        assert where.exists(), f"{file.name}: {link}"
        if anchor:
            assert anchor in anchors(where.read_text(encoding="utf-8")), f"{file.name}: {link}"


def anchors(text: str) -> set[str]:
    """The names of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_named_codes_and_targets_exist(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert set(re.findall(r"\bCS\d{4}\b", text)) <= set(CODES)
    assert set(re.findall(r"\b(?:torch|onnx)-(?:cpu|cuda|edge)\b", text)) <= set(target.names())


def test_limits_are_those_of_the_table() -> None:
    text = (ROOT / "docs" / "language.md").read_text(encoding="utf-8").partition("## Limits")[2].partition("\n## ")[0]
    assert dict(re.findall(r"^\| `(\w+)`.*\| (CS\d{4}) \|$", text, re.MULTILINE)) == LIMIT_CODES
