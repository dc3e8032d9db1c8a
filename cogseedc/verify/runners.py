"""How verification runs an artifact: naturally, and with decisions forced. Each backend forces in its own way.

A torch module is asked through `decide`, which it calls for every gate; an ONNX model is copied with further inputs
behind its decisions. Compares nothing, and imports neither torch nor onnx: both come with the artifact.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from cogseedc.interp import Schedule, arms_of, kind_of
from cogseedc.ir import GateKind
from cogseedc.lazy import lazy
from cogseedc.verify.forcing import ROTATE, Force

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]
    Call = Callable[[Mapping[str, Array], Mapping[str, Any]], "Run"]
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


@dataclass(frozen=True)
class TorchRunner:
    """Runs a generated module. `call(module, inputs, knobs)` runs one with its trace."""

    module: Any
    """A `torch.nn.Module` of a class with `decide(name, decision)`."""
    call: Callable[[Any, Mapping[str, Array], Mapping[str, Any]], Run]
    plan: Schedule
    """The gates, by name."""
    rotates: bool = True

    def run(self, inputs: Mapping[str, Array], knobs: Mapping[str, Any]) -> Run:
        return self.call(self.module, inputs, knobs)

    def run_forced(self, inputs: Mapping[str, Array], knobs: Mapping[str, Any], forces: Mapping[str, Force]) -> Run:
        return self.call(self._forcing(forces), inputs, knobs)

    def _forcing(self, forces: Mapping[str, Force]) -> Any:
        """A copy, with the same weights, of a class that decides as forced."""
        plan, original = self.plan, type(self.module)

        def decide(module: Any, name: str, decision: Any) -> Any:
            own = original.decide(module, name, decision)
            if name not in forces:
                return own
            node = plan.decider(name)
            return _force(own, kind_of(node), arms_of(node), forces[name])

        twin = copy.copy(self.module)
        twin.__class__ = type(original.__name__, (original,), {"decide": decide})
        return twin


def _force(decision: Any, kind: GateKind, arms: int, force: Force) -> Any:
    """A torch tensor like `decision` that takes the arm everywhere, or (ROTATE) each arm in turn."""
    if kind is GateKind.MANY:
        arm = decision.new_ones(arms).long().cumsum(0) - 1
        if force is None:
            return decision.new_zeros(decision.shape)
        wanted = _turns(decision[..., 0], arms) if force == ROTATE else decision.new_ones(()).long() * force
        return (arm == wanted.unsqueeze(-1)).expand(decision.shape).to(decision.dtype)
    if force == ROTATE:
        return _turns(decision, arms).to(decision.dtype)
    return decision.new_full(decision.shape, bool(force) if kind is GateKind.BOOL else force)


def _turns(decision: Any, arms: int) -> Any:
    """0, 1, .. arms-1, 0, 1, .. over all elements."""
    count = decision.numel()
    return ((decision.new_ones(count).long().cumsum(0) - 1) % arms).reshape(decision.shape)


@dataclass
class OnnxRunner:
    """Runs an ONNX model. `session(model)` makes what runs a model from its bytes."""

    model: bytes
    """With `trace.<gate>` and `rows.<space>` outputs."""
    session: Callable[[bytes], Call]
    plan: Schedule
    rotates: bool = False
    _own: Call | None = None
    _forced: tuple[frozenset[str], Call] | None = None

    def run(self, inputs: Mapping[str, Array], knobs: Mapping[str, Any]) -> Run:
        if self._own is None:
            self._own = self.session(self.model)
        return self._own(inputs, knobs)

    def run_forced(self, inputs: Mapping[str, Array], knobs: Mapping[str, Any], forces: Mapping[str, Force]) -> Run:
        further: dict[str, Array] = {}
        for name, force in forces.items():
            further |= self._inputs(name, force)
        return self._session(frozenset(forces))({**inputs, **further}, knobs)

    def _session(self, gates: frozenset[str]) -> Call:
        """One model serves all forced runs: its further inputs change nothing where they are not given."""
        if self._forced is None or not gates <= self._forced[0]:
            from cogseedc.backends.onnx.forcing import with_forced_decisions  # onnx, only where it is run

            wanted = gates | (self._forced[0] if self._forced else frozenset())
            self._forced = wanted, self.session(with_forced_decisions(self.model, sorted(wanted)))
        return self._forced[1]

    def _inputs(self, name: str, force: Force) -> dict[str, Array]:
        """`(raw and keep) or value`, of an index `raw * keep + value`."""
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
