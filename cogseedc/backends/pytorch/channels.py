"""Statements that compute the arm of a join for the channels that each sample chose."""

from __future__ import annotations

from cogseedc.backends.plan.model import Picked, Slot, SpaceId
from cogseedc.backends.pytorch.body import Body
from cogseedc.backends.pytorch.program import Program
from cogseedc.backends.pytorch.tiles import Spelling
from cogseedc.ir import BATCH_SIZE, Call, Value


def picked(program: Program, body: Body, step: Picked, at: SpaceId) -> None:
    """Adds the statements of a step that stands in a block of `at`."""
    region, origin = step.region, program.origin(step.node)
    rows = program.rows(step.space, at)
    assert rows is not None
    program.shared.support.add("chosen_channels")
    type = program.type(step.output)
    size = program.size(body, program.space(step.space).grid[0], at)
    n = program.size(body, BATCH_SIZE, at)
    positions = body.read(rows)
    given = {slot: program.value(body, slot) for slot in step.reads()}
    base = given[step.base]
    if program.type(step.base).shape != type.shape:
        base = f"{base}.expand({program.sizes(body, type.shape, at)})"
    name = program.define(body, step.output)
    body.say(f"{name} = {base}.clone(memory_format=torch.contiguous_format)", origin)
    kept: dict[SpaceId, str] = {}
    for inner in step.kept:
        if inner is not None and inner not in kept:
            kept[inner] = body.scope.free("kept")
            program.shared.support.add("kept_channels")
            held, count = program.rows(inner, at), program.size(body, program.space(inner).grid[0], at)
            assert held is not None
            body.say(f"{kept[inner]} = kept_channels({body.read(held)}, {count}, {n})", origin)
    i, channels = body.scope.free("i"), body.scope.free("channels")
    body.say(f"for {i}, {channels} in chosen_channels({positions}, {size}, {n}):", origin)
    before = len(body.lines)
    made: dict[Value, str] = {}
    for (id, axes), slots, inner in zip(region.layers, step.operands, step.kept, strict=True):
        node = program.graph[id]
        assert isinstance(node, Call)
        args: list[str | None] = []
        for slot, axis in zip(slots, axes, strict=True):
            own = None if slot is None else made.get(Value(slot.node, slot.port))
            args.append(own if slot is None or own else _part(program, given, slot, axis, i, channels))
        if inner is not None:  # what is zero adds nothing: neither it nor its part of the weights is read
            args[:2] = [f"{arg}.index_select(1, {kept[inner]}[{i}])" for arg in args[:2]]
        inputs = [None if slot is None else slot.whole(program.graph) for slot in slots]
        text = program.shared.ops[node.op].torch(Spelling(program, body, node.attrs, args, inputs, node.types))
        slot = Slot(id, 0, at)
        program.want(slot)
        made[Value(id)] = body.scope.free(f"{program.wanted[slot]}_part")
        body.say(f"{made[Value(id)]} = {text}", node.origin)
    body.say(f"{name}[{i}].index_copy_({region.axis - 1}, {channels}, {made[region.result]}[0])", origin)
    body.lines[before:] = [f"    {line}" for line in body.lines[before:]]


def _part(program: Program, given: dict[Slot, str], slot: Slot, axis: int | None, i: str, channels: str) -> str:
    """What one sample reads of a value for its channels."""
    text = given[slot]
    if program.type(slot).batch is not None:
        text = f"{text}[{i} : {i} + 1]"
    return text if axis is None else f"{text}.index_select({axis}, {channels})"
