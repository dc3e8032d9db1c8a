"""The static `for`: its turns are elaborated one after the other."""

from __future__ import annotations

from dataclasses import replace

from cogseedc.frontend import ast
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.model import Frame, Item, Scope, mistake
from cogseedc.frontend.build.regions import inner
from cogseedc.frontend.build.remarks import never_set
from cogseedc.frontend.build.statics import integer, number
from cogseedc.ir import Size


def for_(b: Builder, frame: Frame, expr: ast.For) -> Item:
    """`for i in a .. b with h = x { ... }`: unrolled; its yields as tuples, then the last carries."""
    start = integer(b.evaluate(frame, expr.start), expr.start.span, "the start")
    end = number(b.evaluate(frame, expr.stop), expr.stop.span)
    if isinstance(end, Size) and end.known is None:
        help = "a loop along an axis of any length is `scan x in xs over T`; or fix the size with `--size`"
        raise mistake("CS0205", f"the end must be known at compile time, but it is `{end}`", expr.stop.span, help=help)
    stop = integer(end, expr.stop.span, "the end")
    never_set(b, expr)
    b.bounds.foresee((stop - start) * b.expansion.of_turn(expr, frame.scope.find), expr.span)
    carries: dict[str, Item] = {}
    for carry in expr.carries:
        if carry.name.text in carries:
            raise mistake("CS0202", f"the carry `{carry.name.text}` stands twice", carry.span)
        carries[carry.name.text] = b.evaluate(inner(frame, carry_name(frame, carry.name.text)), carry.value)
    yields: list[tuple[Item, ...]] = []
    for turn in range(start, stop):
        b.bounds.turn(expr.span)
        scope = Scope(frame.scope, {expr.variable.text: turn, **carries})
        for item in carries.values():
            scope.label(item)
        body = replace(inner(frame, str(turn), scope), turn=(*frame.turn, str(turn)), carries={})
        for statement in expr.body.statements:
            b.run(body, statement)
        assert body.carries is not None
        scope.names.update(body.carries)
        yields.append(tuple(b.evaluate(body, e) for e in expr.body.yields))
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


def carry_name(frame: Frame, name: str) -> str:
    return "" if frame.weights.rsplit(".", 1)[-1] == name else name
