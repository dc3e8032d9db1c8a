"""A program whose decisions come from outside, to see what other decisions would have brought. In fp32, with torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cogseedc.data import DataSet
from cogseedc.driver.build import build
from cogseedc.driver.outcomes import score_of
from cogseedc.driver.reopened import Reopened
from cogseedc.runtime import GatePort
from cogseedc.runtime.spending import Work

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

Decide = Callable[[str, torch.Tensor], torch.Tensor]
MOST = 64
"""How many ways through the program the oracle tries."""
_BATCH = 256


@dataclass(frozen=True)
class Forced:
    """A module for evaluation and what it costs."""

    module: Any
    work: Work
    knobs: Mapping[str, object]

    def run(self, data: DataSet, decide: Decide) -> tuple[Array, Array]:
        """Quality and MACs of each sample when `decide` decides."""
        self.module.decide = decide
        quality, macs = [], []
        with torch.inference_mode():
            for part in data.batches(_BATCH):
                inputs = [torch.from_numpy(array) for array in part.inputs.values()]
                result = self.module(*inputs, **self.knobs, trace=True)
                trace = {name: value.numpy() for name, value in result.trace.items()}
                quality.append(score_of(getattr(result, data.output).numpy(), part.target))
                macs.append(self.work.macs(trace, len(part)))
        del self.module.decide
        return np.concatenate(quality), np.concatenate(macs)


def forced(kept: Reopened, work: Work, knobs: Mapping[str, Sequence[float]]) -> Forced:
    """The program of an artifact, at the given knobs."""
    module = build(kept.program, weights=kept.weights.by_key()).eval()
    values = {name.replace(".", "_"): _scalar(value) for name, value in knobs.items()}
    return Forced(module, work, values)


def _scalar(values: Sequence[float]) -> object:
    return values[0] if len(values) == 1 else torch.tensor(values)


def everything(gates: Sequence[GatePort], arm: int) -> Decide:
    """No exit is taken, and every other yes-or-no gate takes an arm; choices of one of several stay the program's."""
    exits = {gate.name for gate in gates if gate.exit is not None}
    plain = {gate.name for gate in gates if gate.exit is None and gate.kind == "bool"}

    def decide(name: str, decision: torch.Tensor) -> torch.Tensor:
        if name in exits:
            return torch.zeros_like(decision)
        return torch.full_like(decision, bool(arm)) if name in plain else decision

    return decide


def chance(gates: Sequence[GatePort], rates: Mapping[str, Sequence[float]], rng: int) -> Decide:
    """Decisions drawn with the same rates as the program's, whatever the sample; k of n stay the program's."""
    generator = torch.Generator().manual_seed(rng)
    kinds = {gate.name: gate.kind for gate in gates}

    def decide(name: str, decision: torch.Tensor) -> torch.Tensor:
        if kinds.get(name) not in ("bool", "one") or not sum(rates[name]):
            return decision
        weights = torch.tensor(rates[name], dtype=torch.float64).expand(decision.numel(), -1)
        if not decision.numel():
            return decision
        drawn = torch.multinomial(weights, 1, generator=generator).reshape(decision.shape)
        return drawn.to(decision.dtype)

    return decide


def oracle(net: Forced, gates: Sequence[GatePort], data: DataSet) -> tuple[Array, Array] | None:
    """The cheapest way through the program that is best for each sample; None when there are too many ways to try.

    Ways differ in gates over the batch; those of k-of-n and of other axes stay the program's.
    """
    exits = [gate.name for gate in gates if gate.exit is not None]
    others = [g for g in gates if g.exit is None and g.kind != "many" and len(g.over) <= 1 and g.over in ((), ("N",))]
    ways = prod(g.arms for g in others) * (len(exits) + 1)
    if ways > MOST:
        return None
    best: tuple[Array, Array] | None = None
    for arms in product(*(range(g.arms) for g in others)):
        for place in range(len(exits) + 1):
            said = {g.name: arm for g, arm in zip(others, arms, strict=True)}
            said |= {name: int(i == place) for i, name in enumerate(exits)}
            quality, macs = net.run(data, _said(said))
            if best is None:
                best = quality, macs
                continue
            better = (quality > best[0]) | ((quality == best[0]) & (macs < best[1]))
            best = np.where(better, quality, best[0]), np.where(better, macs, best[1])
    return best


def _said(arms: Mapping[str, int]) -> Decide:
    def decide(name: str, decision: torch.Tensor) -> torch.Tensor:
        return torch.full_like(decision, arms[name]) if name in arms else decision

    return decide
