"""Blocks, `when`, `route` and the static `for`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cogseedc.diagnostics import Diagnostic, Label, Severity
from cogseedc.frontend import ast
from cogseedc.frontend.build import states
from cogseedc.frontend.build.core import Builder, join
from cogseedc.frontend.build.decisions import bounded, condition, taken
from cogseedc.frontend.build.model import (
    ArmOf,
    BuildError,
    Bundle,
    Frame,
    GateRef,
    Item,
    Kept,
    Scope,
    Tensor,
    mistake,
)
from cogseedc.frontend.build.statics import integer, is_static
from cogseedc.ir import (
    Dtype,
    Gate,
    GateKind,
    Merge,
    MergeMode,
    Size,
    TensorType,
    Value,
    promote,
)
from cogseedc.source import Span

_ONE = Size.of(1)


def inner(frame: Frame, name: str = "", scope: Scope | None = None) -> Frame:
    """A frame for a block inside; `name` is added to both paths."""
    return frame.inside(scope or Scope(frame.scope), join(frame.weights, name), join(frame.calls, name))


def block(b: Builder, frame: Frame, body: ast.Block) -> tuple[Item, ...]:
    """Runs a block in a frame of its own; what it yields."""
    for statement in body.statements:
        b.run(frame, statement)
    return tuple(b.evaluate(frame, e) for e in body.yields)


def when(b: Builder, frame: Frame, expr: ast.When) -> Item:
    """`when c { A } else { B }`: resolved now for a static condition, else a gate and a join."""
    chosen = b.evaluate(frame, expr.condition)
    if isinstance(chosen, bool):
        return _unwrap(block(b, inner(frame, "then" if chosen else "else"), expr.then if chosen else expr.otherwise))
    gate = condition(b, frame, chosen, "when", expr.condition.span)
    if gate.kind is not GateKind.BOOL:
        raise mistake(
            "CS0407",
            f"`when` takes a yes-or-no decision, but this one has {gate.arms or 'several'} classes",
            expr.condition.span,
            help="use `route`",
        )
    then = _arm(b, frame, gate, 1, "then", expr.then, expr.condition.span)
    otherwise = _arm(b, frame, gate, 0, "else", expr.otherwise, expr.condition.span)
    spans = (expr.then.span, expr.otherwise.span)
    return _joined(b, frame, MergeMode.SELECT, (gate,), (1,), (then, otherwise), spans, None, expr.span)


def _arm(
    b: Builder, frame: Frame, gate: GateRef, arm: int, name: str, body: ast.Block, span: Span, **names: Item
) -> tuple[Item, ...]:
    scope = Scope(frame.scope, dict(names))
    around = (*frame.arms, ArmOf(gate, arm, taken(b, frame, gate, arm, span)))
    before = len(b.states)
    values = block(b, replace(inner(frame, name, scope), arms=around), body)
    for kept in states.changed(b, before):
        _hold(b, frame, gate, (arm,), kept, (kept.after, kept.before), body.span)
    return values


def _hold(
    b: Builder, frame: Frame, gate: GateRef, arms: tuple[int, ...], kept: Kept, values: Sequence[Tensor], span: Span
) -> None:
    """A state that a seed called in an arm sets keeps its value where the arm is not taken."""
    try:
        columns = [(value,) for value in values]
        gates, spans = (gate,) * len(arms), (span,) * len(values)
        after = _joined(b, frame, MergeMode.SELECT, gates, arms, columns, spans, None, span)
    except BuildError as error:
        raise states.lacking(kept, error) if error.diagnostic.code == "CS0414" else error from None
    assert isinstance(after, Tensor)
    kept.after = after


def _unwrap(items: tuple[Item, ...]) -> Item:
    return items[0] if len(items) == 1 else items


def route(b: Builder, frame: Frame, expr: ast.Route) -> Item:
    """`route g { 0 => A  e in 1 .. 8 => B  else => C }`."""
    chosen = b.evaluate(frame, expr.selector)
    if isinstance(chosen, str):
        return _text_route(b, frame, expr, chosen)
    if isinstance(chosen, tuple) and all(is_static(item) for item in chosen):
        return _static_choice(b, frame, expr, [integer(item, expr.selector.span, "a class") for item in chosen])
    if is_static(chosen) and not isinstance(chosen, bool):
        return _static_route(b, frame, expr, integer(chosen, expr.selector.span, "the class"))
    gate = condition(b, frame, chosen, "route", expr.selector.span)
    if gate.kind is GateKind.BOOL:
        raise mistake(
            "CS0407",
            "`route` takes a decision among classes, but this one is yes or no",
            expr.selector.span,
            help="use `when`",
        )
    cases, otherwise = _cases(b, frame, expr)
    mode = _mode(gate, expr, otherwise)
    if mode is MergeMode.MAX:
        _no_gradient(b, gate, expr)
    gate = _covered(b, frame, gate, expr, cases, otherwise)
    arms = [_arm(b, frame, gate, i, str(i), body, expr.selector.span, **names) for i, body, names in cases]
    rest = _else(b, frame, gate, [i for i, _, _ in cases], expr, otherwise) if otherwise else None
    values = (*arms, rest) if rest is not None else tuple(arms)
    spans = (*(body.span for _, body, _ in cases), *([otherwise.span] if otherwise else []))
    weights = gate.top.weights if mode is MergeMode.WEIGHTED_SUM and gate.top else None
    return _joined(
        b, frame, mode, (gate,) * len(cases), tuple(i for i, _, _ in cases), values, spans, weights, expr.span
    )


def _else(
    b: Builder, frame: Frame, gate: GateRef, cases: Sequence[int], expr: ast.Route, body: ast.Block
) -> tuple[Item, ...]:
    before = len(b.states)
    values = block(b, replace(inner(frame, "else"), arms=_else_arms(b, frame, gate, cases, expr)), body)
    for kept in states.changed(b, before):
        if cases:
            _hold(b, frame, gate, tuple(cases), kept, (*[kept.before] * len(cases), kept.after), body.span)
    return values


def _else_arms(b: Builder, frame: Frame, gate: GateRef, cases: Sequence[int], expr: ast.Route) -> tuple[ArmOf, ...]:
    none = None
    for arm in cases:
        this = taken(b, frame, gate, arm, expr.selector.span)
        none = this if none is None else b.call(frame, "logical_or", [none, this], expr.span)[0]
    if none is None:
        return frame.arms
    rest = b.call(frame, "logical_not", [none], expr.span)[0]
    return (*frame.arms, ArmOf(gate, -1, replace(rest, type=taken(b, frame, gate, cases[0], expr.span).type)))


def _static_route(b: Builder, frame: Frame, expr: ast.Route, index: int) -> Item:
    for case, body, names in _cases(b, frame, expr)[0]:
        if case == index:
            return _unwrap(block(b, inner(frame, str(index), Scope(frame.scope, dict(names))), body))
    otherwise = _cases(b, frame, expr)[1]
    if otherwise is None:
        raise mistake("CS0408", f"no arm for the class {index}", expr.span, help="add the arm, or `else`")
    return _unwrap(block(b, inner(frame, "else"), otherwise))


_ARMS = "the arms"  # no name that a program can have


def _static_choice(b: Builder, frame: Frame, expr: ast.Route, chosen: Sequence[int]) -> Item:
    """A static choice of several classes, merged as a tuple is: `route (0, 2) merge concat { ... }`."""
    if expr.merge is None or expr.merge.text not in ("concat", "sum", "mean", "max"):
        raise mistake(
            "CS0410",
            "several static classes are brought together by a merge",
            expr.selector.span if expr.merge is None else expr.merge.span,
            help="write `merge concat` (along the last axis), or one of sum, mean, max",
        )
    arms = tuple(_static_route(b, frame, expr, index) for index in chosen)
    called = ast.Reference(expr.merge.text, expr.merge.span)
    merged = ast.Apply(called, (ast.Positional(ast.Reference(_ARMS, expr.span), expr.span),), expr.span)
    return b.evaluate(inner(frame, scope=Scope(frame.scope, {_ARMS: arms})), merged)


def _text_route(b: Builder, frame: Frame, expr: ast.Route, text: str) -> Item:
    """A static choice by text: `route mode { "even" => a  "odd" => b }`."""
    places: dict[str, tuple[int, ast.Arm]] = {}
    otherwise: ast.Block | None = None
    for i, arm in enumerate(expr.arms):
        match arm.pattern:
            case ast.Otherwise():
                if otherwise is not None:
                    raise mistake("CS0409", "a route has one `else`", arm.pattern.span)
                otherwise = arm.body
            case ast.Case(value=ast.String(value=case)):
                if case in places:
                    first = places[case][1].pattern.span
                    raise mistake("CS0409", f'"{case}" has two arms', arm.pattern.span, Label(first, "first here"))
                places[case] = (i, arm)
            case _:
                raise mistake("CS0407", "this route chooses by a text, so its arms are texts", arm.pattern.span)
    if text in places:
        number, arm = places[text]
        return _unwrap(block(b, inner(frame, str(number)), arm.body))
    if otherwise is None:
        known = ", ".join(f'"{case}"' for case in places)
        raise mistake("CS0408", f'no arm for "{text}"', expr.selector.span, help=f"there are {known}")
    return _unwrap(block(b, inner(frame, "else"), otherwise))


def _cases(
    b: Builder, frame: Frame, expr: ast.Route
) -> tuple[list[tuple[int, ast.Block, dict[str, Item]]], ast.Block | None]:
    cases: list[tuple[int, ast.Block, dict[str, Item]]] = []
    places: dict[int, Span] = {}
    found: list[tuple[int, dict[str, Item]]]
    otherwise: ast.Block | None = None
    for arm in expr.arms:
        match arm.pattern:
            case ast.Otherwise():
                if otherwise is not None:
                    raise mistake("CS0409", "a route has one `else`", arm.pattern.span)
                otherwise = arm.body
                continue
            case ast.Case(value=ast.String(value=text)):
                help = "the arms of a decision are its classes: `0 => ...`"
                raise mistake("CS0407", f'"{text}" is no class', arm.pattern.span, help=help)
            case ast.Case(value=ast.Number() as value):
                found = [(integer(value.value, arm.pattern.span, "a class"), {})]
            case ast.Cases(variable=variable, start=start, stop=stop):
                low = integer(b.evaluate(frame, start), start.span, "the first class")
                high = integer(b.evaluate(frame, stop), stop.span, "the end")
                if high - low > b.limits.nodes:
                    raise mistake(
                        "CS0606", f"{high - low} arms are more than the program may have nodes", arm.pattern.span
                    )
                found = [(i, {variable.text: i}) for i in range(low, high)]
        for i, names in found:
            if i in places:
                raise mistake("CS0409", f"the class {i} has two arms", arm.pattern.span, Label(places[i], "first here"))
            if i < 0:
                raise mistake("CS0409", f"a class is not negative, but this is {i}", arm.pattern.span)
            places[i] = arm.pattern.span
            cases.append((i, arm.body, dict(names)))
    return cases, otherwise


def _mode(gate: GateRef, expr: ast.Route, otherwise: ast.Block | None) -> MergeMode:
    if gate.kind is GateKind.ONE:
        if expr.merge is not None and expr.merge.text != "select":
            raise mistake(
                "CS0410",
                f"one-of-n is merged by `select`, not `{expr.merge.text}`",
                expr.merge.span,
                help="`sum`, `weighted_sum`, `mean` and `max` are for `top[k]`",
            )
        return MergeMode.SELECT
    if expr.merge is None:
        return MergeMode.WEIGHTED_SUM
    try:
        mode = MergeMode(expr.merge.text)
    except ValueError:
        static = expr.merge.text == "concat"
        message = "`concat` is for static classes only" if static else f"`{expr.merge.text}` is no merge"
        help = "one of weighted_sum, sum, mean, max"
        raise mistake("CS0410", message, expr.merge.span, help=help) from None
    if mode is MergeMode.SELECT:
        raise mistake(
            "CS0410", "k-of-n is not merged by `select`", expr.merge.span, help="one of weighted_sum, sum, mean, max"
        )
    return mode


def _no_gradient(b: Builder, gate: GateRef, expr: ast.Route) -> None:
    """Says that an estimator has no way through the largest of several values."""
    node = b.graph[gate.node]
    if isinstance(node, Gate) and node.estimator is not None:
        message = f"no gradient of the gate `{gate.name}` passes `merge max`"
        help = "merge by `weighted_sum`, `sum` or `mean` to train the gate by what its arms give"
        b.diagnostics.add(Diagnostic("CS0452", message, (Label(expr.span),), help, Severity.NOTE))


def _covered(
    b: Builder,
    frame: Frame,
    gate: GateRef,
    expr: ast.Route,
    cases: Sequence[tuple[int, ast.Block, dict[str, Item]]],
    otherwise: ast.Block | None,
) -> GateRef:
    """The gate, after a check that the arms cover its classes; one of unknown range is brought into range."""
    present = {i for i, _, _ in cases}
    if gate.arms:
        beyond = sorted(i for i in present if i >= gate.arms)
        if beyond:
            raise mistake("CS0411", f"the gate has {gate.arms} classes, so {beyond[0]} never happens", expr.span)
        missing = sorted(set(range(gate.arms)) - present)
        if missing and otherwise is None:
            raise mistake(
                "CS0408", f"no arm for {_listed(missing)} of {gate.arms}", expr.span, help="add the arm, or `else`"
            )
        return gate
    if otherwise is None:
        raise mistake(
            "CS0408",
            "the range of this integer is not known, so `else` is needed",
            expr.span,
            help="add `else => ...`, or decide with `argmax`",
        )
    return bounded(b, frame, gate, max(present, default=-1) + 1, expr.selector.span)


def _listed(classes: Sequence[int]) -> str:
    shown = ", ".join(map(str, classes[:4])) + (", ..." if len(classes) > 4 else "")
    return f"class {shown}" if len(classes) == 1 else f"classes {shown}"


# Joins


def _joined(
    b: Builder,
    frame: Frame,
    mode: MergeMode,
    gates: tuple[GateRef, ...],
    arms: tuple[int, ...],
    values: Sequence[tuple[Item, ...]],
    spans: Sequence[Span],
    weights: Tensor | None,
    span: Span,
) -> Item:
    if len({len(v) for v in values}) > 1 or any(isinstance(item, Bundle) for v in values for item in v[:1]):
        values = [_outputs(v) for v in values]
    counts = {len(v) for v in values}
    if len(counts) != 1:
        raise mistake(
            "CS0412",
            f"the arms give {' and '.join(str(len(v)) for v in values)} values",
            span,
            help="all arms yield the same number of values",
        )
    results = [
        _merge(b, frame, mode, gates, arms, [v[i] for v in values], spans, weights, span) for i in range(counts.pop())
    ]
    return results[0] if len(results) == 1 else tuple(results)


def _outputs(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """What an arm gives: of a block that is one call, the outputs of the call."""
    if len(items) != 1:
        return items
    return items[0].items if isinstance(items[0], Bundle) else items[0] if isinstance(items[0], tuple) else items


def _merge(
    b: Builder,
    frame: Frame,
    mode: MergeMode,
    gates: tuple[GateRef, ...],
    arms: tuple[int, ...],
    items: Sequence[Item],
    spans: Sequence[Span],
    weights: Tensor | None,
    span: Span,
) -> Item:
    if any(isinstance(i, tuple) for i in items):
        return _merge_tuples(b, frame, mode, gates, arms, items, spans, weights, span)
    tensors = _agreed(b, frame, gates[0] if gates else None, items, spans, span)
    type_ = tensors[0].type
    if mode in (MergeMode.WEIGHTED_SUM, MergeMode.MEAN) and not type_.dtype.floating:
        raise mistake("CS0413", f"`{mode.value}` needs floating values, not {type_}", span)
    axes = tuple(gate_axes(b, g, type_, span) for g in gates)
    operands: list[Value | None] = [t.value for t in tensors[: len(arms)]]
    operands += [g.decision.value for g in gates]
    operands += [t.value for t in tensors[len(arms) :]]
    if weights is not None:
        operands.append(b.cast(frame, weights, type_.dtype, span).value)
    node = Merge(mode, arms, len(tensors) > len(arms), axes, type_, b.origin(frame, span, "merge"))
    id = b.add(node, operands, frame)
    if any(v is not None and v.node in b.coupled for v in operands):
        b.coupled.add(id)
    return Tensor(Value(id), type_, tensors[0].geometry)


def _merge_tuples(
    b: Builder,
    frame: Frame,
    mode: MergeMode,
    gates: tuple[GateRef, ...],
    arms: tuple[int, ...],
    items: Sequence[Item],
    spans: Sequence[Span],
    weights: Tensor | None,
    span: Span,
) -> Item:
    lengths = {len(i) if isinstance(i, tuple) else -1 for i in items}
    if len(lengths) != 1:
        raise mistake("CS0412", "the arms give tuples of different length", span)
    parts: list[Item] = []
    for i in range(lengths.pop()):
        column = [item[i] for item in items if isinstance(item, tuple)]
        parts.append(_merge(b, frame, mode, gates, arms, column, spans, weights, span))
    return tuple(parts)


def _agreed(
    b: Builder, frame: Frame, gate: GateRef | None, items: Sequence[Item], spans: Sequence[Span], span: Span
) -> list[Tensor]:
    """The arms' values with one type; a literal takes the others'."""
    known = {
        i: b.tensor(frame, item, at)
        for i, (item, at) in enumerate(zip(items, spans, strict=True))
        if not _literal(item)
    }
    if not known:
        assert gate is not None
        return _literal_arms(b, frame, gate, items, spans, span)
    model = next(iter(known.values()))
    dtype = model.type.dtype
    for tensor in known.values():
        dtype = promote(dtype, tensor.type.dtype)
    if not dtype.floating and any(isinstance(i, float) for i in items):
        dtype = Dtype.F32
    result: list[Tensor] = []
    for i, (item, at) in enumerate(zip(items, spans, strict=True)):
        given = known.get(i)
        tensor = given if given is not None else _filled(b, frame, item, model.type.with_dtype(dtype), at)
        if given is not None and given is not model:
            _same_shape(b, tensor.type, model.type, at, spans[next(iter(known))])
            if tensor.geometry != model.geometry:
                raise mistake("CS0238", f"the arms give a {model.geometry} and a {tensor.geometry} value", at)
        tensor = b.cast(frame, tensor, dtype, at)
        result.append(replace(tensor, type=model.type.with_dtype(dtype)))
    return result


def _literal(item: Item) -> bool:
    return isinstance(item, (bool, int, float, Size))


def _literal_arms(
    b: Builder, frame: Frame, gate: GateRef, items: Sequence[Item], spans: Sequence[Span], span: Span
) -> list[Tensor]:
    axes = gate.decision.type.axes[:-1] if gate.kind is GateKind.MANY else gate.decision.type.axes
    fractional = any(isinstance(i, float) for i in items)
    dtype = (
        Dtype.BOOL
        if all(isinstance(i, bool) for i in items)
        else Dtype.F32
        if fractional or gate.kind is GateKind.MANY
        else Dtype.I64
    )
    return [_filled(b, frame, item, TensorType(dtype, axes), at) for item, at in zip(items, spans, strict=True)]


def _filled(b: Builder, frame: Frame, item: Item, type_: TensorType, span: Span) -> Tensor:
    if isinstance(item, float) and not type_.dtype.floating:
        raise mistake("CS0234", f"the arm gives the fraction {item!r}, the others {type_}", span)
    scalar = b.tensor(frame, item, span, type_.dtype)
    if not type_.rank:
        return scalar
    return replace(b.one(frame, "expand", scalar, span=span, sizes=type_.shape), type=type_)


def _same_shape(b: Builder, a: TensorType, other: TensorType, span: Span, first: Span) -> None:
    axes = zip(a.axes, other.axes, strict=True) if a.rank == other.rank else None
    if axes is not None and all(b.require_equal(x.size, y.size, span) for x, y in axes):
        return
    raise mistake(
        "CS0235",
        f"the arms differ: `{a}` here, `{other}` there",
        span,
        Label(first, f"this arm gives `{other}`"),
        help="arms of one region give values of one type",
    )


def gate_axes(b: Builder, gate: GateRef, type_: TensorType, span: Span) -> tuple[int, ...]:
    """Positions of the gate's axes in the merged value. Raises BuildError when it lacks one."""
    axes = gate.decision.type.axes[:-1] if gate.kind is GateKind.MANY else gate.decision.type.axes
    positions: list[int] = []
    for axis in axes:
        at = type_.position(axis.name) if axis.name is not None else None
        if at is None or at in positions:
            same = [
                i
                for i, a in enumerate(type_.axes)
                if a.size == axis.size
                and a.size != _ONE
                and i not in positions
                and (a.name is None or axis.name is None or (a.size == axis.size and a.size.value is None))
            ]
            at = same[0] if same else None
        if at is None or not b.require_equal(type_.axes[at].size, axis.size, span):
            where = b.graph[gate.node].origin.span
            raise mistake(
                "CS0414",
                f"the gate is over {axis.name or axis.size}, which the value `{type_}` lacks",
                span,
                *([Label(where, "the gate is declared here")] if where else []),
                help=f"give the value the axis: `expand[{axis.name}](...)`" if axis.name else "",
            )
        positions.append(at)
    return tuple(positions)


# Static loops


def for_(b: Builder, frame: Frame, expr: ast.For) -> Item:
    """`for i in a .. b with h = x { ... }`: unrolled; its yields as tuples, then the last carries."""
    start = integer(b.evaluate(frame, expr.start), expr.start.span, "the start")
    stop = integer(b.evaluate(frame, expr.stop), expr.stop.span, "the end")
    b.foresee((stop - start) * b.expansion.of_turn(expr, frame.scope.find), expr.span)
    carries: dict[str, Item] = {}
    for carry in expr.carries:
        if carry.name.text in carries:
            raise mistake("CS0202", f"the carry `{carry.name.text}` stands twice", carry.span)
        carries[carry.name.text] = b.evaluate(inner(frame, carry_name(frame, carry.name.text)), carry.value)
    yields: list[tuple[Item, ...]] = []
    for turn in range(start, stop):
        b.count_turn(expr.span)
        scope = Scope(frame.scope, {expr.variable.text: turn, **carries})
        body = replace(inner(frame, str(turn), scope), turn=(*frame.turn, str(turn)), carries={})
        for statement in expr.body.statements:
            b.run(body, statement)
        assert body.carries is not None
        scope.names.update(body.carries)
        yields.append(tuple(_or_broken(b, body, e) for e in expr.body.yields))
        carries.update({k: v for k, v in body.carries.items() if k in carries})
    columns = tuple(tuple(row[i] for row in yields) for i in range(len(expr.body.yields)))
    results = (*columns, *carries.values())
    if not results:
        raise mistake(
            "CS0415",
            "the loop has neither carries nor yields, so it gives nothing",
            expr.span,
            help="add `with x = ...` or `yield`",
        )
    return results[0] if len(results) == 1 else Results(results)


class Results(tuple[Item, ...]):
    """What a loop gives: a binding may take the leading ones only."""


def _or_broken(b: Builder, frame: Frame, expr: ast.Expr) -> Item:
    return b.evaluate(frame, expr)


def carry_name(frame: Frame, name: str) -> str:
    return "" if frame.weights.rsplit(".", 1)[-1] == name else name
