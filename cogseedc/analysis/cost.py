"""What a program costs per sample: MACs, parameters, bytes; over all paths, per exit and per arm. Times nothing.

A loop costs its turns times a path through its body: the least path and the fewest turns, or the worst and all turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, reduce
from operator import and_ as intersect
from typing import Literal

from cogseedc.analysis.asked import Asked, demands
from cogseedc.analysis.counting import Rule, catalogue
from cogseedc.analysis.extremes import Extremes, Range, Spent, summed
from cogseedc.analysis.paths import Extreme, Picks
from cogseedc.analysis.picks import picks
from cogseedc.analysis.shares import Share, counted, shares
from cogseedc.ir import (
    BATCH,
    Call,
    Gate,
    Graph,
    Guard,
    Input,
    Literals,
    Loop,
    NodeId,
    Ops,
    Size,
    TensorType,
    Value,
    Weight,
    decider,
    guardable,
)
from cogseedc.record import record

ASSUMED = 32
"""Stands for the size of an axis that is known at run time only."""


@record
class NodeCost:
    """Cost of one node for one sample (N = 1); symbols of other dynamic axes stay."""

    macs: Size
    """Multiply-accumulates."""
    bytes: Size
    """What it writes; of a weight: what it holds."""


@record
class ExitCost:
    """What a sample has spent when it leaves at an exit; `path` is None for the end."""

    path: str | None
    macs: Range
    params: int
    """Trainable numbers of the weights that some way to it reads."""


@record
class ArmCost:
    """MACs of what runs only when a gate takes an arm; of a gate in a loop, when it does in every turn."""

    gate: str
    arm: int
    macs: int


@record
class LoopCost:
    """A loop: the costs of one turn, and how many there are."""

    name: str
    guard: Guard
    """When it is run."""
    fewest: int
    most: int
    until: Gate | None
    """The gate that decides which indices stop, where it is one."""
    halts: bool
    body: Costs
    """Of one turn; without weights, which are the program's."""
    bound: bool
    """Whether a gate that work hangs on decides alike in all turns, or decides how many there are."""

    def times(self, extreme: Extreme, turns: int) -> Extreme:
        """So many turns, each as one that costs `extreme`."""
        return Extreme(turns * extreme.value, extreme.exact and not (self.bound and turns > 1))


@dataclass(frozen=True)
class Costs:
    """The costs of one program, or of a turn of a loop, from its guards."""

    nodes: dict[NodeId, NodeCost]
    assumed: tuple[str, ...]
    """Symbols whose size was not given: `ASSUMED` stands for them in all numbers."""
    macs: Range
    bytes: Range
    """What the nodes of a path write, plus all weights."""
    params: int
    weight_bytes: int
    exits: tuple[ExitCost, ...]
    """In order of the program; the last is the end. Empty without exits."""
    arms: tuple[ArmCost, ...]
    literals: Literals
    guards: dict[NodeId, Guard]
    """At which samples, and positions in them, each node is needed."""
    picks: tuple[Picks, ...]
    """Which arms are selected together, and how many of them."""
    shares: dict[NodeId, tuple[Share, ...]]
    """Of the arms of all gates."""
    work: dict[Asked, int]
    """MACs by what asks for them, without those of loops."""
    loops: tuple[LoopCost, ...] = ()

    @cached_property
    def gates(self) -> dict[str, Gate]:
        """The gates that work hangs on, those in loops and those that end loops included, by name."""
        found = {gate.name: gate for gate in self.literals.gates.values()}  # a projection comes before its gate
        for loop in self.loops:
            found |= loop.body.gates
            if loop.until is not None:
                found[loop.until.name] = loop.until
        return found

    @cached_property
    def even(self) -> dict[str, tuple[Share, ...]]:
        """Of the gates that work hangs on, the shares of the arms, by name."""
        found = {
            self.literals.gates[id].name: shares for id, shares in self.shares.items() if id in self.literals.gates
        }
        for loop in self.loops:
            found |= loop.body.even
        return found


def node_cost(graph: Graph, ops: Ops, id: NodeId, rule: Rule = catalogue) -> NodeCost:
    """The cost of one node; its MACs by a counting rule. Of a loop: of all its turns, without the weights."""
    node = graph[id]
    match node:
        case Call(op=op, types=types):
            inputs = tuple(None if v is None else graph.type(v) for v in graph.wiring().operands(id))
            return NodeCost(_of_one(rule(ops[op], node, inputs)), _written(types))
        case Weight(type=type):
            return NodeCost(_NONE, _bytes(type))
        case Loop(body=body, types=types):
            inner = [node_cost(body, ops, i, rule) for i, n in body.nodes() if not isinstance(n, Weight)]
            macs, written = sum((c.macs for c in inner), _NONE), sum((c.bytes for c in inner), _NONE)
            turns = _of_one(node.steps)
            return NodeCost(macs * turns, written * turns + _written(types))
    return _FREE


_NONE = Size.of(0)
_FREE = NodeCost(_NONE, _NONE)
_ONE = {BATCH: Size.of(1)}


@lru_cache(maxsize=4096)
def _of_one(size: Size) -> Size:
    """A size for one sample."""
    return size.substitute(_ONE)


def _written(types: tuple[TensorType, ...]) -> Size:
    """Bytes of the results of a node."""
    return sum(map(_bytes, types[1:]), _bytes(types[0]))


def _bytes(type: TensorType) -> Size:
    """Bytes of a value for one sample."""
    return _stored(type.elements, type.dtype.bits)


@lru_cache(maxsize=4096)
def _stored(elements: Size, bits: int) -> Size:
    return _of_one((elements * bits).divided(8))


def costs(graph: Graph, ops: Ops, sizes: Mapping[str, int] | None = None) -> Costs:
    """All costs of a graph; its control edges say what is skipped, so without them everything runs on every path."""
    each = [{id: node_cost(inner, ops, id) for id, _ in inner.nodes()} for inner, _ in graph.nested()]
    steps = [NodeCost(loop.steps, loop.steps) for inner, _ in graph.nested() for _, loop in inner.loops()]
    number, assumed = numbers([*(cost for nodes in each for cost in nodes.values()), *steps], sizes or {})
    turn = _turn(graph, ops, iter(each), number)
    trainable = {path: number(node.type.elements) for path, node in graph.weights().items() if node.trainable}
    weight_bytes = sum(number(_bytes(node.type)) for node in graph.weights().values())
    read = _read(graph, turn.guards, turn.literals, trainable)
    return replace(
        turn,
        assumed=assumed,
        bytes=Range(*(Extreme(e.value + weight_bytes, e.exact) for e in (turn.bytes.least, turn.bytes.worst))),
        params=sum(trainable.values()),
        weight_bytes=weight_bytes,
        exits=_exits(turn.literals, turn.guards, _extremes(turn, "macs", turn.work), read),
    )


def _turn(graph: Graph, ops: Ops, each: Iterator[dict[NodeId, NodeCost]], number: Callable[[Size], int]) -> Costs:
    """The costs of a graph without its weights: of the program, or of one turn of a loop. `each` gives the costs of its
    nodes, then those of the bodies of its loops."""
    asking = demands(graph, ops)
    literals, found = asking.literals, asking.guards
    nodes = next(each)
    macs, written = dict[Asked, int](), dict[Guard, int]()
    loops = list[LoopCost]()
    for id, cost in nodes.items():
        node, guard = graph[id], found[id]
        if isinstance(node, Weight):
            continue
        if isinstance(node, Loop):
            loops.append(_loop(node, guard, ops, each, number))
            cost = NodeCost(_NONE, _written(node.types))
        for asked, share in asking.parts(id):
            macs[asked] = macs.get(asked, 0) + int(number(cost.macs) * share)
        written[guard] = written.get(guard, 0) + number(cost.bytes)
    nothing = Range(Extreme(0), Extreme(0))
    known = counted(graph, ops, number)
    gates = picks(graph, literals, known, number), shares(graph, known)
    turn = Costs(nodes, (), nothing, nothing, 0, 0, (), (), literals, found, *gates, macs, tuple(loops))
    joint = ((literals.and_(asked.when, asked.read), weight) for asked, weight in macs.items())
    turns = ((loop.guard, loop.most * loop.body.macs.worst.value) for loop in loops)
    return replace(
        turn,
        macs=_extremes(turn, "macs", macs).range(),
        bytes=_extremes(turn, "bytes", {Asked(guard): count for guard, count in written.items()}).range(),
        arms=(*_arms(literals, summed((*joint, *turns))), *_inner(loops)),
    )


def _extremes(costs: Costs, what: Literal["macs", "bytes"], weights: Mapping[Asked, int]) -> Extremes:
    """Over all paths, of what is asked for and what loops spend."""
    spent = [*_spent(weights, costs.loops, what)]
    return Extremes.of(costs.literals, costs.picks, costs.shares, spent)


def _spent(weights: Mapping[Asked, int], loops: Sequence[LoopCost], what: Literal["macs", "bytes"]) -> Iterator[Spent]:
    yield from (Spent(asked, Extreme(weight), Extreme(weight)) for asked, weight in weights.items())
    for loop in loops:
        each = loop.body.macs if what == "macs" else loop.body.bytes
        yield Spent(Asked(loop.guard), loop.times(each.least, loop.fewest), loop.times(each.worst, loop.most))


def _loop(
    loop: Loop, guard: Guard, ops: Ops, each: Iterator[dict[NodeId, NodeCost]], number: Callable[[Size], int]
) -> LoopCost:
    body, turn, most = loop.body, _turn(loop.body, ops, each, number), number(loop.steps)
    wiring, until = body.wiring(), loop.until
    inputs = [id for id, node in body.of(Input)]
    captured = {Value(id) for id in inputs[loop.carries + len(loop.scanned) :]}
    levels = {guard for asked in turn.work for guard in (asked.when, asked.read)}
    deciding = {decider(id) for level in levels for term in level.terms for id in turn.literals.owners_of(term)}
    bound = any(wiring.operand(id, 0) in captured or turn.literals.gates[id] == until for id in deciding)
    return LoopCost(loop.name, guard, min(most, 1) if loop.halts else most, most, until, loop.halts, turn, bound)


def _inner(loops: Iterable[LoopCost]) -> Iterator[ArmCost]:
    for loop in loops:
        yield from (ArmCost(arm.gate, arm.arm, loop.most * arm.macs) for arm in loop.body.arms)


def numbers(costs: Iterable[NodeCost], sizes: Mapping[str, int]) -> tuple[Callable[[Size], int], tuple[str, ...]]:
    """How sizes become numbers, `ASSUMED` for the symbols that `sizes` does not know; and those symbols."""
    every = {size for cost in costs for size in (cost.macs, cost.bytes)}
    unknown = sorted({symbol for size in every for symbol in size.symbols()} - set(sizes))
    known = {**dict.fromkeys(unknown, ASSUMED), **sizes}
    return lru_cache(maxsize=4096)(lambda size: size.evaluate(known)), tuple(unknown)


def _read(
    graph: Graph, found: Mapping[NodeId, Guard], literals: Literals, trainable: Mapping[str, int]
) -> dict[Guard, int]:
    """Trainable numbers by when something reads them, maybe the body of a loop."""
    outs = graph.wiring().outs
    readers: dict[str, list[Guard]] = {path: [] for path in trainable}
    for id, node in graph.of(Weight):
        if node.path in readers:
            readers[node.path] += [found[edge.dst] for edge in outs[id]]
    for id, loop in graph.loops():
        for path in loop.body.weights().keys() & readers.keys():
            readers[path].append(found[id])
    return summed((literals.union(when), trainable[path]) for path, when in readers.items())


def _exits(
    literals: Literals, found: Mapping[NodeId, Guard], bounds: Extremes, params: Mapping[Guard, int]
) -> tuple[ExitCost, ...]:
    def cost(path: str | None, leaves: Guard) -> ExitCost:
        read = sum(count for when, count in params.items() if not literals.exclusive(when, leaves))
        return ExitCost(path, bounds.range(leaves.terms), read)

    result, stays = list[ExitCost](), 0
    for id, gate in literals.gates.items():
        if gate.exit is None or not guardable(gate):
            continue
        stays |= literals.not_taken(id, 1).terms[0]
        leaves = literals.and_(found[id], literals.taken(id, 1))
        if not leaves.never:
            result.append(cost(gate.exit, leaves))
    return (*result, cost(None, Guard((stays,)))) if result else ()


def _arms(literals: Literals, macs: Mapping[Guard, int]) -> tuple[ArmCost, ...]:
    """A guard hangs on an arm when each of its terms excludes all other decisions of the gate."""
    own: dict[tuple[NodeId, int], int] = {}
    for guard, weight in macs.items():
        terms = literals.alike(guard).terms
        common = reduce(intersect, terms) if terms else 0
        for id in literals.owners_of(common):
            for arm in range(literals.gates[id].arms):
                if not literals.taken(id, arm).terms[0] & ~common:
                    own[id, arm] = own.get((id, arm), 0) + weight
    return tuple(
        ArmCost(gate.name, arm, own.get((id, arm), 0))
        for id, gate in literals.gates.items()
        if id == decider(id)
        for arm in range(gate.arms)
    )
