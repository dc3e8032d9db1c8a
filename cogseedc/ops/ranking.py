"""The best of an axis, and the masks and weights that k-of-n decisions are made of.

Rankings break ties by the lowest index and count NaN as lowest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cogseedc.ir.nodes import Attrs
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
)
from cogseedc.ir.size import Size
from cogseedc.ir.types import Axis, Dtype, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.rules import (
    NUMBERS,
    Flows,
    Types,
    axis_attr,
    axis_position,
    distinct,
    drop_axes,
    flag,
    flow_aligned,
    flow_chosen,
    flow_last,
    flow_over,
    named,
    new_axis,
    one,
    replace_axis,
    require,
    require_rank,
    size_attr,
)
from cogseedc.ops.spelling import (
    known,
    onnx_arg,
    onnx_cast,
    onnx_ints,
    onnx_key,
    onnx_range,
    onnx_scalar,
    onnx_sizes,
    onnx_transpose,
    ref_arg,
    ref_key,
    size_of,
    torch_type,
)

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "ranking"
_INDEX = (Dtype.I64, Dtype.I32)
_OVER = Parameter("over", Kind.AXIS, None)


def _attr_size(site: Site, static: str, axis: Axis) -> Size:
    """A SIZE argument that counts elements of an axis: at least one, at most all. Fails with CS0323."""
    size = new_axis(site, site.statics[static], static).size
    limit = axis.size.value
    if size.value is not None and (size.value < 1 or (limit is not None and size.value > limit)):
        message = f"`{site.op}` cannot take {size} of axis {axis}"
        site.fail("CS0323", message, f"take from 1 to {axis.size}", static=static)
    return size


# The best k


def _top_rule(site: Site) -> Resolution:
    type = site.type(0)
    over = axis_position(site, type, site.statics["over"])
    k = _attr_size(site, "k", type.axes[over])
    attrs = Attrs.of(k=size_attr(k), over=over)
    type = named(type, over, site.statics["over"])
    if site.op == "top_indices":
        rest = drop_axes(type, (over,))
        return one(attrs, TensorType(Dtype.I64, (*rest.axes, Axis(type.axes[over].name, k))))
    if site.op == "in_top":
        return one(attrs, type.with_dtype(Dtype.BOOL))
    return one(attrs, replace_axis(type, over, Axis(type.axes[over].name, k)))


def _places_torch(call: TorchCall) -> str:
    return (
        f"{call.support('top_places')}({call.args[0]}, {call.size(size_of(call, 'k'))}, {call.attrs.integer('over')})"
    )


def _places_onnx(call: OnnxCall) -> str:
    key, _ = onnx_key(call, call.args[0], known(call.inputs).dtype)
    k = onnx_sizes(call, (size_of(call, "k"),))
    return call.nodes("TopK", [key, k], 2, axis=call.attrs.integer("over"), largest=1, sorted=1)[1]


def _places(call: ReferenceCall) -> Array:
    x, over = ref_arg(call, 0), call.attrs.integer("over")
    order = np.argsort(-ref_key(x), axis=over, kind="stable")
    return np.take(order, np.arange(call.size(size_of(call, "k"))), axis=over)


def _top_indices_torch(call: TorchCall) -> str:
    over = call.attrs.integer("over")
    moved = "" if over == known(call.inputs).rank - 1 else f".movedim({over}, -1)"
    return _places_torch(call) + moved


def _top_indices_onnx(call: OnnxCall) -> str:
    rank, over = known(call.inputs).rank, call.attrs.integer("over")
    return onnx_transpose(call, _places_onnx(call), [i for i in range(rank) if i != over] + [over])


def _in_top_torch(call: TorchCall) -> str:
    x, over = call.args[0], call.attrs.integer("over")
    return f"{call.support('in_places')}({x}, {_places_torch(call)}, {over})"


def _in_top_onnx(call: OnnxCall) -> str:
    places, over = _places_onnx(call), call.attrs.integer("over")
    shape = onnx_sizes(call, call.types[0].shape)
    zeros = call.node("Expand", [onnx_scalar(call, False, Dtype.BOOL), shape])
    k = (*call.types[0].shape[:over], size_of(call, "k"), *call.types[0].shape[over + 1 :])
    ones = call.node("Expand", [onnx_scalar(call, True, Dtype.BOOL), onnx_sizes(call, k)])
    return call.node("ScatterElements", [zeros, places, ones], axis=over)


def _in_top(call: ReferenceCall) -> Array:
    mask = np.zeros(ref_arg(call, 0).shape, dtype=bool)
    np.put_along_axis(mask, _places(call), True, axis=call.attrs.integer("over"))
    return mask


_K = Parameter("k", Kind.SIZE)
_BEST = (
    OpSpec(
        "top_indices",
        "Indices of the k largest elements, best first, as a last axis, which keeps the name; equal ones by index, NaN "
        "lowest.",
        (Operand("scores"),), (_K, _OVER), _top_rule, flow_chosen,
        lambda call: np.moveaxis(_places(call), call.attrs.integer("over"), -1), _top_indices_torch, _top_indices_onnx,
        (
            Example("x: f32[N, T=3, E=5]", "top_indices[2](x)"),
            Example("x: f32[N, E=5, H=3]", "top_indices[1, over=E](x)"),
        ),
        group=GROUP, differentiable=False,
    ),
    OpSpec(
        "in_top", "Whether an element is among the k largest along an axis; of equal ones the first, NaN lowest.",
        (Operand("x"),), (_K, _OVER), _top_rule, flow_over, _in_top,
        _in_top_torch,
        _in_top_onnx,
        (Example("x: f32[N, E=5, H=3]", "in_top[2, over=E](x)"), Example("x: i64[N, E=5]", "in_top[1](x)")),
        group=GROUP, differentiable=False,
    ),
    OpSpec(
        "top_values", "The k largest elements along an axis, best first; the axis keeps its name.",
        (Operand("x"),), (_K, _OVER), _top_rule, flow_over,
        lambda call: np.take_along_axis(ref_arg(call, 0), _places(call), axis=call.attrs.integer("over")),
        lambda call: f"torch.gather({call.args[0]}, {call.attrs.integer('over')}, {_places_torch(call)})",
        lambda call: call.node("GatherElements", [call.args[0], _places_onnx(call)], axis=call.attrs.integer("over")),
        (
            Example("x: f32[N, G=3, I=4]", "top_values[2, over=I](x)"),
            Example("x: f32[N, G=3, I=4]", "top_values[1, over=G](x)"),
        ),
        group=GROUP,
    ),
)  # fmt: skip


# Decisions k of n


def _classes(call: TorchCall | OnnxCall | ReferenceCall) -> Size:
    return call.types[0].shape[-1]


def _top_mask_rule(site: Site) -> Resolution:
    require(site, 0, _INDEX, "indices")
    type = require_rank(site, 0, 1, "indices along a last axis")
    axis = new_axis(site, site.statics["classes"], "classes")
    return one(Attrs.of(classes=axis_attr(axis)), distinct(site, TensorType(Dtype.BOOL, (*type.axes[:-1], axis))))


def _one_hot_onnx(call: OnnxCall) -> str:
    """Whether index and class are equal, the classes as a new last axis."""
    index = call.node("Unsqueeze", [onnx_arg(call, 0, Dtype.I64), onnx_ints(call, -1)])
    return call.node("Equal", [index, onnx_range(call, _classes(call))])


def _top_mask_onnx(call: OnnxCall) -> str:
    if known(call.inputs).shape[-1] == Size.of(1):
        return call.node("Equal", [onnx_arg(call, 0, Dtype.I64), onnx_range(call, _classes(call))])
    hits = onnx_cast(call, _one_hot_onnx(call), Dtype.BOOL, Dtype.I32)
    return call.node(
        "Cast", [call.node("ReduceMax", [hits, onnx_ints(call, known(call.inputs).rank - 1)], keepdims=0)], to=9
    )


def _top_weights_rule(site: Site) -> Resolution:
    mask = require(site, 0, (Dtype.BOOL,), "a mask")
    weights = require(site, 1, NUMBERS, "numbers as weights")
    _same_shape(site, mask, weights)
    return one(Attrs.of(renormalize=flag(site, "renormalize")), mask.with_dtype(Dtype.F32))


def _same_shape(site: Site, first: TensorType, second: TensorType, operand: int = 1) -> None:
    if first.shape != second.shape:
        message = f"`{site.op}` takes values of one shape, not {first} and {second}"
        site.fail("CS0316", message, "expand or permute one of them", operand)


def _weights_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (flow_last if attrs.flag("renormalize") else flow_aligned)(attrs, inputs, types)


def _top_weights_onnx(call: OnnxCall) -> str:
    zero = onnx_scalar(call, 0, Dtype.F32)
    taken = call.node("Where", [call.args[0], onnx_arg(call, 1, Dtype.F32), zero])
    if not call.attrs.flag("renormalize"):
        return taken
    total = call.node("ReduceSum", [taken, onnx_ints(call, call.types[0].rank - 1)], keepdims=1)
    safe = call.node("Where", [call.node("Equal", [total, zero]), onnx_scalar(call, 1, Dtype.F32), total])
    return call.node("Div", [taken, safe])


def _top_weights(call: ReferenceCall) -> Array:
    taken = np.where(ref_arg(call, 0), ref_arg(call, 1, Dtype.F32), 0.0)
    if not call.attrs.flag("renormalize"):
        return taken
    total = taken.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(taken, total, out=np.zeros_like(taken), where=total != 0))


def _capacity_rule(site: Site) -> Resolution:
    mask = require(site, 0, (Dtype.BOOL,), "a mask")
    over = axis_position(site, mask, site.statics["over"])
    if over == mask.rank - 1:
        site.fail(
            "CS0312", "`over` of `capacity_mask` is the axis of classes", "give the axis of the tokens", static="over"
        )
    c = new_axis(site, site.statics["c"], "c").size
    return one(Attrs.of(c=size_attr(c), over=over), mask)


def _capacity_onnx(call: OnnxCall) -> str:
    axis = onnx_scalar(call, call.attrs.integer("over"), Dtype.I64)
    counts = call.node("CumSum", [onnx_arg(call, 0, Dtype.I64), axis])
    size = size_of(call, "c")
    limit = call.size(size) if size.value is None else onnx_scalar(call, size.value, Dtype.I64)
    return call.node("And", [call.args[0], call.node("LessOrEqual", [counts, limit])])


def _capacity(call: ReferenceCall) -> Array:
    mask = ref_arg(call, 0)
    return mask & (np.cumsum(mask, axis=call.attrs.integer("over")) <= call.size(size_of(call, "c")))


def _dropped_rule(site: Site) -> Resolution:
    index = require(site, 0, (Dtype.I64,), "indices")
    mask = require(site, 1, (Dtype.BOOL,), "a mask")
    require_rank(site, 0, 1, "indices along a last axis")
    if index.shape[:-1] != mask.shape[:-1]:
        _same_shape(site, index, mask)
    return one(Attrs(), index)


def _dropped_onnx(call: OnnxCall) -> str:
    index, zero = call.args[0], onnx_scalar(call, 0, Dtype.I64)
    kept = call.node(
        "GatherElements", [call.args[1], call.node("Max", [index, zero])], axis=known(call.inputs).rank - 1
    )
    legal = call.node("GreaterOrEqual", [index, zero])
    return call.node("Where", [call.node("And", [kept, legal]), index, onnx_scalar(call, -1, Dtype.I64)])


def _dropped(call: ReferenceCall) -> Array:
    index, mask = ref_arg(call, 0), ref_arg(call, 1)
    kept = np.take_along_axis(mask, np.maximum(index, 0), axis=-1)
    return np.where(kept & (index >= 0), index, -1)


def _one_hot_rule(site: Site) -> Resolution:
    type = require(site, 0, _INDEX, "indices")
    axis = new_axis(site, site.statics["classes"], "classes")
    dtype = site.statics["dtype"]
    assert isinstance(dtype, Dtype)
    return one(Attrs.of(classes=axis_attr(axis), dtype=dtype), distinct(site, TensorType(dtype, (*type.axes, axis))))


def _one_hot_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (tuple(Pointwise(i) for i in range(known(inputs).rank)),)


def _one_hot_torch(call: TorchCall) -> str:
    x = call.args[0]
    classes = f"torch.arange({call.size(_classes(call))}, device={x}.device)"
    return f"({x}.unsqueeze(-1) == {classes}).to({torch_type(call.types[0].dtype)})"


def _one_hot(call: ReferenceCall) -> Array:
    hits: Array = ref_arg(call, 0)[..., None] == np.arange(call.size(_classes(call)))
    dtype = call.types[0].dtype
    return hits if dtype is Dtype.BOOL else hits.astype(np.float64 if dtype.floating else np.int64)


_CLASSES = Parameter("classes", Kind.SIZE)
_DECISIONS = (
    OpSpec(
        "top_mask", "True for the classes that are among the indices of the last axis, which it replaces; -1 is none.",
        (Operand("indices"),), (_CLASSES,), _top_mask_rule, flow_last,
        lambda call: (ref_arg(call, 0)[..., None] == np.arange(call.size(_classes(call)))).any(axis=-2),
        lambda call: f"{call.support('top_mask')}({call.args[0]}, {call.size(_classes(call))})", _top_mask_onnx,
        (Example("x: i64[N, T=3, 2]", "top_mask[E=5](x)"), Example("x: i64[N, 1]", "top_mask[E=5](x)")),
        group=GROUP, differentiable=False,
    ),
    OpSpec(
        "top_weights", "The weights of the selected classes, zero elsewhere; `renormalize` makes them sum to one.",
        (Operand("mask"), Operand("weights")), (Parameter("renormalize", Kind.BOOL, False),), _top_weights_rule,
        _weights_flow, _top_weights,
        lambda call: f"{call.support('top_weights')}({call.args[0]}, {call.args[1]}, {call.attrs.flag('renormalize')})",
        _top_weights_onnx,
        (
            Example("m: bool[N, E=5], positive: f32[N, E=5]", "top_weights(m, positive)"),
            Example("m: bool[N, E=5], positive: f32[N, E=5]", "top_weights[renormalize=true](m, positive)"),
        ),
        group=GROUP,
    ),
    OpSpec(
        "capacity_mask", "The first `c` selections of each class, in index order along an axis.",
        (Operand("mask"),), (Parameter("c", Kind.SIZE), Parameter("over", Kind.AXIS)), _capacity_rule, flow_over,
        _capacity,
        lambda call: f"{call.support('capacity_mask')}({call.args[0]}, {call.size(size_of(call, 'c'))}, "
        f"{call.attrs.integer('over')})",
        _capacity_onnx,
        (Example("m: bool[N, T=6, E=3]", "capacity_mask[2, over=T](m)"),), group=GROUP, differentiable=False,
        source="Fedus et al., Switch Transformers, 2021, section 2.2",
    ),
    OpSpec(
        "dropped_indices", "The indices, -1 where the mask of their class is false.",
        (Operand("indices"), Operand("mask")), (), _dropped_rule, flow_last, _dropped,
        lambda call: f"{call.support('dropped_indices')}({call.args[0]}, {call.args[1]})", _dropped_onnx,
        (Example("x: i64[N, T=3, 2], m: bool[N, T=3, E=5]", "dropped_indices(x, m)"),), group=GROUP,
        differentiable=False,
    ),
    OpSpec(
        "one_hot", "1 at the index along a new last axis, 0 elsewhere; an index outside gives zeros.",
        (Operand("x"),), (_CLASSES, Parameter("dtype", Kind.DTYPE, Dtype.F32)), _one_hot_rule, _one_hot_flow, _one_hot,
        _one_hot_torch,
        lambda call: onnx_cast(call, _one_hot_onnx(call), Dtype.BOOL, call.types[0].dtype),
        (Example("x: i64[N, T=3]", "one_hot[5](x)"), Example("x: i64[N]", "one_hot[K=4, dtype=i64](x)")),
        group=GROUP, differentiable=False,
    ),
)  # fmt: skip

OPS: tuple[OpSpec, ...] = (*_BEST, *_DECISIONS)
