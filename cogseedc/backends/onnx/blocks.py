"""Spells the blocks of a plan, one after another: bare, or each inside one flat If. Decides nothing but names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cogseedc.backends.onnx.builder import Place, Region, branch
from cogseedc.backends.onnx.fusion import FusedWrite, outputs_of
from cogseedc.backends.onnx.steps import Steps
from cogseedc.backends.onnx.tensors import NUMPY, Dimension
from cogseedc.backends.plan.model import ROOT, Block, Enter, Join, Run, Slot, SpaceId, Strategy, Wrap
from cogseedc.ir import Dtype, NodeId

FALSE = np.array(False)
NO_ROWS = np.zeros([0], np.bool_)


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
    blocks = steps.plan.blocks
    for position, block in enumerate(blocks):
        if block.wrap is Wrap.NONE:
            for step in block.steps:
                steps.emit(root, step, block.space)
        elif not block.otherwise:
            last = position + 1 < len(blocks) and blocks[position + 1].otherwise
            _wrapped(steps, root, _ordered(steps, position, last))


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
    root.shared.place = place = Place(f"/rows/{space.name}", f"rows/{space.name}")
    condition = rows.any_row(root, space.id) if blocks[0].wrap is Wrap.ANY else rows.condition(root, space.id)
    writes = _writes(steps, positions)
    bases = [_previous(steps, root, pair) for pair in writes]
    bodies = Region(root.shared, root), Region(root.shared, root)
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
        for slot in (s for step in block.steps for s in outputs_of(step)):
            if steps.values.get(slot) in bodies[side].own:
                del steps.values[slot]
            steps.raw.pop(slot, None)
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


def _previous(steps: Steps, root: Region, pair: _Pair) -> str | None:
    """What fused writes go over; None: nothing yet."""
    fused = min((fused for fused in pair if fused is not None), key=lambda fused: fused.position)
    if fused.position:
        return steps.running[fused.join.output]
    return steps.base(root, fused.join)


def _write(steps: Steps, bodies: tuple[Region, Region], results: _Results, pair: _Pair, previous: str | None) -> int:
    join = next(fused.join for fused in pair if fused is not None)
    type, space = steps.type(join.output), join.output.space
    first, second = (_side(steps, body, fused, join, previous) for body, fused in zip(bodies, pair, strict=True))
    dims = steps.dims(type, space)
    if type.batch is not None and space != ROOT:
        dims[type.batch] = None  # where the join's own space is not run, zeros have a row and what went before has none
    return results.both((first, second), type.dtype, dims)


def _side(steps: Steps, body: Region, fused: FusedWrite | None, join: Join, previous: str | None) -> str:
    """A join in one body: written, or as it was."""
    type, space = steps.type(join.output), join.output.space
    if fused is None:
        return previous or steps.joins.full(body, type, space)
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
        absent = other.constant(np.zeros([0] * (record.rank + 1), NUMPY[record.dtype]))
        results.add(side, record.value, absent, record.dtype, [None] * (record.rank + 1))
    return first


def _enter(steps: Steps, bodies: tuple[Region, Region], results: _Results, side: int, id: SpaceId) -> int:
    entry, other = steps.rows.entry[id], bodies[1 - side]
    if steps.rows.space(id).strategy is Strategy.BRANCH:
        return results.add(side, entry, other.node("Constant", [], value=FALSE), Dtype.BOOL, [])
    return results.add(side, entry, other.node("Constant", [], value=NO_ROWS), Dtype.BOOL, [None])
