"""How long one sample takes that leaves at each exit, measured on the artifact itself. Times nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from cogseedc.calibrate.search import Space, changed
from cogseedc.runtime import Session

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

RUNS, WARM = 40, 5


def latencies(session: Session, inputs: Mapping[str, Array], space: Space) -> Array:
    """Milliseconds [k + 1, 1] of single samples, medians of `RUNS`.

    To make samples leave at one exit, all before it get the value at which the fewest leave, and it the one at which
    most do; where no sample then leaves there, the time of the next place stands for it.
    """
    ways = len(space.outcomes.names)
    found = np.full(ways, np.nan)
    for place in range(ways):
        knobs = space.start
        for name, element, places in space.elements:
            if max(places) < place:
                knobs = changed(knobs, name, element, space.never(places[0]))
            elif place in places:
                knobs = changed(knobs, name, element, space.always(place))
            else:
                knobs = changed(knobs, name, element, space.never(places[0]))
        there = np.flatnonzero(space.outcomes.leaving(knobs) == place)[:RUNS]
        if len(there):
            found[place] = _median(session, inputs, knobs, there)
    for place in reversed(range(ways - 1)):
        if np.isnan(found[place]):
            found[place] = found[place + 1]
    return found[:, None]


def _median(session: Session, inputs: Mapping[str, Array], knobs: Mapping[str, object], rows: Array) -> float:
    times = []
    for turn in range(WARM + RUNS):
        row = int(rows[turn % len(rows)])
        one = {name: array[row : row + 1] for name, array in inputs.items()}
        start = perf_counter()
        session.run(one, knobs, state={})
        times.append(perf_counter() - start)
    return float(np.median(times[WARM:]) * 1e3)
