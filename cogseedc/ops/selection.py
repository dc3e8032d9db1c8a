"""Selection of the best and of places that the data decide.

Rankings break ties by the lowest index and count NaN as lowest. An index outside of its axis is clamped into
it, so that what an index reads where nobody selected it never fails (`put` writes nothing there).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cogseedc.ir.nodes import Attrs
from cogseedc.ir.opspec import (
    AxisArg,
    Example,
    Flow,
    Kind,
    Mixing,
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
    MOVABLE,
    NUMBERS,
    Flows,
    Types,
    axis_attr,
    axis_position,
    drop_axes,
    flag,
    flow_aligned,
    flow_dropped,
    flow_over,
    integer,
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
    torch_tuple,
    torch_type,
)

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "selection"
_INDEX = (Dtype.I64, Dtype.I32)
_OVER = Parameter("over", Kind.AXIS, None)


def _size(call: TorchCall | OnnxCall | ReferenceCall, name: str) -> Size:
    value = call.attrs[name]
    assert isinstance(value, int | Size), (name, value)
    return Size.of(value)


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
    if site.op == "top_indices":
        rest = drop_axes(type, (over,))
        return one(attrs, TensorType(Dtype.I64, (*rest.axes, Axis(None, k))))
    type = named(type, over, site.statics["over"])
    if site.op == "in_top":
        return one(attrs, type.with_dtype(Dtype.BOOL))
    return one(attrs, replace_axis(type, over, Axis(type.axes[over].name, k)))


def _top_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (flow_dropped(known(inputs), (attrs.integer("over"),)),)


def _places_torch(call: TorchCall) -> str:
    return f"{call.support('top_places')}({call.args[0]}, {call.size(_size(call, 'k'))}, {call.attrs.integer('over')})"


def _places_onnx(call: OnnxCall) -> str:
    key, _ = onnx_key(call, call.args[0], known(call.inputs).dtype)
    k = onnx_sizes(call, (_size(call, "k"),))
    return call.nodes("TopK", [key, k], 2, axis=call.attrs.integer("over"), largest=1, sorted=1)[1]


def _places(call: ReferenceCall) -> Array:
    x, over = ref_arg(call, 0), call.attrs.integer("over")
    order = np.argsort(-ref_key(x), axis=over, kind="stable")
    return np.take(order, np.arange(call.size(_size(call, "k"))), axis=over)


def _top_indices_torch(call: TorchCall) -> str:
    over = call.attrs.integer("over")
    moved = "" if over == known(call.inputs).rank - 1 else f".movedim({over}, -1)"
    return _places_torch(call) + moved


def _top_indices_onnx(call: OnnxCall) -> str:
    rank, over = known(call.inputs).rank, call.attrs.integer("over")
    return onnx_transpose(call, _places_onnx(call), [i for i in range(rank) if i != over] + [over])


def _in_top_onnx(call: OnnxCall) -> str:
    places, over = _places_onnx(call), call.attrs.integer("over")
    shape = onnx_sizes(call, call.types[0].shape)
    zeros = call.node("Expand", [onnx_scalar(call, False, Dtype.BOOL), shape])
    k = (*call.types[0].shape[:over], _size(call, "k"), *call.types[0].shape[over + 1 :])
    ones = call.node("Expand", [onnx_scalar(call, True, Dtype.BOOL), onnx_sizes(call, k)])
    return call.node("ScatterElements", [zeros, places, ones], axis=over)


def _in_top(call: ReferenceCall) -> Array:
    mask = np.zeros(ref_arg(call, 0).shape, dtype=bool)
    np.put_along_axis(mask, _places(call), True, axis=call.attrs.integer("over"))
    return mask


_K = Parameter("k", Kind.SIZE)
_BEST = (
    OpSpec(
        "top_indices", "Indices of the k largest elements, best first, as a last axis; equal ones by index, NaN lowest.",
        (Operand("scores"),), (_K, _OVER), _top_rule, _top_flow,
        lambda call: np.moveaxis(_places(call), call.attrs.integer("over"), -1), _top_indices_torch, _top_indices_onnx,
        (Example("x: f32[N, T=3, E=5]", "top_indices[2](x)"), Example("x: f32[N, E=5, H=3]", "top_indices[1, over=E](x)")),
        group=GROUP, differentiable=False,
    ),
    OpSpec(
        "in_top", "Whether an element is among the k largest along an axis; of equal ones the first, NaN lowest.",
        (Operand("x"),), (_K, _OVER), _top_rule, flow_over, _in_top,
        lambda call: f"{call.support('in_places')}({call.args[0]}, {_places_torch(call)}, {call.attrs.integer('over')})",
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
        (Example("x: f32[N, G=3, I=4]", "top_values[2, over=I](x)"), Example("x: f32[N, G=3, I=4]", "top_values[1, over=G](x)")),
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
    return one(Attrs.of(classes=axis_attr(axis)), TensorType(Dtype.BOOL, (*type.axes[:-1], axis)))


def _flow_last(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    """The last axis is mixed, the others stay in their places."""
    return tuple(() if t is None else flow_dropped(t, (t.rank - 1,), True) for t in inputs)


def _one_hot_onnx(call: OnnxCall) -> str:
    """Whether index and class are equal, the classes as a new last axis."""
    index = call.node("Unsqueeze", [onnx_arg(call, 0, Dtype.I64), onnx_ints(call, -1)])
    return call.node("Equal", [index, onnx_range(call, _classes(call))])


def _top_mask_onnx(call: OnnxCall) -> str:
    hits = onnx_cast(call, _one_hot_onnx(call), Dtype.BOOL, Dtype.I32)
    return call.node("Cast", [call.node("ReduceMax", [hits, onnx_ints(call, -2)], keepdims=0)], to=9)


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
    return (_flow_last if attrs.flag("renormalize") else flow_aligned)(attrs, inputs, types)


def _top_weights_onnx(call: OnnxCall) -> str:
    zero = onnx_scalar(call, 0, Dtype.F32)
    taken = call.node("Where", [call.args[0], onnx_arg(call, 1, Dtype.F32), zero])
    if not call.attrs.flag("renormalize"):
        return taken
    total = call.node("ReduceSum", [taken, onnx_ints(call, -1)], keepdims=1)
    safe = call.node("Where", [call.node("Equal", [total, zero]), onnx_scalar(call, 1, Dtype.F32), total])
    return call.node("Div", [taken, safe])


def _top_weights(call: ReferenceCall) -> Array:
    taken = np.where(ref_arg(call, 0), ref_arg(call, 1, Dtype.F32), 0.0)
    if not call.attrs.flag("renormalize"):
        return taken
    total = taken.sum(axis=-1, keepdims=True)
    return np.divide(taken, total, out=np.zeros_like(taken), where=total != 0)


def _capacity_rule(site: Site) -> Resolution:
    mask = require(site, 0, (Dtype.BOOL,), "a mask")
    over = axis_position(site, mask, site.statics["over"])
    if over == mask.rank - 1:
        site.fail("CS0312", "`over` of `capacity_mask` is the axis of classes", "give the axis of the tokens", static="over")
    c = new_axis(site, site.statics["c"], "c").size
    return one(Attrs.of(c=size_attr(c), over=over), mask)


def _capacity_onnx(call: OnnxCall) -> str:
    axis = onnx_scalar(call, call.attrs.integer("over"), Dtype.I64)
    counts = call.node("CumSum", [onnx_arg(call, 0, Dtype.I64), axis])
    size = _size(call, "c")
    limit = call.size(size) if size.value is None else onnx_scalar(call, size.value, Dtype.I64)
    return call.node("And", [call.args[0], call.node("LessOrEqual", [counts, limit])])


def _capacity(call: ReferenceCall) -> Array:
    mask = ref_arg(call, 0)
    return mask & (np.cumsum(mask, axis=call.attrs.integer("over")) <= call.size(_size(call, "c")))


def _dropped_rule(site: Site) -> Resolution:
    index = require(site, 0, (Dtype.I64,), "indices")
    mask = require(site, 1, (Dtype.BOOL,), "a mask")
    require_rank(site, 0, 1, "indices along a last axis")
    if index.shape[:-1] != mask.shape[:-1]:
        _same_shape(site, index, mask)
    return one(Attrs(), index)


def _dropped_onnx(call: OnnxCall) -> str:
    index, zero = call.args[0], onnx_scalar(call, 0, Dtype.I64)
    kept = call.node("GatherElements", [call.args[1], call.node("Max", [index, zero])], axis=-1)
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
    return one(Attrs.of(classes=axis_attr(axis), dtype=dtype), TensorType(dtype, (*type.axes, axis)))


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
        (Operand("indices"),), (_CLASSES,), _top_mask_rule, _flow_last,
        lambda call: (ref_arg(call, 0)[..., None] == np.arange(call.size(_classes(call)))).any(axis=-2),
        lambda call: f"{call.support('top_mask')}({call.args[0]}, {call.size(_classes(call))})", _top_mask_onnx,
        (Example("x: i64[N, T=3, 2]", "top_mask[E=5](x)"),), group=GROUP, differentiable=False,
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
        lambda call: f"{call.support('capacity_mask')}({call.args[0]}, {call.size(_size(call, 'c'))}, "
        f"{call.attrs.integer('over')})",
        _capacity_onnx,
        (Example("m: bool[N, T=6, E=3]", "capacity_mask[2, over=T](m)"),), group=GROUP, differentiable=False,
        source="Fedus et al., Switch Transformers, 2021, section 2.2",
    ),
    OpSpec(
        "dropped_indices", "The indices, -1 where the mask of their class is false.",
        (Operand("indices"), Operand("mask")), (), _dropped_rule, _flow_last, _dropped,
        lambda call: f"{call.support('dropped_indices')}({call.args[0]}, {call.args[1]})", _dropped_onnx,
        (Example("x: i64[N, T=3, 2], m: bool[N, T=3, E=5]", "dropped_indices(x, m)"),), group=GROUP,
        differentiable=False,
    ),
    OpSpec(
        "one_hot", "1 at the index along a new last axis, 0 elsewhere; an index outside gives zeros.",
        (Operand("x"),), (_CLASSES, Parameter("dtype", Kind.DTYPE, Dtype.F32)), _one_hot_rule, _one_hot_flow, _one_hot, _one_hot_torch,
        lambda call: onnx_cast(call, _one_hot_onnx(call), Dtype.BOOL, call.types[0].dtype),
        (Example("x: i64[N, T=3]", "one_hot[5](x)"), Example("x: i64[N]", "one_hot[K=4, dtype=i64](x)")),
        group=GROUP, differentiable=False,
    ),
)  # fmt: skip


# Places that the data decide


def _shared(site: Site, x: TensorType, index: TensorType, over: int) -> tuple[int, ...]:
    """For each axis of the index, the axis of x that it goes with (by name), or -1."""
    given = site.statics["shared"]
    if isinstance(given, tuple):
        return tuple(g for g in given if isinstance(g, int))
    found: list[int] = []
    for axis in index.axes:
        at = x.position(axis.name) if axis.name is not None else None
        at = -1 if at is None or at == over else at
        if at >= 0 and x.axes[at].size != axis.size:
            site.fail("CS0304", f"`{site.op}`: axis {axis} of the index is {x.axes[at]} in {x}", "they must be equal", 1)
        found.append(at)
    return tuple(found)


def _take_rule(site: Site) -> Resolution:
    x, index = site.type(0), require(site, 1, _INDEX, "an integer index")
    over = axis_position(site, x, site.statics["over"])
    shared = _shared(site, x, index, over)
    new = tuple(a for a, s in zip(index.axes, shared, strict=True) if s < 0)
    return one(Attrs.of(over=over, shared=shared), replace_axis(x, over, *new))


def _take_order(attrs: Attrs, x: TensorType) -> tuple[list[int], list[int], list[int]]:
    """Axes of x that the index shares, axes of the index that are new, other axes of x (without `over`)."""
    shared, over = attrs.integers("shared"), attrs.integer("over")
    both = sorted(s for s in shared if s >= 0)
    return both, [i for i, s in enumerate(shared) if s < 0], [a for a in range(x.rank) if a != over and a not in both]


def _take_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    x, shared, over = known(inputs), attrs.integers("shared"), attrs.integer("over")
    grown = sum(s < 0 for s in shared) - 1

    def moved(axis: int) -> int:
        return axis if axis < over else axis + grown

    first: tuple[Flow, ...] = tuple(Mixing() if a == over else Pointwise(moved(a)) for a in range(x.rank))
    second: list[Flow] = []
    place = over
    for s in shared:
        second.append(Pointwise(moved(s) if s >= 0 else place))
        place += s < 0
    return first, tuple(second)


def _clamped(call: OnnxCall, operand: int, size: Size) -> str:
    """An index within its axis."""
    index = onnx_arg(call, operand, Dtype.I64)
    if size.value is not None:
        last = onnx_scalar(call, size.value - 1, Dtype.I64)
    else:
        last = call.node("Sub", [call.size(size), onnx_scalar(call, 1, Dtype.I64)])
    return call.node("Max", [call.node("Min", [index, last]), onnx_scalar(call, 0, Dtype.I64)])


def _take_onnx(call: OnnxCall) -> str:
    x, attrs = known(call.inputs), call.attrs
    over, shared = attrs.integer("over"), attrs.integers("shared")
    index = _clamped(call, 1, x.axes[over].size)
    both, new, rest = _take_order(attrs, x)
    if not both:
        return call.node("Gather", [call.args[0], index], axis=over)
    values = onnx_transpose(call, call.args[0], [*both, over, *rest])
    index = onnx_transpose(call, index, [*(shared.index(b) for b in both), *new])
    index = call.node("Unsqueeze", [index, onnx_ints(call, -1)])
    found = call.node("GatherND", [values, index], batch_dims=len(both))
    order: list[int] = []
    for axis in range(x.rank):
        if axis == over:
            order += range(len(both), len(both) + len(new))
        else:
            order.append(both.index(axis) if axis in both else len(both) + len(new) + rest.index(axis))
    return onnx_transpose(call, found, order)


def _take(call: ReferenceCall) -> Array:
    x, index = ref_arg(call, 0), ref_arg(call, 1)
    over, shared = call.attrs.integer("over"), call.attrs.integers("shared")
    new = tuple(n for n, s in zip(index.shape, shared, strict=True) if s < 0)
    result = np.zeros(x.shape[:over] + new + x.shape[over + 1 :], dtype=x.dtype)
    for place in np.ndindex(*index.shape):
        source: list[int | slice] = [slice(None)] * x.ndim
        for at, s in zip(place, shared, strict=True):
            if s >= 0:
                source[s] = at
        fresh = [at for at, s in zip(place, shared, strict=True) if s < 0]
        target = source[:over] + [*fresh] + source[over + 1 :]
        source[over] = int(min(max(index[place], 0), x.shape[over] - 1))
        result[tuple(target)] = x[tuple(source)]
    return result


def _put_rule(site: Site) -> Resolution:
    x, index, value = site.type(0), require(site, 1, _INDEX, "an integer index"), site.type(2)
    over = axis_position(site, x, site.statics["over"])
    shared = _shared(site, x, index, over)
    if -1 in shared:
        axis = index.axes[shared.index(-1)]
        site.fail("CS0302", f"`put` finds no axis {axis} of the index in {x}", "one place is written for each index", 1)
    expected = drop_axes(x, (over,))
    if value.shape != expected.shape or value.dtype is not x.dtype:
        site.fail("CS0316", f"`put` writes values of type {expected}, not {value}", "permute, expand or cast it", 2)
    return one(Attrs.of(over=over, shared=shared), x)


def _put_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    rank, over = types[0].rank, attrs.integer("over")
    first: tuple[Flow, ...] = tuple(Pointwise(i) for i in range(rank))
    second: tuple[Flow, ...] = tuple(Pointwise(s) for s in attrs.integers("shared"))
    return first, second, tuple(Pointwise(i) for i in range(rank) if i != over)


def _put_onnx(call: OnnxCall) -> str:
    x, over, shared = known(call.inputs), call.attrs.integer("over"), call.attrs.integers("shared")
    order = sorted(shared)
    at = onnx_transpose(call, onnx_arg(call, 1, Dtype.I64), [shared.index(a) for a in order])
    missing = [a for a in range(x.rank) if a not in order]
    at = call.node("Unsqueeze", [at, onnx_ints(call, *missing)]) if missing else at
    places = onnx_range(call, x.axes[over].size)
    right = list(range(1, x.rank - over))
    places = call.node("Unsqueeze", [places, onnx_ints(call, *right)]) if right else places
    value = call.node("Unsqueeze", [call.args[2], onnx_ints(call, over)])
    return _where(call, call.node("Equal", [places, at]), value, call.args[0], x.dtype)


def _where(call: OnnxCall, condition: str, x: str, y: str, dtype: Dtype) -> str:
    if dtype is not Dtype.BOOL:
        return call.node("Where", [condition, x, y])
    x, y = onnx_cast(call, x, dtype, Dtype.I32), onnx_cast(call, y, dtype, Dtype.I32)
    return onnx_cast(call, call.node("Where", [condition, x, y]), Dtype.I32, dtype)


def _put(call: ReferenceCall) -> Array:
    x, index, value = ref_arg(call, 0).copy(), ref_arg(call, 1), ref_arg(call, 2)
    over, shared = call.attrs.integer("over"), call.attrs.integers("shared")
    for place in np.ndindex(*index.shape):
        at: list[int | slice] = [slice(None)] * x.ndim
        for i, s in zip(place, shared, strict=True):
            at[s] = i
        source = at[:over] + at[over + 1 :]
        at[over] = int(index[place])
        if 0 <= index[place] < x.shape[over]:
            x[tuple(at)] = value[tuple(source)]
    return x


def _gather_rule(site: Site) -> Resolution:
    x, index = site.type(0), require(site, 1, _INDEX, "an integer index")
    over = axis_position(site, x, site.statics["over"])
    _like(site, x, index, over, 1)
    axes = replace_axis(x, over, Axis(x.axes[over].name, index.axes[over].size))
    return one(Attrs.of(over=over), axes)


def _like(site: Site, x: TensorType, other: TensorType, over: int, operand: int) -> None:
    """Refuses an operand whose axes, but for `over`, are not those of x."""
    alike = other.rank == x.rank and all(i == over or a == b for i, (a, b) in enumerate(zip(x.shape, other.shape, strict=False)))
    if not alike:
        message = f"`{site.op}`: {other} must have the axes of {x}, except for axis {x.axes[over]}"
        site.fail("CS0316", message, "use `take` to look up whole slices", operand)


def _scatter_rule(site: Site) -> Resolution:
    x, index, value = site.type(0), require(site, 1, _INDEX, "an integer index"), site.type(2)
    over = axis_position(site, x, site.statics["over"])
    _like(site, x, index, over, 1)
    if value.shape != index.shape or value.dtype is not x.dtype:
        site.fail("CS0316", f"`scatter` writes {x.dtype.value} values of the shape of {index}, not {value}", operand=2)
    return one(Attrs.of(over=over, add=flag(site, "add")), x)


def _scatter_onnx(call: OnnxCall) -> str:
    x, over = known(call.inputs), call.attrs.integer("over")
    index = _clamped(call, 1, x.axes[over].size)
    how = {"reduction": "add"} if call.attrs.flag("add") else {}
    return call.node("ScatterElements", [call.args[0], index, call.args[2]], axis=over, **how)


def _scatter(call: ReferenceCall) -> Array:
    x, index, value = ref_arg(call, 0).copy(), ref_arg(call, 1), ref_arg(call, 2)
    over, add = call.attrs.integer("over"), call.attrs.flag("add")
    for place in np.ndindex(*index.shape):
        at = list(place)
        at[over] = min(max(int(index[place]), 0), x.shape[over] - 1)
        x[tuple(at)] = x[tuple(at)] + value[place] if add else value[place]
    return x


def _gather(call: ReferenceCall) -> Array:
    x, over = ref_arg(call, 0), call.attrs.integer("over")
    return np.take_along_axis(x, np.clip(ref_arg(call, 1), 0, x.shape[over] - 1), axis=over)


def _shared_call(name: str, values: int) -> Callable[[TorchCall], str]:
    def torch(call: TorchCall) -> str:
        args = ", ".join(str(a) for a in call.args[:values])
        shared = torch_tuple(call.attrs.integers("shared"))
        return f"{call.support(name)}({args}, {call.attrs.integer('over')}, {shared})"

    return torch


_SHARED = Parameter("shared", Kind.INTS, None)
_PLACED = (
    OpSpec(
        "take",
        "The slices of x at an index along `over`: the index's axes stand there, but those that x has by name go together. "
        "`shared` says it by position.",
        (Operand("x"), Operand("index")), (_OVER, _SHARED), _take_rule, _take_flow, _take, _shared_call("take", 2), _take_onnx,
        (
            Example("k: f32[N, S=4, D=3], index: i64[N, T=2]", "take[over=S](k, index)"),
            Example("k: f32[N, S=4, D=3], index: i64[N]", "take[over=S](k, index)"),
            Example("k: f32[S=4, D=3], index: i64[N, T=2]", "take[over=S](k, index)"),
            Example("k: f32[N, S=4, D=3], index: i64[D=3, T=2, N]", "take[over=S](k, index)"),
        ),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "put", "x with a value written at one index along `over` for each index of the other axes; outside it nothing is.",
        (Operand("x"), Operand("index"), Operand("value")), (_OVER, _SHARED), _put_rule, _put_flow, _put,
        _shared_call("put", 3), _put_onnx,
        (
            Example("k: f32[N, S=4, D=3], index: i64[N], v: f32[N, D=3]", "put[over=S](k, index, v)"),
            Example("k: f32[N, D=3, S=4], index: i64[], v: f32[N, D=3]", "put[over=S](k, index, v)"),
        ),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "gather", "Element by element along `over`: the result has the index's size there.",
        (Operand("x"), Operand("index")), (_OVER,), _gather_rule, flow_over, _gather,
        lambda call: f"{call.support('gather')}({call.args[0]}, {call.args[1]}, {call.attrs.integer('over')})",
        lambda call: call.node(
            "GatherElements",
            [call.args[0], _clamped(call, 1, known(call.inputs).axes[call.attrs.integer("over")].size)],
            axis=call.attrs.integer("over"),
        ),
        (Example("x: f32[N, C=4, H=3], index: i64[N, C=2, H=3]", "gather[over=C](x, index)"),),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "scatter", "x with elements written (the last of several at one place) or added at an index along `over`.",
        (Operand("x"), Operand("index"), Operand("value")), (_OVER, Parameter("add", Kind.BOOL, False)), _scatter_rule,
        flow_over, _scatter,
        lambda call: f"{call.support('scatter')}({call.args[0]}, {call.args[1]}, {call.args[2]}, "
        f"{call.attrs.integer('over')}, {call.attrs.flag('add')})",
        _scatter_onnx,
        (
            Example("x: f32[N, C=4], index: i64[N, C=2], v: f32[N, C=2]", "scatter[over=C](x, index, v)"),
            Example("x: f32[N, C=4], index: i64[N, C=2], v: f32[N, C=2]", "scatter[over=C, add=true](x, index, v)"),
        ),
        group=GROUP,
    ),
)  # fmt: skip


# Places that the program decides


def _select_rule(site: Site) -> Resolution:
    type = site.type(0)
    axis = axis_position(site, type, site.statics["axis"], "axis")
    size = type.axes[axis].size.value
    index = integer(site, "index")
    if size is not None and not -size <= index < size or size is None and index < 0:
        help = f"indices are 0 .. {size}" if size is not None else "the size is not known, so count from the front"
        site.fail("CS0318", f"{index} is no index of axis {type.axes[axis]}", help, static="index")
    index = index % size if size is not None else index
    return one(Attrs.of(axis=axis, index=index), drop_axes(type, (axis,)))


def _select_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (flow_dropped(known(inputs), (attrs.integer("axis"),)),)


def _select_onnx(call: OnnxCall) -> str:
    index = onnx_scalar(call, call.attrs.integer("index"), Dtype.I64)
    return call.node("Gather", [call.args[0], index], axis=call.attrs.integer("axis"))


def _bound(site: Site, static: str, size: Size) -> Size:
    """A bound of a slice; negative ones count from the end."""
    value = site.statics[static]
    found = value.size if isinstance(value, AxisArg) else Size.of(value) if isinstance(value, int | Size) else size
    if found is None:
        site.fail("CS0315", f"`{static}` of `{site.op}` has no size here", static=static)
    return found + size if found.value is not None and found.value < 0 else found


def _slice_rule(site: Site) -> Resolution:
    type = site.type(0)
    axis = axis_position(site, type, site.statics["axis"], "axis")
    size = type.axes[axis].size
    start, stop = _bound(site, "start", size), _bound(site, "stop", size)
    length = (stop - start).value
    wrong = length is not None and length < 0
    if size.value is not None:
        wrong = wrong or any(b.value is not None and not 0 <= b.value <= (size.value or 0) for b in (start, stop))
    if wrong:
        site.fail("CS0318", f"{start} .. {stop} is no slice of axis {type.axes[axis]}", f"indices are 0 .. {size}", static="stop")
    result = replace_axis(type, axis, Axis(type.axes[axis].name, stop - start))
    return one(Attrs.of(axis=axis, start=size_attr(start), stop=size_attr(stop)), result)


def _slice_torch(call: TorchCall) -> str:
    start, axis = _size(call, "start"), call.attrs.integer("axis")
    length = _size(call, "stop") - start
    return f"{call.args[0]}.narrow({axis}, {call.size(start)}, {call.size(length)})"


def _slice_onnx(call: OnnxCall) -> str:
    start, stop = onnx_sizes(call, (_size(call, "start"),)), onnx_sizes(call, (_size(call, "stop"),))
    return call.node("Slice", [call.args[0], start, stop, onnx_ints(call, call.attrs.integer("axis"))])


def _slice(call: ReferenceCall) -> Array:
    at = [slice(None)] * ref_arg(call, 0).ndim
    at[call.attrs.integer("axis")] = slice(call.size(_size(call, "start")), call.size(_size(call, "stop")))
    return ref_arg(call, 0)[tuple(at)]


def _slice_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    return (flow_dropped(known(inputs), (attrs.integer("axis"),), True),)


_STATIC = (
    OpSpec(
        "select", "The slice at one index of an axis, which disappears.", (Operand("x"),),
        (Parameter("axis", Kind.AXIS), Parameter("index", Kind.INT)), _select_rule, _select_flow,
        lambda call: np.take(ref_arg(call, 0), call.attrs.integer("index"), axis=call.attrs.integer("axis")),
        lambda call: f"{call.args[0]}.select({call.attrs.integer('axis')}, {call.attrs.integer('index')})", _select_onnx,
        (Example("x: f32[N, L=4, C=3]", "select[L, 2](x)"), Example("x: bool[L=4]", "select[0, -1](x)")),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "slice", "The part of an axis from `start` to before `stop`.", (Operand("x"),),
        (Parameter("axis", Kind.AXIS), Parameter("start", Kind.SIZE, 0), Parameter("stop", Kind.SIZE, None)), _slice_rule,
        _slice_flow, _slice, _slice_torch, _slice_onnx,
        (
            Example("x: f32[N, C=5, H=3]", "slice[C, 1, 3](x)"), Example("x: f32[N, C=5]", "slice[C, stop=2](x)"),
            Example("x: f32[N, T]", "slice[T, 1](x)"), Example("x: f32[N, C=5]", "slice[C, -2](x)"),
        ),
        widths=MOVABLE, group=GROUP,
    ),
)  # fmt: skip

OPS: tuple[OpSpec, ...] = (*_BEST, *_DECISIONS, *_PLACED, *_STATIC)
