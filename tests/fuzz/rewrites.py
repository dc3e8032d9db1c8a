"""What passes and the printer make of a program: valid graphs that mean the same."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cogseedc import target as targets
from cogseedc.analysis.widths import Widths
from cogseedc.backends.plan import plan
from cogseedc.driver.manifest import tolerance
from cogseedc.driver.precisions import chosen_widths, last_step, rounded_graph, with_widths
from cogseedc.driver.structure import passed
from cogseedc.driver.timing import Timing
from cogseedc.interp import Result, Schedule, schedule
from cogseedc.ir import Call, Graph, Loop
from cogseedc.ir.printer import print_graph
from cogseedc.ir.verifier import verify
from cogseedc.ops import OPS
from cogseedc.passes import PASSES, PIPELINES, Context, FoldBatchNorm, run_pipeline
from cogseedc.target import Target
from tests.fuzz.cases import ABSOLUTE, NEAR, RELATIVE, Array, Case, Failure, certain, gap, guarded, sensitive
from tests.fuzz.placing import read

PIPELINE = {"torch": "inference", "onnx": "stored"}
"""What a build runs, by backend."""


@dataclass(frozen=True)
class Lowered:
    """A program after the passes of a backend, or in the precisions of a target: a graph that plans are made of."""

    graph: Graph
    schedule: Schedule
    result: Result
    """What decisions must be on the whole batch."""
    meaning: Result
    """What outputs must be."""
    widths: Widths = field(default_factory=Widths)
    tolerance: tuple[float, float] = (ABSOLUTE, RELATIVE)
    spelled: Graph | None = None
    """What it means, where precisions are reduced."""

    def hold(self, case: Case, kind: str, what: str, value: Array, wanted: Array) -> None:
        """Raises Failure where a value is not what is wanted; Dropped where small errors grow to that."""
        if value.shape != wanted.shape:
            raise Failure(f"{kind} shape", f"{what} has {value.shape}, not {wanted.shape}")
        absolute, relative = self.tolerance
        if not np.allclose(value, wanted, relative, absolute):
            graph = case.graph if self.spelled is None else self.spelled
            sensitive(case, graph, self.meaning, self.spelled is not None, self.tolerance)
            raise Failure(f"{kind} value", f"{what} differs by {gap(value, wanted)}")


def lowered(case: Case, each: bool) -> Mapping[str, Lowered]:
    """By backend; with `each`, verified and compared after each pass, else after the last."""
    found = {"torch": _passed(case, "torch", each)}
    if each or _folds(case):
        return {**found, "onnx": _passed(case, "onnx", each)}
    return {**found, "onnx": found["torch"]}


def _folds(case: Case) -> bool:
    """Whether the pass does something by which the two pipelines differ."""
    graph = case.graph.copy()
    steps = [step for step in PIPELINES["stored-rounded"] if isinstance(step, FoldBatchNorm)]
    return run_pipeline(graph, (*PIPELINES["none"], *steps), Context(OPS))[-1].changed


def _passed(case: Case, backend: str, each: bool) -> Lowered:
    graph, found = case.graph.copy(), case.meaning
    steps = PIPELINES[PIPELINE[backend]]
    for step in steps if each else ():
        label = f"pass {step.name}"
        ran = guarded(label, lambda step=step: run_pipeline(graph, (step,), Context(OPS), verify_each=True))
        if ran[0].changed or step is steps[-1]:
            found = case.means(graph, label)
    if not each:
        label = f"passes {PIPELINE[backend]}"
        guarded(label, lambda: run_pipeline(graph, steps, Context(OPS)))
        guarded(label, lambda: verify(graph, OPS))
        found = case.means(graph, label)
    return Lowered(graph, schedule(graph), found, case.meaning)


def rounded(case: Case, target: Target, calibrated: bool) -> Lowered:
    """A program that asks for reduced precisions, in those of a target; `calibrated`: with fixed scales."""
    label = f"{target.name} precisions"
    samples = case.inputs if calibrated else None
    widths = guarded(label, lambda: chosen_widths(case.program, target, "fp32", case.weights.arrays, samples))
    spelled = rounded_graph(case.program, target, widths)
    meaning: Result = guarded(label, lambda: case.run(spelled, rounding=True, together=False))
    absolute, relative = tolerance(widths.precisions)
    absolute += last_step(spelled)
    certain(meaning, max(NEAR, absolute))
    pipeline = with_widths(PIPELINES[PIPELINE[target.backend]], widths)
    graph = guarded(label, lambda: passed(case.graph, case.program.settings.limits, pipeline, target, True, Timing()))
    found: Result = guarded(label, lambda: case.run(graph, rounding=True))
    done = Lowered(graph, schedule(graph), found, meaning, widths, (absolute, relative), spelled)
    for name, wanted in meaning.outputs.items():
        done.hold(case, label, name, found.outputs[name], wanted)
    return done


def count_operations(plan: Schedule, kind: str, seen: Counter[str]) -> None:
    """The operations that an output needs, each once."""
    plans = [plan]
    found: set[str] = set()
    while plans:
        for step in plans.pop().steps:
            if isinstance(step.node, Loop):
                plans.append(step.body)
            if isinstance(step.node, Call):
                found.add(f"{kind} {step.node.op}")
    seen.update(found)


def check_orders(case: Case, seed: int, count: int) -> None:
    """Passes in any legal order leave a graph that means the same and can be planned."""
    rng = random.Random(seed)
    frame = PIPELINES["none"]
    rest = [step() for step in PASSES if step.name not in {s.name for s in frame}]
    for _ in range(count):
        chosen = [rng.choice(rest) for _ in range(rng.randint(1, 5))]
        label = "order " + " ".join(step.name for step in chosen)
        graph = case.graph.copy()
        guarded(label, lambda g=graph, c=chosen: run_pipeline(g, (*frame, *c), Context(OPS), verify_each=True))
        case.means(graph, label)
        guarded(label, lambda g=graph: plan(g, targets.load("torch-cpu"), "compact"))


def check_printing(graph: Graph, case: Case) -> None:
    """The text of a graph is read back as the same text, and means the same."""
    text = print_graph(graph, case.program.name, OPS)
    again = guarded("parse printed", lambda: read(text).elaborated.graph)
    found = print_graph(again, case.program.name, OPS)
    if found != text:
        lines = [f"{a!r} became {b!r}" for a, b in zip(text.splitlines(), found.splitlines(), strict=False) if a != b]
        raise Failure("printed", lines[0] if lines else "another number of lines")
    guarded("verify printed", lambda: verify(again, OPS))
    case.means(again, "printed")
