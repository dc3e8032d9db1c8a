"""How long each step of a build took, for `--timing`. Times never reach an artifact."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter


@dataclass
class Timing:
    """Adds up seconds per step, in order of first use."""

    now: Callable[[], float] = perf_counter
    """Which clock: that of the wall, or the CPU's."""
    _seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times what is done inside."""
        start = self.now()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + self.now() - start

    def steps(self) -> Iterator[tuple[str, float]]:
        """Name and seconds of each step, then their sum."""
        yield from self._seconds.items()
        yield "total", sum(self._seconds.values())


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pauses the cyclic garbage collector: a compile makes many long-lived objects, and walking them again and again
    takes longer than making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if not gc.get_freeze_count():  # what was made now counts as old, unseen; else it is walked at once
                gc.freeze()
                gc.unfreeze()
            gc.enable()
