"""Gates: from a decided value to a gate node, with the rule that NaN is never taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cogseedc.diagnostics import Diagnostic, Label, Severity
from cogseedc.frontend import ast
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.estimators import alone, fitting, held
from cogseedc.frontend.build.model import ArmOf, Frame, GateRef, Item, Tensor, Top, Via, mistake
from cogseedc.frontend.build.names import described
from cogseedc.ir import (
    Axis,
    Call,
    Constant,
    Dtype,
    Gate,
    GateKind,
    Knob,
    Size,
    Value,
)
from cogseedc.limits import Limits
from cogseedc.source import Span

_LOGICAL = frozenset(("logical_and", "logical_or", "logical_not", "logical_xor"))
_LAYOUT = frozenset(("squeeze", "unsqueeze", "permute", "select", "slice", "expand", "cast", "identity", "reshape"))
_COMPARISONS = frozenset(("lt", "le", "gt", "ge", "eq", "ne"))
_ONE = Size.of(1)


def gate(
    b: Builder,
    frame: Frame,
    item: Item,
    name: str,
    span: Span,
    over: Sequence[ast.Name] | None = None,
    via: Via | None = None,
) -> GateRef:
    """Makes a gate of a decided item. `over` are the declared axes; None: those that it has."""
    if isinstance(item, Top):
        return _many(b, frame, item, name, span, over, via)
    if isinstance(item, GateRef) and item.kind is GateKind.MANY:
        assert item.top is not None
        if via is not None:
            alone(b, item, via, span)
        return _many(b, frame, item.top, name, span, over, via)
    tensor = item.decision if isinstance(item, GateRef) else b.tensor(frame, item, span)
    dtype = tensor.type.dtype
    if dtype.floating:
        raise mistake(
            "CS0401",
            f"a gate is bool, one-of-n or k-of-n, but this is {tensor.type}",
            span,
            help="compare it (`... > 0`), or take `argmax(...)` or `top[k](...)` of it",
        )
    tensor = _over(b, without_ones(b, frame, tensor, span), over, span)
    names = tuple(a.name or "_" for a in tensor.type.axes)
    if dtype is Dtype.BOOL:
        tensor = nan_never(b, frame, tensor, span)
        return _made(b, frame, GateKind.BOOL, 2, names, tensor, None, name, span, via)
    tensor = b.cast(frame, tensor, Dtype.I64, span)
    count = classes(b, tensor.value)
    if count is None or count > b.limits.arms:  # what routes it says how many classes there are
        _batch_coupled(b, frame, tensor, span)
        if via is not None:
            held(b, tensor, GateKind.ONE, via, span)
        return GateRef(tensor.value.node, name, GateKind.ONE, 0, tensor, names, None)
    return _made(b, frame, GateKind.ONE, count, names, tensor, None, name, span, via)


def bounded(b: Builder, frame: Frame, whole: GateRef, count: int, span: Span) -> GateRef:
    """A gate of an integer of unknown range: the classes from `count` on, and negative ones, are all class `count`."""
    key = (whole.decision.value, count)
    if key not in b.bounded:
        raw = whole.decision
        last = b.constant(frame, count, Dtype.I64, span)
        low = b.call(frame, "lt", [raw, b.constant(frame, 0, Dtype.I64, span)], span)[0]
        wrong = b.call(frame, "logical_or", [low, b.call(frame, "gt", [raw, last], span)[0]], span)[0]
        value = replace(b.call(frame, "where", [wrong, last, raw], span)[0], type=raw.type)
        b.bounded[key] = _made(b, frame, GateKind.ONE, count + 1, whole.over, value, None, whole.name, span, None)
    return b.bounded[key]


def _many(
    b: Builder,
    frame: Frame,
    top: Top,
    name: str,
    span: Span,
    over: Sequence[ast.Name] | None,
    via: Via | None,
) -> GateRef:
    rest = top.mask.type.with_axes(top.mask.type.axes[:-1])
    _over(b, replace(top.mask, type=rest), over, span)
    if top.classes > b.limits.arms:
        message = f"the gate `{name}` has {top.classes:,} arms, the limit is {b.limits.arms:,}"
        raise mistake(Limits.code("arms"), message, span, help="take fewer classes; `take` looks one of many up")
    names = tuple(n or "_" for n in rest.names)
    return _made(b, frame, GateKind.MANY, top.classes, names, top.mask, top, name, span, via)


def _made(
    b: Builder,
    frame: Frame,
    kind: GateKind,
    arms: int,
    over: tuple[str, ...],
    decided: Tensor,
    top: Top | None,
    name: str,
    span: Span,
    via: Via | None,
) -> GateRef:
    _batch_coupled(b, frame, decided, span)
    path = b.call_path(frame, name)
    estimator = None if via is None else held(b, decided, kind, via, span)
    node = Gate(path, kind, arms, over, decided.type, estimator, origin=replace(frame.origin, path=path, span=span))
    operands = [decided.value] if top is None else [decided.value, top.indices.value]
    if via is not None:
        operands += [value.value for value in fitting(b, frame, decided, kind, via)]
    id = b.add(node, operands, frame)
    if decided.value.node in b.coupled:
        b.coupled.add(id)
    found = GateRef(id, path, kind, arms, Tensor(Value(id), decided.type), over, top)
    b.gate_refs[id] = found
    return found


def _batch_coupled(b: Builder, frame: Frame, decided: Tensor, span: Span) -> None:
    """A decision that mixes the batch is noted; inside a region over the batch it is refused."""
    if decided.value.node not in b.coupled:
        return
    outer = next((a.gate for a in frame.arms if a.gate.decision.type.batch is not None), None)
    if outer is not None:
        where = b.graph[outer.node].origin.span
        raise mistake(
            "CS0404",
            "a gate that mixes the batch stands inside a region gated per sample",
            span,
            *([Label(where, "this gate is over N")] if where else []),
            help="move the batch-wide decision out of the region",
        )
    b.diagnostics.add(
        Diagnostic(
            "CS0424",
            "this gate's decisions depend on the whole batch",
            (Label(span),),
            "decide per sample, unless the batch is what you mean",
            Severity.NOTE,
        )
    )


def operands(b: Builder, value: Value) -> tuple[Value | None, ...]:
    """What feeds the node of a value."""
    return b.graph.feeds(value.node)


def without_ones(b: Builder, frame: Frame, tensor: Tensor, span: Span) -> Tensor:
    """The decision without its axes of size one."""
    ones = tuple(i for i, a in enumerate(tensor.type.axes) if a.size == _ONE)
    if not ones:
        return tensor
    result = b.one(frame, "squeeze", tensor, span=span, over=ones)
    kept = tuple(a for i, a in enumerate(tensor.type.axes) if i not in ones)
    return result.seen_as(result.type.with_axes(kept))


def _over(b: Builder, tensor: Tensor, over: Sequence[ast.Name] | None, span: Span) -> Tensor:
    """Checks the declared axes against those that the decision has, and names an unnamed one."""
    if over is None:
        return tensor
    declared = [n.text for n in over]
    axes = list(tensor.type.axes)
    unnamed = [i for i, a in enumerate(axes) if a.name is None]
    missing = [n for n in declared if n not in tensor.type.names]
    if len(unnamed) == len(missing) == 1:
        axes[unnamed[0]] = Axis(missing[0], axes[unnamed[0]].size)
    has = [a.name for a in axes]
    if sorted(map(str, has)) != sorted(declared):
        shown = ", ".join(n or "unnamed" for n in has) or "no axes"
        raise mistake(
            "CS0405",
            f"the gate is declared over {', '.join(declared)}, but its decision has {shown}",
            span,
            help=f"reduce what is too much, or declare `over {', '.join(n for n in has if n)}`",
        )
    return tensor.seen_as(tensor.type.with_axes(tuple(axes)))


def classes(b: Builder, value: Value) -> int | None:
    """How many values an integer decision can have, when it is known: argmax, a bounded knob, a literal."""
    while True:
        node = b.graph[value.node]
        match node:
            case Call(op="argmax" | "argmin", attrs=attrs):
                source = operands(b, value)[0]
                assert source is not None
                axis = attrs["axis"] if "axis" in attrs else attrs["over"]
                at = axis if isinstance(axis, int) else axis[0] if isinstance(axis, tuple) else -1
                assert isinstance(at, int)
                return b.graph.type(source).axes[at].size.value
            case Call(op=op) if op in _LAYOUT or op == "clamp":
                source = operands(b, value)[0]
                assert source is not None
                value = source
            case Knob(low=low, high=high):
                return int(high) + 1 if low >= 0 else None
            case Constant(values=values):
                return int(max(values)) + 1
            case Gate(arms=arms):
                return arms or None
            case _:
                return None


# NaN


def nan_never(b: Builder, frame: Frame, tensor: Tensor, span: Span) -> Tensor:
    """The decision with every index cleared where an operand of one of its comparisons is NaN (language: Meaning).

    A comparison other than `!=` is false for NaN already, and stays so under `and`: nothing is added then. A gate
    that the decision reads is looked through where it is negated: its NaN made it false, so `not` would take it.
    """
    leaves: list[tuple[Value, tuple[Value, ...], bool]] = []
    pending: list[tuple[Value, tuple[Value, ...], bool]] = [(tensor.value, (), True)]
    seen: set[tuple[Value, bool]] = set()
    while pending:
        value, layout, safe = pending.pop()
        if (value, safe) in seen:
            continue
        seen.add((value, safe))
        node = b.graph[value.node]
        sources = [v for v in operands(b, value) if v is not None]
        if isinstance(node, Gate) and node.kind is GateKind.BOOL and not safe:
            pending.append((sources[0], layout, safe))
        if not isinstance(node, Call):
            continue
        if node.op in _LOGICAL:
            pending += [(v, layout, safe and node.op == "logical_and") for v in sources]
        elif node.op in _LAYOUT and b.graph.type(sources[0]).dtype is Dtype.BOOL:
            pending.append((sources[0], (*layout, value), safe))
        elif node.op in _COMPARISONS:
            leaves.append((value, layout, safe and node.op != "ne"))
    result = tensor
    for value, layout, safe in leaves:
        if not safe:
            for source in operands(b, value):
                if source is not None:
                    result = _and_not_nan(b, frame, result, source, value, layout, span)
    return result


def _and_not_nan(
    b: Builder, frame: Frame, decision: Tensor, source: Value, comparison: Value, layout: tuple[Value, ...], span: Span
) -> Tensor:
    type_ = b.graph.type(source)
    if not type_.dtype.floating or isinstance(b.graph[source.node], Constant):
        return decision
    unknown = b.one(frame, "isnan", Tensor(source, type_), span=span)
    shape = b.graph.type(comparison).shape
    if unknown.type.shape != shape and layout:
        unknown = b.one(frame, "expand", unknown, span=span, sizes=shape)
    for step in reversed(layout):
        node = b.graph[step.node]
        assert isinstance(node, Call)
        id = b.add(replace(node, types=(node.type,)), (unknown.value,), frame)
        unknown = Tensor(Value(id), node.type)
    valid = b.call(frame, "logical_not", [unknown], span)[0]
    result = b.call(frame, "logical_and", [decision, valid], span)[0]
    return result.seen_as(decision.type)


# Where an arm is taken


def taken(b: Builder, frame: Frame, gate: GateRef, arm: int, span: Span) -> Tensor:
    """The boolean, over the gate's axes, that the gate took an arm; made once per arm."""
    key = (gate.node, arm)
    b.cases.setdefault(gate.node, {})[arm] = None
    if key not in b.taken:
        outside = replace(frame, arms=_around(b, frame, gate))
        b.taken[key] = _is_arm(b, outside, gate, arm, span)
    return b.taken[key]


def _around(b: Builder, frame: Frame, gate: GateRef) -> tuple[ArmOf, ...]:
    inside = b.arms.get(gate.node, ())
    return frame.arms[: len(inside)]


def _is_arm(b: Builder, frame: Frame, gate: GateRef, arm: int, span: Span) -> Tensor:
    match gate.kind:
        case GateKind.BOOL:
            return gate.decision if arm == 1 else b.call(frame, "logical_not", [gate.decision], span)[0]
        case GateKind.ONE:
            index = b.constant(frame, arm, Dtype.I64, span)
            result = b.call(frame, "eq", [gate.decision, index], span)[0]
            return result.seen_as(gate.decision.type.with_dtype(Dtype.BOOL))
        case GateKind.MANY:
            result = b.one(frame, "select", gate.decision, span=span, axis=gate.decision.type.rank - 1, index=arm)
            return result.seen_as(gate.decision.type.with_axes(gate.decision.type.axes[:-1]))


def condition(b: Builder, frame: Frame, item: Item, name: str, span: Span) -> GateRef:
    """The gate of a region: a named one, or an anonymous one that is made once per boolean."""
    if isinstance(item, GateRef):
        return item
    if isinstance(item, Top):
        return gate(b, frame, item, name, span)
    if not isinstance(item, Tensor):
        raise mistake("CS0401", f"a region is governed by a decision, not by {described(item)}", span)
    if item.value not in b.gates:
        b.gates[item.value] = gate(b, frame, item, name, span)
    found = b.gates[item.value]
    if len(found.decision.type.axes) == len(item.type.axes):
        decision = found.decision.seen_as(found.decision.type.with_axes(item.type.axes))
        return replace(found, decision=decision, over=tuple(n or "_" for n in item.type.names))
    return found


def indexed(b: Builder, frame: Frame, form: tuple[GateRef, Tensor, Span]) -> Item:
    """`use[L=i]`: a gate over the axes that are left."""
    whole, tensor, span = form
    if tensor.value in b.gates:
        return b.gates[tensor.value]
    name = whole.name.rsplit(".", 1)[-1]
    part = gate(
        b,
        replace(frame, calls=whole.name.rpartition(".")[0]),
        tensor,
        f"{name}.{_index(b, tensor)}",
        span,
    )
    b.gates[tensor.value] = part
    return part


def _index(b: Builder, tensor: Tensor) -> str:
    node = b.graph[tensor.value.node]
    return str(node.attrs["index"]) if isinstance(node, Call) and "index" in node.attrs else "part"
