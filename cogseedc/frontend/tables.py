"""The parse tables as data: read from `grammar/seed.tables.json`, or made from a grammar by a maker; runs no parser."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from cogseedc.resources import folder

DROP, KEEP, INLINE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Rule:
    """One expansion. `name` is what the tree calls it: its alias, else its origin."""

    origin: str
    name: str
    parts: tuple[int, ...]
    """What becomes of each symbol's value: dropped, kept, or its items kept."""
    collects: bool
    """Its value is the list of what it keeps (rules whose name begins with `_`)."""
    passes: bool
    """Its value is that of the one symbol that it keeps."""
    kept: tuple[int, ...] | None = field(init=False, compare=False)
    """Places of the symbols that it keeps; None where items of one are kept."""
    size: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        kept = tuple(i for i, part in enumerate(self.parts) if part == KEEP)
        object.__setattr__(self, "kept", None if INLINE in self.parts else kept)
        object.__setattr__(self, "size", len(self.parts))


@dataclass(frozen=True, slots=True)
class Tables:
    """An LALR(1) automaton. An action is the next state (shift) or the complement of a rule's number (reduce)."""

    rules: tuple[Rule, ...]
    actions: tuple[dict[str, int], ...]
    gotos: tuple[dict[str, int], ...]
    terminals: tuple[str, ...]
    final: int
    """The state in which the end of the text is accepted; parsing begins in state 0."""


def grammar_text() -> str:
    """The text of `grammar/seed.lark`."""
    return (folder("grammar") / "seed.lark").read_text(encoding="utf-8")


def digest(grammar: str) -> str:
    """Names a grammar, so that tables are never used with another one; line ends do not count."""
    return hashlib.sha256("\n".join(grammar.splitlines()).encode()).hexdigest()


def to_json(tables: Tables, grammar: str) -> str:
    """The text of `seed.tables.json`: a line per rule and per state, so that a change can be read."""
    rules = [[r.origin, r.name, "".join(map(str, r.parts)), r.collects, r.passes] for r in tables.rules]
    sections: dict[str, list[str]] = {
        "rules": [json.dumps(rule) for rule in rules],
        "actions": [json.dumps(row, separators=(",", ":")) for row in tables.actions],
        "gotos": [json.dumps(row, separators=(",", ":")) for row in tables.gotos],
    }
    head = f'{{"grammar": "{digest(grammar)}",\n"final": {tables.final},\n"terminals": {json.dumps(tables.terminals)}'
    separator = ",\n"
    bodies = [f'{separator}"{name}": [\n{separator.join(lines)}\n]' for name, lines in sections.items()]
    return "".join([head, *bodies, "}\n"])


def from_json(text: str) -> Tables:
    """Reads what `to_json` wrote."""
    data = json.loads(text)
    rules = tuple(
        Rule(origin, name, tuple(map(int, parts)), collects, passes)
        for origin, name, parts, collects, passes in data["rules"]
    )
    return Tables(rules, tuple(data["actions"]), tuple(data["gotos"]), tuple(data["terminals"]), data["final"])


@cache
def load(make: Callable[[str], Tables]) -> Tables:
    """The tables of the grammar: those that ship with it, or new ones when the grammar has changed since."""
    grammar = grammar_text()
    shipped = folder("grammar") / "seed.tables.json"
    if shipped.is_file():
        text = shipped.read_text(encoding="utf-8")
        if text.startswith(f'{{"grammar": "{digest(grammar)}"'):
            return from_json(text)
    return make(grammar)
