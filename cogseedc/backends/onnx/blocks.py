"""Spells the blocks of a plan, one after another: bare, or each inside one flat If. Decides nothing but names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cogseedc.backends.onnx.builder import Place, Region, branch
from cogseedc.backends.onnx.crossing import Pair, above, outer
from cogseedc.backends.onnx.fusion import FusedWrite, outputs_of
from cogseedc.backends.onnx.ledger import Ledger, entries, write
from cogseedc.backends.onnx.singles import emit_single
from cogseedc.backends.onnx.steps import Steps
from cogseedc.backends.onnx.tensors import NUMPY, Dimension
from cogseedc.backends.plan.model import ROOT, Accumulate, Block, Enter, Join, Run, Slot, SpaceId, Strategy, Wrap
from cogseedc.ir import Dtype, NodeId

FALSE = np.array(False)
NO_ROWS = np.zeros([0], np.bool_)
NO_ENTRIES = np.zeros([0], np.int64)
NO_PLACES = np.zeros([0, 1], np.int64)


@dataclass
class _Results:
    """What an If yields: names in its two bodies, and types."""

    sides: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    types: list[tuple[Dtype, Sequence[Dimension]]] = field(default_factory=list)

    def add(self, side: int, own: str, absent: str, dtype: Dtype, dims: Sequence[Dimension]) -> int:
        """A value that is made in one body; the place of the result."""
        return self.both((own, absent) if side == 0 else (absent, own), dtype, dims)

    def both(self, names: tuple[str, str], dtype: Dtype, dims: Sequence[Dimension]) -> int:
        for side, name in zip(self.sides, names, strict=True):
            side.append(name)
        self.types.append((dtype, dims))
        return len(self.types) - 1


def emit_blocks(steps: Steps, root: Region) -> None:
    """All blocks of the plan, in order."""
    steps.region = root
    _sequence(steps, root, range(len(steps.plan.blocks)), ROOT)


def _sequence(steps: Steps, region: Region, positions: range, around: SpaceId) -> None:
    """Some blocks, one after another; those of the space `around`, which is known to be run, without an If. Nests in
    nests are followed down: they are few (`plan.nests.DEPTH`)."""
    blocks, starts = steps.plan.blocks, steps.nests
    singles = {single.output: single for single in steps.plan.singles}
    postponed = {id for single in steps.plan.singles for id in single.blocks}
    position = positions.start
    while position < positions.stop:
        block = blocks[position]
        if position in starts and block.space != around:
            _nested(steps, region, starts[position])
            position = steps.plan.nests[starts[position]].stop
            continue
        if block.wrap is Wrap.NONE or block.space == around:
            for step in () if position in postponed else block.steps:
                if isinstance(step, Join | Accumulate) and step.output in singles:
                    emit_single(steps, region, step, singles[step.output])
                else:
                    steps.emit(region, step, block.space)
            for fused in steps.fusion.writes.get(position, ()):
                steps.running[fused.join.output] = _written(steps, region, fused, _previous(steps, region, fused))
        elif not block.otherwise:
            last = position + 1 < len(blocks) and blocks[position + 1].otherwise
            _wrapped(steps, region, _ordered(steps, position, last))
        position += 1


def _nested(steps: Steps, region: Region, number: int) -> None:
    """One If around several blocks, each bare or in an If of its own."""
    nest, rows = steps.plan.nests[number], steps.rows
    positions = range(nest.first, nest.stop)
    blocks = [steps.plan.blocks[position] for position in positions]
    region.shared.place = place = _place(steps, nest.space)
    condition = rows.any_row(region, nest.space, outer(steps.plan, steps.fusion, number))
    made = {slot for block in blocks for step in block.steps for slot in outputs_of(step)}
    fused = [fused for position in positions for fused in steps.fusion.writes.get(position, ())]
    joins = {f.join.output: f for f in reversed(fused) if f.join.output not in made}
    before = {f: None if f.join.base in made else _previous(steps, region, f) for f in joins.values()}
    bodies = Region(region.shared, region, alone=True), Region(region.shared, region)
    steps.running.update((f.join.output, name) for f, name in before.items() if name is not None)
    _sequence(steps, bodies[0], positions, nest.space)
    region.shared.place = place
    results = _Results()
    around = above(steps.plan, nest.space)
    for f, name in before.items():
        absent = steps.joins.full if f.join.output.space in around else steps.joins.empty
        other = name or absent(bodies[1], steps.type(f.join.output), f.join.output.space)
        results.both((steps.running[f.join.output], other), *_described(steps, f.join))
    leaving = _leaving(steps, bodies, results, number)
    told, noted = _noted(steps, bodies, results, number)
    _forget(steps, bodies[0], blocks)
    if not results.types:
        return
    names = branch(region, condition, bodies, results.sides, results.types)
    steps.running.update((f.join.output, names[i]) for i, f in enumerate(before))
    steps.values.update((slot, names[i]) for slot, i in leaving.given)
    rows.entry.update((id, names[i]) for id, i in leaving.entered)
    rows.seen.update((pair, names[i]) for pair, i in leaving.moved)
    steps.noted.update(entries(Ledger(names[noted], told)))


@dataclass(frozen=True)
class _Leaving:
    """What a nest yields beside joins, with the places of the results."""

    given: list[tuple[Slot, int]]
    entered: list[tuple[SpaceId, int]]
    moved: list[tuple[Pair, int]]


def _leaving(steps: Steps, bodies: tuple[Region, Region], results: _Results, number: int) -> _Leaving:
    nest, crossing, rows = steps.plan.nests[number], steps.crossing, steps.rows
    blocks = steps.plan.blocks[nest.first : nest.stop]
    given = [(s, _give(steps, bodies, results, 0, s)) for b in blocks for s in b.gives if s in crossing.slots[number]]
    spaces = [step.space for block in blocks for step in block.steps if isinstance(step, Enter)]
    entered = [(id, _enter(steps, bodies, results, 0, id)) for id in spaces if id in crossing.entries[number]]
    places = ((pair, _moved(steps, bodies, results, *pair)) for pair in crossing.places[number])
    moved = [(pair, place) for pair, place in places if place is not None]
    for id in spaces:
        rows.entry.pop(id, None)
    return _Leaving(given, entered, moved)


def _noted(steps: Steps, bodies: tuple[Region, Region], results: _Results, number: int) -> tuple[tuple[Slot, ...], int]:
    """What only the trace reads of a nest, and the place of the result that holds it."""
    nest, told = steps.plan.nests[number], steps.crossing.told[number]
    held = [slot for block in steps.plan.blocks[nest.first : nest.stop] for slot in block.gives if slot in told]
    if not held:
        return (), 0
    own = [slot for slot in held if slot not in steps.noted]
    inner = [*dict.fromkeys(steps.noted[slot].ledger for slot in held if slot in steps.noted)]
    name, slots = write(bodies[0], own, inner, steps.value, lambda slot: steps.type(slot).rank)
    none = bodies[1].node("Constant", [], value=NO_ENTRIES)
    return slots, results.add(0, name, none, Dtype.I64, [None])


def _moved(
    steps: Steps, bodies: tuple[Region, Region], results: _Results, lower: SpaceId, upper: SpaceId
) -> int | None:
    """Where the rows of a space lie in one above it; None: it has them all."""
    places = steps.rows.places(bodies[0], lower, upper)
    if places is None:
        return None
    none = bodies[1].node("Constant", [], value=NO_PLACES)
    return results.add(0, places, none, Dtype.I64, [None, 1])


def _forget(steps: Steps, body: Region, blocks: Sequence[Block]) -> None:
    """Values that only a body sees are found no more."""
    for slot in (s for block in blocks for step in block.steps for s in outputs_of(step)):
        if steps.values.get(slot) in body.own:
            del steps.values[slot]
        steps.raw.pop(slot, None)
    for pair in [pair for pair, name in steps.rows.seen.items() if name in body.own]:
        del steps.rows.seen[pair]


def _place(steps: Steps, id: SpaceId) -> Place:
    name = steps.rows.space(id).name
    return Place(f"/rows/{name}", f"rows/{name}")


def _ordered(steps: Steps, position: int, paired: bool) -> Sequence[int]:
    """A block and, if there is one, its other side: first that of a yes, which needs no Not."""
    if not paired:
        return [position]
    space = steps.rows.space(steps.plan.blocks[position].space)
    yes = all(choice.arms == (1,) for term in space.terms for choice in term)
    return [position, position + 1] if yes else [position + 1, position]


def _wrapped(steps: Steps, root: Region, positions: Sequence[int]) -> None:
    """One flat If around a block; not run, it yields no rows, false conditions, and joins as they were. A second block
    is its other side."""
    blocks = [steps.plan.blocks[position] for position in positions]
    rows, space = steps.rows, steps.rows.space(blocks[0].space)
    root.shared.place = place = _place(steps, space.id)
    if blocks[0].wrap is Wrap.ANY:
        condition = rows.any_row(root, space.id, steps.fusion.outer(positions[0]))
    else:
        condition = rows.condition(root, space.id)
    writes = _writes(steps, positions)
    bases = [_before(steps, root, pair) for pair in writes]
    bodies = Region(root.shared, root, alone=True), Region(root.shared, root, alone=True)
    for body, block in zip(bodies, blocks, strict=False):
        for step in block.steps:
            steps.emit(body, step, block.space)
    root.shared.place = place
    results = _Results()
    written = [_write(steps, bodies, results, pair, base) for pair, base in zip(writes, bases, strict=True)]
    given: list[tuple[Slot, int]] = []
    entered: list[tuple[SpaceId, int]] = []
    recorded: list[tuple[NodeId, int]] = []
    for side, block in enumerate(blocks):
        given += [(s, _give(steps, bodies, results, side, s)) for s in block.gives if s in steps.fusion.needed]
        spaces = [step.space for step in block.steps if isinstance(step, Enter)]
        entered += [(id, _enter(steps, bodies, results, side, id)) for id in spaces]
        recorded += [(id, _record(steps, bodies[1 - side], results, side, id)) for id in _loops(steps, block)]
        _forget(steps, bodies[side], [block])
    if not results.types:
        return
    names = branch(root, condition, bodies, results.sides, results.types)
    steps.values.update((slot, names[i]) for slot, i in given)
    rows.entry.update((id, names[i]) for id, i in entered)
    for id, first in recorded:
        steps.turns[id] = steps.turns[id].named(names[first:])
    for pair, i in zip(writes, written, strict=True):
        steps.running.update((fused.join.output, names[i]) for fused in pair if fused is not None)


_Pair = tuple[FusedWrite | None, FusedWrite | None]
"""What two blocks write to one join."""


def _writes(steps: Steps, positions: Sequence[int]) -> list[_Pair]:
    """The fused writes of one block, or of two: by join."""
    first, *other = (steps.fusion.writes.get(position, ()) for position in positions)
    second = {fused.join.output: fused for fused in (other[0] if other else ())}
    pairs: list[_Pair] = [(fused, second.pop(fused.join.output, None)) for fused in first]
    return [*pairs, *((None, fused) for fused in second.values())]


def _before(steps: Steps, root: Region, pair: _Pair) -> str | None:
    """What the writes of a pair go over; None: nothing yet."""
    return _previous(steps, root, min((f for f in pair if f is not None), key=lambda f: f.position))


def _previous(steps: Steps, region: Region, fused: FusedWrite) -> str | None:
    """What a write goes over; None: nothing yet."""
    known = steps.running.get(fused.join.output)
    return known or (None if fused.position else steps.base(region, fused.join))


def _write(steps: Steps, bodies: tuple[Region, Region], results: _Results, pair: _Pair, previous: str | None) -> int:
    join = next(fused.join for fused in pair if fused is not None)
    first, second = (
        (previous or _untouched(steps, body, join)) if fused is None else _written(steps, body, fused, previous)
        for body, fused in zip(bodies, pair, strict=True)
    )
    return results.both((first, second), *_described(steps, join))


def _described(steps: Steps, join: Join) -> tuple[Dtype, Sequence[Dimension]]:
    """Type of a join that an If yields."""
    type, space = steps.type(join.output), join.output.space
    dims = steps.dims(type, space)
    if type.batch is not None and space != ROOT:
        dims[type.batch] = None  # where the join's own space is not run, zeros have a row and what went before has none
    return type.dtype, dims


def _untouched(steps: Steps, body: Region, join: Join) -> str:
    """A join to which nothing was written yet."""
    return steps.joins.full(body, steps.type(join.output), join.output.space)


def _written(steps: Steps, body: Region, fused: FusedWrite, previous: str | None) -> str:
    """A join with one more write, in the body that computes its value."""
    join = fused.join
    type, space = steps.type(join.output), join.output.space
    value = steps.arm(body, join, fused.write)
    source = fused.write.value.space
    index = steps.rows.places(body, source, space)
    over = previous or ("" if index is None else steps.joins.full(body, type, space))
    return steps.joins.overwrite(body, over, value, type, source, space, join.lay)


def _give(steps: Steps, bodies: tuple[Region, Region], results: _Results, side: int, slot: Slot) -> int:
    type = steps.type(slot)
    empty = steps.joins.empty(bodies[1 - side], type, slot.space)
    value = steps.value(bodies[side], slot)
    return results.add(side, value, empty, type.dtype, steps.dims(type, slot.space, open=True))


def _loops(steps: Steps, block: Block) -> list[NodeId]:
    """The loops of a block that recorded something."""
    return [s.node for s in block.steps if isinstance(s, Run) and s.node in steps.turns]


def _record(steps: Steps, other: Region, results: _Results, side: int, id: NodeId) -> int:
    """What the turns of a loop recorded; where its block is not run, there was no turn. The place of the first."""
    first = len(results.types)
    for record in steps.turns[id].kept():
        absent = other.constant(np.zeros(record.of_no_turn, NUMPY[record.dtype]))
        results.add(side, record.value, absent, record.dtype, [None] * (record.rank + 1))
    return first


def _enter(steps: Steps, bodies: tuple[Region, Region], results: _Results, side: int, id: SpaceId) -> int:
    entry, other = steps.rows.entry[id], bodies[1 - side]
    if steps.rows.space(id).strategy is Strategy.BRANCH:
        return results.add(side, entry, other.node("Constant", [], value=FALSE), Dtype.BOOL, [])
    return results.add(side, entry, other.node("Constant", [], value=NO_ROWS), Dtype.BOOL, [None])
