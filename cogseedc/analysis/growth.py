"""How a region grows from one arm of a join backwards, layer by layer: over operations that nothing outside of it reads
and that run for the same samples as the join. What a layer is, and what it reads, says the kind of region.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cogseedc.ir import Call, Gate, GateKind, Graph, Guard, Literals, Merge, MergeMode, NodeId, Ops, Value

L = TypeVar("L")


def two_arms(graph: Graph, merge: Merge, operands: Sequence[Value | None]) -> tuple[NodeId, tuple[Value, Value]] | None:
    """Of a join that one yes-or-no gate chooses for: the gate, and the values where it says no and yes."""
    count = len(merge.arms)
    gates = {v.node for v in operands[count : 2 * count] if v is not None}
    if merge.mode is not MergeMode.SELECT or len(gates) != 1:
        return None
    (id,) = gates
    gate = graph[id]
    if not isinstance(gate, Gate) or gate.kind is not GateKind.BOOL:
        return None
    rest = operands[-1] if merge.otherwise else None
    no, yes = (operands[merge.arms.index(arm)] if arm in merge.arms else rest for arm in (0, 1))
    assert no is not None, "the verifier found that the arms cover every decision"
    assert yes is not None, "the verifier found that the arms cover every decision"
    return id, (no, yes)


@dataclass
class Growth(ABC, Generic[L]):
    """A region while it grows."""

    graph: Graph
    place: Mapping[NodeId, int]
    """Where nodes stand in a topological order."""
    guards: Mapping[NodeId, Guard]
    literals: Literals
    ops: Ops
    merge: NodeId
    result: Value
    """The arm."""
    layers: dict[NodeId, L] = field(default_factory=dict)

    @abstractmethod
    def layer(self, id: NodeId, node: Call) -> L | None:
        """An operation as a layer, if it can be one."""

    @abstractmethod
    def reads(self, id: NodeId, layer: L) -> Iterable[Value]:
        """What a layer reads that may be made by layers too; notes what is needed of it."""

    def grow(self) -> tuple[L, ...]:
        """The layers, in topological order. A node is looked at after all that read it."""
        waiting = {self.result.node}
        while waiting:
            id = max(waiting, key=self.place.__getitem__)
            waiting.remove(id)
            node = self.graph[id]
            layer = self.layer(id, node) if isinstance(node, Call) and self._inside(id, node) else None
            if layer is not None:
                self.layers[id] = layer
                waiting |= {value.node for value in self.reads(id, layer)}
        return tuple(self.layers[id] for id in sorted(self.layers, key=self.place.__getitem__))

    def _inside(self, id: NodeId, node: Call) -> bool:
        """Whether nothing outside of the region reads a node, and it runs for the samples of the join."""
        outside = [e.dst for e in self.graph.wiring().outs[id] if e.dst in self.place and e.dst not in self.layers]
        alone = len(node.types) == 1 and outside == ([self.merge] if id == self.result.node else [])
        rows = self.literals.rows
        return alone and rows(self.guards[id]) == rows(self.guards[self.merge])
