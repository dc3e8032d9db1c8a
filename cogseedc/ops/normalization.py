"""Normalisation layers. `batch_norm` alone differs in training, where it uses and updates statistics of the batch."""

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
    WeightSpec,
)
from cogseedc.ir.size import Size
from cogseedc.ir.types import Axis, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.neural import (
    WEIGHTED,
    array,
    at_least,
    inverse,
    kept,
    mixing,
    moved,
    ones,
    onnx_full,
    onnx_reshape,
    own_shape,
    take,
    torch_flat,
    torch_permute,
    unnamed,
    zeros,
)
from cogseedc.ops.rules import HALVES, Flows, Types, axis_position, axis_positions, flag, integer, number, quotient
from cogseedc.ops.spelling import onnx_ints, onnx_scalar, onnx_transpose, present

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "normalization"


def _affine(
    site: Site, x: TensorType, sizes: list[Size], affine: bool, count: int = 2
) -> tuple[bool, list[WeightSpec]]:
    """Whether there are weights (they are given, or `affine` asks for them), and those to create: ones, then zeros."""
    specs: list[WeightSpec] = []
    present_ = affine or any(site.given(i) for i in range(1, count + 1))
    for operand in range(1, count + 1):
        if site.given(operand):
            own_shape(site, operand, sizes, x)
        elif present_:
            init = ones() if operand == 1 else zeros()
            specs.append(WeightSpec(operand, TensorType(x.dtype, unnamed(*sizes)), init))
    return present_, specs


def _scaled(value: Array, weight: Array | None, bias: Array | None) -> Array:
    if weight is not None:
        value = value * weight
    return np.asarray(value if bias is None else value + bias)


def _normal(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    """Zero mean and unit variance (biased) over axes."""
    centred = x - x.mean(axis=axes, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + eps))


def _optional(c: ReferenceCall, operand: int, shape: tuple[int, ...]) -> Array | None:
    return array(c, operand).reshape(shape) if present(c.args, operand) else None


def _weights(c: TorchCall, *names: str) -> str:
    return "".join(f", {name}={c.args[i]}" for i, name in enumerate(names, 1) if present(c.args, i))


# ---- batch_norm


def _batch_rule(site: Site) -> Resolution:
    x, over = at_least(site, 0, 1, "a value with channels"), site.statics["over"]
    at = axis_position(site, x, 1 if over is None else over)
    size = x.axes[at].size
    affine, weights = _affine(site, x, [size], flag(site, "affine"))
    for operand, init in ((3, zeros()), (4, ones())):
        if site.given(operand):
            own_shape(site, operand, [size], x)
        else:
            weights.append(WeightSpec(operand, TensorType(x.dtype, unnamed(size)), init, trainable=False))
    attrs = Attrs.of(over=at, affine=affine, eps=number(site, "eps"), momentum=number(site, "momentum"))
    return Resolution(attrs, (x,), tuple(weights))


def _batch_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    channel: tuple[Flow, ...] = (Pointwise(attrs.integer("over")),)
    return (kept(inputs[0]), *(() if k is None else channel for k in inputs[1:]))


def _batch_reference(c: ReferenceCall) -> Array:
    x, at = array(c, 0), c.attrs.integer("over")
    shape = (-1, *(1,) * (x.ndim - 1 - at))
    mean, variance = array(c, 3).reshape(shape), array(c, 4).reshape(shape)
    normal = (x - mean) / np.sqrt(variance + c.attrs.number("eps"))
    return _scaled(normal, _optional(c, 1, shape), _optional(c, 2, shape))


def _batch_torch(c: TorchCall) -> str:
    kind, at = take(c.inputs, 0), c.attrs.integer("over")
    order = (0, at, *(i for i in range(1, kind.rank) if i != at)) if at else tuple(range(kind.rank))
    statistics = f"{c.args[3]}, {c.args[4]}{_weights(c, 'weight', 'bias')}, training=self.training"
    options = f"momentum={float(c.attrs.number('momentum'))!r}, eps={float(c.attrs.number('eps'))!r}"
    if at == 0:
        return f"F.batch_norm({c.args[0]}.unsqueeze(0), {statistics}, {options}).squeeze(0)"
    call = f"F.batch_norm({torch_permute(str(c.args[0]), order)}, {statistics}, {options})"
    return torch_permute(call, inverse(order))


def _batch_onnx(c: OnnxCall) -> str:
    x, kind, at = c.args[0], take(c.inputs, 0), c.attrs.integer("over")
    eps, count = float(c.attrs.number("eps")), kind.axes[at].size.value
    if at == 1 and (present(c.args, 1) or count is not None):
        scale = c.args[1] if present(c.args, 1) else onnx_full(c, 1.0, count or 0, kind.dtype)
        shift = c.args[2] if present(c.args, 2) else onnx_full(c, 0.0, count or 0, kind.dtype)
        return c.node("BatchNormalization", [x, scale, shift, c.args[3], c.args[4]], epsilon=eps)
    deviation = c.node("Sqrt", [c.node("Add", [c.args[4], onnx_scalar(c, eps, kind.dtype)])])
    y = c.node(
        "Div", [c.node("Sub", [x, _onnx_beside(c, c.args[3], kind, (at,))]), _onnx_beside(c, deviation, kind, (at,))]
    )
    return _onnx_scaled(c, y, kind, (at,))


def _onnx_beside(c: OnnxCall, weight: str, kind: TensorType, axes: tuple[int, ...]) -> str:
    """A weight over axes with axes of size 1 for those right of them and between them."""
    gaps = [i - min(axes) for i in range(min(axes), kind.rank) if i not in axes]
    return c.node("Unsqueeze", [weight, onnx_ints(c, *gaps)]) if gaps else weight


def _onnx_scaled(c: OnnxCall, y: str, kind: TensorType, axes: tuple[int, ...]) -> str:
    """`y` times the weight plus the bias, where there are any."""
    for operand, op in ((1, "Mul"), (2, "Add")):
        if present(c.args, operand):
            y = c.node(op, [y, _onnx_beside(c, c.args[operand], kind, axes)])
    return y


# ---- layer_norm and rms_norm


def _over_rule(count: int) -> Callable[[Site], Resolution]:
    def rule(site: Site) -> Resolution:
        x = at_least(site, 0, 1, "a value with an axis")
        over = axis_positions(site, x, site.statics["over"])
        affine, weights = _affine(site, x, [x.axes[i].size for i in over], flag(site, "affine"), count)
        attrs = Attrs.of(over=over, affine=affine, eps=number(site, "eps"))
        return Resolution(attrs, (x,), tuple(weights))

    return rule


def _over_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (kept(inputs[0], attrs.integers("over")), *(mixing(k) for k in inputs[1:]))


def _beside(c: ReferenceCall) -> tuple[int, ...]:
    """The shape of a weight beside x."""
    over, x = c.attrs.integers("over"), array(c, 0)
    return tuple(x.shape[i] if i in over else 1 for i in range(x.ndim))


def _layer_reference(c: ReferenceCall) -> Array:
    normal = _normal(array(c, 0), c.attrs.integers("over"), c.attrs.number("eps"))
    return _scaled(normal, _optional(c, 1, _beside(c)), _optional(c, 2, _beside(c)))


def _rms_reference(c: ReferenceCall) -> Array:
    x, over = array(c, 0), c.attrs.integers("over")
    scale = np.sqrt((x**2).mean(axis=over, keepdims=True) + c.attrs.number("eps"))
    return _scaled(x / scale, _optional(c, 1, _beside(c)), None)


def _over_torch(function: str) -> Callable[[TorchCall], str]:
    def spell(c: TorchCall) -> str:
        kind, over = take(c.inputs, 0), c.attrs.integers("over")
        end = moved(kind, over)
        shape = c.sizes([kind.axes[i].size for i in over])
        eps = f"eps={float(c.attrs.number('eps'))!r}"
        x = torch_permute(str(c.args[0]), end)
        return torch_permute(f"F.{function}({x}, {shape}{_weights(c, 'weight', 'bias')}, {eps})", inverse(end))

    return spell


def _layer_onnx(c: OnnxCall) -> str:
    x, kind, over = c.args[0], take(c.inputs, 0), c.attrs.integers("over")
    eps = float(c.attrs.number("eps"))
    if present(c.args, 1):
        end, weights = moved(kind, over), [a for a in c.args[1:3] if a]
        y = c.node("LayerNormalization", [onnx_transpose(c, x, end), *weights], axis=kind.rank - len(over), epsilon=eps)
        return onnx_transpose(c, y, inverse(end))
    axes = onnx_ints(c, *over)
    centred = c.node("Sub", [x, c.node("ReduceMean", [x, axes])])
    square = c.node("ReduceMean", [c.node("Mul", [centred, centred]), axes])
    return c.node("Div", [centred, c.node("Sqrt", [c.node("Add", [square, onnx_scalar(c, eps, kind.dtype)])])])


def _rms_onnx(c: OnnxCall) -> str:
    x, kind, over = c.args[0], take(c.inputs, 0), c.attrs.integers("over")
    square = c.node("ReduceMean", [c.node("Mul", [x, x]), onnx_ints(c, *over)])
    eps = onnx_scalar(c, float(c.attrs.number("eps")), kind.dtype)
    y = c.node("Div", [x, c.node("Sqrt", [c.node("Add", [square, eps])])])
    return _onnx_scaled(c, y, kind, over)


# ---- group_norm and instance_norm


def _group_rule(site: Site) -> Resolution:
    x, over = at_least(site, 0, 1, "a value with channels"), site.statics["over"]
    at = axis_position(site, x, 1 if over is None else over)
    size = x.axes[at].size
    attrs: dict[str, int] = {}
    if site.op == "group_norm":
        groups = integer(site, "groups", 1)
        if quotient(size, Size.of(groups)) is None:
            site.fail("CS0342", f"group_norm: {groups} groups do not divide {size} channels", static="groups")
        attrs["groups"] = groups
    elif at == x.rank - 1:
        help = "its spatial axes are those right of the channels; `over=` says which axis the channels are"
        site.fail("CS0340", f"instance_norm needs spatial axes, but {x.axes[at]} is the last of `{x}`", help, operand=0)
    affine, weights = _affine(site, x, [size], flag(site, "affine"))
    return Resolution(Attrs.of(over=at, affine=affine, eps=number(site, "eps"), **attrs), (x,), tuple(weights))


def _group_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    x, at = take(inputs, 0), attrs.integer("over")
    channel: Flow = Mixing() if "groups" in attrs else Pointwise(at)
    first = (*(Pointwise(i) for i in range(at)), channel, *(Mixing(),) * (x.rank - 1 - at))
    return (first, *(() if k is None else (channel,) for k in inputs[1:]))


def _group_reference(c: ReferenceCall) -> Array:
    x, at = array(c, 0), c.attrs.integer("over")
    groups = c.attrs.integer("groups") if "groups" in c.attrs else x.shape[at]
    inner = x.reshape(*x.shape[:at], groups, x.shape[at] // groups, *x.shape[at + 1 :])
    normal = _normal(inner, tuple(range(at + 1, inner.ndim)), c.attrs.number("eps")).reshape(x.shape)
    shape = (-1, *(1,) * (x.ndim - 1 - at))
    return _scaled(normal, _optional(c, 1, shape), _optional(c, 2, shape))


def _group_torch(c: TorchCall) -> str:
    kind, at = take(c.inputs, 0), c.attrs.integer("over")
    eps = f"eps={float(c.attrs.number('eps'))!r}"
    if "groups" not in c.attrs and kind.axes[at].size.value is None:
        y = torch_flat(c, kind.rank - at, lambda x: f"F.instance_norm({x}, {eps})")
        for i, sign in ((1, "*"), (2, "+")):
            beside = ", 1" * (kind.rank - 1 - at)
            y = f"({y} {sign} {c.args[i]}.reshape(-1{beside}))" if present(c.args, i) else y
        return y
    options = f"{_weights(c, 'weight', 'bias')}, {eps}"
    # torch's instance_norm with weights refuses an empty batch, so each channel is a group
    groups = c.attrs.integer("groups") if "groups" in c.attrs else c.size(kind.axes[at].size)
    return torch_flat(c, kind.rank - at, lambda x: f"F.group_norm({x}, {groups}{options})")


def _group_onnx(c: OnnxCall) -> str:
    x, kind, at = c.args[0], take(c.inputs, 0), c.attrs.integer("over")
    axis: Axis = kind.axes[at]
    groups = Size.of(c.attrs.integer("groups")) if "groups" in c.attrs else axis.size
    if groups.value is None:
        return _onnx_instance(c, x, kind, at)
    rest = axis.size.divided(groups.value)
    for other in kind.axes[at + 1 :]:
        rest = rest * other.size
    flat = onnx_reshape(c, x, (Size.of(-1), groups, rest), 0)
    scale, shift = (onnx_full(c, v, groups.value, kind.dtype) for v in (1.0, 0.0))
    y = c.node("InstanceNormalization", [flat, scale, shift], epsilon=float(c.attrs.number("eps")))
    return _onnx_scaled(c, onnx_reshape(c, y, kind.shape), kind, (at,))


def _onnx_instance(c: OnnxCall, x: str, kind: TensorType, at: int) -> str:
    """Over the spatial axes, for a number of channels that is not known."""
    axes = onnx_ints(c, *range(at + 1, kind.rank))
    centred = c.node("Sub", [x, c.node("ReduceMean", [x, axes])])
    square = c.node("ReduceMean", [c.node("Mul", [centred, centred]), axes])
    eps = onnx_scalar(c, float(c.attrs.number("eps")), kind.dtype)
    return _onnx_scaled(c, c.node("Div", [centred, c.node("Sqrt", [c.node("Add", [square, eps])])]), kind, (at,))


_EPS = Parameter("eps", Kind.FLOAT, 1e-5)
_CHANNELS = Parameter("over", Kind.AXIS, None)

OPS: tuple[OpSpec, ...] = (
    OpSpec(
        name="batch_norm",
        summary="normalises channels (axis 1, or `over=`) by kept statistics, in training by those of the batch",
        operands=(
            *WEIGHTED,
            Operand("running_mean", optional=True, weight=True),
            Operand("running_var", optional=True, weight=True),
        ),
        parameters=(
            _CHANNELS,
            Parameter("affine", Kind.BOOL, True),
            _EPS,
            Parameter("momentum", Kind.FLOAT, 0.1),
        ),
        rule=_batch_rule,
        flow=_batch_flow,
        reference=_batch_reference,
        torch=_batch_torch,
        onnx=_batch_onnx,
        examples=(
            Example("x: f32[N, C=3, H, W]", "batch_norm(x)"),
            Example("x: f32[N, D=6]", "batch_norm[affine=false, eps=0.001](x)"),
            Example("x: f32[N, T, D=6]", "batch_norm[over=D](x)"),
            Example("x: f32[N, C=3, T]", "batch_norm[momentum=0.2](x)"),
        ),
        widths=HALVES,
        training=True,
        source="arXiv:1502.03167",
        group=GROUP,
    ),
    OpSpec(
        name="layer_norm",
        summary="normalises each index over one or more axes (the last)",
        operands=WEIGHTED,
        parameters=(Parameter("over", Kind.AXES, None), Parameter("affine", Kind.BOOL, True), _EPS),
        rule=_over_rule(2),
        flow=_over_flow,
        reference=_layer_reference,
        torch=_over_torch("layer_norm"),
        onnx=_layer_onnx,
        examples=(
            Example("x: f32[N, T, D=6]", "layer_norm(x)"),
            Example("x: f32[N, C=3, H, W]", "layer_norm[over=C](x)"),
            Example("x: f32[N, C=3, H=4, W=5]", "layer_norm[over=(H, W)](x)"),
            Example("x: f32[N, C=3, H=4, W]", "layer_norm[over=(C, H)](x)"),
            Example("x: f32[N, T, D]", "layer_norm[affine=false, eps=0.001](x)"),
        ),
        widths=HALVES,
        source="arXiv:1607.06450",
        group=GROUP,
    ),
    OpSpec(
        name="rms_norm",
        summary="divides each index by its root mean square over one or more axes (the last)",
        operands=WEIGHTED[:2],
        parameters=(
            Parameter("over", Kind.AXES, None),
            Parameter("affine", Kind.BOOL, True),
            Parameter("eps", Kind.FLOAT, 1e-6),
        ),
        rule=_over_rule(1),
        flow=_over_flow,
        reference=_rms_reference,
        torch=_over_torch("rms_norm"),
        onnx=_rms_onnx,
        examples=(
            Example("x: f32[N, T, D=6]", "rms_norm(x)"),
            Example("x: f32[N, C=3, H, W]", "rms_norm[over=C](x)"),
            Example("x: f32[N, D]", "rms_norm[affine=false](x)"),
        ),
        widths=HALVES,
        source="arXiv:1910.07467",
        group=GROUP,
    ),
    OpSpec(
        name="group_norm",
        summary="normalises groups of channels (axis 1, or `over=`) with all axes right of them",
        operands=WEIGHTED,
        parameters=(Parameter("groups", Kind.INT), _CHANNELS, Parameter("affine", Kind.BOOL, True), _EPS),
        rule=_group_rule,
        flow=_group_flow,
        reference=_group_reference,
        torch=_group_torch,
        onnx=_group_onnx,
        examples=(
            Example("x: f32[N, C=4, H=5, W=3]", "group_norm[2](x)"),
            Example("x: f32[N, C=4, H, W]", "group_norm[2, affine=false](x)"),
            Example("x: f32[N, T, D=6]", "group_norm[3, over=D](x)"),
        ),
        widths=HALVES,
        source="arXiv:1803.08494",
        group=GROUP,
    ),
    OpSpec(
        name="instance_norm",
        summary="normalises each channel (axis 1, or `over=`) over the axes right of it",
        operands=WEIGHTED,
        parameters=(_CHANNELS, Parameter("affine", Kind.BOOL, False), _EPS),
        rule=_group_rule,
        flow=_group_flow,
        reference=_group_reference,
        torch=_group_torch,
        onnx=_group_onnx,
        examples=(
            Example("x: f32[N, C=4, H=5, W=3]", "instance_norm(x)"),
            Example("x: f32[N, C=4, T]", "instance_norm[affine=true](x)"),
            Example("x: f32[N, T, C=4, H, W]", "instance_norm[over=C](x)"),
            Example("x: f32[N, D, T]", "instance_norm(x)"),
        ),
        widths=HALVES,
        source="arXiv:1607.08022",
        group=GROUP,
    ),
)
