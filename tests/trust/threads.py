"""Many threads on one session: the same bytes as one after the other."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import cogseedc
from tests.trust import sample

THREADS = 8


def threads(count: int, seed: int) -> str:
    """Eight threads run one session `count` times each, each time other rows and another knob, traced."""
    rng = np.random.default_rng(seed)
    calls = [(rng.standard_normal((n % 6, 4)).astype(np.float32), float(rng.random())) for n in range(count)]
    with tempfile.TemporaryDirectory() as name:
        for target in sample.TARGETS:
            session = cogseedc.open(sample.built(Path(name), target), threads=1)

            def one(call: int, session: cogseedc.Session = session) -> tuple[bytes, ...]:
                x, tau = calls[call % count]
                found = session(x=x, knobs={"tau": tau}, trace=True)
                return (
                    found["y"].tobytes(),
                    *(found.trace[g].tobytes() for g in ("early", "g")),
                    repr(found.rows).encode(),
                )

            serial = [one(call) for call in range(count)]
            with ThreadPoolExecutor(THREADS) as pool:
                at_once = list(pool.map(one, range(THREADS * count)))
            for call, found in enumerate(at_once):
                assert found == serial[call % count], f"{target}: call {call} differs from the serial one"
    return (
        f"{THREADS} threads x {count} runs on one session, {' and '.join(sample.TARGETS)}: equal to serial, bit for bit"
    )
