"""`repeat` and `scan`: the body is elaborated where it stands, then moved into a graph of its own.

A carry starts with the type of its initial value, with the axes of `until` added, and keeps it; a literal takes the
type of what follows it. The body is elaborated again when that changes a type.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from cogseedc.diagnostics import Label
from cogseedc.frontend import ast
from cogseedc.frontend.build.body import extract
from cogseedc.frontend.build.carries import (
    Leaf,
    conformed,
    flat,
    lacking,
    leaves_of,
    matching,
    packed,
    span_of,
    started,
    widened,
    with_axes,
)
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.costs import spent_in_turns
from cogseedc.frontend.build.decisions import condition
from cogseedc.frontend.build.draws import add_up
from cogseedc.frontend.build.joins import gate_axes
from cogseedc.frontend.build.model import (
    BROKEN,
    BrokenUse,
    BuildError,
    Enough,
    Frame,
    GateRef,
    Item,
    Scope,
    Tensor,
    mistake,
)
from cogseedc.frontend.build.regions import inner
from cogseedc.frontend.build.remarks import never_set, read_after_next
from cogseedc.frontend.build.statics import integer
from cogseedc.frontend.build.trial import Trial
from cogseedc.frontend.build.unrolled import Results, carry_name
from cogseedc.ir import (
    BATCH,
    BATCH_SIZE,
    Axis,
    GateKind,
    Input,
    Loop,
    LoopKind,
    NodeId,
    Size,
    TensorType,
    Value,
)
from cogseedc.source import Span

_TRIALS = 8
"""Elaborations of one body at most: each but the last widens a type, first dtypes, then axes."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """A value that is scanned: `tensor` along the axis at `position`."""

    name: str
    tensor: Tensor
    position: int


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
    sequences: list[Scanned] = []
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
        sequences.append(Scanned(variable.text, tensor, position))
    steps = sequences[0].tensor.type.axes[sequences[0].position].size
    return _loop(b, frame, expr, LoopKind.SCAN, steps, sequences)


def _loop(
    b: Builder,
    frame: Frame,
    expr: ast.Repeat | ast.Scan,
    kind: LoopKind,
    steps: Size,
    sequences: Sequence[Scanned],
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
    read_after_next(b, expr)
    never_set(b, expr)
    items = [b.evaluate(inner(frame, carry_name(frame, name)), c.value) for name, c in carries.items()]
    leaves = [
        leaf
        for i, ((name, c), item) in enumerate(zip(carries.items(), items, strict=True))
        for leaf in leaves_of(b, frame, i, name, item, c.value.span)
    ]
    path = b.call_path(frame, kind.value)
    held = _declared(expr)
    leaves = [replace(leaf, type=leaf.type.with_axes((*lacking(leaf.type, held), *leaf.type.axes))) for leaf in leaves]
    leaves = _guessed(b, frame, expr, sequences, items, leaves)
    for _ in range(_TRIALS):
        initial = [started(b, frame, leaf) for leaf in leaves]
        trial = Trial.begin(b, frame)
        with trial.mistakes(b) as found:
            turn = _turn(b, frame, expr, sequences, items, leaves, initial)
            if turn.types == [leaf.type for leaf in leaves]:
                found.keep()
        if found.kept:
            return _made(b, frame, expr, kind, steps, sequences, items, initial, turn, trial, path)
        trial.undo(b, frame)
        leaves = [replace(leaf, type=type_) for leaf, type_ in zip(leaves, turn.types, strict=True)]
    raise mistake("CS0426", "the types of the carries do not settle", expr.span, help="give each carry its full type")


# Carries


def _declared(expr: ast.Repeat | ast.Scan) -> tuple[Axis, ...]:
    """The batch axis, where `until` names a gate of the body that is declared to be over it alone."""
    gates = {s.name.text: s for s in expr.body.statements if isinstance(s, ast.GateDeclaration)}
    until = gates.get(expr.until.name) if isinstance(expr.until, ast.Reference) else None
    return (Axis(BATCH, BATCH_SIZE),) if until is not None and [a.text for a in until.axes] == [BATCH] else ()


def _guessed(
    b: Builder,
    frame: Frame,
    expr: ast.Repeat | ast.Scan,
    sequences: Sequence[Scanned],
    items: Sequence[Item],
    leaves: list[Leaf],
) -> list[Leaf]:
    """Carries with the types that follow when the literals that they start with stand in the body as they are.

    Where that is wrong in itself (a choice by a literal is a static one), they keep their own: it is a guess.
    """
    if not any(leaf.literal for leaf in leaves):
        return leaves
    trial = Trial.begin(b, frame)
    initial = [started(b, frame, leaf) for leaf in leaves]
    types = [leaf.type for leaf in leaves]
    with trial.mistakes(b), suppress(BuildError, BrokenUse, Enough):
        types = _turn(b, frame, expr, sequences, items, leaves, initial, literal=True).types
    trial.undo(b, frame)
    return [replace(leaf, type=type_) for leaf, type_ in zip(leaves, types, strict=True)]


# The body


def _turn(
    b: Builder,
    frame: Frame,
    expr: ast.Repeat | ast.Scan,
    sequences: Sequence[Scanned],
    items: Sequence[Item],
    leaves: Sequence[Leaf],
    initial: Sequence[Tensor],
    literal: bool = False,
) -> Turn:
    start = b.graph.next_id
    inputs: list[NodeId] = []

    def port(name: str, like: Tensor, type_: TensorType, span: Span) -> Tensor:
        id = b.add(Input(name, type_, b.origin(frame, span, name)), (), frame)
        inputs.append(id)
        if like.value.node in b.coupled:
            b.coupled.add(id)
        return Tensor(Value(id), type_, like.geometry)

    parts: list[Item] = [
        leaf.item if literal and leaf.literal else port(leaf.name, value, leaf.type, leaf.span)
        for leaf, value in zip(leaves, initial, strict=True)
    ]
    names: dict[str, Item] = {}
    for carry, item in zip(expr.carries, items, strict=True):
        names[carry.name.text] = packed(item, parts)
    for sequence in sequences:
        axes = tuple(a for i, a in enumerate(sequence.tensor.type.axes) if i != sequence.position)
        type_ = sequence.tensor.type.with_axes(axes)
        names[sequence.name] = port(sequence.name, sequence.tensor, type_, expr.span)
    scope = Scope(frame.scope, names)
    for item in names.values():
        scope.label(item)
    body = replace(inner(frame, "", scope), carries={})
    b.loops.append((expr, frame.instance))
    try:
        for statement in expr.body.statements:
            b.run(body, statement)
        assert body.carries is not None
        known = {name: item for name, item in body.carries.items() if name in names and item is not BROKEN}
        scope.names.update(known)  # a carry whose `next` is wrong has its type still
        until = None
        with suppress(*(BuildError, BrokenUse) if literal else ()):
            until = _until(b, body, expr, start)
        return _result(b, expr, items, leaves, body, start, inputs, until)
    finally:
        b.loops.pop()


def _until(b: Builder, body: Frame, expr: ast.Repeat | ast.Scan, start: int) -> GateRef | None:
    """The gate that stops an index, in the body."""
    if expr.until is None:
        return None
    until = condition(b, body, b.evaluate(body, expr.until), "until", expr.until.span)
    if until.kind is not GateKind.BOOL:
        raise mistake("CS0407", "`until` takes a yes-or-no decision", expr.until.span, help="compare it")
    if until.node not in b.graph or until.node < start:
        until = condition(b, body, until.decision, "until", expr.until.span)
    return until


def _result(
    b: Builder,
    expr: ast.Repeat | ast.Scan,
    items: Sequence[Item],
    leaves: Sequence[Leaf],
    body: Frame,
    start: int,
    inputs: Sequence[NodeId],
    until: GateRef | None,
) -> Turn:
    """What the statements of the body have made."""
    scope = body.scope
    held = until.decision.type.axes if until is not None else ()
    following = [
        (part, span_of(expr, carry))
        for carry, had in zip(expr.carries, items, strict=True)
        for part in matching(expr, carry, had, scope.names[carry.name.text])
    ]
    after = [(leaf, *found) for leaf, found in zip(leaves, following, strict=True)]
    types = [widened(b, body, leaf, item, held, span) for leaf, item, span in after]
    carries: list[Tensor] = []
    if types == [leaf.type for leaf in leaves]:
        carries = [conformed(b, body, leaf, item, span) for leaf, item, span in after]
    shape = [b.evaluate(body, e) for e in expr.body.yields]
    yields = [
        with_axes(b, body, b.tensor(body, part, e.span), held, e.span)
        for item, e in zip(shape, expr.body.yields, strict=True)
        for part in flat(item)
    ]
    return Turn(start, tuple(inputs), carries, yields, shape, until, types)


# The node


def _made(
    b: Builder,
    frame: Frame,
    expr: ast.Repeat | ast.Scan,
    kind: LoopKind,
    steps: Size,
    sequences: Sequence[Scanned],
    items: Sequence[Item],
    initial: Sequence[Tensor],
    turn: Turn,
    trial: Trial,
    path: str,
) -> Item:
    until = turn.until
    _not_coupled(b, turn, until, expr.span)
    add_up(b, turn.start, turn.inputs, until, expr.span)
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
    b.bounds.types(types, expr.span)
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
    parts: list[Item] = list(values)
    found = [packed(item, parts) for item in (*turn.shape, *items)]
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
