"""Integers in place of real numbers: scales, rounding to them and back, and the layer that multiplies integers.

`assign-bitwidths` writes these calls; which values they round is decided there, not here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cogseedc.ir.nodes import Attrs
from cogseedc.ir.opspec import (
    Example,
    Flow,
    Kind,
    Mixing,
    OnnxCall,
    Operand,
    OpSpec,
    Parameter,
    Pointwise,
    ReferenceCall,
    Resolution,
    Site,
    TorchCall,
)
from cogseedc.ir.types import Dtype, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops import linear
from cogseedc.ops.neural import array, onnx_settled, take
from cogseedc.ops.rules import Flows, Types, axis_position, integer, one, require
from cogseedc.ops.spelling import numpy_type, onnx_ints, onnx_scalar, torch_tuple, torch_type

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "quantization"
LIMITS = {Dtype.I8: (-128, 127), Dtype.U8: (0, 255), Dtype.I32: (-(2**31), 2**31 - 1)}
"""The least and the largest integer that a value is rounded to."""
_OVER = Parameter("over", Kind.AXIS, None)


# ---- scales


def _place(attrs: Attrs) -> int | None:
    """The axis that has a scale for each of its indices; None: one scale for all."""
    value = attrs["over"]
    assert value is None or isinstance(value, int)
    return value


def _scale_rule(site: Site) -> Resolution:
    x = require(site, 0, (Dtype.F32,), "f32 values")
    over = site.statics["over"]
    at = None if over is None else axis_position(site, x, over)
    axes = () if at is None else (x.axes[at],)
    return one(Attrs.of(over=at, limit=integer(site, "limit", 1, 127)), TensorType(Dtype.F32, axes))


def _scale_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    at = _place(attrs)
    return (tuple(Pointwise(0) if i == at else Mixing() for i in range(take(inputs, 0).rank)),)


def _others(c: ReferenceCall | TorchCall | OnnxCall) -> tuple[int, ...]:
    at = _place(c.attrs)
    return tuple(i for i in range(take(c.inputs, 0).rank) if i != at)


def _scale_reference(c: ReferenceCall) -> Array:
    x = np.abs(array(c, 0)).astype(np.float32)
    largest = np.max(x, axis=_others(c), initial=0.0).astype(np.float32)
    scale = largest / np.float32(c.attrs.integer("limit"))
    return np.where(largest > 0, scale, np.float32(1)).astype(np.float64)


def _scale_torch(c: TorchCall) -> str:
    others = _others(c)
    near = f"{c.args[0]}.abs()" + (f".amax({torch_tuple(others)})" if others else "")
    return f"{c.support('scale_of')}({near}, {c.attrs.integer('limit')}.0)"


def _scale_onnx(c: OnnxCall) -> str:
    others, largest = _others(c), c.node("Abs", [c.args[0]])
    if others:
        largest = c.node("ReduceMax", [largest, onnx_ints(c, *others)], keepdims=0)
    scale = c.node("Div", [largest, onnx_scalar(c, float(c.attrs.integer("limit")), Dtype.F32)])
    some = c.node("Greater", [largest, onnx_scalar(c, 0.0, Dtype.F32)])
    return c.node("Where", [some, scale, onnx_scalar(c, 1.0, Dtype.F32)])


# ---- rounding


def _scaled(site: Site, x: TensorType) -> tuple[int | None, int]:
    """The axis of the scales, and the zero point. Refuses with CS0344 scales that do not fit."""
    scale, over = require(site, 1, (Dtype.F32,), "f32 scales"), site.statics["over"]
    zero = integer(site, "zero", -128, 255)
    if scale.rank == 0:
        return None, zero
    at = axis_position(site, x, over)
    if scale.rank != 1 or scale.axes[0].size != x.axes[at].size:
        site.fail("CS0344", f"{site.op}: the scales {scale} do not fit the axis {x.axes[at]} of {x}", operand=1)
    return at, zero


def _quantize_rule(site: Site) -> Resolution:
    x, to = require(site, 0, (Dtype.F32,), "f32 values"), site.statics["to"]
    if to not in LIMITS:
        site.fail("CS0309", f"{site.op}: `to` is i8, u8 or i32", static="to")
    at, zero = _scaled(site, x)
    assert isinstance(to, Dtype)
    return one(Attrs.of(over=at, zero=zero, to=to), x.with_dtype(to))


def _dequantize_rule(site: Site) -> Resolution:
    x = require(site, 0, (Dtype.I8, Dtype.U8, Dtype.I32), "i8, u8 or i32 values")
    at, zero = _scaled(site, x)
    return one(Attrs.of(over=at, zero=zero), x.with_dtype(Dtype.F32))


def _flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    at = _place(attrs)
    scale: tuple[Flow, ...] = () if at is None else (Pointwise(at),)
    return tuple(Pointwise(i) for i in range(take(inputs, 0).rank)), scale


def _spread(c: ReferenceCall) -> Array:
    """The scales, broadcastable to the value."""
    scale, at = array(c, 1), _place(c.attrs)
    return scale if at is None else scale.reshape([-1 if i == at else 1 for i in range(array(c, 0).ndim)])


def _quantize_reference(c: ReferenceCall) -> Array:
    low, high = LIMITS[c.types[0].dtype]
    near = np.rint(array(c, 0).astype(np.float32) / _spread(c).astype(np.float32)).astype(np.float64)
    near = np.where(np.isnan(near), 0.0, near) + c.attrs.integer("zero")
    return np.clip(near, low, high).astype(np.int64)


def _dequantize_reference(c: ReferenceCall) -> Array:
    return np.asarray((array(c, 0) - c.attrs.integer("zero")) * _spread(c))


def _torch_scale(c: TorchCall) -> str:
    at = _place(c.attrs)
    rank = take(c.inputs, 0).rank
    if at is None or rank == 1:
        return str(c.args[1])
    return f"{c.args[1]}[{', '.join(':' if i == at else 'None' for i in range(rank))}]"


def _quantize_torch(c: TorchCall) -> str:
    dtype, zero = c.types[0].dtype, c.attrs.integer("zero")
    low, high = LIMITS[dtype]
    more = f", {zero}" if zero else ""
    if dtype is not Dtype.I8:
        more = f", {zero}, {torch_type(dtype)}, {low}, {high}"
    return f"{c.support('quantize')}({c.args[0]}, {_torch_scale(c)}{more})"


def _dequantize_torch(c: TorchCall) -> str:
    zero = c.attrs.integer("zero")
    shifted = f"({c.args[0]}.to(torch.float32) - {zero}.0)" if zero else f"{c.args[0]}.to(torch.float32)"
    return f"{shifted} * {_torch_scale(c)}"


def _zeros(c: OnnxCall, dtype: Dtype) -> str:
    """The zero points, of the scales' shape."""
    kind, value = numpy_type(dtype), c.attrs.integer("zero")
    if _place(c.attrs) is None:
        return c.constant(np.array(value, kind))
    size = take(c.inputs, 1).axes[0].size.value
    one = c.constant(np.array([value], kind))
    if size is not None:
        return c.constant(np.full(size, value, kind))
    return c.node("Expand", [one, c.sizes(take(c.inputs, 1).shape)])


def _quantize_onnx(c: OnnxCall) -> str:
    axis = _place(c.attrs) or 0
    if c.types[0].dtype is not Dtype.I32:
        return c.node("QuantizeLinear", [c.args[0], c.args[1], _zeros(c, c.types[0].dtype)], axis=axis)
    return c.node("Cast", [c.node("Round", [c.node("Div", [c.args[0], _onnx_scale(c)])])], to=6)


def _onnx_scale(c: OnnxCall) -> str:
    """The scales, broadcastable to the value."""
    rank, at = take(c.inputs, 0).rank, _place(c.attrs)
    if at is None or at == rank - 1:
        return c.args[1]
    return c.node("Unsqueeze", [c.args[1], onnx_ints(c, *range(1, rank - at))])


def _dequantize_onnx(c: OnnxCall) -> str:
    """Sample by sample no DequantizeLinear: ONNX Runtime joins that with a product to what it cannot run."""
    dtype, axis = take(c.inputs, 0).dtype, _place(c.attrs) or 0
    if _place(c.attrs) is not None and take(c.inputs, 1).axes[0].size.value is None:
        whole = c.node("Cast", [c.args[0]], to=1)
        if c.attrs.integer("zero"):
            whole = c.node("Sub", [whole, onnx_scalar(c, float(c.attrs.integer("zero")), Dtype.F32)])
        return c.node("Mul", [whole, _onnx_scale(c)])
    rest = [] if dtype is Dtype.I32 else [_zeros(c, dtype)]  # an i32 has no zero point
    return c.node("DequantizeLinear", [c.args[0], c.args[1], *rest], axis=axis)


# ---- layers of integers

_LINEAR = next(spec for spec in linear.OPS if spec.name == "linear")


def _integer_rule(site: Site) -> Resolution:
    """The rule of the layer for real numbers, with integers for them and neither bias nor weight of its own."""
    x = require(site, 0, (Dtype.U8,), "u8 values").with_dtype(Dtype.F32)
    weight = require(site, 1, (Dtype.I8,), "i8 values").with_dtype(Dtype.F32)
    zero = integer(site, "zero", 0, 255)
    plain = replace(site, operands=(x, weight), statics={"size": None, "over": x.rank - 1, "bias": False})
    (result,) = _LINEAR.rule(plain).types
    return one(Attrs.of(zero=zero), result.with_dtype(Dtype.I32))


def _integer_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    last = take(inputs, 0).rank - 1
    return (*(Pointwise(i) for i in range(last)), Mixing()), (Pointwise(last), Mixing())


def _integer_torch(c: TorchCall) -> str:
    """In f64, where sums of integers are exact; torch has no integer product on every device."""
    return f"F.linear({c.args[0]}.double() - {c.attrs.integer('zero')}, {c.args[1]}.double()).to(torch.int32)"


def _integer_onnx(c: OnnxCall) -> str:
    x, zero = onnx_settled(c, c.args[0], take(c.inputs, 0)), onnx_scalar(c, c.attrs.integer("zero"), Dtype.U8)
    return c.node("MatMulInteger", [x, c.node("Transpose", [c.args[1]], perm=[1, 0]), zero])


OPS: tuple[OpSpec, ...] = (
    OpSpec(
        name="scale_of",
        summary="the step with which `limit` steps reach the largest magnitude, for each index of an axis or for all",
        operands=(Operand("x"),),
        parameters=(_OVER, Parameter("limit", Kind.INT, 127)),
        rule=_scale_rule,
        flow=_scale_flow,
        reference=_scale_reference,
        torch=_scale_torch,
        onnx=_scale_onnx,
        examples=(
            Example("x: f32[N, C=4, H]", "scale_of[over=N](x)"),
            Example("w: f32[4, 3, 2]", "scale_of[over=0, limit=64](w)"),
            Example("w: f32[4, 3]", "scale_of(w)"),
        ),
        differentiable=False,
        group=GROUP,
    ),
    OpSpec(
        name="quantize",
        summary="x / scale to the nearest integer (halves to even), plus a zero point, within the range of `to`",
        operands=(Operand("x"), Operand("scale")),
        parameters=(_OVER, Parameter("zero", Kind.INT, 0), Parameter("to", Kind.DTYPE, Dtype.I8)),
        rule=_quantize_rule,
        flow=_flow,
        reference=_quantize_reference,
        torch=_quantize_torch,
        onnx=_quantize_onnx,
        examples=(
            Example("x: f32[N, C=4, H], positive: f32[N]", "quantize[over=N](x, positive)"),
            Example("x: f32[N, C=4], positive: f32[4]", "quantize[over=C, zero=3](x, positive)"),
            Example("w: f32[4, 3], positive: f32[4]", "quantize[over=0, to=i32](w, positive)"),
            Example("x: f32[N, C=4], positive: f32", "quantize[zero=-128](x, positive)"),
            Example("x: f32[N, C=4], positive: f32", "quantize[zero=7, to=u8](x, positive)"),
        ),
        differentiable=False,
        group=GROUP,
        source="arXiv 1712.05877",
    ),
    OpSpec(
        name="dequantize",
        summary="the real number that an integer stands for: (x - zero) scale",
        operands=(Operand("x"), Operand("scale")),
        parameters=(_OVER, Parameter("zero", Kind.INT, 0)),
        rule=_dequantize_rule,
        flow=_flow,
        reference=_dequantize_reference,
        torch=_dequantize_torch,
        onnx=_dequantize_onnx,
        examples=(
            Example("x: i8[N, C=4, H], positive: f32[N]", "dequantize[over=N](x, positive)"),
            Example("x: i8[N, C=4], positive: f32", "dequantize[zero=-128](x, positive)"),
            Example("x: u8[N, C=4], positive: f32", "dequantize[zero=128](x, positive)"),
            Example("x: i32[N, C=4, H], positive: f32[C=4]", "dequantize[over=C](x, positive)"),
        ),
        differentiable=False,
        group=GROUP,
    ),
    OpSpec(
        name="integer_linear",
        summary="a linear map of integers over the last axis, summed up in i32: (x - zero) weight'",
        operands=(Operand("x"), Operand("weight")),
        parameters=(Parameter("zero", Kind.INT, 0),),
        rule=_integer_rule,
        flow=_integer_flow,
        reference=lambda c: np.matmul(array(c, 0) - c.attrs.integer("zero"), array(c, 1).T),
        torch=_integer_torch,
        onnx=_integer_onnx,
        examples=(
            Example("x: u8[N, D=6], w: i8[5, 6]", "integer_linear[zero=128](x, w)"),
            Example("x: u8[N, T, D=6], w: i8[5, 6]", "integer_linear(x, w)"),
        ),
        macs=lambda attrs, inputs, types: types[0].elements * take(inputs, 0).axes[-1].size,
        differentiable=False,
        group=GROUP,
    ),
)
