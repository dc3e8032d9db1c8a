"""Random programs in full figures: differential runs that assert what they have covered, and laws."""

from __future__ import annotations

from collections import Counter

from cogseedc.ops import OPS
from tests.fuzz import findings
from tests.fuzz.checks import Dropped, Failure, check
from tests.fuzz.generator import generate
from tests.fuzz.laws import check_laws
from tests.fuzz.shrink import shrink

MOST_DROPPED = 0.35


def programs(count: int, seed: int) -> str:
    """So many programs on all executors and batches. What differs is made small and kept in tests/regress."""
    seen: Counter[str] = Counter()
    number = seed
    while seen["programs"] < count:
        text = generate(number)
        try:
            check(text, number, True, seen)
        except Dropped:
            seen["dropped"] += 1
        except Failure as failure:
            small = shrink(text, lambda t, n=number: check(t, n), failure.kind)  # type: ignore[misc]
            path = findings.keep(small, number, str(failure))
            raise AssertionError(f"@seed {number}: {failure}; kept as {path.name}") from failure
        number += 1
    _covered(seen, count)
    executors = [name for name in seen if name.startswith("executor ")]
    operations = {
        name.removeprefix("operation "): times for name, times in seen.items() if name.startswith("operation ")
    }
    rarest = min(operations, key=lambda name: operations[name])
    parts = ", ".join(f"{way} {seen[way]:,}" for way in sorted(seen) if ": part" in way)
    return (
        f"{seen['programs']:,} programs (seeds {seed} .. {number - 1}, {seen['dropped']} dropped) on {len(executors)} executors and "
        f"{sum(times for name, times in seen.items() if name.startswith('batch of')):,} batches: 0 mismatches of values, decisions or rows; "
        f"{len(operations)} operations, the rarest ({rarest}) in {operations[rarest]}; "
        f"{seen['programs with a gate that all rows decide alike'] / seen['programs']:.0%} with a gate that all rows decide alike; "
        f"{seen['gates 3 deep']:,} with gates three deep; parts: {parts}; loops: {seen['loop repeat']:,} repeat, {seen['loop scan']:,} scan"
    )


def _covered(seen: Counter[str], count: int) -> None:
    """A run that met too little proves too little."""
    assert seen["dropped"] <= MOST_DROPPED * (count + seen["dropped"]), f"{seen['dropped']} dropped"
    assert seen["programs with a gate that all rows decide alike"] >= 0.25 * count
    needed = [
        *("gates 3 deep", "batch of 0", "loop repeat", "loop scan", "gate bool over N, T", "gate many over N, T"),
        *("compact: part of some rows", "compact: part skipped", "branch: part skipped", "executor onnx-evaluator"),
    ]
    if count >= 200:
        assert all(seen[what] for what in needed), [what for what in needed if not seen[what]]
    if count >= 5000:
        operations = {name: times for name, times in seen.items() if name.startswith("operation ")}
        rare = {name: times for name, times in operations.items() if times < count // 50}
        assert not rare, f"too few programs with {rare}"
        assert len(operations) >= len(OPS) // 3


def laws(count: int, seed: int) -> str:
    """So many programs under all laws of `tests/fuzz/laws.py`."""
    run = dropped = 0
    number = seed
    while run < count:
        try:
            check_laws(generate(number), number)
            run += 1
        except Dropped:
            dropped += 1
        except Failure as failure:
            raise AssertionError(f"@seed {number}: {failure}") from failure
        number += 1
    return f"{run} programs (seeds {seed} .. {number - 1}, {dropped} dropped) x 7 laws: none broken"
