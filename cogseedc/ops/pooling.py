"""Pooling over one or two last axes, over all spatial axes, and to a given size.

All axes left of the pooled ones are batch axes.
"""

from __future__ import annotations

from collections.abc import Callable
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
    Window,
)
from cogseedc.ir.size import Size
from cogseedc.ir.types import Axis, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.neural import NARROW, array, at_least, integers, onnx_reshape, padded, take, torch_flat, windows_of
from cogseedc.ops.rules import HALVES, Flows, Types, axis_positions, flag
from cogseedc.ops.spelling import (
    known,
    onnx_image_mean,
    onnx_ints,
    onnx_is_image,
    onnx_range,
    onnx_scalar,
    onnx_unsqueeze,
)

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "pooling"
_X = (Operand("x"),)


# ---- windows


def pooled(
    site: Site, count: int, x: TensorType, dilation: tuple[int, ...]
) -> tuple[dict[str, tuple[int, ...]], list[Axis]]:
    """Window attributes and the pooled axes. Fails with CS0343 where nothing fits, CS0355 for too much padding."""
    kernel = integers(site, "kernel", count, 1)
    stride, padding = integers(site, "stride", count, 1, kernel), integers(site, "padding", count, 0)
    axes: list[Axis] = []
    for axis, k, s, p, d in zip(x.axes[-count:], kernel, stride, padding, dilation, strict=True):
        if 2 * p > k:
            site.fail("CS0355", f"{site.op}: padding {p} is more than half of the kernel {k}", static="padding")
        size = (axis.size + (2 * p - d * (k - 1) - 1)) // s + 1
        if size.known is not None and size.known < 1:
            help = "use a smaller kernel, or more padding"
            site.fail(
                "CS0343", f"{site.op}: a window of {d * (k - 1) + 1} does not fit axis {axis}", help, static="kernel"
            )
        axes.append(Axis(axis.name, size))
    return {"kernel": kernel, "stride": stride, "padding": padding}, axes


def _max_rule(count: int) -> Callable[[Site], Resolution]:
    def rule(site: Site) -> Resolution:
        x = at_least(site, 0, count, f"{count} spatial axes")
        dilation = integers(site, "dilation", count, 1)
        attrs, axes = pooled(site, count, x, dilation)
        return Resolution(Attrs.of(dilation=dilation, **attrs), (x.with_axes((*x.axes[:-count], *axes)),))

    return rule


def _avg_rule(count: int) -> Callable[[Site], Resolution]:
    def rule(site: Site) -> Resolution:
        x = at_least(site, 0, count, f"{count} spatial axes")
        attrs, axes = pooled(site, count, x, (1,) * count)
        result = x.with_axes((*x.axes[:-count], *axes))
        return Resolution(Attrs.of(count_padding=flag(site, "count_padding"), **attrs), (result,))

    return rule


def _window_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    x, kernel = take(inputs, 0), attrs.integers("kernel")
    dilation = attrs.integers("dilation") if "dilation" in attrs else (1,) * len(kernel)
    names = zip(kernel, attrs.integers("stride"), attrs.integers("padding"), dilation, strict=True)
    lead = x.rank - len(kernel)
    near: list[Flow] = [Pointwise(i) for i in range(lead)]
    near += [Window(lead + i, k, s, p, d) for i, (k, s, p, d) in enumerate(names)]
    return (tuple(near),)


def _windows(c: ReferenceCall, value: float) -> Array:
    kernel, padding = c.attrs.integers("kernel"), c.attrs.integers("padding")
    dilation = c.attrs.integers("dilation") if "dilation" in c.attrs else (1,) * len(kernel)
    return windows_of(padded(array(c, 0), padding, padding, value), kernel, c.attrs.integers("stride"), dilation)


def _max_reference(c: ReferenceCall) -> Array:
    count = len(c.attrs.integers("kernel"))
    return np.asarray(_windows(c, -np.inf).max(axis=tuple(range(-count, 0))))


def _avg_reference(c: ReferenceCall) -> Array:
    count, kernel = len(c.attrs.integers("kernel")), c.attrs.integers("kernel")
    total = _windows(c, 0.0).sum(axis=tuple(range(-count, 0)))
    if c.attrs.flag("count_padding"):
        return np.asarray(total / float(np.prod(kernel)))
    padding = c.attrs.integers("padding")
    inside = padded(np.ones(array(c, 0).shape[-count:]), padding, padding)
    counts = windows_of(inside, kernel, c.attrs.integers("stride"), (1,) * count).sum(axis=tuple(range(-count, 0)))
    return np.asarray(total / counts)


def _torch_value(values: tuple[int, ...]) -> str:
    return str(values[0]) if len(set(values)) == 1 else str(values)


def _torch(function: str) -> Callable[[TorchCall], str]:
    def spell(c: TorchCall) -> str:
        attrs, kernel = c.attrs, c.attrs.integers("kernel")
        text = _torch_value(kernel)
        if attrs.integers("stride") != kernel:
            text += f", stride={_torch_value(attrs.integers('stride'))}"
        if any(attrs.integers("padding")):
            text += f", padding={_torch_value(attrs.integers('padding'))}"
            if "count_padding" in attrs and not attrs.flag("count_padding"):
                text += ", count_include_pad=False"
        if "dilation" in attrs and set(attrs.integers("dilation")) != {1}:
            text += f", dilation={_torch_value(attrs.integers('dilation'))}"
        return _torch_rows(c, len(kernel), lambda x: f"F.{function}({x}, {text})")

    return spell


def _torch_rows(c: TorchCall, count: int, call: Callable[[str], str]) -> str:
    """`call` on x as torch's pooling takes it with an empty batch too: two axes left of the pooled ones."""
    lead = take(c.inputs, 0).rank - count
    if lead == 1:
        return f"{call(f'{c.args[0]}.unsqueeze(1)')}.squeeze(1)"
    return torch_flat(c, count + (lead > 0), call)


def _onnx_rows(c: OnnxCall, count: int, call: Callable[[str], str]) -> str:
    """`call` on x as ONNX's pooling takes it: exactly two axes left of the pooled ones."""
    kind, result = take(c.inputs, 0), c.types[0]
    lead = kind.rank - count
    if lead == 2:
        return call(c.args[0])
    if lead < 2:
        places = onnx_ints(c, *range(2 - lead)) if lead == 0 else onnx_ints(c, 1)
        return c.node("Squeeze", [call(c.node("Unsqueeze", [c.args[0], places])), places])
    flat = onnx_reshape(c, c.args[0], (Size.of(-1), *kind.shape[lead - 1 :]), 0)
    return onnx_reshape(c, call(flat), result.shape)


def _onnx(op: str) -> Callable[[OnnxCall], str]:
    def spell(c: OnnxCall) -> str:
        padding = c.attrs.integers("padding")
        more: dict[str, object] = {}
        if "dilation" in c.attrs:
            more["dilations"] = list(c.attrs.integers("dilation"))
        if "count_padding" in c.attrs:
            more["count_include_pad"] = int(c.attrs.flag("count_padding"))
        kernel, stride = list(c.attrs.integers("kernel")), list(c.attrs.integers("stride"))
        return _onnx_rows(
            c,
            len(kernel),
            lambda x: c.node(op, [x], kernel_shape=kernel, strides=stride, pads=[*padding, *padding], **more),
        )

    return spell


# ---- all of the spatial axes


def _global_rule(site: Site) -> Resolution:
    x, over = at_least(site, 0, 1, "a value with an axis"), site.statics["over"]
    if over is None and x.rank < 3:
        help = "`over=` says which axes are pooled; without it, all after the second"
        site.fail("CS0340", f"{site.op} finds no spatial axes in `{x}`", help, operand=0)
    at = tuple(range(2, x.rank)) if over is None else axis_positions(site, x, over)
    return Resolution(Attrs.of(over=at), (x.with_axes(tuple(a for i, a in enumerate(x.axes) if i not in at)),))


def _global_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    over, near, place = attrs.integers("over"), list[Flow](), 0
    for i in range(take(inputs, 0).rank):
        near.append(Mixing() if i in over else Pointwise(place))
        place += i not in over
    return (tuple(near),)


def _global(name: str, summary: str, reduce: str, torch: str, onnx: str) -> OpSpec:
    def reference(c: ReferenceCall) -> Array:
        return np.asarray(getattr(array(c, 0), reduce)(axis=c.attrs.integers("over")))

    def spelled(c: OnnxCall) -> str:
        over = c.attrs.integers("over")
        if onnx == "ReduceMean" and onnx_is_image(known(c.inputs), over):
            return onnx_image_mean(c, c.args[0], False)
        return c.node(onnx, [c.args[0], onnx_ints(c, *over)], keepdims=0)

    return OpSpec(
        name=name,
        summary=summary,
        operands=_X,
        parameters=(Parameter("over", Kind.AXES, None),),
        rule=_global_rule,
        flow=_global_flow,
        reference=reference,
        torch=lambda c: f"torch.{torch}({c.args[0]}, dim={c.attrs.integers('over')})",
        onnx=spelled,
        examples=(
            Example("x: f32[N, C=3, H=4, W=5]", f"{name}(x)"),
            Example("x: f32[N, C=3, T]", f"{name}(x)"),
            Example("x: f32[N, T=6, D=4]", f"{name}[over=T](x)"),
        ),
        widths=HALVES,
        group=GROUP,
    )


# ---- to a size


def _adaptive_rule(site: Site) -> Resolution:
    x = at_least(site, 0, 2, "2 spatial axes")
    size = integers(site, "size", 2, 1)
    axes = tuple(Axis(a.name, Size.of(s)) for a, s in zip(x.axes[-2:], size, strict=True))
    return Resolution(Attrs.of(size=size), (x.with_axes((*x.axes[:-2], *axes)),))


def _adaptive_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    lead = take(inputs, 0).rank - 2
    return ((*(Pointwise(i) for i in range(lead)), Mixing(), Mixing()),)


def _bins(size: int, count: int) -> list[slice]:
    """The part of an axis that each output takes: from floor(i * size / count) to ceil((i + 1) * size / count)."""
    return [slice(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _adaptive_reference(reduce: str) -> Callable[[ReferenceCall], Array]:
    def reference(c: ReferenceCall) -> Array:
        x, (height, width) = array(c, 0), c.attrs.integers("size")
        rows = [getattr(x[..., part, :], reduce)(axis=-2) for part in _bins(x.shape[-2], height)]
        near = np.stack(rows, axis=-2)
        return np.stack([getattr(near[..., part], reduce)(axis=-1) for part in _bins(x.shape[-1], width)], axis=-1)

    def weighted(c: ReferenceCall) -> Array:
        x, (height, width) = array(c, 0), c.attrs.integers("size")
        result = np.empty((*x.shape[:-2], height, width))
        for i, down in enumerate(_bins(x.shape[-2], height)):
            for j, across in enumerate(_bins(x.shape[-1], width)):
                result[..., i, j] = x[..., down, across].mean(axis=(-2, -1))
        return result

    return reference if reduce == "max" else weighted


def _adaptive_torch(function: str) -> Callable[[TorchCall], str]:
    def spell(c: TorchCall) -> str:
        size = c.attrs.integers("size")
        return _torch_rows(c, 2, lambda x: f"F.{function}({x}, {_torch_value(size)})")

    return spell


def _onnx_inside(c: OnnxCall, size: Size, count: int) -> str:
    """bool [count, size]: which indices of an axis an output takes."""
    if size.value is not None:
        mask = np.zeros((count, size.value), dtype=np.bool_)
        for i, part in enumerate(_bins(size.value, count)):
            mask[i, part] = True
        return c.constant(mask)
    index = onnx_unsqueeze(c, onnx_range(c, size), [0])
    length, outputs = c.size(size), c.constant(np.array(count, dtype=np.int64))
    place = np.arange(count, dtype=np.int64)[:, None]
    start = c.node("Div", [c.node("Mul", [c.constant(place), length]), outputs])
    end = c.node("Mul", [c.constant(place + 1), length])
    end = c.node("Div", [c.node("Add", [end, c.constant(np.array(count - 1, dtype=np.int64))]), outputs])
    return c.node("And", [c.node("GreaterOrEqual", [index, start]), c.node("Less", [index, end])])


def _adaptive_onnx(average: bool) -> Callable[[OnnxCall], str]:
    def spell(c: OnnxCall) -> str:
        kind, size = take(c.inputs, 0), c.attrs.integers("size")
        sides = [a.size.value for a in kind.axes[-2:]]
        if all(s is not None and s % o == 0 for s, o in zip(sides, size, strict=True)):
            kernel = [(s or 0) // o for s, o in zip(sides, size, strict=True)]
            op = "AveragePool" if average else "MaxPool"
            return _onnx_rows(c, 2, lambda x: c.node(op, [x], kernel_shape=kernel, strides=kernel))
        x = c.args[0]
        for axis in (kind.rank - 1, kind.rank - 2):
            x = _onnx_to_size(c, x, kind, axis, average)
        return x

    return spell


def _onnx_to_size(c: OnnxCall, x: str, kind: TensorType, axis: int, average: bool) -> str:
    """One axis pooled to its size: masked, then reduced."""
    size, count = kind.axes[axis].size, c.attrs.integers("size")[axis - kind.rank]
    mask = _onnx_inside(c, size, count)
    wide = onnx_unsqueeze(c, x, [axis])
    if axis == kind.rank - 2:
        mask = onnx_unsqueeze(c, mask, [2])
    hidden = onnx_scalar(c, 0.0 if average else -float("inf"), kind.dtype)
    near = c.node("Where", [mask, wide, hidden])
    if not average:
        return c.node("ReduceMax", [near, onnx_ints(c, axis + 1)], keepdims=0)
    number = {"f32": 1, "f16": 10}.get(kind.dtype.value, 16)
    counts = c.node("ReduceSum", [c.node("Cast", [mask], to=number), onnx_ints(c, 1)], keepdims=0)
    return c.node("Div", [c.node("ReduceSum", [near, onnx_ints(c, axis + 1)], keepdims=0), counts])


def _adaptive(name: str, summary: str, reduce: str) -> OpSpec:
    return OpSpec(
        name=name,
        summary=summary,
        operands=_X,
        parameters=(Parameter("size", Kind.INTS),),
        rule=_adaptive_rule,
        flow=_adaptive_flow,
        reference=_adaptive_reference(reduce),
        torch=_adaptive_torch(name),
        onnx=_adaptive_onnx(reduce == "mean"),
        examples=(
            Example("x: f32[N, C=3, H=8, W=6]", f"{name}[(4, 3)](x)"),
            Example("x: f32[N, C=3, H=7, W=5]", f"{name}[(3, 2)](x)"),
            Example("x: f32[N, C=3, H, W]", f"{name}[(4, 3)](x)"),
            Example("x: f32[N, T, C=3, H=6, W]", f"{name}[1](x)"),
        ),
        widths=HALVES,
        group=GROUP,
    )


def _window(name: str, count: int, summary: str, maximum: bool) -> OpSpec:
    shape = "H=7, W=6" if count == 2 else "T=9"
    symbols = "H, W" if count == 2 else "T"
    extra = Parameter("dilation", Kind.INTS, 1) if maximum else Parameter("count_padding", Kind.BOOL, True)
    option = "dilation=2" if maximum else "count_padding=false"
    return OpSpec(
        name=name,
        summary=summary,
        operands=_X,
        parameters=(
            Parameter("kernel", Kind.INTS),
            Parameter("stride", Kind.INTS, None),
            Parameter("padding", Kind.INTS, 0),
            extra,
        ),
        rule=_max_rule(count) if maximum else _avg_rule(count),
        flow=_window_flow,
        reference=_max_reference if maximum else _avg_reference,
        torch=_torch(name),
        onnx=_onnx("MaxPool" if maximum else "AveragePool"),
        examples=(
            Example(f"x: f32[N, C=3, {shape}]", f"{name}[2](x)"),
            Example(f"x: f32[N, C=3, {symbols}]", f"{name}[3, stride=2, padding=1](x)"),
            Example(f"x: f32[N, C=3, {shape}]", f"{name}[3, stride=1, padding=1, {option}](x)"),
            Example(f"x: f32[N, {shape}]", f"{name}[2](x)"),
            Example(f"x: f32[N, T=2, C=3, {shape.replace('T=9', 'L=9')}]", f"{name}[2, stride=1](x)"),
        ),
        widths=NARROW if maximum else HALVES,
        group=GROUP,
    )


OPS: tuple[OpSpec, ...] = (
    _window("max_pool1d", 1, "largest of each window of the last axis; the stride is the kernel's size", True),
    _window("max_pool2d", 2, "largest of each window of the last two axes; the stride is the kernel's size", True),
    _window("avg_pool1d", 1, "mean of each window of the last axis; the stride is the kernel's size", False),
    _window("avg_pool2d", 2, "mean of each window of the last two axes; the stride is the kernel's size", False),
    _global(
        "global_avg_pool", "mean over the spatial axes (all after the second), which go", "mean", "mean", "ReduceMean"
    ),
    _global(
        "global_max_pool", "largest over the spatial axes (all after the second), which go", "max", "amax", "ReduceMax"
    ),
    _adaptive("adaptive_avg_pool2d", "mean of a part for each index of a result of a given size", "mean"),
    _adaptive("adaptive_max_pool2d", "largest of a part for each index of a result of a given size", "max"),
)
