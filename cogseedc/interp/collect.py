"""Brings the samples of a run together: outputs, decisions, margins, exits of the whole batch. Evaluates nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cogseedc.interp.arrays import join_samples
from cogseedc.interp.evaluate import State
from cogseedc.interp.margins import margins
from cogseedc.interp.schedule import Schedule
from cogseedc.interp.trace import as_trace, demanded, kind_of, reached, type_of
from cogseedc.ir import BATCH, Exit, Gate, GateKind, NodeId, Value
from cogseedc.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]
else:
    np = lazy("numpy")


@dataclass(frozen=True)
class Result:
    """What one run gives. Arrays by name of output or gate; an exit that is no gate yet has its path as name."""

    outputs: dict[str, Array]
    """float64, int64 or bool."""
    trace: dict[str, Array]
    """Decisions that were used, in trace form. -1 where the control edges did not let the gate be reached;
    without control edges (before passes) the dense decision everywhere."""
    own: dict[str, Array]
    """The program's own decisions, also where others were given in their place; nowhere -1 but in dropped slots."""
    margins: dict[str, Array]
    """Per gate, over its axes: how near its own decision was to being another."""
    output_margins: dict[str, Array]
    """The same for outputs that are not floating."""
    exits: dict[str, Array]
    """Per exit path, over the condition's axes: which indices left there (an exit over axes other than the batch's:
    where its condition held)."""
    demanded: dict[str, Array]
    """Per gate the samples [n] whose outputs depend on its decision. An artifact must have reached it there."""


@dataclass(frozen=True)
class _Decided:
    """One gate, over the whole batch."""

    id: NodeId
    node: Gate | Exit
    used: Array
    own: Array
    indices: Array | None
    margin: Array

    def trace(self, decision: Array) -> Array:
        return as_trace(self.node, self.own, decision, self.indices)


def collect(plan: Schedule, states: Sequence[State], sizes: Mapping[str, int], keep: int) -> Result:
    """The result of a run whose samples (or one batch) are `states`; the first `keep` samples count."""
    outputs = {node.name: value for _, node, value in plan.outputs}
    exact = [value for value in outputs.values() if not plan.type(value).dtype.floating]
    deciders = [Value(step.id) for step in plan.gates.values()]
    near = [margins(plan, state, sizes, [*deciders, *exact]) for state in states]
    decided = {name: _decided(plan, name, states, near, keep) for name in plan.gates}
    used = {d.id: d.used for d in decided.values()}
    rows = min(keep, len(states) * sizes.get(BATCH, 1))
    need, reach = demanded(plan, used, rows), reached(plan, used, rows)

    def join(value: Value, parts: Sequence[Array]) -> Array:
        return join_samples(parts, plan.type(value).batch, keep)

    return Result(
        outputs={name: join(v, [s.values[v.node][v.port] for s in states]) for name, v in outputs.items()},
        trace={name: _hide(d.trace(d.used), d.node, reach[d.id]) for name, d in decided.items()},
        own={name: d.trace(d.own) for name, d in decided.items()},
        margins={name: d.margin for name, d in decided.items()},
        output_margins={
            name: join(v, [_spread(m[v], s.values[v.node][v.port].shape) for m, s in zip(near, states, strict=True)])
            for name, v in outputs.items()
            if v in exact
        },
        exits={path: _left(d, need[d.id]) for path, d in ((plan.exit_path(n), d) for n, d in decided.items()) if path},
        demanded={name: need[d.id] for name, d in decided.items()},
    )


def _decided(
    plan: Schedule, name: str, states: Sequence[State], near: Sequence[Mapping[Value, Array]], keep: int
) -> _Decided:
    step, node = plan.gates[name], plan.decider(name)
    axis = type_of(node).batch
    many = kind_of(node) is GateKind.MANY
    own = [state.own[step.id] for state in states]
    spread = [_spread(found[Value(step.id)], part.shape) for found, part in zip(near, own, strict=True)]
    return _Decided(
        step.id,
        node,
        join_samples([state.values[step.id][0] for state in states], axis, keep),
        join_samples(own, axis, keep),
        join_samples([state.values[step.id][1] for state in states], axis, keep)
        if many and len(step.operands) > 1
        else None,
        join_samples([part.min(axis=-1, initial=np.inf) if many else part for part in spread], axis, keep),
    )


def _spread(margin: Array, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(margin, shape)


def _rows_of(node: Gate | Exit, rows: Array, rank: int) -> Array:
    """Rows [n], broadcastable to an array over the gate's axes with that rank; without batch axis: any row."""
    axis = type_of(node).batch
    if axis is None:
        return np.asarray(rows.any() if rows.size else True)
    return rows.reshape([-1 if i == axis else 1 for i in range(rank)])


def _hide(trace: Array, node: Gate | Exit, rows: Array) -> Array:
    return np.where(_rows_of(node, rows, trace.ndim), trace, -1)


def _left(decided: _Decided, rows: Array) -> Array:
    return np.asarray(decided.used & _rows_of(decided.node, rows, decided.used.ndim))
