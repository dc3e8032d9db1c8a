"""Times candidates against each other: all of them in every round, in an order that turns from round to round.

One thread is timed by its own CPU time, since the wall's time on a shared machine is off by a factor of two; more than
one by the wall.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import perf_counter, thread_time

Candidates = Mapping[str, Callable[[], object]]
Samples = dict[str, list[float]]
"""Seconds of one call, per round, by candidate."""
Timer = Callable[[], float]

LEAST = 0.004
"""Seconds that one measurement takes at least: a quicker candidate is called several times."""


def wall() -> float:
    """Seconds on the wall's clock: for more than one thread."""
    return perf_counter()


def measure(
    candidates: Candidates,
    rounds: int,
    timer: Timer = thread_time,
    least: float = LEAST,
    progress: Callable[[int], None] | None = None,
) -> Samples:
    """Seconds of one call of each candidate, in each round. All are called once before, to settle."""
    names = list(candidates)
    calls = {name: _calls(candidates[name], timer, least) for name in names}
    found: Samples = {name: [] for name in names}
    for turn in range(rounds):
        for name in _turned(names, turn):
            found[name].append(_time(candidates[name], calls[name], timer))
        if progress is not None:
            progress(turn + 1)
    return found


def _turned(names: list[str], turn: int) -> Iterator[str]:
    """The names from a place that moves on, every other time backwards: nobody always follows the same one."""
    start = turn % len(names)
    order = names[start:] + names[:start]
    return iter(order if turn % 2 else reversed(order))


def _calls(candidate: Callable[[], object], timer: Timer, least: float) -> int:
    """How often a candidate is called to fill the least time."""
    candidate()
    once = min(_time(candidate, 1, timer) for _ in range(2))
    return max(1, round(least / max(once, 1e-7)))


def _time(candidate: Callable[[], object], calls: int, timer: Timer) -> float:
    start = timer()
    for _ in range(calls):
        candidate()
    return (timer() - start) / calls
