"""What a decision goes by: its score, found in the graph that computes the decision, and what estimators make of it.

A score is a real number that is positive where a yes-or-no decision is taken, or one number for each class. Every
function here adds calls through a `Maker`, so that the front end and passes can both ask. docs/language.md says the
rules in words (Training).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from cogseedc.ir.graph import Graph
from cogseedc.ir.nodes import Attrs, Call, Constant, Gate, GateKind, Node, NodeId, Value
from cogseedc.ir.opspec import OpSpec, Static
from cogseedc.ir.types import Dtype

LAYOUT = frozenset(("select", "slice", "squeeze", "unsqueeze", "permute", "expand", "identity", "flip"))
"""Operations that only move elements, so that what they do to a decision they can do to its score."""
_LOGIC = frozenset(("logical_and", "logical_or", "logical_not"))
_ORDER = {"gt": (0, 1, True), "ge": (0, 1, False), "lt": (1, 0, True), "le": (1, 0, False)}
"""Comparisons: which operand must be the larger one, and whether equal ones do not do."""
_PROBABILITIES = frozenset(("softmax", "log_softmax", "sigmoid"))
CERTAIN = 1e4
"""The score of what is not left to chance; finite, since infinities have no differences."""


class Maker(Protocol):
    """Adds calls to a graph."""

    @property
    def graph(self) -> Graph: ...

    def call(self, op: str, *operands: Value, **statics: Static) -> Value: ...
    def number(self, value: float) -> Value: ...


class Basis(Enum):
    """What an expression decides by."""

    SCORES = "scores"
    GATES = "gates"  # only by other gates that have estimators
    BOTH = "both"
    NOTHING = "nothing"  # by nothing that a gradient could pass: integers, equality, inputs


@dataclass(frozen=True, slots=True)
class Source:
    """A value without the layout operations on the way to it: these, in the order in which they are applied."""

    value: Value
    layout: tuple[NodeId, ...]


def source(graph: Graph, value: Value) -> Source:
    """Looks through layout operations."""
    layout: list[NodeId] = []
    while True:
        node = graph[value.node]
        if not isinstance(node, Call) or node.op not in LAYOUT:
            return Source(value, tuple(reversed(layout)))
        layout.append(value.node)
        value = _operand(graph, value.node)


def are_probabilities(graph: Graph, ops: Mapping[str, OpSpec], value: Value) -> bool:
    """Whether scores are made of probabilities, element by element: else they are logits."""
    pending, seen = [value], {value}
    while pending:
        node = graph[pending[-1].node]
        found = pending.pop()
        if not isinstance(node, Call):
            continue
        if node.op in ("sigmoid", "softmax"):
            return True
        if node.op in LAYOUT or ops[node.op].aligned or node.op == "cast":
            new = [v for v in graph.feeds(found.node) if v is not None and v not in seen]
            pending += new
            seen.update(new)
    return False


def replay(make: Maker, layout: Sequence[NodeId], value: Value, classes: bool = False) -> Value:
    """Applies layout operations to another value; with `classes` it has one axis more, the last."""
    for id in layout:
        node = make.graph[id]
        assert isinstance(node, Call)
        statics: dict[str, Static] = dict(_statics(node.attrs))
        if classes and node.op == "permute":
            statics["axes"] = (*node.attrs.integers("axes"), make.graph.type(value).rank - 1)
        value = make.call(node.op, value, **statics)
    return value


def _statics(attrs: Attrs) -> Iterator[tuple[str, Static]]:
    yield from attrs.items  # canonical attributes bind again, which a law of the table says


def _operand(graph: Graph, id: NodeId, port: int = 0) -> Value:
    value = graph.feeds(id)[port]
    assert value is not None, "a built call has its operands"
    return value


def top_of(graph: Graph, mask: Value) -> tuple[NodeId, NodeId] | None:
    """The `top_indices` that the mask of a k-of-n decision comes from, and the `top_mask` of it."""
    while isinstance(node := graph[mask.node], Call) and node.op == "capacity_mask":
        mask = _operand(graph, mask.node)
    if not isinstance(node, Call) or node.op != "top_mask":
        return None
    at = _operand(graph, mask.node).node
    found = graph[at]
    return (at, mask.node) if isinstance(found, Call) and found.op == "top_indices" and _counted(found) else None


def in_top_of(graph: Graph, decision: Value) -> Source | None:
    """The `in_top` that a decision is, but for its layout."""
    found = source(graph, decision)
    node = graph[found.value.node]
    return found if isinstance(node, Call) and node.op == "in_top" and _counted(node) else None


def _counted(node: Call) -> bool:
    """Whether it is known how many are taken."""
    return isinstance(node.attrs["k"], int)


def basis(graph: Graph, decision: Value, kind: GateKind) -> Basis:
    """What a gate's operand decides by."""
    if kind is GateKind.MANY:
        return Basis.SCORES if top_of(graph, decision) is not None else Basis.NOTHING
    found = source(graph, decision).value
    node = graph[found.node]
    if in_top_of(graph, decision) is not None or (isinstance(node, Call) and node.op in ("argmax", "argmin")):
        return Basis.SCORES
    scored, gates = False, False
    pending, seen = [(decision, True)], set[tuple[Value, bool]]()
    while pending:
        value, own = pending.pop()
        if (value, own) in seen:
            continue
        seen.add((value, own))
        node = graph[value.node]
        if isinstance(node, Gate):
            gates |= node.estimator is not None
            pending.append((_operand(graph, value.node), False))
        elif isinstance(node, Call) and (node.op in _LOGIC or node.op in LAYOUT):
            pending += [(v, own) for v in graph.feeds(value.node) if v is not None]
        elif own and kind is GateKind.BOOL and _compares(graph, value.node):
            scored = True
    if scored:
        return Basis.BOTH if gates else Basis.SCORES
    return Basis.GATES if gates else Basis.NOTHING


def _compares(graph: Graph, id: NodeId) -> bool:
    """Whether a node compares real numbers by size."""
    node = graph[id]
    if not isinstance(node, Call) or node.op not in _ORDER:
        return False
    return all(v is not None and graph.type(v).dtype.floating for v in graph.feeds(id))


# Scores


@dataclass(frozen=True, slots=True)
class Score:
    """The score of a yes-or-no decision, and whether it must be above zero, not at it."""

    value: Value
    strict: bool


def yes_or_no(make: Maker, decision: Value, logits: bool) -> Score:
    """The score of a boolean expression.

    Of `a > b` it is a - b; `and` is the minimum, `or` the maximum, `not` the negative; any other condition is
    certain. With `logits` a comparison of sigmoid(z) with a threshold t is that of z with log(t / (1 - t)), which
    decides alike; without, gradients come through the sigmoid.
    """
    graph = make.graph
    made: dict[Value, Score | None] = {}
    pending = [decision]
    while pending:
        value = pending[-1]
        node = graph[value.node]
        inner = isinstance(node, Call) and (node.op in _LOGIC or node.op in LAYOUT)
        parts = [v for v in graph.feeds(value.node) if v is not None] if inner else []
        missing = [v for v in parts if v not in made]
        if missing:
            pending += missing
            continue
        pending.pop()
        if value not in made:
            made[value] = _scored(make, value, parts, made, logits)
    return _or_certain(make, decision, made)


def _scored(
    make: Maker, value: Value, parts: Sequence[Value], made: dict[Value, Score | None], logits: bool
) -> Score | None:
    """None for `not isnan(x)`, and what leads to it: a score that is NaN takes nothing anyway."""
    node = make.graph[value.node]
    if isinstance(node, Call) and node.op == "isnan":
        return None
    if not isinstance(node, Call) or not parts:
        if _compares(make.graph, value.node):
            return _difference(make, value.node, logits)
        return _certain(make, value)
    if node.op in ("logical_and", "logical_or"):
        return _both(make, node, parts, made)
    inner = made[parts[0]]
    if inner is None:
        return None
    if node.op == "logical_not":
        return Score(make.call("neg", inner.value), not inner.strict)
    return Score(replay(make, (value.node,), inner.value), inner.strict)


def _both(make: Maker, node: Call, parts: Sequence[Value], made: dict[Value, Score | None]) -> Score:
    asked = [p for p in parts if node.op == "logical_or" or made[p] is not None] or list(parts[:1])
    scores = [_or_certain(make, p, made) for p in asked]
    if len(scores) == 1:
        return scores[0]
    name = "minimum" if node.op == "logical_and" else "maximum"
    strict = any(s.strict for s in scores)
    return Score(make.call(name, *(s.value for s in scores)), strict)


def _or_certain(make: Maker, value: Value, made: dict[Value, Score | None]) -> Score:
    found = made[value]
    return _certain(make, value) if found is None else found


def _certain(make: Maker, condition: Value) -> Score:
    return Score(make.call("where", condition, make.number(CERTAIN), make.number(-CERTAIN)), True)


def _difference(make: Maker, id: NodeId, logits: bool) -> Score:
    graph = make.graph
    node = graph[id]
    assert isinstance(node, Call)
    larger, smaller, strict = _ORDER[node.op]
    values = [_operand(graph, id, larger), _operand(graph, id, smaller)]
    limits = [_number(graph, v) for v in values]
    legal = all(limit is None or 0 < limit < 1 for limit in limits)
    if logits and legal and any(_is(graph, v, "sigmoid") for v in values):
        sides = [_odds(make, v) for v in values]
        limits = [None if limit is None else math.log(limit / (1 - limit)) for limit in limits]
    else:
        sides = _unrounded(make, values, limits, strict)
    sides = [v if graph.type(v).dtype is Dtype.F32 else make.call("cast", v, dtype=Dtype.F32) for v in sides]
    shape = node.type.shape
    if limits[1] == 0 and graph.type(sides[0]).shape == shape:
        return Score(sides[0], strict)
    if limits[0] == 0 and graph.type(sides[1]).shape == shape:
        return Score(make.call("neg", sides[1]), strict)
    return Score(make.call("sub", *sides), strict)


def _unrounded(make: Maker, values: Sequence[Value], limits: list[float | None], strict: bool) -> list[Value]:
    """The sides of a comparison without `round`: where a number is compared, with the half at which it rounds past."""
    sides: list[Value] = []
    for value in values:
        found = source(make.graph, value)
        rounded = _is(make.graph, value, "round")
        sides.append(replay(make, found.layout, _operand(make.graph, found.value.node)) if rounded else value)
    for side, other, step in ((0, 1, 1), (1, 0, -1)):
        limit = limits[other]
        if limit is not None and _is(make.graph, values[side], "round"):
            last = math.floor(step * limit) if strict else math.ceil(step * limit) - 1
            limits[other] = step * (last + 0.5)
            sides[other] = make.number(limits[other] or 0.0)
    return sides


def _odds(make: Maker, probability: Value) -> Value:
    """log(p / (1 - p))."""
    limit = _number(make.graph, probability)
    if limit is not None:
        return make.number(math.log(limit / (1 - limit)))
    if _is(make.graph, probability, "sigmoid"):
        found = source(make.graph, probability)
        return replay(make, found.layout, _operand(make.graph, found.value.node))
    rest = make.call("log", make.call("sub", make.number(1.0), probability))
    return make.call("sub", make.call("log", probability), rest)


def _is(graph: Graph, value: Value, op: str) -> bool:
    node = graph[source(graph, value).value.node]
    return isinstance(node, Call) and node.op == op


def _number(graph: Graph, value: Value) -> float | None:
    """The number that a literal is."""
    node = graph[value.node]
    same = isinstance(node, Constant) and len(set(node.values)) == 1
    return float(node.values[0]) if same and isinstance(node, Constant) else None


def classes(make: Maker, decision: Value) -> Value:
    """The scores of a one-of-n decision, the classes as a last axis."""
    found = source(make.graph, decision)
    node = make.graph[found.value.node]
    assert isinstance(node, Call), "`basis` found scores"
    over = node.attrs.integer("over")
    scores = unscaled(make, _operand(make.graph, found.value.node), over)
    scores = _last(make, scores, over)
    if node.op == "argmin":
        scores = make.call("neg", scores)
    if node.attrs.flag("keep"):
        scores = make.call("unsqueeze", scores, axes=over)
    return replay(make, found.layout, scores, classes=True)


def class_name(graph: Graph, decision: Value | None) -> str | None:
    """What the axis is called that an `argmax` chooses along."""
    at = None if decision is None else source(graph, decision).value.node
    node = None if at is None else graph[at]
    if at is None or not isinstance(node, Call) or node.op not in ("argmax", "argmin"):
        return None
    return graph.type(_operand(graph, at)).axes[node.attrs.integer("over")].name


def unscaled(make: Maker, scores: Value, over: int) -> Value:
    """Scores in f32, without a softmax or sigmoid that does not change their order."""
    node = make.graph[scores.node]
    if _orders(node, over):
        scores = _operand(make.graph, scores.node)
    return scores if make.graph.type(scores).dtype is Dtype.F32 else make.call("cast", scores, dtype=Dtype.F32)


def _orders(node: Node, over: int) -> bool:
    """Whether a node makes probabilities, in the order of its operand, along an axis."""
    if not isinstance(node, Call) or node.op not in _PROBABILITIES:
        return False
    return node.op == "sigmoid" or node.attrs.integer("over") == over


def _last(make: Maker, value: Value, axis: int) -> Value:
    rank = make.graph.type(value).rank
    if axis == rank - 1:
        return value
    return make.call("permute", value, axes=(*(i for i in range(rank) if i != axis), axis))


@dataclass(frozen=True, slots=True)
class Ranking:
    """The scores of a k-of-n decision, with how many of which axis it takes."""

    scores: Value
    k: int
    over: int
    layout: tuple[NodeId, ...] = ()
    """What is done to the decision afterwards."""

    def last(self, make: Maker, value: Value) -> Value:
        """A value like the scores with the classes as its last axis."""
        return _last(make, value, self.over)

    def back(self, make: Maker, value: Value) -> Value:
        """A value with the classes last, like the scores."""
        rank = make.graph.type(value).rank
        order = (*range(self.over), rank - 1, *range(self.over, rank - 1))
        return value if self.over == rank - 1 else make.call("permute", value, axes=order)

    def placed(self, make: Maker, value: Value) -> Value:
        """A value like the scores, laid out as the decision is."""
        return replay(make, self.layout, value)


def ranking(make: Maker, id: NodeId, layout: tuple[NodeId, ...] = ()) -> Ranking:
    """Of a `top_indices` or `in_top`."""
    node = make.graph[id]
    assert isinstance(node, Call)
    over = node.attrs.integer("over")
    return Ranking(unscaled(make, _operand(make.graph, id), over), node.attrs.integer("k"), over, layout)


# What is made of scores


def likelihood(make: Maker, kind: GateKind, scores: Value, decision: Value) -> Value:
    """The log-probability of a decision of kind BOOL or ONE, over its axes, where its scores are logits."""
    if kind is GateKind.BOOL:
        taken = make.call("detach", decision)  # it has been drawn: no gradient comes through it
        against = make.call("where", taken, make.call("neg", scores), scores)
        return make.call("neg", make.call("softplus", against))
    last = make.graph.type(scores).rank - 1
    index = make.call("unsqueeze", decision, axes=last)
    found = make.call("gather", make.call("log_softmax", scores, over=last), index, over=last)
    return make.call("squeeze", found, over=last)


def turns(make: Maker, rank: Ranking, indices: Value) -> Value:
    """For a k-of-n decision the log-probability of each choice in its turn, 0 for the others; the classes last."""
    return make.call("top_logp", rank.last(make, rank.scores), indices)
