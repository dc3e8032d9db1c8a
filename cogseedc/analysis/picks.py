"""How many arms are selected together: those of a k-of-n gate, or of gates that each take one index of an axis whose
elements are counted, as `use[L=i]` does of `in_top[k, over=L]`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import ceil, floor

from cogseedc.analysis.paths import Picks
from cogseedc.analysis.shares import Counted
from cogseedc.ir import Call, Gate, GateKind, Graph, Literals, NodeId, Size, Value, decider


def picks(
    graph: Graph, literals: Literals, known: Mapping[Value, Counted], number: Callable[[Size], int]
) -> tuple[Picks, ...]:
    """Of the gates in `literals`."""
    many = (_many(graph, literals, id, gate) for id, gate in literals.gates.items() if gate.kind is GateKind.MANY)
    return (*(found for found in many if found is not None), *_shared(graph, literals, known, number))


def _many(graph: Graph, literals: Literals, id: NodeId, gate: Gate) -> Picks | None:
    """k when the mask comes straight from `top_mask`, else at most k. A projection may select any."""
    if decider(id) != id:
        return None
    mask, indices, *_ = graph.wiring().operands(id)
    assert mask is not None, "the verifier found both ports fed"
    assert indices is not None, "the verifier found both ports fed"
    most = graph.type(indices).axes[-1].size.value
    maker = graph[mask.node]
    most = gate.arms if most is None else most
    straight = isinstance(maker, Call) and maker.op == "top_mask"
    first = [literals.first[id] + 2 * arm for arm in range(gate.arms)]
    return Picks(most if straight else 0, most, tuple(2 << bit for bit in first), tuple(1 << bit for bit in first))


def _shared(
    graph: Graph, literals: Literals, known: Mapping[Value, Counted], number: Callable[[Size], int]
) -> Iterator[Picks]:
    of: dict[tuple[Value, int], dict[int, NodeId]] = {}
    for id, gate in literals.gates.items():
        taken = _taken(graph, id) if gate.kind is GateKind.BOOL else None
        if taken is not None and taken[0] in known:
            value, axis, index = taken
            of.setdefault((value, axis), {}).setdefault(index, id)
    for (value, axis), gates in of.items():
        size = number(graph.type(value).shape[axis])
        low, high = known[value].along(frozenset((axis,)))
        least, most = max(0, ceil(low * size) - (size - len(gates))), min(len(gates), floor(high * size))
        if least or most < len(gates):
            first = [literals.first[id] for id in gates.values()]
            yield Picks(least, most, tuple(1 << bit for bit in first), tuple(2 << bit for bit in first))


def _taken(graph: Graph, id: NodeId) -> tuple[Value, int, int] | None:
    """The value, the axis and the index that a gate takes its decision from."""
    operand = graph.wiring().operand(id, 0)
    node = None if operand is None else graph[operand.node]
    if operand is None or not isinstance(node, Call) or node.op != "select":
        return None
    source = graph.wiring().operand(operand.node, 0)
    return None if source is None else (source, node.attrs.integer("axis"), node.attrs.integer("index"))
