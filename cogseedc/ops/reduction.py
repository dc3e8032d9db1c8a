"""Reductions over named axes: a reduced axis disappears, or stays with size one (`keep=true`).

`argmax` and `argmin` break ties by the lowest index and never prefer NaN.
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
from cogseedc.ir.types import BATCH_SIZE, Dtype, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.rules import (
    HALVES,
    Flows,
    Types,
    axis_position,
    axis_positions,
    drop_axes,
    flag,
    float_of,
    flow_dropped,
    one,
    require,
)
from cogseedc.ops.spelling import (
    known,
    onnx_arg,
    onnx_cast,
    onnx_image_mean,
    onnx_ints,
    onnx_is_image,
    onnx_key,
    onnx_scalar,
    onnx_through,
    ref_arg,
    ref_cast,
    ref_key,
    torch_arg,
    torch_tuple,
)

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "reduction"
OVER = Parameter("over", Kind.AXES, None)
KEEP = Parameter("keep", Kind.BOOL, False)


def _rule(dtype_of: Callable[[Dtype], Dtype], bools: bool = False) -> Callable[[Site], Resolution]:
    def rule(site: Site) -> Resolution:
        type = require(site, 0, (Dtype.BOOL,), "conditions") if bools else site.type(0)
        over = axis_positions(site, type, site.statics["over"])
        keep = flag(site, "keep")
        extra = {"unbiased": flag(site, "unbiased")} if "unbiased" in site.statics else {}
        result = drop_axes(type, over, keep).with_dtype(dtype_of(type.dtype))
        return one(Attrs.of(over=over, keep=keep, **extra), result)

    return rule


def _flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (flow_dropped(known(inputs), attrs.integers("over"), attrs.flag("keep")),)


def _torch(format: str) -> Callable[[TorchCall], str]:
    """`{x}` the operand at the result's dtype, `{d}` the axes, `{k}` whether they stay."""

    def spell(call: TorchCall) -> str:
        dim = torch_tuple(call.attrs.integers("over"))
        x = torch_arg(call, 0, call.types[0].dtype)
        return format.format(x=x, d=dim, k=call.attrs.flag("keep"))

    return spell


def _reduce(call: OnnxCall, op_type: str, x: str, keep: bool | None = None) -> str:
    keep = call.attrs.flag("keep") if keep is None else keep
    return call.node(op_type, [x, onnx_ints(call, *call.attrs.integers("over"))], keepdims=int(keep))


def _onnx(op_type: str) -> Callable[[OnnxCall], str]:
    def spell(call: OnnxCall) -> str:
        dtype = call.types[0].dtype
        work = onnx_through(call, dtype)
        return onnx_cast(call, _reduce(call, op_type, onnx_arg(call, 0, work)), work, dtype)

    return spell


def _reference(function: Callable[..., Array]) -> Callable[[ReferenceCall], Array]:
    def compute(call: ReferenceCall) -> Array:
        dtype = call.types[0].dtype
        with np.errstate(all="ignore"):
            x = ref_arg(call, 0, dtype)
            return ref_cast(function(x, call.attrs.integers("over"), call.attrs.flag("keep")), dtype)

    return compute


def _entry(
    name: str,
    summary: str,
    rule: Callable[[Site], Resolution],
    torch: Callable[[TorchCall], str],
    onnx: Callable[[OnnxCall], str],
    reference: Callable[[ReferenceCall], Array],
    inputs: str = "x: f32[N, C=4, H=3, W=5]",
    differentiable: bool = True,
    parameters: tuple[Parameter, ...] = (),
    examples: tuple[Example, ...] = (),
    source: str = "",
) -> OpSpec:
    written = (
        Example(inputs, f"{name}[over=(H, W)](x)"), Example(inputs, f"{name}(x)"),
        Example(inputs, f"{name}[over=C, keep=true](x)"), *examples,
    )  # fmt: skip
    return OpSpec(
        name, summary, (Operand("x"),), (OVER, KEEP, *parameters), rule, _flow, reference, torch, onnx, written,
        widths=HALVES, group=GROUP, differentiable=differentiable, source=source,
    )  # fmt: skip


# Mean and variance: over an empty batch they are NaN, as in numpy; ReduceMean gives 0 there.


def _mean_node(call: OnnxCall, x: str, keep: bool) -> str:
    type = known(call.inputs)
    over = call.attrs.integers("over")
    if onnx_is_image(type, over):
        return onnx_image_mean(call, x, keep)
    if not any(type.axes[i].size == BATCH_SIZE for i in over):
        return _reduce(call, "ReduceMean", x, keep)
    total = _reduce(call, "ReduceSum", x, keep)
    return call.node("Div", [total, _count(call)])


def _count(call: OnnxCall) -> str:
    """The number of elements that one result is made from, at the result's dtype."""
    type = known(call.inputs)
    count = TensorType(type.dtype, tuple(type.axes[i] for i in call.attrs.integers("over"))).elements
    dtype = call.types[0].dtype
    if count.value is not None:
        return onnx_scalar(call, count.value, dtype)
    return onnx_cast(call, call.size(count), Dtype.I64, dtype)


def _mean_onnx(call: OnnxCall) -> str:
    return _mean_node(call, onnx_arg(call, 0, call.types[0].dtype), call.attrs.flag("keep"))


def _variance_onnx(root: bool) -> Callable[[OnnxCall], str]:
    def spell(call: OnnxCall) -> str:
        dtype = call.types[0].dtype
        x = onnx_arg(call, 0, dtype)
        off = call.node("Sub", [x, _mean_node(call, x, True)])
        squares = call.node("Mul", [off, off])
        if call.attrs.flag("unbiased"):
            less = call.node("Sub", [_count(call), onnx_scalar(call, 1, dtype)])
            result = call.node("Div", [_reduce(call, "ReduceSum", squares), less])
        else:
            result = _mean_node(call, squares, call.attrs.flag("keep"))
        return call.node("Sqrt", [result]) if root else result

    return spell


def _variance(name: str, summary: str) -> OpSpec:
    def reference(call: ReferenceCall) -> Array:
        over, keep = call.attrs.integers("over"), call.attrs.flag("keep")
        x = ref_arg(call, 0, Dtype.F32)
        with np.errstate(all="ignore"):
            count = _number(x, over)
            squares = np.square(x - x.sum(axis=over, keepdims=True) / count).sum(axis=over, keepdims=keep)
            result: Array = squares / (count - call.attrs.flag("unbiased"))
            return np.sqrt(result) if name == "std" else result

    def torch(call: TorchCall) -> str:
        x, dim = torch_arg(call, 0, call.types[0].dtype), torch_tuple(call.attrs.integers("over"))
        text = f"{call.support('variance')}({x}, {dim}, {call.attrs.flag('unbiased')}, {call.attrs.flag('keep')})"
        return f"torch.sqrt({text})" if name == "std" else text

    return _entry(
        name, summary, _rule(float_of), torch, _variance_onnx(name == "std"), reference,
        parameters=(Parameter("unbiased", Kind.BOOL, False),),
        examples=(Example("x: f32[N, C=4]", f"{name}[over=C, unbiased=true](x)"),),
    )  # fmt: skip


# Extremes: NaN anywhere gives NaN, whatever its place; ReduceMax alone depends on the place.


def _extreme_onnx(op_type: str) -> Callable[[OnnxCall], str]:
    plain = _onnx(op_type)

    def spell(call: OnnxCall) -> str:
        dtype = call.types[0].dtype
        found = plain(call)
        if not dtype.floating:
            return found
        nan = call.node("Cast", [call.node("IsNaN", [call.args[0]])], to=6)
        some = call.node("Cast", [_reduce(call, "ReduceMax", nan)], to=9)
        return call.node("Where", [some, onnx_scalar(call, float("nan"), dtype), found])

    return spell


def _summed(dtype: Dtype) -> Dtype:
    return dtype if dtype.floating else Dtype.I64


def _product_torch(call: TorchCall) -> str:
    text = torch_arg(call, 0, call.types[0].dtype)
    for axis in reversed(call.attrs.integers("over")):
        text += f".prod(dim={axis}, keepdim={call.attrs.flag('keep')})"
    return text


def _logsumexp(x: Array, over: tuple[int, ...], keep: bool) -> Array:
    top = np.max(x, axis=over, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    total = np.log(np.sum(np.exp(x - top), axis=over, keepdims=True)) + top
    result: Array = total if keep else np.squeeze(total, axis=over)
    return result


def _number(x: Array, over: tuple[int, ...]) -> np.float64:
    """How many elements are reduced to one; of zero the quotients are NaN, not errors."""
    return np.float64(np.prod([x.shape[i] for i in over]))


def _same(dtype: Dtype) -> Dtype:
    return dtype


def _bool(dtype: Dtype) -> Dtype:
    return Dtype.BOOL


_BOOLS = "x: bool[N, C=4, H=3, W=5]"


def _count_torch(call: TorchCall) -> str:
    return f"{call.args[0]}.sum(dim={torch_tuple(call.attrs.integers('over'))}, keepdim={call.attrs.flag('keep')})"


def _bool_onnx(op_type: str) -> Callable[[OnnxCall], str]:
    def spell(call: OnnxCall) -> str:
        found = _reduce(call, op_type, onnx_arg(call, 0, Dtype.I32))
        return onnx_cast(call, found, Dtype.I32, Dtype.BOOL)

    return spell


_MANY = (
    _entry(
        "mean", "The mean; of integers and conditions in f32.", _rule(float_of),
        _torch("{x}.mean(dim={d}, keepdim={k})"),
        _mean_onnx, _reference(lambda x, over, keep: x.sum(axis=over, keepdims=keep) / _number(x, over)),
        examples=(Example("x: bool[N, C=4]", "mean[over=C](x)"), Example("x: f32[N, C=4]", "mean[over=N](x)")),
    ),
    _entry(
        "sum", "The sum; of integers and conditions in i64.", _rule(_summed), _torch("{x}.sum(dim={d}, keepdim={k})"),
        _onnx("ReduceSum"), _reference(lambda x, over, keep: x.sum(axis=over, keepdims=keep)),
        examples=(Example("x: bool[N, C=4]", "sum(x)"), Example("x: f32[N, C=4]", "sum[over=N](x)")),
    ),
    _entry(
        "prod", "The product; of integers in i64.", _rule(_summed), _product_torch, _onnx("ReduceProd"),
        _reference(lambda x, over, keep: x.prod(axis=over, keepdims=keep)),
    ),
    _entry(
        "max", "The largest element; NaN where there is one.", _rule(_same), _torch("{x}.amax(dim={d}, keepdim={k})"),
        _extreme_onnx("ReduceMax"), _reference(lambda x, over, keep: x.max(axis=over, keepdims=keep)),
        examples=(Example("x: i64[N, C=4]", "max(x)"),),
    ),
    _entry(
        "min", "The smallest element; NaN where there is one.", _rule(_same), _torch("{x}.amin(dim={d}, keepdim={k})"),
        _extreme_onnx("ReduceMin"), _reference(lambda x, over, keep: x.min(axis=over, keepdims=keep)),
        examples=(Example("x: u8[N, C=4]", "min(x)"),),
    ),
    _variance("var", "The variance: mean of squared distances from the mean (`unbiased`: divided by n - 1)."),
    _variance("std", "The standard deviation, the square root of `var`."),
    _entry(
        "norm", "The Euclidean norm: the square root of the sum of squares.", _rule(float_of),
        _torch("torch.linalg.vector_norm({x}, dim={d}, keepdim={k})"), _onnx("ReduceL2"),
        _reference(lambda x, over, keep: np.sqrt(np.square(x).sum(axis=over, keepdims=keep))),
    ),
    _entry(
        "logsumexp", "The logarithm of the sum of exponentials.", _rule(float_of),
        _torch("torch.logsumexp({x}, dim={d}, keepdim={k})"), _onnx("ReduceLogSumExp"), _reference(_logsumexp),
    ),
    _entry(
        "all", "Whether all hold.", _rule(_bool, True), _torch("{x}.all(dim={d}, keepdim={k})"),
        _bool_onnx("ReduceMin"), _reference(lambda x, over, keep: x.all(axis=over, keepdims=keep)), _BOOLS, False,
    ),
    _entry(
        "any", "Whether one holds.", _rule(_bool, True), _torch("{x}.any(dim={d}, keepdim={k})"),
        _bool_onnx("ReduceMax"), _reference(lambda x, over, keep: x.any(axis=over, keepdims=keep)), _BOOLS, False,
    ),
    _entry(
        "count", "How many hold, in i64.", _rule(_summed, True), _count_torch, _onnx("ReduceSum"),
        _reference(lambda x, over, keep: x.sum(axis=over, keepdims=keep)), _BOOLS, False,
    ),
)  # fmt: skip


# Places of extremes


def _place_rule(site: Site) -> Resolution:
    type = site.type(0)
    over = axis_position(site, type, site.statics["over"])
    keep = flag(site, "keep")
    return one(Attrs.of(over=over, keep=keep), drop_axes(type, (over,), keep).with_dtype(Dtype.I64))


def _place_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (flow_dropped(known(inputs), (attrs.integer("over"),), attrs.flag("keep")),)


def _place(name: str, summary: str) -> OpSpec:
    largest = name == "argmax"

    def torch(call: TorchCall) -> str:
        function = call.support(name)
        return f"{function}({call.args[0]}, {call.attrs.integer('over')}, {call.attrs.flag('keep')})"

    def onnx(call: OnnxCall) -> str:
        source, over = known(call.inputs).dtype, call.attrs.integer("over")
        x = call.args[0]
        if source.floating and not largest:
            x = call.node("Neg", [x])
        key, _ = onnx_key(call, x, source)
        ranked = largest or source.floating
        index = call.nodes("TopK", [key, onnx_ints(call, 1)], 2, axis=over, largest=int(ranked), sorted=1)[1]
        return index if call.attrs.flag("keep") else call.node("Squeeze", [index, onnx_ints(call, over)])

    def reference(call: ReferenceCall) -> Array:
        x = ref_arg(call, 0).astype(np.float64)
        key = ref_key(x if largest else -x)
        found = key.argmax(axis=call.attrs.integer("over"), keepdims=call.attrs.flag("keep"))
        return np.asarray(found, dtype=np.int64)

    return OpSpec(
        name, summary, (Operand("x"),), (Parameter("over", Kind.AXIS, None), KEEP), _place_rule, _place_flow, reference,
        torch, onnx,
        (
            Example("x: f32[N, C=4, H=3]", f"{name}[over=C](x)"), Example("x: f32[N, C=4]", f"{name}(x)"),
            Example("x: i64[N, C=4]", f"{name}[keep=true](x)"),
        ),
        group=GROUP, differentiable=False,
    )  # fmt: skip


_PLACES = (
    _place("argmax", "Index of the largest element: the lowest of equal ones; NaN counts as lowest."),
    _place("argmin", "Index of the smallest element, `argmax` of the negative: the lowest of equal ones, never NaN."),
)

OPS: tuple[OpSpec, ...] = (*_MANY, *_PLACES)
