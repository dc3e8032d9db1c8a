"""Spells what is computed with the channels that gates chose: a part of the weights is gathered by the decisions. Where
samples choose by themselves, a `Loop` takes them one by one, as a convolution has one weight for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import TensorProto

from cogseedc.analysis.channels import Layer
from cogseedc.analysis.kept import Choice, Kept, Part
from cogseedc.backends.onnx.builder import Region
from cogseedc.backends.onnx.calls import CallSite
from cogseedc.backends.onnx.joins import runs_whole
from cogseedc.backends.onnx.steps import Steps
from cogseedc.backends.onnx.tensors import NUMPY, info
from cogseedc.backends.plan.model import ROOT, Picked, Slot, SpaceId
from cogseedc.diagnostics import InternalError
from cogseedc.ir import BATCH_SIZE, Call, Dtype, Size, TensorType, Value


def emit_picked(steps: Steps, region: Region, step: Picked, space: SpaceId) -> str:
    """Adds the step to `region`; the name of its result."""
    given = {slot: steps.value(region, slot) for slot in step.reads()}
    type = steps.type(step.output)
    for slot in (*([] if step.base is None else [step.base]), *step.further):
        given[slot] = steps.joins.expand(region, given[slot], steps.type(slot), type, space)
    alone = steps.batch_one and runs_whole(steps.rows, space, ROOT)
    if alone or not step.region.apart(steps.plan.graph):
        return _Part(steps, region, step, space, given, None).run()
    body = Region(region.shared, region)
    turn, going = body.declare("turn"), body.declare("going")
    sample = body.node("Reshape", [turn, body.constant(np.array([1], np.int64))])
    found = _Part(steps, body, step, space, given, sample).run()
    one = type.with_axes(type.axes[1:])
    result = body.node("Squeeze", [found, body.constant(np.array([0], np.int64))])
    names = body.results([going, result])
    inputs = [info(turn, Dtype.I64, []), info(going, Dtype.BOOL, [])]
    outputs = [info(names[0], Dtype.BOOL, []), info(names[1], one.dtype, steps.dims(one, space))]
    samples = steps.sizes.scalar(region, BATCH_SIZE, space)
    (all_samples,) = region.nodes_of("Loop", [samples, region.constant(np.array(True))], 1)
    region.attach("body", body, inputs, outputs)
    return steps.joins.all_turns(region, all_samples, one, space)


class _PartSite(CallSite):
    """A call on a part of its operands: no size of it is asked."""

    def size(self, size: Size) -> str:
        raise InternalError("an operation on a part asks for a size")

    def sizes(self, sizes: Sequence[Size]) -> str:
        raise InternalError("an operation on a part asks for sizes")


@dataclass
class _Part:
    """One step while it is written: for one `sample` (an index [1]), or for all that there are."""

    steps: Steps
    region: Region
    step: Picked
    space: SpaceId
    given: dict[Slot, str]
    sample: str | None
    made: dict[Value, str] = field(default_factory=dict)
    """What was computed for the chosen channels."""
    mask: str = ""
    channels: str = ""

    def run(self) -> str:
        choice = self.step.region.choice
        if choice is not None:
            self.mask = self._taken(choice)
            self.channels = self._listed(self.mask)
        listed: dict[Kept, str] = {}
        for layer, slots in zip(self.step.region.layers, self.step.operands, strict=True):
            if layer.kept is not None and layer.kept not in listed:
                listed[layer.kept] = self._listed(self._joined([self._side(part) for part in layer.kept.parts]))
            self._layer(layer, slots, None if layer.kept is None else listed[layer.kept])
        result = self.made[self.step.region.result]
        if choice is None:
            return result
        return self._among(result, self.steps.type(self.step.output), self.step.region.axis, self._start())

    def _start(self) -> str | None:
        """What the other channels have; None: zero."""
        step, region = self.step, self.region
        start = None if step.base is None else self._of_sample(self.given[step.base])
        type = self.steps.type(step.output)
        for (choice, _), slot in zip(step.region.further, step.further, strict=True):
            mask = self._taken(choice)
            behind = type.rank - 1 - step.region.axis
            mask = region.node("Unsqueeze", [mask, self._ints(*range(1, behind + 1))]) if behind else mask
            zero = region.constant(np.zeros([], NUMPY[type.dtype]))
            start = region.node("Where", [mask, self._of_sample(self.given[slot]), zero if start is None else start])
        return start

    def _ints(self, *values: int) -> str:
        return self.region.constant(np.array(values, np.int64))

    # Channels

    def _taken(self, choice: Choice) -> str:
        """bool [channels]: where a gate took an arm."""
        gate, arm = choice
        slot = self.step.decisions[self.step.region.gates().index(gate)]
        mask = self.given[slot]
        if self.steps.type(slot).batch is not None:
            mask = self.region.node("Reshape", [self._of_sample(mask), self._ints(-1)])
        if self.steps.type(slot).dtype is not Dtype.BOOL:
            return self.region.node("Equal", [mask, self.region.constant(np.array(arm, np.int64))])
        return mask if arm else self.region.node("Not", [mask])

    def _side(self, part: Part) -> str:
        """bool [channels]: which of these may differ from zero."""
        if not part.taken:
            assert part.size.value is not None, "weights have known sizes"
            return self.region.constant(np.full([part.size.value], part.taken is None))
        masks = [self._taken(choice) for choice in part.taken]
        found = masks[0]
        for mask in masks[1:]:
            found = self.region.node("Or", [found, mask])
        return found

    def _joined(self, masks: list[str]) -> str:
        return masks[0] if len(masks) == 1 else self.region.node("Concat", masks, axis=0)

    def _flags(self, mask: str) -> str:
        return self.region.node("Cast", [mask], to=TensorProto.INT64)

    def _listed(self, mask: str) -> str:
        """The channels of a mask; of an empty one the first: not every kernel takes none."""
        region, flags = self.region, self._flags(mask)
        none = region.node("Sub", [self._ints(1), region.node("ReduceMax", [flags], keepdims=1)])
        first = region.node("ScatterElements", [flags, self._ints(0), none], axis=0, reduction="add")
        return region.node("Reshape", [region.node("NonZero", [first]), self._ints(-1)])

    def _among(self, value: str, type: TensorType, axis: int, start: str | None) -> str:
        """What was computed, among all channels of a value of `type`: the others are those of `start`, or zero."""
        region, flags = self.region, self._flags(self.mask)
        sums = region.node("CumSum", [flags, region.constant(np.array(0, np.int64))])
        size = type.shape[axis].value
        assert size is not None, "weights have known sizes"
        if start is None:
            zero = np.zeros([1], NUMPY[type.dtype])
            start = region.node("ConstantOfShape", [self._one_channel(type, axis)], value=zero)
            place = region.node("Mul", [sums, flags])
        else:
            after = region.node("Add", [sums, region.constant(np.array(size - 1, np.int64))])
            place = region.node("Where", [self.mask, after, self._ints(*range(size))])
        return region.node("Gather", [region.node("Concat", [start, value], axis=axis), place], axis=axis)

    def _one_channel(self, type: TensorType, axis: int) -> str:
        """The shape of a value with one channel."""
        shape = [Size.of(1) if i == axis or (i == 0 and self.sample) else size for i, size in enumerate(type.shape)]
        return self.steps.sizes.vector(self.region, shape, self.space)

    # Layers

    def _layer(self, layer: Layer, slots: tuple[Slot | None, ...], kept: str | None) -> None:
        steps, region = self.steps, self.region
        node = steps.plan.graph[layer.node]
        assert isinstance(node, Call)
        args = [self._operand(layer, slot, axis) for slot, axis in zip(slots, layer.axes, strict=True)]
        if kept is not None:  # what is zero adds nothing: neither it nor its part of the weights is read
            assert layer.kept is not None
            for port, axis in ((0, layer.kept.axis), (1, 1)):
                args[port] = region.node("Gather", [args[port], kept], axis=axis)
        inputs, types = layer.types(steps.plan.graph)
        found = steps.ops[node.op].onnx(_PartSite(region, steps.sizes, self.space, node, args, inputs, types))
        assert isinstance(found, str)
        if layer.whole:
            found = region.node("Gather", [found, self.channels], axis=layer.axes[0])
        self.made[Value(layer.node)] = found

    def _operand(self, layer: Layer, slot: Slot | None, axis: int | None) -> str:
        """What a layer reads of a value."""
        if slot is None:
            return ""
        own = self.made.get(Value(slot.node, slot.port))
        if own is not None:
            return self._among(own, slot.whole(self.steps.plan.graph), axis, None) if layer.whole and axis else own
        value = self.given[slot]
        if self.steps.type(slot).batch is not None:
            value = self._of_sample(value)
        return value if axis is None or layer.whole else self.region.node("Gather", [value, self.channels], axis=axis)

    def _of_sample(self, value: str) -> str:
        """Of a value with samples, the one that is computed."""
        return value if self.sample is None else self.region.node("Gather", [value, self.sample], axis=0)
