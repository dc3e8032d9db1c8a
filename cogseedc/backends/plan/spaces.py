"""Row spaces: the tree of subsets of the batch (or of positions in it and further axes) in which the parts of a
program run, made from guards on demand.

The parent of a space is the nearest space whose guard its own implies. Nothing here moves a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from cogseedc.backends.plan.model import ROOT, SpaceId, Strategy
from cogseedc.ir import TRUE, GateKind, Guard, Literals, NodeId, Size

Condition = tuple[NodeId, tuple[int, ...], bool]
"""A gate or a projection, arms, negated: as `Choice` has them, without saying where the decision is read."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A space before its decisions have slots."""

    id: SpaceId
    parent: SpaceId | None
    strategy: Strategy
    guard: Guard
    terms: tuple[tuple[Condition, ...], ...]
    """What must hold beyond the guard of the parent."""
    depth: int
    grid: tuple[Size, ...] = ()
    """Sizes of the axes, beside the batch, whose positions it holds."""


class Spaces:
    """The spaces made so far, by guard. The bits of `literals` are in the order in which the gates decide;
    `strategies` says how a space that asks a gate is entered. Where `guards`, those of the nodes, speak of rows that
    have a position, positions are chosen among these."""

    def __init__(self, literals: Literals, strategies: Mapping[NodeId, Strategy], guards: Iterable[Guard] = ()) -> None:
        self._literals, self._strategies = literals, strategies
        self._projected = reduce(or_, (term for guard in guards for term in guard.terms), 0) & literals.projected
        self.drafts: list[Draft] = [Draft(ROOT, None, Strategy.COMPACT, TRUE, (), 0)]
        self._known: dict[Guard, SpaceId] = {TRUE: ROOT}
        self._latest: dict[NodeId, list[SpaceId]] = {}
        self._support: dict[SpaceId, int] = {}
        self._under: dict[tuple[SpaceId, Guard], SpaceId] = {}

    def of(self, guard: Guard) -> SpaceId:
        """The space that holds exactly the rows of a guard."""
        guard = self._literals.nested(guard, self._projected)
        known = self._known.get(guard)
        return known if known is not None else self._make(guard)

    def below(self, at: SpaceId, bits: int) -> SpaceId:
        """The space of the rows of `at` where a conjunction holds: `at`, or one below it."""
        found = self.of(self._literals.and_(self.guard(at), Guard((bits,))))
        if self.common(found, at) == at:
            return found
        (bits,) = self._literals.nested(Guard((bits,)), self._projected).terms
        for run in self._runs(self._asked(at, bits & ~_shared(self.guard(at)))):
            guard = self._literals.and_(self.guard(at), Guard((run,)))
            if (at, guard) not in self._under:
                self._under[at, guard] = self._new(at, guard, (run,))
            at = self._under[at, guard]
        return at

    def guard(self, space: SpaceId) -> Guard:
        return self.drafts[space].guard

    def up(self, space: SpaceId) -> Iterator[SpaceId]:
        """The space and its ancestors, nearest first."""
        at: SpaceId | None = space
        while at is not None:
            yield at
            at = self.drafts[at].parent

    def common(self, a: SpaceId, b: SpaceId) -> SpaceId:
        """The nearest space that is an ancestor of both (or is one of them)."""
        drafts = self.drafts
        while a != b:
            if drafts[a].depth < drafts[b].depth:
                a, b = b, a
            above = drafts[a].parent
            assert above is not None
            a = above
        return a

    def _make(self, guard: Guard) -> SpaceId:
        assert guard.terms, "a node that nobody demands has no space"
        parent = self._parent(guard)
        residual = [self._asked(parent, bits) for bits in self._residual(guard, parent)]
        if not all(residual):
            self._known[guard] = parent
            return parent
        if len(residual) > 1:
            return self._add(parent, guard, residual)
        for run in self._runs(residual[0]):
            parent = self._add(parent, self._literals.and_(self.guard(parent), Guard((run,))), (run,))
        self._known.setdefault(guard, parent)
        return parent

    def _asked(self, parent: SpaceId, bits: int) -> int:
        """What is asked of a conjunction in a space: among positions nothing of rows that have one."""
        return bits & ~self._literals.projected if self.drafts[parent].grid else bits

    def _add(self, parent: SpaceId, guard: Guard, residual: Sequence[int]) -> SpaceId:
        known = self._known.get(guard)
        if known is None:
            known = self._known[guard] = self._new(parent, guard, residual)
            self._support[known] = self._gates(guard)
            for gate in dict.fromkeys(self._literals.owners[term.bit_length() - 1] for term in guard.terms):
                self._latest.setdefault(gate, []).append(known)
        return known

    def _new(self, parent: SpaceId, guard: Guard, residual: Sequence[int]) -> SpaceId:
        terms = tuple(tuple(self.conditions(bits)) for bits in residual)
        ways = {self._strategies[gate] for term in terms for gate, _, _ in term}
        above = self.drafts[parent]
        # among positions a decision of each row is no single one, which an If could ask; a knob's is
        rows = bool(above.grid) and any(self._literals.gates[gate].over for term in terms for gate, _, _ in term)
        strategy = Strategy.COMPACT if rows or Strategy.COMPACT in ways else Strategy.BRANCH
        id = SpaceId(len(self.drafts))
        grid = above.grid or next((g for term in terms for gate, _, _ in term if (g := self._grid(gate))), ())
        self.drafts.append(Draft(id, parent, strategy, guard, terms, above.depth + 1, grid))
        return id

    def _parent(self, guard: Guard) -> SpaceId:
        """The nearest space that `guard` implies and whose gates it has: entering it waits for nothing else. A gate
        that branches and is not settled yet is asked before positions are chosen."""
        gates = self._gates(guard)
        owners = self._literals.owners_of(gates) if self._literals.placed else ()
        branching = [self._literals.mask(gate) for gate in owners if self._strategies[gate] is Strategy.BRANCH]
        term = guard.terms[0]
        while term:
            gate = self._literals.owners[term.bit_length() - 1]
            fitting = [
                s
                for s in self._latest.get(gate, ())
                if not self._support[s] & ~gates
                and _covers(self.guard(s), guard)
                and not (
                    self.drafts[s].grid and any(mask & bits for bits in self._residual(guard, s) for mask in branching)
                )
            ]
            if fitting:
                return max(fitting, key=lambda s: (_shared(self.guard(s)).bit_count(), -s))
            term &= ~self._literals.mask(gate)
        return ROOT

    def _residual(self, guard: Guard, parent: SpaceId) -> tuple[int, ...]:
        """For each term, the literals that the parent's rows do not already fulfil."""
        above = self.guard(parent)
        held = _shared(above)
        own = _shared(guard) & ~held
        if self._literals.and_(above, Guard((own,))) == guard:
            return (own,)
        return tuple(term & ~held for term in guard.terms)

    def _runs(self, bits: int) -> list[int]:
        """A conjunction cut where the strategy or the axes of its gates change: one space for each."""
        runs: list[int] = []
        last: tuple[Strategy, bool] | None = None
        for gate in self._literals.owners_of(bits):
            way = self._strategies[gate], bool(self._grid(gate))
            if way != last:
                runs.append(0)
            runs[-1] |= bits & self._literals.mask(gate)
            last = way
        return runs

    def _grid(self, gate: NodeId) -> tuple[Size, ...]:
        """Sizes of the axes beside the batch that a gate is over."""
        if not self._literals.mask(gate) & self._literals.placed:
            return ()
        node = self._literals.gates[gate]
        return node.type.shape[1 : -1 if node.kind is GateKind.MANY else None]

    def conditions(self, bits: int) -> Iterator[Condition]:
        """What a conjunction says of each gate: the arms that are left."""
        for id in self._literals.owners_of(bits):
            gate = self._literals.gates[id]
            own = (bits & self._literals.mask(id)) >> self._literals.first[id]
            if gate.kind is GateKind.MANY:
                for arm in range(gate.arms):
                    if own >> (2 * arm) & 3:
                        yield id, (arm,), bool(own >> (2 * arm) & 1)
            else:
                yield id, tuple(arm for arm in range(gate.arms) if not own >> arm & 1), False

    def _gates(self, guard: Guard) -> int:
        """The gates of a guard, as the masks of all their bits."""
        found, rest = 0, 0
        for term in guard.terms:
            rest |= term
        while rest:
            mask = self._literals.mask(self._literals.owners[rest.bit_length() - 1])
            found |= mask
            rest &= ~mask
        return found


def _shared(guard: Guard) -> int:
    """What all terms exclude."""
    found = guard.terms[0]
    for term in guard.terms[1:]:
        found &= term
    return found


def _covers(wide: Guard, narrow: Guard) -> bool:
    """Whether every term of `narrow` implies one of `wide`."""
    return all(any(not w & ~n for w in wide.terms) for n in narrow.terms)
