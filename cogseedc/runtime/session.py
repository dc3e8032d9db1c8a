"""One interface to every artifact: checks what goes in, runs it, names what comes out, keeps what is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cogseedc.diagnostics.model import Diagnostic, UserError
from cogseedc.ir import BATCH
from cogseedc.runtime.checks import (
    NUMPY,
    check_inputs,
    check_knobs,
    check_requirements,
    check_state_names,
    check_states,
)
from cogseedc.runtime.interface import GatePort, Interface, KnobPort, Port, StatePort

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array


@dataclass(frozen=True, slots=True)
class Raw:
    """What a backend gives: outputs and decisions by name, rows per row space (where it counts them)."""

    outputs: Mapping[str, Array]
    trace: Mapping[str, Array] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)


class Backend(Protocol):
    """Runs a model on arrays that have been checked. Safe to call from several threads."""

    def run(self, inputs: Mapping[str, Array], knobs: Mapping[str, Array], trace: bool) -> Raw: ...


@dataclass(frozen=True)
class Result(Mapping[str, "Array"]):
    """Outputs by name. `trace`, `exits` and `rows` are empty unless the trace was asked for."""

    outputs: Mapping[str, Array]
    trace: Mapping[str, Array]
    """Per gate, i64 over its axes: -1 where it was not reached, else the arm (of k-of-n: the indices, best first)."""
    exits: Mapping[str, Array]
    """Per exit, where it was taken."""
    rows: Mapping[str, int]
    """Per row space of the plan, how many rows it ran."""
    state: Mapping[str, Array] = field(default_factory=dict)
    """Per state of the program, what it is after the call."""

    def __getitem__(self, name: str) -> Array:
        return self.outputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)


class Session:
    """An opened artifact. `session(image=x, knobs={"tau": 0.8}, trace=True)["logits"]`; threads may share it.

    A program with states is given them by the session, which begins with the initial ones for the batch of its first
    call. It is then one stream: calls, from whatever thread, run one after another.
    """

    def __init__(self, interface: Interface, target: str, batch_one: bool, backend: Backend) -> None:
        self._interface, self._target, self._batch_one, self.backend = interface, target, batch_one, backend
        self._taken, self._given = interface.taken, interface.given
        self._state: Mapping[str, Array] = {}
        self._stream = Lock()

    @property
    def inputs(self) -> tuple[Port, ...]:
        return self._interface.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        return self._interface.outputs

    @property
    def knobs(self) -> tuple[KnobPort, ...]:
        return self._interface.knobs

    @property
    def gates(self) -> tuple[GatePort, ...]:
        return self._interface.gates

    @property
    def exits(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self._interface.exits)

    @property
    def states(self) -> tuple[StatePort, ...]:
        return self._interface.states

    @property
    def state(self) -> dict[str, Array]:
        """What is kept, by state: empty before the first call and after `reset`. May be set, and saved with `savez`.

        Setting raises UserError CS0860 for what are not the program's states.
        """
        with self._stream:
            return {name: array.copy() for name, array in self._state.items()}

    @state.setter
    def state(self, given: Mapping[str, object]) -> None:
        if given:
            check_state_names(self.states, given)
        with self._stream:
            self._state = {name: np.array(array) for name, array in given.items()}

    def reset(self) -> None:
        """Forgets what is kept: the next call begins with the initial states, for a batch of any size."""
        self.state = {}

    @property
    def target(self) -> str:
        """Name of the target that it was compiled for."""
        return self._target

    @property
    def batch_one(self) -> bool:
        """Whether the model takes single samples only; a batch is then run one by one."""
        return self._batch_one

    def __call__(
        self, /, *, knobs: Mapping[str, object] | None = None, trace: bool = False, **inputs: object
    ) -> Result:
        """Runs a batch. Raises UserError CS0843 .. CS0846, CS0860, CS0837; see `checks`."""
        return self.run(inputs, knobs, trace)

    def run(
        self,
        inputs: Mapping[str, object],
        knobs: Mapping[str, object] | None = None,
        trace: bool = False,
        further: Mapping[str, Array] | None = None,
        state: Mapping[str, object] | None = None,
    ) -> Result:
        """The same for inputs in a mapping, whose names need not be keywords.

        `further` goes to the backend unchecked, whole for each sample. With `state` (empty: the initial ones) it is a
        function: what the session keeps is neither read nor changed, and threads do not wait for each other.
        """
        if state is not None or not self.states:
            return self._run(inputs, knobs or {}, trace, further or {}, state or {})
        with self._stream:
            result = self._run(inputs, knobs or {}, trace, further or {}, self._state)
            self._state = result.state
        return result

    def _run(
        self,
        inputs: Mapping[str, object],
        knobs: Mapping[str, object],
        trace: bool,
        further: Mapping[str, Array],
        state: Mapping[str, object],
    ) -> Result:
        arrays, symbols = check_inputs(self.inputs, inputs, self.knobs)
        values = check_knobs(self.knobs, knobs)
        rows = symbols.get(BATCH)
        check_requirements(self._interface.requirements, symbols)
        if self._batch_one and self._interface.coupled and rows is not None and rows > 1:
            message = f"the program mixes the samples of a batch, and {self._target} takes one at a time, not {rows}"
            raise UserError(Diagnostic("CS0844", message, help="give one sample, or build for a target of any batch"))

        arrays |= check_states(self.states, state, symbols)

        def call(part: Mapping[str, Array]) -> Raw:
            return self.backend.run({**part, **further}, values, trace)

        if rows == 0 and (self._batch_one or all(p.batch is not None for p in self._given)):
            raw = self._nothing(arrays, symbols, trace, call)
        elif self._batch_one and rows is not None and rows != 1:
            raw = self._one_by_one(arrays, rows, call)
        else:
            raw = call(arrays)
        exits = {name: raw.trace[gate] == 1 for name, gate in self._interface.exits if gate in raw.trace}
        outputs = {p.name: raw.outputs[p.name] for p in self.outputs}
        after = {s.name: raw.outputs[s.after.name] for s in self.states}
        return Result(outputs, raw.trace, exits, raw.rows, after)

    def _nothing(
        self, arrays: Mapping[str, Array], symbols: Mapping[str, int], trace: bool, call: Callable[..., Raw]
    ) -> Raw:
        """What an empty batch gives: no run, but for outputs that have no batch, which a sample of zeros gives."""
        outputs = {p.name: np.zeros(p.shape(symbols), NUMPY[p.dtype]) for p in self._given if p.batch is not None}
        decisions = {g.name: _unreached(g, symbols) for g in self.gates} if trace else {}
        whole = [p.name for p in self._given if p.batch is None]
        if whole:
            axes = {p.name: p.batch for p in self._taken}
            found = call({n: a if axes[n] is None else _zero_sample(a, axes[n]) for n, a in arrays.items()})
            outputs |= {name: found.outputs[name] for name in whole}
            decisions |= {g.name: found.trace[g.name] for g in self.gates if trace and g.port.batch is None}
        return Raw(outputs, decisions)

    def _one_by_one(self, arrays: Mapping[str, Array], rows: int, call: Callable[[Mapping[str, Array]], Raw]) -> Raw:
        axes = {p.name: p.batch for p in self._taken}
        parts = [call({n: _sample(a, axes[n], i) for n, a in arrays.items()}) for i in range(rows)]
        outputs = {p.name: _together([part.outputs[p.name] for part in parts], p.batch) for p in self._given}
        batch = {g.name: g.port.batch for g in self.gates}
        trace = {name: _together([part.trace[name] for part in parts], batch.get(name)) for name in parts[0].trace}
        return Raw(outputs, trace, {name: sum(part.rows[name] for part in parts) for name in parts[0].rows})


def _unreached(gate: GatePort, symbols: Mapping[str, int]) -> Array:
    shape = gate.port.shape(symbols)
    return np.full((*shape[:-1], 0) if gate.kind == "many" else shape, -1, np.int64)


def _zero_sample(array: Array, axis: int | None) -> Array:
    return np.zeros([1 if i == axis else size for i, size in enumerate(array.shape)], array.dtype)


def _sample(array: Array, axis: int | None, index: int) -> Array:
    if axis is None:
        return array
    return np.ascontiguousarray(np.take(array, [index], axis))


def _together(parts: Sequence[Array], axis: int | None) -> Array:
    """Samples along the batch axis; a value without one is the same in each."""
    return parts[0] if axis is None else np.concatenate(parts, axis)
