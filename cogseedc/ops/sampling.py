"""Reading a map at places that are values, or window by window: points, crops, windows as an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
    Window,
)
from cogseedc.ir.size import Size
from cogseedc.ir.types import Axis, Dtype, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.convolution import convolved
from cogseedc.ops.neural import (
    array,
    at_least,
    flat_rows,
    integers,
    kept,
    leading,
    onnx_reshape,
    padded,
    placed,
    show,
    take,
    torch_flat,
    torch_inserted,
    torch_permute,
    windows_of,
)
from cogseedc.ops.resampling import replaced, spatial
from cogseedc.ops.rules import (
    HALVES,
    Flows,
    Types,
    flag,
    text,
)
from cogseedc.ops.spelling import onnx_scalar, onnx_transpose, onnx_unsqueeze, torch_tuple

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "sampling"
_OVER = Parameter("over", Kind.AXES, None)


# ---- grid_sample


def _grid_rule(site: Site) -> Resolution:
    x, grid = at_least(site, 0, 3, "channels and 2 spatial axes"), at_least(site, 1, 1, "an axis of coordinates")
    lead = x.axes[:-3]
    if grid.axes[-1].size != Size.of(2) or grid.rank - 1 - len(lead) not in (1, 2):
        site.fail(
            "CS0357",
            f"grid_sample: the grid {show(grid)} does not go with {show(x)}",
            "its last axis has two coordinates, of the last axis first; before it one or two axes of places",
            operand=1,
        )
    leading(site, 1, grid.axes[: len(lead)], lead, "the grid")
    attrs = Attrs.of(
        mode=text(site, "mode", ("bilinear", "nearest")),
        padding=text(site, "padding", ("zeros", "border")),
        align_corners=flag(site, "align_corners"),
    )
    return Resolution(attrs, (x.with_axes((*x.axes[:-2], *grid.axes[len(lead) : -1])),))


def _grid_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    x, grid = take(inputs, 0), take(inputs, 1)
    lead = x.rank - 3
    first: tuple[Flow, ...] = (*(Pointwise(i) for i in range(lead + 1)), Mixing(), Mixing())
    near: list[Flow] = [Pointwise(i if i < lead else i + 1) for i in range(grid.rank - 1)]
    return first, (*near, Mixing())


def _grid_places(c: ReferenceCall, grid: Array, size: int) -> Array:
    """Coordinates in elements."""
    place = (grid + 1) / 2 * (size - 1) if c.attrs.flag("align_corners") else ((grid + 1) * size - 1) / 2
    return np.clip(place, 0, size - 1) if c.attrs.text("padding") == "border" else np.asarray(place)


def _grid_reference(c: ReferenceCall) -> Array:
    x, grid = flat_rows(array(c, 0), 3), array(c, 1)
    grid = grid.reshape(x.shape[0], int(np.prod(grid.shape[array(c, 0).ndim - 3 : -1])), 2)
    height, width = x.shape[-2:]
    across, down = _grid_places(c, grid[..., 0], width), _grid_places(c, grid[..., 1], height)
    rows = np.arange(x.shape[0])[:, None]

    def pixel(v: Array, u: Array) -> Array:
        inside = (v >= 0) & (v < height) & (u >= 0) & (u < width)
        v, u = np.clip(v, 0, height - 1).astype(np.int64), np.clip(u, 0, width - 1).astype(np.int64)
        return np.asarray(x[rows, :, v, u] * inside[..., None])

    if c.attrs.text("mode") == "nearest":
        y = pixel(np.rint(down), np.rint(across))
    else:
        top, left = np.floor(down), np.floor(across)
        b, r = (down - top)[..., None], (across - left)[..., None]
        y = pixel(top, left) * (1 - b) * (1 - r) + pixel(top, left + 1) * (1 - b) * r
        y = y + pixel(top + 1, left) * b * (1 - r) + pixel(top + 1, left + 1) * b * r
    return np.moveaxis(y, -1, 1).reshape(c.sizes(c.types[0].shape))


def _grid_torch(c: TorchCall) -> str:
    kind, grid = take(c.inputs, 0), take(c.inputs, 1)
    lead, single = kind.rank - 3, grid.rank == kind.rank - 1
    near = str(c.args[1]) + (".unsqueeze(-3)" if single else "")
    near += ".unsqueeze(0)" if lead == 0 else f".flatten(0, {lead - 1})" if lead > 1 else ""
    options = f'mode="{c.attrs.text("mode")}", padding_mode="{c.attrs.text("padding")}"'
    options += f", align_corners={c.attrs.flag('align_corners')}"
    call = torch_flat(c, 3, lambda x: f"F.grid_sample({x}, {near}, {options})")
    return f"{call}.squeeze(-2)" if single else call


def _grid_onnx(c: OnnxCall) -> str:
    kind, grid = take(c.inputs, 0), take(c.inputs, 1)
    lead, single = kind.rank - 3, grid.rank == kind.rank - 1
    near = onnx_unsqueeze(c, c.args[1], [lead]) if single else c.args[1]
    places = [Size.of(1)] * single + [a.size for a in grid.axes[lead:]]
    x = c.args[0]
    if lead != 1:
        near = onnx_reshape(c, near, [Size.of(-1), *places], 0)
        x = onnx_reshape(c, x, [Size.of(-1), *kind.shape[lead:]], 0)
    mode = "linear" if c.attrs.text("mode") == "bilinear" else "nearest"
    corners = int(c.attrs.flag("align_corners"))
    y = c.node("GridSample", [x, near], mode=mode, padding_mode=c.attrs.text("padding"), align_corners=corners)
    return onnx_reshape(c, y, c.types[0].shape) if lead != 1 or single else y


# ---- crop


def _crop_rule(site: Site) -> Resolution:
    x, at = at_least(site, 0, 1, "an axis to crop"), at_least(site, 1, 1, "an axis of coordinates")
    over = spatial(site, x, order=True)
    size = integers(site, "size", len(over), 1)
    if at.axes[-1].size != Size.of(len(over)):
        site.fail(
            "CS0357",
            f"crop: the centre is {show(at)}, but {len(over)} axes are cropped",
            "its last axis has one coordinate for each axis of `over`, in that order",
            operand=1,
        )
    _crop_places(site, x, at, over)
    attrs = Attrs.of(size=size, over=over, padding=text(site, "padding", ("zeros", "edge")))
    return Resolution(attrs, (replaced(x, over, [Size.of(s) for s in size]),))


def _crop_places(site: Site, x: TensorType, at: TensorType, over: Sequence[int]) -> tuple[int, ...]:
    """Axes of x that go with the axes of the centres."""
    return placed(site, at.axes[:-1], x, [i for i in range(x.rank) if i not in over], 1)


def _crop_aligned(c: ReferenceCall | TorchCall | OnnxCall) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How the centres get all axes of x: their permutation, and where axes of size 1 go in."""
    x, at, over = take(c.inputs, 0), take(c.inputs, 1), c.attrs.integers("over")
    places = _crop_places(Site("crop", tuple(c.inputs), {}), x, at, over)
    order = sorted(range(len(places)), key=lambda i: places[i])
    return (*order, at.rank - 1), tuple(i for i in range(x.rank) if i not in places)


def _crop_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    x, at, over = take(inputs, 0), take(inputs, 1), attrs.integers("over")
    near: list[Flow] = [Pointwise(p) for p in _crop_places(Site("crop", (x, at), {}), x, at, over)]
    return kept(x, over), (*near, Mixing())


def _crop_reference(c: ReferenceCall) -> Array:
    """As published for recurrent attention: start = int(0.5 * (at + 1) * length) - size // 2, in f32."""
    x, (order, missing) = array(c, 0), _crop_aligned(c)
    at = np.expand_dims(array(c, 1).transpose(order).astype(np.float32), missing)
    for i, (axis, size) in enumerate(zip(c.attrs.integers("over"), c.attrs.integers("size"), strict=True)):
        length = x.shape[axis]
        far = np.float32(length + size + 1)
        centre = np.float32(0.5) * ((at[..., i] + np.float32(1)) * np.float32(length))
        centre = np.where(centre > -far, np.minimum(centre, far), -far)
        steps = np.arange(size).reshape([size if d == axis else 1 for d in range(x.ndim)])
        place = np.trunc(centre).astype(np.int64) - size // 2 + steps
        shape = [size if d == axis else n for d, n in enumerate(x.shape)]
        x = np.take_along_axis(x, np.broadcast_to(np.clip(place, 0, length - 1), shape), axis=axis)
        if c.attrs.text("padding") == "zeros":
            x = np.where((place >= 0) & (place < length), x, 0.0)
    return x


def _crop_torch(c: TorchCall) -> str:
    order, missing = _crop_aligned(c)
    at = torch_inserted(torch_permute(str(c.args[1]), order), len(order), missing)
    axes, size = torch_tuple(c.attrs.integers("over")), torch_tuple(c.attrs.integers("size"))
    return f"{c.support('crop')}({c.args[0]}, {at}, {axes}, {size}, {c.attrs.text('padding') == 'zeros'})"


def _crop_onnx(c: OnnxCall) -> str:
    kind, (order, missing), x = take(c.inputs, 0), _crop_aligned(c), c.args[0]
    at = onnx_unsqueeze(c, onnx_transpose(c, c.args[1], order), missing)
    if take(c.inputs, 1).dtype is not Dtype.F32:
        at = c.node("Cast", [at], to=1)
    shape = list(kind.shape)
    for i, (axis, size) in enumerate(zip(c.attrs.integers("over"), c.attrs.integers("size"), strict=True)):
        place, inside = _onnx_places(c, c.node("Gather", [at, onnx_scalar(c, i, Dtype.I64)], axis=-1), kind, axis, size)
        shape[axis] = Size.of(size)
        x = c.node("GatherElements", [x, c.node("Expand", [place, c.sizes(shape)])], axis=axis)
        if c.attrs.text("padding") == "zeros":
            x = c.node("Where", [inside, x, onnx_scalar(c, 0.0, kind.dtype)])
    return x


def _onnx_places(c: OnnxCall, at: str, kind: TensorType, axis: int, size: int) -> tuple[str, str]:
    """For a centre the indices of its crop, kept inside the axis, and which of them were inside."""
    length = c.size(kind.axes[axis].size)
    wide = c.node("Cast", [length], to=1)
    one, half = onnx_scalar(c, 1.0, Dtype.F32), onnx_scalar(c, 0.5, Dtype.F32)
    centre = c.node("Mul", [half, c.node("Mul", [c.node("Add", [at, one]), wide])])
    far = c.node("Add", [wide, onnx_scalar(c, float(size + 1), Dtype.F32)])
    near = c.node("Neg", [far])
    centre = c.node("Where", [c.node("Greater", [centre, near]), centre, near])
    centre = c.node("Where", [c.node("Less", [centre, far]), centre, far])
    steps = np.arange(size, dtype=np.int64) - size // 2
    shape = [size if d == axis else 1 for d in range(kind.rank)]
    place = c.node("Add", [c.node("Cast", [centre], to=7), c.constant(steps.reshape(shape))])
    zero = onnx_scalar(c, 0, Dtype.I64)
    inside = c.node("And", [c.node("GreaterOrEqual", [place, zero]), c.node("Less", [place, length])])
    last = c.node("Sub", [length, onnx_scalar(c, 1, Dtype.I64)])
    return c.node("Min", [c.node("Max", [place, zero]), last]), inside


# ---- unfold


def _unfold_rule(site: Site) -> Resolution:
    x = at_least(site, 0, 3, "channels and 2 spatial axes")
    kernel, stride = integers(site, "kernel", 2, 1), integers(site, "stride", 2, 1)
    padding, dilation = integers(site, "padding", 2, 0), integers(site, "dilation", 2, 1)
    axes: list[Axis] = []
    for axis, k, s, p, d in zip(x.axes[-2:], kernel, stride, padding, dilation, strict=True):
        size = convolved(axis.size, k, s, p, d)
        if size.known is not None and size.known < 1:
            help = "use a smaller kernel, or more padding"
            site.fail(
                "CS0343", f"unfold: a window of {d * (k - 1) + 1} does not fit axis {axis}", help, static="kernel"
            )
        axes.append(Axis(axis.name, size))
    name = site.statics["name"]
    window = Axis(name if isinstance(name, str) else None, Size.of(kernel[0] * kernel[1]))
    attrs = Attrs.of(kernel=kernel, stride=stride, padding=padding, dilation=dilation, name=window.name)
    return Resolution(attrs, (x.with_axes((*x.axes[:-2], window, *axes)),))


def _unfold_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    lead = take(inputs, 0).rank - 2
    names = zip(*(attrs.integers(n) for n in ("kernel", "stride", "padding", "dilation")), strict=True)
    windows = tuple(Window(lead + 1 + i, k, s, p, d) for i, (k, s, p, d) in enumerate(names))
    return ((*(Pointwise(i) for i in range(lead)), *windows),)


def _unfold_reference(c: ReferenceCall) -> Array:
    padding = c.attrs.integers("padding")
    x = padded(array(c, 0), padding, padding)
    near = windows_of(x, c.attrs.integers("kernel"), c.attrs.integers("stride"), c.attrs.integers("dilation"))
    return np.moveaxis(near, (-2, -1), (-4, -3)).reshape(c.sizes(c.types[0].shape))


def _unfold_torch(c: TorchCall) -> str:
    kind = take(c.inputs, 0)
    x, lead = str(c.args[0]), kind.rank - 3
    x = f"{x}.unsqueeze(0)" if lead == 0 else f"{x}.flatten(0, {lead - 1})" if lead > 1 else x
    names = ("kernel", "dilation", "padding", "stride")
    options = ", ".join(torch_tuple(c.attrs.integers(n)) for n in names)
    return f"F.unfold({x}, {options}).reshape({c.sizes(c.types[0].shape)})"


def _unfold_onnx(c: OnnxCall) -> str:
    """A convolution of each channel by itself with unit kernels."""
    kind, kernel, padding = take(c.inputs, 0), c.attrs.integers("kernel"), c.attrs.integers("padding")
    area, dtype = kernel[0] * kernel[1], np.float16 if kind.dtype is Dtype.F16 else np.float32
    units: Any = np.eye(area, dtype=dtype).reshape(area, 1, *kernel)
    x = onnx_reshape(c, c.args[0], [Size.of(-1), 1, *kind.shape[-2:]], 0)
    y = c.node(
        "Conv",
        [x, c.constant(units)],
        kernel_shape=list(kernel),
        strides=list(c.attrs.integers("stride")),
        pads=[*padding, *padding],
        dilations=list(c.attrs.integers("dilation")),
    )
    return onnx_reshape(c, y, c.types[0].shape)


OPS: tuple[OpSpec, ...] = (
    OpSpec(
        name="grid_sample",
        summary="samples the last two axes at points in -1 .. 1: coordinates (of W, of H) on the grid's last axis",
        operands=(Operand("x"), Operand("grid")),
        parameters=(
            Parameter("mode", Kind.STR, "bilinear"),
            Parameter("padding", Kind.STR, "zeros"),
            Parameter("align_corners", Kind.BOOL, False),
        ),
        rule=_grid_rule,
        flow=_grid_flow,
        reference=_grid_reference,
        torch=_grid_torch,
        onnx=_grid_onnx,
        examples=(
            Example("x: f32[N, C=3, H=4, W=5], g: f32[N, A=3, B=2, 2]", "grid_sample(x, g)"),
            Example("x: f32[N, C=3, H, W], g: f32[N, P=6, 2]", 'grid_sample[padding="border"](x, g)'),
            Example("x: f32[N, C=3, H=4, W=5], g: f32[N, P=6, 2]", 'grid_sample["nearest", align_corners=true](x, g)'),
            Example("x: f32[N, T=2, C=3, H=4, W=5], g: f32[N, T=2, P=6, 2]", "grid_sample(x, g)"),
        ),
        widths=HALVES,
        source="arXiv:1506.02025",
        group=GROUP,
    ),
    OpSpec(
        name="crop",
        summary="cuts a box of a static size around a centre in -1 .. 1 for each axis of `over`, in that order: "
        "start = int(0.5 * (at + 1) * length) - size / 2; outside are zeros or the edge",
        operands=(Operand("x"), Operand("at")),
        parameters=(Parameter("size", Kind.INTS), _OVER, Parameter("padding", Kind.STR, "zeros")),
        rule=_crop_rule,
        flow=_crop_flow,
        reference=_crop_reference,
        torch=_crop_torch,
        onnx=_crop_onnx,
        examples=(
            Example("x: f32[N, C=3, H=8, W=7], at: f32[N, P=2]", "crop[over=(H, W), size=4](x, at)"),
            Example("x: f32[N, C=3, H, W], at: f32[N, 2]", 'crop[(3, 5), padding="edge"](x, at)'),
            Example("x: f32[N, T, D=4], at: f32[N, 1]", "crop[3, over=T](x, at)"),
            Example("x: f32[N, H=8, W=7], at: f32[P=2]", "crop[size=3, over=(W, H)](x, at)"),
        ),
        widths=HALVES,
        source="arXiv:1406.6247",
        group=GROUP,
    ),
    OpSpec(
        name="unfold",
        summary="windows over the last two axes as an axis of their own, left of them: [.., C, K, H, W]",
        operands=(Operand("x"),),
        parameters=(
            Parameter("kernel", Kind.INTS),
            Parameter("stride", Kind.INTS, 1),
            Parameter("padding", Kind.INTS, 0),
            Parameter("dilation", Kind.INTS, 1),
            Parameter("name", Kind.STR, None),
        ),
        rule=_unfold_rule,
        flow=_unfold_flow,
        reference=_unfold_reference,
        torch=_unfold_torch,
        onnx=_unfold_onnx,
        examples=(
            Example("x: f32[N, C=3, H=6, W=5]", 'unfold[3, padding=1, name="K"](x)'),
            Example("x: f32[N, C=3, H, W]", "unfold[(2, 3), stride=2](x)"),
            Example("x: f32[N, T=2, C=3, H=6, W=7]", "unfold[3, dilation=2](x)"),
        ),
        widths=HALVES,
        group=GROUP,
    ),
)
