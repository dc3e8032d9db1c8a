"""The loss of one batch: of every exit, of agreeing with the end, and the program's own terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cogseedc.train.options import Options


@dataclass(frozen=True)
class Objective:
    """What the loss is made of. `exits` are those that give the output `output`, in order."""

    output: str
    exits: tuple[str, ...]
    options: Options

    def terms(
        self, result: Any, target: Tensor, only: Sequence[str | None] | None = None
    ) -> Iterator[tuple[str, float, Tensor]]:
        """(name, weight, term) of the exits and the end, or of those in `only`, then of the named losses and, where
        gates draw, the policy's: their reward is the negative loss of each sample at the end.

        `result` is what the module gave in training mode, with no exit taken.
        """
        end = getattr(result, self.output)
        for name, weight in self._weights().items():
            if only is not None and name not in only:
                continue
            given = end if name is None else getattr(result.exits[name], self.output)
            term = fit(given, target, self.options.smoothing)
            share = self.options.distillation
            if name is not None and share and not target.is_floating_point():
                term = (1 - share) * term + share * agree(given, end.detach(), self.options.temperature)
            yield name or "end", weight, term
        if only is None:
            yield from named(result.losses, self.options.losses)
            if result.logp:
                yield "policy", 1.0, result.policy_loss(-losses_of(end, target, self.options.smoothing))

    def _weights(self) -> Mapping[str | None, float]:
        count, given = len(self.exits), self.options.exits
        if given == "equal":
            given = (1.0,) * count
        elif given == "linear":
            given = tuple((i + 1) / (count + 1) for i in range(count))
        return {**dict(zip(self.exits, given, strict=True)), None: 1.0}


def fit(given: Tensor, target: Tensor, smoothing: float) -> Tensor:
    """Cross entropy over the last axis for classes, mean squared error for numbers."""
    if target.is_floating_point():
        return F.mse_loss(given, target)
    return F.cross_entropy(given.flatten(0, -2), target.flatten(), label_smoothing=smoothing)


def losses_of(given: Tensor, target: Tensor, smoothing: float) -> Tensor:
    """What `fit` takes the mean of, for each sample."""
    if target.is_floating_point():
        return F.mse_loss(given, target, reduction="none").reshape(len(given), -1).mean(1)
    each = F.cross_entropy(given.flatten(0, -2), target.flatten(), label_smoothing=smoothing, reduction="none")
    return each.reshape(len(given), -1).mean(1)


def agree(given: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Cross entropy with the teacher's softened classes, times temperature^2 (Hinton, Vinyals and Dean 2015)."""
    wanted = torch.softmax(teacher / temperature, -1)
    return -(wanted * torch.log_softmax(given / temperature, -1)).sum(-1).mean() * temperature**2


def named(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Iterator[tuple[str, float, Tensor]]:
    """The program's `loss` terms with their weights."""
    for name, term in losses.items():
        if weights.get(name, 1.0):
            yield name, weights.get(name, 1.0), term.mean()
