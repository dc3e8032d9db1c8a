"""`f[...]`, `f(...)` and `x |> f`: operations, seeds, shared instances and the language's own functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeGuard

from cogseedc.frontend import ast
from cogseedc.frontend.build.align import aligned, promoted, renamed
from cogseedc.frontend.build.core import Builder, described, join
from cogseedc.frontend.build.expressions import elementwise, is_axis_name, select
from cogseedc.frontend.build.model import (
    BuildError,
    Builtin,
    Bundle,
    Configured,
    Frame,
    GateRef,
    Item,
    OpRef,
    SeedRef,
    Shared,
    Tensor,
    Top,
    mistake,
)
from cogseedc.frontend.build.names import suggestion
from cogseedc.frontend.build.statics import arithmetic, function, integer, is_static, number
from cogseedc.ir import AxisArg, GateKind, Kind, OpSpec, RuleError, Size, Static
from cogseedc.ops import OPS, bind
from cogseedc.record import record
from cogseedc.source import Span

CALLABLE = (OpRef, SeedRef, Configured, Shared, Builtin)


@record
class Given:
    """Run-time arguments of one call, evaluated."""

    positional: tuple[Item, ...]
    keywords: tuple[tuple[str, Item], ...]
    spans: tuple[Span, ...]
    """Of positional ones, then of keywords."""
    keyword_names: tuple[ast.Name, ...] = ()


def configure(b: Builder, frame: Frame, expr: ast.Configure) -> Item:
    """Static arguments for an operation or a seed; a selection on anything else."""
    target = b.evaluate(frame, expr.callee)
    if not isinstance(target, (OpRef, SeedRef, Builtin)):
        if isinstance(target, Configured):
            raise mistake("CS0210", f"{described(target)} already has its static arguments", expr.span)
        return select(b, frame, target, expr)
    positional: list[Item] = []
    keywords: list[tuple[str, Item]] = []
    axes: list[AxisArg] = []
    spec = target.spec if isinstance(target, OpRef) else None
    in_place = spec is not None and all(p.kind is not Kind.NAMED for p in spec.parameters)  # `zeros[N, C=4, 8]`
    for argument in expr.arguments:
        if isinstance(argument, ast.Slice):
            raise mistake("CS0208", "a slice selects on a value, not on a call", argument.span)
        value = _static_argument(b, frame, argument.value)
        if isinstance(argument, ast.Positional):
            positional.append(value)
        elif is_axis_name(argument.name.text):
            axis = AxisArg(argument.name.text, _axis_size(value, argument.span))
            (positional if in_place else axes).append(axis)
        elif argument.name.text in dict(keywords):
            raise mistake("CS0211", f"`{argument.name.text}` is given twice", argument.span)
        else:
            keywords.append((argument.name.text, value))
    return Configured(target, tuple(positional), tuple(keywords), tuple(axes), expr.span)


def _static_argument(b: Builder, frame: Frame, expr: ast.Expr) -> Item:
    item = b.evaluate(frame, expr)
    if isinstance(item, (Tensor, GateRef, Top)):
        raise mistake(
            "CS0212",
            f"static arguments are known at compile time, but this is {described(item)}",
            expr.span,
            help="what is computed at run time stands in (...), not in [...]",
        )
    return item


def _axis_size(item: Item, span: Span) -> Size:
    value = number(item, span)
    if isinstance(value, float):
        raise mistake("CS0204", f"a size is an integer, not {value!r}", span, help="round it with `floor` or `ceil`")
    return Size.of(value)


def apply(b: Builder, frame: Frame, expr: ast.Apply) -> Item:
    """`f(x, y)`."""
    target = b.evaluate(frame, expr.callee)
    return invoke(b, frame, target, evaluated(b, frame, target, expr.arguments, (), ()), expr)


def pipe(b: Builder, frame: Frame, expr: ast.Pipe) -> Item:
    """`x |> f[1](y)`; a long chain is folded without recursion."""
    chain = [expr]
    while isinstance(chain[-1].value, ast.Pipe):
        chain.append(chain[-1].value)
    value = b.evaluate(frame, chain[-1].value)
    span = chain[-1].value.span
    for node in reversed(chain):
        call = node.callee
        callee = call.callee if isinstance(call, ast.Apply) else call
        arguments = call.arguments if isinstance(call, ast.Apply) else ()
        target = b.evaluate(frame, callee)
        value = invoke(b, frame, target, evaluated(b, frame, target, arguments, (value,), (span,)), node)
        span = node.span
    return value


def evaluated(
    b: Builder,
    frame: Frame,
    target: Item,
    arguments: Sequence[ast.Argument],
    first: tuple[Item, ...],
    spans: tuple[Span, ...],
) -> Given:
    """Arguments in `(...)`, after those that a pipe brings."""
    if isinstance(target, Builtin) and target.name == "cost":
        return Given((), (), (), ())  # reads names, not values
    positional, positions = list(first), list(spans)
    keywords: list[tuple[str, Item]] = []
    places: list[Span] = []
    names: list[ast.Name] = []
    for argument in arguments:
        if isinstance(argument, ast.Slice):
            raise mistake("CS0208", "a slice selects on a value: `w[O=0 .. 4]`", argument.span)
        value = b.evaluate(frame, argument.value)
        if isinstance(argument, ast.Positional):
            positional.append(value)
            positions.append(argument.span)
        else:
            keywords.append((argument.name.text, value))
            places.append(argument.value.span)
            names.append(argument.name)
    return Given(tuple(positional), tuple(keywords), tuple(positions + places), tuple(names))


def invoke(b: Builder, frame: Frame, target: Item, given: Given, expr: ast.Apply | ast.Pipe) -> Item:
    """Calls what was named with what was given."""
    span = expr.span
    match target:
        case OpRef(spec=spec):
            return operation(b, frame, spec, Configured(target, (), (), (), span), given, span)
        case Configured(target=OpRef(spec=spec)):
            return operation(b, frame, spec, target, given, span)
        case Builtin() | Configured(target=Builtin()):
            return _builtin(b, frame, target, given, expr)
        case SeedRef() | Configured(target=SeedRef()):
            return b.evaluators[SeedRef](b, frame, (target, given, span))
        case Shared(target=inner, prefix=prefix, name=name, origin=origin):
            origin = replace(origin, forced_bits=frame.origin.forced_bits)
            shared = replace(frame, weights=prefix, calls=join(frame.calls, name), counts={}, origin=origin)
            return invoke(b, shared, inner, given, expr)
    raise mistake("CS0213", f"{described(target)} cannot be called", span, help="operations and seeds can")


def _builtin(b: Builder, frame: Frame, target: Item, given: Given, expr: ast.Apply | ast.Pipe) -> Item:
    configured = target if isinstance(target, Configured) else None
    builtin = configured.target if configured else target
    assert isinstance(builtin, Builtin)
    return BUILTINS[builtin.name](b, frame, configured, given, expr)


# Operations


def operation(b: Builder, frame: Frame, spec: OpSpec, target: Configured, given: Given, span: Span) -> Item:
    """One call of the catalogue; static when everything given is."""
    items = list(given.positional)
    if (
        items
        and not given.keywords
        and not target.positional
        and not target.keywords
        and all(is_static(i) and not isinstance(i, (bool, str)) for i in items)
    ):
        value = function(spec.name, [number(i, span) for i in items], span)
        if value is not None:
            return value
    statics = bound(b, spec, target)
    slots, spans = _slots(b, spec, given, span)
    if spec.name in ("minimum", "maximum") or spec.aligned:
        return _aligned(b, frame, spec, statics, slots, spans, span)
    if spec.name in ("concat", "stack"):
        return b.call(frame, spec.name, promoted(b, frame, spec.name, slots, spans), span, statics, spans)[0]
    tensors = [b.tensor(frame, item, at) if item is not None else None for item, at in zip(slots, spans, strict=True)]
    try:
        results = b.call(frame, spec.name, tensors, span, statics, spans)
    except BuildError as error:  # a gate is a number in arithmetic, and a decision where only that fits
        decided = [i.decision if _yes_or_no(i) else t for i, t in zip(slots, tensors, strict=True)]
        if error.diagnostic.code != "CS0305" or decided == tensors:
            raise
        results = b.call(frame, spec.name, decided, span, statics, spans)
    return results[0] if len(results) == 1 else results


def _yes_or_no(item: Item | None) -> TypeGuard[GateRef]:
    return isinstance(item, GateRef) and item.kind is GateKind.BOOL


def _aligned(
    b: Builder,
    frame: Frame,
    spec: OpSpec,
    statics: dict[str, Static],
    slots: list[Item | None],
    spans: list[Span],
    span: Span,
) -> Item:
    operands, names = aligned(b, frame, spec.name, slots, spans, span)
    result = b.call(frame, spec.name, operands, span, statics, spans)[0]
    return renamed(result, names)


def bound(b: Builder, spec: OpSpec, target: Configured) -> dict[str, Static]:
    """Static arguments bound to the operation's parameters."""
    try:
        return bind(
            spec,
            tuple(_static(v, target.span) for v in target.positional),
            {k: _static(v, target.span) for k, v in target.keywords},
            target.named,
        )
    except RuleError as error:
        raise mistake(error.code, error.message, target.span, help=error.help) from None


def _static(item: Item, span: Span) -> Static:
    if isinstance(item, tuple):
        return tuple(_static(i, span) for i in item)
    if isinstance(item, (AxisArg, *_PLAIN)) or item is None:
        return item  # type: ignore[return-value]  # narrowed by the tuple of classes, which mypy cannot see
    raise mistake("CS0212", f"a static argument of an operation cannot be {described(item)}", span)


def _plain() -> tuple[type, ...]:
    from cogseedc.ir import Dtype

    return (bool, int, float, str, Size, Dtype)


_PLAIN = _plain()


def _slots(b: Builder, spec: OpSpec, given: Given, span: Span) -> tuple[list[Item | None], list[Span]]:
    """Operands by port; positional ones fill those that are no weights, in order."""
    slots: list[Item | None] = [None] * len(spec.operands)
    spans = [span] * len(spec.operands)
    plain, variadic = spec.plain, spec.variadic
    items = list(zip(given.positional, given.spans, strict=False))
    if variadic is not None:
        items = [(e, at) for item, at in items for e in (item if isinstance(item, tuple) else (item,))]
    for at, (item, where) in enumerate(items):
        if variadic is not None and at >= variadic:
            slots[at:] = [i for i, _ in items[at:]]
            spans[at:] = [s for _, s in items[at:]]
            break
        if at >= len(plain):
            raise mistake(
                "CS0319",
                f"`{spec.name}` takes {len(plain)} operands, not {len(items)}",
                where,
                help=_operands_help(spec),
            )
        slots[plain[at]], spans[plain[at]] = item, where
    for (name, item), where in zip(given.keywords, given.spans[len(given.positional) :], strict=True):
        place = next((i for i, o in enumerate(spec.operands) if o.name == name), None)
        if place is None:
            static = any(p.name == name for p in spec.parameters)
            hint = (
                f"`{name}` is static: write `{spec.name}[{name}=...]`"
                if static
                else suggestion(name, [o.name for o in spec.operands])
            )
            raise mistake("CS0215", f"`{spec.name}` has no operand `{name}`", where, help=hint)
        if slots[place] is not None:
            raise mistake("CS0211", f"the operand `{name}` is given twice", where)
        slots[place], spans[place] = item, where
    for i, operand in enumerate(spec.operands):
        if slots[i] is None and not operand.optional and not operand.weight:
            raise mistake(
                "CS0301", f"`{spec.name}` needs the operand `{operand.name}`", span, help=_operands_help(spec)
            )
    while slots and slots[-1] is None:
        slots.pop()
        spans.pop()
    return slots, spans[: len(slots)]


def _operands_help(spec: OpSpec) -> str:
    return f"`{spec.name}` takes ({', '.join(o.name + ('=' if o.weight or o.optional else '') for o in spec.operands)})"


# Functions of the language itself


def _len(b: Builder, frame: Frame, configured: Configured | None, given: Given, expr: ast.Apply | ast.Pipe) -> Item:
    if len(given.positional) == 1 and isinstance(given.positional[0], Bundle):
        return len(given.positional[0].items)
    if len(given.positional) != 1 or not isinstance(given.positional[0], tuple):
        raise mistake("CS0214", "`len` takes one tuple", expr.span)
    return len(given.positional[0])


def _extremum(name: str) -> Callable[..., Item]:
    def run(b: Builder, frame: Frame, configured: Configured | None, given: Given, expr: ast.Apply | ast.Pipe) -> Item:
        items = tuple(e for i in given.positional for e in (i if isinstance(i, tuple) else (i,)))
        spec = OPS[name if len(items) == 1 else f"{name}imum"]
        target = configured or Configured(Builtin(name), (), (), (), expr.span)
        if len(items) == 1 and isinstance(given.positional[0], tuple):
            return items[0]  # a tuple is its elements, so as many as it has
        if len(items) < 2 or all(is_static(i) for i in items):
            return operation(b, frame, spec, target, given, expr.span)
        if configured is not None and (configured.positional or configured.keywords):
            raise mistake(
                "CS0210", f"`{name}` of several operands is elementwise and takes no static arguments", expr.span
            )
        result = items[0]
        for item in items[1:]:
            pair = Given((result, item), (), (expr.span, expr.span))
            result = operation(b, frame, spec, Configured(OpRef(spec), (), (), (), expr.span), pair, expr.span)
        return result

    return run


def _top(b: Builder, frame: Frame, configured: Configured | None, given: Given, expr: ast.Apply | ast.Pipe) -> Item:
    """`top[k, over=E, renormalize=true](scores, weights=w)`: indices, mask and dense weights."""
    target = configured or Configured(Builtin("top"), (), (), (), expr.span)
    keywords = dict(target.keywords)
    renormalize = keywords.pop("renormalize", False)
    if not isinstance(renormalize, bool):
        raise mistake("CS0204", "`renormalize` is `true` or `false`", target.span)
    named = dict(given.keywords)
    weights_item = named.pop("weights", None)
    if named or len(given.positional) != 1:
        raise mistake("CS0214", "`top` takes scores, and `weights=` where they differ from the scores", expr.span)
    at = given.spans[0]
    scores = b.tensor(frame, given.positional[0], at)
    spec = OPS["top_indices"]
    statics = bound(b, spec, replace(target, keywords=tuple(keywords.items())))
    indices = b.call(frame, "top_indices", [scores], expr.span, statics, given.spans)[0]
    position = _class_axis(scores, indices)
    scores = _class_last(b, frame, scores, position, at)
    classes = integer(_simple(scores.type.axes[-1].size), at, "the number of classes")
    mask = b.one(
        frame, "top_mask", indices, span=expr.span, classes=AxisArg(scores.type.axes[-1].name or "E", Size.of(classes))
    )
    mask = mask.seen_as(mask.type.with_axes(scores.type.axes))
    source = (
        scores
        if weights_item is None
        else _class_last(b, frame, b.tensor(frame, weights_item, given.spans[-1]), position, given.spans[-1])
    )
    weights = b.one(frame, "top_weights", mask, source, span=expr.span, renormalize=renormalize)
    weights = weights.seen_as(weights.type.with_axes(scores.type.axes))
    return Top(indices, mask, weights, scores, classes, renormalize)


def _simple(size: Size) -> Item:
    return size.value if size.value is not None else size


def _class_axis(scores: Tensor, indices: Tensor) -> int:
    """The axis of the scores that the choice is over: the one that the indices lost."""
    kept = list(indices.type.axes[:-1])
    for i, axis in enumerate(scores.type.axes):
        if not kept or axis != kept[0]:
            return i
        kept.pop(0)
    return scores.type.rank - 1


def _class_last(b: Builder, frame: Frame, tensor: Tensor, position: int, span: Span) -> Tensor:
    rank = tensor.type.rank
    if position == rank - 1:
        return tensor
    order = (*(i for i in range(rank) if i != position), position)
    moved = b.one(frame, "permute", tensor, span=span, axes=order)
    return moved.seen_as(tensor.type.with_axes(tuple(tensor.type.axes[i] for i in order)))


def _capacity(
    b: Builder, frame: Frame, configured: Configured | None, given: Given, expr: ast.Apply | ast.Pipe
) -> Item:
    """`capacity[c, over=T](pick)`: decisions past an expert's capacity are dropped, in index order."""
    if len(given.positional) != 1 or not isinstance(given.positional[0], (Top, GateRef)) or configured is None:
        raise mistake("CS0403", "`capacity[c, over=T](...)` takes a decision of `top[k]`", expr.span)
    item = given.positional[0]
    top = item.top if isinstance(item, GateRef) else item
    if top is None:
        raise mistake("CS0403", "`capacity` takes a decision of `top[k]`", expr.span)
    statics = bound(b, OPS["capacity_mask"], configured)
    mask = b.call(frame, "capacity_mask", [top.mask], expr.span, statics)[0]
    mask = mask.seen_as(mask.type.with_axes(top.mask.type.axes))
    indices = b.one(frame, "dropped_indices", top.indices, mask, span=expr.span)
    indices = indices.seen_as(indices.type.with_axes(top.indices.type.axes))
    weights = b.one(
        frame, "where", mask, top.weights, b.constant(frame, 0.0, top.weights.type.dtype, expr.span), span=expr.span
    )
    return replace(top, indices=indices, mask=mask, weights=replace(weights, type=top.weights.type))


def _load_balance(
    b: Builder, frame: Frame, configured: Configured | None, given: Given, expr: ast.Apply | ast.Pipe
) -> Item:
    if len(given.positional) != 1 or not isinstance(given.positional[0], GateRef) or given.positional[0].top is None:
        raise mistake("CS0403", "`load_balance` takes a gate of `top[k]`", expr.span)
    top = given.positional[0].top
    return b.one(frame, "load_balance", top.mask, top.scores, span=expr.span)


def _fold(name: str, op: str) -> Callable[..., Item]:
    """`sum((a, b))` adds the elements of a tuple, whatever their number; of one value it is the reduction."""

    def run(b: Builder, frame: Frame, configured: Configured | None, given: Given, expr: ast.Apply | ast.Pipe) -> Item:
        target = configured or Configured(Builtin(name), (), (), (), expr.span)
        if not any(isinstance(i, tuple) for i in given.positional) and len(given.positional) < 2:
            return operation(b, frame, OPS[name], target, given, expr.span)
        items = tuple(e for i in given.positional for e in (i if isinstance(i, tuple) else (i,)))
        if target.positional or target.keywords or target.named:
            raise mistake(
                "CS0210",
                f"`{name}` of a tuple combines its elements and takes no static arguments",
                expr.span,
                help="reduce the elements first, or `stack` them",
            )
        if not items:
            raise mistake("CS0214", f"`{name}` of an empty tuple has no value", expr.span)
        result = items[0]
        for item in items[1:]:
            result = elements(b, frame, op, result, item, expr.span)
        if name == "mean":
            result = elements(b, frame, "div", result, len(items), expr.span)
        return result

    return run


def elements(b: Builder, frame: Frame, op: str, left: Item, right: Item, span: Span) -> Item:
    """One elementwise step over two items, static when both are."""
    if is_static(left) and is_static(right):
        return arithmetic({"add": "+", "mul": "*", "div": "/"}[op], number(left, span), number(right, span), span)
    return elementwise(b, frame, op, [left, right], [span, span], span)


BUILTINS: dict[str, Callable[..., Item]] = {
    "len": _len,
    "sum": _fold("sum", "add"),
    "prod": _fold("prod", "mul"),
    "mean": _fold("mean", "add"),
    "min": _extremum("min"),
    "max": _extremum("max"),
    "top": _top,
    "capacity": _capacity,
    "load_balance": _load_balance,
}
