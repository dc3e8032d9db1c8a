"""Runs passes on a copy of a graph; what no target changes is its structure."""

from __future__ import annotations

from collections.abc import Sequence

from cogseedc.driver.timing import Timing
from cogseedc.ir import Graph
from cogseedc.limits import Limits
from cogseedc.ops import OPS
from cogseedc.passes import PIPELINES, Context, Pass, run_pipeline
from cogseedc.target import Target


def structured(graph: Graph, limits: Limits) -> Graph:
    """The graph with exits as gates and gates as control edges, as no target changes it."""
    return passed(graph, limits, PIPELINES["training"], None, False, Timing())


def passed(
    graph: Graph,
    limits: Limits,
    pipeline: Sequence[Pass],
    target: Target | None,
    verify_each: bool,
    clock: Timing,
    training: bool = False,
) -> Graph:
    """A copy of a graph after a pipeline; each pass is one step of the clock."""
    copy = graph.copy()
    context = Context(OPS, target=target, limits=limits, training=training)
    for step in pipeline:
        with clock.step(step.name):
            run_pipeline(copy, (step,), context, verify_each=verify_each)
    return copy
