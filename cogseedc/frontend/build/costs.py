"""`cost(x)`: the expected MACs of a gate, a named region or the whole seed, as an expression of the gates."""

from __future__ import annotations

from collections.abc import Callable

from cogseedc.frontend import ast
from cogseedc.frontend.build.calls import Given
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.expressions import elementwise, unknown
from cogseedc.frontend.build.model import BROKEN, BrokenUse, Configured, Frame, GateRef, Item, Tensor, mistake
from cogseedc.ir import BATCH, Call, Dtype, NodeId, Size
from cogseedc.ops import OPS
from cogseedc.source import Span

Arms = tuple[tuple[NodeId, int], ...]


def cost(b: Builder, frame: Frame, configured: Configured | None, given: Given, expr: ast.Apply | ast.Pipe) -> Item:
    """Sum over regions of (MACs per sample) * (mean of the product of their gates' decisions).

    Linear in the decisions' means, with static coefficients; `full=true` takes every gate as taken.
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
    spent = _spent(b, frame, names[0] if names else None)
    total: Tensor | None = None
    for arms, macs in spent:
        term = _size(b, frame, macs, expr.span)
        for gate, arm in () if full else arms:
            term = elementwise(
                b, frame, "mul", [term, _indicator(b, frame, gate, arm, expr.span)], [expr.span] * 2, expr.span
            )
        if term.type.rank:
            term = b.one(frame, "mean", term, span=expr.span, over=tuple(range(term.type.rank)))
        total = term if total is None else elementwise(b, frame, "add", [total, term], [expr.span] * 2, expr.span)
    return total if total is not None else b.constant(frame, 0.0, Dtype.F32, expr.span)


def _spent(b: Builder, frame: Frame, name: ast.Expr | None) -> list[tuple[Arms, Size]]:
    """MACs per sample by the arms around them, in order of first appearance."""
    keep = _selector(b, frame, name)
    found: dict[Arms, Size] = {}
    one = {BATCH: Size.of(1)}
    for id, node in b.graph.nodes():
        arms = b.arms.get(id, ())
        if not isinstance(node, Call) or not keep(id, arms):
            continue
        macs = OPS[node.op].macs
        if macs is None:
            continue
        inputs = [b.graph.type(v) if v is not None else None for v in b.graph.feeds(id)]
        found[arms] = found.get(arms, Size.of(0)) + macs(node.attrs, inputs, node.types).substitute(one)
    return [(arms, size) for arms, size in found.items() if size != Size.of(0)]


def _selector(b: Builder, frame: Frame, name: ast.Expr | None) -> Callable[[NodeId, Arms], bool]:
    """Which nodes count: those of the seed instance, under a gate, or of the statement that bound a name."""
    if name is None:
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
    found = b.taken.get((gate, arm))
    if found is None:  # the `else` of a route: what no arm took
        parts = [t for (g, _), t in b.taken.items() if g == gate]
        none = parts[0]
        for part in parts[1:]:
            none = b.call(frame, "logical_or", [none, part], span)[0]
        found = b.call(frame, "logical_not", [none], span)[0]
    return b.cast(frame, found, Dtype.F32, span)
