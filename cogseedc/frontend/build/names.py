"""How messages name things: what an item is, and the closest known name to a misspelled one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from cogseedc.frontend.build.model import (
    Builtin,
    Bundle,
    Configured,
    GateRef,
    Item,
    Module,
    OpRef,
    SeedRef,
    Shared,
    Tensor,
)
from cogseedc.ir import AxisArg, Dtype, Size
from cogseedc.ir.opspec import OpSpec
from cogseedc.ops import OPS, signature

MOST = 1000
"""Names that are compared: those of about the same length."""


ELSEWHERE = {
    name: ours
    for ours, names in {
        "concat": "cat concatenate",
        "reshape": "view",
        "permute": "transpose swapaxes",
        "resize": "interpolate upsample",
        "linear": "dense fc gemm addmm",
        "matmul": "mm bmm dot",
        "top_indices": "topk",
        "range": "arange linspace",
        "clamp": "clip",
        "where": "masked_fill",
        "silu": "swish",
        "batch_norm": "bn batchnorm1d batchnorm2d",
        "take": "index_select lookup",
        "pow": "power",
        "detach": "stop_gradient stop_grad",
        "attend": "scaled_dot_product_attention",
        "multi_head_attention": "mha attention self_attention",
        "conv_transpose2d": "conv2d_transpose convtranspose2d",
        "global_avg_pool": "globalaveragepooling2d globalavgpool",
        "global_max_pool": "globalmaxpooling2d globalmaxpool",
        "mean": "reduce_mean",
        "sum": "reduce_sum add_n",
        "max": "reduce_max amax",
        "min": "reduce_min amin",
        "in_top": "topk_mask",
        "cast": "to type astype",
        "maximum": "fmax",
        "hard_swish": "hswish",
        "hard_sigmoid": "hsigmoid",
        "std.losses.CrossEntropy": "cross_entropy crossentropyloss nll_loss softmax_cross_entropy",
        "std.losses.Distillation": "kl_div kldivloss",
    }.items()
    for name in names.split()
}
"""What other frameworks call what is here under another name; with dots, a seed of the standard library."""


_PLAIN = {op.replace("_", ""): op for op in OPS}
"""Operations as classes of layers spell them, `BatchNorm` too."""
_LIBRARIES = frozenset(
    (
        "nn",
        "torch",
        "f",
        "functional",
        "tf",
        "keras",
        "layers",
        "np",
        "numpy",
        "jnp",
        "jax",
        "flax",
        "mx",
        "ops",
        "onnx",
    )
)


_NOISE = "nothing draws in evaluation: take noise as an input; in training `perturb(x)` and `dropout` draw"
_PHRASES = {
    "zeros_like": "write `0 * x`",
    "ones_like": "write `0 * x + 1`",
    "full_like": "write `0 * x + value`",
    **dict.fromkeys(
        ("rand", "randn", "rand_like", "randn_like", "random", "bernoulli", "multinomial", "normal"), _NOISE
    ),
    **dict.fromkeys(("true", "false"), "the words of the language are `true` and `false`"),
    "none": "leave out what is not given",
    "training": "one text says both: `via`, `loss`, `dropout` and `perturb` are what differs in training",
}
"""What to do where the language has no operation of that name."""


def counterpart(name: str, owner: str = "") -> str:
    """A help text for a name that another framework has, there perhaps in a module `owner`; or an empty one."""
    low = name.lower()
    if low in _PHRASES and name not in OPS:
        return _PHRASES[low]
    known = ELSEWHERE.get(low) or _PLAIN.get(low.replace("_", ""), "")
    if owner.lower() in _LIBRARIES and known in OPS:
        return f"an operation stands without a module: `{known}`, {_written(OPS[known])}"
    package, dot, ours = ("", "", "") if known == name else known.rpartition(".")
    if dot:
        return f"it is `{ours}`: `from {package} import {ours}`"
    also = "; a gate takes `top[k](scores)`" if ours == "top_indices" else ""
    return f"it is `{ours}` here{also}" if ours else ""


_DTYPES = {
    name: ours
    for ours, names in {
        "f32": "float float32 fp32 double float64 real single",
        "f16": "half float16 fp16",
        "bf16": "bfloat16",
        "i64": "int long int64 integer",
        "i32": "int32",
        "i8": "int8",
        "u8": "uint8 byte",
        "bool": "boolean",
    }.items()
    for name in names.split()
}


def dtype_elsewhere(name: str) -> str:
    """A help text for a dtype as another framework calls it, or an empty one."""
    ours = _DTYPES.get(name.lower())
    return f"it is `{ours}` here" if ours else ""


def method(name: str) -> str:
    """A help text for an operation that was called like a method of a value, or an empty one."""
    known = name if name in OPS else ELSEWHERE.get(name.lower(), "")
    if name in ("shape", "size"):
        return "the size of an axis is its name, where a number is wanted: `linear[2 * D](x)`"
    return f"an operation is no method: `x |> {known}`, {_written(OPS[known])}" if known in OPS else ""


def _written(spec: OpSpec) -> str:
    return f"written {signature(spec)}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """A help text naming the closest known name, or an empty one."""
    alike = sorted(set(known), key=lambda k: (abs(len(k) - len(name)), k))[:MOST]
    near = get_close_matches(name, alike, n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""


def shown(item: Item) -> str:
    """A static value as it is written."""
    match item:
        case bool():
            return str(item).lower()
        case str():
            return f'"{item}"'
        case Dtype():
            return item.value
        case AxisArg(size=Size() as size):
            return str(size)
    return str(item)


def described(item: Item) -> str:
    """What an item is, for messages."""
    match item:
        case Tensor(type=type_):
            return f"a value {type_}"
        case GateRef(name=name):
            return f"the gate `{name}`"
        case OpRef(spec=spec):
            return f"the operation `{spec.name}`"
        case SeedRef(declaration=declaration):
            return f"the seed `{declaration.name.text}`"
        case Builtin(name=name):
            return f"`{name}`"
        case Configured(target=target):
            return described(target)
        case Shared(name=name):
            return f"the shared instance `{name}`"
        case Module(name=name):
            return f"the file `{name}`"
        case Bundle(names=names):
            return f"several outputs ({', '.join(names)})"
        case tuple():
            return f"a tuple of {len(item)}"
        case Dtype():
            return f"the dtype {item.value}"
        case AxisArg(name=name):
            return f"the axis {name}"
    return f"`{item}`"
