"""The carries of a run-time loop: their types, what they start as, and what the next turn gets."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cogseedc.diagnostics import Label
from cogseedc.frontend import ast
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.model import BROKEN, Frame, GateRef, Item, Tensor, mistake
from cogseedc.frontend.build.names import described
from cogseedc.ir import Axis, Dtype, Size, TensorType, promote
from cogseedc.source import Span


@dataclass(frozen=True, slots=True)
class Leaf:
    """One tensor of a carry; a carry that is a tuple has several."""

    carry: int
    name: str
    item: Item
    type: TensorType
    literal: bool
    span: Span


def leaves_of(b: Builder, frame: Frame, carry: int, name: str, item: Item, span: Span) -> list[Leaf]:
    if isinstance(item, tuple):
        return [leaf for i, part in enumerate(item) for leaf in leaves_of(b, frame, carry, f"{name}_{i}", part, span)]
    if isinstance(item, (bool, int, float)):
        dtype = Dtype.BOOL if isinstance(item, bool) else Dtype.I64 if isinstance(item, int) else Dtype.F32
        return [Leaf(carry, name, item, TensorType(dtype), True, span)]
    tensor = b.tensor(frame, item, span)
    return [Leaf(carry, name, tensor, tensor.type, False, span)]


def started(b: Builder, frame: Frame, leaf: Leaf) -> Tensor:
    """The value that a carry starts with, of the type that it has."""
    tensor = b.tensor(frame, leaf.item, leaf.span, leaf.type.dtype)
    tensor = b.cast(frame, tensor, leaf.type.dtype, leaf.span)
    if tensor.type.shape != leaf.type.shape:
        geometry = tensor.geometry
        tensor = replace(b.one(frame, "expand", tensor, span=leaf.span, sizes=leaf.type.shape), geometry=geometry)
    return tensor.seen_as(leaf.type)


def packed(item: Item, parts: list[Item]) -> Item:
    """An item of the same form, made of the next of `parts`."""
    if isinstance(item, tuple):
        return tuple(packed(part, parts) for part in item)
    return parts.pop(0)


def flat(item: Item) -> list[Item]:
    return [leaf for part in item for leaf in flat(part)] if isinstance(item, tuple) else [item]


def span_of(expr: ast.Repeat | ast.Scan, carry: ast.Carry) -> Span:
    """Where `next` sets the carry, or where it is declared."""
    for statement in expr.body.statements:
        if isinstance(statement, ast.Next) and any(n.text == carry.name.text for n in statement.names):
            return statement.span
    return carry.span


def matching(expr: ast.Repeat | ast.Scan, carry: ast.Carry, before: Item, after: Item) -> list[Item]:
    """The parts of what follows a carry; as many as it had."""
    if after is BROKEN:
        return [after] * len(flat(before))
    parts = flat(after)
    if len(parts) != len(flat(before)) or isinstance(after, tuple) != isinstance(before, tuple):
        raise mistake(
            "CS0426",
            f"the carry `{carry.name.text}` starts as {described(before)} and becomes {described(after)}",
            span_of(expr, carry),
            Label(carry.span, "it starts here"),
            help="only a `for` may change the type of a carry",
        )
    return parts


def widened(b: Builder, body: Frame, leaf: Leaf, item: Item, held: tuple[Axis, ...], span: Span) -> TensorType:
    """The type that the carry should have: a literal's is what follows it; the axes of `until` are added."""
    type_ = leaf.type
    if item is BROKEN:
        return type_.with_axes((*lacking(type_, held), *type_.axes))
    if leaf.literal and not isinstance(item, (bool, int, float, Size)):
        following = item.decision.type if isinstance(item, GateRef) else b.tensor(body, item, span).type
        type_ = TensorType(promote(type_.dtype, following.dtype), type_.axes if type_.rank else following.axes)
    elif leaf.literal and isinstance(item, float) and not type_.dtype.floating:
        type_ = type_.with_dtype(Dtype.F32)
    return type_.with_axes((*lacking(type_, held), *type_.axes))


def lacking(type_: TensorType, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """Those of some axes that a value does not have."""
    free = list(type_.axes)
    found: list[Axis] = []
    for axis in axes:
        same = next(
            (a for a in free if a.name == axis.name and axis.name is not None),
            next((a for a in free if a.size == axis.size and (a.name is None or axis.name is None)), None),
        )
        if same is None:
            found.append(axis)
        else:
            free.remove(same)
    return tuple(found)


def with_axes(b: Builder, frame: Frame, tensor: Tensor, axes: tuple[Axis, ...], span: Span) -> Tensor:
    missing = lacking(tensor.type, axes)
    if not missing:
        return tensor
    type_ = tensor.type.with_axes((*missing, *tensor.type.axes))
    made = b.one(frame, "expand", tensor, span=span, sizes=type_.shape)
    return replace(made, type=type_, geometry=tensor.geometry)


def conformed(b: Builder, body: Frame, leaf: Leaf, item: Item, span: Span) -> Tensor:
    """What follows a carry, of the carry's type. Raises BuildError CS0426 for another one."""
    wanted = leaf.type
    tensor = b.tensor(body, item, span, wanted.dtype)
    if not tensor.type.rank and wanted.rank and isinstance(item, (bool, int, float, Size)):
        tensor = b.one(body, "expand", tensor, span=span, sizes=wanted.shape)
    same = tensor.type.rank == wanted.rank and all(
        b.require_equal(x, y, span) for x, y in zip(tensor.type.shape, wanted.shape, strict=True)
    )
    if not same or promote(tensor.type.dtype, wanted.dtype) is not wanted.dtype:
        names = [name for name in wanted.names if name is not None]
        turned = len(names) == wanted.rank and {*names} == {*tensor.type.names} and tensor.type.names != wanted.names
        raise mistake(
            "CS0426",
            f"the carry `{leaf.name}` is {wanted}, but the next turn gets {tensor.type}",
            span,
            Label(leaf.span, f"it starts as {wanted}"),
            help=f"bring its axes into this order: `permute[{', '.join(names)}](...)`"
            if turned
            else "only a `for` may change the type of a carry",
        )
    return replace(b.cast(body, tensor, wanted.dtype, span), type=wanted)
