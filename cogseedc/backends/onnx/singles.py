"""A join of arms that are alike but for their weights, in one If: of one row by itself its arm is computed, with
weights that are picked; of more rows, or of none, all arms are, each at its own rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from cogseedc.backends.onnx.builder import Region, branch
from cogseedc.backends.onnx.fusion import outputs_of
from cogseedc.backends.onnx.steps import Steps, place_of
from cogseedc.backends.plan.model import ROOT, Accumulate, Join, Single, Slot, Take
from cogseedc.ir import Gate, GateKind


def emit_single(steps: Steps, region: Region, step: Join | Accumulate, single: Single) -> None:
    """Adds the If to `region`, and says where the join is."""
    bodies = Region(region.shared, region, alone=True), Region(region.shared, region, alone=True)
    place = region.shared.place = place_of(steps.plan.graph[step.node], step.node)
    alone, arm = _asked(steps, region, bodies[0], single)
    one = _one(steps, bodies[0], step, single, arm)
    weights = {slot: _own(steps, bodies[1], slot) for slots in single.weights for slot in slots}
    steps.values.update(weights)
    for id in single.blocks:
        for inner in steps.plan.blocks[id].steps:
            steps.emit(bodies[1], inner, steps.plan.blocks[id].space)
    steps.emit(bodies[1], step, ROOT)
    joined = steps.values[step.output]
    region.shared.place = place
    _forget(steps, single.blocks, weights)
    type = steps.type(step.output)
    given = [(type.dtype, steps.dims(type, ROOT))]
    (steps.values[step.output],) = branch(region, alone, bodies, ([one], [joined]), given)


def _asked(steps: Steps, region: Region, body: Region, single: Single) -> tuple[str, str]:
    """Whether there is one row that takes one arm; then, seen in `body`, which one."""
    gate = steps.plan.graph[single.decision.node]
    assert isinstance(gate, Gate)
    decision = steps.value(region, single.decision)
    size = region.node("Size", [decision])
    if gate.kind is GateKind.ONE:
        return region.node("Equal", [size, region.constant(np.array(1, np.int64))]), body.node(
            "Reshape", [decision, body.constant(np.zeros([0], np.int64))]
        )
    taken = region.node("NonZero", [decision])  # a row and an arm each
    both = region.node("Mul", [size, region.node("Size", [taken])])
    alone = region.node("Equal", [both, region.constant(np.array(2 * gate.arms, np.int64))])
    return alone, body.node("ReduceSum", [taken], keepdims=0)  # the row is 0


def _one(steps: Steps, body: Region, step: Join | Accumulate, single: Single, arm: str) -> str:
    """The join of one row: the first arm, with the weights of the row's own."""
    block, place = steps.plan.blocks[single.blocks[0]], body.shared.place
    picked = {slots[0]: _picked(steps, body, slots, arm) for slots in single.weights}
    steps.values.update(picked)
    steps.rows.alone = block.space
    for inner in block.steps:
        if isinstance(inner, Take):
            steps.values[inner.target] = steps.value(body, inner.source)
        else:
            steps.emit(body, inner, block.space)
    write = next(write for write in step.writes if write.value.space == block.space)
    value = steps.value(body, write.value)
    steps.rows.alone = None
    _forget(steps, [block.id], picked)
    body.shared.place = place
    if write.weight is None:
        return value
    dense = steps.value(body, Slot(write.weight.node, write.weight.port, ROOT))
    return body.node("Mul", [value, body.node("Gather", [dense, body.node("Reshape", [arm, _ints(body, 1)])], axis=1)])


def _picked(steps: Steps, body: Region, slots: Sequence[Slot], arm: str) -> str:
    """One of several weights of one shape; ONNX Runtime lays them beside each other when it opens the model."""
    each = [body.node("Unsqueeze", [steps.value(body, slot), _ints(body, 0)]) for slot in slots]
    return body.node("Gather", [body.node("Concat", each, axis=0), arm], axis=0)


def _own(steps: Steps, body: Region, slot: Slot) -> str:
    """A weight as the body's own: what an If reads from outside takes a tenth of a microsecond each, run or not. ONNX
    Runtime computes it when it opens the model."""
    same = np.zeros([steps.type(slot).rank], np.int64)  # 0 copies the size
    return body.node("Reshape", [steps.value(body, slot), body.constant(same)])


def _ints(region: Region, *values: int) -> str:
    return region.constant(np.array(values, np.int64))


def _forget(steps: Steps, blocks: Sequence[int], weights: Iterable[Slot]) -> None:
    """What arms give, and their weights, are seen in the body that they were made in."""
    made = [slot for id in blocks for step in steps.plan.blocks[id].steps for slot in outputs_of(step)]
    for slot in (*made, *weights):
        steps.values.pop(slot, None)
