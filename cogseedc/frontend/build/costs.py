"""`cost(x)`: the expected MACs of a gate, a named region or the whole seed, as an expression of the gates."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cogseedc.frontend import ast
from cogseedc.frontend.build.align import laid_out
from cogseedc.frontend.build.calls import Given
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.decisions import taken
from cogseedc.frontend.build.expressions import elementwise, unknown
from cogseedc.frontend.build.model import (
    BROKEN,
    Arms,
    BrokenUse,
    Configured,
    Decisions,
    Frame,
    GateRef,
    Item,
    Tensor,
    mistake,
)
from cogseedc.ir import BATCH, Call, Dtype, Exit, Gate, GateKind, Loop, NodeId, Size
from cogseedc.ops import OPS
from cogseedc.source import Span


def cost(b: Builder, frame: Frame, configured: Configured | None, given: Given, expr: ast.Apply | ast.Pipe) -> Item:
    """Sum over regions of (MACs per sample) * (mean of the product of their gates' decisions).

    Linear in each gate's decisions, with static coefficients; what stands below an exit is spent by those who stay.
    `full=true` takes every gate as taken, and nobody leaves. Counts what is written above it. In a run-time loop it is
    one number per sample, as each may run other turns; around one, all turns count. Raises BuildError CS0430 where only
    the turns themselves can tell what is spent.
    """
    if not isinstance(expr, ast.Apply):
        raise mistake("CS0214", "`cost` is called with a name: `cost(x)`", expr.span)
    full = any(
        isinstance(a, ast.Keyword) and a.name.text == "full" and b.evaluate(frame, a.value) is True
        for a in expr.arguments
    )
    names = [a.value for a in expr.arguments if isinstance(a, ast.Positional)]
    if len(names) > 1 or not all(isinstance(n, ast.Reference) for n in names):
        raise mistake(
            "CS0214", "`cost` takes the name of a gate or of a bound region, or nothing for the whole seed", expr.span
        )
    spent = _spent(b, frame, names[0] if names else None, expr.span)
    asked = [decision for (arms, exits), _ in spent for decision in (*(gate for gate, _ in arms), *exits)]
    if not full and any(decision not in b.graph for decision in asked):
        raise mistake(
            "CS0430",
            "what a loop spends hangs on decisions of its turns, which are not seen from outside",
            expr.span,
            help="carry it: `next spent = spent + cost(x)` in the loop; or take all turns as run: `cost(x, full=true)`",
        )
    total: Tensor | None = None
    for (arms, exits), macs in spent:
        term = _size(b, frame, macs, expr.span)
        chosen, left = ((), ()) if full else (arms, exits)
        factors = [_indicator(b, frame, gate, arm, expr.span) for gate, arm in chosen]
        factors += [_stays(b, frame, exit, expr.span) for exit in left]
        for factor in _meeting(b, frame, factors, expr.span):
            term = elementwise(b, frame, "mul", [term, factor], [expr.span] * 2, expr.span)
        over = tuple(i for i in range(term.type.rank) if not b.loops or i != term.type.batch)
        if over:
            term = b.one(frame, "mean", term, span=expr.span, over=over)
        total = term if total is None else elementwise(b, frame, "add", [total, term], [expr.span] * 2, expr.span)
    return total if total is not None else b.constant(frame, 0.0, Dtype.F32, expr.span)


def _meeting(b: Builder, frame: Frame, factors: list[Tensor], span: Span) -> list[Tensor]:
    """The factors, so that they multiply: where none has the axes of all, each is laid out over these."""
    names = list(dict.fromkeys(name for factor in factors for name in factor.type.names))
    if any(factor.type.rank == len(names) for factor in factors):
        return factors
    return [
        laid_out(b, frame, factor, [names.index(name) for name in factor.type.names], len(names), span)
        for factor in factors
    ]


def _spent(b: Builder, frame: Frame, name: ast.Expr | None, span: Span) -> list[tuple[Decisions, Size]]:
    """MACs per sample by the arms around them and the exits above them, in order of first appearance."""
    keep = _selector(b, frame, name, span)
    found: dict[Decisions, Size] = {}
    for id, key, size in _counted(b):
        if keep(id, key[0]):
            found[key] = found.get(key, Size.of(0)) + size
    return [(key, size) for key, size in found.items() if size != Size.of(0)]


def spent_in_turns(b: Builder, start: NodeId, steps: Size, until: NodeId | None) -> tuple[tuple[Decisions, Size], ...]:
    """MACs per sample of all turns of a loop whose body are the nodes from `start` on. With `until` they hang on it."""
    found: dict[Decisions, Size] = {}
    for id, (arms, exits), size in _counted(b):
        if id >= start:
            key = (arms if until is None else (*arms, (until, 0)), exits)
            found[key] = found.get(key, Size.of(0)) + size * steps.substitute(_ONE)
    return tuple(found.items())


def _counted(b: Builder) -> Iterator[tuple[NodeId, Decisions, Size]]:
    """Each operation and loop, with the decisions that it hangs on, and its MACs per sample."""
    exits: dict[str, list[NodeId]] = {}
    for id, node in b.graph.nodes():
        if isinstance(node, Exit):
            exits.setdefault(node.scope, []).append(id)
        elif isinstance(node, Loop):
            yield from ((id, key, size) for key, size in b.spent[id])
        elif isinstance(node, Call) and (macs := OPS[node.op].macs) is not None:
            inputs = [b.graph.type(v) if v is not None else None for v in b.graph.feeds(id)]
            above = tuple(e for scope in ("", *node.origin.scope) for e in exits.get(scope, ())) if exits else ()
            key = (b.arms.get(id, ()), tuple(dict.fromkeys(above)))
            yield id, key, macs(node.attrs, inputs, node.types).substitute(_ONE)


_ONE = {BATCH: Size.of(1)}


def _selector(b: Builder, frame: Frame, name: ast.Expr | None, span: Span) -> Callable[[NodeId, Arms], bool]:
    """Which nodes count: those of the seed instance, under a gate, or of the statement that bound a name."""
    if name is None:
        if any(frame.instance is around for _, around in b.loops):
            raise mistake(
                "CS0430",
                "what the whole seed spends is not known in a turn of its loop",
                span,
                help="name what is meant, `cost(x)`; or ask behind the loop",
            )
        path = frame.instance.path
        return lambda node, arms: not path or b.graph[node].origin.path.startswith(path + ".")
    assert isinstance(name, ast.Reference)
    item = frame.scope.find(name.name)
    if item is BROKEN:
        raise BrokenUse
    if isinstance(item, GateRef):
        gates = {item.node, *(g.node for (value, _), g in b.bounded.items() if value == item.decision.value)}
        return lambda node, arms: any(gate in gates for gate, _ in arms)
    region = frame.scope.region(name.name)
    if region is None:
        raise unknown(frame, name.name, name.span)
    return lambda node, arms: region[0] <= node < region[1]


def _size(b: Builder, frame: Frame, size: Size, span: Span) -> Tensor:
    if size.value is not None:
        return b.constant(frame, float(size.value), Dtype.F32, span)
    return b.cast(frame, b.one(frame, "size_value", span=span, size=size), Dtype.F32, span)


def _indicator(b: Builder, frame: Frame, gate: NodeId, arm: int, span: Span) -> Tensor:
    """1 where the gate took the arm. For the `else` of a route, -1, where no arm was taken."""
    ref = b.gate_refs[gate]
    if arm >= 0:
        return b.cast(frame, taken(b, frame, ref, arm, span), Dtype.F32, span)
    node = b.graph[gate]
    exclusive = isinstance(node, Gate) and node.kind is not GateKind.MANY
    rest: Tensor | None = None
    for case in list(b.cases[gate]):
        part = b.cast(frame, taken(b, frame, ref, case, span), Dtype.F32, span)
        if rest is None or not exclusive:
            left = _less(b, frame, b.constant(frame, 1.0, Dtype.F32, span), part, span)
            rest = left if rest is None else elementwise(b, frame, "mul", [rest, left], [span] * 2, span)
        else:
            rest = _less(b, frame, rest, part, span)
    assert rest is not None, "the arms of a route were asked before its `else`"
    return rest


def _stays(b: Builder, frame: Frame, exit: NodeId, span: Span) -> Tensor:
    """1 where an exit was not taken."""
    value, node = b.graph.feeds(exit)[0], b.graph[exit]
    assert value is not None
    assert isinstance(node, Exit)
    leaves = b.cast(frame, Tensor(value, node.condition), Dtype.F32, span)
    return _less(b, frame, b.constant(frame, 1.0, Dtype.F32, span), leaves, span)


def _less(b: Builder, frame: Frame, left: Tensor, right: Tensor, span: Span) -> Tensor:
    return elementwise(b, frame, "sub", [left, right], [span] * 2, span)
