"""Lets a scan run only the turns that its rows take part in. Changes no value and no decision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from cogseedc.ir import (
    BATCH_SIZE,
    Axis,
    Dtype,
    Gate,
    GateKind,
    Graph,
    Input,
    Loop,
    LoopKind,
    Merge,
    MergeMode,
    NodeId,
    Output,
    Phase,
    TensorType,
    Value,
)
from cogseedc.passes.base import Context, Pass
from cogseedc.passes.bodies import ports
from cogseedc.passes.rewrite import feed


@dataclass(frozen=True)
class PackScans(Pass):
    """A scan is packed whose rows, by a yes-or-no decision over the batch that is there before the first turn (an
    element: see `hoist-loops`), hold every carry or take the turn, and whose yields are what its carries have become.
    Its body becomes the turn that is taken, without the decision, which moves to the scan that computes it ahead.

    A body with further decisions stays as it is.
    """

    name: ClassVar[str] = "pack-scans"
    requires: ClassVar[Phase] = Phase.JOINED

    def run(self, graph: Graph, context: Context) -> bool:
        changed = False
        for id, loop in list(graph.loops()):
            gate = _decider(loop)
            echoes = None if gate is None else _echoes(loop, gate)
            if gate is not None and echoes is not None:
                _pack(graph, id, loop, gate, echoes)
                changed = True
        return changed


def _decider(loop: Loop) -> NodeId | None:
    """The only gate of a body, if it is an element that the loop is given."""
    if loop.halts or loop.active is not None:
        return None
    gates = [(id, node) for id, node in loop.body.of(Gate)]
    if len(gates) != 1 or any(True for _ in loop.body.loops()):
        return None
    id, gate = gates[0]
    decided = loop.body.feeds(id)[0]
    over_rows = gate.kind is GateKind.BOOL and gate.type.rank == 1 and gate.type.axes[0].size == BATCH_SIZE
    return id if over_rows and decided is not None and decided.node in ports(loop).elements else None


def _echoes(loop: Loop, gate: NodeId) -> tuple[int, ...] | None:
    """For each yield the carry that it is; None where the loop does something at turns that are not taken."""
    at, body = ports(loop), loop.body
    following = [body.feeds(node)[0] for node in at.following]
    if any(body.type(Value(node)).batch is None for node in (*at.carries, *at.elements)):
        return None
    for carry, value in zip(at.carries, following, strict=True):
        arms = _arms(body, gate, value)
        if value != Value(carry) and (arms is None or arms[1] != Value(carry)):
            return None
    yields = [body.feeds(node)[0] for node in at.yields]
    if any(value not in following for value in yields):
        return None
    if any(_arms(body, gate, Value(edge.dst)) is None for edge in body.wiring().outs[gate]):
        return None
    return tuple(following.index(value) for value in yields)


def _arms(body: Graph, gate: NodeId, value: Value | None) -> tuple[Value | None, Value | None] | None:
    """What a select by the gate alone gives where it is taken, and where it is not."""
    node = None if value is None else body[value.node]
    if value is None or not isinstance(node, Merge) or node.mode is not MergeMode.SELECT:
        return None
    operands, count = body.feeds(value.node), len(node.arms)
    if any(chooser != Value(gate) for chooser in operands[count : 2 * count]):
        return None
    given = dict(zip(reversed(node.arms), reversed(operands[:count]), strict=True))
    rest = operands[2 * count] if node.otherwise else None
    return given.get(1, rest), given.get(0, rest)


def _pack(graph: Graph, id: NodeId, loop: Loop, gate: NodeId, echoes: tuple[int, ...]) -> None:
    at, body = ports(loop), loop.body
    decided, payload = body.feeds(gate)[0], body[gate]
    assert decided is not None
    assert isinstance(payload, Gate)
    place = at.elements.index(decided.node)
    given = [value for value in graph.feeds(id) if value is not None]
    for join in sorted({edge.dst for edge in body.wiring().outs[gate]}):
        arms = _arms(body, gate, Value(join))
        assert arms is not None
        assert arms[0] is not None
        body.redirect(Value(join), arms[0])
        body.remove([join])
    body.remove([gate, *at.yields, decided.node])
    mask = given.pop(loop.carries + place)
    active = _decided_ahead(graph, loop, payload, mask, loop.scanned[place])
    rows = tuple((batch,) for carry in at.carries if (batch := body.type(Value(carry)).batch) is not None)
    packed = replace(
        loop,
        scanned=tuple(axis for i, axis in enumerate(loop.scanned) if i != place),
        held=(*rows, *(rows[i] for i in echoes)),
        active=1 - (graph.type(active).batch or 0),
        echoes=echoes,
    )
    graph.update(id, packed)
    feed(graph, id, [*given, active])


def _decided_ahead(graph: Graph, loop: Loop, gate: Gate, mask: Value, axis: int) -> Value:
    """The decisions of all turns: the gate stands in the scan that computes them, or in one of its own."""
    source = graph[mask.node]
    if isinstance(source, Loop) and source.kind is LoopKind.SCAN and not source.carries and not source.halts:
        inner = source.body
        output = ports(source).yields[mask.port]
        value = inner.feeds(output)[0]
        assert value is not None
        made = inner.add(replace(gate, type=inner.type(value)), (value,))
        feed(inner, output, (Value(made),))
        return mask
    inner = Graph()
    element = Value(inner.add(Input("decided", gate.type)))
    inner.add(Output("result_0", gate.type), (Value(inner.add(gate, (element,))),))
    type = TensorType(Dtype.BOOL, (gate.type.axes[0], Axis(None, loop.steps)))
    name, kind = f"{loop.name}.decided", LoopKind.SCAN
    ahead = Loop(name, kind, loop.steps, inner, 0, (axis,), (1,), False, ((),), (type,), origin=loop.origin)
    return Value(graph.add(ahead, [mask]))
