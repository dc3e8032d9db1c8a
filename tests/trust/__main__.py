"""`python -m tests.trust NAME ... --count N --seed S`: runs promises and prints what they found."""

from __future__ import annotations

import argparse
import datetime
import time
from collections.abc import Callable

from tests.trust import bombs, determinism, failing, faults, injection, kills, mutants, programs, tamper, threads

Promise = Callable[[int, int], str]
PROMISES: dict[str, tuple[Promise, int]] = {
    "kills": (kills.kills, 500),
    "builders": (kills.builders, 50),
    "failing": (failing.failing, failing.MOST),
    "tampering": (tamper.tampering, 3000),
    "forging": (tamper.forging, 3000),
    "bombs": (bombs.bombs, len(bombs.BOMBS)),
    "large": (bombs.large, len(bombs.LARGE_TEXTS)),
    "determinism": (determinism.determinism, 30),
    "mutants": (mutants.mutants, 20_000),
    "faults": (faults.faults, len(faults.FAULTS)),
    "laws": (programs.laws, 2000),
    "programs": (programs.programs, 10_000),
    "injection": (injection.injection, len(injection.PAYLOADS)),
    "threads": (threads.threads, 500),
}
"""What is run, and the count of the whole figure."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.trust")
    parser.add_argument("names", nargs="*", choices=[*PROMISES, []], metavar="NAME", help=", ".join(PROMISES))
    parser.add_argument("--count", type=int, help="how many; default: the whole figure")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    for name in chosen.names or PROMISES:
        promise, count = PROMISES[name]
        begin = time.perf_counter()
        found = promise(chosen.count or count, chosen.seed)
        today = datetime.datetime.now(datetime.UTC).date()
        print(f"{name} ({today}, seed {chosen.seed}, {time.perf_counter() - begin:.0f} s): {found}", flush=True)


if __name__ == "__main__":
    main()
