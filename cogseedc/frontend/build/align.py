"""Alignment of elementwise operands by axis names, and promotion of their dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from cogseedc.diagnostics import Label
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.model import Frame, GateRef, Item, Tensor, mistake
from cogseedc.ir import Axis, AxisArg, Dtype, Size, TensorType, promote
from cogseedc.source import Span

ONE = Size.of(1)


def aligned(
    b: Builder, frame: Frame, op: str, items: Sequence[Item | None], spans: Sequence[Span], span: Span
) -> tuple[list[Tensor | None], tuple[str | None, ...]]:
    """Operands cast to one dtype and laid out for right-aligned broadcasting, with the result's axis names."""
    tensors = promoted(b, frame, op, items, spans)
    present = [t for t in tensors if t is not None]
    host = _host(b, present, spans, span)
    result: list[Tensor | None] = []
    names: list[str | None] = list(host.type.names)
    for tensor, where in zip(tensors, spans, strict=True):
        if tensor is None:
            result.append(None)
            continue
        if tensor is host:
            result.append(tensor)
            continue
        mapping = _mapping(tensor.type, host.type)
        assert mapping is not None
        tensor = _equal_sizes(b, tensor, host, mapping, where, span)
        for i, target in enumerate(mapping):
            if target is not None and names[target] is None:
                names[target] = tensor.type.axes[i].name
        result.append(laid_out(b, frame, tensor, mapping, host.type.rank, where))
    return result, tuple(names)


def renamed(result: Tensor, names: tuple[str | None, ...]) -> Tensor:
    """The result of an aligned operation with the names of its axes."""
    if names == result.type.names:
        return result
    axes = tuple(Axis(n, a.size) for n, a in zip(names, result.type.axes, strict=True))
    return result.seen_as(result.type.with_axes(axes))


def promoted(
    b: Builder, frame: Frame, op: str, items: Sequence[Item | None], spans: Sequence[Span]
) -> list[Tensor | None]:
    """Operands as tensors of one dtype; a literal takes the others' dtype."""
    logical = op.startswith("logical_")
    first = 1 if op == "where" else 0
    tensors: list[Tensor | None] = [None] * len(items)
    for i, item in enumerate(items):
        if item is None or _literal(item):
            continue
        boolean = logical or i < first
        tensors[i] = b.boolean(frame, item, spans[i]) if boolean else b.tensor(frame, item, spans[i])
    values = [t for i, t in enumerate(tensors) if t is not None and i >= first]
    dtype = _common(values, [i for i in items[first:] if i is not None and _literal(i)], op)
    for i, item in enumerate(items):
        if item is None or i < first:
            if item is not None and tensors[i] is None:
                tensors[i] = b.boolean(frame, item, spans[i])
            continue
        tensor = tensors[i]
        if tensor is None:
            tensors[i] = b.tensor(frame, item, spans[i], dtype)
        elif not logical:
            tensors[i] = b.cast(frame, tensor, dtype, spans[i])
    return tensors


def _literal(item: Item) -> bool:
    return isinstance(item, (bool, int, float)) and not isinstance(item, (AxisArg, GateRef))


def _common(values: Sequence[Tensor], literals: Sequence[Item], op: str) -> Dtype:
    if op.startswith("logical_"):
        return Dtype.BOOL
    fractional = any(isinstance(v, float) for v in literals)
    if not values:
        only_bool = all(isinstance(v, bool) for v in literals)
        dtype = Dtype.F32 if fractional else Dtype.BOOL if only_bool else Dtype.I64
    else:
        dtype = values[0].type.dtype
        for value in values[1:]:
            dtype = promote(dtype, value.type.dtype)
        if fractional and not dtype.floating:
            dtype = Dtype.F32
    if op == "div" and not dtype.floating:
        return Dtype.F32
    numeric = any(not isinstance(v, bool) for v in literals)
    if dtype is Dtype.BOOL and (numeric or op in ("add", "sub", "mul", "neg", "pow", "mod", "abs")):
        return Dtype.F32 if fractional else Dtype.I64
    if not dtype.floating and op in _FLOATING:
        return Dtype.F32
    return dtype


_FLOATING = frozenset(("exp", "log", "sqrt", "rsqrt", "erf", "sin", "cos", "reciprocal", "sigmoid", "tanh"))


def _host(b: Builder, tensors: Sequence[Tensor], spans: Sequence[Span], span: Span) -> Tensor:
    """The operand whose axes contain all others'."""
    for host in sorted(tensors, key=lambda t: -t.type.rank):
        if all(t is host or _mapping(t.type, host.type) is not None for t in tensors):
            return host
    shapes = " and ".join(f"`{t.type}`" for t in tensors)
    message = f"neither of {shapes} has all axes of the other"
    raise mistake("CS0233", message, span, help=_fix([t.type for t in tensors]))


def _fix(types: Sequence[TensorType]) -> str:
    """What may be missing: a name where the sizes would fit, else an axis."""
    names = [{n for n in t.names if n is not None} for t in types]
    missing = sorted(set[str].union(*names) - set[str].intersection(*names))
    named = all(None not in t.names for t in types)
    if missing and named and len({t.shape for t in types}) == 1:
        axes = ", ".join(name for name in types[0].names if name is not None)
        return f"axes of two names never meet: name them alike where they are made, or with `reshape[({axes})](...)`"
    return f"add the missing axis first, for instance `expand[{missing[0]}](...)`" if missing else "reshape one of them"


@lru_cache(maxsize=4096)
def _mapping(small: TensorType, host: TensorType) -> tuple[int | None, ...] | None:
    """For each axis of `small` the axis of `host` that it meets; None: dropped. None in all: does not fit."""
    result: list[int | None] = [None] * small.rank
    free = list(range(host.rank))
    rest: list[int] = []
    for i, axis in enumerate(small.axes):
        at = next((at for at in free if axis.name is not None and host.axes[at].name == axis.name), None)
        if at is not None:  # a name that stands twice meets itself in order
            result[i] = at
            free.remove(at)
        else:
            rest.append(i)
    for i in reversed(rest):
        axis = small.axes[i]
        while free and axis.name is not None and host.axes[free[-1]].name is not None:
            free.pop()  # two different names never meet
        if free:
            result[i] = free.pop()
        elif axis.size == ONE and axis.name is None:
            result[i] = None
        else:
            return None
    return tuple(result)


def _equal_sizes(
    b: Builder, tensor: Tensor, host: Tensor, mapping: Sequence[int | None], where: Span, span: Span
) -> Tensor:
    """The tensor with the host's sizes where they must be equal. Raises BuildError where they never are."""
    axes = tensor.type.axes
    for i, target in enumerate(mapping):
        if target is None:
            continue
        mine, theirs = axes[i], host.type.axes[target]
        if mine.size == ONE or theirs.size == ONE or mine.size == theirs.size:
            continue
        if not b.require_equal(mine.size, theirs.size, where):
            label = f"axis {mine.name or theirs.name or target}"
            raise mistake(
                "CS0234",
                f"`{tensor.type}` and `{host.type}` differ in {label}: {mine.size} and {theirs.size}",
                where,
                *([Label(span, "combined here")] if span != where else []),
                help="make the sizes equal, or one of them 1",
            )
        axes = (*axes[:i], Axis(mine.name, theirs.size), *axes[i + 1 :])
    return tensor if axes is tensor.type.axes else tensor.seen_as(tensor.type.with_axes(axes))


def laid_out(b: Builder, frame: Frame, tensor: Tensor, mapping: Sequence[int | None], rank: int, span: Span) -> Tensor:
    """The tensor with its axes in the host's order, ones where the host has more, none to drop."""
    dropped = tuple(i for i, target in enumerate(mapping) if target is None)
    kept = [(target, i) for i, target in enumerate(mapping) if target is not None]
    names = {target: tensor.type.axes[i].name for target, i in kept}
    result = tensor
    if dropped:
        result = b.one(frame, "squeeze", result, span=span, over=dropped)
    order = sorted(range(len(kept)), key=lambda k: kept[k][0])
    if order != list(range(len(kept))):
        result = b.one(frame, "permute", result, span=span, axes=tuple(order))
    targets = [target for target, _ in sorted(kept)]
    missing = tuple(t for t in range(min(targets, default=rank), rank) if t not in targets)
    if missing:
        offset = min(targets)
        result = b.one(frame, "unsqueeze", result, span=span, axes=tuple(t - offset for t in missing))
    first = rank - result.type.rank
    axes = tuple(Axis(names.get(first + i), a.size) for i, a in enumerate(result.type.axes))
    return replace(result, type=result.type.with_axes(axes), geometry=tensor.geometry)
