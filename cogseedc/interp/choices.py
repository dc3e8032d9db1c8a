"""How near a sample came to another value by a choice that is no gate: an index that is taken, a comparison that
`where` reads, a rounding. A gate's decision can be replayed, these cannot. Changes no value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cogseedc.interp.evaluate import State
from cogseedc.interp.margins import COMPARISONS, axis_of, count_of, in_order
from cogseedc.interp.schedule import Schedule, Step
from cogseedc.ir import Call, Exit, Gate, Loop, NodeId
from cogseedc.lazy import lazy

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

RANKS = frozenset({"argmax", "argmin", "argsort", "top_indices", "in_top"})
STEPS = frozenset({"floor", "ceil", "cast", "mod"})
"""Operations of real numbers that jump at whole ones."""


def nearest(plan: Schedule, state: State, sizes: Mapping[str, int]) -> float:
    """The smallest distance (relative to values above one) at which a choice that an output hangs on turns over."""
    with np.errstate(all="ignore"):
        return min(_distances(plan, state, sizes), default=float("inf"))


def _distances(plan: Schedule, state: State, sizes: Mapping[str, int]) -> list[float]:
    found: list[float] = []
    for step in _read(plan):
        if isinstance(step.node, Loop):
            found += [nearest(step.body, turn, sizes) for turn in state.turns[step.id].states]
        elif isinstance(step.node, Call) and step.inputs and step.inputs[0] and step.inputs[0].dtype.floating:
            args = [state.values[v.node][v.port] for v in step.operands if v is not None]
            gap = _gap(step, step.node, args, sizes)
            if gap is not None:
                found.append(float(np.min(np.where(np.isnan(gap), np.inf, gap), initial=np.inf)))
    return found


def _read(plan: Schedule) -> list[Step]:
    """The steps that outputs hang on otherwise than by what a gate decided."""
    stack, seen = [id for id, _, _ in plan.outputs], set[NodeId]()
    while stack:
        id = stack.pop()
        if id in seen:
            continue
        seen.add(id)
        step = plan.step[id]
        decided = len(step.operands) if isinstance(step.node, Gate) else 1 if isinstance(step.node, Exit) else 0
        stack += [v.node for v in step.operands[decided:] if v is not None]
        stack += step.exits
    return [plan.step[id] for id in seen]


def _gap(step: Step, node: Call, args: Sequence[Array], sizes: Mapping[str, int]) -> Array | None:
    """The distances at which a call of real numbers gives another index, condition or whole number; None: never."""
    if node.op in COMPARISONS:
        return _relative(args[0], args[1])
    if node.op in RANKS:
        return _ranks(node, args[0], sizes)
    if node.op == "sign":
        return np.asarray(np.abs(args[0]))
    if node.op == "round":
        return np.asarray(0.5 - np.abs(args[0] - np.round(args[0])))
    if node.op == "crop":
        start = 0.5 * (args[1] + 1) * np.asarray([args[0].shape[axis] for axis in node.attrs.integers("over")])
        return np.asarray(np.abs(start - np.round(start)))
    if node.op in STEPS and (node.op != "cast" or not step.outputs[0].dtype.floating):
        number = args[0] / args[1] if node.op == "mod" else args[0]
        return np.asarray(np.abs(number - np.round(number)))
    return None


def _ranks(node: Call, scores: Array, sizes: Mapping[str, int]) -> Array:
    """Of each element that is told from the next, how far it is from that."""
    ordered = np.moveaxis(in_order(-scores if node.op == "argmin" else scores, axis_of(node)), axis_of(node), -1)
    gaps = _relative(ordered[..., :-1], ordered[..., 1:])
    if node.op == "argsort":
        return gaps
    k = count_of(node, sizes) if "k" in node.attrs else 1
    return gaps[..., k - 1 : k] if node.op == "in_top" else gaps[..., :k]


def _relative(a: Array, b: Array) -> Array:
    return np.asarray(np.abs(a - b) / np.maximum(1.0, np.minimum(np.abs(a), np.abs(b))))
