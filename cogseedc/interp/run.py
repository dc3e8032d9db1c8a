"""Runs a graph by its meaning: dense, float64, one sample at a time; a batch-coupled program on its whole batch.

Works on graphs before and after passes. Guards change no value; they only say which decisions were reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.interp.arrays import (
    batch_size,
    bind_sizes,
    check_inputs,
    has_batch,
    knob_values,
    take_sample,
    to_reference,
)
from cogseedc.interp.choices import nearest
from cogseedc.interp.collect import Result, collect
from cogseedc.interp.evaluate import Evaluator, State
from cogseedc.interp.schedule import Schedule, schedule
from cogseedc.interp.trace import type_of
from cogseedc.interp.weights import load_weights
from cogseedc.ir import BATCH, Graph, Input, Loop, TensorType, Value
from cogseedc.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

__all__ = ["Reference", "Result", "run"]


def run(
    graph: Graph,
    inputs: Mapping[str, Array],
    weights: Mapping[str, Array],
    knobs: Mapping[str, Any] | None = None,
    decisions: Mapping[str, Array] | None = None,
) -> Result:
    """The meaning of `graph` on a batch; see `Reference.run`."""
    return Reference(graph, weights).run(inputs, knobs, decisions)


class Reference:
    """A graph with its weights. Repeated runs on one batch evaluate only what the new decisions change."""

    def __init__(
        self, graph: Graph, weights: Mapping[str, Array], rounding: bool = False, together: bool = False
    ) -> None:
        """`rounding`: results in f16 and bf16 are rounded to these. `together`: samples are evaluated all at once, as
        those of a batch-coupled program are; quicker, where a program is only compared with itself.

        Raises UserError (CS0840 .. CS0842) when the weights are not the graph's.
        """
        self.graph = graph
        self.plan = schedule(graph)
        types = {path: node.type for path, node in graph.weights().items()}
        self._weights = {p: to_reference(a, types[p].dtype) for p, a in load_weights(graph, weights).items()}
        self._evaluator: Evaluator | None = None
        self._states: list[State] = []
        self._rounding = rounding
        self._whole = together or self.plan.batch_coupled or not has_batch(graph)

    def run(
        self,
        inputs: Mapping[str, Array],
        knobs: Mapping[str, Any] | None = None,
        decisions: Mapping[str, Array] | None = None,
    ) -> Result:
        """Outputs, decisions and margins for a batch of any size, also none.

        `decisions` replace a gate's own, by name: integers in trace form (-1: its own), or a bool array.
        Raises UserError: CS0843 .. CS0847 for inputs, knobs and decisions that do not fit the program.
        """
        arrays = check_inputs(self.graph, inputs)
        sizes = bind_sizes(self.graph, arrays)
        given = {name: np.asarray(value) for name, value in (decisions or {}).items()}
        self._check_names(given)
        rows = batch_size(sizes)
        evaluator = self._prepare(sizes if self._whole else {**sizes, BATCH: 1})
        values = knob_values(self.graph, knobs, evaluator.sizes)
        if self._whole:
            evaluator.evaluate(self._state(0), arrays, values, given)
            return collect(self.plan, self._states[:1], evaluator.sizes, rows)
        types = {node.name: node.type for _, node in self.graph.of(Input)}
        if rows == 0:  # shapes come from one sample of zeros that is then dropped
            arrays, given = {name: _zeros(a, types[name]) for name, a in arrays.items()}, {}
        for i in range(max(rows, 1)):
            sample = {name: take_sample(a, types[name].batch, i) for name, a in arrays.items()}
            choice = {name: self._sample_of(name, a, i, rows) for name, a in given.items()}
            evaluator.evaluate(self._state(i), sample, values, choice)
        return collect(self.plan, self._states[: max(rows, 1)], evaluator.sizes, rows)

    def value(self, value: Value, loop: str = "") -> list[Array]:
        """What the last run computed for a value inside: one array per sample, or one of the whole batch. With the name
        of a loop: for one in its body, an array per turn of each. Nothing for a value that no output needs."""
        states = _within(self.plan, self._states, loop)
        return [state.values[value.node][value.port] for state in states if value.node in state.values]

    def nearest(self) -> Array:
        """For each state of the last run (a sample, or the whole batch) how near a choice that no gate makes was to
        another; see `choices`."""
        sizes = self._evaluator.sizes if self._evaluator is not None else {}
        return np.asarray([nearest(self.plan, state, sizes) for state in self._states])

    def _check_names(self, given: Mapping[str, Array]) -> None:
        unknown = sorted(name for name in given if name not in self.plan.deciders)
        if unknown:
            known = list(self.plan.deciders)
            raise UserError(Diagnostic("CS0847", f"decisions for unknown gates {unknown}", help=f"gates: {known}"))

    def _sample_of(self, name: str, array: Array, index: int, rows: int) -> Array:
        decider = self.plan.deciders[name]
        type = type_of(decider.node)
        if array.ndim != type.rank + len(decider.loops) or type.batch is None:
            return array
        if array.shape[type.batch] != rows:
            message = f"the decisions given for {name!r} are for {array.shape[type.batch]} samples, the inputs {rows}"
            raise UserError(Diagnostic("CS0847", message))
        return take_sample(array, type.batch, index)

    def _prepare(self, sizes: Mapping[str, int]) -> Evaluator:
        if self._evaluator is None or self._evaluator.sizes != sizes:
            self._evaluator = Evaluator(self.plan, self._weights, dict(sizes), self._rounding)
            self._states = []
        return self._evaluator

    def _state(self, index: int) -> State:
        while len(self._states) <= index:
            self._states.append(self._states[0].copy() if self._states else State())
        return self._states[index]


def _within(plan: Schedule, states: Sequence[State], loop: str) -> Sequence[State]:
    """The states of all turns of a loop, at any depth below these states; without a name, these."""
    if not loop:
        return states
    found: list[State] = []
    for step in plan.loops:
        inner = [turn for state in states for turn in state.turns[step.id].states]
        assert isinstance(step.node, Loop)
        found += inner if step.node.name == loop else _within(step.body, inner, loop)
    return found


def _zeros(array: Array, type: TensorType) -> Array:
    """One sample of zeros; what has no batch axis stays."""
    if type.batch is None:
        return array
    shape = tuple(1 if i == type.batch else length for i, length in enumerate(array.shape))
    return np.zeros(shape, array.dtype)
