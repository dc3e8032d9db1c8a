"""Values made from nothing but sizes.

They are the same in every sample; no op draws random numbers.
"""

from __future__ import annotations

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
from cogseedc.ir.size import Size
from cogseedc.ir.types import Axis, Dtype, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.rules import Flows, Types, axis_attr, integer, new_axes, new_axis, one
from cogseedc.ops.spelling import (
    numpy_type,
    onnx_arg,
    onnx_cast,
    onnx_range,
    onnx_scalar,
    onnx_sizes,
    onnx_unsqueeze,
    ref_arg,
    ref_cast,
    torch_arg,
    torch_type,
)

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "creation"
_SIZES = Parameter("sizes", Kind.SIZES, ())


def _dtype(site: Site, default: Dtype) -> Dtype:
    value = site.statics["dtype"]
    return value if isinstance(value, Dtype) else default


def _no_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return tuple(() for _ in inputs)


def _filled_rule(site: Site) -> Resolution:
    axes = new_axes(site, "sizes")
    dtype = Dtype.F32
    if site.op == "full":
        value = site.type(0)
        dtype = value.dtype
        if value.rank:
            site.fail("CS0316", f"`full` repeats a single value, not {value}", "use `expand` for a tensor", 0)
    dtype = _dtype(site, dtype)
    return one(Attrs.of(sizes=tuple(axis_attr(a) for a in axes), dtype=dtype), TensorType(dtype, axes))


def _filled(name: str, value: int) -> OpSpec:
    def onnx(call: OnnxCall) -> str:
        scalar = onnx_scalar(call, value, call.types[0].dtype)
        return call.node("Expand", [scalar, onnx_sizes(call, call.types[0].shape)])

    def torch(call: TorchCall) -> str:
        type = call.types[0]
        return f"torch.{name}({call.sizes(type.shape)}, dtype={torch_type(type.dtype)}, device={call.device()})"

    def reference(call: ReferenceCall) -> Array:
        return ref_cast(np.full(call.sizes(call.types[0].shape), value), call.types[0].dtype)

    return OpSpec(
        name, f"{name.capitalize()}, in f32 unless said.", (), (_SIZES, Parameter("dtype", Kind.DTYPE, None)),
        _filled_rule, _no_flow, reference, torch, onnx,
        (
            Example("x: f32[N]", f"{name}[N, 4]()"), Example("", f"{name}[P=2, dtype=i64]()"), Example("", f"{name}()"),
            Example("x: f32[N, T]", f"{name}[N, T, dtype=bool]()"),
        ),
        group=GROUP, differentiable=False,
    )  # fmt: skip


def _full_onnx(call: OnnxCall) -> str:
    value = onnx_arg(call, 0, call.types[0].dtype)
    return call.node("Expand", [value, onnx_sizes(call, call.types[0].shape)])


# Counting


def _range_rule(site: Site) -> Resolution:
    axis = new_axis(site, site.statics["size"], "size")
    dtype = _dtype(site, Dtype.I64)
    if dtype is Dtype.BOOL:
        site.fail("CS0305", "`range` counts in numbers, not in bool", static="dtype")
    attrs = Attrs.of(size=axis_attr(axis), start=integer(site, "start"), step=integer(site, "step"), dtype=dtype)
    return one(attrs, TensorType(dtype, (axis,)))


def _range_torch(call: TorchCall) -> str:
    start, step, dtype = call.attrs.integer("start"), call.attrs.integer("step"), torch_type(call.types[0].dtype)
    text = f"torch.arange({call.size(call.types[0].shape[0])}, dtype={dtype}, device={call.device()})"
    text = text if step == 1 else f"{text} * {step}"
    return text if start == 0 else f"{text} + {start}"


def _range_onnx(call: OnnxCall) -> str:
    index = onnx_range(call, call.types[0].shape[0])
    step, start = onnx_scalar(call, call.attrs.integer("step"), Dtype.I64), call.attrs.integer("start")
    index = call.node("Add", [call.node("Mul", [index, step]), onnx_scalar(call, start, Dtype.I64)])
    return onnx_cast(call, index, Dtype.I64, call.types[0].dtype)


def _range(call: ReferenceCall) -> Array:
    count = np.arange(call.size(call.types[0].shape[0]), dtype=np.int64)
    return ref_cast(count * call.attrs.integer("step") + call.attrs.integer("start"), call.types[0].dtype)


def _eye_rule(site: Site) -> Resolution:
    rows = new_axis(site, site.statics["rows"], "rows")
    columns = rows if site.statics["columns"] is None else new_axis(site, site.statics["columns"], "columns")
    columns = Axis(None, rows.size) if columns is rows else columns
    dtype = _dtype(site, Dtype.F32)
    attrs = Attrs.of(rows=axis_attr(rows), columns=axis_attr(columns), dtype=dtype)
    return one(attrs, TensorType(dtype, (rows, columns)))


def _eye(call: ReferenceCall) -> Array:
    rows, columns = call.sizes(call.types[0].shape)
    return ref_cast(np.eye(rows, columns), call.types[0].dtype)


def _eye_torch(call: TorchCall) -> str:
    kind = call.types[0]
    rows, columns = call.size(kind.shape[0]), call.size(kind.shape[1])
    return f"torch.eye({rows}, {columns}, dtype={torch_type(kind.dtype)}, device={call.device()})"


def _eye_onnx(call: OnnxCall) -> str:
    kind = call.types[0]
    sizes: list[Size] = list(kind.shape)
    if all(s.value is not None for s in sizes):
        eye = np.eye(sizes[0].value or 0, sizes[1].value or 0, dtype=numpy_type(kind.dtype))
        return call.node("Identity", [onnx_cast_constant(call, eye, kind.dtype)])
    rows = onnx_unsqueeze(call, onnx_range(call, sizes[0]), [1])
    return onnx_cast(call, call.node("Equal", [rows, onnx_range(call, sizes[1])]), Dtype.BOOL, kind.dtype)


def onnx_cast_constant(call: OnnxCall, value: Array, dtype: Dtype) -> str:
    """A constant of a dtype that numpy may lack."""
    name = call.constant(value)
    return onnx_cast(call, name, Dtype.F32, dtype) if dtype is Dtype.BF16 else name


OPS: tuple[OpSpec, ...] = (
    _filled("zeros", 0),
    _filled("ones", 1),
    OpSpec(
        "full", "One value everywhere, at its own dtype unless said.", (Operand("value"),),
        (_SIZES, Parameter("dtype", Kind.DTYPE, None)), _filled_rule, _no_flow,
        lambda call: np.broadcast_to(ref_arg(call, 0, call.types[0].dtype), call.sizes(call.types[0].shape)),
        lambda call: f"{torch_arg(call, 0, call.types[0].dtype)}.expand({call.sizes(call.types[0].shape)})", _full_onnx,
        (Example("v: bool[], x: f32[N]", "full[N](v)"), Example("v: f32[]", "full[P=2, 3](v)"),
         Example("v: i64[]", "full[P=2, dtype=f32](v)")),
        group=GROUP,
    ),
    OpSpec(
        "range", "start, start + step, ... along one axis, in i64 unless said.", (),
        (
            Parameter("size", Kind.SIZE), Parameter("start", Kind.INT, 0), Parameter("step", Kind.INT, 1),
            Parameter("dtype", Kind.DTYPE, None),
        ),
        _range_rule, _no_flow, _range, _range_torch, _range_onnx,
        (
            Example("", "range[5]()"), Example("x: f32[N, T]", "range[T, dtype=f32]()"),
            Example("", "range[K=4, start=2, step=3]()"),
        ),
        group=GROUP, differentiable=False,
    ),
    OpSpec(
        "eye", "One on the diagonal, zero elsewhere, in f32 unless said.", (),
        (Parameter("rows", Kind.SIZE), Parameter("columns", Kind.SIZE, None), Parameter("dtype", Kind.DTYPE, None)),
        _eye_rule, _no_flow,
        _eye, _eye_torch, _eye_onnx,
        (Example("", "eye[3]()"), Example("x: f32[N, T]", "eye[T, 2]()")), group=GROUP, differentiable=False,
    ),
)  # fmt: skip
