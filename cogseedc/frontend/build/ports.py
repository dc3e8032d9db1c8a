"""Declared types: ports, parameters, knobs; binding of a port's axes to those of a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cogseedc.diagnostics import Label
from cogseedc.frontend import ast
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.expressions import is_axis_name
from cogseedc.frontend.build.model import Frame, Item, Scope, Tensor, mistake
from cogseedc.frontend.build.names import described, dtype_elsewhere, suggestion
from cogseedc.frontend.build.statics import integer, number
from cogseedc.ir import BATCH, Axis, Dtype, Size, TensorType
from cogseedc.source import Span


def dtype_of(name: ast.Name) -> Dtype:
    """The dtype that a type begins with."""
    try:
        return Dtype(name.text)
    except ValueError:
        known = [d.value for d in Dtype]
        raise mistake(
            "CS0236",
            f"`{name.text}` is no dtype",
            name.span,
            help=dtype_elsewhere(name.text) or suggestion(name.text, known) or f"one of {', '.join(known)}",
        ) from None


def size_of(b: Builder, frame: Frame, expr: ast.Expr) -> Size:
    """A size in a type: positive, or a symbol's arithmetic."""
    if isinstance(expr, ast.Reference) and not is_axis_name(expr.name) and frame.scope.find(expr.name) is None:
        upper = expr.name[0].upper() + expr.name[1:]
        help = f"an axis of open size has a name with an upper-case letter: `{upper if is_axis_name(upper) else 'T'}`"
        raise mistake("CS0201", f"`{expr.name}` is not known here", expr.span, help=help)
    value = number(b.evaluate(frame, expr), expr.span)
    if isinstance(value, float):
        raise mistake(
            "CS0204", f"a size is an integer, not {value!r}", expr.span, help="round it with `floor` or `ceil`"
        )
    size = Size.of(value)
    if size.value is not None and not 0 < size.value <= b.limits.dimension:
        code = b.limits.code("dimension") if size.value > 0 else "CS0230"
        raise mistake(
            code, f"the size of an axis is {size.value}", expr.span, help=f"between 1 and {b.limits.dimension}"
        )
    return size


def axis_name(axis: ast.AxisType) -> str | None:
    """The name of a declared axis; a lone upper-case reference that is no bound name is one."""
    return axis.name.text if axis.name else None


def declared_axes(b: Builder, frame: Frame, type_: ast.Type) -> TensorType:
    """The type of a `param` or a `knob`: every axis has a size; names come into scope."""
    _check_rank(b, type_)
    axes: list[Axis] = []
    for axis in type_.axes:
        name, size = _split(b, frame, axis)
        if size is None:
            assert name is not None
            size = frame.scope.axis(name)
            if size is None:
                raise mistake(
                    "CS0241", f"the axis `{name}` has no size here", axis.span, help=f"give it one: `{name}=4`"
                )
        elif name is not None:
            frame.scope.axes.setdefault(name, size)  # a label of this type; the first is the one that sizes read
        axes.append(Axis(name, size))
    return TensorType(dtype_of(type_.dtype), tuple(axes))


def _split(b: Builder, frame: Frame, axis: ast.AxisType) -> tuple[str | None, Size | None]:
    """Name and size of a declared axis."""
    if axis.name is not None:
        if not is_axis_name(axis.name.text):
            raise mistake(
                "CS0243",
                f"`{axis.name.text}` cannot name an axis",
                axis.name.span,
                help="axis names begin with an upper-case letter",
            )
        if frame.scope.find(axis.name.text) is not None:
            if axis.size is not None:
                raise mistake("CS0243", f"`{axis.name.text}` is a name of this file, never an axis", axis.name.span)
            return None, size_of(b, frame, ast.Reference(axis.name.text, axis.name.span))
        return axis.name.text, size_of(b, frame, axis.size) if axis.size is not None else None
    assert axis.size is not None
    return None, size_of(b, frame, axis.size)


def _check_rank(b: Builder, type_: ast.Type) -> None:
    if len(type_.axes) > b.limits.rank:
        raise mistake(b.limits.code("rank"), f"a value has at most {b.limits.rank} axes", type_.span)


def count_of(b: Builder, frame: Frame, type_: ast.Type) -> int | None:
    """`f32[...] * n`: how many; None for a single value."""
    if type_.count is None:
        return None
    count = integer(b.evaluate(frame, type_.count), type_.count.span, "the number of values")
    if not 0 <= count <= 4096:
        raise mistake("CS0230", f"a tuple of {count} values", type_.count.span)
    return count


@dataclass(eq=False)
class Binding:
    """Axis names of a callee and what the caller calls them."""

    callers: dict[str, str | None] = field(default_factory=dict)
    """Callee's name -> caller's."""
    places: dict[str, Span] = field(default_factory=dict)


def bind_input(b: Builder, frame: Frame, port: ast.Port, item: Item, span: Span, binding: Binding) -> Item:
    """A given value as the callee's port sees it. Raises BuildError when it does not fit."""
    count = count_of(b, frame, port.type)
    if count is None:
        tensor = _adapted(b, frame, port, item, span)
        return _bind_one(b, frame, port, tensor, span, binding, frame.scope)
    if not isinstance(item, tuple) or len(item) != count:
        raise mistake(
            "CS0244",
            f"`{port.name.text}` takes a tuple of {count}, not {described(item)}",
            span,
            Label(port.span, "declared here"),
        )
    result: list[Item] = []
    for part in item:
        own = Scope(frame.scope)
        if BATCH in frame.scope.axes:
            own.axes[BATCH] = frame.scope.axes[BATCH]
        one = Binding({k: v for k, v in binding.callers.items() if k == BATCH})
        tensor = _adapted(b, frame, port, part, span)
        result.append(_bind_one(b, replace(frame, scope=own), port, tensor, span, one, own))
        if BATCH in own.axes:
            frame.scope.axes.setdefault(BATCH, own.axes[BATCH])
        for name, caller in one.callers.items():
            binding.callers.setdefault(name, caller)
    return tuple(result)


def _adapted(b: Builder, frame: Frame, port: ast.Port, item: Item, span: Span) -> Tensor:
    dtype = dtype_of(port.type.dtype)
    tensor = b.tensor(frame, item, span, dtype)
    if tensor.type.dtype is not dtype:
        if tensor.type.dtype.floating and dtype.floating:
            return b.cast(frame, tensor, dtype, span)
        raise mistake(
            "CS0245",
            f"`{port.name.text}` takes {dtype.value}, not {tensor.type}",
            span,
            Label(port.span, "declared here"),
            help=f"convert it: `cast[{dtype.value}](...)`",
        )
    return tensor


def _bind_one(
    b: Builder, frame: Frame, port: ast.Port, tensor: Tensor, span: Span, binding: Binding, scope: Scope
) -> Tensor:
    axes = port.type.axes
    if len(axes) != tensor.type.rank:
        raise mistake(
            "CS0246",
            f"`{port.name.text}` has {len(axes)} axes, but the value is {tensor.type}",
            span,
            Label(port.type.span, "declared here"),
            help=_fitting(axes, tensor.type),
        )
    result: list[Axis] = []
    for declared, given in zip(axes, tensor.type.axes, strict=True):
        name, size = _split(b, frame, declared)
        expected = size if size is not None else scope.axes.get(name or "")
        if expected is not None and not b.require_equal(expected, given.size, span):
            where = declared.span if size is not None or name not in binding.places else binding.places[name]
            raise mistake(
                "CS0247",
                f"{_axis(name)} of `{port.name.text}` is {expected}, but the value {tensor.type} has {given.size}",
                span,
                Label(where, "this size comes from here"),
                help="make the two sizes equal",
            )
        if name is not None:
            if scope.axes.get(name) is None:
                scope.axes[name] = given.size
                binding.places[name] = span
            binding.callers.setdefault(name, given.name)
        result.append(Axis(name, given.size))
    return tensor.seen_as(tensor.type.with_axes(tuple(result)))


def _fitting(declared: Sequence[ast.AxisType], given: TensorType) -> str:
    """What may be done about a value with another number of axes than its port."""
    known = {axis.name.text for axis in declared if axis.name is not None}
    more = [axis.name for axis in given.axes if axis.name is not None and axis.name not in known]
    if len(declared) + 1 == given.rank and len(more) == 1:
        last, whole = f"`select[{more[0]}, -1](...)`", f"`mean[over={more[0]}](...)`"
        return f"declare {more[0]} too, or leave it out: {last} is its last, {whole} is over all"
    return "reshape the value, or declare other axes"


def _axis(name: str | None) -> str:
    return f"the axis {name}" if name else "the axis"


def bind_output(b: Builder, frame: Frame, port: ast.Port, item: Item, span: Span, binding: Binding) -> Item:
    """A body's value as the caller sees it: declared sizes checked, the caller's names given back.

    An axis that only the out port names, without a size, is inferred: it keeps the name that the body's value has.
    """
    count = count_of(b, frame, port.type)
    if count is None:
        return _return_one(b, frame, port, b.tensor(frame, item, span, dtype_of(port.type.dtype)), span, binding)
    if not isinstance(item, tuple) or len(item) != count:
        raise mistake(
            "CS0244",
            f"`{port.name.text}` is a tuple of {count}, but the body gives {described(item)}",
            span,
            Label(port.span, "declared here"),
        )
    anew = {k: v for k, v in frame.scope.axes.items() if k == BATCH}
    parts: list[Item] = []
    for part in item:
        own = replace(frame, scope=Scope(frame.scope.parent, frame.scope.names, frame.scope.spans, dict(anew)))
        parts.append(_return_one(b, own, port, b.tensor(frame, part, span), span, binding))
    return tuple(parts)


def _return_one(b: Builder, frame: Frame, port: ast.Port, tensor: Tensor, span: Span, binding: Binding) -> Tensor:
    dtype = dtype_of(port.type.dtype)
    axes = port.type.axes
    if tensor.type.dtype is not dtype:
        raise mistake(
            "CS0245",
            f"`{port.name.text}` is {dtype.value}, but the body gives {tensor.type}",
            span,
            Label(port.span, "declared here"),
            help=f"convert it: `cast[{dtype.value}](...)`",
        )
    if len(axes) != tensor.type.rank:
        raise mistake(
            "CS0246",
            f"`{port.name.text}` has {len(axes)} axes, but the body gives {tensor.type}",
            span,
            Label(port.type.span, "declared here"),
            help=_fitting(axes, tensor.type),
        )
    result: list[Axis] = []
    for declared, given in zip(axes, tensor.type.axes, strict=True):
        name, size = _split(b, frame, declared)
        expected = size if size is not None else frame.scope.axes.get(name or "")
        if expected is not None and not b.require_equal(expected, given.size, span):
            raise mistake(
                "CS0247",
                f"{_axis(name)} of the output `{port.name.text}` is {expected}, but the body gives {tensor.type}",
                span,
                Label(declared.span, "declared here"),
                help="declare the size that the body gives, or change the body",
            )
        inferred = name is None or (expected is None and given.name is not None)
        label = given.name if inferred else name
        result.append(Axis(binding.callers.get(label, label) if label is not None else None, given.size))
    return tensor.seen_as(tensor.type.with_axes(tuple(result)))
