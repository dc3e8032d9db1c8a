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
        "detach": "stop_gradient",
        "std.losses.CrossEntropy": "cross_entropy crossentropyloss nll_loss softmax_cross_entropy",
        "std.losses.Distillation": "kl_div kldivloss",
    }.items()
    for name in names.split()
}
"""What other frameworks call what is here under another name; with dots, a seed of the standard library."""


def counterpart(name: str) -> str:
    """A help text for a name that another framework has, or an empty one."""
    package, dot, ours = ELSEWHERE.get(name.lower(), "").rpartition(".")
    return f"it is `{ours}`: `from {package} import {ours}`" if dot else f"it is `{ours}` here" if ours else ""


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
