"""Changing the size of a map: resizing and padding."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
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
    Window,
)
from cogseedc.ir.size import Size
from cogseedc.ir.types import Axis, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.neural import (
    NARROW,
    array,
    at_least,
    integers,
    inverse,
    kept,
    moved,
    onnx_reshape,
    ordered_axes,
    positive,
    show,
    take,
    torch_permute,
)
from cogseedc.ops.rules import (
    HALVES,
    NUMBERS,
    Flows,
    Types,
    axis_positions,
    flag,
    number,
    quotient,
    require,
    size_attr,
    text,
)
from cogseedc.ops.spelling import onnx_ints, onnx_range, onnx_scalar, onnx_transpose, torch_tuple

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "resampling"
_X = (Operand("x"),)
_OVER = Parameter("over", Kind.AXES, None)


def spatial(site: Site, x: TensorType, order: bool = False) -> tuple[int, ...]:
    """The axes that are resampled: as written, else all after the second. Fails with CS0340."""
    over = site.statics["over"]
    if over is None and x.rank < 3:
        help = "`over=` says which axes; without it, all after the second"
        site.fail("CS0340", f"{site.op} finds no spatial axes in {show(x)}", help, operand=0)
    if over is None:
        return tuple(range(2, x.rank))
    return ordered_axes(site, over, x, "over") if order else axis_positions(site, x, over)


def replaced(x: TensorType, over: Sequence[int], sizes: Sequence[Size]) -> TensorType:
    near = dict(zip(over, sizes, strict=True))
    return x.with_axes(tuple(Axis(a.name, near.get(i, a.size)) for i, a in enumerate(x.axes)))


# ---- resize


def _resize_rule(site: Site) -> Resolution:
    x = at_least(site, 0, 1, "an axis to resize")
    over, size, scale = spatial(site, x), site.statics["size"], site.statics["scale"]
    if (size is None) == (scale is None):
        help = "write `resize[scale=2](x)` or `resize[size=(16, 16)](x)`"
        site.fail("CS0345", "resize needs a size or a scale, not both", help, static="size")
    if size is not None:
        several = size if isinstance(size, tuple) else (size,)
        several = several * len(over) if len(several) == 1 else several
        if len(several) != len(over):
            help = "write one size for all, or one for each"
            site.fail("CS0358", f"resize: `size` has {len(several)} values for {len(over)} axes", help, static="size")
        sizes = tuple(positive(site, _size(site, s), "size") for s in several)
    else:
        factor = Fraction(str(number(site, "scale")))
        sizes = tuple(positive(site, (x.axes[i].size * factor).floor(), "scale") for i in over)
    mode = text(site, "mode", ("nearest", "bilinear"))
    if mode == "bilinear" and len(over) > 2:
        site.fail(
            "CS0349", f"resize: bilinear over {len(over)} axes", "give one or two axes with `over=`", static="mode"
        )
    corners = flag(site, "align_corners")
    if corners and mode != "bilinear":
        help = "corners are aligned in bilinear resizing only"
        site.fail("CS0349", "resize: `align_corners` without bilinear", help, static="align_corners")
    attrs = Attrs.of(size=tuple(size_attr(s) for s in sizes), over=over, mode=mode, align_corners=corners)
    return Resolution(attrs, (replaced(x, over, sizes),))


def _size(site: Site, value: object) -> Size:
    if isinstance(value, AxisArg):
        found = value.size or site.axes.get(value.name)
        if found is None:
            site.fail("CS0345", f"{site.op}: axis {value.name} has no size here", static="size")
        return found
    assert isinstance(value, (int, Size)), value
    return Size.of(value)


def _mixed_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (kept(inputs[0], attrs.integers("over")),)


def _factors(c: ReferenceCall | TorchCall | OnnxCall) -> list[int] | None:
    """By how much each axis grows, when these are known integers."""
    kind, result = take(c.inputs, 0), c.types[0]
    found = [quotient(result.axes[i].size, kind.axes[i].size) for i in c.attrs.integers("over")]
    values = [None if f is None else f.value for f in found]
    return [v for v in values if v] if all(values) else None


def _resize_reference(c: ReferenceCall) -> Array:
    x, result = array(c, 0), c.sizes(c.types[0].shape)
    for axis in c.attrs.integers("over"):
        near, length = result[axis], x.shape[axis]
        if c.attrs.text("mode") == "nearest":
            x = np.take(x, np.arange(near) * length // near, axis=axis)
            continue
        if c.attrs.flag("align_corners"):
            place = np.arange(near) * (length - 1) / max(near - 1, 1)
        else:
            place = np.clip((np.arange(near) + 0.5) * length / near - 0.5, 0, length - 1)
        low = np.floor(place).astype(np.int64)
        part = (place - low).reshape(-1, *(1,) * (x.ndim - axis - 1))
        x = np.take(x, low, axis=axis) * (1 - part) + np.take(x, np.minimum(low + 1, length - 1), axis=axis) * part
    return x


def _resize_torch(c: TorchCall) -> str:
    kind, over = take(c.inputs, 0), c.attrs.integers("over")
    size, linear = c.sizes([c.types[0].axes[i].size for i in over]), c.attrs.text("mode") == "bilinear"
    if not linear and (_factors(c) is None or len(over) > 2):
        return f"{c.support('resize_nearest')}({c.args[0]}, {size}, {torch_tuple(over)})"
    mode = "nearest" if not linear else "bilinear" if len(over) == 2 else "linear"
    end = moved(kind, over)
    x, lead = torch_permute(str(c.args[0]), end), kind.rank - len(over)
    options = f'size={size}, mode="{mode}"' + (f", align_corners={c.attrs.flag('align_corners')}" if linear else "")
    if lead == 2:
        return torch_permute(f"F.interpolate({x}, {options})", inverse(end))
    if lead < 2:
        near = f"F.interpolate({x}[{', '.join(['None'] * (2 - lead))}], {options})"
        return torch_permute(f"{near}{'[0]' * (2 - lead)}", inverse(end))
    shape = c.sizes([kind.axes[i].size for i in end[: lead - 1]])
    near = f"F.interpolate({x}.flatten(0, {lead - 2}), {options}).unflatten(0, {shape})"
    return torch_permute(near, inverse(end))


def _resize_onnx(c: OnnxCall) -> str:
    kind, over, result = take(c.inputs, 0), c.attrs.integers("over"), c.types[0]
    factors, linear = _factors(c), c.attrs.text("mode") == "bilinear"
    if not linear and (factors is None or len(over) > 2):
        x = c.args[0]
        for axis in over:
            x = c.node("Gather", [x, _onnx_nearest(c, kind.axes[axis].size, result.axes[axis].size)], axis=axis)
        return x
    end = moved(kind, over)
    x = onnx_transpose(c, c.args[0], end)
    inner = [kind.axes[i].size for i in over]
    x = onnx_reshape(c, x, [Size.of(-1), 1, *[1] * (2 - len(over)), *inner], 0)
    mode = {"mode": "linear"} if linear else {"mode": "nearest", "nearest_mode": "floor"}
    coordinates = "asymmetric" if not linear else "align_corners" if c.attrs.flag("align_corners") else "half_pixel"
    if factors is not None:
        scales = c.constant(np.array([*[1] * (4 - len(over)), *factors], dtype=np.float32))
        y = c.node("Resize", [x, "", scales], coordinate_transformation_mode=coordinates, **mode)
    else:
        shape = c.node("Shape", [x], end=4 - len(over))
        sizes = c.node("Concat", [shape, c.sizes([result.axes[i].size for i in over])], axis=0)
        y = c.node("Resize", [x, "", "", sizes], coordinate_transformation_mode=coordinates, **mode)
    return onnx_transpose(c, onnx_reshape(c, y, [result.axes[i].size for i in end]), inverse(end))


def _onnx_nearest(c: OnnxCall, size: Size, result: Size) -> str:
    """For each output index the input index, in exact arithmetic."""
    if size.value is not None and result.value is not None:
        return c.constant(np.arange(result.value, dtype=np.int64) * size.value // result.value)
    return c.node("Div", [c.node("Mul", [onnx_range(c, result), c.size(size)]), c.size(result)])


# ---- pad


def _pad_rule(site: Site) -> Resolution:
    x = require(site, 0, NUMBERS, "numbers")
    over = spatial(site, x)
    before = integers(site, "before", len(over), 0)
    after = integers(site, "after", len(over), 0, before)
    mode = text(site, "mode", ("zeros", "reflect", "edge"))
    sizes = []
    for at, low, high in zip(over, before, after, strict=True):
        size = x.axes[at].size
        if mode == "reflect" and size.known is not None and max(low, high) >= size.known:
            help = "a mirror image without its edge is shorter than the axis"
            site.fail("CS0360", f"pad: {max(low, high)} mirrored elements of axis {x.axes[at]}", help, static="before")
        sizes.append(size + (low + high))
    attrs = Attrs.of(before=before, after=after, over=over, mode=mode, value=number(site, "value"))
    return Resolution(attrs, (replaced(x, over, sizes),))


def _pad_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    over = attrs.integers("over")
    if attrs.text("mode") != "zeros":
        return (kept(inputs[0], over),)
    windows = {at: Window(at, 1, 1, low) for at, low in zip(over, attrs.integers("before"), strict=True)}
    return (kept(inputs[0], (), windows),)


def _pad_reference(c: ReferenceCall) -> Array:
    x, mode = array(c, 0), c.attrs.text("mode")
    widths = [(0, 0)] * x.ndim
    for at, low, high in zip(*(c.attrs.integers(n) for n in ("over", "before", "after")), strict=True):
        widths[at] = (low, high)
    if mode == "zeros":
        return np.pad(x, widths, constant_values=c.attrs.number("value"))
    if x.size == 0:
        return np.zeros(c.sizes(c.types[0].shape), dtype=x.dtype)
    return np.pad(x, widths, mode="reflect" if mode == "reflect" else "edge")


def _pad_torch(c: TorchCall) -> str:
    attrs, kind = c.attrs, take(c.inputs, 0)
    over, before, after = (attrs.integers(n) for n in ("over", "before", "after"))
    if attrs.text("mode") != "zeros":
        options = ", ".join(torch_tuple(v) for v in (before, after, over))
        return f'{c.support("pad_inside")}({c.args[0]}, {options}, "{attrs.text("mode")}")'
    widths: list[int] = []
    for axis in range(kind.rank - 1, min(over) - 1, -1):
        place = over.index(axis) if axis in over else None
        widths += [0, 0] if place is None else [before[place], after[place]]
    value = attrs.number("value")
    shown = f", value={float(value) if kind.dtype.floating else int(value)!r}" if value else ""
    return f"F.pad({c.args[0]}, {torch_tuple(widths)}{shown})"


def _pad_onnx(c: OnnxCall) -> str:
    """Says the padding of all axes: where it says some, ONNX Runtime permutes it wrongly behind a transposition."""
    attrs, kind = c.attrs, take(c.inputs, 0)
    value, over = attrs.number("value"), attrs.integers("over")
    fill = onnx_scalar(c, float(value) if kind.dtype.floating else int(value), kind.dtype)
    ends = [dict(zip(over, attrs.integers(end), strict=True)) for end in ("before", "after")]
    pads = onnx_ints(c, *(end.get(axis, 0) for end in ends for axis in range(kind.rank)))
    mode = {"zeros": "constant"}.get(attrs.text("mode"), attrs.text("mode"))
    return c.node("Pad", [c.args[0], pads, fill if mode == "constant" else ""], mode=mode)


OPS: tuple[OpSpec, ...] = (
    OpSpec(
        name="resize",
        summary="resizes axes (all after the second) to a size or by a scale: index i reads i * input / output, "
        "rounded down, or (bilinear) between the two nearest centres, `align_corners`: those of corners together",
        operands=_X,
        parameters=(
            Parameter("size", Kind.SIZES, None),
            Parameter("scale", Kind.FLOAT, None),
            Parameter("mode", Kind.STR, "nearest"),
            _OVER,
            Parameter("align_corners", Kind.BOOL, False),
        ),
        rule=_resize_rule,
        flow=_mixed_flow,
        reference=_resize_reference,
        torch=_resize_torch,
        onnx=_resize_onnx,
        examples=(
            Example("x: f32[N, C=3, H=4, W=5]", "resize[scale=2](x)"),
            Example("x: f32[N, C=3, H, W]", "resize[scale=2](x)"),
            Example("x: f32[N, C=3, H=8, W=5]", "resize[size=(3, 7)](x)"),
            Example("x: f32[N, C=3, H, W]", "resize[scale=0.5](x)"),
            Example("x: f32[N, C=3, H=4, W=5]", 'resize[size=(7, 3), mode="bilinear"](x)'),
            Example("x: f32[N, C=3, H, W]", 'resize[scale=1.5, mode="bilinear"](x)'),
            Example("x: f32[N, C=3, T]", 'resize[scale=2, mode="bilinear"](x)'),
            Example("x: f32[N, C=3, H=4, W=5]", 'resize[size=(7, 1), mode="bilinear", align_corners=true](x)'),
            Example("x: f32[N, C=3, H, W]", 'resize[scale=2, mode="bilinear", align_corners=true](x)'),
            Example("x: f32[N, T, D=4]", 'resize[size=6, mode="bilinear", over=T](x)'),
            Example("x: f32[N, T=2, C=3, H=4, W=4]", 'resize[scale=2, mode="bilinear", over=(H, W)](x)'),
        ),
        widths=HALVES,
        group=GROUP,
    ),
    OpSpec(
        name="pad",
        summary="adds elements before and after axes (all after the second): a constant, a mirror image, or the edge",
        operands=_X,
        parameters=(
            Parameter("before", Kind.INTS),
            Parameter("after", Kind.INTS, None),
            _OVER,
            Parameter("mode", Kind.STR, "zeros"),
            Parameter("value", Kind.FLOAT, 0.0),
        ),
        rule=_pad_rule,
        flow=_pad_flow,
        reference=_pad_reference,
        torch=_pad_torch,
        onnx=_pad_onnx,
        examples=(
            Example("x: f32[N, C=3, H=4, W=5]", "pad[1](x)"),
            Example("x: f32[N, C=3, H, W]", 'pad[(1, 2), after=(0, 1), mode="reflect"](x)'),
            Example("x: f32[N, C=3, H=4, W=5]", 'pad[2, mode="edge"](x)'),
            Example("x: f32[N, T, D=3]", "pad[before=2, after=0, over=T, value=1.5](x)"),
            Example("x: i64[N, T]", "pad[1, over=T, value=3](x)"),
        ),
        widths=NARROW,
        group=GROUP,
    ),
)
