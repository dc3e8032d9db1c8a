"""What samples would gain and cost at each exit, and what any choice of thresholds makes of that. Runs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cogseedc.driver.probe import ExitPoint, Seen
from cogseedc.runtime.spending import Work

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

Knobs = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Outcomes:
    """Of `n` samples and the ways out `0 .. k`: the exits in order, then the end."""

    exits: tuple[ExitPoint, ...]
    quality: Array
    """[k + 1, n]: 1 where the answer there is right (of several per sample: the share), or minus the squared error."""
    macs: Array
    """[k + 1, n]: what a sample has cost when it leaves there."""
    scores: Mapping[str, Array]
    decided: Mapping[str, Array]

    @property
    def count(self) -> int:
        return int(self.quality.shape[1])

    @cached_property
    def names(self) -> tuple[str | None, ...]:
        """Names of the ways out; None is the end."""
        return (*(exit.name for exit in self.exits), None)

    def leaving(self, knobs: Knobs) -> Array:
        """The way out of each sample, i64, when the knobs that exits compare with have these values."""
        way = np.full(self.count, len(self.exits))
        for place in reversed(range(len(self.exits))):
            way[self.condition(self.exits[place], knobs)] = place
        return way

    def condition(self, exit: ExitPoint, knobs: Knobs) -> Array:
        """Where an exit's condition holds."""
        threshold = exit.threshold
        if threshold is None:
            return self.decided[exit.name]
        return threshold.holds(self.scores[exit.name], knobs[threshold.knob][threshold.element])

    def at(self, way: Array | int) -> Summary:
        """What it comes to when each sample takes this way out."""
        samples = np.arange(self.count)
        ways = np.full(self.count, way) if isinstance(way, int) else way
        shares = np.bincount(ways, minlength=len(self.names)) / max(1, self.count)
        quality, macs = self.quality[ways, samples], self.macs[ways, samples]
        return Summary(float(quality.mean()), float(macs.mean()), float(macs.max()), tuple(shares.tolist()))

    @cached_property
    def last(self) -> Array:
        """The way out of each sample when nobody leaves early: exits that compare with no knob alone still decide."""
        way = np.full(self.count, len(self.exits))
        for place in reversed(range(len(self.exits))):
            if self.exits[place].threshold is None:
                way[self.decided[self.exits[place].name]] = place
        return way

    @cached_property
    def full(self) -> Summary:
        """Nobody leaves early."""
        return self.at(self.last)

    @cached_property
    def cautious(self) -> Outcomes:
        """The same, but an early answer is never better than the last one: right where the full network is wrong
        counts as wrong. On few samples such gains are mostly luck, and would pay for real losses."""
        return replace(self, quality=np.minimum(self.quality, self.quality[self.last, np.arange(self.count)]))


@dataclass(frozen=True)
class Summary:
    """Means over samples."""

    quality: float
    macs: float
    worst: float
    """The most that one of the samples costs."""
    shares: tuple[float, ...]
    """Of the samples, for each way out."""


def outcomes(seen: Seen, exits: Sequence[ExitPoint], work: Work, target: Array) -> Outcomes:
    """The table of what a probe saw, against what should have come."""
    count = len(target)
    names: list[str | None] = [*(exit.name for exit in exits), None]
    quality = np.stack([score_of(seen.given[name], target) for name in names])
    macs = np.stack([work.macs(_trace(seen, names, place), count) for place in range(len(names))])
    return Outcomes(tuple(exits), quality, macs, seen.scores, seen.decided)


def score_of(given: Array, target: Array) -> Array:
    """How good each answer is: the share of right classes, or minus the mean squared error; f64 [n]."""
    if target.dtype.kind in "iu":
        each = np.asarray(given.argmax(-1) == target, np.float64)
    else:
        each = -np.square(given.astype(np.float64) - target)
    return np.asarray(each.reshape(len(target), -1).mean(1))


def _trace(seen: Seen, names: Sequence[str | None], place: int) -> dict[str, Array]:
    """The trace in which everybody leaves at one place."""
    count = len(next(iter(seen.given.values())))
    said = {name: 1 if i == place else 0 if i < place else -1 for i, name in enumerate(names[:-1])}
    return {**seen.trace, **{str(name): np.full(count, decision) for name, decision in said.items()}}
