"""How the values that the arms of a region give are brought together: made one type, and merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cogseedc.diagnostics import Label
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.model import BuildError, Bundle, Frame, GateRef, Item, Tensor, mistake
from cogseedc.ir import Axis, Dtype, GateKind, Merge, MergeMode, Size, TensorType, Value, promote
from cogseedc.record import record
from cogseedc.source import Span

_ONE = Size.of(1)


@record
class Join:
    """How the arms of a region are brought together."""

    mode: MergeMode
    gate: GateRef
    arms: tuple[int, ...]
    spans: tuple[Span, ...]
    """Where the values are given: one for each arm, and one more for what no arm covers."""
    span: Span
    weights: Tensor | None = None


def joined(b: Builder, frame: Frame, join: Join, values: Sequence[tuple[Item, ...]]) -> Item:
    """What a region gives, of the values that its arms give. Raises BuildError where these do not fit together."""
    if len({len(v) for v in values}) > 1 or any(isinstance(item, Bundle) for v in values for item in v[:1]):
        values = [_outputs(v) for v in values]
    counts = {len(v) for v in values}
    if len(counts) != 1:
        raise mistake(
            "CS0412",
            f"the arms give {' and '.join(str(len(v)) for v in values)} values",
            join.span,
            help="all arms yield the same number of values",
        )
    results = tuple(_merge(b, frame, join, [v[i] for v in values]) for i in range(counts.pop()))
    return results[0] if len(results) == 1 else results


def _outputs(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """What an arm gives: of a block that is one call, the outputs of the call."""
    if len(items) != 1:
        return items
    return items[0].items if isinstance(items[0], Bundle) else items[0] if isinstance(items[0], tuple) else items


def _merge(b: Builder, frame: Frame, join: Join, items: Sequence[Item]) -> Item:
    if any(isinstance(i, tuple) for i in items):
        return _merge_tuples(b, frame, join, items)
    tensors = _agreed(b, frame, join, items)
    type_ = tensors[0].type
    if join.mode in (MergeMode.WEIGHTED_SUM, MergeMode.MEAN) and not type_.dtype.floating:
        raise mistake("CS0413", f"`{join.mode.value}` needs floating values, not {type_}", join.span)
    count = len(join.arms)
    axes = (gate_axes(b, join.gate, type_, join.span),) * count if count else ()
    operands: list[Value | None] = [t.value for t in tensors[:count]]
    operands += [join.gate.decision.value] * count
    operands += [t.value for t in tensors[count:]]
    if join.weights is not None:
        operands.append(b.cast(frame, join.weights, type_.dtype, join.span).value)
    node = Merge(join.mode, join.arms, len(tensors) > count, axes, type_, b.origin(frame, join.span, "merge"))
    id = b.add(node, operands, frame)
    if any(v is not None and v.node in b.coupled for v in operands):
        b.coupled.add(id)
    return Tensor(Value(id), type_, tensors[0].geometry)


def _merge_tuples(b: Builder, frame: Frame, join: Join, items: Sequence[Item]) -> Item:
    lengths = {len(i) if isinstance(i, tuple) else -1 for i in items}
    if len(lengths) != 1:
        raise mistake("CS0412", "the arms give tuples of different length", join.span)
    columns = ([item[i] for item in items if isinstance(item, tuple)] for i in range(lengths.pop()))
    return tuple(_merge(b, frame, join, column) for column in columns)


def _agreed(b: Builder, frame: Frame, join: Join, items: Sequence[Item]) -> list[Tensor]:
    """The arms' values with one type; a literal takes the others'."""
    spans = join.spans
    known = {
        i: b.tensor(frame, item, at)
        for i, (item, at) in enumerate(zip(items, spans, strict=True))
        if not _literal(item)
    }
    if not known:
        return _literal_arms(b, frame, join, items)
    model = next(iter(known.values()))
    dtype = model.type.dtype
    for tensor in known.values():
        dtype = promote(dtype, tensor.type.dtype)
    if not dtype.floating and any(isinstance(i, float) for i in items):
        dtype = Dtype.F32
    result: list[Tensor] = []
    for i, (item, at) in enumerate(zip(items, spans, strict=True)):
        given = known.get(i)
        tensor = given if given is not None else _filled(b, frame, item, model.type.with_dtype(dtype), at)
        if given is not None and given is not model:
            _same_shape(b, tensor.type, model.type, at, spans[next(iter(known))])
            if tensor.geometry != model.geometry:
                raise mistake("CS0238", f"the arms give a {model.geometry} and a {tensor.geometry} value", at)
        tensor = b.cast(frame, tensor, dtype, at)
        result.append(replace(tensor, type=model.type.with_dtype(dtype)))
    return result


def _literal(item: Item) -> bool:
    return isinstance(item, (bool, int, float, Size))


def _literal_arms(b: Builder, frame: Frame, join: Join, items: Sequence[Item]) -> list[Tensor]:
    fractional = any(isinstance(i, float) for i in items)
    dtype = (
        Dtype.BOOL
        if all(isinstance(i, bool) for i in items)
        else Dtype.F32
        if fractional or join.gate.kind is GateKind.MANY
        else Dtype.I64
    )
    type_ = TensorType(dtype, _axes(join.gate))
    return [_filled(b, frame, item, type_, at) for item, at in zip(items, join.spans, strict=True)]


def _filled(b: Builder, frame: Frame, item: Item, type_: TensorType, span: Span) -> Tensor:
    if isinstance(item, float) and not type_.dtype.floating:
        raise mistake("CS0234", f"the arm gives the fraction {item!r}, the others {type_}", span)
    scalar = b.tensor(frame, item, span, type_.dtype)
    if not type_.rank:
        return scalar
    return replace(b.one(frame, "expand", scalar, span=span, sizes=type_.shape), type=type_)


def _same_shape(b: Builder, a: TensorType, other: TensorType, span: Span, first: Span) -> None:
    axes = zip(a.axes, other.axes, strict=True) if a.rank == other.rank else None
    if axes is not None and all(b.require_equal(x.size, y.size, span) for x, y in axes):
        return
    raise mistake(
        "CS0235",
        f"the arms differ: `{a}` here, `{other}` there",
        span,
        Label(first, f"this arm gives `{other}`"),
        help="arms of one region give values of one type",
    )


def gate_axes(b: Builder, gate: GateRef, type_: TensorType, span: Span) -> tuple[int, ...]:
    """Positions of the gate's axes in the merged value. Raises BuildError when it lacks one."""
    positions: list[int] = []
    for axis in _axes(gate):
        at = type_.position(axis.name) if axis.name is not None else None
        if at is None or at in positions:
            same = [
                i
                for i, a in enumerate(type_.axes)
                if a.size == axis.size
                and a.size != _ONE
                and i not in positions
                and (a.name is None or axis.name is None or (a.size == axis.size and a.size.value is None))
            ]
            at = same[0] if same else None
        if at is None or not b.require_equal(type_.axes[at].size, axis.size, span):
            raise _lacking(b, gate, axis, type_, span)
        positions.append(at)
    return tuple(positions)


def _lacking(b: Builder, gate: GateRef, axis: Axis, type_: TensorType, span: Span) -> BuildError:
    """CS0414: the value has no such axis, or one of that name in another size."""
    where = b.graph[gate.node].origin.span
    if axis.name is not None and type_.position(axis.name) is not None:
        message = f"the gate is over {axis}, but the value is `{type_}`"
        help = "decide about the value itself, or bring the decision to its size"
    else:
        message = f"the gate is over {axis.name or axis.size}, which the value `{type_}` lacks"
        alike = next((a.name for a in type_.axes if a.name and a.size == axis.size and a.size != _ONE), None)
        help = f"give the value the axis: `expand[{axis.name}](...)`" if axis.name else ""
        if axis.name and alike:
            help = (
                f"axes meet by name: decide over {alike}, or name it anew, `join[over={alike}, into={axis.name}](...)`"
            )
    return mistake("CS0414", message, span, *([Label(where, "the gate is declared here")] if where else []), help=help)


def _axes(gate: GateRef) -> tuple[Axis, ...]:
    """The axes that a gate decides over."""
    axes = gate.decision.type.axes
    return axes[:-1] if gate.kind is GateKind.MANY else axes
