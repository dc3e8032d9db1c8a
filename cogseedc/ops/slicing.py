"""Elements at places that the program decides: one index of an axis, or a part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cogseedc.ir.nodes import Attrs
from cogseedc.ir.opspec import (
    AxisArg,
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
from cogseedc.ops.rules import (
    MOVABLE,
    Flows,
    Types,
    axis_position,
    drop_axes,
    flow_dropped,
    integer,
    one,
    replace_axis,
    size_attr,
)
from cogseedc.ops.spelling import (
    known,
    onnx_ints,
    onnx_scalar,
    onnx_sizes,
    ref_arg,
    size_of,
)

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "slicing"


def _select_rule(site: Site) -> Resolution:
    type = site.type(0)
    axis = axis_position(site, type, site.statics["axis"], "axis")
    size = type.axes[axis].size.value
    index = integer(site, "index")
    if (size is not None and not -size <= index < size) or (size is None and index < 0):
        help = f"indices are 0 .. {size}" if size is not None else "the size is not known, so count from the front"
        site.fail("CS0318", f"{index} is no index of axis {type.axes[axis]}", help, static="index")
    index = index % size if size is not None else index
    return one(Attrs.of(axis=axis, index=index), drop_axes(type, (axis,)))


def _select_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (flow_dropped(known(inputs), (attrs.integer("axis"),)),)


def _select_onnx(call: OnnxCall) -> str:
    index = onnx_scalar(call, call.attrs.integer("index"), Dtype.I64)
    return call.node("Gather", [call.args[0], index], axis=call.attrs.integer("axis"))


def _bound(site: Site, static: str, size: Size) -> Size:
    """A bound of a slice; negative ones count from the end."""
    value = site.statics[static]
    found = value.size if isinstance(value, AxisArg) else Size.of(value) if isinstance(value, int | Size) else size
    if found is None:
        site.fail("CS0315", f"`{static}` of `{site.op}` has no size here", static=static)
    return found + size if found.value is not None and found.value < 0 else found


def _slice_rule(site: Site) -> Resolution:
    type = site.type(0)
    axis = axis_position(site, type, site.statics["axis"], "axis")
    size = type.axes[axis].size
    start, stop = _bound(site, "start", size), _bound(site, "stop", size)
    length = (stop - start).value
    wrong = length is not None and length < 0
    if size.value is not None:
        wrong = wrong or any(b.value is not None and not 0 <= b.value <= (size.value or 0) for b in (start, stop))
    if wrong:
        site.fail(
            "CS0318",
            f"{start} .. {stop} is no slice of axis {type.axes[axis]}",
            f"indices are 0 .. {size}",
            static="stop",
        )
    result = replace_axis(type, axis, Axis(type.axes[axis].name, stop - start))
    return one(Attrs.of(axis=axis, start=size_attr(start), stop=size_attr(stop)), result)


def _slice_torch(call: TorchCall) -> str:
    start, axis = size_of(call, "start"), call.attrs.integer("axis")
    length = size_of(call, "stop") - start
    return f"{call.args[0]}.narrow({axis}, {call.size(start)}, {call.size(length)})"


def _slice_onnx(call: OnnxCall) -> str:
    start, stop = onnx_sizes(call, (size_of(call, "start"),)), onnx_sizes(call, (size_of(call, "stop"),))
    return call.node("Slice", [call.args[0], start, stop, onnx_ints(call, call.attrs.integer("axis"))])


def _slice(call: ReferenceCall) -> Array:
    at = [slice(None)] * ref_arg(call, 0).ndim
    at[call.attrs.integer("axis")] = slice(call.size(size_of(call, "start")), call.size(size_of(call, "stop")))
    return ref_arg(call, 0)[tuple(at)]


def _slice_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (flow_dropped(known(inputs), (attrs.integer("axis"),), True),)


OPS: tuple[OpSpec, ...] = (
    OpSpec(
        "select", "The slice at one index of an axis, which disappears.", (Operand("x"),),
        (Parameter("axis", Kind.AXIS), Parameter("index", Kind.INT)), _select_rule, _select_flow,
        lambda call: np.take(ref_arg(call, 0), call.attrs.integer("index"), axis=call.attrs.integer("axis")),
        lambda call: f"{call.args[0]}.select({call.attrs.integer('axis')}, {call.attrs.integer('index')})",
        _select_onnx,
        (Example("x: f32[N, L=4, C=3]", "select[L, 2](x)"), Example("x: bool[L=4]", "select[0, -1](x)")),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "slice", "The part of an axis from `start` to before `stop`.", (Operand("x"),),
        (Parameter("axis", Kind.AXIS), Parameter("start", Kind.SIZE, 0), Parameter("stop", Kind.SIZE, None)),
        _slice_rule,
        _slice_flow, _slice, _slice_torch, _slice_onnx,
        (
            Example("x: f32[N, C=5, H=3]", "slice[C, 1, 3](x)"), Example("x: f32[N, C=5]", "slice[C, stop=2](x)"),
            Example("x: f32[N, T]", "slice[T, 1](x)"), Example("x: f32[N, C=5]", "slice[C, -2](x)"),
        ),
        widths=MOVABLE, group=GROUP,
    ),
)  # fmt: skip
