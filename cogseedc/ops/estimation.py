"""What gradients of decisions are made of: values that are hard forward and soft backward, and log-probabilities.

At inference each is a plain function of its operands. `estimators` puts them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cogseedc.ir.nodes import Attrs
from cogseedc.ir.opspec import Example, Kind, OnnxCall, Operand, OpSpec, Parameter, ReferenceCall, Resolution, Site
from cogseedc.ir.types import Dtype
from cogseedc.lazy import lazy
from cogseedc.ops.rules import (
    FLOATS,
    Types,
    axis_position,
    flow_aligned,
    flow_last,
    flow_over,
    integer,
    one,
    require,
    require_rank,
)
from cogseedc.ops.spelling import known, onnx_arg, onnx_ints, onnx_scalar, ref_arg, torch_arg

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "estimation"
_NEAR_ONE = 1 - 1e-6
"""What is almost certain to be taken still leaves something over."""


# Hard forward, soft backward


def _through_rule(site: Site) -> Resolution:
    hard = require(site, 0, (Dtype.BOOL, *FLOATS), "a decision or numbers")
    soft = require(site, 1, FLOATS, "numbers")
    if hard.shape != soft.shape:
        message = f"`{site.op}` takes values of one shape, not {hard} and {soft}"
        site.fail("CS0316", message, "expand or permute one of them", 1)
    return one(Attrs(), hard.with_dtype(Dtype.F32))


def _through_onnx(call: OnnxCall) -> str:
    return call.node("Identity", [onnx_arg(call, 0, Dtype.F32)])


# The best k, softly


def _soft_rule(site: Site) -> Resolution:
    type = require(site, 0, FLOATS, "scores")
    over = axis_position(site, type, site.statics["over"])
    k = integer(site, "k", 1)
    limit = type.axes[over].size.value
    if limit is not None and k > limit:
        site.fail("CS0323", f"`{site.op}` cannot take {k} of axis {type.axes[over]}", static="k")
    return one(Attrs.of(k=k, over=over), type.with_dtype(Dtype.F32))


def _soft_top(call: ReferenceCall) -> Array:
    scores, over = ref_arg(call, 0), call.attrs.integer("over")
    total = np.zeros_like(scores)
    for _ in range(call.attrs.integer("k")):
        share = np.exp(scores - scores.max(axis=over, keepdims=True))
        share = share / share.sum(axis=over, keepdims=True)
        total = total + share
        scores = scores + np.log1p(-np.minimum(share, _NEAR_ONE))
    return np.asarray(total)


def _soft_top_onnx(call: OnnxCall) -> str:
    scores, over = onnx_arg(call, 0, Dtype.F32), call.attrs.integer("over")
    most, unit = onnx_scalar(call, _NEAR_ONE, Dtype.F32), onnx_scalar(call, 1.0, Dtype.F32)
    total = ""
    for _ in range(call.attrs.integer("k")):
        share = call.node("Softmax", [scores], axis=over)
        total = call.node("Add", [total, share]) if total else share
        rest = call.node("Log", [call.node("Sub", [unit, call.node("Min", [share, most])])])
        scores = call.node("Add", [scores, rest])
    return total


# How likely a choice was


def _logp_rule(site: Site) -> Resolution:
    scores = require(site, 0, FLOATS, "scores")
    indices = require(site, 1, (Dtype.I64,), "indices")
    require_rank(site, 1, 1, "indices along a last axis")
    if indices.shape[:-1] != scores.shape[:-1] or indices.shape[-1].value is None:
        site.fail("CS0316", f"`{site.op}` takes scores and indices of the same rows, not {scores} and {indices}")
    return one(Attrs(), scores.with_dtype(Dtype.F32))


def _turns(types: Types) -> int:
    count = known(types, 1).shape[-1].value
    assert count is not None
    return count


def _top_logp(call: ReferenceCall) -> Array:
    left, indices = ref_arg(call, 0).copy(), ref_arg(call, 1)
    total = np.zeros_like(left)
    for turn in range(_turns(call.inputs)):
        at = indices[..., turn : turn + 1]
        largest = left.max(axis=-1, keepdims=True)
        logp = left - largest - np.log(np.exp(left - largest).sum(axis=-1, keepdims=True))
        np.put_along_axis(total, at, np.take_along_axis(logp, at, -1), -1)
        np.put_along_axis(left, at, -np.inf, -1)
    return np.asarray(total)


def _top_logp_onnx(call: OnnxCall) -> str:
    left, indices, axis = onnx_arg(call, 0, Dtype.F32), call.args[1], known(call.inputs).rank - 1
    nothing = onnx_scalar(call, 0.0, Dtype.F32)
    total = call.node("Expand", [nothing, call.node("Shape", [left])])
    for turn in range(_turns(call.inputs)):
        ends = (onnx_ints(call, turn), onnx_ints(call, turn + 1), onnx_ints(call, axis))
        at = call.node("Slice", [indices, *ends])
        logp = call.node("GatherElements", [call.node("LogSoftmax", [left], axis=axis), at], axis=axis)
        total = call.node("ScatterElements", [total, at, logp], axis=axis)
        gone = call.node("Expand", [onnx_scalar(call, float("-inf"), Dtype.F32), call.node("Shape", [at])])
        left = call.node("ScatterElements", [left, at, gone], axis=axis)
    return total


OPS: tuple[OpSpec, ...] = (
    OpSpec(
        "straight_through", "The value of `hard`, in f32, with the gradient of `soft`.",
        (Operand("hard"), Operand("soft")), (), _through_rule, flow_aligned,
        lambda call: ref_arg(call, 0, Dtype.F32),
        lambda call: f"{call.support('straight_through')}({call.args[0]}, {torch_arg(call, 1, Dtype.F32)})",
        _through_onnx,
        (
            Example("m: bool[N, E=5], x: f32[N, E=5]", "straight_through(m, x)"),
            Example("x: f32[N, T=3]", "straight_through(round(x), x)"),
        ),
        source="arXiv:1308.3432", group=GROUP,
    ),
    OpSpec(
        "soft_top", "How much each element counts among the k largest, k in all: k softmaxes, each of what is left.",
        (Operand("scores"),), (Parameter("k", Kind.INT), Parameter("over", Kind.AXIS, None)), _soft_rule, flow_over,
        _soft_top,
        lambda call: f"{call.support('soft_top')}({call.args[0]}, {call.attrs.integer('k')}, "
        f"{call.attrs.integer('over')})",
        _soft_top_onnx,
        (Example("x: f32[N, E=5]", "soft_top[1](x)"), Example("x: f32[N, E=5, H=3]", "soft_top[2, over=E](x)")),
        source="arXiv:1901.10517, section 3", group=GROUP,
    ),
    OpSpec(
        "top_logp", "For each chosen class of the last axis the log of its probability in its turn, 0 for the others: "
        "classes are drawn one after the other, each by the softmax of the scores of those that are left.",
        (Operand("scores"), Operand("indices")), (), _logp_rule, flow_last, _top_logp,
        lambda call: f"{call.support('top_logp')}({call.args[0]}, {call.args[1]})", _top_logp_onnx,
        (Example("x: f32[N, T=3, E=5]", "top_logp(x, top_indices[2](x))"),),
        source="Plackett, The Analysis of Permutations, 1975", group=GROUP,
    ),
)  # fmt: skip
