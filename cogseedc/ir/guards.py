"""The guard algebra: for which decisions of the gates a node has to run. Knows of gates and bits, not of dataflow.

It is always legal to compute more, so each operation may answer with a weaker guard; it never answers with a
stronger one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from operator import and_ as intersect

from cogseedc.ir.graph import Graph
from cogseedc.ir.nodes import ControlEdge, Gate, GateKind, NodeId
from cogseedc.ir.size import Size
from cogseedc.ir.types import BATCH_SIZE, Axis
from cogseedc.record import record

MOST_TERMS = 4
_STEPS = 256
"""Work limit of one implication test; past it the answer is no, which is sound."""


@record
class Guard:
    """A union of conjunctions. A conjunction is a set of excluded decisions, as bits that a `Literals` assigned.

    Canonical: terms are sorted, none implies another, at most four.
    """

    terms: tuple[int, ...]

    @property
    def always(self) -> bool:
        return self.terms == (0,)

    @property
    def never(self) -> bool:
        return not self.terms


TRUE = Guard((0,))
FALSE = Guard(())


def guardable(gate: Gate) -> bool:
    """Whether decisions of this gate take part in guards: it is over the batch alone, or over nothing."""
    axes = gate.type.axes[:-1] if gate.kind is GateKind.MANY else gate.type.axes
    return not axes or (len(axes) == 1 and axes[0].size == BATCH_SIZE)


def placeable(gate: Gate) -> bool:
    """Whether decisions of this gate choose positions: it is over the batch, first, and further axes."""
    axes = gate.type.axes[:-1] if gate.kind is GateKind.MANY else gate.type.axes
    return len(axes) > 1 and gate.type.batch == 0


def decider(id: NodeId) -> NodeId:
    """The gate that decides: of a projection the one that is projected."""
    return id if id >= 0 else NodeId(~id)


def _projection(gate: Gate) -> Gate:
    """As a k-of-n gate over the batch: several arms can be taken at different positions of one row."""
    batch, arms = gate.type.axes[0], Axis("arm", Size.of(gate.arms))
    type = gate.type.with_axes((batch, arms))
    return replace(gate, kind=GateKind.MANY, over=gate.over[:1], type=type, exit=None)


@dataclass(frozen=True)
class Literals:
    """The bits of all gates. BOOL and ONE: one group of a bit per arm. MANY: a group of two bits per arm,
    `selected` then `not selected`. A conjunction that excludes a whole group is contradictory.

    A gate over more than the batch may have a projection onto it: a gate over the batch, which selects those arms that
    are taken at any position of the row. It has an id of its own (see `decider`), and its bits come right before
    those of the gate.
    """

    gates: dict[NodeId, Gate]
    first: dict[NodeId, int]
    """Index of the first bit of each gate."""
    owners: tuple[NodeId, ...]
    """The gate of each bit."""
    groups: tuple[int, ...]
    """For each bit the mask of its group."""
    batch: int
    """Mask of all bits of gates over the batch axis, alone or with others; the other gates are uniform."""
    placed: int
    """Mask of all bits of gates over the batch axis and others."""
    pairs: int
    """Mask of the first bits of all groups of two, which one shift checks at once."""
    projections: dict[NodeId, NodeId] = field(default_factory=dict)
    """Of gates over more than the batch."""
    projected: int = 0
    """Mask of all bits of projections."""

    @staticmethod
    def over(gates: Iterable[tuple[NodeId, Gate]], project: bool = False) -> Literals:
        """Bits for these gates (guardable or placeable), and for projections of those that are placeable, if they are
        to be had; a literal of any other gate counts as true."""
        table = dict[NodeId, Gate]()
        for id, gate in gates:
            if project and placeable(gate):
                table[NodeId(~id)] = _projection(gate)
            table[id] = gate
        first, owners, groups = dict[NodeId, int](), list[NodeId](), list[int]()
        batch = placed = pairs = 0
        for id, gate in table.items():
            start = first[id] = len(groups)
            many = gate.kind is GateKind.MANY
            count, width = (gate.arms, 2) if many else (1, gate.arms)
            for _ in range(count):
                pairs |= (width == 2) << len(groups)
                groups += [((1 << width) - 1) << len(groups)] * width
            owners += [id] * (len(groups) - start)
            own = (1 << len(groups)) - (1 << start)
            axes = len(gate.type.axes) - many
            batch |= own if axes else 0
            placed |= own if axes > 1 else 0
        literals = Literals(table, first, tuple(owners), tuple(groups), batch, placed, pairs)
        projections = {decider(id): id for id in table if id < 0}
        projected = sum(literals.mask(id) for id in projections.values())
        return replace(literals, projections=projections, projected=projected) if projections else literals

    @staticmethod
    def of(graph: Graph, dense: frozenset[NodeId] = frozenset()) -> Literals:
        """Bits for all gates of a graph that are over the batch or over nothing, but for those in `dense`."""
        return Literals.over((id, n) for id, n in graph.of(Gate) if guardable(n) and id not in dense)

    @cached_property
    def _masks(self) -> dict[NodeId, int]:
        masks: dict[NodeId, int] = {}
        for id, gate in self.gates.items():
            count = gate.arms * (2 if gate.kind is GateKind.MANY else 1)
            masks[id] = ((1 << count) - 1) << self.first[id]
        return masks

    @cached_property
    def _spoken(self) -> dict[int, tuple[NodeId, ...]]:
        """Terms that were asked for once: thousands of nodes share them."""
        return {}

    def mask(self, gate: NodeId) -> int:
        """All bits of a gate; 0 if it has none."""
        return self._masks.get(gate, 0)

    def own(self, gate: NodeId) -> int:
        """The same, with those of its projection."""
        return self.mask(gate) | self.mask(self.projections.get(gate, gate))

    def taken(self, gate: NodeId, arm: int) -> Guard:
        """Where the gate took (MANY: selected) the arm."""
        if gate not in self.gates:
            return TRUE
        if self.gates[gate].kind is GateKind.MANY:
            return Guard((2 << (self.first[gate] + 2 * arm),))
        return Guard((self.mask(gate) & ~(1 << (self.first[gate] + arm)),))

    def not_taken(self, gate: NodeId, arm: int) -> Guard:
        """Where the gate did not take (MANY: select) the arm."""
        if gate not in self.gates:
            return TRUE
        if self.gates[gate].kind is GateKind.MANY:
            return Guard((1 << (self.first[gate] + 2 * arm),))
        return FALSE if self.gates[gate].arms == 1 else Guard((1 << (self.first[gate] + arm),))

    def places(self, guard: Guard) -> bool:
        """Whether the guard speaks of a gate over more than the batch."""
        return bool(self.placed) and any(term & self.placed for term in guard.terms)

    def rows(self, guard: Guard) -> Guard:
        """The guard as far as it says the same of all positions of a row, whatever there is at any of them."""
        return self.drop(guard, self.placed | self.projected)

    def project(self, guard: Guard, mask: int) -> Guard:
        """The guard with what gates over more than the batch, those in `mask`, say of positions said of rows: there is
        such a position."""
        mask &= self.placed
        if not any(term & mask for term in guard.terms):
            return guard
        return self._canonical([term & ~mask | self._said_of_rows(term & mask) for term in guard.terms])

    def alike(self, guard: Guard) -> Guard:
        """What the guard says if all positions of a row decide alike: an arm that is taken anywhere is taken at all."""
        if not any(term & self.projected for term in guard.terms):
            return guard
        return self.union(self._alike(term) for term in guard.terms)

    def _alike(self, term: int) -> Guard:
        found = Guard((term & ~self.projected,))
        for id in self.owners_of(term & self.projected):
            own = (term & self.mask(id)) >> self.first[id]
            for arm in range(self.gates[id].arms):
                if own >> (2 * arm) & 2:
                    found = self.and_(found, self.taken(decider(id), arm))
        return found

    def nested(self, guard: Guard, projected: int) -> Guard:
        """The same guard, which says beside each choice of positions that the row has such a one, where `projected`
        has these bits; and nothing of rows behind a choice of positions."""
        if not self.projected or not any(term & (self.placed | self.projected) for term in guard.terms):
            return guard
        return self._canonical([self._nested(term, projected) for term in guard.terms])

    def _nested(self, term: int, projected: int) -> int:
        found = term | self._said_of_rows(term & self.placed) & projected
        chosen = found & self.placed
        first = chosen & -chosen
        return found & ~(self.projected & ~(first - 1)) if first else found

    def _said_of_rows(self, bits: int) -> int:
        """What a conjunction about positions says of rows."""
        found = 0
        for id in self.owners_of(bits) if self.projected else ():
            gate, first = self.gates[id], self.first[id]
            own = (bits & self.mask(id)) >> first
            if gate.kind is GateKind.MANY:
                arms = [arm for arm in range(gate.arms) if own >> (2 * arm) & 2]
            else:
                left = [arm for arm in range(gate.arms) if not own >> arm & 1]
                arms = left if len(left) == 1 else []
            found |= sum(2 << (self.first[self.projections[id]] + 2 * arm) for arm in arms)
        return found

    def contradictory(self, a: int, b: int = 0) -> bool:
        """Whether two conjunctions, together, exclude every decision of some group."""
        both = a | b
        if both & both >> 1 & self.pairs:
            return True
        rest = a & ~(self.pairs | self.pairs << 1)  # of a group that both speak of, each has some
        while rest:
            group = self.groups[_lowest(rest)]
            if both & group == group:
                return True
            rest &= ~group
        return False

    def and_(self, a: Guard, b: Guard) -> Guard:
        if a.always or b.never:
            return b
        if b.always or a.never:
            return a
        return self._canonical([x | y for x in a.terms for y in b.terms if not self.contradictory(x, y)])

    def or_(self, a: Guard, b: Guard) -> Guard:
        if a == b or a.always or b.never:
            return a
        if b.always or a.never:
            return b
        return self._canonical([*a.terms, *b.terms])

    def union(self, guards: Iterable[Guard]) -> Guard:
        """The union of all."""
        return reduce(self.or_, guards, FALSE)

    def drop(self, guard: Guard, mask: int) -> Guard:
        """The guard with the literals in `mask` counted as true."""
        for term in guard.terms:
            if term & mask:
                return self._canonical([term & ~mask for term in guard.terms])
        return guard

    def implies(self, a: Guard, b: Guard) -> bool:
        """Whether `b` holds wherever `a` does. A yes is certain; a no may be a lack of patience."""
        return all(self._inside(self._full(term), b.terms) for term in a.terms)

    def exclusive(self, a: Guard, b: Guard) -> bool:
        """Whether both can never hold together."""
        return all(self.contradictory(x, y) for x in a.terms for y in b.terms)

    def owners_of(self, term: int) -> tuple[NodeId, ...]:
        """The gates that a conjunction speaks of, in order of their bits."""
        known = self._spoken.get(term)
        if known is None:
            known = self._spoken[term] = tuple(self._owners(term))
        return known

    def _owners(self, term: int) -> Iterator[NodeId]:
        while term:
            owner = self.owners[_lowest(term)]
            yield owner
            term &= ~self.mask(owner)

    def _canonical(self, terms: Sequence[int]) -> Guard:
        if len(terms) == 1:
            return Guard((terms[0],))
        kept = _minimal(terms)
        while (joined := self._join(kept) or self._everywhere(kept)) is not None:
            kept = _minimal(joined)
        if len(kept) > MOST_TERMS:
            return Guard((reduce(intersect, kept),))
        for term in list(kept):
            others = [t for t in kept if t != term]
            if others and self._inside(self._full(term), others):
                kept = others
        return Guard(tuple(kept))

    def _full(self, term: int) -> int:
        """A conjunction with all that it says of rows."""
        return term | self._said_of_rows(term & self.placed)

    def _everywhere(self, terms: list[int]) -> list[int] | None:
        """Replaces terms that differ in which arm is taken anywhere in a row: at any position it is one of them."""
        for id, projection in self.projections.items():
            mask, first = self.mask(projection), self.first[projection]
            if self.gates[id].kind is GateKind.MANY:
                continue
            for rest in dict.fromkeys(term & ~mask for term in terms):
                each = {rest | 2 << (first + 2 * arm) for arm in range(self.gates[id].arms)}
                if each <= {*terms}:
                    return [t for t in terms if t not in each] + [rest]
        return None

    def _join(self, terms: list[int]) -> list[int] | None:
        """Replaces two terms that differ in one group only: their union excludes what both exclude there."""
        for i, a in enumerate(terms):
            for b in terms[i + 1 :]:
                different = a ^ b
                if not different & ~self.groups[_lowest(different)]:
                    return [t for t in terms if t not in (a, b)] + [a & b]
        return None

    def _inside(self, term: int, union: Sequence[int]) -> bool:
        """Whether a conjunction lies in a union: nothing is left of it when each term is cut out in turn."""
        left = [(term, tuple(union))]
        for _ in range(_STEPS):
            if not left:
                return True
            part, cutters = left.pop()
            if any(not cut & ~part for cut in cutters):
                continue
            cutters = tuple(cut for cut in cutters if not self.contradictory(part, cut))
            if not cutters:
                return False
            cut = cutters[0]
            left += [(part | (group & ~cut), cutters[1:]) for group in self._groups_of(cut & ~part)]
        return not left

    def _groups_of(self, bits: int) -> Iterator[int]:
        while bits:
            group = self.groups[_lowest(bits)]
            yield group
            bits &= ~group

    def edges(self, guards: Mapping[NodeId, Guard]) -> Iterator[ControlEdge]:
        """Control edges that say the guard of each node, without what those of the gates say already."""
        known: dict[int, tuple[tuple[NodeId, int], ...]] = {}  # thousands of nodes share a term
        for id, guard in guards.items():
            for place, term in enumerate(guard.terms):
                if term not in known:
                    known[term] = tuple(self._said(term, guards))
                yield from (ControlEdge(gate, id, arm, place) for gate, arm in known[term])

    def _said(self, term: int, guards: Mapping[NodeId, Guard]) -> Iterator[tuple[NodeId, int]]:
        """Gates and arms, `~arm` where it is not taken, of a conjunction."""
        said = 0
        for gate in self.owners_of(term):
            if len(guards[gate].terms) == 1:
                said |= guards[gate].terms[0]
        for group in self._groups_of(term & ~said):
            first = _lowest(group)
            gate = self.owners[first]
            if self.gates[gate].kind is GateKind.MANY:
                arm = (first - self.first[gate]) // 2
                yield gate, ~arm if term >> first & 1 else arm
                continue
            allowed = [arm for arm in range(self.gates[gate].arms) if not term >> (first + arm) & 1]
            if len(allowed) == 1:
                yield gate, allowed[0]
                continue
            for arm in range(self.gates[gate].arms):
                if arm not in allowed:
                    yield gate, ~arm

    def literal(self, edge: ControlEdge) -> Guard:
        """What one control edge says, by itself."""
        return self.taken(edge.src, edge.arm) if edge.arm >= 0 else self.not_taken(edge.src, ~edge.arm)


def _lowest(bits: int) -> int:
    """The index of the first bit that is set."""
    return (bits ^ (bits - 1)).bit_length() - 1


def _minimal(terms: Iterable[int]) -> list[int]:
    """Sorted, without terms that exclude more than another one does."""
    kept = list[int]()
    for term in sorted(set(terms), key=lambda t: (t.bit_count(), t)):
        if all(other & ~term for other in kept):
            kept.append(term)
    return sorted(kept)


def guards(graph: Graph, literals: Literals) -> dict[NodeId, Guard]:
    """The guard of every node, read from the control edges into it and into the gates behind them."""
    wiring = graph.wiring()
    found: dict[NodeId, Guard] = {}
    for id in wiring.order:
        edges = wiring.controls[id]
        if not edges:
            found[id] = TRUE
            continue
        terms: dict[int, Guard] = {}
        for edge in edges:
            behind = literals.and_(literals.literal(edge), found[edge.src])
            terms[edge.term] = literals.and_(terms.get(edge.term, TRUE), behind)
        found[id] = literals.union(terms.values())
    return found
