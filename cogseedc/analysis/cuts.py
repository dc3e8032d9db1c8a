"""Where one value alone carries everything from the inputs of a trunk to its outputs, and which of these places
balance the work. Changes nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from cogseedc.analysis.cost import ASSUMED, node_cost
from cogseedc.ir import Graph, NodeId, Ops, Value
from cogseedc.record import record


@record
class Trunk:
    """The part of a graph between values. What depends on no source (weights, knobs) does not count as a path."""

    sources: tuple[Value, ...]
    sinks: tuple[Value, ...]


@record
class Cut:
    """A value that every path of the trunk goes through, and the MACs of the trunk up to it, per sample."""

    value: Value
    macs: int


def cuts(graph: Graph, ops: Ops, trunk: Trunk) -> tuple[list[Cut], int]:
    """All single-value cuts in order, without sources and sinks; and the MACs of the whole trunk.

    One sweep: a value is a cut when, after some node of the trunk in topological order, it alone is alive. Sizes
    that are known at run time only count as `ASSUMED`.
    """
    order = _between(graph, trunk)
    place = {id: i for i, id in enumerate(order)}
    born: dict[int, list[Value]] = {}
    dying: dict[int, list[Value]] = {}
    alive = dict[Value, None]()
    for value in dict.fromkeys([*trunk.sources, *_produced(graph, order)]):
        readers = _readers(graph, trunk, place, value)
        if not readers:
            continue
        dying.setdefault(max(readers), []).append(value)
        if value in trunk.sources:
            alive[value] = None
        else:
            born.setdefault(place[value.node], []).append(value)
    found, spent = dict[Value, int](), 0
    for i, id in enumerate(order):
        spent += _macs(graph, ops, id)
        alive.update(dict.fromkeys(born.get(i, [])))
        for value in dying.get(i, []):
            del alive[value]
        if len(alive) == 1:
            [value] = alive
            found.setdefault(value, spent)
    ignored = {*trunk.sources, *trunk.sinks}
    return [Cut(value, macs) for value, macs in found.items() if value not in ignored], spent


def _between(graph: Graph, trunk: Trunk) -> list[NodeId]:
    """Nodes on a path from a source to a sink, in topological order, without the sources' own nodes."""
    wiring = graph.wiring()
    sources, ahead = set(trunk.sources), set[NodeId]()
    for id in wiring.order:
        if any(e.src in ahead or Value(e.src, e.src_port) in sources for e in wiring.ins[id]):
            ahead.add(id)
    behind = {value.node for value in trunk.sinks}
    for id in reversed(wiring.order):
        if id in behind:
            behind.update(e.src for e in wiring.ins[id] if Value(e.src, e.src_port) not in sources)
    return [id for id in wiring.order if id in ahead and id in behind]


def _produced(graph: Graph, order: Sequence[NodeId]) -> Iterator[Value]:
    outs = graph.wiring().outs
    for id in order:
        for port in sorted({edge.src_port for edge in outs[id]}):
            yield Value(id, port)


def _readers(graph: Graph, trunk: Trunk, place: dict[NodeId, int], value: Value) -> list[int]:
    """Places of the nodes of the trunk that read a value; a sink is read after all."""
    if value in trunk.sinks:
        return [len(place)]
    outs = graph.wiring().outs[value.node]
    return [place[e.dst] for e in outs if e.src_port == value.port and e.dst in place]


def _macs(graph: Graph, ops: Ops, id: NodeId) -> int:
    macs = node_cost(graph, ops, id).macs
    return macs.evaluate(dict.fromkeys(macs.symbols(), ASSUMED))


def place(
    graph: Graph, ops: Ops, trunk: Trunk, count: int, legal: Callable[[Value], bool] | None = None
) -> tuple[Value, ...] | None:
    """`count` cuts that minimise the largest MACs between two consecutive ones (and before the first, after the last).

    Of cuts with equal MACs before them the last is taken. `legal` leaves cuts out. None: too few cuts.
    """
    found, total = cuts(graph, ops, trunk)
    usable = [cut for cut in found if legal is None or legal(cut.value)]
    if len(usable) < count:
        return None
    last = list({cut.macs: cut for cut in usable}.values())
    chosen = last if len(last) >= count else usable
    return tuple(chosen[i].value for i in balanced([cut.macs for cut in chosen], total, count))


def balanced(before: Sequence[int], total: int, count: int) -> tuple[int, ...]:
    """Places i1 < ... < i_count in the ascending `before` that minimise the largest of before[i1], the differences of
    consecutive ones, and total - before[i_count].

    Dynamic programming; the best predecessor is where two monotone curves cross, found by bisection.
    """
    if not count:
        return ()
    best = list(before)
    trail = list[dict[int, int]]()
    for turn in range(1, count):
        row, back = list(best), dict[int, int]()
        for i in range(turn, len(before)):
            back[i] = _crossing(best, before, turn - 1, i)
            row[i] = max(best[back[i]], before[i] - before[back[i]])
        best = row
        trail.append(back)
    at = min(range(count - 1, len(before)), key=lambda i: (max(best[i], total - before[i]), i))
    chosen = [at]
    for back in reversed(trail):
        chosen.append(back[chosen[-1]])
    return tuple(reversed(chosen))


def _crossing(best: Sequence[int], before: Sequence[int], low: int, high: int) -> int:
    """The p in [low, high) with the least max(best[p], before[high] - before[p]): one rises with p, one falls."""
    after = bisect_left(range(low, high), True, key=lambda p: best[p] >= before[high] - before[p]) + low
    near = [p for p in (after - 1, after) if low <= p < high]
    return min(near, key=lambda p: (max(best[p], before[high] - before[p]), p))
