"""Where each node's value is needed: one backward sweep from the outputs. Reads no control edge and writes none."""

from __future__ import annotations

from cogseedc.ir import FALSE, TRUE, Graph, Guard, Literals, Loss, NodeId, Ops, Output, asks, output_types
from cogseedc.ir.nodes import Constant, Exit, Input, Knob, Weight


def demand(graph: Graph, ops: Ops, literals: Literals, *, training: bool = False) -> dict[NodeId, Guard]:
    """The guard of every node: for which decisions of the gates in `literals` its value can reach an output.

    FALSE: for none, the node is dead. Inputs, weights, knobs and constants are always TRUE; a loss is a
    root in `training` only and dead otherwise. The guards are closed: a term that speaks of a gate implies the
    gate's own guard, so the decision is there where it is asked for; and with the edges that say them the graph
    stays acyclic.
    """
    banned: dict[NodeId, int] = {}
    while True:
        found = _sweep(graph, ops, literals, banned, training)
        open = _open(literals, found) or _cyclic(graph, literals, found)
        if not open:
            return found
        for node, mask in open.items():
            banned[node] = banned.get(node, 0) | mask


def _sweep(
    graph: Graph, ops: Ops, literals: Literals, banned: dict[NodeId, int], training: bool
) -> dict[NodeId, Guard]:
    found: dict[NodeId, Guard] = {}
    wanted: dict[NodeId, Guard] = {}
    for id in reversed(graph.wiring().order):
        node = graph[id]
        match node:
            case Output() | Exit():
                guard = TRUE
            case Loss():
                guard = TRUE if training else FALSE
            case Input() | Weight() | Knob() | Constant():
                found[id] = TRUE
                continue
            case _:
                guard = wanted.get(id, FALSE)
        if id in banned:
            guard = literals.drop(guard, banned[id])
        if all(type.batch is None for type in output_types(node)):
            guard = literals.drop(guard, literals.batch)
        found[id] = guard
        if guard.never:
            continue
        for value, part in asks(graph, ops, literals, id, guard):
            wanted[value.node] = literals.or_(wanted.get(value.node, FALSE), part)
    return found


def _open(literals: Literals, found: dict[NodeId, Guard]) -> dict[NodeId, int]:
    """Literals to give up: those of a gate that need not have decided where the literal is asked for.

    A cover of many terms can cause it, as it keeps a literal and loses the gate's own guard.
    """
    verdicts: dict[int, int] = {}
    lost: dict[NodeId, int] = {}
    for id, guard in found.items():
        for term in guard.terms:
            if term not in verdicts:
                verdicts[term] = sum(
                    literals.mask(gate)
                    for gate in literals.owners_of(term)
                    if not literals.implies(Guard((term,)), found[gate])
                )
            mask = verdicts[term] | (literals.mask(id) & term)
            if mask:
                lost[id] = lost.get(id, 0) | mask
    return lost


def _cyclic(graph: Graph, literals: Literals, found: dict[NodeId, Guard]) -> dict[NodeId, int]:
    """Literals of gates that would wait for the node that they guard."""
    speaks = {id: _spoken(literals, guard) for id, guard in found.items() if not guard.always and not guard.never}
    if not any(speaks.values()):
        return {}
    after: dict[NodeId, list[NodeId]] = {id: [] for id in found}
    waiting = dict.fromkeys(found, 0)
    for id, edges in graph.wiring().ins.items():
        for source in [e.src for e in edges] + list(speaks.get(id, ())):
            after[source].append(id)
            waiting[id] += 1
    ready = [id for id, count in waiting.items() if not count]
    while ready:
        for id in after[ready.pop()]:
            waiting[id] -= 1
            if not waiting[id]:
                ready.append(id)
    stuck = {id for id, count in waiting.items() if count}
    return {id: mask for id in stuck if (mask := sum(literals.mask(g) for g in speaks.get(id, ()) if g in stuck))}


def _spoken(literals: Literals, guard: Guard) -> tuple[NodeId, ...]:
    every = 0
    for term in guard.terms:
        every |= term
    return literals.owners_of(every)
