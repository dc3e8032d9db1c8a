"""Makes training of decisions explicit: noise, relaxed values and log-probabilities become calls. Training only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cogseedc.ir import Call, Gate, Graph, Merge, NodeId, Phase
from cogseedc.passes.base import Context, Pass
from cogseedc.passes.estimating import Estimated, estimate, rank
from cogseedc.passes.mirroring import Mirror


@dataclass(frozen=True)
class LowerEstimators(Pass):
    """Every gate that has an estimator (`via`) gets what it does in training, written as calls.

    * A gate that draws (`gumbel`, `reinforce`) decides by perturbed scores.
    * Beside its decision stands its training value: f32, with the estimator's gradient. It follows the decision
      through logic, layout and gates made of gates, and replaces it where it becomes a number; joins that ask the
      gate read it as a share.
    * A gate via `reinforce` adds a `Loss` node with the log-probability of what it drew. Its joins have no shares.

    With noise at zero every output, and every decision, is what it was, but for gates via `soft`. New nodes have
    the guards of those that they stand beside. Without `training` it does nothing.
    """

    name: ClassVar[str] = "lower-estimators"
    requires: ClassVar[Phase] = Phase.JOINED
    keeps_guards: ClassVar[bool] = True

    def run(self, graph: Graph, context: Context) -> bool:
        if not context.training:
            return False
        wiring = graph.wiring()
        gates = [id for id in wiring.order if isinstance(node := graph[id], Gate) and node.estimator is not None]
        if not gates:
            return False
        ranked: dict[NodeId, Estimated] = {}
        mirror = Mirror(graph, context, dict(wiring.controls))
        for id in gates:
            rank(mirror, id, ranked)
        for id in wiring.order:
            node = graph[id]
            if isinstance(node, Gate):
                if node.estimator is None or not estimate(mirror, id, node, ranked):
                    mirror.gate(id, node)
            elif isinstance(node, Call):
                mirror.call(id, node)
            elif isinstance(node, Merge):
                mirror.merge(id, node)
        return True
