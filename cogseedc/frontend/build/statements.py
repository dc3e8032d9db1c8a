"""What each statement of a body does: bind, share, param, gate, next, loss, require (`exits` has the rest)."""

from __future__ import annotations

from dataclasses import replace

from cogseedc.diagnostics import Diagnostic, Label, Severity
from cogseedc.frontend import ast
from cogseedc.frontend.build import decisions, estimators, states
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.marks import marked
from cogseedc.frontend.build.model import (
    BROKEN,
    BrokenUse,
    BuildError,
    Bundle,
    Configured,
    Frame,
    Item,
    OpRef,
    SeedRef,
    Shared,
    Tensor,
    mistake,
)
from cogseedc.frontend.build.names import described, shown, suggestion
from cogseedc.frontend.build.ports import declared_axes
from cogseedc.frontend.build.recovery import recovering
from cogseedc.frontend.build.regions import inner
from cogseedc.frontend.build.unrolled import Results
from cogseedc.frontend.build.weights import fan_in
from cogseedc.ir import Init, InitKind, Loss, TensorType, WeightSpec
from cogseedc.source import Span


@recovering(lambda s: s.names)
def bind(b: Builder, frame: Frame, statement: ast.Bind) -> None:
    first = statement.names[0].text
    name = "" if first in frame.instance.outputs else first
    start = b.graph.next_id
    expr = _with_sequence(statement)
    value = b.evaluate(inner(frame, name, frame.scope), expr)
    carried = set[str]()
    if isinstance(expr, (ast.For, ast.Repeat, ast.Scan)):
        carried = {carry.name.text for carry in expr.carries}
        _in_order(b, statement.names, expr)
    for target, item in _spread(statement.names, value, statement.span):
        b.bind(frame, target, item, again=target.text in carried)  # a loop goes on with what it carries
        frame.scope.regions[target.text] = (start, b.graph.next_id)


def _in_order(b: Builder, names: tuple[ast.Name, ...], loop: ast.For | ast.Repeat | ast.Scan) -> None:
    """Notes the first name that is that of a carry and gets another result of the loop."""
    carries = [carry.name for carry in loop.carries]
    given = [*(None for _ in loop.body.yields), *(name.text for name in carries)]
    for target, found in zip(names, given, strict=False):
        own = next((name for name in carries if name.text == target.text), None)
        if own is None or found == target.text:
            continue
        what = f"the carry `{found}`" if found else "what the loop yields"
        kept = ", ".join([*(f"part{i + 1}" for i in range(len(loop.body.yields))), *(name.text for name in carries)])
        b.diagnostics.add(
            Diagnostic(
                "CS0431",
                f"`{target.text}` gets {what}, not the carry of that name",
                (Label(target.span), Label(own.span, "this carry")),
                f"yields come first, then the carries in their order: `{kept} = ...`",
                Severity.NOTE,
            )
        )
        return


def _with_sequence(statement: ast.Bind) -> ast.Expr:
    """The value that is bound. A `scan` without `yield` and with a name more than carries yields its first carry."""
    value = statement.value
    if not isinstance(value, ast.Scan) or value.body.yields or not value.carries:
        return value
    if len(statement.names) != len(value.carries) + 1:
        return value
    first = value.carries[0].name
    return replace(value, body=replace(value.body, yields=(ast.Reference(first.text, first.span),)))


def _spread(names: tuple[ast.Name, ...], value: Item, span: Span) -> list[tuple[ast.Name, Item]]:
    """Pairs names with the parts of a value."""
    if len(names) == 1:
        if isinstance(value, Results):
            return [(names[0], value[0])]
        if isinstance(value, Bundle) and len(value.items) == 1:
            return [(names[0], value.items[0])]
        return [(names[0], value)]
    items = value.items if isinstance(value, Bundle) else value
    if not isinstance(items, tuple):
        raise mistake(
            "CS0219", f"{len(names)} names for one value", names[0].span.to(names[-1].span), help="bind one name"
        )
    if len(items) < len(names) or (len(items) > len(names) and not isinstance(items, Results)):
        raise mistake(
            "CS0219",
            f"{len(names)} names for {len(items)} values",
            names[0].span.to(names[-1].span),
            Label(span, f"this gives {len(items)}"),
        )
    return list(zip(names, items, strict=False))


@recovering(lambda s: (s.name,))
def share(b: Builder, frame: Frame, statement: ast.Share) -> None:
    target = b.evaluate(frame, statement.value)
    if not isinstance(target, (OpRef, SeedRef, Configured)):
        raise mistake(
            "CS0220",
            f"`share` makes one instance of a seed or an operation, not of {described(target)}",
            statement.value.span,
            help="write `share f = Stage[32]`, without a call",
        )
    name = statement.name
    frame.scope.bind(name.text, Shared(target, b.weight_path(frame, name.text), name.text, frame.origin), name.span)


@recovering(lambda s: (s.name,))
def param(b: Builder, frame: Frame, statement: ast.ParamDeclaration) -> None:
    type_ = declared_axes(b, frame, statement.type)
    init = initial(b, frame, statement.value, type_)
    path = b.weight_path(frame, statement.name.text)
    value = b.weight(frame, path, WeightSpec(0, type_, init), statement.span)
    b.bind(frame, statement.name, Tensor(value, type_))


def initial(b: Builder, frame: Frame, expr: ast.Expr, type_: TensorType) -> Init:
    """`kaiming()`, `normal(0.1)`, ...: how a parameter starts."""
    kinds = {k.value: k for k in InitKind}
    counts = {InitKind.NORMAL: (1,), InitKind.UNIFORM: (2,), InitKind.FULL: (1,), InitKind.KAIMING: (0, 1)}
    if not isinstance(expr, ast.Apply) or not isinstance(expr.callee, ast.Reference) or expr.callee.name not in kinds:
        raise mistake(
            "CS0221",
            "a parameter starts as kaiming(), normal(std), uniform(low, high), zeros(), ones() or full(value)",
            expr.span,
        )
    kind = kinds[expr.callee.name]
    numbers: list[float] = []
    for argument in expr.arguments:
        value = b.evaluate(frame, argument.value) if isinstance(argument, ast.Positional) else None
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise mistake("CS0204", "a static number is expected here", argument.span)
        numbers.append(float(value))
    if len(numbers) not in counts.get(kind, (0,)):
        raise mistake(
            "CS0221", f"`{kind.value}` takes {counts.get(kind, (0,))[0]} numbers, not {len(numbers)}", expr.span
        )
    if kind is InitKind.KAIMING:
        return Init(kind, (), int(numbers[0]) if numbers else fan_in(type_))
    return Init(kind, tuple(numbers))


@recovering(lambda s: (s.name,))
def state(b: Builder, frame: Frame, statement: ast.StateDeclaration) -> None:
    states.declare(b, frame, statement)


@recovering(lambda s: (s.name,))
def gate(b: Builder, frame: Frame, statement: ast.GateDeclaration) -> None:
    name = statement.name.text
    value = b.evaluate(inner(frame, name, frame.scope), statement.value)
    via = estimators.via(b, inner(frame, name, frame.scope), statement.estimator)
    made = decisions.gate(b, frame, value, name, statement.value.span, statement.axes, via)
    b.bind(frame, statement.name, made)
    b.gates.setdefault(made.decision.value, made)


@recovering(lambda s: s.names)
def next_(b: Builder, frame: Frame, statement: ast.Next) -> None:
    unread = frame.scope.unread
    if all(name.text in unread or frame.scope.names.get(name.text) is BROKEN for name in statement.names):
        raise BrokenUse
    at_exit = frame.leaving is not None and frame.scope is frame.leaving
    if frame.carries is None and not frame.scope.states and not at_exit:
        raise mistake(
            "CS0416",
            "`next` stands outside a loop, and this block has no state",
            statement.span,
            help="it sets a carry of `for`, `repeat` or `scan` directly in its body, and a state where it is declared",
        )
    prefix = statement.names[0].text
    *around, last = frame.weights.rsplit(".", 2)
    loop = around[-1] if around and last.isdigit() else last  # a turn of `for` adds its number
    name = "" if loop == prefix else prefix
    value = b.evaluate(inner(frame, name, frame.scope), statement.value)
    for target, item in _spread(statement.names, value, statement.span):
        kept = frame.scope.state(target.text) if at_exit else None
        if kept is not None:
            states.set_left(b, frame, kept, item, target.span)
            continue
        if target.text in frame.scope.states:
            states.set_next(b, frame, frame.scope.states[target.text], item, target.span)
            continue
        if frame.carries is None or target.text not in frame.scope.names:
            raise mistake(
                "CS0416",
                f"`{target.text}` is no carry and no state of this block",
                target.span,
                help="an exit leaves its loops: `next` sets states there"
                if at_exit
                else suggestion(target.text, frame.scope.names) or f"declare it: `with {target.text} = ...`",
            )
        if target.text in frame.carries:
            raise mistake("CS0416", f"`next {target.text}` stands twice in one turn", target.span)
        frame.carries[target.text] = item


@recovering(lambda s: (s.name,))
def loss(b: Builder, frame: Frame, statement: ast.LossDeclaration) -> None:
    if b.loops:
        raise mistake(
            "CS0427",
            "`loss` stands in a loop that is run, not unrolled",
            statement.span,
            help="carry its sum out of the loop, and name the loss behind it",
        )
    name = statement.name.text
    frame = replace(frame, arms=())
    value = b.tensor(frame, b.evaluate(inner(frame, name, frame.scope), statement.value), statement.value.span)
    if value.type.rank or not value.type.dtype.floating:
        raise mistake(
            "CS0417",
            f"a loss term is one number, but this is {value.type}",
            statement.value.span,
            help="reduce it: `mean[over=N](...)`",
        )
    path = b.call_path(frame, name)
    b.add(Loss(path, value.type, b.origin(frame, statement.span, name)), (value.value,), frame)


def require(b: Builder, frame: Frame, statement: ast.Require) -> None:
    """Reports a condition of static values that does not hold. Raises BrokenUse then, as what follows counts on it."""
    condition = statement.condition
    try:
        holds = b.evaluate(marked(b, frame, statement), condition)
        if not isinstance(holds, bool):
            raise mistake(
                "CS0232",
                f"`require` takes a condition of static values, not {described(holds)}",
                condition.span,
                help="what inputs decide is a gate; a size that is not fixed is checked where it has to agree",
            )
    except BuildError as error:
        b.report(error)
        return
    if holds:
        return
    seed, called = frame.instance.declaration.name.text, frame.instance.called
    reason = statement.reason.value if statement.reason is not None else f"a requirement of `{seed}` does not hold"
    labels = [Label(condition.span, _here(b, frame, condition))]
    if called is not None:
        labels.insert(0, Label(called, f"`{seed}` is called here"))
    b.report(BuildError(Diagnostic("CS0510", reason, tuple(labels))))
    raise BrokenUse


def _here(b: Builder, frame: Frame, condition: ast.Expr) -> str:
    """What a comparison that does not hold compares."""
    if not isinstance(condition, ast.Compare):
        return "this does not hold"
    left, right = (b.evaluate(frame, side) for side in (condition.left, condition.right))
    return f"{shown(left)} {condition.operator} {shown(right)} does not hold"
