"""The TextMate grammar knows the words of the language, and its patterns are regular expressions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from cogseedc.frontend.tokens import HEADS, RESERVED, WORDS_IN_PLACE
from cogseedc.ir import Dtype

FILE = Path(__file__).parents[2] / "grammar" / "seed.tmLanguage.json"
GRAMMAR = json.loads(FILE.read_text(encoding="utf-8"))


def patterns(node: object) -> Iterator[dict[str, str]]:
    """Every pattern that matches."""
    if isinstance(node, dict):
        if "match" in node:
            yield node
        for value in node.values():
            yield from patterns(value)
    elif isinstance(node, list):
        for value in node:
            yield from patterns(value)


def words(*scopes: str) -> set[str]:
    """The words that patterns of these kinds list as alternatives."""
    found = set()
    for pattern in patterns(GRAMMAR):
        names = {pattern.get("name", ""), *(c["name"] for c in pattern.get("captures", {}).values())}
        if any(name.startswith(scopes) for name in names):
            for group in re.findall(r"\((?!\?)([a-z0-9|]+)\)", pattern["match"]):
                found |= set(group.split("|"))
    return found


def test_is_a_grammar_for_seed_files() -> None:
    assert GRAMMAR["scopeName"] == "source.seed"
    assert GRAMMAR["fileTypes"] == ["seed"]
    known = set(GRAMMAR["repository"])
    assert {pattern["include"].removeprefix("#") for pattern in GRAMMAR["patterns"]} == known


def test_patterns_are_regular_expressions() -> None:
    for pattern in patterns(GRAMMAR):
        re.compile(pattern["match"])


def test_words_are_those_of_the_language() -> None:
    assert words("keyword", "storage", "constant.language") == {*RESERVED, *WORDS_IN_PLACE, *HEADS}


def test_element_types_are_those_of_the_language() -> None:
    assert words("support.type.seed") == {dtype.value for dtype in Dtype}
