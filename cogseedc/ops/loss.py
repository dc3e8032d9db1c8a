"""Terms of a loss that only a compiler's own values can give.

They mix the batch, so they belong under `loss` and never under a gate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cogseedc.ir.nodes import Attrs
from cogseedc.ir.opspec import Example, OnnxCall, Operand, OpSpec, ReferenceCall, Resolution, Site
from cogseedc.ir.size import Size
from cogseedc.ir.types import Dtype, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.rules import NUMBERS, flow_mixing, one, require, require_rank
from cogseedc.ops.spelling import known, onnx_arg, onnx_cast, onnx_ints, onnx_scalar, ref_arg

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "loss"


def _balance_rule(site: Site) -> Resolution:
    mask = require(site, 0, (Dtype.BOOL,), "a mask of selections")
    scores = require(site, 1, NUMBERS, "scores")
    require_rank(site, 0, 1, "a mask over classes along its last axis")
    if mask.shape != scores.shape:
        site.fail("CS0316", f"`load_balance` takes a mask and scores of one shape, not {mask} and {scores}", operand=1)
    return one(Attrs(), TensorType(Dtype.F32))


def _value(call: OnnxCall, size: Size) -> str:
    if size.value is not None:
        return onnx_scalar(call, size.value, Dtype.F32)
    return onnx_cast(call, call.size(size), Dtype.I64, Dtype.F32)


def _balance_onnx(call: OnnxCall) -> str:
    type = known(call.inputs)
    others = list(range(type.rank - 1))
    rows = TensorType(type.dtype, type.axes[:-1]).elements
    sums = []
    for i in (0, 1):
        x = onnx_arg(call, i, Dtype.F32)
        x = call.node("ReduceSum", [x, onnx_ints(call, *others)], keepdims=0) if others else x
        sums.append(call.node("Div", [x, _value(call, rows)]))
    total = call.node("ReduceSum", [call.node("Mul", sums), onnx_ints(call, 0)], keepdims=0)
    return call.node("Mul", [total, _value(call, type.shape[-1])])


def _balance(call: ReferenceCall) -> Array:
    mask, scores = ref_arg(call, 0).astype(np.float64), ref_arg(call, 1, Dtype.F32)
    others = tuple(range(mask.ndim - 1))
    with np.errstate(all="ignore"):
        rows = np.prod(mask.shape[:-1])
        share, mean = mask.sum(axis=others) / rows, scores.sum(axis=others) / rows
    return np.asarray(mask.shape[-1] * np.sum(share * mean))


OPS: tuple[OpSpec, ...] = (
    OpSpec(
        "load_balance", "E sum_e f_e P_e: classes E, share f of selections, mean score P; smallest when all are alike.",
        (Operand("mask"), Operand("scores")), (), _balance_rule, flow_mixing, _balance,
        lambda call: f"{call.support('load_balance')}({call.args[0]}, {call.args[1]})", _balance_onnx,
        (Example("m: bool[N, T=3, E=4], x: f32[N, T=3, E=4]", "load_balance(m, x)"),), group=GROUP,
        source="Fedus et al., Switch Transformers, 2021, equation 4",
    ),
)  # fmt: skip
