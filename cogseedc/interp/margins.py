"""How near a decision was to being another: the smallest distance over what it is made of. Changes no value.

Walks back from a discrete value through logic and moves to comparisons, argmax and top. A comparison of a and b
has the margin |a - b|, argmax the best minus the second, top the k-th minus the (k+1)-th. Infinite: exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from cogseedc.interp.evaluate import Site, State
from cogseedc.interp.schedule import Schedule, Step
from cogseedc.ir import Call, Constant, Exit, Gate, Input, Knob, Merge, NodeId, Return, Size, Value, Weight
from cogseedc.lazy import lazy
from cogseedc.ops import OPS

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array

    Decide = Callable[[Call, Sequence[Array], Mapping[str, int]], Array]
else:
    np = lazy("numpy")

COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
MOVES = frozenset(
    {"permute", "unsqueeze", "squeeze", "expand", "reshape", "flatten", "select", "slice", "concat", "split", "join"}
)
"""Operations whose reference moves elements whatever they are, so that it moves their margins too."""
ELEMENTWISE = frozenset({"cast", "top_mask", "logical_not"})
"""Operations, beside the aligned ones, whose result at an index depends on their operands there alone."""
EXACT = frozenset({"isnan", "isinf", "isfinite", "size_value", "range", "zeros", "ones", "full", "size"})
"""Discrete results that no rounding changes."""


def margins(plan: Schedule, state: State, sizes: Mapping[str, int], wanted: Sequence[Value]) -> dict[Value, Array]:
    """The margin of each wanted discrete value, broadcastable to its shape (top_indices: 1 along its last axis)."""
    walk = _Walk(plan, state, sizes)
    with np.errstate(all="ignore"):
        return {value: walk.margin(value) for value in wanted}


class _Walk:
    """Margins of discrete values, each computed once."""

    def __init__(self, plan: Schedule, state: State, sizes: Mapping[str, int]) -> None:
        self.plan, self.state, self.sizes = plan, state, sizes
        self.found: dict[NodeId, Array] = {}

    def margin(self, value: Value) -> Array:
        stack = [value.node]
        while stack:
            id = stack[-1]
            step = self.plan.step[id]
            waiting = [v.node for v in self._discrete(step) if v.node not in self.found]
            if id not in self.found and waiting:
                stack += waiting
                continue
            self.found.setdefault(id, self._of(step))
            stack.pop()
        return self.found[value.node]

    def _discrete(self, step: Step) -> list[Value]:
        """Operands that are themselves made of decisions."""
        if isinstance(step.node, Call) and (step.node.op in _DECISIONS or step.node.op in EXACT):
            return []
        operands = (
            step.operands[:1] if isinstance(step.node, (Gate, Exit)) else (*step.operands, *map(Value, step.exits))
        )
        return [v for v in operands if v is not None and not self._floating(v)]

    def _floating(self, value: Value) -> bool:
        step = self.plan.step[value.node]
        return not isinstance(step.node, Exit) and step.outputs[value.port].dtype.floating

    def _of(self, step: Step) -> Array:
        operands = [self.found[v.node] for v in self._discrete(step)]
        node = step.node
        if isinstance(node, (Input, Weight, Knob, Constant)) or (isinstance(node, Call) and node.op in EXACT):
            return np.asarray(np.inf)
        if isinstance(node, (Gate, Exit)):
            return operands[0]
        if isinstance(node, (Merge, Return)):
            shapes = {part.shape for part in self.state.values[step.id]}
            least = _least(operands, next(iter(self.state.values[step.id])).shape)
            return least if len(shapes) == 1 else np.asarray(np.min(least, initial=np.inf))
        if isinstance(node, Call):
            return self._of_call(step, node, operands)
        return np.asarray(0.0)

    def _of_call(self, step: Step, node: Call, operands: list[Array]) -> Array:
        shape = self.state.values[step.id][0].shape
        args = [None if v is None else self.state.values[v.node][v.port] for v in step.operands]
        decide = _DECISIONS.get(node.op)
        if decide is not None:
            return decide(node, [a for a in args if a is not None], self.sizes)
        if node.op in COMPARISONS:
            return _least([_distance(step, args), *operands], shape)
        if node.op == "cast" and step.inputs[0] is not None and step.inputs[0].dtype.floating:
            return self._truncation(step, args[0])
        if node.op == "capacity_mask":  # who comes before decides, too
            return np.asarray(_least(operands, shape).min(axis=axis_of(node), keepdims=True, initial=np.inf))
        if node.op in MOVES and all(v is None or not self._floating(v) for v in step.operands):
            return self._moved(step, node, args, operands)
        unknown = any(v is not None and self._floating(v) for v in step.operands) and node.op != "where"
        operands.append(np.asarray(0.0 if unknown else np.inf))
        if OPS[node.op].aligned or node.op in ELEMENTWISE:
            return _least(operands, shape)
        return np.asarray(min(float(np.min(part, initial=np.inf)) for part in operands))

    def _moved(self, step: Step, node: Call, args: Sequence[Array | None], operands: list[Array]) -> Array:
        given = iter(operands)
        parts = [None if a is None else np.array(np.broadcast_to(next(given), a.shape)) for a in args]
        result = OPS[node.op].reference(Site(node.attrs, parts, step.inputs, node.types, self.sizes))
        if len(node.types) > 1:
            return np.asarray(min(float(np.min(part, initial=np.inf)) for part in result))
        return np.asarray(result)

    def _truncation(self, step: Step, number: Array | None) -> Array:
        """Of a cast to integer: the distance to the next integer, or of the rounding before it to its edge."""
        assert number is not None
        assert step.operands[0] is not None
        before = self.plan.step[step.operands[0].node]
        if isinstance(before.node, Call) and before.node.op in ("round", "floor", "ceil") and before.operands[0]:
            number = self.state.values[before.operands[0].node][before.operands[0].port]
            if before.node.op == "round":
                return np.asarray(0.5 - np.abs(number - np.round(number)))
        return np.asarray(np.abs(number - np.round(number)))


def _least(parts: Sequence[Array], shape: tuple[int, ...]) -> Array:
    """The elementwise smallest; a part whose shape does not fit counts with its smallest element everywhere."""
    result = np.full(shape, np.inf)
    for part in parts:
        fits = part.ndim <= len(shape) and all(a in (1, b) for a, b in zip(part.shape[::-1], shape[::-1], strict=False))
        result = np.minimum(result, part if fits else np.min(part, initial=np.inf))
    return result


def _distance(step: Step, args: Sequence[Array | None]) -> Array:
    """|a - b|. Integers compare exactly, and so does NaN (it is never taken)."""
    a, b = args[0], args[1]
    assert a is not None
    assert b is not None
    if not any(type is not None and type.dtype.floating for type in step.inputs):
        return np.asarray(np.inf)
    gap = np.abs(a - b)
    return np.asarray(np.where(np.isnan(gap), np.where(a == b, 0.0, np.inf), gap))


def in_order(scores: Array, axis: int) -> Array:
    """Scores from the best down along the axis, NaN as the lowest."""
    filled = np.where(np.isnan(scores), -np.inf, scores) if scores.dtype.kind == "f" else scores.astype("float64")
    return -np.sort(-filled, axis=axis)


def _gap(scores: Array, axis: int, k: int) -> Array:
    """The k-th minus the (k+1)-th along the axis, which stays with size one; infinite when there is none."""
    if scores.shape[axis] <= k:
        return np.full_like(scores[_at(scores, axis, 0)], np.inf, dtype="float64")
    ordered = in_order(scores, axis)
    gap = ordered[_at(scores, axis, k - 1)] - ordered[_at(scores, axis, k)]
    return np.asarray(np.where(np.isnan(gap), 0.0, gap))


def _at(scores: Array, axis: int, index: int) -> tuple[slice, ...]:
    return (slice(None),) * (axis % scores.ndim) + (slice(index, index + 1),)


def axis_of(node: Call) -> int:
    for name in ("over", "axis"):
        if name in node.attrs:
            value = node.attrs[name]
            if isinstance(value, int):
                return value
            if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], int):
                return value[0]
    return -1


def count_of(node: Call, sizes: Mapping[str, int]) -> int:
    k = node.attrs["k"]
    assert isinstance(k, (int, Size))
    return Size.of(k).evaluate(sizes)


def _argmax(sign: int) -> Decide:
    def margin(node: Call, args: Sequence[Array], sizes: Mapping[str, int]) -> Array:
        axis = axis_of(node)
        gap = _gap(sign * args[0], axis, 1)
        keeps = len(node.types[0].axes) == args[0].ndim
        return gap if keeps else gap.squeeze(axis)

    return margin


def _top_indices(node: Call, args: Sequence[Array], sizes: Mapping[str, int]) -> Array:
    axis = axis_of(node)
    return np.moveaxis(_gap(args[0], axis, count_of(node, sizes)), axis, -1)


def _in_top(node: Call, args: Sequence[Array], sizes: Mapping[str, int]) -> Array:
    """Per index the distance to the other side of the boundary."""
    scores, axis, k = args[0], axis_of(node), count_of(node, sizes)
    if scores.shape[axis] <= k:
        return np.asarray(np.inf)
    ordered = in_order(scores, axis)
    last, first = ordered[_at(scores, axis, k - 1)], ordered[_at(scores, axis, k)]
    filled = np.where(np.isnan(scores), -np.inf, scores)
    gap = np.maximum(filled - first, last - filled)
    return np.asarray(np.where(np.isnan(gap), 0.0, gap))


_DECISIONS: Mapping[str, Decide] = {
    "argmax": _argmax(1),
    "argmin": _argmax(-1),
    "top_indices": _top_indices,
    "in_top": _in_top,
}
