"""Builds that are killed: at any moment, and at each operation on files. Old artifact or new, never a broken one.

To be run in a process of its own, since it forks.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import count as numbers
from pathlib import Path
from typing import Any, NoReturn

import cogseedc
from cogseedc import publish
from tests.trust import sample

OPERATIONS = ("open", "write", "fsync", "replace", "mkdir", "unlink", "rmdir", "close", "fchmod")


class Deadly:
    """`os`, but for the k-th operation on files: this process is killed before it, or after it."""

    def __init__(self, at: int, after: bool) -> None:
        self._left, self._after = at, after

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in OPERATIONS:
            return real

        def call(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                os.kill(os.getpid(), signal.SIGKILL)
            found = real(*arguments, **options)
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        return call


def child(act: Callable[[], object]) -> int:
    """Starts a process that does one thing."""
    pid = os.fork()
    if pid:
        return pid
    _run(act)


def _run(act: Callable[[], object]) -> NoReturn:
    try:
        act()
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        os._exit(1)
    os._exit(0)


def ended(pid: int) -> int:
    """Waits; 0, or the exit status, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kills(count: int, seed: int) -> str:
    """Until so many builds were killed, half of them after a random time, half at an operation on files."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        sources = [sample.source(place, number) for number in (0, 1)]
        wanted = {target: [sample.files(sample.built(place, target, n)) for n in (0, 1)] for target in sample.TARGETS}
        usual = {target: _seconds(sources[0], target, place / "timed") for target in sample.TARGETS}
        killed = finished = old = new = nothing = 0
        for turn in numbers():
            target, number = sample.TARGETS[turn % 2], turn // 8 % 2
            folder = place / f"{target}-{turn // 8}"
            before = sample.whole(folder)
            after = rng.random() < 0.5
            at = rng.randint(1, 80) if turn % 4 > 1 else 0
            pid = child(partial(_build, sources[number], target, folder, at, after))
            if not at:
                time.sleep(rng.random() * 1.1 * usual[target])
                os.kill(pid, signal.SIGKILL)
            status = ended(pid)
            assert status in (0, -signal.SIGKILL), f"turn {turn}: exit status {status}"
            killed, finished = killed + (status != 0), finished + (status == 0)
            found = sample.whole(folder)
            assert found is not None or before is None, f"turn {turn}: the old artifact is gone"
            if found is None:
                nothing += 1
            else:
                old, new = old + (found == before), new + (found != before)
            if turn % 8 > 5 or killed == count:  # the last turns of these folders
                assert ended(child(partial(_build, sources[number], target, folder, 0, False))) == 0
                assert sample.files(folder) == wanted[target][number], f"turn {turn}: leftovers"
            if killed == count:
                break
    return (
        f"{killed} builds killed, {finished} were faster; after them {nothing} folders without an artifact yet, "
        f"{old} with the old one, {new} with the new one, 0 broken; no leftovers after the next success"
    )


def _build(source: Path, target: str, folder: Path, at: int, after: bool) -> None:
    if at:
        publish.os = Deadly(at, after)  # type: ignore[assignment]
    cogseedc.compile(source, target, folder, rng=0)


def _seconds(source: Path, target: str, folder: Path) -> float:
    begin = time.perf_counter()
    assert ended(child(partial(_build, source, target, folder / target, 0, False))) == 0
    return time.perf_counter() - begin


def builders(count: int, seed: int) -> str:
    """Eight processes build different programs into one folder, `count` times each, while it is opened and read."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        place, folder = Path(name), Path(name) / "shared"
        sources = [sample.source(place, number) for number in range(8)]
        wanted = [sample.files(sample.built(place, "onnx-cpu", number)) for number in range(8)]
        sample.built(place)
        pids = [child(partial(_many, source, folder, count, rng.random())) for source in sources]
        opened = 0
        running = set(pids)
        while running:
            for pid in list(running):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    running.discard(pid)
            if (folder / "cogseed.json").exists():
                assert cogseedc.open(folder, threads=1)(x=sample.X)["y"].shape == (6, 4)
                opened += 1
        assert sample.files(folder) in wanted, "the last artifact is none of the eight"
    return f"8 builders, {count} builds each, one folder: no error, opened {opened} times meanwhile, the last is whole"


def _many(source: Path, folder: Path, count: int, pause: float) -> None:
    for _ in range(count):
        time.sleep(pause * 0.02)
        cogseedc.compile(source, "onnx-cpu", folder, rng=0)
