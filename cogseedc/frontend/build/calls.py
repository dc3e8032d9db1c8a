"""`f[...]`, `f(...)` and `x |> f`: operations, seeds and shared instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard

from cogseedc.frontend import ast
from cogseedc.frontend.build.align import aligned, promoted, renamed
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.expressions import is_axis_name, select
from cogseedc.frontend.build.model import (
    BuildError,
    Builtin,
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
from cogseedc.frontend.build.names import counterpart, described, suggestion
from cogseedc.frontend.build.paths import join
from cogseedc.frontend.build.remarks import chosen_for_all
from cogseedc.frontend.build.statics import function, is_static, number
from cogseedc.ir import AxisArg, Dtype, GateKind, Kind, OpSpec, RuleError, Size, Static
from cogseedc.ops import bind, signature
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
    start = b.graph.next_id
    given = evaluated(b, frame, target, expr.arguments, (), ())
    if isinstance(target, OpRef) and target.spec.name == "where" and given.positional:
        chosen_for_all(b, given.positional[0], "where", start, expr.span)
    return invoke(b, frame, target, given, expr)


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
            return b.evaluators[Builtin](b, frame, (target, given, expr))
        case SeedRef() | Configured(target=SeedRef()):
            return b.evaluators[SeedRef](b, frame, (target, given, span))
        case Shared(target=inner, prefix=prefix, name=name, origin=origin):
            origin = replace(origin, forced_bits=frame.origin.forced_bits)
            shared = replace(frame, weights=prefix, calls=join(frame.calls, name), counts={}, origin=origin)
            return invoke(b, shared, inner, given, expr)
    help = counterpart(target.name) if isinstance(target, AxisArg) else ""
    if isinstance(target, Tensor) and isinstance(_called(expr), ast.Apply):
        help = "what is known while compiling stands in brackets: `dropout[0.5](x)`"
    message = f"{described(target)} cannot be called"
    raise mistake("CS0213", message, _called(expr).span, help=help or "operations and seeds can")


def _called(expr: ast.Apply | ast.Pipe) -> ast.Expr:
    """What is called, as it is written."""
    callee = expr.callee
    return callee.callee if isinstance(expr, ast.Pipe) and isinstance(callee, ast.Apply) else callee


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
    if isinstance(item, (AxisArg, bool, int, float, str, Size, Dtype)):
        return item
    raise mistake("CS0212", f"a static argument of an operation cannot be {described(item)}", span)


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
                f"`{spec.name}` takes {len(plain)} operand{'s' * (len(plain) != 1)}, not {len(items)}",
                where,
                help=_static_help(spec, item) or _operands_help(spec),
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


def _static_help(spec: OpSpec, item: Item) -> str:
    """What is said of a number among the operands of an operation that takes numbers while compiling."""
    if not spec.parameters or isinstance(item, (Tensor, GateRef)):
        return ""
    return f"what is known while compiling stands in brackets: {signature(spec)}"


def _operands_help(spec: OpSpec) -> str:
    return f"`{spec.name}` takes ({', '.join(o.name + ('=' if o.weight or o.optional else '') for o in spec.operands)})"
