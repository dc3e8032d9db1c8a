"""Blocks, and the regions that decisions govern: `when` and `route`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from cogseedc.diagnostics import Diagnostic, Label, Severity
from cogseedc.frontend import ast
from cogseedc.frontend.build import states
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.decisions import bounded, condition, taken
from cogseedc.frontend.build.joins import Join, joined
from cogseedc.frontend.build.model import ArmOf, BuildError, Frame, GateRef, Item, Kept, Scope, Tensor, mistake
from cogseedc.frontend.build.paths import join
from cogseedc.frontend.build.statics import integer, is_static
from cogseedc.ir import Gate, GateKind, MergeMode, Size
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
    return joined(b, frame, Join(MergeMode.SELECT, gate, (1,), spans, expr.span), (then, otherwise))


def _arm(
    b: Builder,
    frame: Frame,
    gate: GateRef,
    arm: int,
    name: str,
    body: ast.Block,
    span: Span,
    names: Mapping[str, Item] = MappingProxyType({}),
) -> tuple[Item, ...]:
    """What an arm gives; `names` are those that it brings, as the class in `e in 0 .. 8 => B`."""
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
        join = Join(MergeMode.SELECT, gate, arms, (span,) * len(values), span)
        after = joined(b, frame, join, [(value,) for value in values])
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
    mode = _mode(gate, expr, otherwise) if cases else MergeMode.SELECT  # of no arms: the `else` is left
    if mode is MergeMode.MAX:
        _no_gradient(b, gate, expr)
    gate = _covered(b, frame, gate, expr, cases, otherwise)
    arms = [_arm(b, frame, gate, i, str(i), body, expr.selector.span, names) for i, body, names in cases]
    rest = _else(b, frame, gate, [i for i, _, _ in cases], expr, otherwise) if otherwise else None
    values = (*arms, rest) if rest is not None else tuple(arms)
    spans = (*(body.span for _, body, _ in cases), *([otherwise.span] if otherwise else []))
    weights = gate.top.weights if mode is MergeMode.WEIGHTED_SUM and gate.top else None
    join = Join(mode, gate, tuple(i for i, _, _ in cases), spans, expr.span, weights)
    return joined(b, frame, join, values)


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
