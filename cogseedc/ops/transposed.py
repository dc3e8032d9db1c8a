"""The transposed convolution, which grows the axes that a convolution shrinks."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

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
    WeightSpec,
    Window,
)
from cogseedc.ir.size import Size
from cogseedc.ir.types import Axis, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.convolution import (
    PARAMETERS,
    bias_of,
    grouped,
    kernel_of,
    lead_of,
    onnx_conv,
    torch_conv,
    weight_flows,
)
from cogseedc.ops.neural import (
    NARROW,
    WEIGHTED,
    array,
    at_least,
    flat_rows,
    integers,
    kaiming,
    onnx_flat,
    show,
    sized_axis,
    take,
    unnamed,
)
from cogseedc.ops.rules import Flows, Types, integer, size_attr
from cogseedc.ops.spelling import present

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "transposed convolution"


def _transpose_rule(site: Site) -> Resolution:
    x = at_least(site, 0, 3, "channels and 2 spatial axes")
    lead = x.rank - 3
    channel, kernel = x.axes[lead], kernel_of(site, 2)
    stride, dilation = integers(site, "stride", 2, 1), integers(site, "dilation", 2, 1)
    padding, extra = integers(site, "padding", 2, 0), integers(site, "output_padding", 2, 0)
    groups, wanted = integer(site, "groups", 1), sized_axis(site, "channels", x)
    grouped(site, channel.size, groups, "input")
    weights: tuple[WeightSpec, ...] = ()
    if site.given(1):
        weight = site.type(1)
        if weight.rank != 4 or weight.axes[0].size != channel.size:
            help = "a transposed convolution's weight has the axes (input, output / groups, kernel)"
            site.fail("CS0341", f"{site.op}: the weight {show(weight)} does not fit {show(x)}", help, operand=1)
        channels = weight.axes[1].size * groups
        if wanted is not None and wanted.size != channels:
            site.fail("CS0344", f"{site.op}: {wanted.size} channels, but the weight is {show(weight)}", operand=1)
        outer = weight.axes[1].size
    elif wanted is None:
        site.fail(
            "CS0345", f"{site.op} needs its channels, or a weight", f"`{site.op}[16, kernel=3](x)`", static="channels"
        )
    else:
        channels, outer = wanted.size, grouped(site, wanted.size, groups, "output")
        kind = TensorType(x.dtype, unnamed(channel.size, outer, *kernel))
        weights = (WeightSpec(1, kind, kaiming(outer * prod(kernel))),)
    bias, more = bias_of(site, x, range(0), channels, outer * prod(kernel), bool(weights))
    spatial: list[Axis] = []
    for axis, k, s, p, d, e in zip(x.axes[-2:], kernel, stride, padding, dilation, extra, strict=True):
        if e >= max(s, d):
            help = "torch's rule: smaller than the stride or the dilation"
            site.fail("CS0355", f"{site.op}: output_padding {e} with stride {s}", help, static="output_padding")
        size = (axis.size - 1) * s + (d * (k - 1) + e + 1 - 2 * p)
        if size.known is not None and size.known < 1:
            site.fail(
                "CS0343", f"{site.op}: padding {p} leaves nothing of axis {axis}", "use less padding", static="padding"
            )
        spatial.append(Axis(axis.name, size))
    attrs = Attrs.of(
        channels=size_attr(channels),
        kernel=kernel,
        stride=stride,
        padding=padding,
        output_padding=extra,
        dilation=dilation,
        groups=groups,
        bias=bias,
    )
    result = x.with_axes((*x.axes[:lead], Axis(channel.name, channels), *spatial))
    return Resolution(attrs, (result,), weights + more)


def _transpose_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    lead = lead_of(attrs, inputs)
    near: list[Flow] = [*(Pointwise(i) for i in range(lead)), Mixing()]
    names = ("kernel", "stride", "padding", "dilation")
    for i, (k, s, p, d) in enumerate(zip(*(attrs.integers(n) for n in names), strict=True)):
        near.append(Window(lead + 1 + i, k, 1, d * (k - 1) - p, d) if s == 1 else Mixing())
    return (tuple(near), *weight_flows(attrs, inputs, lead, 1))


def _transpose_macs(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Size:
    outer = types[0].axes[lead_of(attrs, inputs)].size.divided(attrs.integer("groups"))
    return take(inputs, 0).elements * outer * prod(attrs.integers("kernel"))


def _transpose_onnx(c: OnnxCall) -> str:
    bias = c.args[2] if present(c.args, 2) else ""
    more = {"group": c.attrs.integer("groups"), "output_padding": list(c.attrs.integers("output_padding"))}
    return onnx_flat(c, 3, lambda x: onnx_conv(c, "ConvTranspose", x, c.args[1], bias, **more))


def _transpose_reference(c: ReferenceCall) -> Array:
    """Every input index adds its kernel to the result, at its stride."""
    count, groups = len(c.attrs.integers("kernel")), c.attrs.integer("groups")
    kernel, stride, dilation = (c.attrs.integers(n) for n in ("kernel", "stride", "dilation"))
    padding = c.attrs.integers("padding")
    x, weight, out = array(c, 0), array(c, 1), c.sizes(c.types[0].shape)
    rows = flat_rows(x, count + 1)
    inner, outer, spatial = rows.shape[1] // groups, weight.shape[1], out[-count:]
    full = np.zeros((rows.shape[0], groups, outer, *(s + 2 * p for s, p in zip(spatial, padding, strict=True))))
    for offset in np.ndindex(*kernel):
        slices = tuple(
            slice(o * d, o * d + (size - 1) * s + 1, s)
            for o, d, s, size in zip(offset, dilation, stride, rows.shape[2:], strict=True)
        )
        for g in range(groups):
            part = weight[(slice(g * inner, (g + 1) * inner), slice(None), *offset)]
            place: tuple[Any, ...] = (slice(None), g, slice(None), *slices)
            full[place] += np.moveaxis(np.tensordot(rows[:, g * inner : (g + 1) * inner], part, axes=([1], [0])), -1, 1)
    middle = tuple(slice(p, p + s) for p, s in zip(padding, spatial, strict=True))
    y = full[(slice(None), slice(None), slice(None), *middle)].reshape(out)
    return y + array(c, 2).reshape(-1, *(1,) * count) if present(c.args, 2) else y


OPS: tuple[OpSpec, ...] = (
    OpSpec(
        name="conv_transpose2d",
        summary="the gradient of conv2d with respect to its input: grows the last two axes by the stride",
        operands=WEIGHTED,
        parameters=(*PARAMETERS[:4], Parameter("output_padding", Kind.INTS, 0), *PARAMETERS[4:]),
        rule=_transpose_rule,
        flow=_transpose_flow,
        reference=_transpose_reference,
        torch=torch_conv("conv_transpose2d", output_padding=0),
        onnx=_transpose_onnx,
        examples=(
            Example("x: f32[N, C=3, H=4, W=5]", "conv_transpose2d[4, kernel=2, stride=2](x)"),
            Example(
                "x: f32[N, C=4, H, W]",
                "conv_transpose2d[6, kernel=3, stride=2, padding=1, output_padding=1, groups=2](x)",
            ),
            Example(
                "x: f32[N, T=2, C=2, H=4, W=5]", "conv_transpose2d[3, kernel=3, padding=1, dilation=2, bias=false](x)"
            ),
        ),
        macs=_transpose_macs,
        widths=NARROW - {"int8"},
        group=GROUP,
    ),
)
