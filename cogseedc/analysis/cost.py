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
from cogseedc.analysis.paths import Extreme, Paths, Picks
from cogseedc.ir import (
    BATCH,
    Call,
    Gate,
    GateKind,
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
    params: Size
    """Trainable numbers that it holds."""
    bytes: Size
    """What it writes; of a weight: what it holds."""


@dataclass(frozen=True, slots=True)
class Range:
    """Least and worst over all paths."""

    least: Extreme
    worst: Extreme


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True)
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
    picks: dict[NodeId, Picks]
    """Of k-of-n gates."""
    work: dict[Asked, int]
    """MACs by what asks for them, without those of loops."""
    loops: tuple[LoopCost, ...] = ()

    @cached_property
    def gates(self) -> dict[str, Gate]:
        """The gates that work hangs on, those in loops and those that end loops included, by name."""
        found = {gate.name: gate for id, gate in self.literals.gates.items() if id >= 0}
        for loop in self.loops:
            found |= loop.body.gates
            if loop.until is not None:
                found[loop.until.name] = loop.until
        return found

    @cached_property
    def selected(self) -> dict[str, Picks]:
        """How many arms k-of-n gates select, those in loops included, by name."""
        found = {self.literals.gates[id].name: picks for id, picks in self.picks.items() if id in self.literals.gates}
        for loop in self.loops:
            found |= loop.body.selected
        return found


def node_cost(graph: Graph, ops: Ops, id: NodeId, rule: Rule = catalogue) -> NodeCost:
    """The cost of one node; its MACs by a counting rule. Of a loop: of all its turns, without the weights."""
    node = graph[id]
    match node:
        case Call(op=op, types=types):
            inputs = tuple(None if v is None else graph.type(v) for v in graph.wiring().operands(id))
            return NodeCost(_of_one(rule(ops[op], node, inputs)), _NONE, _written(types))
        case Weight(type=type):
            return NodeCost(_NONE, type.elements if node.trainable else _NONE, _bytes(type))
        case Loop(body=body, types=types):
            inner = [node_cost(body, ops, i, rule) for i, n in body.nodes() if not isinstance(n, Weight)]
            macs, written = sum((c.macs for c in inner), _NONE), sum((c.bytes for c in inner), _NONE)
            turns = _of_one(node.steps)
            return NodeCost(macs * turns, _NONE, written * turns + _written(types))
    return _FREE


_NONE = Size.of(0)
_FREE = NodeCost(_NONE, _NONE, _NONE)
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
    steps = [NodeCost(loop.steps, loop.steps, loop.steps) for inner, _ in graph.nested() for _, loop in inner.loops()]
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
        exits=_exits(turn.literals, turn.guards, _Bounds.of(turn, _joint(turn), "macs"), read),
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
            cost = NodeCost(_NONE, _NONE, _written(node.types))
        for asked, share in asking.parts(id):
            macs[asked] = macs.get(asked, 0) + int(number(cost.macs) * share)
        written[guard] = written.get(guard, 0) + number(cost.bytes)
    nothing = Range(Extreme(0), Extreme(0))
    empty = Costs(nodes, (), nothing, nothing, 0, 0, (), (), literals, found, _picks(graph), macs, tuple(loops))
    joint = _joint(empty)
    return replace(
        empty,
        macs=_Bounds.of(empty, joint, "macs").range(),
        bytes=_Bounds.of(empty, written, "bytes").range(),
        arms=(
            *_arms(literals, _with(joint, [(loop.guard, loop.most * loop.body.macs.worst.value) for loop in loops])),
            *_inner(loops),
        ),
    )


def _joint(costs: Costs) -> dict[Guard, int]:
    """MACs by when they are done if all channels are decided alike: then they are all, or none."""
    both = ((costs.literals.and_(asked.when, asked.read), macs) for asked, macs in costs.work.items())
    return _with({}, both)


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


def _with(weights: Mapping[Guard, int], further: Iterable[tuple[Guard, int]]) -> dict[Guard, int]:
    total = dict(weights)
    for guard, weight in further:
        total[guard] = total.get(guard, 0) + weight
    return total


def _inner(loops: Iterable[LoopCost]) -> Iterator[ArmCost]:
    for loop in loops:
        yield from (ArmCost(arm.gate, arm.arm, loop.most * arm.macs) for arm in loop.body.arms)


@dataclass(frozen=True)
class _Bounds:
    """Two sums over all paths: the least, in which loops count their least, and all positions of a sample decide alike,
    as that is the least; and the worst, in which any position may do anything."""

    low: Paths
    high: Paths
    exact: bool
    """Whether what loops count is reached."""

    @staticmethod
    def of(costs: Costs, weights: Mapping[Guard, int], what: Literal["macs", "bytes"]) -> _Bounds:
        ranges = [(loop, loop.body.macs if what == "macs" else loop.body.bytes) for loop in costs.loops]
        low = [(loop.guard, loop.times(range.least, loop.fewest)) for loop, range in ranges]
        high = [(loop.guard, loop.times(range.worst, loop.most)) for loop, range in ranges]
        picks, literals = costs.picks, costs.literals
        alike = ((literals.alike(guard), e) for guard, e in _with(weights, ((g, e.value) for g, e in low)).items())
        return _Bounds(
            Paths(literals, _with({}, alike), picks),
            Paths(literals, _with(weights, ((guard, e.value) for guard, e in high)), picks),
            all(e.exact for _, e in (*low, *high)),
        )

    def range(self, given: Sequence[int] = (0,)) -> Range:
        """Over the paths where one of the conjunctions holds."""
        least, worst = [self.low.least(term) for term in given], [self.high.worst(term) for term in given]
        low, high = min(least, key=lambda e: e.value), max(worst, key=lambda e: e.value)
        reached = self.exact and not self.high.literals.projected
        return Range(Extreme(low.value, low.exact and self.exact), Extreme(high.value, high.exact and reached))


def numbers(costs: Iterable[NodeCost], sizes: Mapping[str, int]) -> tuple[Callable[[Size], int], tuple[str, ...]]:
    """How sizes become numbers, `ASSUMED` for the symbols that `sizes` does not know; and those symbols."""
    every = {size for cost in costs for size in (cost.macs, cost.params, cost.bytes)}
    unknown = sorted({symbol for size in every for symbol in size.symbols()} - set(sizes))
    known = {**dict.fromkeys(unknown, ASSUMED), **sizes}
    return lru_cache(maxsize=4096)(lambda size: size.evaluate(known)), tuple(unknown)


def _picks(graph: Graph) -> dict[NodeId, Picks]:
    """How many arms each k-of-n gate selects: k when its mask comes straight from `top_mask`, else at most k."""
    found: dict[NodeId, Picks] = {}
    for id, node in graph.of(Gate):
        if node.kind is not GateKind.MANY:
            continue
        mask, indices = graph.wiring().operands(id)[:2]
        assert mask is not None, "the verifier found both ports fed"
        assert indices is not None, "the verifier found both ports fed"
        most = graph.type(indices).axes[-1].size.value
        maker = graph[mask.node]
        most = node.arms if most is None else most
        straight = isinstance(maker, Call) and maker.op == "top_mask"
        found[id] = Picks(most if straight else 0, most)
    return found


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
    return _with({}, ((literals.union(when), trainable[path]) for path, when in readers.items()))


def _exits(
    literals: Literals, found: Mapping[NodeId, Guard], bounds: _Bounds, params: Mapping[Guard, int]
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
        guard = literals.alike(guard)
        common = reduce(intersect, guard.terms, -1) if guard.terms else 0
        for id in literals.owners_of(common):
            for arm in range(literals.gates[id].arms):
                if not literals.taken(id, arm).terms[0] & ~common:
                    own[id, arm] = own.get((id, arm), 0) + weight
    return tuple(
        ArmCost(gate.name, arm, own.get((id, arm), 0))
        for id, gate in literals.gates.items()
        if id >= 0
        for arm in range(gate.arms)
    )
