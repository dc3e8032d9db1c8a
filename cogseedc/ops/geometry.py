"""Ways between Euclidean, hyperbolic and spherical coordinates, along the last axis.

Hyperbolic points are in the Poincare ball of curvature -c, spherical ones on the unit sphere in the same
coordinates. Which geometry a value has is the business of the seeds that use these.
"""

from __future__ import annotations

from collections.abc import Callable
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
from cogseedc.ir.types import TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.rules import FLOATS, Flows, Types, flow_dropped, one, require, require_rank
from cogseedc.ops.spelling import known, onnx_ints, onnx_scalar, ref_arg

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "geometry"
_TINY = 1e-7
_RIM = 1 - 1e-3
"""Points nearer to the rim of the ball, where f32 resolves no distances, are taken from here."""


def _rule(site: Site) -> Resolution:
    type = require(site, 0, FLOATS, "real coordinates")
    require_rank(site, 0, 1, "points along a last axis")
    for i in range(1, len(site.operands)):
        if site.type(i).shape != type.shape or site.type(i).dtype is not type.dtype:
            site.fail("CS0316", f"`{site.op}` takes points of one shape, not {type} and {site.type(i)}", operand=i)
    if "curvature" not in site.statics:
        return one(Attrs(), type)
    c = site.statics["curvature"]
    assert isinstance(c, float)
    if c <= 0:
        site.fail("CS0310", f"`curvature` of `{site.op}` is {c}", "give the c > 0 of curvature -c", static="curvature")
    return one(Attrs.of(curvature=c), type)


def _flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return tuple(flow_dropped(known(inputs, i), (types[0].rank - 1,), True) for i in range(len(inputs)))


def _c(call: TorchCall | OnnxCall | ReferenceCall) -> float:
    return float(call.attrs.number("curvature"))


def _length(call: ReferenceCall) -> Array:
    x = ref_arg(call, 0)
    return np.asarray(np.maximum(np.sqrt(np.sum(x * x, axis=-1, keepdims=True)), _TINY))


def _exp_map(call: ReferenceCall) -> Array:
    scaled = np.sqrt(_c(call)) * _length(call)
    return np.asarray(np.tanh(scaled) / scaled * ref_arg(call, 0))


def _log_map(call: ReferenceCall) -> Array:
    scaled = np.sqrt(_c(call)) * _length(call)
    return np.asarray(np.arctanh(np.minimum(scaled, _RIM)) / scaled * ref_arg(call, 0))


def _mobius(call: ReferenceCall) -> Array:
    x, y, c = ref_arg(call, 0), ref_arg(call, 1), _c(call)
    xy, xx, yy = ((a * b).sum(axis=-1, keepdims=True) for a, b in ((x, y), (x, x), (y, y)))
    with np.errstate(all="ignore"):
        result: Array = ((1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y) / (1 + 2 * c * xy + c**2 * xx * yy)
    return result


def _value(call: OnnxCall, value: float) -> str:
    return onnx_scalar(call, value, call.types[0].dtype)


def _onnx_length(call: OnnxCall, factor: float = 1.0) -> str:
    norm = call.node("ReduceL2", [call.args[0], onnx_ints(call, call.types[0].rank - 1)], keepdims=1)
    norm = call.node("Max", [norm, _value(call, _TINY)])
    return norm if factor == 1 else call.node("Mul", [norm, _value(call, factor)])


def _exp_map_onnx(call: OnnxCall) -> str:
    length = _onnx_length(call, _c(call) ** 0.5)
    return call.node("Div", [call.node("Mul", [call.node("Tanh", [length]), call.args[0]]), length])


def _log_map_onnx(call: OnnxCall) -> str:
    length = _onnx_length(call, _c(call) ** 0.5)
    angle = call.node("Atanh", [call.node("Min", [length, _value(call, _RIM)])])
    return call.node("Div", [call.node("Mul", [angle, call.args[0]]), length])


def _mobius_onnx(call: OnnxCall) -> str:
    x, y, c = call.args[0], call.args[1], _c(call)

    def dot(a: str, b: str, factor: float) -> str:
        total = call.node("ReduceSum", [call.node("Mul", [a, b]), onnx_ints(call, call.types[0].rank - 1)], keepdims=1)
        return call.node("Mul", [total, _value(call, factor)])

    one_ = _value(call, 1)
    cross = call.node("Add", [one_, dot(x, y, 2 * c)])
    left = call.node("Mul", [call.node("Add", [cross, dot(y, y, c)]), x])
    right = call.node("Mul", [call.node("Sub", [one_, dot(x, x, c)]), y])
    below = call.node("Add", [cross, call.node("Mul", [dot(x, x, c), dot(y, y, c)])])
    return call.node("Div", [call.node("Add", [left, right]), below])


def _supported(name: str, operands: int = 1) -> Callable[[TorchCall], str]:
    def torch(call: TorchCall) -> str:
        args = ", ".join(str(a) for a in call.args[:operands])
        return f"{call.support(name)}({args}{f', {_c(call)!r}' if 'curvature' in call.attrs else ''})"

    return torch


def _entry(
    name: str,
    summary: str,
    reference: Callable[[ReferenceCall], Array],
    onnx: Callable[[OnnxCall], str],
    curved: bool = True,
    operands: tuple[str, ...] = ("x",),
    torch: Callable[[TorchCall], str] | None = None,
    source: str = "",
) -> OpSpec:
    parameters = (Parameter("curvature", Kind.FLOAT, 1.0),) if curved else ()
    ports = ", ".join(f"{o}: f32[N, D=4]" for o in operands)
    examples = [Example(ports, f"{name}({', '.join(operands)})")]
    if curved:
        examples.append(Example(ports, f"{name}[curvature=0.25]({', '.join(operands)})"))
    return OpSpec(
        name, summary, tuple(Operand(o) for o in operands), parameters, _rule, _flow, reference,
        torch or _supported(name, len(operands)), onnx, tuple(examples), group=GROUP, source=source,
    )  # fmt: skip


_GANEA = "Ganea et al., Hyperbolic Neural Networks, 2018"
OPS: tuple[OpSpec, ...] = (
    _entry(
        "exp_map", "tanh(sqrt(c) |v|) v / (sqrt(c) |v|): from the tangent space at the origin into the Poincare ball.",
        _exp_map, _exp_map_onnx, source=f"{_GANEA}, lemma 2",
    ),
    _entry(
        "log_map",
        "artanh(sqrt(c) |y|) y / (sqrt(c) |y|): from the Poincare ball into the tangent space at its origin.",
        _log_map, _log_map_onnx, source=f"{_GANEA}, lemma 2",
    ),
    _entry(
        "mobius_add", "Moebius addition of two points of the Poincare ball.", _mobius, _mobius_onnx,
        operands=("x", "y"), source=f"{_GANEA}, equation 2",
    ),
    _entry(
        "to_sphere", "x / |x|: onto the unit sphere.", lambda call: ref_arg(call, 0) / _length(call),
        lambda call: call.node("Div", [call.args[0], _onnx_length(call)]), curved=False,
    ),
    _entry(
        "to_euclidean", "A point of the unit sphere as a vector of the space around it: the same coordinates.",
        lambda call: ref_arg(call, 0), lambda call: call.node("Identity", [call.args[0]]), curved=False,
        torch=lambda call: f"{call.args[0]}",
    ),
)  # fmt: skip
