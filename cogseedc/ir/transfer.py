"""How demand passes from a node to its operands: the one place that says which decisions an operand may assume.

Only the batch axis is followed; a demand along any other axis counts as all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cogseedc.ir.graph import Graph
from cogseedc.ir.guards import TRUE, Guard, Literals
from cogseedc.ir.nodes import Call, Merge, MergeMode, NodeId, Value
from cogseedc.ir.opspec import OpSpec, Pointwise
from cogseedc.ir.types import TensorType

Ops = Mapping[str, OpSpec]

Demanded = tuple[Value, Guard]


def asks(graph: Graph, ops: Ops, literals: Literals, node: NodeId, guard: Guard) -> Iterator[Demanded]:
    """What is demanded of each operand of `node`, where `guard` is demanded of its results."""
    payload = graph[node]
    operands = graph.wiring().operands(node)
    match payload:
        case Merge():
            yield from _merge(graph, literals, payload, operands, guard)
        case Call():
            yield from _call(graph, ops, literals, payload, operands, guard)
        case _:
            for value in operands:
                if value is not None:
                    yield value, _along(literals, graph.type(value), guard)


def _along(literals: Literals, type: TensorType, guard: Guard) -> Guard:
    """A value without batch axis is needed in whole when any row of its user is."""
    return guard if type.batch is not None else literals.drop(guard, literals.batch)


def _call(
    graph: Graph, ops: Ops, literals: Literals, call: Call, operands: tuple[Value | None, ...], guard: Guard
) -> Iterator[Demanded]:
    widened = literals.drop(guard, literals.batch)
    if widened is guard:
        yield from ((value, guard) for value in operands if value is not None)
        return
    types = tuple(None if value is None else graph.type(value) for value in operands)
    flows = ops[call.op].flow(call.attrs, types, call.types)
    for value, type, flow in zip(operands, types, flows, strict=False):
        if value is None or type is None:
            continue
        way = None if type.batch is None else flow[type.batch]
        kept = isinstance(way, Pointwise) and all(t.batch == way.to for t in call.types)
        yield value, guard if kept else widened


def _merge(
    graph: Graph, literals: Literals, merge: Merge, operands: tuple[Value | None, ...], guard: Guard
) -> Iterator[Demanded]:
    count = len(merge.arms)
    ordered = merge.mode is MergeMode.SELECT
    left = guard
    for i, arm in enumerate(merge.arms):
        value, gate = operands[i], operands[count + i]
        if value is None or gate is None:
            continue
        here = left if ordered else guard
        yield gate, _along(literals, graph.type(gate), here)
        follows = merge.axes[i] in ((), (merge.type.batch,))
        chosen = literals.taken(gate.node, arm) if follows else TRUE
        yield value, _placed(literals, graph.type(value), merge.type, literals.and_(here, chosen))
        if follows:
            left = literals.and_(left, literals.not_taken(gate.node, arm))
    rest = operands[2 * count :]
    if merge.otherwise and rest and rest[0] is not None:
        yield rest[0], _placed(literals, graph.type(rest[0]), merge.type, left)
    for weights in rest[merge.otherwise :]:
        if weights is not None:
            yield weights, _along(literals, graph.type(weights), guard)


def _placed(literals: Literals, value: TensorType, result: TensorType, guard: Guard) -> Guard:
    return guard if value.batch == result.batch else literals.drop(guard, literals.batch)
