"""Drops what no output demands and sinks what is demanded only under a gate. Computes no demand itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cogseedc.ir import Constant, ControlEdge, Graph, Guard, Merge, MergeMode, NodeId, Phase, Value, Weight
from cogseedc.passes.base import Context, Pass
from cogseedc.passes.rewrite import call, keep_arms


@dataclass(frozen=True)
class EliminateDeadSeeds(Pass):
    """Backward demand along the batch axis: a node that no output can read goes, with its weights and constants; a node
    that is read only for some decisions gets control edges that say so. Losses are read in training only. A join loses
    the arms that can never be taken where it is asked.

    Inputs and knobs stay, as they are the interface; in training weights too, as they are the state dict's. Running
    it again changes nothing.
    """

    name: ClassVar[str] = "eliminate-dead-seeds"
    requires: ClassVar[Phase] = Phase.JOINED
    establishes: ClassVar[Phase | None] = Phase.SUNK
    keeps_guards: ClassVar[bool] = True

    def run(self, graph: Graph, context: Context) -> bool:
        literals, found = context.demand(graph)
        wanted = set(literals.edges(found))
        had = {edge for edge in graph.edges() if isinstance(edge, ControlEdge)}
        dead = _dead(graph, found, keep_weights=context.training)
        for edge in had - wanted:
            graph.disconnect(edge)
        _shed(graph, context, dead)
        graph.remove(dead)
        wanted = {edge for edge in wanted if edge.dst in graph}  # without joins of which one arm was left
        for edge in sorted(wanted - had, key=lambda e: (e.dst, e.term, e.src, e.arm)):
            graph.connect(edge)
        return bool(dead) or had != wanted


def _shed(graph: Graph, context: Context, dead: list[NodeId]) -> None:
    """Takes arms whose value or whose gate is dead away from joins that live."""
    gone = frozenset(dead)
    for id, merge in list(graph.of(Merge)):
        if id in gone:
            continue
        fed, count = graph.feeds(id), len(merge.arms)
        pairs = zip(fed[:count], fed[count : 2 * count], strict=True)
        kept = [i for i, pair in enumerate(pairs) if all(v is not None and v.node not in gone for v in pair)]
        rest = fed[2 * count] if merge.otherwise else None
        lost = rest is not None and rest.node in gone
        if len(kept) == count and not lost:
            continue
        if rest is None or lost:
            rest = None
            if merge.mode is MergeMode.SELECT:
                rest = fed[kept.pop()]
            elif not kept:
                rest = _nothing(graph, context, merge)
        keep_arms(graph, id, merge, kept, rest)


def _nothing(graph: Graph, context: Context, merge: Merge) -> Value:
    """What a join gives that never has an arm."""
    return call(graph, context, "zeros", (), merge.origin, sizes=merge.type.shape, dtype=merge.type.dtype)


def _dead(graph: Graph, found: dict[NodeId, Guard], keep_weights: bool) -> list[NodeId]:
    sources = [id for id, _ in graph.of(Constant)] + [id for id, _ in graph.of(Weight) if not keep_weights]
    dead = [id for id, guard in found.items() if guard.never]
    gone = frozenset(dead)
    outs = graph.wiring().outs
    leaves = [id for id in sources if all(edge.dst in gone for edge in outs[id])]
    return sorted(dead + leaves)
