"""Counts what ran: how often each arm of each gate was taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cogseedc.interp import Schedule, arms_of, kind_of
from cogseedc.ir import GateKind
from cogseedc.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")


@dataclass(frozen=True, slots=True)
class ArmCount:
    """How often an arm ran: decisions that took it, in natural and in forced runs. `arm` None: MANY selected none."""

    gate: str
    arm: int | None
    natural: int
    forced: int


@dataclass
class Census:
    """Collects counts per (gate, arm)."""

    natural: dict[tuple[str, int | None], int] = field(default_factory=dict)
    forced: dict[tuple[str, int | None], int] = field(default_factory=dict)
    traced: dict[str, None] = field(default_factory=dict)

    def add(
        self,
        plan: Schedule,
        trace: Mapping[str, Array],
        forces: Mapping[str, int | None],
        natural: bool,
        demanded: Mapping[str, Array],
    ) -> None:
        """Counts one run. What a MANY gate was forced to is not in the trace: it is counted by `forces`, for the
        indices that are `demanded`."""
        table = self.natural if natural else self.forced
        for name, decisions in trace.items():
            if name not in plan.deciders:
                continue
            self.traced[name] = None
            node = plan.decider(name)
            many = kind_of(node) is GateKind.MANY
            force = forces.get(name, -1)
            if many and (force is None or force >= 0):
                key = name, force
                table[key] = table.get(key, 0) + int(demanded[name].sum())
                continue
            for arm in range(arms_of(node)):
                table[name, arm] = table.get((name, arm), 0) + int((decisions == arm).sum())

    def counts(self, plan: Schedule) -> tuple[ArmCount, ...]:
        """One entry per arm of every gate that an artifact traced, in order of the gates."""
        return tuple(
            ArmCount(name, arm, self.natural.get((name, arm), 0), self.forced.get((name, arm), 0))
            for name in plan.deciders
            if name in self.traced
            for arm in range(arms_of(plan.decider(name)))
        )

    def untraced(self, plan: Schedule) -> tuple[str, ...]:
        """Gates of the program that the artifact does not have: folded away, or lost."""
        return tuple(name for name in plan.deciders if name not in self.traced)
