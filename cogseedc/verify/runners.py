"""How verification runs an artifact: naturally, and with decisions forced. Each backend forces in its own way.

A torch module is asked through `decide`, which it calls for every gate; an ONNX model is copied with further inputs
behind its decisions. Compares nothing, and imports neither torch nor onnx before an artifact that needs them runs.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from cogseedc.interp import Schedule, arms_of, kind_of
from cogseedc.ir import GateKind
from cogseedc.lazy import lazy
from cogseedc.verify.forcing import ROTATE, Force

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
    from cogseedc.runtime import Backend, Session
else:
    np = lazy("numpy")


@dataclass(frozen=True)
class Run:
    """What one run of an artifact gave."""

    outputs: Mapping[str, Array]
    trace: Mapping[str, Array]
    """Decisions in trace form, by gate."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Rows that each row space held, by its name; only those that the artifact counts."""


class Runner(Protocol):
    """Runs an artifact on a batch of any size (one that takes single samples only runs them in turn)."""

    @property
    def rotates(self) -> bool:
        """Whether it can force ROTATE: decisions that differ from row to row."""
        ...

    def run(self, inputs: Mapping[str, Array], knobs: Mapping[str, Any]) -> Run:
        """A run with the program's own decisions."""
        ...

    def run_forced(self, inputs: Mapping[str, Array], knobs: Mapping[str, Any], forces: Mapping[str, Force]) -> Run:
        """A run in which the gates in `forces` take the given arms wherever they are reached."""
        ...


@dataclass
class TorchRunner:
    """Runs a generated module. Its class has `decide(name, decision)`."""

    session: Session
    plan: Schedule
    """The gates, by name."""

    @property
    def rotates(self) -> bool:
        return not self.session.batch_one

    def run(self, inputs: Mapping[str, Array], knobs: Mapping[str, Any]) -> Run:
        return _call(self.session, inputs, knobs)

    def run_forced(self, inputs: Mapping[str, Array], knobs: Mapping[str, Any], forces: Mapping[str, Force]) -> Run:
        backend: Any = copy.copy(self.session.backend)
        backend.module = self._forcing(backend.module, forces)
        return _call(_with_backend(self.session, backend), inputs, knobs)

    def _forcing(self, module: Any, forces: Mapping[str, Force]) -> Any:
        """A copy, with the same weights, whose class decides as forced."""
        plan, original = self.plan, type(module)

        def decide(module: Any, name: str, decision: Any) -> Any:
            own = original.decide(module, name, decision)
            if name not in forces:
                return own
            node = plan.decider(name)
            return _force(own, kind_of(node), arms_of(node), forces[name])

        twin = copy.copy(module)
        twin.__class__ = type(original.__name__, (original,), {"decide": decide})
        return twin


@dataclass
class OnnxRunner:
    """Runs an ONNX model on the CPU, its copy with further inputs for forced runs."""

    session: Session
    model: bytes
    plan: Schedule
    _forced: tuple[frozenset[str], Session] | None = None

    @property
    def rotates(self) -> bool:
        return not self.session.batch_one

    def run(self, inputs: Mapping[str, Array], knobs: Mapping[str, Any]) -> Run:
        return _call(self.session, inputs, knobs)

    def run_forced(self, inputs: Mapping[str, Array], knobs: Mapping[str, Any], forces: Mapping[str, Force]) -> Run:
        further: dict[str, Array] = {}
        for name, force in forces.items():
            further |= self._inputs(name, force)
        return _call(self._forcing(frozenset(forces)), inputs, knobs, further)

    def _forcing(self, gates: frozenset[str]) -> Session:
        """One model serves all forced runs: its further inputs change nothing where they are not given."""
        if self._forced is None or not gates <= self._forced[0]:
            from cogseedc.backends.onnx.forcing import with_forced_decisions
            from cogseedc.runtime.onnx_session import OnnxBackend

            traced = {gate.name for gate in self.session.gates}
            wanted = gates | (traced & self.plan.deciders.keys())
            backend = OnnxBackend(with_forced_decisions(self.model, sorted(wanted)))
            self._forced = wanted, _with_backend(self.session, backend)
        return self._forced[1]

    def _inputs(self, name: str, force: Force) -> dict[str, Array]:
        """`(raw and keep) or value`, of an index `raw * keep + value`; `turn` for ROTATE."""
        if force == ROTATE:
            return {f"force.{name}.turn": np.asarray(True)}
        node = self.plan.decider(name)
        arms = arms_of(node)
        match kind_of(node):
            case GateKind.BOOL:
                keep, value = np.asarray(False), np.asarray(bool(force))
            case GateKind.ONE:
                keep, value = np.asarray(0, "int64"), np.asarray(force, "int64")
            case GateKind.MANY:
                keep, value = np.zeros(arms, "bool"), np.arange(arms) == (arms if force is None else force)
        return {f"force.{name}.keep": keep, f"force.{name}.value": value}


def _call(
    session: Session,
    inputs: Mapping[str, Array],
    knobs: Mapping[str, Any],
    further: Mapping[str, Array] | None = None,
) -> Run:
    """One run, with the states among the inputs and outputs. A model for any batch is given an empty one too, which a
    session would answer without a run."""
    empty = any(p.batch is not None and not inputs[p.name].shape[p.batch] for p in session.inputs)
    if empty and not session.batch_one:
        raw = session.backend.run({**inputs, **(further or {})}, {n: np.asarray(v) for n, v in knobs.items()}, True)
        return Run(raw.outputs, raw.trace, raw.rows)
    own = {port.name: inputs[port.name] for port in session.inputs}
    before = {state.name: inputs[state.before.name] for state in session.states}
    result = session.run(own, knobs, True, further, before)
    after = {state.after.name: result.state[state.name] for state in session.states}
    return Run({**result.outputs, **after}, result.trace, result.rows)


def _with_backend(session: Session, backend: Backend) -> Session:
    twin = copy.copy(session)
    twin.backend = backend
    return twin


def _force(decision: Any, kind: GateKind, arms: int, force: Force) -> Any:
    """A torch tensor like `decision` that takes the arm everywhere, or (ROTATE) each arm in turn."""
    if kind is GateKind.MANY:
        chosen = decision.new_zeros(decision.shape)
        if force is not None:
            chosen[..., force] = True
        return chosen
    if force == ROTATE:
        return _turns(decision, arms)
    assert force is not None
    return decision.new_full(decision.shape, bool(force) if kind is GateKind.BOOL else force)


def _turns(decision: Any, arms: int) -> Any:
    """0, 1, .. arms-1, 0, 1, .. over all elements."""
    places = decision.new_ones(decision.numel()).long().cumsum(0) - 1
    return (places % arms).reshape(decision.shape).to(decision.dtype)
