"""Medians and paired ratios, with 90 % intervals by the percentile bootstrap (Efron and Tibshirani 1993, ch. 13)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

RESAMPLES = 2000
COVERAGE = 0.9


@dataclass(frozen=True, slots=True)
class Figure:
    """A median with its interval; a figure that is not measured has an interval of no width."""

    value: float
    low: float
    high: float

    @staticmethod
    def exact(value: float) -> Figure:
        """What is counted, not measured."""
        return Figure(value, value, value)

    def scaled(self, factor: float) -> Figure:
        """The same in another unit."""
        return Figure(self.value * factor, self.low * factor, self.high * factor)


def typical(samples: Sequence[float]) -> Figure:
    """The median of some measurements."""
    values = np.asarray(samples, np.float64)
    medians = np.median(values[_draws(len(values))], axis=1)
    low, high = np.quantile(medians, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Figure(float(np.median(values)), float(low), float(high))


def ratio(above: Sequence[float], below: Sequence[float]) -> Figure:
    """The median of the ratios of two candidates, round by round: what slows a round down slows both."""
    return typical([a / b for a, b in zip(above, below, strict=True)])


@cache
def _draws(count: int) -> Array:
    """Which measurements each resample takes; the same ones in every run."""
    return np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
