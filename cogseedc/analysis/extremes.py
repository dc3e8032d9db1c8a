"""The least and the worst of what is spent, over all decisions: as if all positions of a sample decided alike; and,
where it is known at which share of them a gate takes an arm, by that share. Both are bounds; the better one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from math import ceil, floor

from cogseedc.analysis.asked import Asked
from cogseedc.analysis.paths import Extreme, Paths, Picks
from cogseedc.analysis.shares import Share
from cogseedc.ir import GateKind, Guard, Literals, NodeId, decider
from cogseedc.record import record

Shares = Mapping[NodeId, tuple[Share, ...]]
_NONE, _ALL = Fraction(0), Fraction(1)


@record
class Range:
    """Least and worst over all paths."""

    least: Extreme
    worst: Extreme


@record
class Spent:
    """What is spent when something is asked for."""

    asked: Asked
    least: Extreme
    worst: Extreme


@record
class _Reached:
    """In which rows something is asked for, and there for which share of positions."""

    rows: Guard
    low: Fraction
    high: Fraction

    def least(self, spent: Spent) -> tuple[Guard, int]:
        return self.rows, floor(self.low * spent.least.value)

    def worst(self, spent: Spent) -> tuple[Guard, int]:
        return self.rows, ceil(self.high * spent.worst.value)


@record
class Extremes:
    """Sums over all paths, each with whether what is summed is reached."""

    lows: tuple[tuple[Paths, bool], ...]
    highs: tuple[tuple[Paths, bool], ...]

    @staticmethod
    def of(literals: Literals, picks: Sequence[Picks], shares: Shares, spent: Sequence[Spent]) -> Extremes:
        joint = [(literals.and_(s.asked.when, s.asked.read), s) for s in spent]
        known = {id for id in literals.gates if any(share.known for share in shares.get(id, ()))}
        exact = all(s.least.exact and s.worst.exact for s in spent)
        alike = summed((literals.alike(guard), s.least.value) for guard, s in joint)
        worst = summed((guard, s.worst.value) for guard, s in joint)
        lows = [(Paths(literals, alike, picks), exact and not known)]  # those that are known need not decide alike
        highs = [(Paths(literals, worst, picks), exact and not known and not _projected(literals, worst))]
        if known:
            reached = [(_reached(literals, shares, known, s.asked), guard, s) for guard, s in joint]
            low = ((literals.alike(g), s.least.value) if r is None else r.least(s) for r, g, s in reached)
            high = ((g, s.worst.value) if r is None else r.worst(s) for r, g, s in reached)
            sharp = exact and all(r is None or r.low == r.high for r, _, _ in reached)
            lows.append((Paths(literals, summed(low), picks), sharp))
            worst = summed(high)
            highs.append((Paths(literals, worst, picks), sharp and not _projected(literals, worst)))
        return Extremes(tuple(lows), tuple(highs))

    def range(self, given: Sequence[int] = (0,)) -> Range:
        """Over the paths where one of the conjunctions holds."""
        least, worst = list[Extreme](), list[Extreme]()
        for paths, exact in self.lows:
            low = min((paths.least(term) for term in given), key=lambda e: e.value)
            least.append(Extreme(low.value, low.exact and exact))
        for paths, exact in self.highs:
            high = max((paths.worst(term) for term in given), key=lambda e: e.value)
            worst.append(Extreme(high.value, high.exact and exact))
        return Range(max(least, key=lambda e: (e.value, e.exact)), min(worst, key=lambda e: (e.value, not e.exact)))


def _projected(literals: Literals, weights: Iterable[Guard]) -> bool:
    """Whether a guard says that an arm is taken anywhere: then more paths are looked at than there are."""
    return any(term & literals.projected for guard in weights for term in guard.terms)


def summed(weights: Iterable[tuple[Guard, int]]) -> dict[Guard, int]:
    total: dict[Guard, int] = {}
    for guard, weight in weights:
        total[guard] = total.get(guard, 0) + weight
    return total


def _reached(literals: Literals, shares: Shares, known: set[NodeId], asked: Asked) -> _Reached | None:
    """None if no gate of whose shares something is known has a say."""
    spoken = {decider(id) for g in (asked.when, asked.read) for term in g.terms for id in literals.owners_of(term)}
    if not spoken & known:
        return None
    when, read = (_part(literals, shares, guard) for guard in (asked.when, asked.read))
    return _Reached(literals.and_(when.rows, read.rows), when.low * read.low, when.high * read.high)


def _part(literals: Literals, shares: Shares, guard: Guard) -> _Reached:
    """Of a union: at least what is asked for by any term, at most the sum."""
    terms: dict[int, tuple[Fraction, Fraction]] = {}
    for term in guard.terms:
        rows, low, high = _of_term(literals, shares, term)
        if high:
            before = terms.get(rows, (_NONE, _NONE))
            terms[rows] = max(before[0], low), before[1] + high
    union = literals.union(Guard((rows,)) for rows in terms)
    least = min((low for low, _ in terms.values()), default=_NONE)
    return _Reached(union, least, min(_ALL, sum((high for _, high in terms.values()), _NONE)))


def _of_term(literals: Literals, shares: Shares, term: int) -> tuple[int, Fraction, Fraction]:
    """The rows that a conjunction speaks of, and the share of their positions: no more than any of its gates has, no
    less than what they cannot share out."""
    rows, low, high = term, _ALL, _ALL
    for id in literals.owners_of(term):
        gate, mask = literals.gates[decider(id)], literals.mask(id)
        if gate.type.rank - (gate.kind is GateKind.MANY) <= (gate.type.batch is not None):
            continue
        parts = [*_said(literals, id, term, shares[decider(id)])]
        if id != decider(id):  # some position of the row has each of these arms
            if any(part.high == 0 for part in parts):
                return rows, _NONE, _NONE
            if all(part.low > 0 for part in parts):
                rows &= ~mask
            continue
        rows &= ~mask
        for part in parts:
            low, high = max(_NONE, low + part.low - 1), min(high, part.high)
    return rows, low, high


def _said(literals: Literals, id: NodeId, term: int, arms: Sequence[Share]) -> Iterator[Share]:
    """The shares of positions of which a conjunction speaks: of a k-of-n gate for each arm by itself."""
    gate, own = literals.gates[id], (term & literals.mask(id)) >> literals.first[id]
    if gate.kind is GateKind.MANY:
        for arm, share in enumerate(arms):
            yield from [share] * bool(own >> (2 * arm) & 2) + [share.rest] * bool(own >> (2 * arm) & 1)
        return
    left = [share for arm, share in enumerate(arms) if not own >> arm & 1]
    low, high, even = (sum(part, _NONE) for part in zip(*((s.low, s.high, s.even) for s in left), strict=True))
    yield Share(low, min(_ALL, high), even)
