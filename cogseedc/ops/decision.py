"""Scores that gates compare, from the logits of a last axis; always computed in f32.

NaN among the logits gives NaN, so that the comparison is not taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cogseedc.ir.nodes import Attrs
from cogseedc.ir.opspec import (
    Example,
    Kind,
    OnnxCall,
    Operand,
    OpSpec,
    Parameter,
    ReferenceCall,
    Resolution,
    Site,
    TorchCall,
)
from cogseedc.ir.types import Dtype
from cogseedc.lazy import lazy
from cogseedc.ops.rules import NUMBERS, axis_position, drop_axes, flow_chosen, one, require
from cogseedc.ops.spelling import F32_LOWEST, onnx_arg, onnx_ints, onnx_scalar, ref_arg, torch_arg

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "decision"


def _rule(site: Site) -> Resolution:
    type = require(site, 0, NUMBERS, "logits")
    over = axis_position(site, type, site.statics["over"])
    if site.op == "margin" and type.axes[over].size.value == 1:
        site.fail("CS0323", f"`margin` compares two classes, but {type} has one", operand=0)
    return one(Attrs.of(over=over), drop_axes(type, (over,)).with_dtype(Dtype.F32))


def _probabilities(call: ReferenceCall) -> tuple[Array, int]:
    """The softmax of the logits, and its axis."""
    z, over = ref_arg(call, 0, Dtype.F32), call.attrs.integer("over")
    with np.errstate(all="ignore"):
        e = np.exp(z - z.max(axis=over, keepdims=True))
        p: Array = e / e.sum(axis=over, keepdims=True)
    return p, over


def _confidence(call: ReferenceCall) -> Array:
    p, over = _probabilities(call)
    return np.asarray(p.max(axis=over))


def _margin(call: ReferenceCall) -> Array:
    p, over = _probabilities(call)
    order = np.sort(p, axis=over)
    return np.asarray(np.take(order, -1, axis=over) - np.take(order, -2, axis=over))


def _entropy(call: ReferenceCall) -> Array:
    p, over = _probabilities(call)
    return np.asarray(-np.sum(np.where(p == 0, 0, p * np.log(np.where(p == 0, 1, p))), axis=over))


def _softmax(call: OnnxCall, op_type: str = "Softmax") -> str:
    return call.node(op_type, [onnx_arg(call, 0, Dtype.F32)], axis=call.attrs.integer("over"))


def _confidence_onnx(call: OnnxCall) -> str:
    return call.node("ReduceMax", [_softmax(call), onnx_ints(call, call.attrs.integer("over"))], keepdims=0)


def _margin_onnx(call: OnnxCall) -> str:
    over = call.attrs.integer("over")
    best = call.nodes("TopK", [_softmax(call), onnx_ints(call, 2)], 2, axis=over, largest=1, sorted=1)[0]
    first, second = (call.node("Gather", [best, onnx_scalar(call, i, Dtype.I64)], axis=over) for i in (0, 1))
    return call.node("Sub", [first, second])


def _entropy_onnx(call: OnnxCall) -> str:
    logp = _softmax(call, "LogSoftmax")
    finite = call.node("Max", [logp, onnx_scalar(call, F32_LOWEST, Dtype.F32)])
    terms = call.node("Mul", [call.node("Exp", [logp]), finite])
    over = onnx_ints(call, call.attrs.integer("over"))
    return call.node("Neg", [call.node("ReduceSum", [terms, over], keepdims=0)])


def _confidence_torch(call: TorchCall) -> str:
    over = call.attrs.integer("over")
    return f"torch.softmax({torch_arg(call, 0, Dtype.F32)}, dim={over}).amax(dim={over})"


def _supported(name: str) -> Callable[[TorchCall], str]:
    return lambda call: f"{call.support(name)}({call.args[0]}, {call.attrs.integer('over')})"


def _entry(
    name: str,
    summary: str,
    reference: Callable[[ReferenceCall], Array],
    torch: Callable[[TorchCall], str],
    onnx: Callable[[OnnxCall], str],
) -> OpSpec:
    return OpSpec(
        name, summary, (Operand("logits"),), (Parameter("over", Kind.AXIS, None),), _rule, flow_chosen, reference,
        torch, onnx,
        (Example("x: f32[N, K=5]", f"{name}(x)"), Example("x: f32[N, K=5, H=2]", f"{name}[over=K](x)")), group=GROUP,
    )  # fmt: skip


OPS: tuple[OpSpec, ...] = (
    _entry("confidence", "The largest probability of the softmax.", _confidence, _confidence_torch, _confidence_onnx),
    _entry(
        "margin",
        "The largest probability of the softmax minus the second.",
        _margin,
        _supported("margin"),
        _margin_onnx,
    ),
    _entry(
        "entropy",
        "The entropy of the softmax in nats, where 0 ln 0 is 0.",
        _entropy,
        _supported("entropy"),
        _entropy_onnx,
    ),
)
