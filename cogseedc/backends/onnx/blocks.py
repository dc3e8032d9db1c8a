"""Spells the blocks of a plan, one after another: bare, or each inside one flat If. Decides nothing but names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cogseedc.backends.onnx.builder import Place, Region, branch
from cogseedc.backends.onnx.fusion import FusedWrite, outputs_of
from cogseedc.backends.onnx.steps import Steps
from cogseedc.backends.onnx.tensors import Dimension
from cogseedc.backends.plan.model import ROOT, Block, Enter, Run, Slot, SpaceId, Strategy, Wrap
from cogseedc.ir import Dtype, NodeId

FALSE = np.array(False)
NO_ROWS = np.zeros([0], np.bool_)


@dataclass
class _Results:
    """What an If yields: the name in its body, the name when the body is not run, the type."""

    then: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    types: list[tuple[Dtype, Sequence[Dimension]]] = field(default_factory=list)

    def add(self, then: str, other: str, dtype: Dtype, dims: Sequence[Dimension]) -> int:
        self.then.append(then)
        self.other.append(other)
        self.types.append((dtype, dims))
        return len(self.then) - 1


def emit_blocks(steps: Steps, root: Region) -> None:
    """All blocks of the plan, in order."""
    steps.region = root
    for position, block in enumerate(steps.plan.blocks):
        if block.wrap is Wrap.NONE:
            for step in block.steps:
                steps.emit(root, step, block.space)
        else:
            _wrapped(steps, root, block, steps.fusion.writes.get(position, ()))


def _wrapped(steps: Steps, root: Region, block: Block, writes: Sequence[FusedWrite]) -> None:
    """One flat If around a block; not run, it yields no rows, false conditions, and joins as they were."""
    space = steps.rows.space(block.space)
    root.shared.place = place = Place(f"/rows/{space.name}", f"rows/{space.name}")
    rows = steps.rows
    condition = rows.any_row(root, block.space) if block.wrap is Wrap.ANY else rows.condition(root, block.space)
    bases = [_previous(steps, root, fused) for fused in writes]
    then, other = Region(root.shared, root), Region(root.shared, root)
    for step in block.steps:
        steps.emit(then, step, block.space)
    root.shared.place = place
    results = _Results()
    written = [_write(steps, then, other, results, *pair) for pair in zip(writes, bases, strict=True)]
    given = [(s, _give(steps, then, other, results, s)) for s in block.gives if s in steps.fusion.needed]
    entered = [
        (s.space, _enter(steps, other, results, s.space, block.space)) for s in block.steps if isinstance(s, Enter)
    ]
    recorded = [(id, _record(steps, other, results, id)) for id in _loops(steps, block)]
    for slot in (s for step in block.steps for s in outputs_of(step)):
        if steps.values.get(slot) in then.own:
            del steps.values[slot]
    if not results.then:
        return
    names = branch(root, condition, (then, other), (results.then, results.other), results.types)
    steps.values.update((slot, names[i]) for slot, i in given)
    steps.rows.entry.update((id, names[i]) for id, i in entered)
    for id, first in recorded:
        steps.turns[id] = steps.turns[id].named(names[first:])
    steps.running.update((fused.join.output, names[i]) for fused, i in zip(writes, written, strict=True))


def _previous(steps: Steps, root: Region, fused: FusedWrite) -> str | None:
    """What a fused write goes over; None: nothing yet."""
    if fused.position:
        return steps.running[fused.join.output]
    return steps.base(root, fused.join)


def _write(
    steps: Steps, then: Region, other: Region, results: _Results, fused: FusedWrite, previous: str | None
) -> int:
    output = fused.join.output
    type = steps.type(output)
    value = steps.arm(then, fused.join, fused.write)
    source = fused.write.value.space
    index = steps.rows.places(then, source, output.space)
    over = previous or ("" if index is None else steps.joins.full(then, type, output.space))
    written = steps.joins.overwrite(then, over, value, type, source, output.space, fused.join.lay)
    kept = previous or steps.joins.full(other, type, output.space)
    dims = steps.dims(type, output.space)
    if type.batch is not None and output.space != ROOT:
        dims[type.batch] = None  # where the join's own space is not run, zeros have a row and what went before has none
    return results.add(written, kept, type.dtype, dims)


def _give(steps: Steps, then: Region, other: Region, results: _Results, slot: Slot) -> int:
    type = steps.type(slot)
    empty = steps.joins.empty(other, type, slot.space)
    return results.add(steps.value(then, slot), empty, type.dtype, steps.dims(type, slot.space, open=True))


def _loops(steps: Steps, block: Block) -> list[NodeId]:
    """The loops of a block that recorded something."""
    return [s.node for s in block.steps if isinstance(s, Run) and s.node in steps.turns]


def _record(steps: Steps, other: Region, results: _Results, id: NodeId) -> int:
    """What the turns of a loop recorded; where its block is not run, there was no turn. The place of the first."""
    first = len(results.then)
    turns = steps.turns[id]
    for value, rank in [*((v, t.rank) for _, v, t in turns.gates), *((v, 0) for _, v in turns.rows)]:
        absent = other.constant(np.zeros([0] * (rank + 1), np.int64))
        results.add(value, absent, Dtype.I64, [None] * (rank + 1))
    return first


def _enter(steps: Steps, other: Region, results: _Results, id: SpaceId, block: SpaceId) -> int:
    space = steps.rows.space(id)
    entry = steps.rows.entry[id]
    if space.strategy is Strategy.BRANCH:
        return results.add(entry, other.node("Constant", [], value=FALSE), Dtype.BOOL, [])
    return results.add(entry, other.node("Constant", [], value=NO_ROWS), Dtype.BOOL, [None])
