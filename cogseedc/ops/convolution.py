"""Convolutions over one and two spatial axes, also with kernels for each index.

The channel axis stands directly left of the spatial ones; axes left of it are all batch axes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING

from cogseedc.ir.nodes import Attrs
from cogseedc.ir.opspec import (
    Example,
    Flow,
    Kind,
    Mixing,
    OnnxCall,
    OpSpec,
    Parameter,
    Pointwise,
    ReferenceCall,
    Resolution,
    Site,
    TorchCall,
    WeightSpec,
    Window,
)
from cogseedc.ir.size import Size
from cogseedc.ir.types import Axis, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.neural import (
    NARROW,
    WEIGHTED,
    alignment,
    array,
    at_least,
    flat_rows,
    integers,
    kaiming,
    known,
    onnx_flat,
    onnx_matmul,
    onnx_reshape,
    owns_bias,
    padded,
    placed,
    same_dtype,
    show,
    sized_axis,
    take,
    torch_flat,
    torch_inserted,
    torch_permute,
    unnamed,
    windows_of,
)
from cogseedc.ops.rules import Flows, Types, integer, quotient, size_attr
from cogseedc.ops.spelling import onnx_transpose, onnx_unsqueeze, present

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "convolution"
PARAMETERS = (
    Parameter("channels", Kind.SIZE, None),
    Parameter("kernel", Kind.INTS, None),
    Parameter("stride", Kind.INTS, 1),
    Parameter("padding", Kind.INTS, 0),
    Parameter("dilation", Kind.INTS, 1),
    Parameter("groups", Kind.INT, 1),
    Parameter("bias", Kind.BOOL, None),
)


def convolved(size: Size, kernel: int, stride: int, padding: int, dilation: int) -> Size:
    """How many places a window has along an axis."""
    return (size + (2 * padding - dilation * (kernel - 1) - 1)) // stride + 1


def kernel_of(site: Site, count: int) -> tuple[int, ...]:
    """The kernel's extent: as written, or as the given weight has it."""
    written = None if site.statics["kernel"] is None else integers(site, "kernel", count, 1)
    if not site.given(1):
        return written or integers(site, "kernel", count, 1)
    weight = same_dtype(site, 1, site.type(0))
    if weight.rank < count + 2:
        site.fail(
            "CS0344",
            f"{site.op}: the weight is {show(weight)}, but it needs {count + 2} axes: two of channels, then the kernel",
            operand=1,
        )
    found = tuple(known(site, a.size, "the extent of the kernel") for a in weight.axes[-count:])
    if written is not None and written != found:
        site.fail(
            "CS0344", f"{site.op}: kernel={written}, but the weight is {show(weight)}", operand=1, static="kernel"
        )
    return found


def grouped(site: Site, size: Size, groups: int, what: str) -> Size:
    """`size / groups`. Refuses with CS0342 what does not divide."""
    found = quotient(size, Size.of(groups))
    if found is None or found.known == 0:
        help = "the number of groups divides the channels on both sides"
        site.fail("CS0342", f"{site.op}: {groups} groups do not divide {size} {what} channels", help, static="groups")
    return found


def bias_of(
    site: Site, x: TensorType, among: range, channels: Size, fan_in: Size, owned: bool
) -> tuple[bool, tuple[WeightSpec, ...]]:
    """Whether there is a bias, and the weight to create for it."""
    bias = owns_bias(site, 2, owned)
    if not site.given(2):
        spec = WeightSpec(2, TensorType(x.dtype, unnamed(channels)), kaiming(fan_in))
        return bias, (spec,) if bias else ()
    found = same_dtype(site, 2, x)
    if found.rank < 1 or found.axes[-1].size != channels:
        site.fail("CS0344", f"{site.op}: the bias is {show(found)}, but there are {channels} channels", operand=2)
    placed(site, found.axes[:-1], x, among, 2)
    return bias, ()


def _rule(count: int) -> Callable[[Site], Resolution]:
    def rule(site: Site) -> Resolution:
        x = at_least(site, 0, count + 1, f"channels and {count} spatial axes")
        lead = x.rank - count - 1
        channel, kernel = x.axes[lead], kernel_of(site, count)
        stride, dilation = integers(site, "stride", count, 1), integers(site, "dilation", count, 1)
        padding, groups = integers(site, "padding", count, 0), integer(site, "groups", 1)
        inner = grouped(site, channel.size, groups, "input")
        wanted = sized_axis(site, "channels", x)
        weights: tuple[WeightSpec, ...] = ()
        if site.given(1):
            channels = _given(site, x, lead, inner, wanted)
        elif wanted is None:
            site.fail(
                "CS0345",
                f"{site.op} needs its channels, or a weight",
                f"`{site.op}[16, kernel=3](x)`",
                static="channels",
            )
        else:
            channels = wanted.size
            kind = TensorType(x.dtype, unnamed(channels, inner, *kernel))
            weights = (WeightSpec(1, kind, kaiming(inner * prod(kernel))),)
        grouped(site, channels, groups, "output")
        fan_in = inner * prod(kernel)
        bias, more = bias_of(site, x, range(lead), channels, fan_in, bool(weights))
        spatial = _spatial(site, x.axes[lead + 1 :], kernel, stride, padding, dilation)
        attrs = Attrs.of(
            channels=size_attr(channels),
            kernel=kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
        )
        result = x.with_axes((*x.axes[:lead], Axis(channel.name, channels), *spatial))
        return Resolution(attrs, (result,), weights + more)

    return rule


def _given(site: Site, x: TensorType, lead: int, inner: Size, wanted: Axis | None) -> Size:
    """Output channels of a given weight: [..., O, I / groups, *kernel]."""
    weight, own = site.type(1), x.rank - lead + 1
    outer, found = weight.axes[-own], weight.axes[1 - own]
    if found.size != inner:
        site.fail(
            "CS0341",
            f"{site.op}: the weight {show(weight)} takes {found} channels in a group, but {show(x)} has {x.axes[lead]}",
            "the weight's axes are (output, input / groups, kernel), the last ones",
            operand=1,
        )
    if wanted is not None and wanted.size != outer.size:
        site.fail(
            "CS0344",
            f"{site.op}: {wanted.size} channels, but the weight is {show(weight)}",
            operand=1,
            static="channels",
        )
    if weight.rank > own:
        placed(site, weight.axes[:-own], x, range(lead), 1)
        known(site, inner, "the number of channels under per-index kernels")
    return outer.size


def _spatial(
    site: Site,
    axes: tuple[Axis, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[Axis, ...]:
    """The spatial axes of the result. Refuses with CS0343 an axis that is smaller than the window."""
    found: list[Axis] = []
    for axis, k, s, p, d in zip(axes, kernel, stride, padding, dilation, strict=True):
        size = convolved(axis.size, k, s, p, d)
        if size.known is not None and size.known < 1:
            site.fail(
                "CS0343",
                f"{site.op}: a window of {d * (k - 1) + 1} does not fit axis {axis} with padding {p}",
                "use a smaller kernel, or more padding",
                static="kernel",
            )
        found.append(Axis(axis.name, size))
    return tuple(found)


def _places(site: str, operand: TensorType, own: int, x: TensorType, lead: int) -> tuple[int, ...]:
    """Axes of x that go with the leading axes of an operand; the rule has found that they do."""
    return placed(Site(site, (x, operand), {}), operand.axes[: operand.rank - own], x, range(lead), 1)


def lead_of(attrs: Attrs, inputs: Types) -> int:
    return take(inputs, 0).rank - len(attrs.integers("kernel")) - 1


def _flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return _remembered_flow(attrs, tuple(inputs), types)


@lru_cache(4096)  # a network has many layers of few kinds
def _remembered_flow(attrs: Attrs, inputs: tuple[TensorType | None, ...], types: tuple[TensorType, ...]) -> Flows:
    x, lead = take(inputs, 0), lead_of(attrs, inputs)
    depthwise = x.axes[lead].size == Size.of(attrs.integer("groups")) == types[0].axes[lead].size
    windows = [
        Window(lead + 1 + i, k, s, p, d)
        for i, (k, s, p, d) in enumerate(
            zip(*(attrs.integers(name) for name in ("kernel", "stride", "padding", "dilation")), strict=True)
        )
    ]
    channel: Flow = Pointwise(lead) if depthwise else Mixing()
    flows: list[tuple[Flow, ...]] = [(*(Pointwise(i) for i in range(lead)), channel, *windows)]
    return tuple(flows) + weight_flows(attrs, inputs, lead, 0)


def weight_flows(attrs: Attrs, inputs: Types, lead: int, outer: int) -> Flows:
    """Demand on weight and bias; `outer` is the place of the output channels among a weight's own axes."""
    flows: list[tuple[Flow, ...]] = []
    x, own = take(inputs, 0), len(attrs.integers("kernel")) + 2
    for operand, count in ((1, own), (2, 1)):
        found = inputs[operand] if operand < len(inputs) else None
        if found is None:
            flows.append(())
            continue
        left = (Pointwise(p) for p in _places("conv", found, count, x, lead))
        whole = attrs.integer("groups") == 1 or outer == 0
        right = (Pointwise(lead) if i == (outer if count == own else 0) and whole else Mixing() for i in range(count))
        flows.append((*left, *right))
    return tuple(flows)


def _macs(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Size:
    inner = take(inputs, 0).axes[lead_of(attrs, inputs)].size.divided(attrs.integer("groups"))
    return types[0].elements * inner * prod(attrs.integers("kernel"))


# ---- reference


def _reference(c: ReferenceCall) -> Array:
    count, lead, groups = len(c.attrs.integers("kernel")), lead_of(c.attrs, c.inputs), c.attrs.integer("groups")
    x, weight = array(c, 0), array(c, 1)
    padding = c.attrs.integers("padding")
    rows = padded(flat_rows(x, count + 1), padding, padding)
    views = windows_of(rows, c.attrs.integers("kernel"), c.attrs.integers("stride"), c.attrs.integers("dilation"))
    views = views.reshape(views.shape[0], groups, views.shape[1] // groups, *views.shape[2:])
    if weight.ndim == count + 2:
        parts = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
        y = [
            np.tensordot(views[:, g], parts[g], axes=(_contracted(count), [1, *range(2, count + 2)]))
            for g in range(groups)
        ]
        result = np.moveaxis(np.concatenate(y, axis=-1), -1, 1)
    else:
        order, missing = alignment(_places("conv", take(c.inputs, 1), count + 2, take(c.inputs, 0), lead), lead)
        own = weight.shape[-count - 2 :]
        near = np.expand_dims(weight.transpose(*order, *range(len(order), weight.ndim)), missing)
        near = np.broadcast_to(near, (*x.shape[:lead], *own)).reshape(rows.shape[0], groups, own[0] // groups, *own[1:])
        letters = "xyz"[:count], "uvw"[:count]
        result = np.einsum(f"bgi{letters[0]}{letters[1]},bgoi{letters[1]}->bgo{letters[0]}", views, near)
    result = result.reshape(c.sizes(c.types[0].shape))
    return result + _reference_bias(c, count, lead) if present(c.args, 2) else result


def _contracted(count: int) -> list[int]:
    """Axes of one group's windows [rows, input, *outputs, *kernel] that the kernel takes up."""
    return [1, *range(2 + count, 2 + 2 * count)]


def _reference_bias(c: ReferenceCall, count: int, lead: int) -> Array:
    bias = array(c, 2)
    order, missing = alignment(_places("conv", take(c.inputs, 2), 1, take(c.inputs, 0), lead), lead)
    near = np.expand_dims(bias.transpose(*order, bias.ndim - 1), missing)
    return near.reshape(*near.shape, *(1,) * count)


# ---- torch


def _options(attrs: Attrs, **defaults: int) -> str:
    """Keyword arguments that are not torch's defaults."""
    text = ""
    for name, default in defaults.items():
        value = attrs[name]
        several = value if isinstance(value, tuple) else (value,)
        if any(v != default for v in several):
            text += f", {name}={several[0] if len(set(several)) == 1 else several}"
    return text


def torch_conv(function: str, **defaults: int) -> Callable[[TorchCall], str]:
    def spell(c: TorchCall) -> str:
        count = len(c.attrs.integers("kernel"))
        bias = c.args[2] if present(c.args, 2) else None
        options = _options(c.attrs, stride=1, padding=0, **defaults, dilation=1, groups=1)
        if take(c.inputs, 1).rank == count + 2 and (bias is None or take(c.inputs, 2).rank == 1):
            near = f", {bias}" if bias else ""
            return torch_flat(c, count + 1, lambda x: f"F.{function}({x}, {c.args[1]}{near}{options})")
        lead = lead_of(c.attrs, c.inputs)
        weight = _torch_aligned(c, 1, count + 2, lead)
        near = f", bias={_torch_aligned(c, 2, 1, lead)}" if bias else ""
        return f"{c.support('conv_per_index')}({c.args[0]}, {weight}, {count}{near}{options})"

    return spell


def _torch_aligned(c: TorchCall, operand: int, own: int, lead: int) -> str:
    """A per-index operand with its leading axes in the places of x's, size 1 where it has none."""
    kind = take(c.inputs, operand)
    order, missing = alignment(_places("conv", kind, own, take(c.inputs, 0), lead), lead)
    text = torch_permute(str(c.args[operand]), (*order, *range(len(order), kind.rank)))
    return torch_inserted(text, kind.rank, missing)


# ---- ONNX


def onnx_conv(c: OnnxCall, op: str, x: str, weight: str, bias: str, **more: object) -> str:
    padding = c.attrs.integers("padding")
    return c.node(
        op,
        [x, weight, bias] if bias else [x, weight],
        kernel_shape=list(c.attrs.integers("kernel")),
        strides=list(c.attrs.integers("stride")),
        pads=[*padding, *padding],
        dilations=list(c.attrs.integers("dilation")),
        **more,
    )


def _onnx(c: OnnxCall) -> str:
    count, groups = len(c.attrs.integers("kernel")), c.attrs.integer("groups")
    bias = c.args[2] if present(c.args, 2) else ""
    plain = not bias or take(c.inputs, 2).rank == 1
    if take(c.inputs, 1).rank == count + 2 and plain:
        return onnx_flat(c, count + 1, lambda x: onnx_conv(c, "Conv", x, c.args[1], bias, group=groups))
    lead = lead_of(c.attrs, c.inputs)
    y = _onnx_per_index(c, count, lead)
    if not bias:
        return y
    near, shape = _onnx_aligned(c, 2, 1, lead)
    return c.node("Add", [y, onnx_reshape(c, near, [*shape, *(1,) * count]) if count else near])


def _onnx_aligned(c: OnnxCall, operand: int, own: int, lead: int) -> tuple[str, list[Size]]:
    """A per-index operand with its leading axes in the places of x's, and its shape."""
    kind = take(c.inputs, operand)
    order, missing = alignment(_places("conv", kind, own, take(c.inputs, 0), lead), lead)
    value = onnx_transpose(c, c.args[operand], (*order, *range(len(order), kind.rank)))
    shape = [kind.axes[i].size for i in order] + list(kind.shape[len(order) :])
    for place in missing:
        shape.insert(place, Size.of(1))
    return onnx_unsqueeze(c, value, missing), shape


def _onnx_per_index(c: OnnxCall, count: int, lead: int) -> str:
    """Windows side by side (a convolution with unit kernels), then a matrix product with each index's kernel."""
    x, kernel, groups = take(c.inputs, 0), c.attrs.integers("kernel"), c.attrs.integer("groups")
    channels, area = x.axes[lead].size.value or 1, prod(kernel)
    dtype = np.float16 if x.dtype.bits == 16 else np.float32
    units = np.tile(np.eye(area, dtype=dtype).reshape(area, 1, *kernel), (channels, 1, *(1,) * count))
    flat = onnx_reshape(c, c.args[0], (Size.of(-1), *x.shape[lead:]), 0) if lead != 1 else c.args[0]
    columns = onnx_conv(c, "Conv", flat, c.constant(units), "", group=channels)
    places = Size.of(1)
    for axis in c.types[0].axes[lead + 1 :]:
        places = places * axis.size
    outer, inner = c.types[0].axes[lead].size.divided(groups), channels // groups * area
    right = [*x.shape[:lead], Size.of(groups), Size.of(inner), places]
    weight, shape = _onnx_aligned(c, 1, count + 2, lead)
    left = [*shape[: -count - 2], Size.of(groups), outer, Size.of(inner)]
    product = onnx_matmul(c, onnx_reshape(c, weight, left), onnx_reshape(c, columns, right), left, right)
    return onnx_reshape(c, product, c.types[0].shape)


def _conv(count: int, summary: str, examples: tuple[Example, ...]) -> OpSpec:
    return OpSpec(
        name=f"conv{count}d",
        summary=summary,
        operands=WEIGHTED,
        parameters=PARAMETERS,
        rule=_rule(count),
        flow=_flow,
        reference=_reference,
        torch=torch_conv(f"conv{count}d"),
        onnx=_onnx,
        examples=examples,
        macs=_macs,
        widths=NARROW,
        group=GROUP,
    )


OPS: tuple[OpSpec, ...] = (
    _conv(
        1,
        "convolution over the last axis; the axis left of it has the channels",
        (
            Example("x: f32[N, C=3, T]", "conv1d[4, kernel=3, padding=1](x)"),
            Example("x: f32[N, C=4, T=11]", "conv1d[C=8, kernel=3, stride=2, dilation=2, groups=2, bias=false](x)"),
            Example("x: f32[N, C=4, T=11], w: f32[N, 6, 4, 3]", "conv1d[padding=1](x, weight=w)"),
        ),
    ),
    _conv(
        2,
        "convolution over the last two axes; the axis left of them has the channels. "
        "A weight with more axes than (O, I, k, k) is per index of x, by name",
        (
            Example("x: f32[N, C=3, H=8, W=8]", "conv2d[4, kernel=3, padding=1](x)"),
            Example("x: f32[N, C=3, H, W]", "conv2d[4, kernel=(3, 5), stride=(2, 1), padding=(1, 2)](x)"),
            Example("x: f32[N, C=4, H, W=7]", "conv2d[C, kernel=3, groups=C, dilation=2, padding=2, bias=false](x)"),
            Example("x: f32[N, C=4, H=7, W=7]", "conv2d[6, kernel=1, groups=2, stride=2](x)"),
            Example("x: f32[N, T=2, C=3, H=6, W=5]", "conv2d[4, kernel=3](x)"),
            Example("x: f32[N, C=3, H, W], w: f32[O=4, 3, 3, 3]", "conv2d[padding=1](x, weight=w)"),
            Example("x: f32[N, C=3, H, W], w: f32[N, O=4, 3, 3, 3]", "conv2d[padding=1, bias=true](x, weight=w)"),
            Example(
                "x: f32[N, C=4, H=7, W=6], w: f32[N, O=6, 2, 3, 3], b: f32[N, O=6]",
                "conv2d[stride=2, groups=2](x, weight=w, bias=b)",
            ),
            Example("x: f32[N, T=2, C=3, H=6, W=5], w: f32[T=2, 4, 3, 3, 3]", "conv2d(x, weight=w)"),
        ),
    ),
)
