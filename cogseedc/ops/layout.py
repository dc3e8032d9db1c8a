"""Operations that move or repeat elements: the order of axes, repetition, pixels to channels.

None of them computes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
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
from cogseedc.ir.types import Axis, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.rules import (
    MOVABLE,
    Flows,
    Types,
    axis_attr,
    axis_position,
    axis_positions,
    distinct,
    flow_dropped,
    flow_mapped,
    integer,
    new_axes,
    one,
    quotient,
    replace_axis,
)
from cogseedc.ops.spelling import (
    known,
    onnx_ints,
    onnx_reshape,
    onnx_sizes,
    onnx_transpose,
    ref_arg,
    torch_tuple,
)

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "layout"
_X = (Operand("x"),)
_OVER = Parameter("over", Kind.AXIS, None)


# Order and repetition of axes


def _permute_rule(site: Site) -> Resolution:
    type = site.type(0)
    given = site.statics["axes"]
    values = given if isinstance(given, tuple) else (given,)
    order = tuple(axis_position(site, type, v, "axes") for v in values)
    if sorted(order) != list(range(type.rank)):
        help = "give each axis once, in the order wanted"
        site.fail("CS0312", f"`permute` needs all {type.rank} axes of {type}", help, 0, "axes")
    return one(Attrs.of(axes=order), type.with_axes(tuple(type.axes[i] for i in order)))


def _permute_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    order = attrs.integers("axes")
    return (flow_mapped(len(order), [order.index(i) for i in range(len(order))]),)


def _expand_rule(site: Site) -> Resolution:
    axes = new_axes(site, "sizes")
    type = site.type(0)
    result = distinct(site, type.with_axes(axes + type.axes), "sizes")
    return one(Attrs.of(sizes=tuple(axis_attr(a) for a in axes)), result)


def _expand_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    rank = known(inputs).rank
    return (flow_mapped(rank, range(types[0].rank - rank, types[0].rank)),)


def _repeat_rule(site: Site) -> Resolution:
    type = site.type(0)
    over = axis_position(site, type, site.statics["over"])
    count = integer(site, "count", 1)
    axis = Axis(type.axes[over].name, type.axes[over].size * count)
    return one(Attrs.of(count=count, over=over), replace_axis(type, over, axis))


def _flow_over_one(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (flow_dropped(known(inputs), (attrs.integer("over"),), True),)


def _tile_onnx(call: OnnxCall) -> str:
    repeats = [1] * known(call.inputs).rank
    repeats[call.attrs.integer("over")] = call.attrs.integer("count")
    return call.node("Tile", [call.args[0], onnx_ints(call, *repeats)])


def _tile_torch(call: TorchCall) -> str:
    repeats = [1] * known(call.inputs).rank
    repeats[call.attrs.integer("over")] = call.attrs.integer("count")
    return f"{call.args[0]}.repeat({torch_tuple(repeats)})"


def _interleave_torch(call: TorchCall) -> str:
    return f"{call.args[0]}.repeat_interleave({call.attrs.integer('count')}, dim={call.attrs.integer('over')})"


def _interleave_onnx(call: OnnxCall) -> str:
    over, count, type = call.attrs.integer("over"), call.attrs.integer("count"), known(call.inputs)
    spread = call.node("Unsqueeze", [call.args[0], onnx_ints(call, over + 1)])
    repeats, middle = [1] * type.rank, list(type.shape)
    repeats.insert(over + 1, count)
    middle.insert(over + 1, Size.of(count))
    spread = call.node("Tile", [spread, onnx_ints(call, *repeats)])
    return onnx_reshape(call, spread, middle, call.types[0].shape)


def _flip_rule(site: Site) -> Resolution:
    over = axis_positions(site, site.type(0), site.statics["over"])
    return one(Attrs.of(over=over), site.type(0))


def _flip_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (flow_dropped(known(inputs), attrs.integers("over"), True),)


def _flip_onnx(call: OnnxCall) -> str:
    over = call.attrs.integers("over")
    start, stop, step = [-1] * len(over), [-sys.maxsize] * len(over), [-1] * len(over)
    bounds = [onnx_ints(call, *values) for values in (start, stop, over, step)]
    return call.node("Slice", [call.args[0], *bounds])


def _roll_rule(site: Site) -> Resolution:
    type = site.type(0)
    over = axis_position(site, type, site.statics["over"])
    return one(Attrs.of(over=over, shift=integer(site, "shift")), type)


def _roll_onnx(call: OnnxCall) -> str:
    """Index i reads (i - shift) modulo the size."""
    over, shift = call.attrs.integer("over"), call.attrs.integer("shift")
    size = known(call.inputs).axes[over].size
    if size.value is not None:
        index = call.constant(np.mod(np.arange(size.value, dtype=np.int64) - shift, max(size.value, 1)))
    else:
        zero, one_ = call.constant(np.array(0, dtype=np.int64)), call.constant(np.array(1, dtype=np.int64))
        places = call.node("Range", [zero, call.size(size), one_])
        moved = call.node("Sub", [places, call.constant(np.array(shift, dtype=np.int64))])
        index = call.node("Mod", [moved, call.size(size)])
    return call.node("Gather", [call.args[0], index], axis=over)


_MOVES = (
    OpSpec(
        "permute", "The axes in another order.", _X, (Parameter("axes", Kind.AXES),), _permute_rule, _permute_flow,
        lambda call: ref_arg(call, 0).transpose(call.attrs.integers("axes")),
        lambda call: f"{call.args[0]}.permute({torch_tuple(call.attrs.integers('axes'))})",
        lambda call: call.node("Transpose", [call.args[0]], perm=list(call.attrs.integers("axes"))),
        (Example("x: f32[N, C=2, H=3]", "permute[(N, H, C)](x)"), Example("x: i64[2, 3]", "permute[(1, 0)](x)")),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "expand", "With new axes in front, along which the value repeats.", _X, (Parameter("sizes", Kind.SIZES),),
        _expand_rule, _expand_flow,
        lambda call: np.broadcast_to(ref_arg(call, 0), call.sizes(call.types[0].shape)),
        lambda call: f"{call.args[0]}.expand({call.sizes(call.types[0].shape)})",
        lambda call: call.node("Expand", [call.args[0], onnx_sizes(call, call.types[0].shape)]),
        (Example("x: f32[N], y: f32[K=3]", "expand[N](y)"), Example("x: f32[N, K=3]", "expand[M=2, 4](x)")),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "tile", "An axis repeated as a whole.", _X, (Parameter("count", Kind.INT), _OVER), _repeat_rule, _flow_over_one,
        lambda call: np.concatenate([ref_arg(call, 0)] * call.attrs.integer("count"), axis=call.attrs.integer("over")),
        _tile_torch, _tile_onnx, (Example("x: f32[N, C=3, H=2]", "tile[2, over=C](x)"),), widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "repeat_interleave", "An axis with each element repeated.", _X, (Parameter("count", Kind.INT), _OVER),
        _repeat_rule, _flow_over_one,
        lambda call: np.repeat(ref_arg(call, 0), call.attrs.integer("count"), axis=call.attrs.integer("over")),
        _interleave_torch,
        _interleave_onnx,
        (
            Example("x: f32[N, C=3, H=2]", "repeat_interleave[2, over=C](x)"),
            Example("x: f32[N, T]", "repeat_interleave[3](x)"),
        ),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "flip", "Axes in reverse.", _X, (Parameter("over", Kind.AXES, None),), _flip_rule, _flip_flow,
        lambda call: np.flip(ref_arg(call, 0), axis=call.attrs.integers("over")),
        lambda call: f"{call.args[0]}.flip({torch_tuple(call.attrs.integers('over'))})", _flip_onnx,
        (Example("x: f32[N, H=3, W=2]", "flip[over=(H, W)](x)"), Example("x: f32[N, T]", "flip(x)")),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "roll", "An axis shifted; what leaves at the end comes in at the front.", _X,
        (Parameter("shift", Kind.INT), _OVER), _roll_rule, _flow_over_one,
        lambda call: np.roll(ref_arg(call, 0), call.attrs.integer("shift"), axis=call.attrs.integer("over")),
        lambda call: f"{call.args[0]}.roll({call.attrs.integer('shift')}, {call.attrs.integer('over')})", _roll_onnx,
        (Example("x: f32[N, C=5, H=2]", "roll[2, over=C](x)"), Example("x: f32[N, T]", "roll[-1](x)")),
        widths=MOVABLE, group=GROUP,
    ),
)  # fmt: skip


# Pixels and channels


def _shuffle_rule(site: Site) -> Resolution:
    type, r = site.type(0), integer(site, "factor", 1)
    if type.rank < 3:
        site.fail("CS0316", f"`{site.op}` takes [..., C, H, W], not {type}", operand=0)
    c, h, w = type.axes[-3:]
    up = site.op == "pixel_shuffle"
    sizes = (
        (quotient(c.size, Size.of(r * r)), h.size * r, w.size * r)
        if up
        else (c.size * (r * r), quotient(h.size, Size.of(r)), quotient(w.size, Size.of(r)))
    )
    axes = []
    for axis, size in zip((c, h, w), sizes, strict=True):
        if size is None:
            by = r * r if up else r
            message = f"`{site.op}` needs axis {axis} of {type} to be a multiple of {by}"
            site.fail("CS0314", message, operand=0, sizes=(axis.size // by * by, axis.size))
        axes.append(Axis(axis.name, size))
    return one(Attrs.of(factor=r), type.with_axes((*type.axes[:-3], *axes)))


def _shuffle_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    rank = known(inputs).rank
    return (flow_dropped(known(inputs), range(rank - 3, rank)),)


def _shuffle_plan(up: bool, source: Sequence[Size], target: Sequence[Size], r: int) -> tuple[list[Size], list[int]]:
    """Sizes of the axes apart, and their order afterwards: C, r, r, H, W <-> C, H, r, W, r."""
    n = len(source) - 3
    c, h, w = (target if up else source)[-3], (source if up else target)[-2], (source if up else target)[-1]
    k = Size.of(r)
    if up:
        return [*source[:n], c, k, k, h, w], [*range(n), n, n + 3, n + 1, n + 4, n + 2]
    return [*source[:n], c, h, k, w, k], [*range(n), n, n + 2, n + 4, n + 1, n + 3]


def _shuffle(name: str, summary: str, inputs: str, function: Callable[[TorchCall], str]) -> OpSpec:
    up = name == "pixel_shuffle"

    def onnx(call: OnnxCall) -> str:
        source, target = known(call.inputs).shape, call.types[0].shape
        apart, order = _shuffle_plan(up, source, target, call.attrs.integer("factor"))
        moved = onnx_transpose(call, onnx_reshape(call, call.args[0], source, apart), order)
        return onnx_reshape(call, moved, [apart[i] for i in order], target)

    def reference(call: ReferenceCall) -> Array:
        x, r = ref_arg(call, 0), call.attrs.integer("factor")
        result = np.zeros(call.sizes(call.types[0].shape), dtype=x.dtype)
        for i in range(r):
            for j in range(r):
                if up:
                    result[..., i::r, j::r] = x[..., i * r + j :: r * r, :, :]
                else:
                    result[..., i * r + j :: r * r, :, :] = x[..., i::r, j::r]
        return result

    return OpSpec(
        name, summary, _X, (Parameter("factor", Kind.INT),), _shuffle_rule, _shuffle_flow, reference,
        lambda call: f"{function(call)}({call.args[0]}, {call.attrs.integer('factor')})", onnx,
        (Example(inputs, f"{name}[2](x)"),), widths=MOVABLE, group=GROUP,
        source="Shi et al., Real-Time Single Image Super-Resolution (sub-pixel convolution), 2016",
    )  # fmt: skip


OPS: tuple[OpSpec, ...] = (
    *_MOVES,
    _shuffle(
        "pixel_shuffle",
        "Channels to pixels: [C r r, H, W] to [C, H r, W r].",
        "x: f32[N, C=8, H=2, W=3]",
        lambda call: "torch.nn.functional.pixel_shuffle",
    ),
    _shuffle(
        "space_to_depth",
        "Pixels to channels, the inverse of `pixel_shuffle`.",
        "x: f32[N, C=2, H=4, W=6]",
        lambda call: call.support("space_to_depth"),
    ),
)
