"""What type rules and flow rules of the catalogue share: axes by name, sizes, broadcasting, demand per axis.

Nothing here is about one operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from cogseedc.ir.nodes import Attr, Attrs
from cogseedc.ir.opspec import AxisArg, Flow, Mixing, Pointwise, Resolution, Site, Static
from cogseedc.ir.size import Size
from cogseedc.ir.types import Axis, Dtype, TensorType, promote

Types = Sequence[TensorType | None]
Flows = tuple[tuple[Flow, ...], ...]

FLOATS = (Dtype.F32, Dtype.F16, Dtype.BF16)
INTEGERS = (Dtype.I64, Dtype.I32, Dtype.I8, Dtype.U8)
NUMBERS = FLOATS + INTEGERS
MOVABLE = frozenset({"int8", "fp16", "bf16"})
"""Widths of ops that only move elements."""
HALVES = frozenset({"fp16", "bf16"})
"""Widths of floating ops that have half precision kernels."""


def one(attrs: Attrs, type: TensorType) -> Resolution:
    """A resolution with one result."""
    return Resolution(attrs, (type,))


# Static arguments


def size_attr(size: Size) -> int | Size:
    """The canonical attribute of a size: an int when it is known."""
    return size if size.value is None else size.value


def axis_attr(axis: Axis) -> Attr:
    """The canonical attribute of a new axis: its size, or `("E", size)` when it has a name; `bind` reads both."""
    return size_attr(axis.size) if axis.name is None else (axis.name, size_attr(axis.size))


def new_axis(site: Site, value: Static, static: str) -> Axis:
    """The axis that a SIZE argument makes: named for `E=5` or `D`, unnamed for a size.

    Fails with CS0315 when a name has no size here, CS0322 when the size is negative.
    """
    if isinstance(value, AxisArg):
        size = value.size if value.size is not None else site.axes.get(value.name)
        if size is None:
            help = f"give it one: `{value.name}=8`"
            site.fail("CS0315", f"axis {value.name} has no size that `{site.op}` could use", help, static=static)
        axis = Axis(value.name, size)
    else:
        assert isinstance(value, Size | int), value
        axis = Axis(None, Size.of(value))
    known = axis.size.known
    if known is not None and (known < 0 or known.denominator != 1):
        site.fail(
            "CS0322",
            f"`{static}` of `{site.op}` is {axis.size}, which is no size",
            "sizes are 0 or more",
            static=static,
        )
    return axis


def new_axes(site: Site, static: str) -> tuple[Axis, ...]:
    """The axes of a SIZES argument."""
    values = site.statics[static]
    assert isinstance(values, tuple), values
    return tuple(new_axis(site, v, static) for v in values)


def text(site: Site, static: str, choices: Sequence[str]) -> str:
    """A STR argument that is one of `choices`. Fails with CS0310."""
    value = site.statics[static]
    assert isinstance(value, str), value
    if value not in choices:
        near = get_close_matches(value, choices)
        help = f'did you mean "{near[0]}"?' if near else "it takes " + ", ".join(f'"{c}"' for c in choices)
        site.fail("CS0310", f'`{static}` of `{site.op}` cannot be "{value}"', help, static=static)
    return value


def integer(site: Site, static: str, low: int | None = None, high: int | None = None) -> int:
    """An INT argument within `low .. high`. Fails with CS0310."""
    value = site.statics[static]
    assert isinstance(value, int), value
    _within(site, static, value, low, high)
    return value


def number(site: Site, static: str, low: float | None = None, high: float | None = None) -> float:
    """A FLOAT argument within `low .. high`. Fails with CS0310."""
    value = site.statics[static]
    assert isinstance(value, int | float), value
    _within(site, static, value, low, high)
    return float(value)


def _within(site: Site, static: str, value: float, low: float | None, high: float | None) -> None:
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = f"at least {low}" if high is None else f"in {low} .. {high}"
        site.fail("CS0310", f"`{static}` of `{site.op}` is {value}", f"it must be {bounds}", static=static)


def flag(site: Site, static: str) -> bool:
    """A BOOL argument."""
    value = site.statics[static]
    assert isinstance(value, bool), value
    return value


# Axes


def axis_position(site: Site, type: TensorType, value: Static, static: str = "over", operand: int = 0) -> int:
    """Position of an existing axis, given by name or by position; None is the last axis.

    A name that the value lacks means its one unnamed axis of that name's size. Fails with CS0302 (no such axis),
    CS0303 (no such position), CS0311 (several unnamed axes would fit).
    """
    if value is None:
        value = -1
    if isinstance(value, AxisArg):
        found = type.position(value.name)
        return found if found is not None else _unnamed(site, type, value, static, operand)
    assert isinstance(value, int), value
    if not -type.rank <= value < type.rank:
        help = f"the value is {type}" if type.rank else "the value has no axes"
        site.fail("CS0303", f"`{site.op}` has no axis {value}", help, operand, static)
    return value % type.rank


def _unnamed(site: Site, type: TensorType, value: AxisArg, static: str, operand: int) -> int:
    size = value.size if value.size is not None else site.axes.get(value.name)
    fits = [i for i, a in enumerate(type.axes) if a.name is None and size is not None and a.size == size]
    if len(fits) == 1:
        return fits[0]
    if fits:
        message = f"`{static}={value.name}` of `{site.op}` fits {len(fits)} unnamed axes of {type}"
        site.fail("CS0311", message, f"say which by position: `{static}={fits[-1]}`", operand, static)
    near = get_close_matches(value.name, [n for n in type.names if n])
    help = f"did you mean {near[0]}?" if near else "name the axis where it is made, or give its position"
    site.fail("CS0302", f"`{site.op}` finds no axis {value.name} in {type}", help, operand, static)


def axis_positions(
    site: Site, type: TensorType, value: Static, static: str = "over", operand: int = 0
) -> tuple[int, ...]:
    """Sorted positions of an AXES argument; None is the last axis. Fails also with CS0312 (an axis twice)."""
    values = value if isinstance(value, tuple) else (value,)
    found = [axis_position(site, type, v, static, operand) for v in values]
    if len(set(found)) != len(found):
        site.fail("CS0312", f"`{static}` of `{site.op}` has an axis twice", f"the value is {type}", operand, static)
    return tuple(sorted(found))


def named(type: TensorType, position: int, value: Static) -> TensorType:
    """The type with the unnamed axis at `position` labelled by the name that was used for it."""
    axis = type.axes[position]
    if not isinstance(value, AxisArg) or axis.name is not None:
        return type
    return replace_axis(type, position, Axis(value.name, axis.size))


def replace_axis(type: TensorType, position: int, *axes: Axis) -> TensorType:
    """The type with the axis at `position` replaced by `axes` (none: dropped)."""
    return type.with_axes(type.axes[:position] + axes + type.axes[position + 1 :])


def drop_axes(type: TensorType, positions: Sequence[int], keep: bool = False) -> TensorType:
    """The type without axes, or with them at size 1."""
    if keep:
        axes = (Axis(a.name, Size.of(1)) if i in positions else a for i, a in enumerate(type.axes))
    else:
        axes = (a for i, a in enumerate(type.axes) if i not in positions)
    return type.with_axes(tuple(axes))


def distinct(site: Site, type: TensorType, static: str | None = None) -> TensorType:
    """The type, whose new axes must not repeat a name. Fails with CS0312."""
    names = [n for n in type.names if n is not None]
    for name in names:
        if names.count(name) > 1:
            help = "use another name for the new axis"
            site.fail("CS0312", f"the result of `{site.op}` would have two axes {name}", help, static=static)
    return type


def require(site: Site, operand: int, dtypes: Sequence[Dtype], what: str) -> TensorType:
    """The type of an operand, whose dtype must be one of `dtypes`. Fails with CS0305."""
    type = site.type(operand)
    if type.dtype not in dtypes:
        if dtypes == (Dtype.BOOL,):
            help = "compare it first: `x > 0`"
        else:
            help = f"cast it: `cast[{dtypes[0].value}](x)`"
        site.fail("CS0305", f"`{site.op}` takes {what}, not {type}", help, operand)
    return type


def require_rank(site: Site, operand: int, low: int, what: str) -> TensorType:
    """The type of an operand with at least `low` axes. Fails with CS0316."""
    type = site.type(operand)
    if type.rank < low:
        site.fail("CS0316", f"`{site.op}` takes {what}, not {type}", operand=operand)
    return type


def float_of(dtype: Dtype) -> Dtype:
    """The floating dtype of a result: f32 for integers and booleans."""
    return dtype if dtype.floating else Dtype.F32


def quotient(total: Size, by: Size) -> Size | None:
    """`total / by` when it is a size for all values of the symbols."""
    if len(by.terms) != 1:
        return Size.of(1) if total == by else None
    monomial, coefficient = by.terms[0]
    terms = []
    for found, c in total.terms:
        left = list(found)
        for atom in monomial:
            if atom not in left:
                return None
            left.remove(atom)
        if (c / coefficient).denominator != 1:
            return None
        terms.append((tuple(left), c / coefficient))
    return Size(tuple(terms))  # in order as before: all have lost the same


# Broadcasting


def broadcast(site: Site, operands: Sequence[int] | None = None) -> tuple[Axis, ...]:
    """Axes of the result of aligned operands: from the right, sizes equal or 1. Fails with CS0304."""
    ports = [i for i in (range(len(site.operands)) if operands is None else operands) if site.given(i)]
    if len(found := {site.type(port).axes for port in ports}) == 1:
        return found.pop()
    owner, *others = ports
    axes = list(site.type(owner).axes)
    for port in others:
        theirs = list(site.type(port).axes)
        width = max(len(axes), len(theirs))
        axes = [Axis(None, Size.of(1))] * (width - len(axes)) + axes
        for back in range(1, len(theirs) + 1):
            mine, other = axes[-back], theirs[-back]
            if mine.size == other.size:
                axes[-back] = mine if mine.name is not None else other
            elif mine.size == Size.of(1):
                axes[-back] = other if other.name is not None else Axis(mine.name, other.size)
            elif other.size != Size.of(1):
                message = f"`{site.op}`: {site.type(owner)} and {site.type(port)} do not fit: {mine} against {other}"
                site.fail("CS0304", message, "sizes must be equal, or one of them 1", port)
        owner = port if site.type(port).rank == width else owner
    return tuple(axes)


def promoted(site: Site, operands: Sequence[int] | None = None) -> Dtype:
    """The dtype of all given operands together."""
    ports = [i for i in (range(len(site.operands)) if operands is None else operands) if site.given(i)]
    dtype = site.type(ports[0]).dtype
    for port in ports[1:]:
        dtype = promote(dtype, site.type(port).dtype)
    return dtype


# Flow


def flow_aligned(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    """Elementwise: axes are matched from the right; one of size 1 against another size is read everywhere."""
    return tuple(() if t is None else _aligned(t, types[0]) for t in inputs)


def _aligned(operand: TensorType, result: TensorType) -> tuple[Flow, ...]:
    offset = result.rank - operand.rank
    return tuple(
        Pointwise(i + offset) if a.size == result.axes[i + offset].size else Mixing()
        for i, a in enumerate(operand.axes)
    )


def flow_mixing(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    """Every index of every operand may be read for every index of the results."""
    return tuple(() if t is None else (Mixing(),) * t.rank for t in inputs)


def flow_mapped(rank: int, to: Sequence[int | None]) -> tuple[Flow, ...]:
    """Flow of one operand from the output axis of each of its axes (None: mixing)."""
    assert len(to) == rank
    return tuple(Mixing() if t is None else Pointwise(t) for t in to)


def flow_dropped(operand: TensorType, dropped: Sequence[int], keep: bool = False) -> tuple[Flow, ...]:
    """Flow of an operand whose axes `dropped` are mixed (and absent from the result unless `keep`)."""
    to: list[int | None] = []
    place = 0
    for i in range(operand.rank):
        to.append(None if i in dropped else place)
        place += keep or i not in dropped
    return flow_mapped(operand.rank, to)


def flow_over(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    """The axis (or axes) `over` is mixed; all others, of every operand, stay in their places."""
    over = attrs["over"]
    mixed = over if isinstance(over, tuple) else (over,)
    return tuple(() if t is None else flow_dropped(t, [m for m in mixed if isinstance(m, int)], True) for t in inputs)


def flow_chosen(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    """The axis `over` of the only operand is mixed, and absent from the result; all others stay."""
    assert inputs[0] is not None
    return (flow_dropped(inputs[0], (attrs.integer("over"),)),)


def flow_last(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    """The last axis of every operand is mixed, all others stay in their places."""
    return tuple(() if t is None else flow_dropped(t, (t.rank - 1,)) for t in inputs)


def flow_reshaped(operand: TensorType, result: TensorType) -> tuple[Flow, ...]:
    """Axes that are the same from the left, or from the right, are pointwise; the others are merged or split."""
    a, b = operand.shape, result.shape
    left = 0
    while left < min(len(a), len(b)) and a[left] == b[left]:
        left += 1
    right = 0
    while right < min(len(a), len(b)) - left and a[-1 - right] == b[-1 - right]:
        right += 1
    to = [i if i < left else len(b) - len(a) + i if i >= len(a) - right else None for i in range(len(a))]
    return flow_mapped(len(a), to)


def into_axes(site: Site) -> tuple[AxisArg, ...]:
    """The axes that `into=(A, B=2)` names."""
    into = site.statics["into"]
    return tuple(a for a in into if isinstance(a, AxisArg)) if isinstance(into, tuple) else ()
