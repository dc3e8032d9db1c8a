"""`via`: which estimator a gate is trained by, with what arguments, and whether its decision has a score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cogseedc.diagnostics import Label
from cogseedc.frontend import ast
from cogseedc.frontend.build.align import aligned
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.model import Frame, GateRef, Item, Tensor, Via, mistake
from cogseedc.frontend.build.names import suggestion
from cogseedc.frontend.build.statics import is_static, number
from cogseedc.ir import Axis, Dtype, Estimator, Gate, GateKind, Graph, Static, Value
from cogseedc.ops import scores
from cogseedc.ops.scores import Basis
from cogseedc.source import Span

ESTIMATORS = {
    "gumbel": "temperature",
    "straight_through": "",
    "soft": "",
    "reinforce": "baseline",
}
"""Estimators, and the argument that each takes."""


def via(b: Builder, frame: Frame, expr: ast.Expr | None) -> Via | None:
    """`via gumbel[temperature=0.5]`, or `via gumbel(temperature=tau)` with a value."""
    if expr is None:
        return None
    name, arguments = _parts(expr)
    numbers: list[tuple[str, float]] = []
    values: list[tuple[str, Tensor]] = []
    for argument, static in arguments:
        key = argument.name.text if isinstance(argument, ast.Keyword) else ESTIMATORS[name]
        if isinstance(argument, ast.Slice) or not key or key != ESTIMATORS[name]:
            raise mistake("CS0406", f"`{name}` takes {ESTIMATORS[name] or 'no arguments'}", argument.span)
        if key in (*dict(numbers), *dict(values)):
            raise mistake("CS0211", f"`{key}` is given twice", argument.span)
        item = b.evaluate(frame, argument.value)
        if is_static(item) and not isinstance(item, (bool, str)):
            found = float(_number(item, argument.span))
            if key == "temperature" and not found > 0:
                raise mistake("CS0406", f"a temperature is above zero, not {found!r}", argument.span)
            numbers.append((key, found))
        elif static:
            raise mistake(
                "CS0212",
                "static arguments are known at compile time, but this is a value",
                argument.span,
                help=f"a value stands in (...): `{name}({key}=...)`",
            )
        else:
            values.append((key, b.tensor(frame, item, argument.span)))
    chosen = Estimator(name, tuple(numbers), tuple(key for key, _ in values))
    return Via(chosen, tuple(value for _, value in values), expr.span)


def _parts(expr: ast.Expr) -> tuple[str, list[tuple[ast.Argument, bool]]]:
    """Name and arguments of an estimator, these with whether they are static."""
    whole, found = expr, list[tuple[ast.Argument, bool]]()
    if isinstance(expr, ast.Apply):
        found += [(argument, False) for argument in expr.arguments]
        expr = expr.callee
    if isinstance(expr, ast.Configure):
        found = [(argument, True) for argument in expr.arguments] + found
        expr = expr.callee
    if not isinstance(expr, ast.Reference) or expr.name not in ESTIMATORS:
        shown = expr.name if isinstance(expr, ast.Reference) else whole.span.text
        help = suggestion(shown, ESTIMATORS) or f"one of {', '.join(ESTIMATORS)}"
        raise mistake("CS0406", f"`{shown}` is no estimator", expr.span, help=help)
    return expr.name, found


def _number(item: Item, span: Span) -> int | float:
    found = number(item, span)
    if not isinstance(found, (int, float)):
        raise mistake("CS0204", "a number is expected here", span)
    return found


def held(b: Builder, decided: Tensor, kind: GateKind, given: Via, span: Span) -> Estimator:
    """The estimator, once it is clear that the decision has a score of its own."""
    basis = scores.basis(b.graph, decided.value, kind)
    if basis is Basis.NOTHING:
        raise mistake(
            "CS0457",
            f"`{given.estimator.name}` finds no score in this decision",
            span,
            Label(given.span, "the estimator"),
            help="compare real numbers by size (`s > 0`), or take `argmax`, `top[k]` or `in_top[k]` of scores",
        )
    if basis is not Basis.SCORES:
        raise _of_gates(span, given)
    return given.estimator


def alone(b: Builder, gate: GateRef, given: Via, span: Span) -> None:
    """Refuses an estimator for the choice of a gate that has one already."""
    node = b.graph[gate.node]
    if isinstance(node, Gate) and node.estimator is not None:
        raise _of_gates(span, given)


def _of_gates(span: Span, given: Via) -> Exception:
    return mistake(
        "CS0458",
        "this decision is made of gates that have estimators themselves",
        span,
        Label(given.span, "this one is one too many"),
        help="leave it out, and name what is compared here as a gate of its own",
    )


def fitting(b: Builder, frame: Frame, decided: Tensor, kind: GateKind, given: Via) -> Iterator[Tensor]:
    """The values of an estimator, in f32, laid along the axes of the gate."""
    axes = decided.type.axes[:-1] if kind is GateKind.MANY else decided.type.axes
    for name, value in zip(given.estimator.inputs, given.values, strict=True):
        if not value.type.dtype.floating and value.type.dtype is not Dtype.I64:
            raise mistake("CS0406", f"the {name} is a number, not {value.type}", given.span)
        number = _without_ones(b, frame, b.cast(frame, value, Dtype.F32, given.span), given.span)
        known = {axis.name for axis in axes}
        if number.type.rank and (name == "temperature" or not {a.name for a in number.type.axes} <= known):
            wanted = "without axes" if name == "temperature" else "over axes of the gate"
            raise mistake("CS0406", f"the {name} is one number, {wanted}, not {value.type}", given.span)
        if number.type.rank and number.type.rank != len(axes):
            whole = b.one(frame, "zeros", span=given.span, sizes=tuple(axis.size for axis in axes))
            like = Tensor(whole.value, whole.type.with_axes(axes))
            operands, _ = aligned(b, frame, "add", [like, number], [given.span] * 2, given.span)
            number = b.call(frame, "add", operands, given.span)[0]
        yield number


def _without_ones(b: Builder, frame: Frame, value: Tensor, span: Span) -> Tensor:
    """Without axes of size one, as gates are."""
    ones = tuple(i for i, axis in enumerate(value.type.axes) if axis.size.value == 1)
    if not ones:
        return value
    kept = tuple(axis for i, axis in enumerate(value.type.axes) if i not in ones)
    squeezed = b.one(frame, "squeeze", value, span=span, over=ones)
    return squeezed.seen_as(squeezed.type.with_axes(kept))


# What a gate is made by, as values


@dataclass(frozen=True)
class _Maker:
    """Adds calls where a part of a gate is read."""

    b: Builder
    frame: Frame
    span: Span

    @property
    def graph(self) -> Graph:
        return self.b.graph

    def call(self, op: str, *operands: Value, **statics: Static) -> Value:
        tensors = [Tensor(value, self.graph.type(value)) for value in operands]
        return self.b.one(self.frame, op, *tensors, span=self.span, **statics).value

    def number(self, value: float) -> Value:
        return self.b.constant(self.frame, value, Dtype.F32, self.span).value


def part(b: Builder, frame: Frame, gate: GateRef, name: str, span: Span) -> Tensor:
    """`g.scores g.weights g.mask g.logp`. Raises BuildError CS0450 where the decision has no score of its own."""
    make = _Maker(b, frame, span)
    if name == "mask":
        if gate.kind is not GateKind.ONE:
            return gate.decision
        return _classes(make, gate, make.call("one_hot", gate.decision.value, classes=gate.arms, dtype=Dtype.BOOL))
    if gate.top is not None and name in ("scores", "weights"):
        return gate.top.scores if name == "scores" else gate.top.weights
    decided = b.graph.feeds(gate.node)[0] if isinstance(b.graph[gate.node], Gate) else None
    if decided is None or scores.basis(b.graph, decided, gate.kind) is not Basis.SCORES:
        message = f"the gate `{gate.name}` has no `{name}`: it does not compare scores of its own"
        help = "read it of the gates that this one is made of, or use the values"
        raise mistake("CS0450", message, span, help=help)
    if gate.kind is GateKind.MANY:
        found = scores.top_of(b.graph, decided)
        assert found is not None
        terms = scores.turns(make, scores.ranking(make, found[0]), Value(found[0]))
        return _named(make, gate, make.call("sum", terms, over=b.graph.type(terms).rank - 1))
    chosen = scores.in_top_of(b.graph, decided) if gate.kind is GateKind.BOOL else None
    if chosen is None:
        return _plain(make, gate, decided, name)
    if name == "logp":
        message = f"the gate `{gate.name}` has no `logp`: a mask does not say in which order it was drawn"
        raise mistake("CS0450", message, span, help="choose with `top[k]`, which keeps the order")
    return _in_top(make, gate, chosen, name)


def _plain(make: _Maker, gate: GateRef, decided: Value, name: str) -> Tensor:
    one = gate.kind is GateKind.ONE
    found = scores.classes(make, decided) if one else scores.yes_or_no(make, decided, logits=True).value
    if name == "logp":
        return _named(make, gate, scores.likelihood(make, gate.kind, found, gate.decision.value))
    if name == "weights":
        found = (
            make.call("softmax", found, over=make.graph.type(found).rank - 1) if one else make.call("sigmoid", found)
        )
    return _classes(make, gate, found) if one else _named(make, gate, found)


def _in_top(make: _Maker, gate: GateRef, chosen: scores.Source, name: str) -> Tensor:
    rank = scores.ranking(make, chosen.value.node, chosen.layout)
    found = rank.scores
    if name == "weights":
        found = make.call("soft_top", found, k=rank.k, over=rank.over)
    return _named(make, gate, rank.placed(make, found))


def _named(make: _Maker, gate: GateRef, value: Value) -> Tensor:
    """A value over the axes of the gate."""
    axes = gate.decision.type.axes[:-1] if gate.kind is GateKind.MANY else gate.decision.type.axes
    return Tensor(value, make.graph.type(value).with_axes(axes))


def _classes(make: _Maker, gate: GateRef, value: Value) -> Tensor:
    """A value over the axes of the gate and its classes, which are named as in the scores."""
    last = make.graph.type(value).axes[-1]
    node = make.graph[gate.node]
    name = scores.class_name(make.graph, make.graph.feeds(gate.node)[0]) if isinstance(node, Gate) else None
    name = name if name not in gate.decision.type.names else None
    return Tensor(value, make.graph.type(value).with_axes((*gate.decision.type.axes, Axis(name, last.size))))
