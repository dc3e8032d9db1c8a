"""How IR text writes what is no value of the graph: attributes, types, marks, initial values, estimators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cogseedc.frontend import ast
from cogseedc.frontend.build.model import mistake
from cogseedc.frontend.build.ports import dtype_of
from cogseedc.frontend.build.statics import Number, arithmetic
from cogseedc.ir import Axis, Dtype, Estimator, Init, InitKind, Origin, Size, TensorType
from cogseedc.source import Span

Marks = dict[str, tuple[ast.Expr, ...]]
"""What the marks of a statement are given, by name."""


def attribute(expr: ast.Expr) -> Any:
    """A static value of IR text: literals, dtypes, sizes, tuples, `_`."""
    match expr:
        case ast.Number(value=value) | ast.String(value=value) | ast.Boolean(value=value):
            return value
        case ast.Tuple(items=items):
            return tuple(v for v in map(attribute, items) if v is not None)
        case ast.Reference(name="_"):
            return None
        case ast.Reference(name=name) if name in {d.value for d in Dtype}:
            return Dtype(name)
        case ast.Reference(name=name):
            return Size.symbol(name)
        case ast.Negate(operand=operand):
            inner = attribute(operand)
            return -inner if isinstance(inner, float) else arithmetic("-", 0, _number(inner, expr.span), expr.span)
        case ast.Binary(operator=operator, left=left, right=right):
            first, second = _number(attribute(left), left.span), _number(attribute(right), right.span)
            return arithmetic(operator, first, second, expr.span)
    raise mistake("CS0425", "this is no attribute of IR text", expr.span)


def _number(value: object, span: Span) -> Number:
    if isinstance(value, bool) or not isinstance(value, (int, float, Size)):
        raise mistake("CS0204", "a static number is expected here", span)
    return value


def type_of(type_: ast.Type) -> TensorType:
    """A type; the size of an axis that has none is a symbol of its name."""
    axes: list[Axis] = []
    for axis in type_.axes:
        name = axis.name.text if axis.name is not None else None
        size = _number(attribute(axis.size), axis.span) if axis.size is not None else Size.symbol(name or "_")
        if isinstance(size, float):
            raise mistake("CS0204", "a size is an integer", axis.span)
        axes.append(Axis(name, Size.of(size)))
    return TensorType(dtype_of(type_.dtype), tuple(axes))


def marks_of(marks: Sequence[ast.Mark]) -> Marks:
    """The marks that stand once."""
    return {m.name.text: tuple(a.value for a in m.arguments if not isinstance(a, ast.Slice)) for m in marks}


def text_of(marks: Marks, name: str) -> str | None:
    """What a mark says, if that is a text."""
    found = marks.get(name)
    value = attribute(found[0]) if found else None
    return value if isinstance(value, str) else None


def words(expressions: Sequence[ast.Expr]) -> tuple[str, ...]:
    """The names that are listed."""
    return tuple(e.name for e in expressions if isinstance(e, ast.Reference) and e.name != "_")


def labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """Axes of a decision, as the printer writes them: `Once` for none, `Unnamed` for one without label."""
    return tuple("_" if name == "Unnamed" else name for name in names if name != "Once")


def origin_of(marks: Marks, span: Span) -> Origin:
    """Where a node belongs, and the precisions that it stands."""
    bits, level = words(marks.get("bits", ())), marks.get("level")
    return Origin(
        text_of(marks, "path") or "",
        span=span,
        bits=words(marks.get("tolerates", ())),
        forced_bits=bits[0] if bits else None,
        level=int(attribute(level[0])) if level else None,
    )


def init_of(expr: ast.Expr) -> Init:
    """How a weight starts."""
    if (
        isinstance(expr, ast.Apply)
        and isinstance(expr.callee, ast.Reference)
        and expr.callee.name in {k.value for k in InitKind}
    ):
        kind = InitKind(expr.callee.name)
        numbers = tuple(float(attribute(a.value)) for a in expr.arguments if isinstance(a, ast.Positional))
        return Init(kind, (), int(numbers[0])) if kind is InitKind.KAIMING and numbers else Init(kind, numbers)
    raise mistake(
        "CS0221",
        "a parameter starts as kaiming(), normal(std), uniform(low, high), zeros(), ones() or full(value)",
        expr.span,
    )


def estimator_of(expr: ast.Expr | None) -> Estimator | None:
    """What stands behind `via`."""
    if expr is None:
        return None
    given = expr.arguments if isinstance(expr, ast.Apply) else ()
    expr = expr.callee if isinstance(expr, ast.Apply) else expr
    arguments = expr.arguments if isinstance(expr, ast.Configure) else ()
    callee = expr.callee if isinstance(expr, ast.Configure) else expr
    assert isinstance(callee, ast.Reference)
    return Estimator(
        callee.name,
        tuple((a.name.text, float(attribute(a.value))) for a in arguments if isinstance(a, ast.Keyword)),
        tuple(a.name.text for a in given if isinstance(a, ast.Keyword)),
    )
