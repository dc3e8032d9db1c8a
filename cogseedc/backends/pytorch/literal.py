"""The one place where values become Python literals: ASCII, exact, and never text of a user outside a string."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cogseedc.ir import Dtype

Scalar = str | bool | int | float

DTYPES = {
    Dtype.F32: "torch.float32",
    Dtype.F16: "torch.float16",
    Dtype.BF16: "torch.bfloat16",
    Dtype.I64: "torch.int64",
    Dtype.I32: "torch.int32",
    Dtype.I8: "torch.int8",
    Dtype.U8: "torch.uint8",
    Dtype.BOOL: "torch.bool",
}


def literal(value: Scalar) -> str:
    """A Python expression that gives exactly this value."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)


def _quoted(text: str) -> str:
    plain = ascii(text)
    return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in plain and "\\" not in plain else plain


def typed(value: bool | int | float, dtype: Dtype) -> str:
    """The literal of one element of a tensor."""
    if dtype is Dtype.BOOL:
        return literal(bool(value))
    return literal(float(value) if dtype.floating else int(value))


def listed(values: Sequence[bool | int | float], dtype: Dtype) -> str:
    return "[" + ", ".join(typed(v, dtype) for v in values) + "]"


def items(parts: Sequence[str]) -> str:
    """A tuple expression."""
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
