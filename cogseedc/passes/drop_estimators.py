"""Takes estimators away, with what only they read: nothing is trained by what is built for inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cogseedc.ir import Gate, Graph
from cogseedc.passes.base import Context, Pass
from cogseedc.passes.rewrite import without_estimator


@dataclass(frozen=True)
class DropEstimators(Pass):
    """Every gate loses its estimator (`via`) and the operands of it. No value and no decision changes."""

    name: ClassVar[str] = "drop-estimators"

    def run(self, graph: Graph, context: Context) -> bool:
        changed = False
        for id, gate in graph.of(Gate):
            if gate.estimator is not None:
                without_estimator(graph, id, gate)
                changed = True
        return changed
