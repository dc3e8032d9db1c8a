"""From a guarded graph to blocks in row spaces: `plan` makes every decision that an emitter would have to make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from cogseedc.analysis.channels import Channels, channel_regions, narrow_layers
from cogseedc.analysis.kept import is_zero, kept_channels
from cogseedc.backends.plan.choose import Chosen, Gates, choose, entered_by, picks
from cogseedc.backends.plan.exits import exits
from cogseedc.backends.plan.items import SOURCES, Items
from cogseedc.backends.plan.joins import merge
from cogseedc.backends.plan.labels import labels
from cogseedc.backends.plan.lift import lift
from cogseedc.backends.plan.model import (
    ROOT,
    Accumulate,
    Block,
    Choice,
    Enter,
    GateReport,
    Join,
    LoopPlan,
    Nest,
    Picked,
    Plan,
    Run,
    Single,
    Slot,
    Space,
    SpaceId,
    Spread,
    Step,
    Strategy,
    Take,
    Tiled,
    Wrap,
    Write,
)
from cogseedc.backends.plan.nests import nests
from cogseedc.backends.plan.rates import Rates
from cogseedc.backends.plan.reach import Reach, reach
from cogseedc.backends.plan.schedule import blocks, schedule, spend
from cogseedc.backends.plan.sides import paired
from cogseedc.backends.plan.singles import singles
from cogseedc.backends.plan.spaces import Condition, Spaces
from cogseedc.backends.plan.tiles import regions
from cogseedc.backends.plan.wraps import unsafe_spaces, wrap
from cogseedc.diagnostics import InternalError
from cogseedc.ir import (
    TRUE,
    Exit,
    Gate,
    GateKind,
    Graph,
    Guard,
    Input,
    Knob,
    Lay,
    Literals,
    Loop,
    LoopKind,
    Loss,
    Merge,
    NodeId,
    Output,
    Return,
    Value,
    Weight,
    output_types,
)
from cogseedc.ops import OPS
from cogseedc.target import Target

__all__ = [
    "ROOT",
    "Accumulate",
    "Block",
    "Choice",
    "Enter",
    "GateReport",
    "Gates",
    "Join",
    "LoopPlan",
    "Nest",
    "Picked",
    "Plan",
    "Run",
    "Single",
    "Slot",
    "Space",
    "SpaceId",
    "Spread",
    "Step",
    "Strategy",
    "Take",
    "Tiled",
    "Wrap",
    "Write",
    "plan",
]


_SINGLE = {name: replace(spec, queries=None) for name, spec in OPS.items()}
"""The catalogue for targets that take positions only where they are independent."""


def plan(graph: Graph, target: Target, gates: Gates = "auto", training: bool = False) -> Plan:
    """Blocks for a graph whose exits are gates and whose guards are control edges.

    `training` plans the dense meaning, with losses and the values of all exits. Raises InternalError for a graph
    that still has exit markers.
    """
    ops = OPS if target.backend == "torch" else _SINGLE
    given: Gates = "dense" if training else gates
    rates = Rates.of(graph, target, OPS)
    project = given in ("auto", "branch", "compact")
    found = reach(graph, _live(graph, training), ops, target.batch_one, training, project)
    order, literals = found.order, found.literals
    read = lift(graph, order, found.guards, target, OPS, found.lays)
    tiles = [*regions(graph, order, read, literals, OPS)] if "tiles" in target.gates and not training else []
    kept = kept_channels(graph, order, OPS) if given in ("auto", "compact") else {}
    all_channels = channel_regions(graph, order, read, literals, OPS, kept) if kept else ()
    channels = _paying(rates, all_channels, given)
    for region in channels:  # computed where its join is, whatever positions are asked of it
        read.update((layer.node, literals.rows(read[layer.node])) for layer in region.layers)
    choices = choose(rates, order, read, literals, given, OPS, tiles, channels, found.lays)
    chosen = choices.chosen
    dense = sum(literals.mask(id) for id, c in chosen.items() if c.strategy in ("dense", "tiles"))
    loosened = {id: choices.light.get(guard, guard) for id, guard in read.items()}
    homes = {id: literals.drop(literals.project(loosened.get(id, TRUE), dense), dense) for id in order}
    ways = {id: _strategy(gate, chosen[id], target) for id, gate in literals.gates.items()}
    spaces = Spaces(literals, ways, homes.values())
    items = Items(graph, spaces, order, ops)
    whole = {r.merge: r for r in tiles if chosen[r.gate].strategy == "tiles" and not literals.places(homes[r.merge])}
    inside = {layer.node for region in whole.values() for layer in region.layers}
    picked = {r.node: r for r in channels if r.choice is not None and chosen[r.choice[0]].strategy == "compact"}
    inside |= {layer.node for region in picked.values() for layer in region.layers}
    narrow = _paying(rates, narrow_layers(graph, order, homes, literals, kept), given)
    picked |= {r.node: r for r in narrow if r.node not in inside}
    inside |= _unread(graph, picked)
    for id in order:
        if id in picked:
            items.picked(picked[id], spaces.of(homes[id]))
            _counted(literals, spaces, picked[id], homes[id])
        elif id in whole:
            items.tiled(whole[id], spaces.of(homes[id]), target.costs, gates == "tiles")
        elif id not in inside:
            _add(items, literals, id, homes[id], found.lays.get(id, ()))
    loops = {id: _loop(node, target, gates, training) for id in order if isinstance(node := graph[id], Loop)}
    return _assemble(items, replace(found, guards=read), chosen, loops, rates, training)


def _unread(graph: Graph, picked: Mapping[NodeId, Channels]) -> set[NodeId]:
    """Nodes of literal zeros that only joins read which write into zeros anyway."""
    bases = {r.base.node for r in picked.values() if r.base is not None and is_zero(graph, r.base)}
    outs = graph.wiring().outs
    return {id for id in bases if all(e.dst in picked and picked[e.dst].base == Value(id) for e in outs[id])}


def _counted(literals: Literals, spaces: Spaces, region: Channels, guard: Guard) -> None:
    """Makes the space of the positions that a region is computed at, so that a trace counts them."""
    if region.choice is not None and literals.mask(region.choice[0]):
        spaces.below(spaces.of(guard), literals.taken(*region.choice).terms[0])


def _paying(rates: Rates, regions: Iterable[Channels], gates: Gates) -> list[Channels]:
    """What is computed for some channels: where that pays, or all that can be."""
    return [region for region in regions if gates == "compact" or picks(rates, region, OPS)]


def _loop(loop: Loop, target: Target, gates: Gates, training: bool) -> LoopPlan:
    """Rows leave the batch where each decides when it stops; where one decision stops all, they stop together."""
    body = plan(loop.body, target, gates, training)
    if not loop.halts:
        alone = not target.batch_one or len(body.spaces) == 1  # a body that branches takes one row at a time
        return LoopPlan(body, compact=False, holds=False, folded=alone and _foldable(loop, body))
    _, slot = body.outputs[-1]
    stop = loop.body.type(Value(slot.node, slot.port))
    compact = stop.batch is not None and not target.batch_one and gates != "dense" and not training
    alone = stop.rank == (stop.batch is not None) and (compact or target.batch_one or stop.batch is None)
    return LoopPlan(body, compact, holds=not alone)


def _live(graph: Graph, training: bool) -> list[NodeId]:
    """What the outputs (and losses) need, gates of guards included, in topological order."""
    wiring = graph.wiring()
    wanted: set[NodeId] = set()
    for id in reversed(wiring.order):
        node = graph[id]
        if isinstance(node, (Exit, Return)):
            raise InternalError("exits must be gates before a graph is planned")
        if id in wanted or isinstance(node, Output) or (training and isinstance(node, Loss)):
            wanted.add(id)
            wanted.update(e.src for e in wiring.ins[id])
            wanted.update(e.src for e in wiring.controls[id])
    return [id for id in wiring.order if id in wanted]


def _strategy(gate: Gate, chosen: Chosen, target: Target) -> Strategy:
    return entered_by(gate, target) if chosen.strategy in ("dense", "tiles") else Strategy(chosen.strategy)


def _add(items: Items, literals: Literals, id: NodeId, guard: Guard, lay: Lay) -> None:
    lay = lay if literals.places(guard) else ()
    node = items.graph[id]
    operands = items.graph.wiring().operands(id)
    if isinstance(node, (*SOURCES, Output)):
        return
    if isinstance(node, Merge):
        merge(items, literals, id, node, operands, items.spaces.of(guard), lay)
    else:
        items.run(id, items.spaces.of(guard), operands, len(output_types(node)), lay)


def _foldable(loop: Loop, body: Plan) -> bool:
    """A scan without carries whose elements and yields have rows, and whose captures have none."""
    if loop.kind is not LoopKind.SCAN or loop.carries or not loop.scanned:
        return False
    rowed = [loop.body.type(Value(id)).batch is not None for id in body.inputs]
    count = len(loop.scanned)
    yields = [loop.body.type(Value(slot.node, slot.port)).batch is not None for _, slot in body.outputs]
    return all(rowed[:count]) and not any(rowed[count:]) and all(yields)


def _assemble(
    items: Items,
    reached: Reach,
    chosen: Mapping[NodeId, Chosen],
    loops: Mapping[NodeId, LoopPlan],
    rates: Rates,
    training: bool,
) -> Plan:
    graph, target, order = items.graph, rates.target, reached.order
    outputs = tuple((id, _result(items, id)) for id, node in graph.of(Output))
    spaces = items.finish(labels(graph, items.spaces.drafts))
    steps = schedule(items)
    runs = [step for _, body in steps for step in body if isinstance(step, Run)]
    asked = {step.node: step for step in runs if isinstance(graph[step.node], Gate)}
    reports = tuple(_report(items, asked[id], chosen.get(id, Chosen("dense")), reached) for id in order if id in asked)
    found = exits(graph, order) if training else ()
    kept = [slot for _, slot in outputs] + [r.decision for r in reports] + [r.indices for r in reports if r.indices]
    kept += [slot for _, values in found for _, slot in values]
    loops = {id: replace(loop, reached=_reached(items, id, reached)) for id, loop in loops.items()}
    unsafe = unsafe_spaces(items, steps, loops, target)
    spend(steps, graph, kept)
    found_blocks = blocks(
        steps,
        graph,
        lambda space: [choice.decision for term in spaces[space].terms for choice in term],
        kept,
        lambda space, body: wrap(spaces[space], body, rates, loops, space in unsafe),
    )
    found_blocks = paired(found_blocks, spaces, graph)
    onnx = target.backend == "onnx"
    return Plan(
        graph=graph,
        spaces=spaces,
        blocks=found_blocks,
        nests=nests(found_blocks, spaces, rates) if onnx else (),
        singles=singles(found_blocks, spaces, target, graph, kept) if onnx else (),
        inputs=tuple(id for id, node in graph.of(Input)),
        knobs=tuple(id for id, node in graph.of(Knob)),
        weights=tuple(id for id, node in graph.of(Weight)),
        outputs=outputs,
        gates=reports,
        loops=loops,
        exits=found,
    )


def _result(items: Items, id: NodeId) -> Slot:
    """The slot that an output gives; it is asked for by all rows."""
    (edge,) = items.graph.wiring().ins[id]
    assert items.home.get(edge.src, ROOT) == ROOT
    return Slot(edge.src, edge.src_port, ROOT)


def _report(items: Items, step: Run, chosen: Chosen, found: Reach) -> GateReport:
    gate = items.graph[step.node]
    assert isinstance(gate, Gate)
    indices = step.inputs[1] if len(step.inputs) > 1 else None
    return GateReport(
        step.node,
        gate.name,
        chosen.strategy,
        step.outputs[0],
        indices,
        reached=_reached(items, step.node, found),
        predicted=chosen.predicted,
    )


def _reached(items: Items, id: NodeId, found: Reach) -> tuple[tuple[Condition, ...], ...]:
    """Which rows of the space that a gate or loop is in were asked for."""
    literals = found.literals
    guard, home = (literals.drop(g, literals.projected) for g in (found.guards[id], items.spaces.guard(items.home[id])))
    if home == guard:
        return ((),)
    if found.literals.places(guard):
        return tuple(tuple(items.spaces.conditions(term)) for term in guard.terms)
    return _asked(items.graph, id)


def _asked(graph: Graph, id: NodeId) -> tuple[tuple[Condition, ...], ...]:
    """What the control edges into a gate say of other gates, each reached itself."""
    terms: dict[int, list[Condition]] = {}
    for edge in graph.wiring().controls[id]:
        gate = graph[edge.src]
        assert isinstance(gate, Gate)
        term = terms.setdefault(edge.term, [])
        arm = edge.arm if edge.arm >= 0 else ~edge.arm
        if gate.kind is GateKind.MANY:
            term.append((edge.src, (arm,), edge.arm < 0))
        elif edge.arm >= 0:
            term.append((edge.src, (arm,), False))
        else:
            term.append((edge.src, tuple(a for a in range(gate.arms) if a != arm), False))
    return tuple(tuple(term) for _, term in sorted(terms.items()))
