"""What a calibration shows of a program: decisions that are always the same, arms that nobody takes, idle tails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cogseedc.driver.outcomes import Outcomes
from cogseedc.runtime import GatePort

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array


@dataclass(frozen=True, slots=True)
class Rate:
    """How often a gate decided what, over all samples and places that it is over."""

    reached: float
    """Share of the places where it was asked."""
    arms: tuple[float, ...]
    """Share of each arm where it was asked; of k-of-n, how often each is selected."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to tell. Folding leaves `gate` the arms in `keep`."""

    kind: str
    gate: str
    message: str
    keep: tuple[int, ...]


def rates(gates: Sequence[GatePort], trace: Mapping[str, Array]) -> dict[str, Rate]:
    """Rates from a trace."""
    return {gate.name: _rate(gate, trace[gate.name]) for gate in gates if gate.name in trace}


def _rate(gate: GatePort, decision: Array) -> Rate:
    many = gate.kind == "many"
    reached = (decision >= 0).any(-1) if many else decision >= 0
    asked = int(reached.sum())
    if not asked:
        return Rate(0.0, (0.0,) * gate.arms)
    counts = np.bincount(decision[decision >= 0].ravel(), minlength=gate.arms)
    return Rate(float(reached.mean()), tuple((counts / asked).tolist()))


def findings(gates: Sequence[GatePort], found: Mapping[str, Rate], outcomes: Outcomes) -> Iterator[Finding]:
    """What could be folded away without changing an answer on these data; a tail, without making one worse."""
    for gate in gates:
        rate = found.get(gate.name)
        if rate is None:
            continue
        used = tuple(arm for arm, share in enumerate(rate.arms) if share > 0)
        if gate.exit is not None:
            if 1 not in used:
                done = "leaves at" if used else "comes to"
                yield Finding("unused exit", gate.name, f"nobody {done} exit `{gate.exit}`", (0,))
            elif 0 not in used:
                message = f"whoever comes to exit `{gate.exit}` leaves there: what is behind it never runs"
                yield Finding("unreached tail", gate.name, message, (1,))
        elif not used:
            continue
        elif gate.kind == "many":
            dead = [arm for arm in range(gate.arms) if arm not in used]
            if dead:
                listed = ", ".join(map(str, dead))
                yield Finding("dead arms", gate.name, f"`{gate.name}` never selects {listed} of {gate.arms}", used)
        elif len(used) == 1:
            yield Finding("constant gate", gate.name, f"`{gate.name}` always takes arm {used[0]}", used)
        elif len(used) < gate.arms:
            dead = [arm for arm in range(gate.arms) if arm not in used]
            listed = ", ".join(map(str, dead))
            yield Finding("dead arms", gate.name, f"`{gate.name}` never takes {listed} of {gate.arms}", used)
    yield from _tails(gates, outcomes)


def _tails(gates: Sequence[GatePort], outcomes: Outcomes) -> Iterator[Finding]:
    """The first exit that is right as often, for all samples, as the end."""
    by_exit = {gate.exit: gate.name for gate in gates if gate.exit is not None}
    for place, exit in enumerate(outcomes.exits):
        gain = outcomes.full.quality - outcomes.at(place).quality
        if gain <= 0 and exit.name in by_exit:
            message = (
                f"what comes behind exit `{exit.name}` brings nothing: leaving there is right as often as at the end"
            )
            yield Finding("idle tail", by_exit[exit.name], message, (1,))
            return
