"""The table of frequent mistakes, `grammar/mistakes.toml`: says what a token that cannot stand most likely means."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from cogseedc.diagnostics.model import Diagnostics
from cogseedc.frontend.tokens import Tokens, words
from cogseedc.resources import folder


@dataclass(frozen=True, slots=True)
class Mistake:
    """One entry. All its conditions must hold; a missing one always does."""

    name: str
    code: str
    message: str
    """May hold {found} and the named groups of `before`."""
    help: str
    examples: tuple[str, ...]
    before: re.Pattern[str]
    """Searched in the tokens of the statement so far, joined by blanks, with a newline before the first of a line."""
    found: re.Pattern[str]
    """Must match the whole token that cannot stand."""
    after: re.Pattern[str]
    """Must match where the following tokens begin."""
    expects: tuple[str, ...]
    """Kinds of tokens one of which could stand here."""
    where: str
    """`file` or `seed`: what encloses the statement; empty for any."""
    at: str
    """The word of the statement, or group of `before`, that is to blame; empty for the found token."""
    edit: str | None
    """Kind of the token to read instead; empty to skip it; None to give the statement up."""
    insert: bool
    """Whether `edit` is put before the found token, not in its place."""


@dataclass(frozen=True, slots=True)
class ForeignWord:
    """A word of another language, where it stands beside a name and so can mean nothing else."""

    word: str
    place: str
    """`value`, `statement` or `item`: what it begins."""
    edit: str
    """Word to read instead; empty to skip it."""
    code: str
    message: str
    help: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """How the statement is written that a word begins."""

    word: str
    help: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Situation:
    """Where reading stopped."""

    before: str
    found: str
    after: str
    where: str
    accepts: Callable[[str], bool]


def diagnose(situation: Situation) -> tuple[Mistake, dict[str, str]] | None:
    """The first entry that fits, and what its texts may mention."""
    for mistake in load():
        if mistake.where not in ("", situation.where) or not mistake.found.fullmatch(situation.found):
            continue
        before = mistake.before.search(situation.before)
        if before is None or not mistake.after.match(situation.after):
            continue
        if mistake.expects and not any(situation.accepts(kind) for kind in mistake.expects):
            continue
        return mistake, {"found": situation.found, **before.groupdict("")}
    return None


def fill(text: str, groups: dict[str, str]) -> str:
    """A text of the table with what `diagnose` found in the place of each {name}."""
    return re.sub(r"\{(\w+)\}", lambda match: groups.get(match[1], match[0]), text)


FOREIGN = re.compile(r"\b(?:if|let|va[rl]|return|def|fn|func|class|model|while|switch|match)\b")
"""The words of the table, so that it need not be read for a text that holds none; a test compares them."""
_STATEMENT_CONTINUES = ("=", ",", "in", "=>")
"""What stands after a name that begins a statement or an arm."""
_VALUES = frozenset(["NAME", "NUMBER", "STRING", "BOOLEAN", "not"])


def replace_foreign_words(tokens: Tokens, diagnostics: Diagnostics) -> None:
    """Reports words of other languages, and puts the language's own in their places.

    Only where it is certain: before a name or number on the same line that begins no statement of its own.
    """
    for match in reversed(list(FOREIGN.finditer(tokens.source.text))):
        index = bisect_left(tokens.starts, match.start())
        if tokens.starts[index] != match.start() or tokens.kinds[index] != "NAME":
            continue
        entry = foreign_words()[match[0]]
        if not _certain(entry.place, tokens, index):
            continue
        diagnostics.error(entry.code, entry.message, tokens.span(index), help=entry.help)
        if entry.edit:
            tokens.kinds[index] = entry.edit
        else:
            del tokens.kinds[index], tokens.starts[index], tokens.ends[index]


def _certain(place: str, tokens: Tokens, index: int) -> bool:
    kinds, text = tokens.kinds, tokens.source.text
    after, later = kinds[index + 1], kinds[index + 2 : index + 3]
    if after not in _VALUES or "\n" in text[tokens.ends[index] : tokens.starts[index + 1]]:
        return False
    previous = kinds[index - 1] if index else ""
    leads = index == 0 or "\n" in text[tokens.ends[index - 1] : tokens.starts[index]]
    begins = leads or previous in ("{", "}")
    if place == "item":
        return begins and after == "NAME" and later[0] in ("(", "{", "[", ":", "FOREIGN")
    if place == "statement" and begins | (previous in _ENDS):
        return after != "NAME" or later[0] != "in"
    return place == "value" and previous in _BEFORE_VALUE and later[0] not in _STATEMENT_CONTINUES


_BEFORE_VALUE = words("= ( [ , { => PLUS MINUS STAR SLASH PERCENT CARET yield with in")
_ENDS = frozenset(["}", ")", "]", "NUMBER"])


@cache
def foreign_words() -> dict[str, ForeignWord]:
    """The words of other languages."""
    words = [ForeignWord(**{**entry, "examples": tuple(entry["examples"])}) for entry in _table()["word"]]
    return {word.word: word for word in words}


@cache
def forms() -> dict[str, Form]:
    """How statements are written, by the word that each begins with."""
    return {entry["word"]: Form(entry["word"], entry["help"], tuple(entry["examples"])) for entry in _table()["form"]}


@cache
def _table() -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads((folder("grammar") / "mistakes.toml").read_text(encoding="utf-8"))


@cache
def load() -> tuple[Mistake, ...]:
    """All entries, in the order in which they are tried."""
    return tuple(
        Mistake(
            entry["name"],
            entry["code"],
            entry["message"],
            entry["help"],
            tuple(entry["examples"]),
            re.compile(entry.get("before", "")),
            re.compile(entry.get("found", r"(?s:.*)")),
            re.compile(entry.get("after", "")),
            tuple(entry.get("expects", ())),
            entry.get("where", ""),
            entry.get("at", ""),
            entry.get("edit"),
            entry.get("insert", False),
        )
        for entry in _table()["mistake"]
    )
