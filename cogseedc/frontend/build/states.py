"""States: an input and an output of the program each. Arms that are not taken and exits that were taken hold them.

A state is threaded outward like a further yield of every arm and a further output of every seed with exits around its
`next`, so that passes and backends see nothing but joins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cogseedc.diagnostics import Label
from cogseedc.frontend import ast
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.model import BuildError, Frame, Instance, Item, Kept, Tensor, mistake
from cogseedc.frontend.build.ports import declared_axes
from cogseedc.ir import DataEdge, Dtype, Exit, Input, Output, Size, State, TensorType, Value
from cogseedc.source import Span


def declare(b: Builder, frame: Frame, statement: ast.StateDeclaration) -> None:
    """`state k: f32[N, S=128] = zeros()`. Raises BuildError."""
    name = statement.name
    _placed(b, frame, statement.span)
    if frame.carries is not None and name.text in frame.scope.names and name.text not in frame.scope.spans:
        raise mistake(
            "CS0202", f"`{name.text}` is a name of the loop already", name.span, help="give the state another"
        )
    if statement.type.count is not None:
        raise mistake("CS0440", "a state is one value, not a tuple", statement.type.span, help="declare several states")
    type_ = declared_axes(b, frame, statement.type)
    b.bounds.types((type_,), statement.type.span)
    path = b.call_path(frame, name.text)
    state = State(path, _initial(b, frame, statement.value, type_))
    node = Input(state.input, type_, replace(frame.origin, path=path, span=statement.span), state)
    id = b.add(node, (), replace(frame, arms=()))
    value = Tensor(Value(id), type_, b.declared(frame.instance.declaration).geometry or "euclidean")
    kept = Kept(state, value, value, statement.span, frame.instance)
    b.states.append(kept)
    b.bind(frame, name, value)
    frame.scope.states[name.text] = kept


def _placed(b: Builder, frame: Frame, span: Span) -> None:
    """Refuses a state where nothing says what its value after the call is."""
    if b.loops:
        loop, _ = b.loops[-1]
        word = "repeat" if isinstance(loop, ast.Repeat) else "scan"
        raise mistake(
            "CS0441",
            f"a state inside `{word}` would have one value for all its steps",
            span,
            Label(loop.span, "inside this loop"),
            help="carry the value: `with k = ...`; a state of the seed around may keep it between calls",
        )
    if b.placing is not None:
        raise _beside_exits(span, b.placing)
    if len(frame.arms) > frame.instance.arms or frame.leaving:
        where = "a block of an exit" if frame.leaving else "an arm"
        raise mistake(
            "CS0441",
            f"a state is declared in {where}",
            span,
            help="declare it directly in a seed or in the body of a `for`; a seed called in an arm may keep one",
        )


def _initial(b: Builder, frame: Frame, expr: ast.Expr, type_: TensorType) -> bool | int | float:
    """The value of all elements before the first call."""
    name = expr.callee.name if isinstance(expr, ast.Apply) and isinstance(expr.callee, ast.Reference) else ""
    if not isinstance(expr, ast.Apply) or name not in ("zeros", "ones", "full"):
        raise mistake(
            "CS0440",
            "a state starts as zeros(), ones() or full(value)",
            expr.span,
            help="what a call makes of its inputs is set with `next`",
        )
    given = [b.evaluate(frame, a.value) for a in expr.arguments if isinstance(a, ast.Positional)]
    if len(given) != (name == "full") or len(given) != len(expr.arguments):
        takes = "one value" if name == "full" else "nothing"
        raise mistake("CS0440", f"`{name}` takes {takes} here", expr.span, help="the state's type has its sizes")
    value = given[0] if given else name == "ones"
    if isinstance(value, Size) and value.value is not None:
        value = value.value
    dtype = type_.dtype
    fits = bool if dtype is Dtype.BOOL and given else (bool, int, float) if dtype.floating or not given else int
    if not isinstance(value, fits) or (given and isinstance(value, bool) and dtype is not Dtype.BOOL):
        raise mistake("CS0440", f"a state of {type_} starts with a static {dtype.value}", expr.span)
    return float(value) if dtype.floating else bool(value) if dtype is Dtype.BOOL else int(value)


def set_next(b: Builder, frame: Frame, kept: Kept, item: Item, span: Span) -> None:
    """`next k = v`. Raises BuildError when it was set already, or `v` is of another type."""
    name = kept.state.path.rsplit(".", 1)[-1]
    if kept.set_at is not None:
        raise mistake("CS0416", f"`next {name}` stands twice", span, Label(kept.set_at, "first here"))
    kept.set_at = span
    kept.after = _fitting(b, frame, kept, name, item, span)
    instance: Instance | None = frame.instance
    while instance is not None:
        kept.exits[instance] = len(instance.exits)
        instance = instance.caller


def set_left(b: Builder, frame: Frame, kept: Kept, item: Item, span: Span) -> None:
    """`next k = v` in the block of an exit: what the state is where that exit is taken. Raises as `set_next` does."""
    name, block = kept.state.path.rsplit(".", 1)[-1], frame.scope
    if block in kept.left:
        raise mistake("CS0416", f"`next {name}` stands twice", span, Label(kept.left[block][1], "first here"))
    kept.left[block] = _fitting(b, frame, kept, name, item, span), span
    above = frame.instance.caller
    while above is not None:
        kept.exits.setdefault(above, len(above.exits))
        above = above.caller


def _fitting(b: Builder, frame: Frame, kept: Kept, name: str, item: Item, span: Span) -> Tensor:
    """A value as the state has it. Raises BuildError when it is of another type."""
    type_ = kept.before.type
    literal = isinstance(item, (bool, int, float, Size))
    if isinstance(item, float) and not type_.dtype.floating:
        literal = False
    value = b.tensor(frame, item, span, type_.dtype)
    if literal and type_.rank:
        value = b.one(frame, "expand", value, span=span, sizes=type_.shape)
    alike = value.type.dtype is type_.dtype and value.type.rank == type_.rank
    if not alike or not all(b.require_equal(x, y, span) for x, y in zip(value.type.shape, type_.shape, strict=True)):
        raise mistake(
            "CS0443",
            f"the state `{name}` is {type_}, but `next` gives {value.type}",
            span,
            Label(kept.span, "declared here"),
            help="give it a value of its type, or declare it with the type of the value",
        )
    if value.geometry != kept.before.geometry:
        message = f"the state `{name}` is {kept.before.geometry}, but `next` gives a {value.geometry} value"
        raise mistake("CS0238", message, span, Label(kept.span, "declared here"))
    return replace(value, type=type_)


def changed(b: Builder, start: int) -> tuple[Kept, ...]:
    """The states, of those declared since there were `start`, that a call may change."""
    return tuple(kept for kept in b.states[start:] if kept.set_at is not None or kept.left)


def lacking(kept: Kept, error: BuildError) -> BuildError:
    """Why a state cannot be held: it lacks an axis of the decision."""
    found = error.diagnostic
    path, type_ = kept.state.path, kept.before.type
    return mistake(
        "CS0442",
        f"the state `{path}` is {type_}, but where it holds is decided over other axes",
        found.labels[0].span,
        Label(kept.span, "declared here"),
        *found.labels[1:],
        help="give the state the axes of the decision, or set it outside the arm",
    )


def returned(b: Builder, instance: Instance, start: int) -> list[Tensor]:
    """What the instance's return gives for the states that some of its exits hold; the exits get their values of these.

    Raises BuildError for a state that an exit cannot hold.
    """
    found = [kept for kept in changed(b, start) if _hangs_on_exits(kept, instance)]
    for kept in found:
        before = kept.exits.get(instance, len(instance.exits))
        for place, id in enumerate(instance.exits):
            exit = b.graph[id]
            assert isinstance(exit, Exit)
            _has_axes(kept, exit)
            value, _ = kept.left.get(instance.blocks[id], (kept.before if place < before else kept.after, None))
            b.graph.connect(DataEdge(value.value.node, value.value.port, id, len(b.graph.feeds(id))))
    return [kept.after for kept in found]


def left(b: Builder, instance: Instance, start: int, results: Sequence[Value]) -> None:
    """Sets the states that went through a return to what it gives."""
    found = [kept for kept in changed(b, start) if _hangs_on_exits(kept, instance)]
    for kept, value in zip(found, results, strict=True):
        kept.after = replace(kept.after, value=value)


def _hangs_on_exits(kept: Kept, instance: Instance) -> bool:
    """Whether exits of an instance leave another value than what follows them."""
    return bool(kept.exits.get(instance) or (kept.left and kept.instance is instance))


def _has_axes(kept: Kept, exit: Exit) -> None:
    shape = kept.before.type.shape
    for axis in exit.condition.axes:
        named = axis.name is not None and kept.before.type.position(axis.name) is not None
        if not named and axis.size not in shape:
            assert exit.origin.span is not None
            raise mistake(
                "CS0442",
                f"the state `{kept.state.path}` is {kept.before.type}, but an exit before its `next` decides over "
                f"{axis.name or axis.size}",
                kept.span,
                Label(exit.origin.span, "where this exit is taken, the state holds"),
                help="give the state that axis, or write `next` before the exit",
            )


def placed_exits(b: Builder, instance: Instance, start: int) -> None:
    """Refuses `exits` in a seed with states: where they will stand, and so what they hold, is not known."""
    if instance.exit_scopes and b.states[start:]:
        raise _beside_exits(b.states[start].span, instance.exit_scopes[0].span)


def _beside_exits(state: Span, exits: Span) -> BuildError:
    return mistake(
        "CS0441",
        "a state and `exits`, which the compiler places, stand in one seed",
        state,
        Label(exits, "which of these exits stand before `next` is not known"),
        help="write the exits where they belong: `exit`",
    )


def outputs(b: Builder, frame: Frame) -> None:
    """Adds the outputs of all states: what each is after the call."""
    for kept in b.states:
        state, after = kept.state, kept.after
        origin = replace(frame.origin, path=state.path, span=kept.set_at or kept.span)
        b.add(Output(state.output, kept.before.type, origin, state), (after.value,), frame)
