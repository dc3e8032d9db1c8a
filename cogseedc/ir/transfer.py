"""How demand passes from a node to its operands: the one place that says which decisions an operand may assume.

The batch axis is followed everywhere. Decisions over further axes, too (tokens, pixels), are followed where an
operation is pointwise along all of them; where it is not, a demand counts as all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from cogseedc.ir.graph import Graph
from cogseedc.ir.guards import TRUE, Guard, Literals
from cogseedc.ir.nodes import Call, Gate, Merge, MergeMode, NodeId, Value
from cogseedc.ir.opspec import Flow, OpSpec, Pointwise, Window
from cogseedc.ir.types import TensorType

Ops = Mapping[str, OpSpec]

Lay = tuple[int, ...]
"""Where the axes of a decision over more than the batch lie in a value: the batch axis first, -1 for an axis that it
lacks. (): the decision is over the batch, or over nothing. WHOLE: all positions are read for each."""
WHOLE: Lay = (-1, -1)

Operands = tuple[Value | None, ...]


def asks(
    graph: Graph, ops: Ops, literals: Literals, node: NodeId, guard: Guard, lay: Lay = ()
) -> Iterator[tuple[Value, Guard, Lay]]:
    """What is demanded of each operand of `node`, where `guard` is demanded of its results.

    `lay` is where the axes of `guard`'s decisions over more than the batch lie in the results. They are passed on to
    operands that have all of these axes, with where these lie there.
    """
    payload = graph[node]
    operands = graph.wiring().operands(node)
    if isinstance(payload, Merge):
        lay = lay or lay_of(literals, payload, operands)
    lays = _lays(graph, ops, payload, operands, lay) if lay else None
    for port, value, part in _along_batch(graph, ops, literals, payload, operands, guard, lay):
        at = lays[port] if lays is not None else ()
        if at and min(at) >= 0 and _movable(graph.type(value), at) and literals.places(part):
            yield value, part, at
        else:
            yield value, literals.project(part, literals.placed), ()


def laid(graph: Graph, ops: Ops, node: NodeId, lay: Lay) -> tuple[Lay, ...] | None:
    """By port of a node: where the axes lie that lie at `lay` in its results.

    None: the node cannot be computed for single positions. An operand without batch axis, which is the same for all
    of them, has (); one that has the batch axis alone has -1 for the others; what is read in full, as the keys of an
    attention are, has WHOLE.
    """
    operands = graph.wiring().operands(node)
    found = _lays(graph, ops, graph[node], operands, lay)
    if found is None:
        return None
    types = [None if value is None else graph.type(value) for value in operands]
    if not all(type is None or _movable(type, at) for type, at in zip(types, found, strict=True)):
        return None
    return tuple(() if t is None or t.batch is None else at for t, at in zip(types, found, strict=True))


def lay_of(literals: Literals, merge: Merge, operands: Operands) -> Lay:
    """Where the axes of the first gate over more than the batch lie that chooses an arm of a join and is followed."""
    count = len(merge.arms)
    for axes, gate in zip(merge.axes, operands[count : 2 * count], strict=True):
        if gate is not None and literals.mask(gate.node) & literals.placed and axes[0] == merge.type.batch:
            return axes
    return ()


def follows(literals: Literals, merge: Merge, arm: int, gate: NodeId, lay: Lay) -> bool:
    """Whether the decision that chooses an arm says where the arm is needed: it is over the batch of the result, over
    nothing, or over the axes that lie in the result as `lay` says."""
    axes = merge.axes[arm]
    return axes in ((), (merge.type.batch,)) or (axes == lay and bool(literals.mask(gate) & literals.placed))


def _movable(type: TensorType, at: Lay) -> bool:
    """Whether the rows can be taken: a value that has one of the axes has the batch axis among them."""
    if at == WHOLE:
        return True
    if type.batch is None:
        return all(own < 0 for own in at)
    return at[0] == type.batch


def _lays(graph: Graph, ops: Ops, payload: object, operands: Operands, lay: Lay) -> list[Lay] | None:
    types = tuple(None if value is None else graph.type(value) for value in operands)
    match payload:
        case Call():
            return _call_lays(ops, payload, types, lay)
        case Merge():
            return [() if t is None else _merge_lay(payload, port, t, lay) for port, t in enumerate(types)]
        case Gate() if lay == tuple(range(len(lay))):
            return [lay for _ in types]
    return None


def _call_lays(ops: Ops, call: Call, inputs: tuple[TensorType | None, ...], lay: Lay) -> list[Lay] | None:
    result = call.type
    if any(t.rank <= max(lay) or t.batch != lay[0] for t in call.types):
        return None
    if any(t.shape[p] != result.shape[p] for t in call.types for p in lay):
        return None
    spec = ops[call.op]
    if spec.queries is not None and lay == (0, 1) and spec.queries(call.attrs):
        return _query_lays(spec, call, inputs, lay)
    found: list[Lay] = []
    driven: set[int] = set()
    for type, flows in zip(inputs, ops[call.op].flow(call.attrs, inputs, call.types), strict=False):
        at = () if type is None else _call_lay(type, flows, lay, result)
        if at is None:
            return None
        found.append(at)
        driven.update(p for p, own in zip(lay, at, strict=False) if own >= 0)
    return found if len(driven) == len(lay) else None


def _query_lays(spec: OpSpec, call: Call, inputs: tuple[TensorType | None, ...], lay: Lay) -> list[Lay] | None:
    """Some queries with all that they are asked of."""
    found: list[Lay] = []
    for type, flows in zip(inputs, spec.flow(call.attrs, inputs, call.types), strict=False):
        to = [flow.to if isinstance(flow, Pointwise) else None for flow in flows]
        if to[:2] == [0, 1]:
            found.append(lay)
        elif 1 in to:
            return None
        else:
            found.append(() if type is None or type.batch is None else WHOLE)
    return found if lay in found else None


def _call_lay(type: TensorType, flows: Sequence[Flow], lay: Lay, result: TensorType) -> Lay | None:
    """Where an operand has the axes. None: it is read at other positions too, or in whole for each of them."""
    flows = [Pointwise(f.to) if isinstance(f, Window) and _single(f) else f for f in flows]
    if any(isinstance(flow, Window) and flow.to in lay for flow in flows):
        return None
    to = {flow.to: i for i, flow in enumerate(flows) if isinstance(flow, Pointwise)}
    at = tuple(to.get(p, -1) for p in lay)
    if any(own != -1 and type.shape[own] != result.shape[p] for p, own in zip(lay, at, strict=True)):
        return None
    whole = any(not isinstance(flow, Pointwise) and type.shape[i].value != 1 for i, flow in enumerate(flows))
    return None if whole and min(at) < 0 <= max(at) else at


def _single(flow: Window) -> bool:
    """Whether a window is the index itself."""
    return flow.size == 1 and flow.stride == 1 and flow.before == 0


def _merge_lay(merge: Merge, port: int, type: TensorType, lay: Lay) -> Lay:
    count = len(merge.arms)
    if port < count or (port == 2 * count and merge.otherwise):
        less = merge.type.rank - type.rank
        return tuple(p - less if p >= less and type.shape[p - less] == merge.type.shape[p] else -1 for p in lay)
    axes = merge.axes[port - count] if port < 2 * count else merge.axes[0]
    return tuple(axes.index(p) if p in axes else -1 for p in lay)


def _along_batch(
    graph: Graph, ops: Ops, literals: Literals, payload: object, operands: Operands, guard: Guard, lay: Lay
) -> Iterator[tuple[int, Value, Guard]]:
    """The demand on each port that is fed, whatever lies along further axes."""
    match payload:
        case Merge():
            yield from _merge(graph, literals, payload, operands, guard, lay)
        case Call():
            yield from _call(graph, ops, literals, payload, operands, guard)
        case _:
            for port, value in enumerate(operands):
                if value is not None:
                    yield port, value, _along(literals, graph.type(value), guard)


def _along(literals: Literals, type: TensorType, guard: Guard) -> Guard:
    """A value without batch axis is needed in whole when any row of its user is."""
    return guard if type.batch is not None else literals.drop(guard, literals.batch)


def _call(
    graph: Graph, ops: Ops, literals: Literals, call: Call, operands: Operands, guard: Guard
) -> Iterator[tuple[int, Value, Guard]]:
    widened = literals.drop(guard, literals.batch)
    if widened is guard:
        yield from ((port, value, guard) for port, value in enumerate(operands) if value is not None)
        return
    types = tuple(None if value is None else graph.type(value) for value in operands)
    flows = ops[call.op].flow(call.attrs, types, call.types)
    for port, (value, type, flow) in enumerate(zip(operands, types, flows, strict=False)):
        if value is None:
            continue
        assert type is not None
        way = None if type.batch is None else flow[type.batch]
        kept = isinstance(way, Pointwise) and all(t.batch == way.to for t in call.types)
        yield port, value, guard if kept else widened


def _merge(
    graph: Graph, literals: Literals, merge: Merge, operands: Operands, guard: Guard, lay: Lay
) -> Iterator[tuple[int, Value, Guard]]:
    count = len(merge.arms)
    ordered = merge.mode is MergeMode.SELECT
    left = guard
    values, gates, rest = operands[:count], operands[count : 2 * count], iter(operands[2 * count :])
    fixed = 2 * count + merge.otherwise + (merge.mode is MergeMode.WEIGHTED_SUM)
    for i, (arm, value, gate, share) in enumerate(zip_longest(merge.arms, values, gates, operands[fixed:])):
        assert value is not None, "the verifier found every port of a join fed"
        assert gate is not None
        here = left if ordered else guard
        yield count + i, gate, _along(literals, graph.type(gate), here)
        if share is not None:
            yield fixed + i, share, _along(literals, graph.type(share), here)
        followed = follows(literals, merge, i, gate.node, lay)
        chosen = literals.taken(gate.node, arm) if followed else TRUE
        yield i, value, _placed(literals, graph.type(value), merge.type, literals.and_(here, chosen))
        if followed:
            left = literals.and_(left, literals.not_taken(gate.node, arm))
    if merge.otherwise:
        otherwise = next(rest)
        assert otherwise is not None
        yield 2 * count, otherwise, _placed(literals, graph.type(otherwise), merge.type, left)
    if merge.mode is MergeMode.WEIGHTED_SUM:
        weights = next(rest)
        assert weights is not None
        yield fixed - 1, weights, _along(literals, graph.type(weights), guard)


def _placed(literals: Literals, value: TensorType, result: TensorType, guard: Guard) -> Guard:
    return guard if value.batch == result.batch else literals.drop(guard, literals.batch)
