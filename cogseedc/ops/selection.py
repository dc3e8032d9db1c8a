"""Elements at places that the data decides.

An index outside of its axis is clamped into it, so that what an index reads where nobody selected it never
fails (`put` writes nothing there).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cogseedc.ir.nodes import Attrs
from cogseedc.ir.opspec import (
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
    Flows,
    Types,
    axis_position,
    drop_axes,
    flag,
    flow_over,
    one,
    replace_axis,
    require,
)
from cogseedc.ops.signature import show
from cogseedc.ops.spelling import (
    known,
    onnx_arg,
    onnx_cast,
    onnx_ints,
    onnx_range,
    onnx_scalar,
    onnx_sizes,
    onnx_transpose,
    ref_arg,
    torch_tuple,
)

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "selection"
_INDEX = (Dtype.I64, Dtype.I32)
_OVER = Parameter("over", Kind.AXIS, None)


def _shared(site: Site, x: TensorType, index: TensorType, over: int) -> tuple[int, ...]:
    """For each axis of the index, the axis of x that it goes with (by name), or -1."""
    given = site.statics["shared"]
    if isinstance(given, tuple):
        shared = tuple(g for g in given if isinstance(g, int))
        used = [s for s in shared if s >= 0]
        fits = len(shared) == index.rank and len(set(used)) == len(used)
        if not fits or any(s != -1 and (not 0 <= s < x.rank or s == over) for s in shared):
            help = f"one axis of {x}, or -1, for each axis of {index}"
            site.fail("CS0310", f"`shared` of `{site.op}` is {show(given)}", help, static="shared")
        for axis, s in zip(index.axes, shared, strict=True):
            if s >= 0 and x.axes[s].size != axis.size:
                message = f"`{site.op}`: axis {axis} of the index is {x.axes[s]} in {x}"
                site.fail("CS0304", message, operand=1, sizes=(axis.size, x.axes[s].size))
        return shared
    found: list[int] = []
    for axis in index.axes:
        at = x.position(axis.name) if axis.name is not None else None
        at = -1 if at is None or at == over else at
        if at >= 0 and x.axes[at].size != axis.size:
            message = f"`{site.op}`: axis {axis} of the index is {x.axes[at]} in {x}"
            site.fail("CS0304", message, "they must be equal", 1, sizes=(axis.size, x.axes[at].size))
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
        target = [*source[:over], *fresh, *source[over + 1 :]]
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
    first: tuple[Flow, ...] = tuple(Mixing() if i == over else Pointwise(i) for i in range(rank))
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
    alike = other.rank == x.rank and all(
        i == over or a == b for i, (a, b) in enumerate(zip(x.shape, other.shape, strict=False))
    )
    if not alike:
        message = f"`{site.op}`: {other} must have the axes of {x}, except for axis {x.axes[over]}"
        if site.op == "gather":
            help = "use `take` to look up whole slices"
        else:
            help = "`expand` it along the axes that it lacks; `put` writes one slice for each index"
        site.fail("CS0316", message, help, operand)


def _scatter_rule(site: Site) -> Resolution:
    """An index of all axes places elements; one of fewer, which go with those of x by name, whole slices."""
    x, index, value = site.type(0), require(site, 1, _INDEX, "an integer index"), site.type(2)
    over = axis_position(site, x, site.statics["over"])
    lay = _scatter_lay(site, x, index, over)
    size = index.axes[lay.index(over)].size
    expected = replace_axis(x, over, Axis(x.axes[over].name, size)) if size != x.axes[over].size else x
    if value.shape != expected.shape or value.dtype is not x.dtype:
        what = "of the shape of the index" if index.rank == x.rank else f"of type {expected}"
        site.fail("CS0316", f"`scatter` writes {x.dtype.value} values {what}, not {value}", operand=2)
    return one(Attrs.of(over=over, add=flag(site, "add"), lay=lay), x)


def _scatter_lay(site: Site, x: TensorType, index: TensorType, over: int) -> tuple[int, ...]:
    """For each axis of the index where it lies in x."""
    if index.rank == x.rank and site.statics["lay"] is None:
        _like(site, x, index, over, 1)
        return tuple(range(x.rank))
    given = site.statics["lay"]
    if isinstance(given, tuple):
        return tuple(place for place in given if isinstance(place, int))
    by_name = [x.position(axis.name) if axis.name is not None else None for axis in index.axes]
    lay = tuple(over if at is None or at == over else at for at in by_name)
    alike = all(at == over or x.axes[at].size == axis.size for at, axis in zip(lay, index.axes, strict=True))
    if lay.count(over) != 1 or len({*lay}) < len(lay) or not alike:
        help = f"one axis says where along {x.axes[over]} each slice goes; the others are axes of {x}, by name"
        site.fail("CS0316", f"`scatter` cannot place slices of {x} at {index}", help, 1)
    return lay


def _scatter_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    over = attrs.integer("over")
    whole = tuple(Mixing() if i == over else Pointwise(i) for i in range(types[0].rank))
    return whole, tuple(whole[at] for at in attrs.integers("lay")), whole


def _scatter_torch(call: TorchCall) -> str:
    rank, lay, index = known(call.inputs).rank, call.attrs.integers("lay"), str(call.args[1])
    if lay != tuple(range(rank)):
        order = sorted(range(len(lay)), key=lay.__getitem__)
        moved = index if order == [*range(len(lay))] else f"{index}.permute({', '.join(map(str, order))})"
        for axis in (i for i in range(rank) if i not in lay):
            moved = f"{moved}.unsqueeze({axis})"
        index = f"{moved}.expand_as({call.args[2]})"
    options = f"{call.attrs.integer('over')}, {call.attrs.flag('add')}"
    return f"{call.support('scatter')}({call.args[0]}, {index}, {call.args[2]}, {options})"


def _scatter_onnx(call: OnnxCall) -> str:
    x, over, lay = known(call.inputs), call.attrs.integer("over"), call.attrs.integers("lay")
    index = _clamped(call, 1, x.axes[over].size)
    if lay != tuple(range(x.rank)):
        index = onnx_transpose(call, index, sorted(range(len(lay)), key=lay.__getitem__))
        index = call.node("Unsqueeze", [index, onnx_ints(call, *(i for i in range(x.rank) if i not in lay))])
        index = call.node("Expand", [index, onnx_sizes(call, known(call.inputs, 2).shape)])
    how = {"reduction": "add"} if call.attrs.flag("add") else {}
    return call.node("ScatterElements", [call.args[0], index, call.args[2]], axis=over, **how)


def _scatter(call: ReferenceCall) -> Array:
    x, index, value = ref_arg(call, 0).copy(), ref_arg(call, 1), ref_arg(call, 2)
    over, add, lay = call.attrs.integer("over"), call.attrs.flag("add"), call.attrs.integers("lay")
    index = index.transpose(sorted(range(len(lay)), key=lay.__getitem__))
    index = np.broadcast_to(np.expand_dims(index, [i for i in range(x.ndim) if i not in lay]), value.shape)
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
OPS: tuple[OpSpec, ...] = (
    OpSpec(
        "take",
        "The slices of x at an index along `over`: the index's axes stand there; those that x has by name go together. "
        "`shared` says it by position.",
        (Operand("x"), Operand("index")), (_OVER, _SHARED), _take_rule, _take_flow, _take, _shared_call("take", 2),
        _take_onnx,
        (
            Example("k: f32[N, S=4, D=3], index: i64[N, T=2]", "take[over=S](k, index)"),
            Example("k: f32[N, S=4, D=3], index: i64[N]", "take[over=S](k, index)"),
            Example("k: f32[S=4, D=3], index: i64[N, T=2]", "take[over=S](k, index)"),
            Example("k: f32[N, S=4, D=3], index: i64[D=3, T=2, N]", "take[over=S](k, index)"),
        ),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "put",
        "x with a value written at one index along `over` for each index of the other axes; outside it nothing is.",
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
        (Example("x: f32[N, C=4, H=3], index: i64[N, D=2, H=3]", "gather[over=C](x, index)"),),
        widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "scatter",
        "x with elements, or slices, written (the last of several at one place) or added at an index along `over`; the "
        "axes of an index of slices go with those of x by name, `lay` says it by position.",
        (Operand("x"), Operand("index"), Operand("value")),
        (_OVER, Parameter("add", Kind.BOOL, False), Parameter("lay", Kind.INTS, None)), _scatter_rule, _scatter_flow,
        _scatter, _scatter_torch, _scatter_onnx,
        (
            Example("x: f32[N, C=4], index: i64[N, D=2], v: f32[N, D=2]", "scatter[over=C](x, index, v)"),
            Example("x: f32[N, C=4], index: i64[N, D=2], v: f32[N, D=2]", "scatter[over=C, add=true](x, index, v)"),
            Example("x: f32[N, S=4, C=3], index: i64[N, T=2], v: f32[N, T=2, C=3]", "scatter[over=S](x, index, v)"),
            Example("x: f32[N, C=3, S=4], i: i64[T=5], v: f32[N, C=3, T=5]", "scatter[over=S, add=true](x, i, v)"),
            Example("x: f32[N, S=4, C=3], i: i64[T=2, N], v: f32[N, T=2, C=3]", "scatter[over=S](x, i, v)"),
        ),
        group=GROUP,
    ),
)  # fmt: skip
