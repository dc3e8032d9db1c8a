"""Writes small loops out, turn by turn. Changes no value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from cogseedc.ir import Call, Constant, Graph, Loop, LoopKind, Merge, NodeId, Phase, Value, Weight
from cogseedc.passes.base import Context, Pass
from cogseedc.passes.bodies import ports
from cogseedc.passes.rewrite import call


@dataclass(frozen=True)
class UnrollLoops(Pass):
    """A loop that runs all its turns, whose number is known and small, is replaced by its turns: a runtime then sees
    one plain graph, which it fuses across turns, and starts no loop.

    A body with decisions stays, since they are traced turn by turn; a scan without carries does, since its turns are
    run all at once; and one that is packed.
    """

    name: ClassVar[str] = "unroll-loops"
    requires: ClassVar[Phase] = Phase.JOINED

    most: int = 64
    """Calls that all turns together may have."""

    def run(self, graph: Graph, context: Context) -> bool:
        changed = False
        for id, loop in list(graph.loops()):
            if self._small(loop):
                _unroll(graph, id, loop, context)
                changed = True
        return changed

    def _small(self, loop: Loop) -> bool:
        steps = loop.steps.value
        if steps is None or not steps or loop.halts or loop.active is not None or not loop.carries:
            return False
        work = [node for _, node in loop.body.nodes() if isinstance(node, (Call, Merge))]
        plain = len(work) + sum(1 for _, node in loop.body.nodes() if isinstance(node, (Weight, Constant)))
        ends = len(ports(loop).inputs) + len(loop.types)
        return plain + ends == len(loop.body) and steps * len(work) <= self.most


def _unroll(graph: Graph, id: NodeId, loop: Loop, context: Context) -> None:
    at = ports(loop)
    given = [value for value in graph.feeds(id) if value is not None]
    first, last = loop.carries, loop.carries + len(loop.scanned)
    known = {node.path: i for i, node in graph.of(Weight)}
    place: dict[NodeId, Value] = dict(zip(at.captures, given[last:], strict=True))
    for node, payload in loop.body.nodes():
        if isinstance(payload, (Weight, Constant)):
            found = known.get(payload.path) if isinstance(payload, Weight) else None
            place[node] = Value(graph.add(payload) if found is None else found)
    carries, columns = given[:first], list[list[Value]]([] for _ in range(loop.yields))
    steps = loop.steps.value
    assert steps is not None
    for turn in range(steps):
        here = {**place, **dict(zip(at.carries, carries, strict=True))}
        for node, sequence, axis in zip(at.elements, given[first:last], loop.scanned, strict=True):
            here[node] = call(graph, context, "select", (sequence,), loop.origin, axis=axis, index=turn)
        _turn(graph, loop.body, here)
        carries = [_result(loop.body, node, here) for node in at.following]
        for column, node in zip(columns, at.yields, strict=True):
            column.append(_result(loop.body, node, here))
    results = [column[-1] for column in columns]
    if loop.kind is LoopKind.SCAN:
        pairs = zip(columns, loop.stacked, strict=True)
        results = [call(graph, context, "stack", column, loop.origin, axis=axis) for column, axis in pairs]
    for port, value in enumerate([*results, *carries]):
        graph.redirect(Value(id, port), value)
    graph.remove([id])


def _turn(graph: Graph, body: Graph, here: dict[NodeId, Value]) -> None:
    """Adds one turn; says in `here` what stands for each node of the body."""
    for node in body.wiring().order:
        payload = body[node]
        if isinstance(payload, (Call, Merge)):
            operands = [None if v is None else _port(here, v) for v in body.feeds(node)]
            here[node] = Value(graph.add(payload, operands))


def _result(body: Graph, output: NodeId, here: Mapping[NodeId, Value]) -> Value:
    value = body.feeds(output)[0]
    assert value is not None, "the verifier found every output fed"
    return _port(here, value)


def _port(here: Mapping[NodeId, Value], value: Value) -> Value:
    found = here[value.node]
    return Value(found.node, value.port) if value.port else found
