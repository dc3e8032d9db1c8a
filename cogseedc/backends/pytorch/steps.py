"""Statements of one block: each step of the plan in the words of PyTorch."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cogseedc.backends.plan.model import (
    Accumulate,
    Choice,
    Enter,
    Join,
    Picked,
    Run,
    Space,
    SpaceId,
    Spread,
    Step,
    Strategy,
    Take,
    Tiled,
)
from cogseedc.backends.pytorch.body import Body, Device, Record, Rows, Symbol, Taken, spread_out
from cogseedc.backends.pytorch.channels import picked
from cogseedc.backends.pytorch.literal import literal
from cogseedc.backends.pytorch.merges import accumulate, dense, join
from cogseedc.backends.pytorch.program import Program, Target
from cogseedc.backends.pytorch.tiles import tiled
from cogseedc.diagnostics import InternalError
from cogseedc.ir import BATCH, BATCH_SIZE, Attrs, Call, Gate, GateKind, Loop, Merge, Size, TensorType

__all__ = ["emit_step"]

_BARE = re.compile(r"\([^()]*\)")
"""An expression in one pair of parentheses."""


class _Call:
    """What an operation's spelling is asked with (see `TorchCall`)."""

    def __init__(self, program: Program, body: Body, node: Call, step: Run, space: SpaceId) -> None:
        self._program, self._body, self._space = program, body, space
        self.attrs: Attrs = node.attrs
        self.types: tuple[TensorType, ...] = tuple(program.type(s) for s in step.outputs)
        self.inputs: Sequence[TensorType | None] = [None if s is None else program.type(s) for s in step.inputs]
        self.args: Sequence[str | None] = [None if s is None else program.value(body, s) for s in step.inputs]

    def size(self, size: Size) -> str:
        return self._program.atom(self._body, size, self._space)

    def sizes(self, sizes: Sequence[Size]) -> str:
        return self._program.sizes(self._body, sizes, self._space)

    def device(self) -> str:
        return self._body.read(Device())

    def support(self, function: str) -> str:
        self._program.shared.support.add(function)
        return function


def emit_step(program: Program, body: Body, step: Step, space: SpaceId) -> None:
    """Adds the statements of a step that stands in a block of `space`."""
    match step:
        case Run():
            _run(program, body, step, space)
        case Enter():
            _enter(program, body, program.space(step.space))
        case Take():
            _take(program, body, step)
        case Spread():
            _spread(program, body, step)
        case Join():
            join(program, body, step, space)
        case Accumulate():
            accumulate(program, body, step, space)
        case Picked():
            picked(program, body, step, space)
        case Tiled():
            tiled(program, body, step, space, lambda: _everywhere(program, body, step, space))


def _run(program: Program, body: Body, step: Run, space: SpaceId) -> None:
    node = program.graph[step.node]
    match node:
        case Call() if (above := _rows_above(program, step, space)) is not None:
            _queries(program, body, node, step, space, above)
        case Call():
            text = program.shared.ops[node.op].torch(_Call(program, body, node, step, space))
            names = [program.define(body, slot) for slot in step.outputs]
            body.say(f"{', '.join(names)} = {text}", node.origin)
        case Gate():
            assert step.inputs[0] is not None
            operand = program.value(body, step.inputs[0])
            name = program.define(body, step.outputs[0])
            body.say(f"{name} = self.decide({literal(node.name)}, {operand})", node.origin)
        case Merge():
            dense(program, body, step, node)
        case Loop():
            method = program.loops[step.node]
            given = [program.value(body, slot) for slot in step.inputs if slot is not None]
            for key in method.parameters:
                rows = key == Symbol(BATCH)
                given.append(program.size(body, Size.symbol(BATCH), space) if rows else body.read(key))
            given.append(body.read(Record(step.node)))
            names = [program.define(body, slot) for slot in step.outputs]
            *lines, last = spread_out(f"{', '.join(names)} = self.{method.name}(", given, ")")
            body.lines += lines
            body.say(last, node.origin)
        case _:
            raise InternalError(f"the plan runs a {type(node).__name__}")


def _rows_above(program: Program, step: Run, space: SpaceId) -> SpaceId | None:
    """The space of an operand of which all positions are read, while the block is run for some."""
    if not program.space(space).grid:
        return None
    found = (s.space for s in step.inputs if s is not None and program.type(s).batch is not None)
    return next((above for above in found if not program.space(above).grid), None)


def _queries(program: Program, body: Body, node: Call, step: Run, space: SpaceId, above: SpaceId) -> None:
    """A call for some positions: they are laid out row by row, beside what is read in full."""
    program.shared.support |= {"places_of_queries", "pad_queries", "take_queries"}
    rows = program.rows(space, above)
    assert rows is not None
    size = program.size(body, program.space(program.compact(space)).grid[0], above)
    n = program.size(body, BATCH_SIZE, above)
    places, most = body.scope.free("places"), body.scope.free("most")
    body.say(f"{places}, {most} = places_of_queries({body.read(rows)}, {size}, {n})", node.origin)
    call = _Call(program, body, node, step, above)
    args = list(call.args)
    for i, slot in enumerate(step.inputs):
        if slot is not None and slot.lay:
            args[i] = body.scope.free("queries")
            body.say(f"{args[i]} = pad_queries({call.args[i]}, {places}, {n}, {most})", node.origin)
    call.args, call.types = args, node.types
    call.inputs = [None if s is None else s.whole(program.graph) for s in step.inputs]
    found = body.scope.free("answers")
    body.say(f"{found} = {program.shared.ops[node.op].torch(call)}", node.origin)
    body.say(f"{program.define(body, step.outputs[0])} = take_queries({found}, {places})", node.origin)


def _everywhere(program: Program, body: Body, step: Tiled, space: SpaceId) -> None:
    for run in step.dense:
        _run(program, body, run, space)


def _take(program: Program, body: Body, step: Take) -> None:
    source = program.value(body, step.source)
    text = program.taken(body, source, step.source, step.target)
    if text is not None:
        if step.target.lay or not source.isidentifier():  # beside positions, all of it may be read
            source = program.define(body, step.target)
        body.say(f"{source} = {text}", program.origin(step.source.node))
    body.alias(step.target, source)


def _spread(program: Program, body: Body, step: Spread) -> None:
    upper, lower = step.target.space, step.source.space
    source = program.value(body, step.source)
    condition = program.runs(body, lower, upper)
    type = program.type(step.target)
    zeros = program.filled(body, type, upper, "0")
    name = program.define(body, step.target)
    written = program.put(body, name, source, Target(lower, upper, type, step.source.lay))
    body.say(f"{name} = {zeros}", program.origin(step.source.node))
    body.say(f"if {condition}:")
    body.say(f"    {name} = {written}")


def _enter(program: Program, body: Body, space: Space) -> None:
    if space.strategy is Strategy.BRANCH:
        opposite = program.opposites.get(space.id)
        if opposite is not None and body.knows(Taken(opposite)):
            text = f"not {body.read(Taken(opposite))}"
        else:
            text = _joined(" or ", [_joined(" and ", [_is(program, body, c) for c in term]) for term in space.terms])
        body.say(f"{body.define(Taken(space.id))} = {text}")
        return
    width = 1 + len(space.grid)
    mask = _joined(" | ", [_joined(" & ", [_where(program, body, c, width) for c in term]) for term in space.terms])
    above = program.above(space.id)
    name = body.define(Rows(space.id, above))
    if space.grid:
        mask = f"({mask}).flatten()" if " " in mask or mask.startswith("~") else f"{mask}.flatten()"
    mask = mask[1:-1] if _BARE.fullmatch(mask) else mask
    body.say(f"{name} = torch.nonzero({mask}).squeeze(1)")
    for rows in program.composed.get(space.id, ()):
        outer = body.read(Rows(above, rows.above))
        text = f"{outer}.index_select(0, {name})"
        if program.placed(space.id, above):
            program.shared.support.add("rows_within")
            text = f"rows_within({name}, {program.sizes(body, space.grid, above)}, {outer})"
        body.say(f"{body.define(rows)} = {text}")


def _joined(sign: str, parts: Sequence[str]) -> str:
    if len(parts) == 1:
        return parts[0]
    return sign.join(f"({p})" if " " in p and not p.startswith("(") else p for p in parts)


def _where(program: Program, body: Body, choice: Choice, width: int) -> str:
    """A bool tensor over the rows (or over `width` axes of positions), or a scalar one: where a choice holds."""
    gate = program.graph[choice.decision.node]
    assert isinstance(gate, Gate)
    text = _holds(gate, program.value(body, choice.decision), choice)
    if choice.anywhere:
        text = f"{_operand(text)}.flatten(1).any(1)"
        return f"{text}[:{', None' * (width - 1)}]" if width > 1 else text
    rank = gate.type.rank - (gate.kind is GateKind.MANY)
    return f"({text})[:{', None' * (width - rank)}]" if 0 < rank < width else text


def _operand(text: str) -> str:
    return f"({text})" if text.startswith("~") or (" " in text and not text.startswith("(")) else text


def _holds(gate: Gate, decision: str, choice: Choice) -> str:
    if gate.kind is GateKind.MANY:
        return ("~" if choice.negated else "") + f"{decision}[..., {choice.arms[0]}]"
    if gate.kind is GateKind.BOOL:
        return decision if choice.arms == (1,) else f"~{decision}"
    return _of(decision, choice.arms, gate.arms, " | ")


def _of(decision: str, arms: tuple[int, ...], count: int, sign: str) -> str:
    left = [arm for arm in range(count) if arm not in arms]
    if len(arms) > 1 and len(left) == 1:
        return f"({decision} != {left[0]})"
    tests = sign.join(f"({decision} == {arm})" for arm in arms)
    return f"({tests})" if len(arms) > 1 else tests


def _is(program: Program, body: Body, choice: Choice) -> str:
    """A Python bool: whether the choice holds for the one decision that there is."""
    gate = program.graph[choice.decision.node]
    assert isinstance(gate, Gate)
    decision = program.value(body, choice.decision)
    if choice.anywhere:
        return f"bool({_operand(_holds(gate, decision, choice))}.any())"
    if gate.kind is GateKind.MANY:
        text = f"bool({decision}[..., {choice.arms[0]}])"
        return f"not {text}" if choice.negated else text
    if gate.kind is GateKind.BOOL:
        return f"bool({decision})" if choice.arms == (1,) else f"not bool({decision})"
    return _of(f"int({decision})", choice.arms, gate.arms, " or ")
