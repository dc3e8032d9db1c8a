"""Statements that bring arms together: a dense select or sum, rows written in order, rows added."""

from __future__ import annotations

from collections.abc import Sequence

from cogseedc.backends.plan.model import Accumulate, Join, Run, Slot, SpaceId, Write, at_positions
from cogseedc.backends.pytorch.body import Body
from cogseedc.backends.pytorch.literal import DTYPES
from cogseedc.backends.pytorch.program import Program, Target, aligned
from cogseedc.backends.pytorch.shares import Arm, shared
from cogseedc.ir import Lay, Merge, MergeMode


def dense(program: Program, body: Body, step: Run, node: Merge) -> None:
    """A merge of which every arm is there at all rows."""
    count = len(node.arms)
    fixed = 2 * count + node.otherwise + (node.mode is MergeMode.WEIGHTED_SUM)
    given = [program.value(body, s) for s in step.inputs[:fixed] if s is not None]
    gates = [s.node for s in step.inputs[:fixed] if s is not None]
    masks = [aligned(node, i, program.mask(gates[count + i], given[count + i], arm)) for i, arm in enumerate(node.arms)]
    otherwise = given[2 * count] if node.otherwise else None
    weights = given[-1] if node.mode is MergeMode.WEIGHTED_SUM else None
    if node.shares:
        shares = [None if s is None else program.value(body, s) for s in step.inputs[fixed:]]
        arms = [
            Arm(program, node, i, given[i], gates[count + i], masks[i], shares[i] if i < len(shares) else None)
            for i in range(count)
        ]
        lines = shared(node, arms, otherwise, weights)
    elif node.mode is MergeMode.SELECT:
        lines = _selected(given[:count], masks, otherwise)
    else:
        lines = _combined(program, node, given[:count], masks, weights)
        if otherwise is not None or node.mode is MergeMode.MAX:
            lines.append(f"torch.where({' | '.join(masks)}, {{}}, {otherwise or 0})")
    _chain(program, body, step.outputs[0], lines)


def _selected(values: Sequence[str], masks: Sequence[str], otherwise: str | None) -> list[str]:
    start = values[-1] if otherwise is None else otherwise
    last = len(values) - 1 if otherwise is None else len(values)
    if not last:
        return [start]
    lines = [f"torch.where({masks[last - 1]}, {values[last - 1]}, {start})"]
    return lines + [f"torch.where({masks[i]}, {values[i]}, {{}})" for i in reversed(range(last - 1))]


def _combined(
    program: Program, node: Merge, values: Sequence[str], masks: Sequence[str], weights: str | None
) -> list[str]:
    if node.mode is MergeMode.MAX:
        kind = "finfo" if node.type.dtype.floating else "iinfo"
        least = f"torch.{kind}({DTYPES[node.type.dtype]}).min" if kind == "iinfo" else 'float("-inf")'
        parts = [f"torch.where({m}, {v}, {least})" for m, v in zip(masks, values, strict=True)]
        return [parts[0], *(f"torch.maximum({{}}, {part})" for part in parts[1:])]
    if weights is not None:
        scales = [aligned(node, i, f"{weights}[..., {arm}]") for i, arm in enumerate(node.arms)]
        values = [f"{v} * {w}" for v, w in zip(values, scales, strict=True)]
    parts = [f"torch.where({m}, {v}, 0)" for m, v in zip(masks, values, strict=True)]
    lines = [parts[0], *(f"{{}} + {part}" for part in parts[1:])]
    if node.mode is MergeMode.MEAN:
        dtype = DTYPES[node.type.dtype]
        number = " + ".join(f"{m}.to({dtype})" if m[0] != "~" else f"({m}).to({dtype})" for m in masks)
        lines.append(f"{{}} / ({number}).clamp(min=1)")
    return lines


def _chain(program: Program, body: Body, output: Slot, expressions: Sequence[str]) -> None:
    """Statements that each go on with the result, `{}`, of the one before."""
    name = program.define(body, output)
    origin = program.origin(output.node)
    for expression in expressions:
        body.say(f"{name} = {expression.replace('{}', name)}", origin)


def join(program: Program, body: Body, step: Join, at: SpaceId) -> None:
    """Rows written over a base, in order."""
    node = program.graph[step.node]
    assert isinstance(node, Merge)
    origin = program.origin(step.node)
    type = program.type(step.output)
    values = [_value(program, body, w.value, node, step.lay) for w in step.writes]
    start = None if step.base is None else _value(program, body, step.base, node, step.lay, at)
    targets = [Target(w.value.space, at, type, step.lay) for w in step.writes]
    if start is None and not all(program.rows(t.lower, at) is None for t in targets):
        start = program.filled(body, type, at, "0")
    runs = [program.runs(body, t.lower, at) for t in targets]
    for target in targets:
        _read(program, body, target)
    name = program.define(body, step.output)
    if start is None:  # one of the branches is taken: the first, unless a later one is
        start = values[0]
        values, runs, targets = values[1:], runs[1:], targets[1:]
    body.say(f"{name} = {start}", origin)
    for value, condition, target in zip(values, runs, targets, strict=True):
        body.say(f"if {condition}:")
        body.say(f"    {name} = {program.put(body, name, value, target)}", origin)


def accumulate(program: Program, body: Body, step: Accumulate, at: SpaceId) -> None:
    """Rows of each arm added to zeros."""
    node = program.graph[step.node]
    assert isinstance(node, Merge)
    origin = program.origin(step.node)
    type = program.type(step.output)
    values = [_weighted(program, body, w, node, step.lay, i) for i, w in enumerate(step.writes)]
    targets = [Target(w.value.space, at, type, step.lay) for w in step.writes]
    runs = [program.runs(body, t.lower, at) for t in targets]
    for target in targets:
        _read(program, body, target)
    taken = [
        aligned(node, i, program.mask(c.decision.node, program.value(body, c.decision), c.arms[0]))
        for i, c in enumerate(step.taken)
    ]
    otherwise = None if step.otherwise is None else program.value(body, step.otherwise)
    start = program.filled(body, type, at, "0")
    name = program.define(body, step.output)
    body.say(f"{name} = {start}", origin)
    for value, condition, target in zip(values, runs, targets, strict=True):
        body.say(f"if {condition}:")
        body.say(f"    {name} = {program.put(body, name, value, target, add=True)}", origin)
    if otherwise is not None:
        body.say(f"{name} = torch.where({' | '.join(taken)}, {name}, {otherwise})", origin)


def _read(program: Program, body: Body, target: Target) -> None:
    """Makes what a write reads, before statements that run under a condition."""
    rows = program.rows(target.lower, target.upper)
    if rows is not None:
        body.read(rows)
        program.sizes(body, program.space(program.compact(target.lower)).grid, target.upper)


def _value(program: Program, body: Body, slot: Slot, node: Merge, lay: Lay, at: SpaceId | None = None) -> str:
    """The value, expanded where its type is narrower than what the merge gives, in its own space or `at` another."""
    space = slot.space if at is None else at
    text = program.value(body, slot)
    wanted = at_positions(node.type, lay if program.space(space).grid else ())
    if program.type(slot).shape == wanted.shape:
        return text
    return f"{text}.expand({program.sizes(body, wanted.shape, space)})"


def _weighted(program: Program, body: Body, write: Write, node: Merge, lay: Lay, arm: int) -> str:
    value = _value(program, body, write.value, node, lay)
    if write.weight is None:
        return value
    weight = f"{program.value(body, write.weight)}[..., {node.arms[arm]}]"
    return f"{value} * {aligned(node, arm, weight)}"
