"""Running totals and orders along one axis.

Orders are stable and count NaN as lowest, in every backend.
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
from cogseedc.ir.size import Size
from cogseedc.ir.types import Dtype
from cogseedc.lazy import lazy
from cogseedc.ops.rules import HALVES, axis_position, flag, flow_over, named, one
from cogseedc.ops.spelling import (
    known,
    onnx_arg,
    onnx_ints,
    onnx_key,
    onnx_range,
    onnx_scalar,
    onnx_sizes,
    onnx_unsqueeze,
    ref_arg,
    ref_key,
    torch_arg,
)

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "scan"
_OVER = Parameter("over", Kind.AXIS, None)


def _total_rule(site: Site) -> Resolution:
    type = site.type(0)
    over = axis_position(site, type, site.statics["over"])
    type = named(type, over, site.statics["over"])
    return one(Attrs.of(over=over), type if type.dtype.floating else type.with_dtype(Dtype.I64))


def _running(name: str, summary: str, onnx: Callable[[OnnxCall], str]) -> OpSpec:
    def torch(call: TorchCall) -> str:
        return f"torch.{name}({torch_arg(call, 0, call.types[0].dtype)}, dim={call.attrs.integer('over')})"

    def reference(call: ReferenceCall) -> Array:
        x, over = ref_arg(call, 0, call.types[0].dtype), call.attrs.integer("over")
        return np.cumsum(x, axis=over) if name == "cumsum" else np.cumprod(x, axis=over)

    return OpSpec(
        name, summary, (Operand("x"),), (_OVER,), _total_rule, flow_over, reference, torch, onnx,
        (
            Example("x: f32[N, T=5, C=3]", f"{name}[over=T](x)"), Example("x: bool[N, T=4]", f"{name}(x)"),
            Example("x: f32[N, T]", f"{name}(x)"),
        ),
        group=GROUP, widths=HALVES,
    )  # fmt: skip


def _cumsum_onnx(call: OnnxCall) -> str:
    x = onnx_arg(call, 0, call.types[0].dtype)
    return call.node("CumSum", [x, onnx_scalar(call, call.attrs.integer("over"), Dtype.I64)])


def _cumprod_onnx(call: OnnxCall) -> str:
    """Products of doubling spans when the length is known, else one product per prefix."""
    type, over = call.types[0], call.attrs.integer("over")
    x = onnx_arg(call, 0, type.dtype)
    size = type.axes[over].size
    if size.value is None:
        return _prefix_products(call, x, over, size)
    span = 1
    while span < size.value:
        ones_shape = (*type.shape[:over], Size.of(span), *type.shape[over + 1 :])
        ones = call.node("Expand", [onnx_scalar(call, 1, type.dtype), onnx_sizes(call, ones_shape)])
        start, stop, axis = onnx_ints(call, 0), onnx_ints(call, size.value - span), onnx_ints(call, over)
        before = call.node("Slice", [x, start, stop, axis])
        x = call.node("Mul", [x, call.node("Concat", [ones, before], axis=over)])
        span *= 2
    return call.node("Identity", [x])


def _prefix_products(call: OnnxCall, x: str, over: int, size: Size) -> str:
    type = call.types[0]
    right = type.rank - over - 1
    index = onnx_range(call, size)
    row = onnx_unsqueeze(call, index, [0, *range(2, 2 + right)])
    column = onnx_unsqueeze(call, index, range(1, 2 + right))
    spread = call.node("Unsqueeze", [x, onnx_ints(call, over)])
    taken = call.node("Where", [call.node("LessOrEqual", [row, column]), spread, onnx_scalar(call, 1, type.dtype)])
    return call.node("ReduceProd", [taken, onnx_ints(call, over + 1)], keepdims=0)


# Orders


def _order_rule(site: Site) -> Resolution:
    type = site.type(0)
    over = axis_position(site, type, site.statics["over"])
    type = named(type, over, site.statics["over"])
    attrs = Attrs.of(over=over, descending=flag(site, "descending"))
    return one(attrs, type.with_dtype(Dtype.I64) if site.op == "argsort" else type)


def _order_onnx(call: OnnxCall) -> str:
    """Indices in order; TopK takes the lower index of equal values first, both ways."""
    source, over = known(call.inputs), call.attrs.integer("over")
    key, _ = onnx_key(call, call.args[0], source.dtype)
    count = onnx_sizes(call, (source.axes[over].size,))
    largest = int(call.attrs.flag("descending"))
    return call.nodes("TopK", [key, count], 2, axis=over, largest=largest, sorted=1)[1]


def _sort_onnx(call: OnnxCall) -> str:
    index = _order_onnx(call)
    return call.node("GatherElements", [call.args[0], index], axis=call.attrs.integer("over"))


def _order(call: ReferenceCall) -> Array:
    key = ref_key(ref_arg(call, 0))
    return np.argsort(-key if call.attrs.flag("descending") else key, axis=call.attrs.integer("over"), kind="stable")


def _sort_reference(call: ReferenceCall) -> Array:
    return np.take_along_axis(ref_arg(call, 0), _order(call), axis=call.attrs.integer("over"))


def _ordering(
    name: str, summary: str, onnx: Callable[[OnnxCall], str], reference: Callable[[ReferenceCall], Array]
) -> OpSpec:
    def torch(call: TorchCall) -> str:
        over, descending = call.attrs.integer("over"), call.attrs.flag("descending")
        index = f"{call.support('argsort')}({call.args[0]}, {over}, {descending})"
        return index if name == "argsort" else f"torch.gather({call.args[0]}, {over}, {index})"

    return OpSpec(
        name, summary, (Operand("x"),), (_OVER, Parameter("descending", Kind.BOOL, False)), _order_rule, flow_over,
        reference, torch, onnx,
        (
            Example("x: f32[N, T=5, C=3]", f"{name}[over=T](x)"),
            Example("x: i64[N, T=4]", f"{name}[descending=true](x)"),
            Example("x: bool[N, T]", f"{name}(x)"),
        ),
        group=GROUP, differentiable=name == "sort",
    )  # fmt: skip


OPS: tuple[OpSpec, ...] = (
    _running("cumsum", "Running sums; of integers and conditions in i64.", _cumsum_onnx),
    _running("cumprod", "Running products; of integers and conditions in i64.", _cumprod_onnx),
    _ordering("sort", "The elements in order, NaN as lowest.", _sort_onnx, _sort_reference),
    _ordering(
        "argsort", "Indices in the order of the elements, equal ones by index, NaN as lowest.", _order_onnx, _order
    ),
)
