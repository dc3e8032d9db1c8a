"""Where each node's value is needed: one backward sweep from the outputs. Writes no control edge."""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from cogseedc.ir import (
    FALSE,
    TRUE,
    Graph,
    Guard,
    Lay,
    Literals,
    Loss,
    NodeId,
    Ops,
    Output,
    Value,
    asks,
    decider,
    output_types,
)
from cogseedc.ir import laid as laid_in
from cogseedc.ir.nodes import Constant, Exit, Input, Knob, Merge, Weight

Demanded = tuple[Literals, dict[NodeId, Guard]]


def demand(graph: Graph, ops: Ops, literals: Literals, *, training: bool = False) -> dict[NodeId, Guard]:
    """The guard of every node: for which decisions of the gates in `literals` its value can reach an output.

    FALSE: for none, the node is dead. Inputs, weights, knobs and constants are always TRUE; a loss is a
    root in `training` only and dead otherwise. The guards are closed: a term that speaks of a gate implies the
    gate's own guard, so the decision is there where it is asked for; and with the edges that say them the graph
    stays acyclic.
    """
    return demand_at(graph, ops, literals, training=training)[0]


class Demands:
    """The demand of each graph that was asked about last, which holds as long as nobody edits the graph."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Graph, tuple[tuple[int, bool], Demanded]] = WeakKeyDictionary()

    def of(self, graph: Graph, ops: Ops, training: bool) -> Demanded:
        """The literals of a graph's gates over the batch, and `demand` in them."""
        key = graph.edits, training
        known = self._known.get(graph)
        if known is not None and known[0] == key:
            return known[1]
        literals = Literals.of(graph)
        found = literals, demand(graph, ops, literals, training=training)
        self._known[graph] = key, found
        return found


def demand_at(
    graph: Graph, ops: Ops, literals: Literals, *, training: bool = False
) -> tuple[dict[NodeId, Guard], dict[NodeId, Lay]]:
    """The same; and for each node whose guard speaks of gates over more than the batch, where their axes lie in its
    results. What its users ask for along different axes, and what cannot be computed for single positions, is
    demanded at all of them."""
    banned: dict[NodeId, int] = {}
    while True:
        found, lays = _Sweep(graph, ops, literals, banned).run(training)
        open = _open(literals, found) or _cyclic(graph, literals, found)
        if not open:
            return found, lays
        for node, mask in open.items():
            banned[node] = banned.get(node, 0) | mask


def narrowed(
    graph: Graph, ops: Ops, literals: Literals, guards: dict[NodeId, Guard], *, training: bool
) -> tuple[dict[NodeId, Guard], dict[NodeId, Lay]]:
    """Guards that control edges say, narrowed to the positions that are demanded; and where their axes lie.

    Control edges speak of decisions over the batch alone. The result is closed as `demand` is.
    """
    found, lays = demand_at(graph, ops, literals, training=training)
    result = dict(guards)
    for id in [id for id, guard in found.items() if literals.rows(guard) != guard]:
        both = literals.and_(guards[id], found[id])
        if not both.never:
            result[id] = both
    while True:
        open = _open(literals, result) or _cyclic(graph, literals, result)
        given = [id for id in open if literals.rows(result[id]) != result[id]]
        if not given:
            break
        for id in given:
            result[id] = guards[id]
    return result, {id: lay for id, lay in lays.items() if literals.places(result[id])}


@dataclass
class _Sweep:
    """One sweep from the outputs."""

    graph: Graph
    ops: Ops
    literals: Literals
    banned: dict[NodeId, int]
    wanted: dict[NodeId, Guard] = field(default_factory=dict)
    lays: dict[NodeId, Lay] = field(default_factory=dict)
    torn: set[NodeId] = field(default_factory=set)
    """Nodes of which users ask along different axes."""

    def run(self, training: bool) -> tuple[dict[NodeId, Guard], dict[NodeId, Lay]]:
        found: dict[NodeId, Guard] = {}
        kept: dict[NodeId, Lay] = {}
        literals, wiring = self.literals, self.graph.wiring()
        for id in reversed(wiring.order):
            node = self.graph[id]
            match node:
                case Output() | Exit():
                    guard = TRUE
                case Loss():
                    guard = TRUE if training else FALSE
                case Input() | Weight() | Knob() | Constant():
                    found[id] = TRUE
                    continue
                case _:
                    guard = self.wanted.get(id, FALSE)
            banned = self.banned.get(id, 0)
            guard = literals.drop(guard, banned)
            if not guard.always and all(type.batch is None for type in output_types(node)):
                guard = literals.drop(guard, literals.batch)
            lay = self._lay(id, guard)
            if lay:
                kept[id] = lay
            else:
                guard = literals.drop(literals.project(guard, literals.placed), banned)
            found[id] = guard
            if guard.never:
                continue
            if guard.always and not isinstance(node, Merge):  # of most nodes all operands are always demanded
                self.wanted.update((edge.src, TRUE) for edge in wiring.ins[id])
                continue
            for value, part, at in asks(self.graph, self.ops, literals, id, guard, lay):
                self._want(value, part, at)
        return found, kept

    def _lay(self, id: NodeId, guard: Guard) -> Lay:
        """Where the axes of a guard lie, if the node can be computed for single positions."""
        if not self.literals.places(guard):
            return ()
        lay = self.lays[id]
        return lay if laid_in(self.graph, self.ops, id, lay) is not None else ()

    def _want(self, value: Value, part: Guard, at: Lay) -> None:
        id, literals = value.node, self.literals
        if at and self.lays.setdefault(id, at) != at:
            self.torn.add(id)
            self.wanted[id] = literals.project(self.wanted[id], literals.placed)
        if id in self.torn:
            part = literals.project(part, literals.placed)
        self.wanted[id] = literals.or_(self.wanted.get(id, FALSE), part)


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
                    if not literals.implies(Guard((term,)), found[decider(gate)])
                )
            mask = verdicts[term] | (literals.own(id) & term)
            if mask:
                lost[id] = lost.get(id, 0) | mask
    return lost


def _cyclic(graph: Graph, literals: Literals, found: dict[NodeId, Guard]) -> dict[NodeId, int]:
    """Literals of gates that would wait, through operands, control edges or guards, for the node that they guard."""
    if _in_order(graph, literals, found):
        return {}
    speaks = {id: _spoken(literals, guard) for id, guard in found.items()}
    after: dict[NodeId, list[NodeId]] = {id: [] for id in found}
    waiting = dict.fromkeys(found, 0)
    wiring = graph.wiring()
    for id, edges in wiring.ins.items():
        for source in [*(e.src for e in edges), *(e.src for e in wiring.controls[id]), *speaks[id]]:
            after[source].append(id)
            waiting[id] += 1
    ready = [id for id, count in waiting.items() if not count]
    while ready:
        for id in after[ready.pop()]:
            waiting[id] -= 1
            if not waiting[id]:
                ready.append(id)
    stuck = {id for id, count in waiting.items() if count}
    if not stuck:
        return {}
    own = _own(graph, literals, stuck, speaks)
    if own:
        return own
    return {id: mask for id in stuck if (mask := sum(literals.own(g) for g in speaks[id] if g in stuck))}


def _in_order(graph: Graph, literals: Literals, found: dict[NodeId, Guard]) -> bool:
    """Whether all that is guarded comes, in the order of the graph, behind the gates that have to decide before."""
    place = {id: i for i, id in enumerate(graph.wiring().order)}
    last: dict[Guard, int] = {}
    for id, guard in found.items():
        if guard not in last:
            last[guard] = max((place[gate] for gate in _spoken(literals, guard)), default=-1)
        if last[guard] >= place[id]:
            return False
    return True


def _own(
    graph: Graph, literals: Literals, stuck: set[NodeId], speaks: dict[NodeId, tuple[NodeId, ...]]
) -> dict[NodeId, int]:
    """Of the literals of stuck nodes those of gates that are decided from the node itself: whoever reads both waits for
    neither, and keeps what it speaks of. None, where gates wait for each other in another way."""
    wiring = graph.wiring()
    decides: dict[NodeId, int] = {}
    for id in reversed(wiring.order):
        found = literals.own(id)
        for edge in wiring.outs[id]:
            found |= decides[edge.dst]
        decides[id] = found
    lost = {id: sum(literals.own(g) for g in speaks[id] if literals.own(g) & decides[id]) for id in stuck}
    return {id: mask for id, mask in lost.items() if mask}


def _spoken(literals: Literals, guard: Guard) -> tuple[NodeId, ...]:
    """The gates that have to decide before what it guards."""
    every = 0
    for term in guard.terms:
        every |= term
    return tuple(dict.fromkeys(decider(id) for id in literals.owners_of(every)))
