"""An artifact that is the reference itself, in f32, and ways to break it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cogseedc.interp import Reference, arms_of, forced, kind_of
from cogseedc.ir import GateKind, Graph
from cogseedc.verify import ROTATE, Force, Run

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass
class Artifact:
    """Runs `graph`, which a test may have broken. Overriding `decide` or `finish` breaks it in other ways."""

    graph: Graph
    weights: Mapping[str, Array]
    rotates: bool = True
    batches: list[int] = field(default_factory=list)

    def run(self, inputs: Mapping[str, Array], knobs: Mapping[str, Any]) -> Run:
        return self.run_forced(inputs, knobs, {})

    def run_forced(self, inputs: Mapping[str, Array], knobs: Mapping[str, Any], forces: Mapping[str, Force]) -> Run:
        reference = Reference(self.graph, self.weights)
        rows = len(next(iter(inputs.values())))
        self.batches.append(rows)
        chosen = {name: self.decide(reference, name, force, rows) for name, force in forces.items()}
        result = reference.run(inputs, knobs, chosen)
        trace = {}
        for name, decisions in result.trace.items():
            reached = result.demanded[name]
            reached = reached.reshape(reached.shape + (1,) * (decisions.ndim - reached.ndim))
            shown = result.own[name] if kind_of(reference.plan.decider(name)) is GateKind.MANY else decisions
            trace[name] = np.where(reached, shown, -1)
        outputs = {name: value.astype("float32") for name, value in result.outputs.items()}
        return self.finish(
            Run(outputs, trace, {"not_keep": int((trace["keep"] == 0).sum())} if "keep" in trace else {})
        )

    def decide(self, reference: Reference, name: str, force: Force, rows: int) -> Array:
        node = reference.plan.decider(name)
        if force == ROTATE:
            return np.arange(rows) % arms_of(node)
        return forced(node, force)

    def finish(self, run: Run) -> Run:
        return run
