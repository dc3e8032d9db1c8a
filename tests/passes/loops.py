"""Programs with loops, run through the pipeline of ONNX up to one pass, and what the reference says before and after."""

from __future__ import annotations

import numpy as np

import cogseedc
from cogseedc.interp import Reference
from cogseedc.ir import Graph, Input, Loop, Weight, verify
from cogseedc.ops import OPS
from cogseedc.passes import PIPELINES, Context, run_pipeline


def through(text: str, last: type) -> Graph:
    """The graph of a program after the pipeline's passes up to the first of a kind, each verified."""
    graph = cogseedc.load(text).elaborated.graph.copy()
    steps = PIPELINES["stored"]
    end = next(i for i, step in enumerate(steps) if isinstance(step, last))
    run_pipeline(graph, steps[: end + 1], Context(OPS), verify_each=True)
    return graph


def loops(graph: Graph) -> dict[str, Loop]:
    return {loop.name: loop for _, loop in graph.loops()}


def calls(graph: Graph) -> list[str]:
    """Operations of a graph, in order."""
    return [node.op for _, node in graph.nodes() if hasattr(node, "op")]


def same_meaning(text: str, graph: Graph, turns: int | None = None) -> None:
    """Outputs and decisions as the program itself has them; `turns` is the length that the program gives its axis T."""
    before = cogseedc.load(text).elaborated.graph
    rng = np.random.default_rng(3)
    weights = {
        n.path: rng.normal(0, 0.7, [s.value for s in n.type.shape]).astype(np.float32)
        for _, n in before.nodes()
        if isinstance(n, Weight)
    }
    for rows, length in ((5, 6), (1, 1), (2, 0)):
        sizes = {"N": rows, "T": length if turns is None else turns}
        inputs = {
            n.name: rng.normal(0, 1, [s.evaluate(sizes) for s in n.type.shape]).astype(np.float32)
            for _, n in before.nodes()
            if isinstance(n, Input)
        }
        read = {n.path for inner, _ in graph.nested() for _, n in inner.nodes() if isinstance(n, Weight)}
        wanted = Reference(before, weights).run(inputs)
        found = Reference(graph, {path: w for path, w in weights.items() if path in read}).run(inputs)
        for name, value in wanted.outputs.items():
            np.testing.assert_allclose(found.outputs[name], value, 1e-9, 1e-9)
        for name, trace in found.trace.items():
            decided = wanted.trace[name]
            assert trace.shape == decided.shape
            assert ((trace == decided) | (trace == -1)).all()
    verify(graph, OPS)
