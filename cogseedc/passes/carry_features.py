"""Does not compute again, turn by turn, what is known of a carry that a skipped turn has not changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from cogseedc.analysis.demand import demand
from cogseedc.ir import (
    Call,
    Constant,
    DataEdge,
    Graph,
    Guard,
    Literals,
    Loop,
    Merge,
    MergeMode,
    NodeId,
    Phase,
    Pointwise,
    Value,
    Weight,
    reckoned,
)
from cogseedc.passes.base import Context, Pass
from cogseedc.passes.bodies import Ports, add_carry, ports

SMALLER = 4
"""How many times smaller than its carry a feature must be: then carrying it along costs next to nothing."""


@dataclass(frozen=True)
class CarryFeatures(Pass):
    """What a turn computes of a carry's new value alone becomes a carry of its own, where decisions over the batch say
    in which turns that value is new: of `h2 = when g { cell(x, h) } else { h }`, with `h2` as the next `h`,
    `f(h2)` is `when g { f(cell(x, h)) } else { w }`, with `w` from the turn before and `f` of the first `h` at first.

    For chains of calls that read each row by itself, with weights, constants and values without rows, in loops that all
    rows run to the end; where the result is a quarter of the carry or less, and asked for in every turn. A turn that is
    skipped then computes nothing of it. The same numbers come out.
    """

    name: ClassVar[str] = "carry-features"
    requires: ClassVar[Phase] = Phase.JOINED

    def run(self, graph: Graph, context: Context) -> bool:
        changed = False
        for id, loop in list(graph.loops()):
            if loop.halts or loop.active is not None:
                continue
            for place in range(loop.carries):
                while (feature := _feature(_loop(graph, id), place, context)) is not None:
                    _carry(graph, id, place, feature, context)
                    changed = True
        return changed


@dataclass(frozen=True, slots=True)
class _Feature:
    """A small value, and the calls that make it of a carry's new value, in order."""

    value: Value
    chain: tuple[NodeId, ...]


def _feature(loop: Loop, place: int, context: Context) -> _Feature | None:
    """The last that is computed of what follows a carry, small and always asked for."""
    at, body = ports(loop), loop.body
    source = _kept(body, at, place)
    if source is None:
        return None
    wiring = body.wiring()
    asked = demand(body, context.ops, Literals.of(body))
    known = {id for id in at.captures if body.type(Value(id)).batch is None}
    made: dict[NodeId, None] = {}
    for id in wiring.order:
        if asked[id].always and _of_rows(body, context, id, source, made, known):
            made[id] = None
    limit = reckoned(body.type(source).elements)
    for id in reversed(made):
        outside = any(edge.dst not in made for edge in wiring.outs[id])
        node = body[id]
        assert isinstance(node, Call)
        if outside and SMALLER * reckoned(node.type.elements) <= limit:
            return _Feature(Value(id), tuple(_behind(body, id, made)))
    return None


def _kept(body: Graph, at: Ports, place: int) -> Value | None:
    """What follows a carry, if it is a join that is the carry itself in one arm."""
    carry = Value(at.carries[place])
    value = body.feeds(at.following[place])[0]
    merge = None if value is None else body[value.node]
    if value is None or not isinstance(merge, Merge) or merge.mode is not MergeMode.SELECT or merge.type.batch is None:
        return None
    arms = _arms(body, value.node)
    by_rows = all(axes in ((), (merge.type.batch,)) for axes in merge.axes)
    whole = all(body.type(arm).shape == merge.type.shape for arm in arms.values())
    return value if by_rows and whole and carry in arms.values() else None


def _arms(body: Graph, id: NodeId) -> dict[int, Value]:
    """The values that a join may take, by port."""
    merge, fed = body[id], body.feeds(id)
    assert isinstance(merge, Merge)
    count = len(merge.arms)
    found = [*range(count), *range(2 * count, 2 * count + merge.otherwise)]
    return {port: value for port in found if (value := fed[port]) is not None}


def _of_rows(
    body: Graph, context: Context, id: NodeId, source: Value, made: Mapping[NodeId, None], known: set[NodeId]
) -> bool:
    """Whether a call reads each row of the source, or of what was made of it, by itself, and nothing else with rows."""
    node = body[id]
    if not isinstance(node, Call) or len(node.types) != 1 or context.ops[node.op].training or node.type.batch is None:
        return False
    operands = body.feeds(id)
    types = tuple(None if value is None else body.type(value) for value in operands)
    flows = context.ops[node.op].flow(node.attrs, types, node.types)
    rowed = False
    for value, flow in zip(operands, flows, strict=True):
        if value is None:
            continue
        if value == source or value.node in made:
            rowed, batch = True, body.type(value).batch
            if batch is None or flow[batch] != Pointwise(node.type.batch):
                return False
        elif value.node not in known and not isinstance(body[value.node], (Weight, Constant)):
            return False
    return rowed


def _behind(body: Graph, id: NodeId, made: Mapping[NodeId, None]) -> Iterator[NodeId]:
    """What of `made` a node is computed from, and itself, in order."""
    needed = {id}
    for node in reversed(list(made)):
        if node in needed:
            needed.update(value.node for value in body.feeds(node) if value is not None)
    yield from (node for node in made if node in needed)


def _carry(graph: Graph, id: NodeId, place: int, feature: _Feature, context: Context) -> None:
    loop = _loop(graph, id)
    at, body = ports(loop), loop.body
    source = body.feeds(at.following[place])[0]
    assert source is not None
    merge, carry = body[source.node], Value(at.carries[place])
    assert isinstance(merge, Merge)
    outside = dict(zip(at.inputs, graph.feeds(id), strict=True))
    first = _copied(body, feature.chain, source, outside[at.carries[place]], graph, outside)
    held = add_carry(graph, id, first, feature.value)
    fed = list(body.feeds(source.node))
    for port, value in _arms(body, source.node).items():
        fed[port] = held if value == carry else _copied(body, feature.chain, source, value, body, {})
    node = body[feature.value.node]
    assert isinstance(node, Call)
    assert node.type.batch is not None
    axes = tuple((node.type.batch,) if along else () for along in merge.axes)
    joined = Value(body.add(Merge(merge.mode, merge.arms, merge.otherwise, axes, node.type, node.origin), fed))
    body.redirect(feature.value, joined)  # what follows the new carry is it, too
    for old in reversed(feature.chain):
        if not body.wiring().outs[old]:
            body.remove([old])
    _settle(body, joined, context)


def _loop(graph: Graph, id: NodeId) -> Loop:
    loop = graph[id]
    assert isinstance(loop, Loop)
    return loop


def _copied(
    body: Graph,
    chain: Sequence[NodeId],
    source: Value,
    given: Value | None,
    into: Graph,
    known: Mapping[NodeId, Value | None],
) -> Value:
    """The chain again, of `given` instead of `source`, in the same graph or in the one around it, where `known` says
    what inputs of the body are; its last result."""
    assert given is not None
    place: dict[Value, Value] = {source: given}
    weights = {node.path: id for id, node in into.nodes() if isinstance(node, Weight)}
    result = given
    for id in chain:
        operands: list[Value | None] = []
        for value in body.feeds(id):
            if value is not None and value not in place:
                place[value] = value if into is body else _outside(body, value, into, known, weights)
            operands.append(None if value is None else place[value])
        result = place[Value(id)] = Value(into.add(body[id], operands))
    return result


def _outside(
    body: Graph, value: Value, into: Graph, known: Mapping[NodeId, Value | None], weights: Mapping[str, NodeId]
) -> Value:
    """A weight, a constant or a capture of a body, in the graph around it."""
    found = known.get(value.node)
    if found is not None:
        return found
    node = body[value.node]
    if isinstance(node, Weight) and node.path in weights:
        return Value(weights[node.path])
    return Value(into.add(node))


def _settle(body: Graph, joined: Value, context: Context) -> None:
    """Who reads a join only where one of its arms is chosen reads that arm."""
    literals = Literals.of(body)
    asked = demand(body, context.ops, literals)
    for edge in list(body.wiring().outs[joined.node]):
        arm = _only(body, literals, joined.node, _where(body, literals, asked, edge))
        if arm is not None:
            body.disconnect(edge)
            body.connect(DataEdge(arm.node, arm.port, edge.dst, edge.dst_port))


def _where(body: Graph, literals: Literals, asked: Mapping[NodeId, Guard], edge: DataEdge) -> Guard:
    """For which decisions an operand is read."""
    guard, merge = asked[edge.dst], body[edge.dst]
    if not isinstance(merge, Merge) or merge.mode is not MergeMode.SELECT:
        return guard
    count, fed = len(merge.arms), body.feeds(edge.dst)
    for place, arm in enumerate(merge.arms):
        gate = fed[count + place]
        assert gate is not None
        if merge.axes[place] not in ((), (merge.type.batch,)):
            return guard
        if edge.dst_port == place:
            return literals.and_(guard, literals.taken(gate.node, arm))
        guard = literals.and_(guard, literals.not_taken(gate.node, arm))
    return guard


def _only(body: Graph, literals: Literals, id: NodeId, guard: Guard) -> Value | None:
    """The one arm of a join that can be chosen for some decisions."""
    if guard.never:
        return None
    merge, fed = body[id], body.feeds(id)
    assert isinstance(merge, Merge)
    count = len(merge.arms)
    for place, arm in enumerate(merge.arms):
        gate = fed[count + place]
        assert gate is not None
        if literals.implies(guard, literals.taken(gate.node, arm)):
            return fed[place]
        if not literals.exclusive(guard, literals.taken(gate.node, arm)):
            return None
    return fed[2 * count] if merge.otherwise else None
