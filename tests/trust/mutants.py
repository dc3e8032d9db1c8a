"""Damaged sources, through the command that a user calls: status 0, or 1 (4: a budget) with places; quick, and in little memory.

To be run in a process of its own, since it bounds its memory.
"""

from __future__ import annotations

import io
import os
import re
import resource
import tempfile
import time
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from cogseedc.cli.main import run
from tests.fuzz.test_mutants import laid_out, mutant
from tests.trust.memory import peak

HANGS = 30.0
"""Seconds of processor time after which a source counts as one that hangs."""
MEMORY = 512 << 20
_PLACE = re.compile(r"^[\w./-]*\.seed:\d+:\d+: error\[CS\d{4}\]: ", re.MULTILINE)


def mutants(count: int, seed: int) -> str:
    """So many of them, checked and laid out."""
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    codes: Counter[str] = Counter()
    slowest, fine = 0.0, 0
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        try:
            for number in range(seed, seed + count):
                data = mutant(number)
                Path("mutant.seed").write_bytes(data)
                begin = time.process_time()
                with redirect_stderr(io.StringIO()) as said, redirect_stdout(io.StringIO()):
                    status = run(("check", "mutant.seed"))
                slowest = max(slowest, time.process_time() - begin)
                text, what = said.getvalue(), f"@seed {number}: {data[:2000]!r}"
                assert status in (0, 1, 4), f"status {status}, {text} {what}"
                assert status == 0 or _PLACE.search(text) or len(data) < 2, f"no place: {text} {what}"
                wrong = laid_out(data)
                assert not wrong, f"{wrong} {what}"
                fine += status == 0
                codes.update(set(re.findall(r"error\[(CS\d{4})\]", text)))
        finally:
            os.chdir(here)
    taken = peak()
    assert slowest < HANGS, f"{slowest:.1f} s"
    assert taken < MEMORY, f"{taken >> 20} MiB"
    return (
        f"{count} mutants: {fine} are fine after all, {count - fine} refused with places, {len(codes)} codes met; "
        f"the slowest in {slowest:.2f} s of processor time, at most {taken >> 20} MiB"
    )
