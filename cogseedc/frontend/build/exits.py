"""Exits: `exit`, which gives the outputs early where a condition holds, and `exits`, which the compiler places."""

from __future__ import annotations

from dataclasses import replace

from cogseedc.diagnostics import Diagnostic, Label, Severity
from cogseedc.frontend import ast
from cogseedc.frontend.build import decisions
from cogseedc.frontend.build.align import aligned
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.model import (
    BROKEN,
    BrokenUse,
    BuildError,
    ExitSite,
    Frame,
    Scope,
    Tensor,
    mistake,
)
from cogseedc.frontend.build.paths import join
from cogseedc.frontend.build.ports import dtype_of
from cogseedc.frontend.build.recovery import recovering
from cogseedc.frontend.build.statics import integer
from cogseedc.frontend.build.trial import Trial
from cogseedc.frontend.walk import walk
from cogseedc.ir import Exit, NodeId, TensorType, Value
from cogseedc.source import Span


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


def _outside_loops(b: Builder, frame: Frame, word: str, span: Span) -> None:
    """Refuses what may not stand in the body of a `repeat` or `scan` of this seed."""
    if any(frame.instance is around for _, around in b.loops):
        raise mistake(
            "CS0427",
            f"`{word}` stands in a loop that is run, not unrolled",
            span,
            help="stop the loop with `until`, or carry the value out of it and write this behind the loop",
        )
