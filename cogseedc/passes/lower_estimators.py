"""Makes training of decisions explicit: noise, relaxed values and log-probabilities become calls. Training only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cogseedc.ir import Call, Gate, Graph, Loop, Merge, NodeId, Phase
from cogseedc.passes.base import Context, Pass
from cogseedc.passes.draws import sum_draws
from cogseedc.passes.estimating import Estimated, estimate, rank
from cogseedc.passes.mirroring import Mirror
from cogseedc.passes.mirroring_loops import inside


@dataclass(frozen=True)
class LowerEstimators(Pass):
    """Every gate that has an estimator (`via`) gets what it does in training, written as calls.

    * A gate that draws (`gumbel`, `reinforce`) decides by perturbed scores.
    * Beside its decision stands its training value: f32, with the estimator's gradient. It follows the decision
      through logic, layout and gates made of gates, and replaces it where it becomes a number; joins that ask the
      gate read it as a share.
    * A gate via `reinforce` adds a `Loss` node with the log-probability of what it drew. Its joins have no shares.
    * Log-probabilities of what a body draws are summed over its turns, for each index over those that it took.
    * The body of a loop reads the training values of the decisions that it captures or scans, as further captures and
      sequences. What a decision is worth does not pass from turn to turn: a carry that is one has no gradient.

    With noise at zero every output, and every decision, is what it was, but for gates via `soft`. New nodes have
    the guards of those that they stand beside. Without `training` it does nothing.
    """

    name: ClassVar[str] = "lower-estimators"
    requires: ClassVar[Phase] = Phase.JOINED
    keeps_guards: ClassVar[bool] = True

    def run(self, graph: Graph, context: Context) -> bool:
        return context.training and _lower(Mirror(graph, context, dict(graph.wiring().controls)))


def _lower(mirror: Mirror) -> bool:
    """One graph, and the bodies of its loops."""
    graph = mirror.graph
    order = graph.wiring().order
    gates = [id for id in order if isinstance(node := graph[id], Gate) and node.estimator is not None]
    changed = bool(gates or mirror.values)
    ranked: dict[NodeId, Estimated] = {}
    for id in gates:
        rank(mirror, id, ranked)
    for id in order:
        node = graph[id]
        if isinstance(node, Gate):
            if node.estimator is None or not estimate(mirror, id, node, ranked):
                mirror.gate(id, node)
        elif isinstance(node, Call):
            mirror.call(id, node)
        elif isinstance(node, Merge):
            mirror.merge(id, node)
        elif isinstance(node, Loop):
            changed |= _lower(inside(mirror, id, node))
            sum_draws(graph, id, mirror.controls[id], mirror.context)
    return changed
