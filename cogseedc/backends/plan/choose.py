"""Which strategy each gate gets: what was asked for, or the cheapest by the target's cost numbers.

The estimate counts multiply-accumulates, operations and moved elements of what a gate governs; it is used to
compare strategies with each other and for nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cogseedc.analysis.channels import Channels
from cogseedc.analysis.cost import node_cost
from cogseedc.backends.plan.model import ROOT, SpaceId, Strategy
from cogseedc.backends.plan.picking import channel_costs
from cogseedc.backends.plan.rates import Rates
from cogseedc.backends.plan.spaces import Draft, Spaces
from cogseedc.backends.plan.tiles import TILE_OPS, Region, pixel_cost
from cogseedc.ir import (
    Call,
    Gate,
    GateKind,
    Guard,
    Lay,
    Literals,
    Loop,
    Merge,
    NodeId,
    Ops,
    Size,
    Value,
    output_types,
)
from cogseedc.record import record
from cogseedc.target import Target

Gates = Literal["auto", "branch", "compact", "dense", "tiles"]

TILE = 8
"""Side of a tile, in pixels."""
TILES = 0.5
"""Share of the tiles of such a side that have a chosen pixel, without a profile: masks are coherent."""

MARGIN = 1.2
"""How many times its cost the computation of some channels has to save: one sample at a time, kernels are less
efficient than the model says."""

Prediction = tuple[tuple[str, float], ...]


@dataclass(slots=True)
class Load:
    """What runs in one space and below it, at the batch that is reckoned with."""

    work_ns: float = 0.0
    ops: int = 0
    entering: float = 0.0
    """Elements of the values that come from outside."""
    leaving: float = 0.0
    """Elements of the values that a merge outside reads."""
    turned: float = 0.0
    """Elements of the values among them whose positions do not lie in front, as often as they are turned as a whole."""

    def add(self, other: Load) -> None:
        self.work_ns += other.work_ns
        self.ops += other.ops


@record
class Chosen:
    """The strategy of a gate, with what was predicted for each, in microseconds."""

    strategy: str
    predicted: Prediction = ()


@dataclass(frozen=True, slots=True)
class Choices:
    """The strategy of every gate; and which guards of nodes are loosened, since what runs under them by itself costs
    less for all rows than taking some and putting them back."""

    chosen: dict[NodeId, Chosen]
    light: Mapping[Guard, Guard] = field(default_factory=dict)


def entered_by(gate: Gate, target: Target) -> Strategy:
    """How a space that asks a gate is entered: by a real `if` where the decision is one element."""
    axes = gate.type.axes[:-1] if gate.kind is GateKind.MANY else gate.type.axes
    return Strategy.BRANCH if not axes or (target.batch_one and len(axes) == 1) else Strategy.COMPACT


def choose(
    rates: Rates,
    order: Sequence[NodeId],
    guards: Mapping[NodeId, Guard],
    literals: Literals,
    gates: Gates,
    ops: Ops,
    tiles: Sequence[Region],
    channels: Sequence[Channels],
    lays: Mapping[NodeId, Lay],
) -> Choices:
    """The strategy of every gate in `literals`, and of those of `channels`; `order` has the nodes that are planned,
    `tiles` what can be computed on tiles of an image, `channels` for some channels, `lays` where the axes of positions
    lie in values."""
    target = rates.target
    natural = {id: entered_by(gate, target) for id, gate in literals.gates.items()}
    if gates == "dense":
        return Choices({id: Chosen("dense") for id in natural})
    if gates == "branch":
        single = {
            id for id, way in natural.items() if way is Strategy.BRANCH and not literals.mask(id) & literals.placed
        }
        return Choices({id: Chosen("branch" if id in single else "dense") for id in natural})
    if gates == "compact":
        uniform = {id for id, gate in literals.gates.items() if not literals.mask(id) & literals.batch}
        own = {region.choice[0]: Chosen("compact") for region in channels if region.choice is not None}
        return Choices(own | {id: Chosen("branch" if id in uniform else "compact") for id in natural})
    predicted, light = _predict(rates, order, guards, literals, natural, ops, lays)
    for id in dict.fromkeys(region.gate for region in tiles):
        near = [region for region in tiles if region.gate == id]
        predicted[id] = _with_tiles(rates, near, predicted[id], ops)
    for region in channels:
        assert region.choice is not None
        gate = region.choice[0]
        predicted[gate] = _with_channels(rates, region, predicted.get(gate, ()), ops)
    if gates == "tiles":
        fitting = {region.gate for region in tiles}
        return Choices({id: Chosen("tiles" if id in fitting else "dense", predicted[id]) for id in natural})
    ways = {**dict.fromkeys(predicted, Strategy.COMPACT), **natural}
    chosen = {id: Chosen(_best(way, predicted[id], target), predicted[id]) for id, way in ways.items()}
    for gate, id in literals.projections.items():
        known = target.profile is not None and target.profile.share_anywhere(literals.gates[id].name, 0) is not None
        pays = chosen[gate].strategy != "tiles" and _rows_pay(natural[id], known, predicted[id], target)
        chosen[id] = Chosen(natural[id].value if pays else "dense", predicted[id])
    compact = {id for id, found in chosen.items() if found.strategy == "compact" and "dense" in target.gates}
    return Choices(chosen, {guard: above for guard, (gate, above) in light.items() if gate in compact})


def _best(natural: Strategy, predicted: Prediction, target: Target) -> str:
    if not predicted:
        return "dense"
    if natural is Strategy.BRANCH:
        return "branch" if "branch" in target.gates else "dense"
    costs = {name: cost for name, cost in predicted if name != "branch" and name in target.gates}
    return min(costs, key=lambda name: costs[name], default="dense")


def _rows_pay(natural: Strategy, known: bool, predicted: Prediction, target: Target) -> bool:
    """Whether rows are left out in which a gate chose no position. Few are, if no profile says more: then only one
    sample by itself is asked."""
    costs, way = dict(predicted), natural.value
    asked = known or natural is Strategy.BRANCH
    return asked and way in target.gates and bool(costs) and costs[way] < costs["dense"]


def _predict(
    rates: Rates,
    order: Sequence[NodeId],
    guards: Mapping[NodeId, Guard],
    literals: Literals,
    natural: Mapping[NodeId, Strategy],
    ops: Ops,
    lays: Mapping[NodeId, Lay],
) -> tuple[dict[NodeId, Prediction], dict[Guard, tuple[NodeId, Guard]]]:
    """For each gate that governs something the cost of each strategy, if every gate were followed; and guards that may
    be loosened, each with the gate that it asks beyond what is left."""
    target = rates.target
    spaces = Spaces(literals, natural, (guards[id] for id in order))
    homes = {id: spaces.of(guards[id]) for id in order}
    loads = _loads(rates, order, homes, ops, lays)
    for draft in reversed(spaces.drafts[1:]):
        assert draft.parent is not None
        loads.setdefault(draft.parent, Load()).add(loads.setdefault(draft.id, Load()))
    found: dict[NodeId, dict[str, float]] = {id: {} for id in natural}
    for draft in spaces.drafts[1:]:
        for gate, arms, negated in dict.fromkeys(condition for term in draft.terms for condition in term):
            part = rates.share(gate, arms, negated)
            for name, cost in _costs(loads[draft.id], part, target, joined=gate >= 0).items():
                found[gate][name] = found[gate].get(name, 0.0) + cost
    predicted = {id: tuple(sorted(costs.items())) for id, costs in found.items()}
    return predicted, _light(rates, spaces, loads)


def _light(rates: Rates, spaces: Spaces, loads: Mapping[SpaceId, Load]) -> dict[Guard, tuple[NodeId, Guard]]:
    """Guards that may be loosened: of spaces that ask one gate and hold no other, and whose work, done for all rows,
    costs less than taking and putting back. The join then writes another arm over it: so not of the heaviest."""
    target, inner = rates.target, {draft.parent for draft in spaces.drafts}
    asking: dict[NodeId, list[tuple[float, Draft, float]]] = {}
    for draft in spaces.drafts[1:]:
        for gate, arms, negated in dict.fromkeys(condition for term in draft.terms for condition in term):
            load = loads[draft.id]
            work = load.work_ns / 1e3 + load.ops * target.costs.op_us
            compact = _costs(load, rates.share(gate, arms, negated), target)["compact"]
            asking.setdefault(gate, []).append((work, draft, compact))
    light: dict[Guard, tuple[NodeId, Guard]] = {}
    for gate, found in asking.items():
        heaviest = max(found, key=lambda entry: entry[0])
        for work, draft, compact in found:
            alone = sum(len(term) for term in draft.terms) == 1 and draft.id not in inner and not draft.grid
            if work < compact and alone and draft is not heaviest[1] and draft.parent is not None:
                light[draft.guard] = gate, spaces.guard(draft.parent)
    return light


def _with_tiles(rates: Rates, regions: Sequence[Region], predicted: Prediction, ops: Ops) -> Prediction:
    """The predictions for a gate, with what its regions cost beside: everywhere, or on the tiles of an even rate. More
    than everywhere they never cost, as that is decided while running."""
    graph, costs = rates.graph, rates.target.costs
    dense = tiled = 0.0
    for region in regions:
        pixels = rates.number(graph.type(region.result).shape[0])
        for size in graph.type(region.result).shape[2:]:
            pixels *= rates.number(size)
        for layer in region.layers:
            cost = pixel_cost(graph, ops, layer, costs.mac_ns, costs.take_ns) * pixels / 1e3
            dense += cost * layer.extent.grid**2 + costs.op_us
            tiled += TILES * cost * (layer.extent.grid + (layer.extent.span - layer.extent.grid) / TILE) ** 2
        tiled += TILE_OPS * costs.op_us
    found = {name: cost + dense for name, cost in predicted} or {"dense": dense}
    return tuple(sorted({**found, "tiles": min(dict(predicted).values(), default=0.0) + tiled}.items()))


def picks(rates: Rates, region: Channels, ops: Ops) -> bool:
    """Whether computing some channels only is predicted to cost less than all."""
    dense, picked = _channel_costs(rates, region, ops)
    return MARGIN * picked < dense


def _channel_costs(rates: Rates, region: Channels, ops: Ops) -> tuple[float, float]:
    return channel_costs(
        rates.graph,
        region,
        ops,
        rates.target.costs,
        lambda choice: rates.share(choice[0], (choice[1],)),
        rates.number,
    )


def _with_channels(rates: Rates, region: Channels, predicted: Prediction, ops: Ops) -> Prediction:
    """The predictions for a gate, with what a region costs beside: for all channels, or for those that are chosen."""
    dense, picked = _channel_costs(rates, region, ops)
    found = {"compact": 0.0, "dense": 0.0, **dict(predicted)}
    return tuple(sorted((name, cost + (picked if name == "compact" else dense)) for name, cost in found.items()))


def _costs(load: Load, rate: float, target: Target, joined: bool = True) -> dict[str, float]:
    """Microseconds of one space under each strategy, when `rate` of the rows need it. Computed densely it takes a
    select, if a join reads it (`joined`)."""
    costs = target.costs
    work, starts = load.work_ns / 1e3, load.ops * costs.op_us
    asked = costs.wrap_us if target.wrap_regions else 0.0
    moved = rate * (load.entering * costs.take_ns + load.leaving * costs.put_ns) / 1e3
    return {
        "branch": rate * (work + starts) + costs.branch_us,
        # places, gather, put back
        "compact": rate * work + starts + moved + 3 * costs.op_us + asked + load.turned * costs.select_ns / 1e3,
        "dense": work + starts + joined * (load.leaving * costs.select_ns / 1e3 + costs.select_us),
    }


def _loads(
    rates: Rates,
    order: Sequence[NodeId],
    homes: Mapping[NodeId, SpaceId],
    ops: Ops,
    lays: Mapping[NodeId, Lay],
) -> dict[SpaceId, Load]:
    """What each space runs by itself, and the elements that cross its border."""
    graph, target = rates.graph, rates.target
    loads: dict[SpaceId, Load] = {}
    sizes: dict[Size, float] = {}

    def number(size: Size) -> float:
        if size not in sizes:
            sizes[size] = rates.number(size)
        return sizes[size]

    entered: set[tuple[Value, SpaceId]] = set()
    wiring = graph.wiring()
    for id in order:
        node, home = graph[id], homes[id]
        load = loads.setdefault(home, Load())
        values = wiring.operands(id)
        if isinstance(node, Call):
            types = tuple(None if v is None else graph.type(v) for v in values)
            macs = ops[node.op].macs
            load.work_ns += number(macs(node.attrs, types, node.types)) * target.costs.mac_ns if macs else 0.0
            load.ops += 1
        if isinstance(node, Loop):
            load.work_ns += number(node_cost(graph, ops, id).macs) * target.costs.mac_ns
            load.ops += round(number(node.steps)) * sum(isinstance(n, Call) for _, n in node.body.nodes())
        load.work_ns += sum(number(t.elements) for t in output_types(node)) * target.costs.take_ns
        for value in values:
            if value is None or graph.type(value).batch is None:
                continue
            source = homes.get(value.node, ROOT)
            elements = number(graph.type(value).elements)
            if isinstance(node, Merge) and source != home:
                outside = loads.setdefault(source, Load())
                outside.leaving += elements
                outside.turned += 3 * elements * _inner(lays.get(value.node, ()))  # there, the base too, and back
            elif source != home and (value, home) not in entered:
                entered.add((value, home))
                load.entering += elements
                load.turned += elements * _inner(lays.get(id, ()))
    return loads


def _inner(lay: Lay) -> bool:
    """Whether the axes of positions do not lie in front."""
    return lay != tuple(range(len(lay)))
