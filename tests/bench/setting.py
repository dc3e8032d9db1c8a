"""What the rows share: how many rounds, how many threads, and batches of one stream of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import thread_time
from typing import Any

import numpy as np
import torch

from cogseedc.bench import Candidates, Cell, Figure, Limit, Samples, Work, measure, ratio, typical, wall
from cogseedc.bench.compiled import Compiled
from cogseedc.bench.runtimes import Model

Array = np.ndarray[Any, np.dtype[Any]]
Feed = dict[str, Array]


@dataclass(frozen=True)
class Setting:
    """How a row is measured."""

    rounds: int
    quick: bool = False
    """One small cell of each kind, to see that everything works."""
    threads: int = 1

    def measured(self, candidates: Candidates) -> Samples:
        """Seconds by candidate: of the thread that calls, or on the wall where there are more threads."""
        torch.set_num_threads(self.threads)
        if self.quick:
            return measure(candidates, 1, least=0.0)
        return measure(candidates, self.rounds, thread_time if self.threads == 1 else wall)

    def spread(self, made: Callable[[], Candidates], instances: int) -> Samples:
        """The same from several instances of the candidates, a part of the rounds each: where the weights of one lie in
        memory can make a tenth of its time."""
        part = replace(self, rounds=-(-self.rounds // instances))
        found: Samples = {}
        for _ in range(1 if self.quick else instances):
            for name, seconds in part.measured(made()).items():
                found.setdefault(name, []).extend(seconds)
        return found

    def each(self, cells: Sequence[Any]) -> Sequence[Any]:
        """The cells, or the last one only."""
        return cells[-1:] if self.quick else cells


Rows = Callable[[Setting, frozenset[str]], Iterator[Cell]]
"""Measures the rows that are asked for, of those that a module has."""


def batches(samples: Mapping[str, Array], batch: int, fixed: Mapping[str, Array] | None = None) -> list[Feed]:
    """The samples cut into batches; `fixed` goes with each."""
    count = len(next(iter(samples.values())))
    cut = range(0, count, batch)
    return [{n: np.ascontiguousarray(a[i : i + batch]) for n, a in samples.items()} | dict(fixed or {}) for i in cut]


def running(model: Model, feeds: Sequence[Feed]) -> Callable[[], object]:
    """A candidate: a model on each of the batches."""
    run = model.run
    return calling([partial(run, model.prepare(feed)) for feed in feeds])


def limiting(limit: Limit, works: Sequence[Work]) -> Callable[[], object]:
    """A candidate: exactly the segments that those batches need."""

    return calling([run for work in works for run in limit.runs(work)])


def calling(runs: Sequence[Callable[[], object]]) -> Callable[[], object]:
    """One after the other."""

    def call() -> None:
        for run in runs:
            run()

    return call


def works(compiled: Compiled, feeds: Sequence[Feed]) -> list[Work]:
    """How many rows each part of the program held, for each batch."""
    return [compiled.work(feed) for feed in feeds]


def fastest(samples: Samples, names: Sequence[str]) -> str:
    """The candidate with the least median."""
    return min((n for n in names if n in samples), key=lambda n: typical(samples[n]).value)


def microseconds(samples: Sequence[float], runs: int) -> Figure:
    """Time of one sample."""
    return typical(samples).scaled(1e6 / runs)


__all__ = [
    "Array",
    "Feed",
    "Rows",
    "Setting",
    "batches",
    "fastest",
    "limiting",
    "microseconds",
    "ratio",
    "running",
    "works",
]
