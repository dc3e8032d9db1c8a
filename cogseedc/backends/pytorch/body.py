"""One emitted method while it is written: which variables it has, which it needs from outside, its lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from cogseedc.backends.names import Scope
from cogseedc.backends.plan.model import Slot, SpaceId
from cogseedc.ir import NodeId, Origin

WIDTH = 110
"""Length from which a call or signature is broken into lines."""

_FILE = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Rows:
    """The row index of a COMPACT space within an ancestor (COMPACT, or the root)."""

    space: SpaceId
    above: SpaceId


@dataclass(frozen=True, slots=True)
class Taken:
    """Whether a BRANCH space is run."""

    space: SpaceId


@dataclass(frozen=True, slots=True)
class Symbol:
    """The size of an input axis."""

    name: str


@dataclass(frozen=True, slots=True)
class Device:
    """Where the inputs are."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the turns of a loop decided: a list, or None where no trace is wanted."""

    loop: NodeId


@dataclass(frozen=True, slots=True)
class Nothing:
    """A row index of no rows."""


Key = Slot | Rows | Taken | Symbol | Device | Record | Nothing


@dataclass(frozen=True, slots=True)
class Tiling:
    """Variables that hold the size of tiles, and the tiles; and those that say more of their pixels, by expression."""

    size: str
    tiles: str
    pixels: dict[str, str] = field(default_factory=dict)


class Body:
    """Statements and variables of one method. What is read but not defined becomes a parameter."""

    def __init__(self, wanted: dict[Key, str], taken: Sequence[str] = ()) -> None:
        self._wanted = wanted
        self._names: dict[Key, str] = {}
        self.scope = Scope((*taken, "self", "torch", "F", "nn"))
        self.parameters: list[Key] = []
        self.lines: list[str] = []
        self.counts: dict[SpaceId, str] = {}
        """Variables that hold the number of rows of a COMPACT space."""
        self.tilings: dict[str, Tiling] = {}
        """By the expressions that choose tiles."""

    def read(self, key: Key) -> str:
        """The variable that holds it."""
        if key not in self._names:
            self.missing(key)
        return self._names[key]

    def knows(self, key: Key) -> bool:
        """Whether a variable holds it already."""
        return key in self._names

    def missing(self, key: Key) -> None:
        """Makes a variable that is read before it is defined."""
        self.define(key)
        self.parameters.append(key)

    def define(self, key: Key) -> str:
        """A new variable for it."""
        self._names[key] = self.scope.free(self._wanted.get(key) or _spelled(key))
        return self._names[key]

    def alias(self, key: Key, name: str) -> None:
        """Lets a variable that exists hold it."""
        self._names[key] = name

    def say(self, text: str, origin: Origin | None = None) -> None:
        """Adds a statement, with the place in the source that it comes from."""
        self.lines.append(text + (comment(origin) if origin else ""))


def _spelled(key: Key) -> str:
    match key:
        case Slot(node=node):
            return f"x{node}"
        case Rows(space=space, above=above):
            return f"rows_{space}_in_{above}"
        case Taken(space=space):
            return f"taken_{space}"
        case Symbol(name=name):
            return name.lower()
        case Device():
            return "device"
        case Record():
            return "turns"
        case Nothing():
            return "nothing"


def comment(origin: Origin) -> str:
    """`  # name.seed:31`, if the name of the file is harmless."""
    if origin.span is None:
        return ""
    file = origin.span.source.name.replace("\\", "/").rsplit("/", 1)[-1]
    return f"  # {file}:{origin.span.line}" if _FILE.fullmatch(file) else ""


def spread_out(start: str, parts: Sequence[str], end: str) -> list[str]:
    """`start`, comma-separated parts and `end`: in one line, or broken into several that are indented."""
    line = start + ", ".join(parts) + end
    if len(line) <= WIDTH:
        return [line]
    lines = [start]
    for part in parts:
        if len(lines) > 1 and len(lines[-1]) + len(part) + 2 <= WIDTH:
            lines[-1] += f" {part},"
        else:
            lines.append(f"    {part},")
    return [*lines, end]


def indented(lines: Sequence[str]) -> list[str]:
    """Statements of a suite."""
    return [f"    {line}" for line in lines]
