"""Einsum in ONNX as transposes, reshapes and matrix products.

The operation `Einsum` itself is not used: ONNX Runtime ends the process (division by zero) for an empty batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from cogseedc.ir.opspec import OnnxCall
from cogseedc.ir.size import Size
from cogseedc.ir.types import BATCH
from cogseedc.ops.neural import onnx_reshape, take
from cogseedc.ops.rules import Types
from cogseedc.ops.spelling import onnx_ints, onnx_transpose


@dataclass(frozen=True, slots=True)
class _Term:
    """An ONNX value and the letters of its axes."""

    value: str
    letters: str


def onnx_einsum(c: OnnxCall, equation: str, args: Sequence[str], inputs: Types) -> str:
    """The value of a plain einsum (every letter once in an operand), contracted from left to right."""
    left, out = equation.split("->")
    terms = [_Term(a, t) for a, t in zip(args, left.split(","), strict=True)]
    sizes = {x: axis.size for i, t in enumerate(terms) for x, axis in zip(t.letters, take(inputs, i).axes, strict=True)}
    current = terms[0]
    for i, term in enumerate(terms[1:], 1):
        later = set(out).union(*(t.letters for t in terms[i + 1 :]))
        current = _pair(c, _summed(c, current, set(term.letters) | later), term, later, sizes)
    current = _summed(c, current, set(out))
    return onnx_transpose(c, current.value, [current.letters.index(x) for x in out])


def _summed(c: OnnxCall, term: _Term, keep: set[str]) -> _Term:
    """The term without the letters that nobody else has, which are summed."""
    over = [i for i, x in enumerate(term.letters) if x not in keep]
    if not over:
        return term
    value = c.node("ReduceSum", [term.value, onnx_ints(c, *over)], keepdims=0)
    return _Term(value, "".join(x for x in term.letters if x in keep))


def _pair(c: OnnxCall, a: _Term, b: _Term, later: set[str], sizes: dict[str, Size]) -> _Term:
    """The product of two terms: shared letters that are needed later stay in front, others are contracted."""
    b = _summed(c, b, set(a.letters) | later)
    both = [x for x in a.letters if x in b.letters]
    batch = "".join(x for x in both if x in later)
    inner = "".join(x for x in both if x not in later)
    rows = "".join(x for x in a.letters if x not in both)
    columns = "".join(x for x in b.letters if x not in both)
    left = _grouped(c, a, (*batch, rows, inner), sizes)
    right = _grouped(c, b, (*batch, inner, columns), sizes)
    product = c.node("MatMul", [left, right])
    letters = batch + rows + columns
    if len(rows) != 1 or len(columns) != 1:
        product = onnx_reshape(c, product, [sizes[x] for x in letters], _free(letters, sizes))
    return _Term(product, letters)


def _grouped(c: OnnxCall, term: _Term, groups: Sequence[str], sizes: dict[str, Size]) -> str:
    """The term with one axis for each group of letters."""
    order = [term.letters.index(x) for group in groups for x in group]
    value = onnx_transpose(c, term.value, order)
    if all(len(group) == 1 for group in groups) and order[0] == 0:
        return value  # otherwise a Reshape has to keep Transpose and MatMul apart: see `onnx_settled`
    shape = [reduce(lambda total, x: total * sizes[x], group, Size.of(1)) for group in groups]
    return onnx_reshape(c, value, shape, _free(groups, sizes))


def _free(groups: Sequence[str], sizes: dict[str, Size]) -> int | None:
    """The place of the batch."""
    found = [i for i, group in enumerate(groups) if any(BATCH in sizes[x].symbols() for x in group)]
    return found[0] if len(found) == 1 else None
