"""Runs one program everywhere and compares: the reference, passes, generated PyTorch, ONNX Runtime, onnx's evaluator."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from cogseedc.interp import schedule
from cogseedc.ir import Gate, Loop
from tests.fuzz.cases import Case, Dropped, Failure, case_of
from tests.fuzz.comparing import compare, compare_calls, compare_evaluator
from tests.fuzz.executors import EVERY, LEVELS, Evaluator, Way, executors, states
from tests.fuzz.placing import ROWS
from tests.fuzz.rewrites import Lowered, check_orders, check_printing, count_operations, lowered

BATCHES = (0, 1, 2, 7, 16)
SINGLES = 4
"""Rows that a batch-one model is run on."""


@dataclass(frozen=True)
class Extent:
    """What is done with one program."""

    ways: tuple[Way, ...] = EVERY
    each: bool = True
    """Whether each pass is verified and compared, or only the last."""
    orders: int = 3
    """How many random orders of passes are tried."""
    printing: bool = True
    """Whether graphs are printed and read back."""
    checked: bool = True
    """Whether onnx's checker looks at the models."""


WHOLE = Extent()


def some(seed: int) -> Extent:
    """For the normal suite: what is quick and sees most."""
    rng = random.Random(seed)
    ways = (*rng.sample(EVERY[:3], 2), EVERY[4], rng.choice(EVERY[3:6:2]), rng.choice(EVERY[6:]))
    return Extent(ways, each=seed % 3 == 0, orders=1, printing=seed % 3 == 1)


def rotated(seed: int) -> Extent:
    """For ten thousand programs: six or seven executors of each, and by chance all ways and everything else."""
    rng = random.Random(f"extent {seed}")
    torch, onnx, last = EVERY[:3], EVERY[3:6], rng.choice(EVERY[6:])
    ways = (torch[2], rng.choice(torch[:2]), rng.choice(onnx), Way(last.target, last.gates, (rng.choice(LEVELS),)))
    more = rng.choice(("each", "order", "printing", "checked", *[""] * 6))
    return Extent(ways, more == "each", int(more == "order"), more == "printing", more == "checked")


def check(text: str, seed: int, extent: Extent = WHOLE, seen: Counter[str] | None = None) -> Case:
    """Everything about one program; `seen` counts what was met. Raises Failure, Dropped, UserError (not a legal one)."""
    case = case_of(text, seed)
    seen = Counter() if seen is None else seen
    found = lowered(case, extent.each)
    count_program(case, found["torch"], seen)
    check_orders(case, seed, extent.orders)
    if extent.printing:
        for graph in (case.graph, *(part.graph for part in found.values())):
            check_printing(graph, case)
    kept = states(case)
    for executor in executors(case, found, extent.ways, extent.checked, seen):
        if isinstance(executor, Evaluator):
            compare_evaluator(case, executor, seen)
            continue
        for start, stop in _batches(executor.single):
            compare(case, executor, start, stop, seen)
        if kept and not case.reduced:
            compare_calls(case, executor, seen)
        seen[f"executor {executor.name}"] += 1
    seen["programs"] += 1
    seen["programs in reduced precisions"] += case.reduced
    return case


def _batches(single: bool) -> list[tuple[int, int]]:
    return [(i, i + 1) for i in range(SINGLES)] if single else [(0, count) for count in BATCHES]


def count_program(case: Case, guarded: Lowered, seen: Counter[str]) -> None:
    """Operations, kinds of statements, how deep gates stand, and how their decisions fell."""
    graphs = [graph for graph, _ in case.graph.nested()]
    nodes = [node for graph in graphs for _, node in graph.nodes()]
    count_operations(schedule(case.graph), "operation", seen)
    seen.update({f"loop {node.kind.value}" for node in nodes if isinstance(node, Loop)})
    seen.update({f"gate {node.kind.value} over {', '.join(node.over)}" for node in nodes if isinstance(node, Gate)})
    seen.update(
        f"feature {word.strip(' [{')}"
        for word in ("exit ", "state ", "import ", "capacity[")
        if word in case.program.source.text
    )
    wiring, depth = guarded.graph.wiring(), dict[int, int]()
    for id in wiring.order:
        depth[id] = max((1 + depth[edge.src] for edge in wiring.controls[id]), default=0)
    seen[f"gates {min(max(depth.values(), default=0), 3)} deep"] += 1
    flat = [own.ravel() for own in case.meaning.own.values() if own.size]
    seen["programs with a gate that all rows decide alike"] += any((own == own[0]).all() for own in flat)


__all__ = ["BATCHES", "ROWS", "WHOLE", "Case", "Dropped", "Extent", "Failure", "check", "rotated", "some"]
