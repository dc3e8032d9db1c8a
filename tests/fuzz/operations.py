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
        return self.text.format(
            x=x, last=type[-1][0], first=type[0][0], axes=axes, c=type[0][1], t=type[0][1], s=type[-1][1]
        )


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
    Unary("first_time", "{x}[T=0]", is_series, _drop("T")),
    Unary("logsumexp", "logsumexp[over={first}]({x})", lambda t: len(t) > 1, lambda t: t[1:]),
    Unary("reduce_sum", "sum[over={last}]({x}) * 0.5", lambda t: len(t) > 1, lambda t: t[:-1]),
    Unary("std_time", "std[over=T]({x})", is_series, _drop("T")),
    Unary("var", "{x} / (var[over={last}]({x}) + 1)"),
    Unary("prod", "prod[over={last}](tanh({x}) + 1.1) * 0.2", lambda t: len(t) > 1, lambda t: t[:-1]),
    Unary("cumprod", "cumprod[over={last}](tanh({x}) * 0.5 + 1) * 0.3"),
    Unary("all", "{x} * where(all[over={last}]({x} > -9), 1.0, 2.0)"),
    Unary("any", "{x} * where(any[over={last}]({x} > 9), 0.5, 1.0)"),
    Unary("count", "{x} * (count[over={last}]({x} != 77) / 4)"),
    Unary("and not", "where({x} > 99 and not ({x} < -99), {x}, {x} * 0.5)"),
    Unary("xor", "where(logical_xor({x} > -99, {x} < 99), {x}, {x} * 0.5)"),
    Unary("eq", "{x} * where({x} == 77, 2.0, 0.7)"),
    Unary("range", "{x} + range[{s}, dtype=f32]() * 0.1"),
    Unary("ball", "log_map(mobius_add(exp_map(tanh({x}) * 0.3), exp_map(sin({x}) * 0.4)))", is_vector),
    Unary("sphere", "to_euclidean(to_sphere(tanh({x}) + 1.5))", is_vector),
    Unary("unfold", 'mean[over=K](unfold[3, padding=1, name="K"]({x}))', is_image),
    Unary(
        "crop",
        "crop[over=(H, W), size=2]({x}, tanh(linear[P=2](mean[over=(H, W)]({x}))) * 0.1 + 0.27)",
        is_image,
        lambda t: (t[0], (t[1][0], 2), (t[2][0], 2)),
    ),
    Unary("in_top", "{x} * in_top[2, over={last}]({x})", _several(any_type, 3)),
    Unary("argmin", "embedding[6, D=4](argmin(linear[6]({x})))", is_vector, lambda t: vector(4)),
    Unary("argsort", "gather[over={last}]({x}, argsort[over={last}]({x}))"),
    Unary("scatter", "scatter[over={last}](zeros[N, {last}={s}](), argsort[over={last}]({x}), {x})", is_vector),
    Unary("floor", "{x} * floor(abs(tanh({x})) * 0.4 + 1.3)"),
    Unary("ceil", "{x} + ceil(abs(tanh({x})) * 0.4 + 0.3)"),
    Unary("round", "{x} - round(abs(tanh({x})) * 0.3 + 1.6)"),
    Unary("sign", "{x} * sign(-1 - abs({x}))"),
    Unary("mod", "mod(abs(tanh({x})) * 0.5 + 3.2, 2)"),
    Unary("floor_divide", "{x} * (floor_divide(argsort[over={last}]({x}), 2) + 1)", is_vector),
    Unary("permute", "permute[(N, W, H, C)](tanh({x})) |> permute[(N, C, H, W)]", is_image),
    Unary(
        "tile",
        "tile[2, over={last}]({x})",
        lambda t: bool(t) and t[-1][1] <= 3,
        lambda t: (*t[:-1], (t[-1][0], t[-1][1] * 2)),
    ),
    Unary("stack", "max[over=S](stack[axis=1, into=S]({x}, {x} * 2))", is_vector),
    Unary("join", "join[over=(T, D), into=D]({x})", is_series, lambda t: vector(t[0][1] * t[1][1])),
    Unary("reshape", "reshape[N, -1]({x}) |> linear[D=4]", any_type, lambda t: vector(4)),
    Unary(
        "matmul", "linear[D=4](matmul({x}, permute[(N, D, T)](tanh({x})) * 0.5))", is_series, lambda t: (t[0], ("D", 4))
    ),
    Unary(
        "conv1d",
        "conv1d[3, kernel=3, padding=1](permute[(N, D, T)]({x})) |> permute[(N, T, D)]",
        is_series,
        _sized(-1, 3),
    ),
    Unary(
        "pool1d",
        "avg_pool1d[3, stride=1, padding=1](permute[(N, D, T)]({x})) |> max_pool1d[3, stride=1, padding=1] |> permute[(N, T, D)]",
        is_series,
    ),
    Unary("lstm", "lstm[D=4, over=T]({x})[0]", is_series, _sized(-1, 4)),
    Unary("gru_cell", "gru_cell[D=4](tanh({x}), zeros[N, D=4]())", is_vector, lambda t: vector(4)),
    Unary("rnn_cell", "rnn_cell[D=4](tanh({x}), ones[N, D=4]())", is_vector, lambda t: vector(4)),
    Unary("lstm_cell", "lstm_cell[D=4](tanh({x}), zeros[N, D=4](), ones[N, D=4]())[0]", is_vector, lambda t: vector(4)),
    Unary("attend", "attend[over=T]({x}, tanh({x}), {x})", is_series),
    Unary("adaptive_avg", "adaptive_avg_pool2d[2]({x})", _even, lambda t: (t[0], (t[1][0], 2), (t[2][0], 2))),
    Unary("adaptive_max", "adaptive_max_pool2d[2]({x})", _even, lambda t: (t[0], (t[1][0], 2), (t[2][0], 2))),
    Unary("global_avg", "global_avg_pool({x})", is_image, _drop("H", "W")),
    Unary("global_max", "global_max_pool({x})", is_image, _drop("H", "W")),
    Unary("shuffle", "pixel_shuffle[2](space_to_depth[2]({x}))", _even),
    Unary(
        "grid_sample",
        "grid_sample({x}, tanh(linear[Q=8](mean[over=(H, W)]({x}))) |> split[over=Q, into=(H, W, P), H=2, W=2])",
        is_image,
        lambda t: (t[0], (t[1][0], 2), (t[2][0], 2)),
    ),
    Unary("take", "take[over=T]({x}, argmax(linear[{t}](mean[over=T]({x}))))", is_series, _drop("T")),
    Unary("put", "put[over=T]({x}, argmax(linear[{t}](mean[over=T]({x}))), tanh(mean[over=T]({x})))", is_series),
    Unary("eye", "linear[{last}={s}](matmul({x}, eye[{s}]() * 0.5 + full[{s}, {s}](0.1)))", is_series),
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
