"""What the generator may write: one line per operation, with the types that it takes and gives. Draws nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Type = tuple[tuple[str, int], ...]
"""Axes after N, each a name and a size."""
Guard = Callable[[Type], bool]


def vector(size: int, name: str = "D") -> Type:
    return ((name, size),)


def names(type: Type) -> str:
    """Axis names, comma-separated."""
    return ", ".join(name for name, _ in type)


def port(type: Type, dtype: str = "f32") -> str:
    """A type as a port declares it."""
    return f"{dtype}[{', '.join(['N', *(f'{name}={size}' for name, size in type)])}]"


def unnamed(type: Type) -> str:
    """The same for an output, whose axes keep the names that they have."""
    return f"f32[{', '.join(['N', *(str(size) for _, size in type)])}]"


def over(axes: str) -> str:
    return f"over=({axes})" if "," in axes else f"over={axes}"


def any_type(type: Type) -> bool:
    return len(type) > 0


def is_vector(type: Type) -> bool:
    return len(type) == 1


def is_image(type: Type) -> bool:
    return names(type) == "C, H, W"


def is_series(type: Type) -> bool:
    return names(type) == "T, D"


def _even(type: Type) -> bool:
    return is_image(type) and type[1][1] % 2 == 0 and type[2][1] % 2 == 0


def _halved(type: Type) -> Type:
    (c, n), (h, a), (w, b) = type
    return (c, n), (h, a // 2), (w, b // 2)


def _doubled(type: Type) -> Type:
    (c, n), (h, a), (w, b) = type
    return (c, n), (h, a * 2), (w, b * 2)


def _small(type: Type) -> bool:
    return is_image(type) and type[1][1] <= 4 and type[2][1] <= 4


def _sized(axis: int, size: int) -> Callable[[Type], Type]:
    """The same type with another size of one axis."""
    return lambda old: tuple((n, size if i == axis % len(old) else s) for i, (n, s) in enumerate(old))


def _drop(*gone: str) -> Callable[[Type], Type]:
    return lambda old: tuple((n, s) for n, s in old if n not in gone)


def same(type: Type) -> Type:
    return type


@dataclass(frozen=True)
class Unary:
    """`text` with {x}, {last} (name of the last axis), {first}, {axes} (all names), {c} (size of the first axis)."""

    name: str
    text: str
    guard: Guard = any_type
    result: Callable[[Type], Type] = same

    def spell(self, x: str, type: Type) -> str:
        axes = over(names(type))
        return self.text.format(x=x, last=type[-1][0], first=type[0][0], axes=axes, c=type[0][1])


def _several(guard: Guard, at_least: int, axis: int = -1) -> Guard:
    return lambda t: guard(t) and t[axis][1] >= at_least


_PLAIN = [
    "relu",
    "sigmoid",
    "tanh",
    "gelu",
    "silu",
    "elu",
    "softplus",
    "hard_swish",
    "hard_sigmoid",
    "leaky_relu",
    "relu6",
    "mish",
    "abs",
    "sin",
    "cos",
    "erf",
    "prelu",
]

UNARY: tuple[Unary, ...] = (
    *(Unary(name, f"{name}({{x}})") for name in _PLAIN),
    Unary("neg", "-{x}"),
    Unary("scale", "{x} * 0.5"),
    Unary("shift", "1 - {x}"),
    Unary("square", "square({x}) * 0.25"),
    Unary("exp", "exp(tanh({x}))"),
    Unary("log", "log(abs({x}) + 1)"),
    Unary("sqrt", "sqrt(square({x}) + 0.5)"),
    Unary("rsqrt", "rsqrt(square({x}) + 0.5)"),
    Unary("reciprocal", "reciprocal(abs({x}) + 1)"),
    Unary("pow", "{x} ^ 2 * 0.1"),
    Unary("clamp", "clamp({x}, -1, 1.5)"),
    Unary("minimum", "min({x}, 0.7)"),
    Unary("where", "where({x} > 0, {x}, {x} * 0.25)"),
    Unary("identity", "identity({x})"),
    Unary("detach", "detach({x})"),
    Unary("dropout", "dropout[0.3]({x})"),
    Unary("softmax", "softmax[over={last}]({x})"),
    Unary("log_softmax", "log_softmax[over={last}]({x})"),
    Unary("layer_norm", "layer_norm[over={last}, eps=0.1]({x})"),
    Unary("rms_norm", "rms_norm[over={last}, eps=0.1]({x})"),
    Unary("batch_norm", "batch_norm({x})", lambda t: is_vector(t) or is_image(t)),
    Unary("flip", "flip[over={last}]({x})"),
    Unary("roll", "roll[1, over={last}]({x})"),
    Unary("sort", "sort[over={last}]({x})"),
    Unary("cumsum", "cumsum[over={last}]({x}) * 0.4"),
    Unary("centre", "{x} - mean[over={last}]({x})"),
    Unary("linear3", "linear[{last}=3]({x})", any_type, _sized(-1, 3)),
    Unary("linear4", "linear[{last}=4]({x})", any_type, _sized(-1, 4)),
    Unary("linear6", "linear[{last}=6, bias=false]({x})", any_type, _sized(-1, 6)),
    Unary("top_values", "top_values[3, over={last}]({x})", _several(any_type, 4), _sized(-1, 3)),
    Unary("slice", "{x}[{last}=1 .. 4]", _several(any_type, 5), _sized(-1, 3)),
    Unary(
        "repeat_interleave",
        "repeat_interleave[2, over={last}]({x})",
        lambda t: bool(t) and t[-1][1] <= 3,
        lambda t: (*t[:-1], (t[-1][0], t[-1][1] * 2)),
    ),
    Unary(
        "concat",
        "concat[over={last}]({x}, {x} * 2)",
        lambda t: bool(t) and t[-1][1] <= 3,
        lambda t: (*t[:-1], (t[-1][0], t[-1][1] * 2)),
    ),
    Unary("lookup", "embedding[5, D=4](argmax(linear[5]({x})))", is_vector, lambda t: vector(4)),
    Unary(
        "one_hot",
        "one_hot[D=4](argmax[over={last}]({x}))",
        lambda t: is_vector(t) and t[0][1] <= 4,
        lambda t: vector(4),
    ),
    Unary("conv", "conv2d[{c}, kernel=3, padding=1]({x})", is_image),
    Unary("conv3", "conv2d[3, kernel=3, padding=1]({x})", is_image, _sized(0, 3)),
    Unary("conv1x1", "conv2d[4, kernel=1, bias=false]({x})", is_image, _sized(0, 4)),
    Unary("depthwise", "conv2d[{c}, kernel=3, padding=1, groups={c}]({x})", is_image),
    Unary("conv_stride", "conv2d[{c}, kernel=2, stride=2]({x})", _even, _halved),
    Unary("conv_norm", "conv2d[{c}, kernel=3, padding=1]({x}) |> batch_norm |> relu", is_image),
    Unary("conv_transpose", "conv_transpose2d[{c}, kernel=2, stride=2]({x})", _small, _doubled),
    Unary("max_pool", "max_pool2d[2]({x})", _even, _halved),
    Unary("avg_pool", "avg_pool2d[2]({x})", _even, _halved),
    Unary("resize", "resize[scale=2]({x})", _small, _doubled),
    Unary("pad", "pad[1]({x}) |> avg_pool2d[3, stride=1]", is_image),
    Unary("instance_norm", "instance_norm[eps=0.1]({x})", is_image),
    Unary("group_norm", "group_norm[1, eps=0.1]({x})", is_image),
    Unary("excite", "{x} * sigmoid(linear[C={c}](mean[over=(H, W)]({x})))", is_image),
    Unary("pool_mean", "mean[over=(H, W)]({x})", is_image, _drop("H", "W")),
    Unary("pool_max", "max[over=(H, W)]({x})", is_image, _drop("H", "W")),
    Unary("attention", "multi_head_attention[1]({x})", is_series),
    Unary("gru", "gru[D=4, over=T]({x})[0]", is_series, _sized(-1, 4)),
    Unary("mean_time", "mean[over=T]({x})", is_series, _drop("T")),
    Unary("std_time", "std[over=T]({x} + range[T, dtype=f32]())", lambda t: False, _drop("T")),
    Unary("first_time", "{x}[T=0]", is_series, _drop("T")),
    Unary("logsumexp", "logsumexp[over={first}]({x})", lambda t: len(t) > 1, lambda t: t[1:]),
    Unary("reduce_sum", "sum[over={last}]({x}) * 0.5", lambda t: len(t) > 1, lambda t: t[:-1]),
    Unary("mix", 'einsum["ntd,nsd->nts"]({x}, {x}) |> softmax |> linear[D=4]', is_series, lambda t: (t[0], ("D", 4))),
)

BINARY: dict[str, str] = {
    "add": "{x} + {y}",
    "sub": "{x} - {y}",
    "mul": "{x} * tanh({y})",
    "div": "{x} / (abs({y}) + 1)",
    "maximum": "max({x}, {y})",
    "minimum_of": "min({x}, {y})",
    "select": "where({x} > {y}, {x} + {y}, {y} * 2 + ({x} - {y}) * 0)",
    "lerp": "0.3 * {x} + 0.7 * {y}",
}
BINARY["select"] = "where({x} > {y}, {x}, {y})"

SCORES: dict[str, tuple[str, Guard]] = {
    "mean": ("mean[{axes}]({x})", any_type),
    "max": ("max[{axes}]({x})", any_type),
    "min": ("min[{axes}]({x})", any_type),
    "norm": ("norm[{axes}]({x})", any_type),
    "linear": ("linear[1]({x})", is_vector),
    "pooled": ("linear[1](flatten({x}))", lambda t: len(t) > 1),
    "element": ("{x}[{last}=1]", is_vector),
    "confidence": ("confidence({x})", is_vector),
    "entropy": ("entropy({x})", is_vector),
    "margin": ("margin({x})", is_vector),
}
"""Expressions over N alone, for gates."""
