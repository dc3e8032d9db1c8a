"""`repeat` and `scan`: the body is elaborated where it stands, then moved into a graph of its own.

A carry starts with the type of its initial value, with the axes of `until` added, and keeps it; a literal takes the
type of what follows it. The body is elaborated again when that changes a type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cogseedc.diagnostics import Label
from cogseedc.frontend import ast
from cogseedc.frontend.build.body import extract
from cogseedc.frontend.build.core import Builder, described
from cogseedc.frontend.build.costs import spent_in_turns
from cogseedc.frontend.build.decisions import condition
from cogseedc.frontend.build.model import Frame, GateRef, Item, Scope, Tensor, mistake
from cogseedc.frontend.build.regions import Results, carry_name, gate_axes, inner
from cogseedc.frontend.build.statics import integer
from cogseedc.frontend.build.trial import Trial
from cogseedc.ir import (
    Axis,
    Dtype,
    GateKind,
    Input,
    Loop,
    LoopKind,
    NodeId,
    Size,
    TensorType,
    Value,
    promote,
)
from cogseedc.source import Span

_TRIALS = 8
"""Elaborations of one body at most: each but the last widens a type, first dtypes, then axes."""


@dataclass(frozen=True, slots=True)
class Sequence_:
    """A value that is scanned: `tensor` along the axis at `position`."""

    name: str
    tensor: Tensor
    position: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """One tensor of a carry; a carry that is a tuple has several."""

    carry: int
    name: str
    item: Item
    type: TensorType
    literal: bool
    span: Span


@dataclass(frozen=True)
class Turn:
    """What one elaboration of the body gave."""

    start: int
    inputs: tuple[NodeId, ...]
    carries: list[Tensor]
    yields: list[Tensor]
    shape: list[Item]
    """The yields as they were written: tensors or tuples of tensors."""
    until: GateRef | None
    types: list[TensorType]
    """What the types of the carries should have been."""


def repeat(b: Builder, frame: Frame, expr: ast.Repeat) -> Item:
    """`repeat 12 with h = x until done { ... }`: at most so many turns, at least one."""
    limit = integer(b.evaluate(frame, expr.limit), expr.limit.span, "the number of turns")
    if limit < 1:
        raise mistake(
            "CS0428", f"the loop has {limit} turns, but it runs at least once", expr.limit.span, help="write 1 or more"
        )
    return _loop(b, frame, expr, LoopKind.REPEAT, Size.of(limit), ())


def scan(b: Builder, frame: Frame, expr: ast.Scan) -> Item:
    """`scan a, b in (xs, ys) over T with h = ... { ... }`: one turn per position of the axis."""
    given = b.evaluate(frame, expr.sequence)
    items = given if isinstance(given, tuple) and len(expr.variables) > 1 else (given,)
    if len(items) != len(expr.variables):
        raise mistake(
            "CS0219",
            f"{len(expr.variables)} names for {len(items)} sequences",
            expr.variables[0].span.to(expr.variables[-1].span),
            Label(expr.sequence.span, f"this gives {len(items)}"),
        )
    sequences: list[Sequence_] = []
    for variable, item in zip(expr.variables, items, strict=True):
        tensor = b.tensor(frame, item, expr.sequence.span)
        position = tensor.type.position(expr.axis.text)
        if position is None or position == tensor.type.batch:
            reason = "is the batch axis" if position is not None else f"`{tensor.type}` lacks"
            raise mistake(
                "CS0429",
                f"`scan` goes over {expr.axis.text}, which {reason}",
                expr.axis.span,
                Label(expr.sequence.span, f"this is {tensor.type}"),
                help="name an axis of the sequence that is not N",
            )
        if sequences:
            first = sequences[0].tensor.type.axes[sequences[0].position].size
            if not b.require_equal(first, tensor.type.axes[position].size, expr.sequence.span):
                raise mistake("CS0429", "the sequences have different lengths", expr.sequence.span)
        sequences.append(Sequence_(variable.text, tensor, position))
    steps = sequences[0].tensor.type.axes[sequences[0].position].size
    return _loop(b, frame, expr, LoopKind.SCAN, steps, sequences)


def _loop(
    b: Builder,
    frame: Frame,
    expr: ast.Repeat | ast.Scan,
    kind: LoopKind,
    steps: Size,
    sequences: Sequence[Sequence_],
) -> Item:
    carries = {c.name.text: c for c in expr.carries}
    if len(carries) != len(expr.carries):
        twice = next(c for i, c in enumerate(expr.carries) if c.name.text in {d.name.text for d in expr.carries[:i]})
        raise mistake("CS0202", f"the carry `{twice.name.text}` stands twice", twice.span)
    if not carries and not expr.body.yields:
        raise mistake(
            "CS0415",
            "the loop has neither carries nor yields, so it gives nothing",
            expr.span,
            help="add `with x = ...` or `yield`",
        )
    items = [b.evaluate(inner(frame, carry_name(frame, name)), c.value) for name, c in carries.items()]
    leaves = [
        leaf
        for i, ((name, c), item) in enumerate(zip(carries.items(), items, strict=True))
        for leaf in _leaves(b, frame, i, name, item, c.value.span)
    ]
    path = b.call_path(frame, kind.value)
    for _ in range(_TRIALS):
        initial = [_initial(b, frame, leaf) for leaf in leaves]
        trial = Trial.begin(b, frame)
        b.loops.append((expr, frame.instance))
        try:
            turn = _turn(b, frame, expr, sequences, items, leaves, initial)
        finally:
            b.loops.pop()
        if turn.types == [leaf.type for leaf in leaves]:
            return _made(b, frame, expr, kind, steps, sequences, items, initial, turn, trial, path)
        trial.undo(b, frame)
        leaves = [replace(leaf, type=type_) for leaf, type_ in zip(leaves, turn.types, strict=True)]
    raise mistake("CS0426", "the types of the carries do not settle", expr.span, help="give each carry its full type")


# Carries


def _leaves(b: Builder, frame: Frame, carry: int, name: str, item: Item, span: Span) -> list[Leaf]:
    if isinstance(item, tuple):
        return [leaf for i, part in enumerate(item) for leaf in _leaves(b, frame, carry, f"{name}_{i}", part, span)]
    if isinstance(item, (bool, int, float)):
        dtype = Dtype.BOOL if isinstance(item, bool) else Dtype.I64 if isinstance(item, int) else Dtype.F32
        return [Leaf(carry, name, item, TensorType(dtype), True, span)]
    tensor = b.tensor(frame, item, span)
    return [Leaf(carry, name, tensor, tensor.type, False, span)]


def _initial(b: Builder, frame: Frame, leaf: Leaf) -> Tensor:
    """The value that a carry starts with, of the type that it has."""
    tensor = b.tensor(frame, leaf.item, leaf.span, leaf.type.dtype)
    tensor = b.cast(frame, tensor, leaf.type.dtype, leaf.span)
    if tensor.type.shape != leaf.type.shape:
        geometry = tensor.geometry
        tensor = replace(b.one(frame, "expand", tensor, span=leaf.span, sizes=leaf.type.shape), geometry=geometry)
    return replace(tensor, type=leaf.type)


def _packed(item: Item, parts: list[Tensor]) -> Item:
    """An item of the same form, made of the next of `parts`."""
    if isinstance(item, tuple):
        return tuple(_packed(part, parts) for part in item)
    return parts.pop(0)


def _flat(item: Item) -> list[Item]:
    return [leaf for part in item for leaf in _flat(part)] if isinstance(item, tuple) else [item]


# The body


def _turn(
    b: Builder,
    frame: Frame,
    expr: ast.Repeat | ast.Scan,
    sequences: Sequence[Sequence_],
    items: Sequence[Item],
    leaves: Sequence[Leaf],
    initial: Sequence[Tensor],
) -> Turn:
    start = b.graph.next_id
    inputs: list[NodeId] = []

    def port(name: str, like: Tensor, type_: TensorType, span: Span) -> Tensor:
        id = b.add(Input(name, type_, b.origin(frame, span, name)), (), frame)
        inputs.append(id)
        if like.value.node in b.coupled:
            b.coupled.add(id)
        return Tensor(Value(id), type_, like.geometry)

    before = [port(leaf.name, value, leaf.type, leaf.span) for leaf, value in zip(leaves, initial, strict=True)]
    names: dict[str, Item] = {}
    parts = list(before)
    for carry, item in zip(expr.carries, items, strict=True):
        names[carry.name.text] = _packed(item, parts)
    for sequence in sequences:
        axes = tuple(a for i, a in enumerate(sequence.tensor.type.axes) if i != sequence.position)
        type_ = sequence.tensor.type.with_axes(axes)
        names[sequence.name] = port(sequence.name, sequence.tensor, type_, expr.span)
    scope = Scope(frame.scope, names)
    body = replace(inner(frame, "", scope), carries={})
    for statement in expr.body.statements:
        b.run(body, statement)
    assert body.carries is not None
    scope.names.update({name: item for name, item in body.carries.items() if name in names})
    until = None
    if expr.until is not None:
        until = condition(b, body, b.evaluate(body, expr.until), "until", expr.until.span)
        if until.kind is not GateKind.BOOL:
            raise mistake("CS0407", "`until` takes a yes-or-no decision", expr.until.span, help="compare it")
        if until.node not in b.graph or until.node < start:
            until = condition(b, body, until.decision, "until", expr.until.span)
    held = until.decision.type.axes if until is not None else ()
    following = [
        (part, _span_of(expr, carry))
        for carry, had in zip(expr.carries, items, strict=True)
        for part in _matching(expr, carry, had, scope.names[carry.name.text])
    ]
    after = [(leaf, *found) for leaf, found in zip(leaves, following, strict=True)]
    types = [_widened(b, body, leaf, item, held, span) for leaf, item, span in after]
    carries: list[Tensor] = []
    if types == [leaf.type for leaf in leaves]:
        carries = [_conformed(b, body, leaf, item, span) for leaf, item, span in after]
    shape = [b.evaluate(body, e) for e in expr.body.yields]
    yields = [
        _with_axes(b, body, b.tensor(body, part, e.span), held, e.span)
        for item, e in zip(shape, expr.body.yields, strict=True)
        for part in _flat(item)
    ]
    return Turn(start, tuple(inputs), carries, yields, shape, until, types)


def _span_of(expr: ast.Repeat | ast.Scan, carry: ast.Carry) -> Span:
    """Where `next` sets the carry, or where it is declared."""
    for statement in expr.body.statements:
        if isinstance(statement, ast.Next) and any(n.text == carry.name.text for n in statement.names):
            return statement.span
    return carry.span


def _matching(expr: ast.Repeat | ast.Scan, carry: ast.Carry, before: Item, after: Item) -> list[Item]:
    """The parts of what follows a carry; as many as it had."""
    parts = _flat(after)
    if len(parts) != len(_flat(before)) or isinstance(after, tuple) != isinstance(before, tuple):
        raise mistake(
            "CS0426",
            f"the carry `{carry.name.text}` starts as {described(before)} and becomes {described(after)}",
            _span_of(expr, carry),
            Label(carry.span, "it starts here"),
            help="only a `for` may change the type of a carry",
        )
    return parts


def _widened(b: Builder, body: Frame, leaf: Leaf, item: Item, held: tuple[Axis, ...], span: Span) -> TensorType:
    """The type that the carry should have: a literal's is what follows it; the axes of `until` are added."""
    type_ = leaf.type
    if leaf.literal and not isinstance(item, (bool, int, float, Size)):
        following = item.decision.type if isinstance(item, GateRef) else b.tensor(body, item, span).type
        type_ = TensorType(promote(type_.dtype, following.dtype), type_.axes if type_.rank else following.axes)
    elif leaf.literal and isinstance(item, float) and not type_.dtype.floating:
        type_ = type_.with_dtype(Dtype.F32)
    return type_.with_axes((*_lacking(type_, held), *type_.axes))


def _lacking(type_: TensorType, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """Those of some axes that a value does not have."""
    free = list(type_.axes)
    lacking: list[Axis] = []
    for axis in axes:
        same = next(
            (a for a in free if a.name == axis.name and axis.name is not None),
            next((a for a in free if a.size == axis.size and (a.name is None or axis.name is None)), None),
        )
        if same is None:
            lacking.append(axis)
        else:
            free.remove(same)
    return tuple(lacking)


def _with_axes(b: Builder, frame: Frame, tensor: Tensor, axes: tuple[Axis, ...], span: Span) -> Tensor:
    lacking = _lacking(tensor.type, axes)
    if not lacking:
        return tensor
    type_ = tensor.type.with_axes((*lacking, *tensor.type.axes))
    made = b.one(frame, "expand", tensor, span=span, sizes=type_.shape)
    return replace(made, type=type_, geometry=tensor.geometry)


def _conformed(b: Builder, body: Frame, leaf: Leaf, item: Item, span: Span) -> Tensor:
    """What follows a carry, of the carry's type. Raises BuildError CS0426 for another one."""
    wanted = leaf.type
    tensor = b.tensor(body, item, span, wanted.dtype)
    if not tensor.type.rank and wanted.rank and isinstance(item, (bool, int, float, Size)):
        tensor = b.one(body, "expand", tensor, span=span, sizes=wanted.shape)
    same = tensor.type.rank == wanted.rank and all(
        b.require_equal(x, y, span) for x, y in zip(tensor.type.shape, wanted.shape, strict=True)
    )
    if not same or promote(tensor.type.dtype, wanted.dtype) is not wanted.dtype:
        raise mistake(
            "CS0426",
            f"the carry `{leaf.name}` is {wanted}, but the next turn gets {tensor.type}",
            span,
            Label(leaf.span, f"it starts as {wanted}"),
            help="only a `for` may change the type of a carry",
        )
    return replace(b.cast(body, tensor, wanted.dtype, span), type=wanted)


# The node


def _made(
    b: Builder,
    frame: Frame,
    expr: ast.Repeat | ast.Scan,
    kind: LoopKind,
    steps: Size,
    sequences: Sequence[Sequence_],
    items: Sequence[Item],
    initial: Sequence[Tensor],
    turn: Turn,
    trial: Trial,
    path: str,
) -> Item:
    until = turn.until
    _not_coupled(b, turn, until, expr.span)
    held = tuple(() if until is None else gate_axes(b, until, t.type, expr.span) for t in (*turn.carries, *turn.yields))
    given = [*initial, *(s.tensor for s in sequences)]
    coupled = not b.coupled.isdisjoint([*range(turn.start, b.graph.next_id), *(t.value.node for t in given)])
    spent = spent_in_turns(b, NodeId(turn.start), steps, None if until is None else until.node)
    results = [*turn.carries, *turn.yields, *([until.decision] if until is not None else [])]
    body, captures = extract(b.graph, turn.start, turn.inputs, [t.value for t in results], path)
    b.moved += len(body)
    trial.forget(b)
    stacked: tuple[int, ...] = ()
    types = [t.type for t in turn.yields]
    if kind is LoopKind.SCAN:
        axis = sequences[0].tensor.type.axes[sequences[0].position]
        stacked = tuple(min(sequences[0].position, t.rank) for t in types)
        types = [t.with_axes((*t.axes[:at], axis, *t.axes[at:])) for t, at in zip(types, stacked, strict=True)]
    types += [t.type for t in turn.carries]
    b.check_types(types, expr.span)
    node = Loop(
        path,
        kind,
        steps,
        body,
        len(turn.carries),
        tuple(s.position for s in sequences),
        stacked,
        until is not None,
        held,
        tuple(types),
        origin=b.origin(frame, expr.span),
    )
    operands = [*(t.value for t in given), *captures]
    id = b.add(node, operands, frame)
    b.spent[id] = spent
    if coupled:
        b.coupled.add(id)
    geometries = [t.geometry for t in (*turn.yields, *turn.carries)]
    values = [Tensor(Value(id, i), t, g) for i, (t, g) in enumerate(zip(types, geometries, strict=True))]
    parts = list(values)
    found = [_packed(item, parts) for item in (*turn.shape, *items)]
    return found[0] if len(found) == 1 else Results(found)


def _not_coupled(b: Builder, turn: Turn, until: GateRef | None, span: Span) -> None:
    """A body that is run for some samples only may not mix them."""
    if until is None or until.decision.type.batch is None:
        return
    for id, node in b.graph.nodes():
        if id >= turn.start and id in b.coupled:
            raise mistake(
                "CS0404",
                "samples of the batch are mixed in a loop that each of them leaves by itself",
                node.origin.span or span,
                Label(span, "`until` decides per sample"),
                help="mix them before the loop or behind it",
            )
