"""What each statement of a body does: bind, share, param, gate, exit, exits, next, loss, require."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

from cogseedc.diagnostics import Diagnostic, Label, Severity
from cogseedc.frontend import ast
from cogseedc.frontend.build import decisions, estimators, states
from cogseedc.frontend.build.align import aligned
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.model import (
    BROKEN,
    BrokenUse,
    BuildError,
    Bundle,
    Configured,
    ExitSite,
    Frame,
    Item,
    OpRef,
    Scope,
    SeedRef,
    Shared,
    Tensor,
    mistake,
)
from cogseedc.frontend.build.names import described, shown, suggestion
from cogseedc.frontend.build.paths import join
from cogseedc.frontend.build.ports import declared_axes, dtype_of
from cogseedc.frontend.build.regions import inner
from cogseedc.frontend.build.statics import integer
from cogseedc.frontend.build.trial import Trial
from cogseedc.frontend.build.unrolled import Results
from cogseedc.frontend.build.weights import fan_in
from cogseedc.frontend.walk import walk
from cogseedc.ir import Exit, Init, InitKind, Loss, NodeId, TensorType, Value, WeightSpec
from cogseedc.source import Span

S = TypeVar("S", bound=ast.Statement)
NamesOf = Callable[[Any], tuple[ast.Name, ...]]
PRECISIONS = ("int8", "fp8", "fp16", "bf16", "fp32")
_INERT = ("device", "cache")


def recovering(names: NamesOf) -> Callable[[Callable[[Builder, Frame, S], None]], Callable[[Builder, Frame, S], None]]:
    """A statement with a mistake is reported and leaves its names broken, so that what follows is still checked."""

    def wrap(run: Callable[[Builder, Frame, S], None]) -> Callable[[Builder, Frame, S], None]:
        @wraps(run)
        def guarded(b: Builder, frame: Frame, statement: S) -> None:
            try:
                run(b, marked(b, frame, statement), statement)
            except BuildError as error:
                b.report(error)
            except BrokenUse:
                pass
            else:
                return
            following = frame.carries if isinstance(statement, ast.Next) else None
            for name in names(statement):
                (frame.scope.names if following is None else following).setdefault(name.text, BROKEN)

        return guarded

    return wrap


def marked(b: Builder, frame: Frame, statement: ast.Statement) -> Frame:
    """The frame with the attributes of a statement: `@bits` counts, `@device` and `@cache` are only recorded."""
    for mark in statement.marks:
        name = mark.name.text
        if name in _INERT:
            b.diagnostics.add(
                Diagnostic(
                    "CS0216",
                    f"`@{name}` is recorded, but has no effect yet",
                    (Label(mark.span),),
                    severity=Severity.NOTE,
                )
            )
        elif name == "bits":
            frame = replace(frame, origin=replace(frame.origin, forced_bits=_precision(mark)))
        else:
            raise mistake(
                "CS0217",
                f"there is no attribute `@{name}`",
                mark.span,
                help=suggestion(name, ("bits", *_INERT))
                or "the attributes are @bits, @device and @cache; a matrix product is `matmul(a, b)`",
            )
    return frame


def _precision(mark: ast.Mark) -> str:
    if len(mark.arguments) == 1 and isinstance(mark.arguments[0], ast.Positional):
        value = mark.arguments[0].value
        if isinstance(value, ast.Reference) and value.name in PRECISIONS:
            return value.name
    raise mistake("CS0218", "`@bits` takes one precision", mark.span, help=f"one of {', '.join(PRECISIONS)}")


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


def _outside_loops(b: Builder, frame: Frame, word: str, span: Span) -> None:
    """Refuses what may not stand in the body of a `repeat` or `scan` of this seed."""
    if any(frame.instance is around for _, around in b.loops):
        raise mistake(
            "CS0427",
            f"`{word}` stands in a loop that is run, not unrolled",
            span,
            help="stop the loop with `until`, or carry the value out of it and write this behind the loop",
        )


# Exits


@recovering(lambda s: ())
def exit_(b: Builder, frame: Frame, statement: ast.ExitDeclaration) -> None:
    _outside_loops(b, frame, "exit", statement.span)
    turn = ".".join(frame.turn)
    name = join(statement.name.text, turn)
    make_exit(b, frame, statement, name)


def make_exit(
    b: Builder, frame: Frame, statement: ast.ExitDeclaration | ast.ExitsDeclaration, name: str, at: Tensor | None = None
) -> NodeId:
    """Builds the block and the condition of an exit; its node."""
    instance = frame.instance
    scope = Scope(frame.scope)
    placing = b.placing
    if isinstance(statement, ast.ExitsDeclaration):
        assert at is not None
        scope.names[statement.at.text] = at
        b.placing = statement.span
    root = _instance_prefix(frame)
    body = replace(
        frame,
        scope=scope,
        weights=join(join(root[0], "exits"), name),
        calls=join(join(root[1], "exits"), name),
        carries=None,
        leaving=scope,
    )
    _read_before_next(b, frame, statement)
    for inside in statement.body:
        b.run(body, inside)
    b.placing = placing
    values = [_exit_value(b, body, out, statement) for out in instance.outputs]
    condition = b.boolean(body, b.evaluate(body, statement.condition), statement.condition.span)
    condition = decisions.without_ones(b, body, condition, statement.condition.span)
    condition = decisions.nan_never(b, body, condition, statement.condition.span)
    for around in frame.arms[instance.arms :]:
        both = b.call(
            body,
            "logical_and",
            list(_aligned(b, body, around.taken, condition, statement.condition.span)),
            statement.condition.span,
        )[0]
        condition = replace(
            both, type=condition.type if condition.type.rank >= around.taken.type.rank else around.taken.type
        )
    axes = tuple(a.name or "_" for a in condition.type.axes)
    for out, value in zip(instance.outputs, values, strict=True):
        _decidable(b, condition.type, out, value.type, statement.condition.span)
    path = join(instance.path, name)
    node = Exit(
        path,
        instance.path,
        len(instance.exits),
        axes,
        condition.type,
        replace(frame.origin, path=path, span=statement.span),
    )
    id = b.add(node, (condition.value, *(v.value for v in values)), replace(frame, arms=()))
    instance.exits.append(id)
    instance.blocks[id] = scope
    return id


def _read_before_next(b: Builder, frame: Frame, statement: ast.ExitDeclaration | ast.ExitsDeclaration) -> None:
    """Notes that an exit behind `next h` reads h, which is what it was before."""
    set_before = {name for name in frame.carries or () if name in frame.scope.names}
    bound = {name.text for inside in statement.body if isinstance(inside, ast.Bind) for name in inside.names}
    read = set_before - bound
    for node in walk((statement.body, statement.condition)) if read else ():
        if isinstance(node, ast.Reference) and node.name in read:
            read.remove(node.name)
            message = f"the exit stands behind `next {node.name}`, but `{node.name}` here is what it was before"
            help = "bind what `next` sets to a name, and read that; or write the exit before `next`"
            b.report(BuildError(Diagnostic("CS0444", message, (Label(node.span),), help, Severity.NOTE)))


def _decidable(b: Builder, decision: TensorType, out: str, value: TensorType, span: Span) -> None:
    """Refuses with CS0418 an exit over an axis that an output lacks, or has in another size."""
    for axis in decision.axes:
        at = None if axis.name is None else value.position(axis.name)
        if at is None:
            message = f"the exit decides over {axis.name or '_'}, which the output `{out}` ({value}) lacks"
            help = "an exit's axes must be axes of every output"
        elif not b.require_equal(value.axes[at].size, axis.size, span):
            message = f"the exit decides over {axis}, but the output `{out}` is {value}"
            help = "an exit's axes must be axes of every output, in the same size"
        else:
            continue
        raise mistake("CS0418", message, span, help=help)


def _aligned(b: Builder, frame: Frame, left: Tensor, right: Tensor, span: Span) -> tuple[Tensor, Tensor]:
    operands, _ = aligned(b, frame, "logical_and", [left, right], [span, span], span)
    first, second = operands
    assert first is not None
    assert second is not None
    return first, second


def _instance_prefix(frame: Frame) -> tuple[str, str]:
    """Weight and call prefix of the seed instance around."""
    return frame.origin.scope[-1] if frame.origin.scope else "", frame.instance.path


def _exit_value(b: Builder, frame: Frame, out: str, statement: ast.ExitDeclaration | ast.ExitsDeclaration) -> Tensor:
    item = frame.scope.names.get(out)
    if item is BROKEN:
        raise BrokenUse
    if item is None:
        raise mistake(
            "CS0419",
            f"the exit does not set the output `{out}`",
            statement.span,
            help=f"bind it in the block: `{out} = ...`; an exit sets every output",
        )
    ports = (m for m in frame.instance.declaration.members if isinstance(m, ast.Port) and m.direction == "out")
    dtype = next(dtype_of(p.type.dtype) for p in ports if p.name.text == out)
    return b.tensor(frame, item, frame.scope.spans[out], dtype)


@recovering(lambda s: ())
def exits(b: Builder, frame: Frame, statement: ast.ExitsDeclaration) -> None:
    _outside_loops(b, frame, "exits", statement.span)
    if frame.turn or frame.arms:
        raise mistake("CS0420", "`exits` stands directly in a seed, not in a loop or an arm", statement.span)
    count = integer(b.evaluate(frame, statement.count), statement.count.span, "the number of exits")
    if not 1 <= count <= 1024:
        raise mistake("CS0420", f"the number of exits is {count}", statement.count.span, help="between 1 and 1024")
    seen = Scope(
        frame.scope.parent,
        dict(frame.scope.names),
        dict(frame.scope.spans),
        dict(frame.scope.axes),
        dict(frame.scope.labels),
    )
    here = replace(frame, scope=seen)
    first = len(frame.instance.exits)

    def insert(value: Value, index: int) -> NodeId:
        type_ = b.graph.type(value)
        return make_exit(b, here, statement, str(first + index), Tensor(value, type_))

    def fits(value: Value) -> bool:
        trial = Trial.begin(b, here)
        loud, b.diagnostics = b.diagnostics, type(b.diagnostics)(b.diagnostics.limit)
        try:
            insert(value, 0)
            return not b.diagnostics.failed
        except (BuildError, BrokenUse):
            return any(d.code == "CS0441" for d in b.diagnostics)  # wrong at every value: `insert` says so
        finally:
            b.diagnostics = loud
            trial.undo(b, here)

    frame.instance.exit_scopes.append(ExitSite(count, frame.instance.path, statement.span, insert, fits))
