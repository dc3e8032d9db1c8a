"""Moves out of loops what does not depend on their carries. Changes no value and no decision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from cogseedc.analysis.demand import demand
from cogseedc.ir import (
    Axis,
    Call,
    Constant,
    Gate,
    Graph,
    Input,
    Literals,
    Loop,
    LoopKind,
    Merge,
    NodeId,
    Output,
    Phase,
    Value,
    Weight,
)
from cogseedc.passes.base import Context, Pass
from cogseedc.passes.bodies import free_name, ports, renew
from cogseedc.passes.rewrite import feed


@dataclass(frozen=True)
class HoistLoops(Pass):
    """What a body computes of captures alone is computed once, before the loop. What a `scan` that runs all its turns
    computes of the elements (and captures without rows) becomes a scan of its own, without carries: its turns do not
    wait for each other, so a plan may run all of them at once.

    Stays where it is: what only some decisions ask for, unless those decisions move too; a decision that the rest of
    the body asks; a single move of data; everything, if the loop is left early (a later turn may never come).
    """

    name: ClassVar[str] = "hoist-loops"
    requires: ClassVar[Phase] = Phase.JOINED

    def run(self, graph: Graph, context: Context) -> bool:
        changed = False
        for id, loop in list(graph.loops()):
            if loop.active is not None:
                continue
            changed |= _hoist_invariant(graph, id, loop, context)
            again = graph[id]
            assert isinstance(again, Loop)
            changed |= _hoist_elements(graph, id, again, context)
        return changed


_SOURCES = (Weight, Constant)
_MOVES = frozenset(
    {"identity", "cast", "select", "slice", "squeeze", "unsqueeze", "permute", "reshape", "flatten", "expand"}
)
"""Operations that are no work: they alone are not worth a scan of their own."""


def _hoist_invariant(graph: Graph, id: NodeId, loop: Loop, context: Context) -> bool:
    """Calls of captures, weights and constants alone, which every turn needs: computed before the loop."""
    at, body = ports(loop), loop.body
    moved = [node for node in _moved(body, set(at.captures), context) if isinstance(body[node], Call)]
    moved = _closed(body, moved, set(at.captures))
    if not moved:
        return False
    given = graph.feeds(id)
    outside = {node: value for node, value in zip(at.inputs, given, strict=True) if value is not None}
    leaving = _read_outside(body, moved)
    known = {node.path: other for other, node in graph.of(Weight)}
    for node in moved:
        operands: list[Value | None] = []
        for value in body.feeds(node):
            if value is not None and value.node not in outside:
                source = body[value.node]
                there = known.get(source.path) if isinstance(source, Weight) else None  # of a shared seed
                outside[value.node] = Value(graph.add(source) if there is None else there)
            operands.append(None if value is None else _port(outside[value.node], value))
        outside[node] = Value(graph.add(body[node], operands))
    kept = [v for v in given if v is not None]
    for value in leaving:
        name = free_name(body, "kept")
        body.redirect(value, Value(body.add(Input(name, body.type(value)))))
        kept.append(_port(outside[value.node], value))
    body.remove(moved)
    feed(graph, id, kept)
    return True


def _port(made: Value, value: Value) -> Value:
    """The same output of the node that stands outside; of an operand of the loop, that operand."""
    return Value(made.node, value.port) if value.port else made


def _hoist_elements(graph: Graph, id: NodeId, loop: Loop, context: Context) -> bool:
    """What a turn computes of its elements: a scan of its own, whose yields the loop scans."""
    if loop.kind is not LoopKind.SCAN or loop.halts or not loop.carries:
        return False
    at, body = ports(loop), loop.body
    rowless = {node for node in at.captures if body.type(Value(node)).batch is None}
    rowed = {node for node in at.elements if body.type(Value(node)).batch is not None}
    moved = _of_elements(body, _moved(body, rowless | rowed, context), rowed)
    leaving = _read_outside(body, moved)
    if not any(isinstance(n := body[node], Call) and n.op not in _MOVES for node in moved):
        return False
    if any(body.type(value).batch is None for value in leaving):
        return False
    own, place = _copied(body, moved, [*at.elements, *at.captures])
    used = [node for node in (*at.elements, *at.captures) if node in place]
    operand = dict(zip(at.inputs, graph.feeds(id), strict=True))
    for number, value in enumerate(leaving):
        own.add(Output(f"result_{number}", body.type(value)), (Value(place[value.node], value.port),))
    scanned = tuple(loop.scanned[at.elements.index(node)] for node in used if node in at.elements)
    stacked = tuple(min(scanned[0], body.type(value).rank) for value in leaving)
    along = Axis(None, loop.steps)
    pairs = [(body.type(value).axes, where) for value, where in zip(leaving, stacked, strict=True)]
    types = tuple(
        body.type(value).with_axes((*axes[:where], along, *axes[where:]))
        for value, (axes, where) in zip(leaving, pairs, strict=True)
    )
    ahead = Loop(
        f"{loop.name}.ahead",
        LoopKind.SCAN,
        loop.steps,
        own,
        0,
        scanned,
        stacked,
        False,
        ((),) * len(leaving),
        types,
        origin=loop.origin,
    )
    made = graph.add(ahead, [operand[node] for node in used])
    sequences = [(value, Value(made, port), stacked[port]) for port, value in enumerate(leaving)]
    add_elements(graph, id, loop, sequences)
    body.remove(moved)
    return True


def add_elements(graph: Graph, id: NodeId, loop: Loop, added: Sequence[tuple[Value, Value, int]]) -> None:
    """Gives a loop further sequences: (value of the body that they stand for, sequence, position of the scanned axis).

    Elements come before captures, by id, so the captures' inputs are made anew.
    """
    at, body = ports(loop), loop.body
    given = graph.feeds(id)
    first = loop.carries + len(loop.scanned)
    for value, _, _ in added:
        body.redirect(value, Value(body.add(Input(free_name(body, "ahead"), body.type(value)))))
    renew(body, at.captures)
    operands = [*given[:first], *(sequence for _, sequence, _ in added), *given[first:]]
    feed(graph, id, [value for value in operands if value is not None])
    graph.update(id, replace(loop, scanned=(*loop.scanned, *(place for _, _, place in added))))


def _moved(body: Graph, roots: set[NodeId], context: Context) -> list[NodeId]:
    """What depends on `roots`, weights and constants alone, is asked for by decisions that move too, and, if it is a
    decision, is asked by nothing that stays. In order."""
    wiring = body.wiring()
    literals = Literals.of(body)
    asked = demand(body, context.ops, literals)
    found = set(_closed(body, wiring.order, roots))
    while True:
        stays: set[NodeId] = set()
        for node in found:
            spoken = [gate for term in asked[node].terms for gate in literals.owners_of(term)]
            read = isinstance(body[node], Gate) and any(edge.dst not in found for edge in wiring.outs[node])
            if read or asked[node].never or any(gate not in found for gate in spoken):
                stays.add(node)
        if not stays:
            return [node for node in wiring.order if node in found]
        found = set(_closed(body, [node for node in wiring.order if node in found - stays], roots))


def _closed(body: Graph, nodes: Iterable[NodeId], roots: set[NodeId]) -> list[NodeId]:
    """Those of some nodes, in order, whose operands are roots, weights, constants, or among them; one at least is no
    weight or constant."""
    wiring = body.wiring()
    found: dict[NodeId, None] = {}
    for node in nodes:
        if not isinstance(body[node], (Call, Gate, Merge)):
            continue
        sources = [edge.src for edge in wiring.ins[node]]
        known = all(s in found or s in roots or isinstance(body[s], _SOURCES) for s in sources)
        if known and not all(isinstance(body[s], _SOURCES) for s in sources):
            found[node] = None
    return list(found)


def _of_elements(body: Graph, nodes: Sequence[NodeId], elements: set[NodeId]) -> list[NodeId]:
    """Those whose rows come from an element."""
    wiring = body.wiring()
    found: dict[NodeId, None] = {}
    for node in nodes:
        if any(edge.src in found or edge.src in elements for edge in wiring.ins[node]):
            found[node] = None
    return list(found)


def _read_outside(body: Graph, moved: Sequence[NodeId]) -> list[Value]:
    """Values of moved nodes that others read."""
    inside = set(moved)
    outs = body.wiring().outs
    found = [Value(node, edge.src_port) for node in moved for edge in outs[node] if edge.dst not in inside]
    return list(dict.fromkeys(found))


def _copied(body: Graph, moved: Sequence[NodeId], inputs: Sequence[NodeId]) -> tuple[Graph, dict[NodeId, NodeId]]:
    """A graph of the moved nodes, with the inputs that they read (in this order) and sources of its own."""
    own, place = Graph(), dict[NodeId, NodeId]()
    ins = body.wiring().ins
    read = {edge.src for node in moved for edge in ins[node]}
    for node in [*(i for i in inputs if i in read), *sorted(n for n in read if isinstance(body[n], _SOURCES))]:
        place[node] = own.add(body[node])
    for node in moved:
        operands = [None if v is None else Value(place[v.node], v.port) for v in body.feeds(node)]
        place[node] = own.add(body[node], operands)
    return own, place
