"""Keeps what the fuzzer found as regression tests, and knows how long to look. Runs no program."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

REGRESS = Path(__file__).parents[1] / "regress"
FUZZING = os.environ.get("COGSEEDC_FUZZ") == "1"
SECONDS = 60 * float(os.environ.get("COGSEEDC_FUZZ_MINUTES", "2"))
"""For each of the two fuzzers, on all processes."""
START = int(os.environ.get("COGSEEDC_FUZZ_SEED", "1000"))
"""The first number that fuzzing tries; the normal suite has those below."""


PARTS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) if FUZZING else 1
"""Into how many tests each fuzzer is split: one for each process."""


def say(capture: pytest.CaptureFixture[str], text: str) -> None:
    """Tells the person who runs `make fuzz`, whatever pytest captures."""
    with capture.disabled():
        print(f"\n{text}", file=sys.stderr, flush=True)


def keep(text: str, seed: int, failure: str) -> Path:
    """Writes a program into tests/regress; its first lines say what was wrong and with which numbers it is run."""
    number = 1 + max((int(path.stem) for path in REGRESS.glob("[0-9]*.seed")), default=0)
    while True:
        path = REGRESS / f"{number:03}.seed"
        try:
            with path.open("x", encoding="utf-8") as stream:
                stream.write(f"# run: {seed}\n# {' '.join(failure.split())[:110]}\n{text}")
            return path
        except FileExistsError:  # another process was faster
            number += 1
