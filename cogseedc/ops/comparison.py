"""Comparisons and logic of single elements.

A comparison is the operator as written, with IEEE's answer for NaN; that a decision with NaN is not taken is
the work of whoever makes the gate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cogseedc.ir.nodes import Attrs
from cogseedc.ir.opspec import Example, OnnxCall, Operand, OpSpec, ReferenceCall, Resolution, Site, TorchCall
from cogseedc.ir.types import Dtype, TensorType, promote
from cogseedc.lazy import lazy
from cogseedc.ops.rules import HALVES, broadcast, flow_aligned, one, require
from cogseedc.ops.spelling import known, onnx_arg, onnx_through, ref_arg, torch_arg

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "comparison"


def _compare_rule(site: Site) -> Resolution:
    return one(Attrs(), TensorType(Dtype.BOOL, broadcast(site)))


def _common(inputs: Any) -> Dtype:
    return promote(known(inputs, 0).dtype, known(inputs, 1).dtype)


def _compare(name: str, summary: str, operator: str, node: str, function: Callable[[Array, Array], Array]) -> OpSpec:
    def torch(call: TorchCall) -> str:
        dtype = _common(call.inputs)
        return f"{torch_arg(call, 0, dtype)} {operator} {torch_arg(call, 1, dtype)}"

    def onnx(call: OnnxCall) -> str:
        work = onnx_through(call, _common(call.inputs))
        args = [onnx_arg(call, 0, work), onnx_arg(call, 1, work)]
        return call.node("Not", [call.node("Equal", args)]) if name == "ne" else call.node(node, args)

    def reference(call: ReferenceCall) -> Array:
        dtype = _common(call.inputs)
        return function(ref_arg(call, 0, dtype), ref_arg(call, 1, dtype))

    return OpSpec(
        name, summary, (Operand("x"), Operand("y")), (), _compare_rule, flow_aligned, reference, torch, onnx,
        (
            Example("x: i64[N, C=4], y: i64[N, C=4]", f"{name}(x, y)"),
            Example("x: f32[N, C=4], y: f32[C=4]", f"{name}(x, y)"),
            Example("x: bool[N], y: bool[N]", f"{name}(x, y)"),
        ),
        aligned=True, widths=HALVES, group=GROUP, differentiable=False,
    )  # fmt: skip


def _logic_rule(site: Site) -> Resolution:
    for i in range(len(site.operands)):
        require(site, i, (Dtype.BOOL,), "conditions")
    return one(Attrs(), TensorType(Dtype.BOOL, broadcast(site)))


def _logic(name: str, summary: str, operator: str, node: str, function: Callable[..., Array]) -> OpSpec:
    unary = name == "logical_not"

    def torch(call: TorchCall) -> str:
        return f"~{call.args[0]}" if unary else f"{call.args[0]} {operator} {call.args[1]}"

    def reference(call: ReferenceCall) -> Array:
        return function(*(ref_arg(call, i) for i in range(len(call.args))))

    operands = (Operand("x"),) if unary else (Operand("x"), Operand("y"))
    inputs = "x: bool[N, C=4]" if unary else "x: bool[N, C=4], y: bool[C=4]"
    return OpSpec(
        name, summary, operands, (), _logic_rule, flow_aligned, reference, torch,
        lambda call: call.node(node, call.args), (Example(inputs, f"{name}({'x' if unary else 'x, y'})"),),
        aligned=True, group=GROUP, differentiable=False,
    )  # fmt: skip


OPS: tuple[OpSpec, ...] = (
    _compare("eq", "Whether the elements are equal.", "==", "Equal", lambda x, y: x == y),
    _compare("ne", "Whether the elements differ (NaN differs from all).", "!=", "Equal", lambda x, y: x != y),
    _compare("lt", "Whether the first is less.", "<", "Less", lambda x, y: x < y),
    _compare("le", "Whether the first is less or equal.", "<=", "LessOrEqual", lambda x, y: x <= y),
    _compare("gt", "Whether the first is greater.", ">", "Greater", lambda x, y: x > y),
    _compare("ge", "Whether the first is greater or equal.", ">=", "GreaterOrEqual", lambda x, y: x >= y),
    _logic("logical_and", "Both.", "&", "And", lambda x, y: x & y),
    _logic("logical_or", "At least one.", "|", "Or", lambda x, y: x | y),
    _logic("logical_xor", "Exactly one.", "^", "Xor", lambda x, y: x ^ y),
    _logic("logical_not", "Not.", "~", "Not", lambda x: ~x),
)
