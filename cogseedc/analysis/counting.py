"""Counting rules: what one operation counts for. The catalogue's own, and those that publications counted by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from cogseedc.ir import Call, OpSpec, Size, TensorType

Inputs = tuple[TensorType | None, ...]
Rule = Callable[[OpSpec, Call, Inputs], Size]


def catalogue(spec: OpSpec, call: Call, inputs: Inputs) -> Size:
    """Multiply-accumulates, as the table entry of the operation counts them."""
    return Size.of(0) if spec.macs is None else spec.macs(call.attrs, inputs, call.types)


def msdnet(spec: OpSpec, call: Call, inputs: Inputs) -> Size:
    """What MSDNet's published costs count (Huang et al. 2018, arXiv 1703.09844; kalviny/MSDNet-PyTorch, op_counter).

    Multiply-accumulates; one more for each element that a linear layer adds its bias to (a convolution's bias is
    free), that `relu` or a global pooling reads, and for each element of each window of a pooling. Norms are free.
    """
    return catalogue(spec, call, inputs) + _EXTRA.get(spec.name, _nothing)(call, inputs)


def _nothing(call: Call, inputs: Inputs) -> Size:
    return Size.of(0)


def _bias(call: Call, inputs: Inputs) -> Size:
    return call.type.elements if len(inputs) > 2 and inputs[2] is not None else Size.of(0)


def _read(call: Call, inputs: Inputs) -> Size:
    assert inputs[0] is not None, "the verifier found the operand fed"
    return inputs[0].elements


def _windows(call: Call, inputs: Inputs) -> Size:
    return call.type.elements * prod(call.attrs.integers("kernel"))


_POOLS = ("avg_pool1d", "avg_pool2d", "max_pool1d", "max_pool2d")
_ALL_OF_IT = ("relu", "adaptive_avg_pool2d", "adaptive_max_pool2d", "global_avg_pool", "global_max_pool")
_EXTRA: Mapping[str, Callable[[Call, Inputs], Size]] = {
    "linear": _bias,
    **dict.fromkeys(_ALL_OF_IT, _read),
    **dict.fromkeys(_POOLS, _windows),
}

RULES: Mapping[str, Rule] = {"macs": catalogue, "msdnet": msdnet}
"""By the name that the command line knows them by."""
