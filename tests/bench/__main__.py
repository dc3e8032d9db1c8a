"""Prints how long compiling takes, stage by stage, and how it grows from 1,000 to 10,000 statements.

CPU seconds, so that other work on the machine counts little; each row is the best of `--repeat` runs. A bound that does
not hold is said to be missed: 6 s for 10,000 statements, 12 times the time of 1,000, 1 s for a session of deep or long
control. It fails nothing: time is measured here, and gated nowhere.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tests.bench.generate import SHAPES, exits, nested
from tests.bench.measure import Cost, measure

STATEMENTS = (1_000, 10_000)
MOST_SECONDS = 6.0
MOST_RATIO = 12.0
MOST_SESSION = 1.0
CONTROL = {"200 exits in a row": exits(200), "40 nested when": nested(40)}
STAGES = ("check", "passes", "plan", "emit", "total", "session")


def main() -> None:
    """Measures, prints a table and the bounds that do not hold, and writes the same as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--repeat", type=int, default=2, help="runs of each program; the best counts")
    parser.add_argument("--limit", action="store_true", help="also a program near the limit of 100,000 nodes")
    parser.add_argument("--json", default="build/bench.json", help="where the figures go")
    given = parser.parse_args()
    measure(SHAPES["mixed"](100), "onnx-cpu", session=True)  # imports, caches
    rows: list[dict[str, object]] = []
    wrong: list[str] = []
    print(f"{'CPU seconds':<34}{'nodes':>8}" + "".join(f"{stage:>9}" for stage in STAGES) + f"{'ratio':>8}")
    for name, target, cost, ratio, bounds in measured(given.repeat, given.limit):
        show(f"{name}, {target}", cost, ratio)
        rows.append({"program": name, "target": target, **asdict(cost), "total": cost.total, "ratio": ratio})
        wrong += [f"{name}, {target}: {bound}" for bound in bounds]
    for line in wrong:
        print(f"missed: {line}")
    Path(given.json).parent.mkdir(parents=True, exist_ok=True)
    Path(given.json).write_text(json.dumps({"rows": rows, "missed": wrong}, indent=1) + "\n", encoding="utf-8")


def measured(repeat: int, limit: bool) -> Iterator[tuple[str, str, Cost, float | None, list[str]]]:
    """Program, target, best cost, ratio to the size before, and the bounds that it exceeds."""
    for shape, generate in SHAPES.items():
        before: Cost | None = None
        for count in STATEMENTS:
            cost = best(generate(count), "onnx-cpu", repeat, session=False)
            ratio = cost.total / before.total if before is not None else None
            bounds = []
            if count >= 10_000 and shape in ("chain", "mixed") and cost.total > MOST_SECONDS:
                bounds.append(f"{cost.total:.2f} s for {count} statements, {MOST_SECONDS:.0f} allowed")
            if ratio is not None and ratio > MOST_RATIO:
                bounds.append(f"{ratio:.1f} times the time of {STATEMENTS[0]} statements, {MOST_RATIO:.0f} allowed")
            yield f"{shape} {count}", "onnx-cpu", cost, ratio, bounds
            before = cost
    for name, text in CONTROL.items():
        for target in ("onnx-cpu", "onnx-edge", "torch-cpu"):
            cost = best(text, target, repeat, session=target != "torch-cpu")
            slow = cost.session > MOST_SESSION
            yield name, target, cost, None, [f"the session takes {cost.session:.2f} s"] if slow else []
    if limit:
        yield "seeds 17000", "onnx-cpu", best(SHAPES["seeds"](17_000), "onnx-cpu", 1, session=False), None, []


def best(text: str, target: str, repeat: int, session: bool) -> Cost:
    """The quickest of several runs."""
    return min((measure(text, target, session) for _ in range(repeat)), key=lambda cost: cost.total)


def show(title: str, cost: Cost, ratio: float | None) -> None:
    """One line of the table."""
    figures = "".join(f"{getattr(cost, stage):>9.2f}" for stage in STAGES)
    print(f"{title:<34}{cost.nodes:>8}{figures}" + (f"{ratio:>8.1f}" if ratio is not None else ""), flush=True)


main()
