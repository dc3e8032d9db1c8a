"""Reads texts of random programs, gives them weights and inputs, and places their thresholds. Writes no text of its own."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cogseedc.driver.program import Program, Settings, load, load_texts
from cogseedc.interp import Schedule, Step, bind_sizes, initial_weights, schedule
from cogseedc.interp.arrays import to_reference
from cogseedc.interp.evaluate import Evaluator, State
from cogseedc.ir import Call, Constant, Graph, Input, Knob, Value
from cogseedc.source import Source

Array = np.ndarray[Any, np.dtype[Any]]
ROWS = 16
OPEN = 3
"""Size of an axis L that is open."""
MARGIN = 2e-3
FILE = "# ---- {}"
"""Stands before the text of a file that the program imports."""
_THRESHOLD = re.compile(r"\b1\d\d\d\.\d+\b")


def weights_of(graph: Graph, seed: int) -> dict[str, Array]:
    """Initial weights, with biases and statistics that differ from 0 and 1."""
    rng = np.random.default_rng(seed)
    arrays = {path: np.array(array) for path, array in initial_weights(graph, seed).items()}
    for path, array in arrays.items():
        if array.dtype.kind == "f" and array.ndim < 2:
            noise = rng.random(array.shape) if path.endswith("var") else rng.normal(0, 0.2, array.shape)
            arrays[path] = (array + noise).astype(array.dtype)
    return arrays


def inputs_of(graph: Graph, seed: int, rows: int = ROWS) -> dict[str, Array]:
    """Random inputs; those of a smaller batch are its first rows."""
    rng = np.random.default_rng(seed + 1)
    ports = [node for _, node in graph.nodes() if isinstance(node, Input)]
    bound = {"N": ROWS, "L": OPEN}
    full = {p.name: rng.standard_normal([s.evaluate(bound) for s in p.type.shape]) for p in ports}
    return {name: np.ascontiguousarray(a.astype(np.float32)[:rows]) for name, a in full.items()}


def files(text: str) -> dict[str, str]:
    """The texts of a program by name, the program first; `FILE` lines begin the others."""
    main, *others = re.split(r"^# ---- (.*)\n", text, flags=re.MULTILINE)
    return {"net.seed": main, **dict(zip(others[::2], others[1::2], strict=True))}


def read(text: str) -> Program:
    """The program of a text. Raises UserError."""
    found = files(text)
    return load(Source("<fuzz>", text), Settings()) if len(found) == 1 else load_texts(found, Settings())


def place(text: str, rates: Mapping[str, float], seed: int) -> str:
    """The text with every threshold placed so that about the wanted part of 16 random rows exceeds it.

    All rows are evaluated together as far as the first comparison with a threshold, which is then placed, and so on. A
    threshold in a loop, or one that nothing depends on, is any number.
    """
    graph = read(text).elaborated.graph
    plan, state, inputs = schedule(graph), State(), inputs_of(graph, seed)
    types = {path: node.type for path, node in graph.weights().items()}
    weights = {path: to_reference(a, types[path].dtype) for path, a in weights_of(graph, seed).items()}
    knobs = {n.name: np.array(n.default).reshape(()) for _, n in graph.nodes() if isinstance(n, Knob)}
    sizes = bind_sizes(graph, inputs)
    compared = {at.id: (text, scores, chain) for at, text, scores, chain in _compared(plan, rates)}
    held = {step.id for _, _, chain in compared.values() for step in chain}
    placed: dict[str, str] = {}
    waiting: list[Step] = []
    for step in plan.steps:
        if step.id in compared:
            Evaluator(replace(plan, steps=tuple(waiting)), weights, sizes).evaluate(state, inputs, knobs, {})
            threshold, scores, (constant, *rest) = compared[step.id]
            if threshold not in placed:
                found = [float(s) for s in np.ravel(state.values[scores.node][scores.port])]
                placed[threshold] = f"{choose_threshold(found, rates[threshold]):.4f}"
            assert isinstance(constant.node, Constant)
            node = replace(constant.node, values=(float(placed[threshold]),))
            waiting = [replace(constant, node=node), *rest]
        if step.id not in held:
            waiting.append(step)
    rng = random.Random(seed)
    return _THRESHOLD.sub(lambda m: placed.get(m.group()) or rng.choice(("0.5", "0.05", "-0.2")), text)


def _compared(plan: Schedule, rates: Mapping[str, float]) -> Iterator[tuple[Step, str, Value, list[Step]]]:
    """Comparisons with a threshold: its text, what it is compared with, and the steps from it to there."""
    pending = {float(text): text for text in rates}
    for step in plan.steps:
        if not isinstance(step.node, Call) or step.node.op not in ("gt", "ge", "lt", "le"):
            continue
        sides = [value for value in step.operands if value is not None]
        for value, other in zip(sides, reversed(sides), strict=True):
            chain = _chain(plan, value)
            node = chain[0].node
            if isinstance(node, Constant) and len(node.values) == 1 and float(node.values[0]) in pending:
                yield step, pending[float(node.values[0])], other, chain
                break


def _chain(plan: Schedule, value: Value) -> list[Step]:
    """The steps that a value went through alone: casts and moves, and where they begin."""
    chain = [plan.step[value.node]]
    while len(chain[0].operands) == 1 and chain[0].operands[0] is not None:
        chain.insert(0, plan.step[chain[0].operands[0].node])
    return chain


def choose_threshold(scores: Sequence[float], rate: float) -> float:
    """The middle of a wide gap near the wanted rate."""
    if not scores:
        return 0.5
    ordered = sorted(scores)
    edges = [ordered[0] - 1, *ordered, ordered[-1] + 1]
    place = round((1 - rate) * len(ordered))
    best = max(
        range(len(ordered) + 1),
        key=lambda i: (edges[i + 1] - edges[i] > 2 * MARGIN, -abs(i - place), edges[i + 1] - edges[i]),
    )
    return (edges[best] + edges[best + 1]) / 2
