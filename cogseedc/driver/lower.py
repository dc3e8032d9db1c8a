"""From a program to a sealed graph and its plan: which passes run, and what each backend is then given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, cast

from cogseedc import target as targets
from cogseedc.analysis.widths import Widths
from cogseedc.backends.plan import Gates, Plan, plan
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.driver.costs import hold_budgets
from cogseedc.driver.precisions import chosen_widths, with_widths
from cogseedc.driver.program import Program
from cogseedc.driver.structure import passed
from cogseedc.driver.timing import Timing
from cogseedc.ir import Graph
from cogseedc.ir.printer import print_graph
from cogseedc.ops import OPS
from cogseedc.passes import PASSES, PIPELINES, AssignBitwidths, Context, Pass, run_pipeline
from cogseedc.target import Target

if TYPE_CHECKING:
    from cogseedc.driver.weights import Weights
    from cogseedc.ir.opspec import Array

_PIPELINE: Mapping[Literal["torch", "onnx"], str] = {"torch": "inference", "onnx": "stored"}


@dataclass(frozen=True)
class Lowering:
    """A program, planned for one target."""

    target: Target
    plan: Plan
    training: Plan | None
    """The dense meaning with all exits and losses, for backends that can train."""
    gates: str
    bits: str
    widths: Widths = field(default_factory=Widths)
    """Reduced precisions that calls got."""

    @property
    def precisions(self) -> frozenset[str]:
        """Reduced precisions that some call got."""
        return self.widths.precisions


def lower(
    program: Program,
    target: Target,
    weights: Weights,
    gates: str = "auto",
    bits: str | None = None,
    calibration: Mapping[str, Array] | None = None,
    verify_each: bool = False,
    clock: Timing | None = None,
    widths: Widths | None = None,
    further: Pass | None = None,
) -> Lowering:
    """Runs the passes for a target and plans the result. `widths` are precisions that were chosen before.

    `further` runs as soon as all values are what they will be.

    Raises UserError: CS0704 when the worst path exceeds a budget of the program, and what the passes report.
    """
    clock = clock or Timing()
    chosen = bits or target.default_bits
    if widths is None:
        with clock.step("precisions"):
            widths = chosen_widths(program, target, chosen, weights.arrays, calibration)
    pipeline = with_widths(PIPELINES[_PIPELINE[target.backend]], widths)
    if further is not None:
        last = max(i for i, step in enumerate(pipeline) if isinstance(step, AssignBitwidths))
        pipeline = (*pipeline[: last + 1], further, *pipeline[last + 1 :])
    source, limits = program.elaborated.graph, program.settings.limits
    graph = passed(source, limits, pipeline, target, verify_each, clock)
    with clock.step("budgets"):
        hold_budgets(graph, program.elaborated.budgets, dict(program.settings.sizes))
    with clock.step(f"plan {target.name}"):
        planned = plan(graph, target, cast(Gates, gates))
    training = None
    if target.backend == "torch":
        dense = passed(source, limits, PIPELINES["training"], target, verify_each, clock, training=True)
        with clock.step(f"plan {target.name}"):
            training = plan(dense, target, "dense", training=True)
    return Lowering(target, planned, training, gates, chosen, widths)


def optimise(
    program: Program,
    target_name: str,
    names: Sequence[str] | None,
    verify_each: bool,
    clock: Timing,
    bits: str | None = None,
) -> list[tuple[str, bool, str]]:
    """Runs passes by name (None: those of a build for the target); (title, changed, text) for the input and each pass.

    Raises UserError CS0701 for an unknown name.
    """
    target = targets.load(target_name)
    chosen = (
        PIPELINES[_PIPELINE[target.backend]]
        if names is None
        else tuple(step for name in names for step in _steps(name))
    )
    chosen = tuple(replace(step, bits=bits) if isinstance(step, AssignBitwidths) else step for step in chosen)
    graph = program.elaborated.graph.copy()
    dumps = [("reading", True, print_graph(graph, program.name, OPS))]

    def observe(step: Pass, graph: Graph, changed: bool) -> None:
        dumps.append((step.name, changed, print_graph(graph, program.name, OPS)))

    with clock.step("passes and printing"):
        run_pipeline(graph, chosen, Context(OPS, target=target, limits=program.settings.limits), observe, verify_each)
    return dumps


def _steps(name: str) -> tuple[Pass, ...]:
    """A pass, or the passes of a pipeline."""
    if name in PIPELINES:
        return PIPELINES[name]
    for known in PASSES:
        if known.name == name:
            return (known(),)
    names = ", ".join(known.name for known in PASSES)
    help = f"passes: {names}; pipelines: {', '.join(PIPELINES)}"
    raise UserError(Diagnostic("CS0701", f"there is no pass or pipeline `{name}`", help=help))
