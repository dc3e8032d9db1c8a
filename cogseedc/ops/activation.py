"""Activation functions: elementwise ones, softmax, and the parametric rectifier."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, pi, sqrt
from typing import TYPE_CHECKING

from cogseedc.ir.nodes import Attrs, Init, InitKind
from cogseedc.ir.opspec import (
    Example,
    Kind,
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
from cogseedc.ir.types import TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.neural import NARROW, array, floating, kept, mixing, own_shape, sigmoid, take, unnamed
from cogseedc.ops.rules import (
    HALVES,
    Flows,
    Types,
    axis_position,
    flow_aligned,
    flow_over,
    named,
    number,
    require_rank,
    text,
)
from cogseedc.ops.spelling import onnx_ints, onnx_scalar

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "activation"
_X = (Operand("x"),)
_MAP = (Example("x: f32[N, C=3, H=4, W=5]", "{op}(x)"), Example("x: f32[N, T, D=6]", "{op}(x)"))


def _softplus(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))))


def _erf(x: Array) -> Array:
    return np.asarray(np.vectorize(erf, otypes=[np.float64])(x)) if x.size else x


def _numbers(*names: str) -> Callable[[Site], Resolution]:
    def rule(site: Site) -> Resolution:
        return Resolution(Attrs.of(**{n: number(site, n) for n in names}), (floating(site, 0),))

    return rule


def _map(
    name: str,
    summary: str,
    reference: Callable[[Array, Attrs], Array],
    torch: str,
    onnx: Callable[[OnnxCall, str], str] | str,
    parameters: tuple[tuple[str, float], ...] = (),
    calls: tuple[str, ...] = (),
    widths: frozenset[str] = HALVES,
    source: str = "",
) -> OpSpec:
    """An entry of a function of one element; `torch` is a format of `{x}` and the parameters."""

    def spell(c: OnnxCall) -> str:
        if isinstance(onnx, str):
            return c.node(onnx, [c.args[0]], **{_ONNX_NAMES[n]: float(c.attrs.number(n)) for n, _ in parameters})
        return onnx(c, c.args[0])

    return OpSpec(
        name=name,
        summary=summary,
        operands=_X,
        parameters=tuple(Parameter(n, Kind.FLOAT, default) for n, default in parameters),
        rule=_numbers(*(n for n, _ in parameters)),
        flow=flow_aligned,
        reference=lambda c: reference(array(c, 0), c.attrs),
        torch=lambda c: torch.format(x=c.args[0], **{n: repr(float(c.attrs.number(n))) for n, _ in parameters}),
        onnx=spell,
        examples=tuple(Example(e.inputs, e.call.format(op=name)) for e in _MAP)
        + tuple(Example("x: f32[N, D=6]", call) for call in calls),
        widths=widths,
        source=source,
        group=GROUP,
    )


_ONNX_NAMES = {"slope": "alpha", "alpha": "alpha"}


def _onnx_silu(c: OnnxCall, x: str) -> str:
    return c.node("Mul", [x, c.node("Sigmoid", [x])])


def _onnx_relu6(c: OnnxCall, x: str) -> str:
    dtype = take(c.inputs, 0).dtype
    return c.node("Clip", [x, onnx_scalar(c, 0.0, dtype), onnx_scalar(c, 6.0, dtype)])


def _onnx_hard_sigmoid(c: OnnxCall, x: str) -> str:
    return c.node("HardSigmoid", [x], alpha=1 / 6, beta=0.5)


def _onnx_softplus(c: OnnxCall, x: str) -> str:
    beta = float(c.attrs.number("beta"))
    if beta == 1.0:
        return c.node("Softplus", [x])
    factor = onnx_scalar(c, beta, take(c.inputs, 0).dtype)
    return c.node("Div", [c.node("Softplus", [c.node("Mul", [x, factor])]), factor])


# ---- gelu


def _gelu_rule(site: Site) -> Resolution:
    return Resolution(Attrs.of(approximate=text(site, "approximate", ("none", "tanh"))), (floating(site, 0),))


def _gelu_reference(c: ReferenceCall) -> Array:
    x = array(c, 0)
    if c.attrs.text("approximate") == "tanh":
        return np.asarray(0.5 * x * (1.0 + np.tanh(sqrt(2.0 / pi) * (x + 0.044715 * x**3))))
    return np.asarray(0.5 * x * (1.0 + _erf(x / sqrt(2.0))))


def _gelu_torch(c: TorchCall) -> str:
    if c.attrs.text("approximate") == "tanh":
        return f'F.gelu({c.args[0]}, approximate="tanh")'
    return f"F.gelu({c.args[0]})"


# ---- softmax


def _softmax_rule(site: Site) -> Resolution:
    require_rank(site, 0, 1, "a value with an axis")
    x, over = floating(site, 0), site.statics["over"]
    at = axis_position(site, x, over)
    return Resolution(Attrs.of(over=at), (named(x, at, over),))


def _softmax_reference(c: ReferenceCall) -> Array:
    x, over = array(c, 0), c.attrs.integer("over")
    e = np.exp(x - x.max(axis=over, keepdims=True))
    return np.asarray(e / e.sum(axis=over, keepdims=True))


def _log_softmax_reference(c: ReferenceCall) -> Array:
    x, over = array(c, 0), c.attrs.integer("over")
    shifted = x - x.max(axis=over, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=over, keepdims=True)))


def _softmax(name: str, summary: str, reference: Callable[[ReferenceCall], Array], onnx: str) -> OpSpec:
    return OpSpec(
        name=name,
        summary=summary,
        operands=_X,
        parameters=(Parameter("over", Kind.AXIS, None),),
        rule=_softmax_rule,
        flow=flow_over,
        reference=reference,
        torch=lambda c: f"F.{name}({c.args[0]}, dim={c.attrs.integer('over')})",
        onnx=lambda c: c.node(onnx, [c.args[0]], axis=c.attrs.integer("over")),
        examples=(
            Example("x: f32[N, K=10]", f"{name}(x)"),
            Example("x: f32[N, C=3, H, W]", f"{name}[over=C](x)"),
            Example("x: f32[N, T, E=4]", f"{name}[over=T](x)"),
        ),
        widths=HALVES,
        group=GROUP,
    )


# ---- prelu


def _prelu_rule(site: Site) -> Resolution:
    x = floating(site, 0)
    over = site.statics["over"]
    at = None if over is None else axis_position(site, x, over)
    size = unnamed(1 if at is None else x.axes[at].size)
    if site.given(1):
        own_shape(site, 1, [size[0].size], x)
        return Resolution(Attrs.of(over=at), (x,))
    weight = WeightSpec(1, TensorType(x.dtype, size), Init(InitKind.FULL, (0.25,)))
    return Resolution(Attrs.of(over=at), (x,), (weight,))


def _prelu_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    if attrs["over"] is None:
        return kept(inputs[0]), mixing(inputs[1])
    return kept(inputs[0]), (Pointwise(attrs.integer("over")),)


def _prelu_tail(attrs: Attrs, kind: TensorType) -> int:
    """How many axes are right of the one that has a slope for each index."""
    over = attrs["over"]
    return 0 if over is None else kind.rank - 1 - attrs.integer("over")


def _prelu_reference(c: ReferenceCall) -> Array:
    x, slope = array(c, 0), array(c, 1)
    return np.where(x > 0, x, slope.reshape(slope.shape + (1,) * _prelu_tail(c.attrs, c.types[0])) * x)


def _prelu_torch(c: TorchCall) -> str:
    x, slope = c.args
    shape = ", ".join(["-1"] + ["1"] * _prelu_tail(c.attrs, c.types[0]))
    return f"torch.where({x} > 0, {x}, {slope}.view({shape}) * {x})"


def _prelu_onnx(c: OnnxCall) -> str:
    tail = _prelu_tail(c.attrs, c.types[0])
    slope = c.node("Reshape", [c.args[1], onnx_ints(c, -1, *(1,) * tail)]) if tail else c.args[1]
    return c.node("PRelu", [c.args[0], slope])


def _entries() -> tuple[OpSpec, ...]:
    relu6: Callable[[Array, Attrs], Array] = lambda x, a: np.minimum(np.maximum(x, 0.0), 6.0)  # noqa: E731
    return (
        _map("relu", "max(x, 0)", lambda x, a: np.maximum(x, 0.0), "F.relu({x})", "Relu", widths=NARROW),
        _map(
            "leaky_relu",
            "x where positive, else slope * x",
            lambda x, a: np.where(x > 0, x, a.number("slope") * x),
            "F.leaky_relu({x}, {slope})",
            "LeakyRelu",
            (("slope", 0.01),),
            ("leaky_relu[0.2](x)",),
        ),
        _map(
            "elu",
            "x where positive, else alpha * (exp(x) - 1)",
            lambda x, a: np.where(x > 0, x, a.number("alpha") * np.expm1(np.minimum(x, 0.0))),
            "F.elu({x}, {alpha})",
            "Elu",
            (("alpha", 1.0),),
            ("elu[alpha=0.5](x)",),
            source="arXiv:1511.07289",
        ),
        _map("relu6", "x clamped to 0 .. 6", relu6, "F.relu6({x})", _onnx_relu6, widths=NARROW),
        _map(
            "silu",
            "x * sigmoid(x)",
            lambda x, a: x * sigmoid(x),
            "F.silu({x})",
            _onnx_silu,
            source="arXiv:1606.08415",
        ),
        _map("sigmoid", "1 / (1 + exp(-x))", lambda x, a: sigmoid(x), "torch.sigmoid({x})", "Sigmoid"),
        _map(
            "hard_sigmoid",
            "relu6(x + 3) / 6",
            lambda x, a: np.clip(x / 6.0 + 0.5, 0.0, 1.0),
            "F.hardsigmoid({x})",
            _onnx_hard_sigmoid,
            source="arXiv:1905.02244",
        ),
        _map("tanh", "hyperbolic tangent", lambda x, a: np.tanh(x), "torch.tanh({x})", "Tanh"),
        _map(
            "softplus",
            "log(1 + exp(beta * x)) / beta",
            lambda x, a: _softplus(a.number("beta") * x) / a.number("beta"),
            "F.softplus({x}, {beta})",
            _onnx_softplus,
            (("beta", 1.0),),
            ("softplus[2.0](x)",),
        ),
        _map(
            "hard_swish",
            "x * relu6(x + 3) / 6",
            lambda x, a: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0),
            "F.hardswish({x})",
            "HardSwish",
            source="arXiv:1905.02244",
        ),
        _map(
            "mish",
            "x * tanh(softplus(x))",
            lambda x, a: x * np.tanh(_softplus(x)),
            "F.mish({x})",
            "Mish",
            source="arXiv:1908.08681",
        ),
        OpSpec(
            name="gelu",
            summary='x * Phi(x), exact; approximate="tanh" is the usual approximation',
            operands=_X,
            parameters=(Parameter("approximate", Kind.STR, "none"),),
            rule=_gelu_rule,
            flow=flow_aligned,
            reference=_gelu_reference,
            torch=_gelu_torch,
            onnx=lambda c: c.node("Gelu", [c.args[0]], approximate=c.attrs.text("approximate")),
            examples=(Example("x: f32[N, D=6]", "gelu(x)"), Example("x: f32[N, D=6]", 'gelu[approximate="tanh"](x)')),
            widths=HALVES,
            source="arXiv:1606.08415",
            group=GROUP,
        ),
        _softmax("softmax", "exp(x) / sum(exp(x)) over one axis (the last)", _softmax_reference, "Softmax"),
        _softmax("log_softmax", "log(softmax(x)) over one axis (the last)", _log_softmax_reference, "LogSoftmax"),
        OpSpec(
            name="prelu",
            summary="x where positive, else w * x with a learned w: one, or one for each index of `over`",
            operands=(Operand("x"), Operand("weight", optional=True, weight=True)),
            parameters=(Parameter("over", Kind.AXIS, None),),
            rule=_prelu_rule,
            flow=_prelu_flow,
            reference=_prelu_reference,
            torch=_prelu_torch,
            onnx=_prelu_onnx,
            examples=(
                Example("x: f32[N, C=3, H=4, W=4]", "prelu(x)"),
                Example("x: f32[N, C=3, H=4, W=4]", "prelu[over=C](x)"),
            ),
            widths=HALVES,
            source="arXiv:1502.01852",
            group=GROUP,
        ),
    )


OPS: tuple[OpSpec, ...] = _entries()
