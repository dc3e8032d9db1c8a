"""Drops what no output demands and sinks what is demanded only under a gate. Computes no demand itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cogseedc.analysis.demand import demand
from cogseedc.ir import Constant, ControlEdge, Graph, Guard, Literals, NodeId, Phase, Weight
from cogseedc.passes.base import Context, Pass


@dataclass(frozen=True)
class EliminateDeadSeeds(Pass):
    """Backward demand along the batch axis: a node that no output can read goes, with its weights and constants; a node
    that is read only for some decisions gets control edges that say so. Losses are read in training only.

    Inputs and knobs stay, as they are the interface; in training weights too, as they are the state dict's. Running it again changes nothing.
    """

    name: ClassVar[str] = "eliminate-dead-seeds"
    requires: ClassVar[Phase] = Phase.JOINED
    establishes: ClassVar[Phase | None] = Phase.SUNK
    keeps_guards: ClassVar[bool] = True

    def run(self, graph: Graph, context: Context) -> bool:
        literals = Literals.of(graph)
        found = demand(graph, context.ops, literals, training=context.training)
        wanted = {edge for id, guard in found.items() if not guard.never for edge in literals.edges(guard, id, found)}
        had = {edge for edge in graph.edges() if isinstance(edge, ControlEdge)}
        dead = _dead(graph, found, keep_weights=context.training)
        for edge in had - wanted:
            graph.disconnect(edge)
        graph.remove(dead)
        for edge in sorted(wanted - had, key=lambda e: (e.dst, e.term, e.src, e.arm)):
            graph.connect(edge)
        return bool(dead) or had != wanted


def _dead(graph: Graph, found: dict[NodeId, Guard], keep_weights: bool) -> list[NodeId]:
    kinds = Constant if keep_weights else (Weight, Constant)
    dead = [id for id, guard in found.items() if guard.never]
    gone = frozenset(dead)
    outs = graph.wiring().outs
    leaves = [
        id
        for id, node in graph.nodes()
        if isinstance(node, kinds) and all(edge.dst in gone for edge in outs[id])
    ]
    return sorted(dead + leaves)
