"""Takes estimators away, with what only they read: nothing is trained by what is built for inference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from cogseedc.ir import DataEdge, Gate, Graph
from cogseedc.passes.base import Context, Pass


@dataclass(frozen=True)
class DropEstimators(Pass):
    """Every gate loses its estimator (`via`) and the operands of it. No value and no decision changes."""

    name: ClassVar[str] = "drop-estimators"
    keeps_guards: ClassVar[bool] = True

    def run(self, graph: Graph, context: Context) -> bool:
        changed = False
        for id, gate in graph.of(Gate):
            if gate.estimator is None:
                continue
            operands = graph.feeds(id)
            for port in range(len(operands) - len(gate.estimator.inputs), len(operands)):
                value = operands[port]
                assert value is not None, "the verifier found every port of a gate fed"
                graph.disconnect(DataEdge(value.node, value.port, id, port))
            graph.update(id, replace(gate, estimator=None))
            changed = True
        return changed
