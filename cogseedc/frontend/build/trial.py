"""Elaborating something for a trial: what is made can be taken back, or moved out of the graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cogseedc.diagnostics import Diagnostics
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.model import Frame
from cogseedc.ir import NodeId


@dataclass
class Found:
    """What a trial reports, until it is known whether it counts."""

    kept: bool = False

    def keep(self) -> None:
        self.kept = True


@dataclass(frozen=True)
class Trial:
    """The state of a builder at one moment. Nodes made since have ids from `start` on."""

    start: int
    _names: tuple[dict[Any, Any], ...]
    _made: tuple[dict[Any, Any], ...]
    _counts: dict[str, int]
    _exits: list[NodeId]
    _requirements: int

    @staticmethod
    def begin(b: Builder, frame: Frame) -> Trial:
        names = tuple(dict(table) for table in _names(b))
        made = tuple(dict(table) for table in _made(b))
        return Trial(b.graph.next_id, names, made, dict(frame.counts), list(frame.instance.exits), len(b.requirements))

    def forget(self, b: Builder) -> None:
        """Gates and conditions made since are not found again: their nodes are no longer in this graph."""
        for table, kept in zip(_made(b), self._made, strict=True):
            table.clear()
            table.update(kept)

    @contextmanager
    def mistakes(self, b: Builder) -> Iterator[Found]:
        """Mistakes and notes count only if they are kept: those of a trial may come from types that it has wrong. They
        also count where the trial ends in an exception."""
        outer, b.diagnostics = b.diagnostics, Diagnostics(b.diagnostics.limit)
        found = Found()
        try:
            yield found
        except BaseException:
            found.kept = True
            raise
        finally:
            inner, b.diagnostics = b.diagnostics, outer
            if found.kept:
                for diagnostic in inner:
                    b.diagnostics.add(diagnostic)

    def undo(self, b: Builder, frame: Frame) -> None:
        """Takes back everything made since."""
        self.forget(b)
        for table, kept in zip(_names(b), self._names, strict=True):
            table.clear()
            table.update(kept)
        b.graph.remove([NodeId(i) for i in range(self.start, b.graph.next_id) if NodeId(i) in b.graph])
        frame.counts.clear()
        frame.counts.update(self._counts)
        frame.instance.exits[:] = self._exits
        del b.requirements[self._requirements :]


def _names(b: Builder) -> tuple[dict[Any, Any], ...]:
    return b.weights, b.call_names


def _made(b: Builder) -> tuple[dict[Any, Any], ...]:
    return b.gates, b.taken, b.bounded
