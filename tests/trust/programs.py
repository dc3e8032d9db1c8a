"""Random programs in full figures: differential runs that assert what they have covered, and laws.

A run goes on where it was interrupted: what it met lies in `build/trust`, chunk by chunk.
"""

from __future__ import annotations

import gc
import hashlib
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from cogseedc.ops import OPS
from tests.fuzz import findings
from tests.fuzz.checks import Dropped, Failure, check, rotated
from tests.fuzz.generator import generate
from tests.fuzz.laws import LAWS, check_laws
from tests.fuzz.shrink import shrink

CHUNK = 50
MOSTLY_KEPT = (200_000, 20, 20)
"""Thresholds of the garbage collector: graphs are built, compared and dropped as a whole."""
LONG = 1000
"""Programs from which on a run is kept."""
MOST_DROPPED = 0.2
EACH = 50
"""One program in so many must have an operation, each of them; of ten thousand 200."""
FOLDER = Path(__file__).parents[2] / "build" / "trust"
IN_TRAINING = frozenset({"load_balance", "perturb", "soft_top", "straight_through"})
"""Operations that only training runs. They are compiled with the program, and `tests/train` compares them."""
LOWERED = frozenset({"dequantize", "integer_linear", "quantize", "scale_of"})
"""Operations that only passes write."""
Task = Callable[[int, Counter[str]], str]


@dataclass
class Found:
    """What a range of numbers gave."""

    start: int
    next: int
    seen: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    """By number, what was wrong."""
    repaired: dict[str, str] = field(default_factory=dict)
    """Failures that did not come again when they were run anew, by a compiler that had been corrected."""
    texts: list[str] = field(default_factory=list)
    """Digests of the programs."""

    def add(self, other: Found) -> None:
        self.next = other.next
        self.seen.update(other.seen)
        self.failed.update(other.failed)
        self.texts += other.texts

    @staticmethod
    def of(path: Path, start: int) -> Found:
        if not path.exists():
            return Found(start, start)
        data = json.loads(path.read_text())
        return Found(start, data["next"], Counter(data["seen"]), data["failed"], data["repaired"], data["texts"])

    def keep(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.__dict__))


def programs(count: int, seed: int) -> str:
    """So many programs on several executors and all batches; what differs in the end is made small and kept."""
    found = _long(_program, count, seed)
    seen = found.seen
    _covered(seen, count)
    executors = [name for name in seen if name.startswith("executor ")]
    operations = _operations(seen)
    rarest = min(operations, key=lambda name: operations[name])
    parts = ", ".join(f"{way} {seen[way]:,}" for way in sorted(seen) if ": part" in way)
    batches = sum(times for name, times in seen.items() if name.startswith("batch of"))
    return (
        f"{seen['programs']:,} programs, {len(set(found.texts)):,} distinct ones (seeds {seed} .. {found.next - 1}, {seen['dropped']} dropped) "
        f"on {len(executors)} executors and {batches:,} batches: 0 mismatches of values, decisions or rows"
        f"{f' ({len(found.repaired)} before corrections: seeds ' + ', '.join(found.repaired) + ')' if found.repaired else ''}; "
        f"{sum(times > 0 for times in operations.values())} of {len(OPS)} operations, the rarest ({rarest}) in {operations[rarest]}; "
        f"{seen['programs with a gate that all rows decide alike'] / seen['programs']:.0%} with a gate that all rows decide alike; "
        f"{seen['gates 3 deep']:,} with gates three deep; {seen['programs in reduced precisions']:,} in reduced precisions; "
        f"{seen['further calls with states']:,} further calls with states; parts: {parts}; "
        f"loops: {seen['loop repeat']:,} repeat, {seen['loop scan']:,} scan"
    )


def laws(count: int, seed: int) -> str:
    """So many programs under all laws of `tests/fuzz/laws.py`."""
    found = _long(_law, count, seed)
    return (
        f"{found.seen['programs']:,} programs (seeds {seed} .. {found.next - 1}, {found.seen['dropped']} dropped) "
        f"x {len(LAWS)} laws: none broken"
    )


def _program(number: int, seen: Counter[str]) -> str:
    text = generate(number)
    check(text, number, rotated(number), seen)
    return text


def _law(number: int, seen: Counter[str]) -> str:
    text = generate(number)
    check_laws(text, number)
    seen["programs"] += 1
    return text


def _long(task: Task, count: int, seed: int) -> Found:
    """Chunk by chunk, each in a process of its own, until enough programs were run; what failed is run once more."""
    path = FOLDER / f"{task.__name__.strip('_')}s-{seed}.json"
    long = count >= LONG
    found = Found.of(path, seed) if long else Found(seed, seed)
    torch.set_num_threads(1)
    while found.seen["programs"] < count:
        if not long:
            found.add(_attempt(task, found.next))
            continue
        for chunk in _chunks(task, found.next):
            found.add(chunk)
            found.keep(path)
            print(
                f"  {found.seen['programs']:,} of {count:,} (seeds {seed} .. {found.next - 1}), {found.seen['dropped']} dropped, "
                f"{len(found.failed)} failed: {' '.join(found.failed)}",
                flush=True,
            )
            if found.seen["programs"] >= count:
                break
    for number in list(found.failed):
        again = _attempt(task, int(number))
        if not again.failed:
            found.repaired[number] = found.failed.pop(number)
            found.seen.update(again.seen)
    if long:
        found.keep(path)
    for number, text in found.failed.items():
        kept = _kept(int(number)) if task is _program else ""
        raise AssertionError(f"@seed {number}: {text}{kept}; failing: {', '.join(found.failed)}")
    return found


def _chunks(task: Task, start: int) -> Iterator[Found]:
    """A chunk for each processor, in order."""
    processors = os.cpu_count() or 1
    with ProcessPoolExecutor(processors, multiprocessing.get_context("fork")) as pool:
        yield from pool.map(partial(_chunk, task), range(start, start + processors * CHUNK, CHUNK))


def _chunk(task: Task, start: int) -> Found:
    gc.set_threshold(*MOSTLY_KEPT)
    found = Found(start, start)
    for number in range(start, start + CHUNK):
        found.add(_attempt(task, number))
    return found


def _attempt(task: Task, number: int) -> Found:
    """One program: whatever it raises is a failure."""
    found, seen = Found(number, number + 1), Counter[str]()
    try:
        text = task(number, seen)
        found.seen, found.texts = seen, [hashlib.sha256(text.encode()).hexdigest()[:16]]
    except Dropped as reason:
        found.seen["dropped"] += 1
        found.seen["dropped as it amplifies rounding"] += "amplifies" in str(reason)
    except Exception as error:  # one program must not end the run
        found.failed[str(number)] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return found


def _kept(number: int) -> str:
    """Makes a failing program small, and keeps it."""
    text = generate(number)
    try:
        check(text, number, rotated(number))
    except Failure as failure:
        small = shrink(text, lambda t: check(t, number, rotated(number)), failure.kind)
        return f"; kept as {findings.keep(small, number, str(failure)).name}"
    return ""


def _operations(seen: Counter[str]) -> dict[str, int]:
    """In how many programs each operation of the catalogue was."""
    return {name: _times(name, seen) for name in OPS}


def _times(name: str, seen: Counter[str]) -> int:
    kind = "training" if name in IN_TRAINING else "lowered" if name in LOWERED else "operation"
    return seen[f"{kind} {name}"]


def _needed(seen: Counter[str], operations: dict[str, int], count: int) -> Iterator[tuple[str, bool]]:
    gates = ("N", "N, T", "N, C", "N, H, W", "N, L")
    present = [
        *("gates 3 deep", "batch of 0", "loop repeat", "loop scan", "gate many over N, T", "executor onnx-evaluator"),
        *("feature exit", "feature state", "feature import", "feature capacity", "further calls with states"),
        *("compact: part of some rows", "compact: part skipped", "branch: part skipped"),
        *(f"gate bool over {axes}" for axes in gates),
    ]
    if count >= 1000:
        yield from ((what, bool(seen[what])) for what in present)
    if count >= 5000:
        yield from ((f"{name} in {times} programs", times >= count // EACH) for name, times in operations.items())


def _covered(seen: Counter[str], count: int) -> None:
    """A run that met too little proves too little."""
    lost, alike = seen["dropped"], seen["programs with a gate that all rows decide alike"]
    assert lost <= MOST_DROPPED * (count + lost), f"{lost} dropped"
    assert alike >= 0.25 * count, f"only {alike} programs with a gate that all rows decide alike"
    missing = [what for what, met in _needed(seen, _operations(seen), count) if not met]
    assert not missing, f"too little: {missing}"
