"""Brings the samples of a run together: outputs, decisions, margins, exits of the whole batch. Evaluates nothing.

Gates in the body of a loop have an axis of turns: level by level, the turns of all samples are laid side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cogseedc.interp.arrays import join_samples, shape_of
from cogseedc.interp.demand import demanded
from cogseedc.interp.evaluate import State, Turns
from cogseedc.interp.margins import margins
from cogseedc.interp.schedule import Decider, Schedule, Step
from cogseedc.interp.trace import as_trace, kind_of, reached, type_of
from cogseedc.ir import BATCH, Exit, Gate, GateKind, Loop, NodeId, Value
from cogseedc.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")


@dataclass(frozen=True)
class Result:
    """What one run gives. Arrays by name of output or gate; an exit that is no gate yet has its path as name.

    Those of a gate in a loop have an axis of turns behind the batch axis.
    """

    outputs: dict[str, Array]
    """float64, int64 or bool."""
    trace: dict[str, Array]
    """Decisions that were used, in trace form. -1 where the control edges did not let the gate be reached, and in turns
    that a row did not run; without control edges (before passes) the dense decision everywhere."""
    own: dict[str, Array]
    """The program's own decisions, also where others were given in their place; nowhere -1 but in dropped slots and in
    turns that no row ran."""
    margins: dict[str, Array]
    """Per gate, over its axes: how near its own decision was to being another."""
    output_margins: dict[str, Array]
    """The same for outputs that are not floating."""
    exits: dict[str, Array]
    """Per exit path, over the condition's axes: which indices left there (an exit over axes other than the batch's:
    where its condition held)."""
    demanded: dict[str, Array]
    """Per gate, over its axes (of k-of-n: without the last), the indices on which an output depends. An artifact must
    have reached it there."""


@dataclass(frozen=True)
class _Decided:
    """One gate, over the whole batch."""

    trace: Array
    own: Array
    margin: Array
    need: Array
    left: Array | None
    """Of an exit: which indices left there."""


@dataclass(frozen=True)
class _Level:
    """One schedule with the states of all samples: the program's, or that of a body in one turn."""

    plan: Schedule
    states: Sequence[State]
    sizes: Mapping[str, int]
    keep: int
    """How many samples count."""
    ran: Array
    """The rows [keep] that ran it."""
    asked: Array
    """Those of them whose results are asked for."""

    def decided(self) -> dict[str, _Decided]:
        gates = list(self.plan.gates.values())
        near = [margins(self.plan, s, self.sizes, [Value(step.id) for step in gates]) for s in self.states]
        used = {step.id: self._join(step, [s.values[step.id][0] for s in self.states]) for step in gates}
        need = demanded(self.plan, used, self.asked, self.sizes)
        reach = {id: rows & self.ran for id, rows in reached(self.plan, used, len(self.ran)).items()}
        found = {name: self._gate(name, step, used, near, need, reach) for name, step in self.plan.gates.items()}
        for step in self.plan.loops:
            found |= self._turns(step, need[step.id], reach[step.id])
        return found

    def _join(self, step: Step, parts: Sequence[Array]) -> Array:
        assert isinstance(step.node, (Gate, Exit))
        return join_samples(parts, type_of(step.node).batch, self.keep)

    def _gate(
        self,
        name: str,
        step: Step,
        used: Mapping[NodeId, Array],
        near: Sequence[Mapping[Value, Array]],
        need: Mapping[NodeId, Array],
        reach: Mapping[NodeId, Array],
    ) -> _Decided:
        node = self.plan.decider(name)
        many = kind_of(node) is GateKind.MANY
        parts = [state.own[step.id] for state in self.states]
        own = self._join(step, parts)
        spread = [np.broadcast_to(found[Value(step.id)], p.shape) for found, p in zip(near, parts, strict=True)]
        margin = self._join(step, [part.min(axis=-1, initial=np.inf) if many else part for part in spread])
        indices = None
        if many and len(step.operands) > 1:
            indices = self._join(step, [state.values[step.id][1] for state in self.states])
        trace = as_trace(node, own, used[step.id], indices)
        left = np.asarray(used[step.id] & need[step.id]) if self.plan.exit_path(name) else None
        return _Decided(
            np.where(_rows_of(node, reach[step.id], trace.ndim), trace, -1),
            as_trace(node, own, own, indices),
            margin,
            need[step.id],
            left,
        )

    def _turns(self, step: Step, need: Array, reach: Array) -> dict[str, _Decided]:
        """The gates in the body of a loop, turn by turn."""
        loop = step.node
        assert isinstance(loop, Loop)
        every = [state.turns[step.id] for state in self.states]
        found: list[dict[str, _Decided]] = []
        for turn in range(max((len(turns.states) for turns in every), default=0)):
            states = [turns.states[min(turn, len(turns.states) - 1)] for turns in every]
            ran = np.concatenate([self._running(step, turns, turn) for turns in every])[: self.keep]
            found.append(_Level(step.body, states, self.sizes, self.keep, ran & reach, ran & need).decided())
        count = loop.steps.evaluate(self.sizes)
        deciders = step.body.deciders.items()
        return {name: self._stacked(d, [turn[name] for turn in found], count) for name, d in deciders}

    def _running(self, step: Step, turns: Turns, turn: int) -> Array:
        """The rows of one state that ran a turn."""
        rows = self.sizes.get(BATCH, 1)
        if turn >= len(turns.states):
            return np.zeros(rows, "bool")
        loop, running = step.node, turns.running[turn]
        assert isinstance(loop, Loop)
        if loop.active is not None:
            return running
        batch = step.body.outputs[-1][1].type.batch if loop.halts else None
        if batch is None:
            return np.full(rows, running.any())
        return np.asarray(running.any(axis=tuple(i for i in range(running.ndim) if i != batch)))

    def _stacked(self, decider: Decider, turns: Sequence[_Decided], count: int) -> _Decided:
        """Turns side by side; those that no row ran have -1."""
        axis = type_of(decider.node).turn

        def stack(parts: Sequence[Array], filler: int | float, at: int) -> Array:
            return np.stack([*parts, *[np.full_like(parts[0], filler)] * (count - len(parts))], at)

        found = list(turns) or [self._none(decider)]
        return _Decided(
            stack([t.trace for t in found], -1, axis).take(range(count), axis),
            stack([t.own for t in found], -1, axis).take(range(count), axis),
            stack([t.margin for t in found], np.inf, axis).take(range(count), axis),
            stack([t.need for t in found], False, axis).take(range(count), axis),
            None,
        )

    def _none(self, decider: Decider) -> _Decided:
        """A gate in a turn that was not run."""
        sizes = {**self.sizes, BATCH: self.keep}
        turns = [loop.steps.evaluate(self.sizes) for loop in decider.loops]
        shape = list(shape_of(decider.traced, sizes))
        at = decider.traced.turn
        shape[at:at] = turns
        axes = shape[:-1] if kind_of(decider.node) is GateKind.MANY else shape
        return _Decided(
            np.full(shape, -1, "int64"),
            np.full(shape, -1, "int64"),
            np.full(axes, np.inf),
            np.zeros(axes, "bool"),
            None,
        )


def collect(plan: Schedule, states: Sequence[State], sizes: Mapping[str, int], keep: int) -> Result:
    """The result of a run whose samples (or one batch) are `states`; the first `keep` samples count."""
    outputs = {node.name: value for _, node, value in plan.outputs}
    exact = {name: value for name, value in outputs.items() if not plan.type(value).dtype.floating}
    near = [margins(plan, state, sizes, list(exact.values())) for state in states]
    rows = np.ones(min(keep, len(states) * sizes.get(BATCH, 1)), "bool")
    decided = _Level(plan, states, sizes, len(rows), rows, rows).decided()

    def join(value: Value, parts: Sequence[Array]) -> Array:
        return join_samples(parts, plan.type(value).batch, keep)

    return Result(
        outputs={name: join(v, [s.values[v.node][v.port] for s in states]) for name, v in outputs.items()},
        trace={name: d.trace for name, d in decided.items()},
        own={name: d.own for name, d in decided.items()},
        margins={name: d.margin for name, d in decided.items()},
        output_margins={
            name: join(
                v, [np.broadcast_to(m[v], s.values[v.node][v.port].shape) for m, s in zip(near, states, strict=True)]
            )
            for name, v in exact.items()
        },
        exits={
            path: d.left
            for path, d in ((plan.exit_path(name), decided[name]) for name in plan.gates)
            if path is not None and d.left is not None
        },
        demanded={name: d.need for name, d in decided.items()},
    )


def _rows_of(node: Gate | Exit, rows: Array, rank: int) -> Array:
    """Rows [n], broadcastable to an array over the gate's axes with that rank; without batch axis: any row."""
    axis = type_of(node).batch
    if axis is None:
        return np.asarray(rows.any() if rows.size else True)
    return rows.reshape([-1 if i == axis else 1 for i in range(rank)])
