"""Dense merges in ONNX: every arm is there at all rows, and the decisions select or combine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cogseedc.backends.onnx.rows import arm_mask
from cogseedc.backends.onnx.tensors import NUMPY, ONNX
from cogseedc.ir import Dtype, Gate, Merge, MergeMode

if TYPE_CHECKING:
    from cogseedc.backends.onnx.builder import Region

_WHERE = frozenset({Dtype.F32, Dtype.I64, Dtype.I32, Dtype.U8})
"""What ONNX Runtime's Where has a kernel for; others are selected in a type that holds them exactly."""
_CARRIER = {Dtype.BOOL: Dtype.U8, Dtype.I8: Dtype.I32, Dtype.F16: Dtype.F32, Dtype.BF16: Dtype.F32}


def merge(
    region: Region,
    node: Merge,
    values: Sequence[str],
    gates: Sequence[Gate],
    decisions: Sequence[str],
    otherwise: str | None,
    weights: str | None,
) -> str:
    """The merge of all arms' values, each at all rows; its result may still want broadcasting to the merge's type."""
    chosen = [
        aligned(region, node, i, arm_mask(region, gate, decision, node.arms[i]))
        for i, (gate, decision) in enumerate(zip(gates, decisions, strict=True))
    ]
    if node.mode is MergeMode.SELECT:
        result = otherwise or values[-1]
        last = len(values) if otherwise else len(values) - 1
        for i in reversed(range(last)):
            result = where(region, chosen[i], values[i], result, node.type.dtype)
        return result
    terms = [_term(region, node, i, chosen[i], value, weights) for i, value in enumerate(values)]
    result = _combined(region, node, terms, chosen)
    if node.mode is MergeMode.MAX or otherwise:
        taken = any_of(region, chosen)
        result = where(region, taken, result, otherwise or _literal(region, node.type.dtype, 0), node.type.dtype)
    return result


def where(region: Region, condition: str, yes: str, no: str, dtype: Dtype) -> str:
    """Where, for any element type."""
    if dtype in _WHERE:
        return region.node("Where", [condition, yes, no])
    carrier = _CARRIER[dtype]
    a, b = (region.node("Cast", [v], to=ONNX[carrier]) for v in (yes, no))
    return region.node("Cast", [region.node("Where", [condition, a, b])], to=ONNX[dtype])


def any_of(region: Region, masks: Sequence[str]) -> str:
    """True where one of `masks` is."""
    result = masks[0]
    for mask in masks[1:]:
        result = region.node("Or", [result, mask])
    return result


def aligned(region: Region, node: Merge, arm: int, mask: str) -> str:
    """A decision over the gate's axes, laid along the value's axes `node.axes[arm]` for right-aligned broadcasting."""
    return laid(region, mask, node.axes[arm], node.type.rank)


def laid(region: Region, mask: str, axes: Sequence[int], rank: int) -> str:
    """A value over some axes of another, of that `rank`, laid along them: its own axis i is axis `axes[i]` there."""
    order = sorted(range(len(axes)), key=lambda i: axes[i])
    if order != list(range(len(axes))):
        mask = region.node("Transpose", [mask], perm=order)
    first = min(axes, default=rank)
    missing = [p - first for p in range(first, rank) if p not in axes]
    if not missing:
        return mask
    return region.node("Unsqueeze", [mask, region.constant(np.array(missing, np.int64))])


def weighted(region: Region, node: Merge, arm: int, value: str, weights: str) -> str:
    """The value of an arm times its column of the dense weights."""
    last = node.axes[arm] == tuple(range(node.type.rank - 1))  # then the axis that is left is in place
    column = np.array([node.arms[arm]] if last else node.arms[arm], np.int64)
    own = region.node("Gather", [weights, region.constant(column)], axis=-1)
    return region.node("Mul", [value, own if last else aligned(region, node, arm, own)])


def _term(region: Region, node: Merge, arm: int, chosen: str, value: str, weights: str | None) -> str:
    """The arm's contribution: its value where it is chosen, the neutral element elsewhere."""
    dtype = node.type.dtype
    if node.mode is MergeMode.MAX:
        lowest = -np.inf if dtype.floating else np.iinfo(NUMPY[dtype]).min
        return where(region, chosen, value, _literal(region, dtype, lowest), dtype)
    if node.mode is MergeMode.WEIGHTED_SUM:
        assert weights is not None
        value = weighted(region, node, arm, value, weights)
    return where(region, chosen, value, _literal(region, dtype, 0), dtype)


def _combined(region: Region, node: Merge, terms: Sequence[str], chosen: Sequence[str]) -> str:
    op_type = "Max" if node.mode is MergeMode.MAX else "Add"
    result = terms[0]
    for term in terms[1:]:
        result = region.node(op_type, [result, term])
    if node.mode is not MergeMode.MEAN:
        return result
    dtype = ONNX[node.type.dtype]
    count = region.node("Cast", [chosen[0]], to=dtype)
    for mask in chosen[1:]:
        count = region.node("Add", [count, region.node("Cast", [mask], to=dtype)])
    return region.node("Div", [result, region.node("Max", [count, _literal(region, node.type.dtype, 1)])])


def _literal(region: Region, dtype: Dtype, value: float) -> str:
    return region.constant(np.array(value, NUMPY[dtype]))
