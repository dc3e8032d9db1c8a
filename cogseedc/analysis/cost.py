"""What a program costs per sample: MACs, parameters, bytes; over all paths, per exit and per arm. Times nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import combinations
from math import prod
from operator import and_ as intersect

from cogseedc.analysis.counting import Rule, catalogue
from cogseedc.analysis.paths import Extreme, Paths, Picks
from cogseedc.ir import (
    BATCH,
    Call,
    Gate,
    GateKind,
    Graph,
    Guard,
    Literals,
    NodeId,
    Ops,
    Size,
    TensorType,
    Weight,
    guards,
    output_types,
)

ASSUMED = 32
"""Stands for the size of an axis that is known at run time only."""


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class ArmCost:
    """MACs of what runs only when a gate takes an arm."""

    gate: str
    arm: int
    macs: int


@dataclass(frozen=True)
class Costs:
    """The costs of one program, from its guards."""

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
    macs_by_guard: dict[Guard, int]


def node_cost(graph: Graph, ops: Ops, id: NodeId, rule: Rule = catalogue) -> NodeCost:
    """The cost of one node; its MACs by a counting rule."""
    node, none = graph[id], Size.of(0)
    if not isinstance(node, (Call, Weight)):
        return NodeCost(none, none, none)
    written = sum((_bytes(type) for type in output_types(node)), none)
    if isinstance(node, Weight):
        return NodeCost(none, node.type.elements if node.trainable else none, written)
    inputs = tuple(None if v is None else graph.type(v) for v in graph.wiring().operands(id))
    return NodeCost(rule(ops[node.op], node, inputs).substitute(_ONE), none, written)


_ONE = {BATCH: Size.of(1)}


@lru_cache(maxsize=1024)
def _bytes(type: TensorType) -> Size:
    """Bytes of a value for one sample."""
    return (type.elements * type.dtype.bits).divided(8).substitute(_ONE)


def costs(graph: Graph, ops: Ops, sizes: Mapping[str, int] | None = None) -> Costs:
    """All costs of a graph; its control edges say what is skipped, so without them everything runs on every path."""
    literals = Literals.of(graph)
    found = guards(graph, literals)
    nodes = {id: node_cost(graph, ops, id) for id, _ in graph.nodes()}
    number, assumed = numbers(nodes.values(), sizes or {})
    macs, written = dict[Guard, int](), dict[Guard, int]()
    params = weight_bytes = 0
    for id, cost in nodes.items():
        if isinstance(graph[id], Weight):
            params += number(cost.params)
            weight_bytes += number(cost.bytes)
        guard = found[id]
        macs[guard] = macs.get(guard, 0) + number(cost.macs)
        written[guard] = written.get(guard, 0) + number(cost.bytes)
    picks = _picks(graph)
    paths = Paths(literals, macs, picks)
    return Costs(
        nodes=nodes,
        assumed=assumed,
        macs=_range(paths),
        bytes=_range(Paths(literals, written, picks)),
        params=params,
        weight_bytes=weight_bytes,
        exits=_exits(literals, found, paths, _read(graph, nodes, found, literals, number)),
        arms=_arms(literals, macs),
        literals=literals,
        macs_by_guard=macs,
    )


def numbers(costs: Iterable[NodeCost], sizes: Mapping[str, int]) -> tuple[Callable[[Size], int], tuple[str, ...]]:
    """How sizes become numbers, `ASSUMED` for the symbols that `sizes` does not know; and those symbols."""
    every = [size for cost in costs for size in (cost.macs, cost.params, cost.bytes)]
    unknown = sorted({symbol for size in every for symbol in size.symbols()} - set(sizes))
    known = {**dict.fromkeys(unknown, ASSUMED), **sizes}
    return lambda size: size.evaluate(known), tuple(unknown)


def _range(paths: Paths, given: Sequence[int] = (0,)) -> Range:
    """Over the paths where one of the conjunctions holds."""
    least, worst = [paths.least(term) for term in given], [paths.worst(term) for term in given]
    return Range(min(least, key=lambda e: e.value), max(worst, key=lambda e: e.value))


def _picks(graph: Graph) -> dict[NodeId, Picks]:
    """How many arms each k-of-n gate selects: k when its mask comes straight from `top_mask`, else at most k."""
    found: dict[NodeId, Picks] = {}
    for id, node in graph.nodes():
        if not isinstance(node, Gate) or node.kind is not GateKind.MANY:
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
    graph: Graph,
    nodes: Mapping[NodeId, NodeCost],
    found: Mapping[NodeId, Guard],
    literals: Literals,
    number: Callable[[Size], int],
) -> dict[Guard, int]:
    """Trainable numbers by when something reads them."""
    outs, result = graph.wiring().outs, dict[Guard, int]()
    for id, cost in nodes.items():
        if isinstance(graph[id], Weight):
            when = literals.union(found[edge.dst] for edge in outs[id])
            result[when] = result.get(when, 0) + number(cost.params)
    return result


def _exits(
    literals: Literals, found: Mapping[NodeId, Guard], paths: Paths, params: Mapping[Guard, int]
) -> tuple[ExitCost, ...]:
    def cost(path: str | None, leaves: Guard) -> ExitCost:
        read = sum(count for when, count in params.items() if not literals.exclusive(when, leaves))
        return ExitCost(path, _range(paths, leaves.terms), read)

    result, stays = list[ExitCost](), 0
    for id, gate in literals.gates.items():
        if gate.exit is None:
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
        common = reduce(intersect, guard.terms, -1) if guard.terms else 0
        for id in literals.owners_of(common):
            for arm in range(literals.gates[id].arms):
                if not literals.taken(id, arm).terms[0] & ~common:
                    own[id, arm] = own.get((id, arm), 0) + weight
    return tuple(
        ArmCost(gate.name, arm, own.get((id, arm), 0))
        for id, gate in literals.gates.items()
        for arm in range(gate.arms)
    )


def expected(costs: Costs, rates: Mapping[str, Sequence[float]]) -> float:
    """Mean MACs per sample when gate `g`, where it is reached, takes arm `a` at rate `rates[g][a]`.

    Decisions of different gates count as independent, given that they are reached. Raises KeyError for a gate without
    rates that a guard speaks of.
    """
    return sum(w * _chance(costs.literals, guard, rates) for guard, w in costs.macs_by_guard.items())


def even_rates(costs: Costs) -> dict[str, tuple[float, ...]]:
    """Rates for when nothing was measured: every arm alike; a k-of-n gate selects each arm half of the time."""
    return {
        gate.name: (0.5 if gate.kind is GateKind.MANY else 1 / max(gate.arms, 1),) * gate.arms
        for gate in costs.literals.gates.values()
    }


def _chance(literals: Literals, guard: Guard, rates: Mapping[str, Sequence[float]]) -> float:
    """Inclusion and exclusion over the terms."""
    total = 0.0
    for count in range(1, len(guard.terms) + 1):
        for chosen in combinations(guard.terms, count):
            both = 0
            for term in chosen:
                both |= term
            if not literals.contradictory(both):
                total += (-1) ** (count + 1) * _chance_of_all(literals, both, rates)
    return total


def _chance_of_all(literals: Literals, term: int, rates: Mapping[str, Sequence[float]]) -> float:
    return prod(_chance_of(literals, gate, term, rates) for gate in literals.owners_of(term))


def _chance_of(literals: Literals, id: NodeId, term: int, rates: Mapping[str, Sequence[float]]) -> float:
    gate, first = literals.gates[id], literals.first[id]
    rate = rates[gate.name]
    if gate.kind is not GateKind.MANY:
        return sum(rate[arm] for arm in range(gate.arms) if not term >> (first + arm) & 1)
    both = [term >> (first + 2 * arm) & 3 for arm in range(gate.arms)]
    return prod((1.0, 1 - rate[arm], rate[arm])[excluded] for arm, excluded in enumerate(both))
