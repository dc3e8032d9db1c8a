"""The values of all exits, for training: found where the merges choose them."""

from __future__ import annotations

from collections.abc import Sequence

from cogseedc.backends.plan.model import ROOT, Slot
from cogseedc.ir import Gate, Graph, Merge, NodeId, Output, Value

Exits = tuple[tuple[str, tuple[tuple[str, Slot], ...]], ...]


def exits(graph: Graph, order: Sequence[NodeId]) -> Exits:
    """Each exit's path with what it gives for each output of its seed, at all rows; what it holds is no output."""
    wiring = graph.wiring()
    holding = _holding(graph, order)
    names = _names(graph, order)
    found: dict[str, dict[str, Slot]] = {}
    for id in order:
        node = graph[id]
        if isinstance(node, Gate) and node.exit is not None:
            found.setdefault(node.exit, {})
        if not isinstance(node, Merge) or id in holding:
            continue
        operands = wiring.operands(id)
        count = len(node.arms)
        for arm, value, gate in zip(node.arms, operands[:count], operands[count : 2 * count], strict=True):
            assert value is not None
            assert gate is not None
            decided = graph[gate.node]
            if isinstance(decided, Gate) and decided.exit is not None and arm == 1:
                values = found.setdefault(decided.exit, {})
                values[_free(names.get(id, "value"), values)] = Slot(value.node, value.port, ROOT)
    return tuple((name, tuple(values.items())) for name, values in found.items())


def _holding(graph: Graph, order: Sequence[NodeId]) -> set[NodeId]:
    """The merges that only states after the call read."""
    outs = graph.wiring().outs
    found: set[NodeId] = set()
    for id in reversed(order):
        node = graph[id]
        last = isinstance(node, Output) and node.state is not None
        if last or (isinstance(node, Merge) and outs[id] and all(edge.dst in found for edge in outs[id])):
            found.add(id)
    return found


def _names(graph: Graph, order: Sequence[NodeId]) -> dict[NodeId, str]:
    """For each merge: the output that it ends in, else the name that is written there."""
    wiring = graph.wiring()
    found: dict[NodeId, str] = {}
    for id in reversed(order):
        node = graph[id]
        values: tuple[Value | None, ...] = ()
        if isinstance(node, Output) and node.state is None:
            name, values = node.name, wiring.operands(id)
        elif isinstance(node, Merge):
            written = node.origin.path.rpartition(".")[2]
            name = found.setdefault(id, written if written.isidentifier() else "value")
            values = wiring.operands(id)[: len(node.arms)] + wiring.operands(id)[2 * len(node.arms) :]
        for value in values:
            if value is not None and isinstance(graph[value.node], Merge):
                found.setdefault(value.node, name)
    return found


def _free(name: str, taken: dict[str, Slot]) -> str:
    place = 2
    free = name
    while free in taken:
        free = f"{name}_{place}"
        place += 1
    return free
