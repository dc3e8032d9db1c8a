"""For which decisions each node of a graph is needed: by control edges, and by demand along further axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from cogseedc.analysis.demand import narrowed
from cogseedc.ir import Gate, Graph, Guard, Lay, Literals, NodeId, Ops, decider, guardable, guards, placeable


@dataclass(frozen=True, slots=True)
class Reach:
    """What is planned, when it is needed, and in which order."""

    order: Sequence[NodeId]
    """Topological; the gates of a node's guard come before it."""
    literals: Literals
    guards: dict[NodeId, Guard]
    lays: dict[NodeId, Lay]
    """For nodes whose guard speaks of gates over more than the batch: where their axes lie in the results."""


def reach(graph: Graph, order: Sequence[NodeId], ops: Ops, batch_one: bool, training: bool, project: bool) -> Reach:
    """The guards of the nodes in `order`, which is topological; with `project`, what a choice of positions says of rows
    is asked of what cannot be computed for single positions.

    Bits are in the order in which gates decide; with `batch_one`, a decision over the batch is a branch, and
    comes before positions are chosen.
    """
    if not any(isinstance(n := graph[id], Gate) and placeable(n) for id in order):
        literals = Literals.over(_gates(graph, order, placed=False))
        return Reach(order, literals, guards(graph, literals), {})
    for _ in range(2):  # once more with bits in the order that the first sweep found
        gates = [*_gates(graph, order, placed=True)]
        if batch_one:
            gates.sort(key=lambda gate: placeable(gate[1]))
        literals = Literals.over(gates, project)
        read, lays = narrowed(graph, ops, literals, guards(graph, literals), training=training)
        after = _sorted(graph, order, literals, read)
        before, order = order, after
        if [id for id in order if id in literals.gates] == [id for id in before if id in literals.gates]:
            break
    return Reach(order, literals, read, lays)


def _gates(graph: Graph, order: Sequence[NodeId], placed: bool) -> Iterator[tuple[NodeId, Gate]]:
    for id in order:
        node = graph[id]
        if isinstance(node, Gate) and (guardable(node) or (placed and placeable(node))):
            yield id, node


def _sorted(graph: Graph, order: Sequence[NodeId], literals: Literals, read: dict[NodeId, Guard]) -> Sequence[NodeId]:
    """The nodes with the gates that their guards speak of before them, else in the order given."""
    place = {id: i for i, id in enumerate(order)}
    wiring = graph.wiring()
    followers: dict[NodeId, list[NodeId]] = {id: [] for id in order}
    waiting = dict.fromkeys(order, 0)
    for id in order:
        before = {e.src for e in wiring.ins[id]} | {e.src for e in wiring.controls[id]}
        for term in read[id].terms:
            before.update(decider(gate) for gate in literals.owners_of(term))
        for other in before:
            followers[other].append(id)
        waiting[id] = len(before)
    ready = [place[id] for id, count in waiting.items() if not count]
    heapify(ready)
    done: list[NodeId] = []
    while ready:
        id = order[heappop(ready)]
        done.append(id)
        for follower in followers[id]:
            waiting[follower] -= 1
            if not waiting[follower]:
                heappush(ready, place[follower])
    assert len(done) == len(order), "guards wait for each other"
    return done
