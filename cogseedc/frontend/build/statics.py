"""Arithmetic of static values: integers, floats, sizes. Makes nothing of tensors, and knows no graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from cogseedc.frontend.build.model import GateRef, Item, Tensor, mistake
from cogseedc.frontend.build.names import described
from cogseedc.ir import AxisArg, Dtype, Size
from cogseedc.limits import Limits
from cogseedc.source import Span

Number = int | float | Size


def is_static(item: Item) -> bool:
    """Whether it is known at compile time (a size may still be a symbol)."""
    return isinstance(item, (bool, int, float, str, Size, Dtype)) or (
        isinstance(item, AxisArg) and item.size is not None
    )


def number(item: Item, span: Span) -> Number:
    """A static number: an axis is its size, a bool is refused."""
    if isinstance(item, AxisArg):
        if item.size is None:
            raise mistake(
                "CS0203",
                f"the axis `{item.name}` has no size here",
                span,
                help=f"give it one: `{item.name}=10`",
            )
        return simple(item.size)
    if isinstance(item, bool):
        text = str(item).lower()
        help = f"a decision among values is `full[N]({text})`, which counts as a number"
        raise mistake("CS0204", f"a static number is expected here, not `{text}`", span, help=help)
    if not isinstance(item, (int, float, Size)):
        run = "it is known when the model runs: what depends on it is a gate, or a `repeat` with `until`"
        help = run if isinstance(item, (Tensor, GateRef)) else ""
        raise mistake("CS0204", f"a static number is expected here, not {described(item)}", span, help=help)
    return item


def simple(size: Size) -> Number:
    """A size, as an integer where it is known."""
    return size.value if size.value is not None else size


def integer(item: Item, span: Span, what: str = "an integer") -> int:
    """A known integer. Raises BuildError."""
    value = number(item, span)
    if isinstance(value, Size):
        raise mistake(
            "CS0205",
            f"{what} must be known at compile time, but it is `{value}`",
            span,
            help="fix the size, for instance with `--size`",
        )
    if isinstance(value, float):
        raise mistake(
            "CS0204", f"{what} is expected, not the fraction {value!r}", span, help="round it with `floor` or `ceil`"
        )
    return value


def checked(value: Number, span: Span) -> Number:
    """Refuses integers beyond i64 and fractions that are not finite."""
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise mistake(Limits.code("elements"), "this static integer does not fit into 64 bits", span)
    if isinstance(value, float) and not math.isfinite(value):
        raise mistake("CS0206", f"this static value is {value!r}", span, help="a static number must be finite")
    return value


def arithmetic(operator: str, left: Number, right: Number, span: Span) -> Number:
    """`left operator right`; `/` of integers rounds down."""
    if operator in "/%" and (right == 0 or (isinstance(right, Size) and right.known == 0)):
        raise mistake("CS0206", "a static division by zero", span)
    if operator == "^" and (isinstance(right, Size) or abs(right) > 4096):
        raise mistake("CS0206", "the exponent of a static power must be a small number", span)
    try:
        if isinstance(left, Size) or isinstance(right, Size):
            return checked(_sizes(operator, left, right, span), span)
        return checked(_NUMBERS[operator](left, right), span)
    except (OverflowError, ZeroDivisionError, ValueError, TypeError):
        raise mistake("CS0206", f"`{left} {operator} {right}` has no value", span) from None


def _divide(a: int | float, b: int | float) -> int | float:
    return a // b if isinstance(a, int) and isinstance(b, int) else a / b


def _power(a: int | float, b: int | float) -> int | float:
    result = a**b
    if isinstance(result, complex):
        raise ValueError
    return result


_NUMBERS: dict[str, Callable[[int | float, int | float], int | float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "%": lambda a, b: a % b,
    "^": _power,
}


def _sizes(operator: str, left: Number, right: Number, span: Span) -> Number:
    a, b = _size(left), _size(right)
    match operator:
        case "+":
            return simple(a + b)
        case "-":
            return simple(a - b)
        case "*":
            return simple(a * b)
        case "/" if b.known is not None:
            exact = a.divided(b.known)
            whole = isinstance(left, (int, Size)) and isinstance(right, (int, Size)) and _integral(a) and _integral(b)
            return simple(exact.floor()) if whole else simple(exact)
        case "%" if b.value is not None:
            return simple(a - (a // b.value) * b.value)
        case "^" if isinstance(right, int) and 0 <= right <= 8:
            product = Size.of(1)
            for _ in range(right):
                product = product * a
            return simple(product)
    raise mistake("CS0205", f"`{operator}` needs sizes that are known at compile time here", span)


def _size(value: Number) -> Size:
    return Size.of(Fraction(value)) if isinstance(value, float) else Size.of(value)


def _integral(size: Size) -> bool:
    return all(c.denominator == 1 for _, c in size.terms)


def compare(operator: str, left: Number, right: Number, span: Span) -> bool:
    """A static comparison. Raises BuildError when a size is not known."""
    if isinstance(left, Size) or isinstance(right, Size):
        difference = (_size(left) - _size(right)).known
        if difference is None:
            raise mistake(
                "CS0205", f"`{left} {operator} {right}` depends on a size that is known only when inputs come", span
            )
        left, right = float(difference), 0.0
    return _COMPARE[operator](left, right)


_COMPARE: dict[str, Callable[[int | float, int | float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def function(name: str, arguments: list[Number], span: Span) -> Number | None:
    """A static call of an elementwise function; None when the function has no static form."""
    if name in ("ceil", "floor") and len(arguments) == 1 and isinstance(arguments[0], Size):
        return simple(arguments[0].ceil() if name == "ceil" else arguments[0].floor())
    if name in ("min", "max", "minimum", "maximum") and arguments:
        if any(isinstance(a, Size) for a in arguments):
            raise mistake("CS0205", f"`{name}` needs sizes that are known at compile time here", span)
        return (min if name.startswith("min") else max)(a for a in arguments if not isinstance(a, Size))
    known = _FUNCTIONS.get(name)
    if known is None or len(arguments) != 1 or isinstance(arguments[0], Size):
        return None
    try:
        return checked(known(arguments[0]), span)
    except (ValueError, OverflowError):
        raise mistake("CS0206", f"`{name}({arguments[0]})` has no value", span) from None


_FUNCTIONS: dict[str, Callable[[int | float], int | float]] = {
    "ceil": math.ceil,
    "floor": math.floor,
    "round": round,
    "abs": abs,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
}
