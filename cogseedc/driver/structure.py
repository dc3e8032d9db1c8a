"""Runs passes on a copy of a program's graph; what no target changes is its structure."""

from __future__ import annotations

from collections.abc import Sequence

from cogseedc.driver.program import Program
from cogseedc.driver.timing import Timing
from cogseedc.ir import Graph
from cogseedc.ops import OPS
from cogseedc.passes import PIPELINES, Context, Pass, run_pipeline
from cogseedc.target import Target


def structured(program: Program) -> Graph:
    """The graph with exits as gates and gates as control edges, as no target changes it."""
    return passed(program, PIPELINES["training"], None, False, Timing())


def passed(
    program: Program,
    pipeline: Sequence[Pass],
    target: Target | None,
    verify_each: bool,
    clock: Timing,
    training: bool = False,
) -> Graph:
    """A copy of the program's graph after a pipeline; each pass is one step of the clock."""
    graph = program.elaborated.graph.copy()
    context = Context(OPS, target=target, limits=program.settings.limits, training=training)
    for step in pipeline:
        with clock.step(step.name):
            run_pipeline(graph, (step,), context, verify_each=verify_each)
    return graph
