"""How often decisions are reckoned to fall: as a profile says; else as they say of themselves, else evenly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cogseedc.analysis.shares import Share, counted, shares
from cogseedc.ir import Graph, NodeId, Ops, Size, decider, reckoned
from cogseedc.ir.nodes import Gate
from cogseedc.target import Target

ANYWHERE = 0.9
"""Share of the rows in which an arm is taken at any position, if nothing is known of it."""
ROWS = 32
"""Batch that is reckoned with where a target takes any."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of the gates of one graph."""

    graph: Graph
    target: Target
    known: Mapping[NodeId, tuple[Share, ...]]

    @staticmethod
    def of(graph: Graph, target: Target, ops: Ops) -> Rates:
        known = counted(graph, ops, lambda size: reckoned(size, rows(target)))
        return Rates(graph, target, shares(graph, known))

    def number(self, size: Size) -> float:
        """A size, at the batch that is reckoned with."""
        return reckoned(size, rows(self.target))

    def share(self, id: NodeId, arms: Sequence[int], negated: bool = False) -> float:
        """Share of the indices at which a gate has one of some arms (`negated`, of k-of-n: has not); of a projection,
        of the rows in which it has one anywhere."""
        if id < 0:
            return self.anywhere(decider(id), arms)
        found = sum(self._arm(id, arm) for arm in arms)
        return min(1.0, max(0.0, 1.0 - found if negated else found))

    def anywhere(self, id: NodeId, arms: Sequence[int]) -> float:
        """Share of the rows in which a gate has one of some arms at any position."""
        return min(1.0, sum(self._anywhere(id, arm) for arm in arms))

    def _arm(self, id: NodeId, arm: int) -> float:
        profile = self.target.profile
        measured = None if profile is None else profile.share(self._name(id), arm)
        return float(self.known[id][arm].even) if measured is None else measured

    def _anywhere(self, id: NodeId, arm: int) -> float:
        profile = self.target.profile
        measured = None if profile is None else profile.share_anywhere(self._name(id), arm)
        if measured is not None:
            return measured
        share = self.known[id][arm]
        return float(share.low > 0) if share.low > 0 or not share.high else ANYWHERE

    def _name(self, id: NodeId) -> str:
        gate = self.graph[id]
        assert isinstance(gate, Gate)
        return gate.name


def rows(target: Target) -> int:
    """The batch that is reckoned with."""
    return 1 if target.batch_one else target.profile.rows if target.profile is not None else ROWS
