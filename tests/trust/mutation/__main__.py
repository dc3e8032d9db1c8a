"""Draws mutants of each area, and prints how many of them were killed and which were not."""

from __future__ import annotations

import argparse
import functools
import os
import random
import time
from dataclasses import dataclass, replace

from tests.trust.mutation.areas import AREAS, ROOT, Area
from tests.trust.mutation.changes import Mutant, mutants
from tests.trust.mutation.processes import Broken, forked
from tests.trust.mutation.running import Session, killer, preload, session
from tests.trust.mutation.swapping import NotSwapped, apply

Queue = list[tuple[str, float]]
DIED = "the process"


@dataclass(frozen=True)
class Found:
    """What became of mutants, by number: who killed each, None where nobody did; and what has to be imported anew."""

    killers: dict[int, str | None]
    anew: dict[int, Queue]
    failing: list[str]


def measured(area: Area, drawn: list[Mutant], jobs: int, patience: float) -> dict[int, str | None]:
    """Who killed each mutant."""
    [(_, found)] = forked({0: lambda: session(area.tests, lambda tests: _swapped(tests, drawn, jobs, patience))}, 1)
    if not isinstance(found, Found):
        raise SystemExit(f"the tests cannot be run: {found}")
    for test in found.failing:
        print(f"  fails without a change: {test}", flush=True)
    anew = {number: functools.partial(_imported, area, drawn[number], queue) for number, queue in found.anew.items()}
    return found.killers | {number: _verdict(result) for number, result in forked(anew, jobs)}


def _swapped(tests: Session, drawn: list[Mutant], jobs: int, patience: float) -> Found:
    """In a process that has imported the tests."""
    survey = tests.survey(jobs)
    queues = {
        number: [(test, survey.tests[test].seconds) for test in survey.queue(mutant, patience)]
        for number, mutant in enumerate(drawn)
    }
    anew = {number: queue for number, queue in queues.items() if survey.frozen(drawn[number])}
    works = {
        number: functools.partial(_changed, tests, drawn[number], queue)
        for number, queue in queues.items()
        if number not in anew and queue
    }
    killers: dict[int, str | None] = {number: None for number, queue in queues.items() if not queue}
    for number, result in forked(works, jobs):
        if isinstance(result, NotSwapped):
            anew[number] = queues[number]
        else:
            killers[number] = _verdict(result)
    return Found(killers, anew, [test for test, seen in survey.tests.items() if not seen.fine])


def _changed(tests: Session, mutant: Mutant, queue: Queue) -> list[str | None] | NotSwapped:
    try:
        apply(mutant.file, mutant.tree())
    except NotSwapped as error:
        return error
    return [tests.killer(queue)]


def _imported(area: Area, mutant: Mutant, queue: Queue) -> list[str | None]:
    return [killer(mutant.file, mutant.tree(), area.tests, queue)]


def _verdict(result: list[str | None] | NotSwapped | Broken | None) -> str | None:
    match result:
        case [killer]:
            return killer
        case None:
            return DIED
    raise RuntimeError(str(result))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.trust.mutation")
    parser.add_argument("areas", nargs="*", choices=[*AREAS, []], metavar="AREA", help=", ".join(AREAS))
    parser.add_argument("--count", type=int, default=40, help="how many of an area's mutants, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    parser.add_argument("--patience", type=float, default=90, help="seconds of tests that a mutant has to outlive")
    parser.add_argument("--tests", nargs="+", help="only these tests of an area, so that the score is a lower bound")
    parser.add_argument("--verbose", action="store_true", help="say who killed each mutant")
    chosen = parser.parse_args()
    os.chdir(ROOT)
    preload()
    for name in chosen.areas or AREAS:
        area, begin = AREAS[name], time.perf_counter()
        area = replace(area, tests=tuple(chosen.tests or area.tests))
        every = [mutant for file in area.files for mutant in mutants(file)]
        drawn = random.Random(chosen.seed).sample(every, min(chosen.count, len(every)))
        killers = measured(area, drawn, chosen.jobs, chosen.patience)
        dead = sum(killer is not None for killer in killers.values())
        print(
            f"{name}: {dead} of {len(drawn)} killed ({dead / len(drawn):.0%}, {area.wanted:.0%} wanted), drawn of {len(every)} "
            f"with seed {chosen.seed}; {time.perf_counter() - begin:.0f} s",
            flush=True,
        )
        for number in sorted(killers, key=lambda number: str(drawn[number])):
            if killers[number] is None:
                print(f"  survived: {drawn[number]}", flush=True)
            elif chosen.verbose:
                print(f"  killed: {drawn[number]}, by {killers[number]}", flush=True)


if __name__ == "__main__":
    main()
