"""Extremes of a sum of guarded weights over all paths, that is over all decisions of the gates. Knows no operations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import and_

from cogseedc.ir import Guard, Literals, NodeId
from cogseedc.record import record

STEPS = 4096
"""How many partial decisions of one group of gates are looked at before the bound is taken as it is."""


@record
class Extreme:
    """A proved bound; `exact` when some path reaches it."""

    value: int
    exact: bool = True


@record
class Picks:
    """How many of some arms are selected together at one index: those of a k-of-n gate, or of yes-or-no gates that
    share out one decision."""

    least: int
    most: int
    selected: tuple[int, ...]
    """For each arm the bit that a conjunction has in which it is selected."""
    dropped: tuple[int, ...]
    """For each arm the bit that a conjunction has in which it is not."""


@record
class _State:
    """A partial decision: what it excludes, what is sure to run, and what still may (weight, terms that may hold)."""

    excluded: int
    sure: int
    open: tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Paths:
    """Weights (not negative) by guard, and how many arms are selected together."""

    literals: Literals
    weights: Mapping[Guard, int]
    picks: Sequence[Picks]

    @cached_property
    def _picked(self) -> dict[int, Picks]:
        """By each bit, selected or dropped, of an arm."""
        return {bit: picks for picks in self.picks for bit in (*picks.selected, *picks.dropped)}

    @cached_property
    def _together(self) -> dict[NodeId, NodeId]:
        """For each gate whose arms are picked together with those of others, the first of them."""
        together = (self.literals.owners_of(sum(picks.selected)) for picks in self.picks)
        return {gate: gates[0] for gates in together for gate in gates}

    def worst(self, given: int) -> Extreme:
        """The largest sum of the weights whose guards hold, where the conjunction `given` does. Never too small."""
        return self._extreme(given, largest=True)

    def least(self, given: int) -> Extreme:
        """The smallest such sum. Never too large."""
        return self._extreme(given, largest=False)

    def _extreme(self, given: int, largest: bool) -> Extreme:
        start = self._start(given)
        total, exact = start.sure, True
        for part in self._independent(start.open):
            found = self._search(_State(start.excluded, 0, part), largest)
            total, exact = total + found.value, exact and found.exact
        return Extreme(total, exact)

    def _start(self, given: int) -> _State:
        sure, open = 0, list[tuple[int, tuple[int, ...]]]()
        for guard, weight in self.weights.items():
            terms = tuple(t for t in guard.terms if not self.literals.contradictory(t, given))
            if any(not t & ~given for t in terms):
                sure += weight
            elif terms and weight:
                open.append((weight, terms))
        return _State(given, sure, tuple(open))

    def _independent(
        self, open: Sequence[tuple[int, tuple[int, ...]]]
    ) -> Iterator[tuple[tuple[int, tuple[int, ...]], ...]]:
        """Parts that share no gate: their extremes add up."""
        above: dict[NodeId, NodeId] = {}

        def top(gate: NodeId) -> NodeId:
            while above[gate] != gate:
                above[gate] = above[above[gate]]
                gate = above[gate]
            return gate

        members: list[NodeId] = []
        for _, terms in open:
            gates = [self._together.get(gate, gate) for term in terms for gate in self.literals.owners_of(term)]
            for gate in gates:
                above.setdefault(gate, gate)
                above[top(gate)] = top(gates[0])
            members.append(gates[0])
        parts: dict[NodeId, list[tuple[int, tuple[int, ...]]]] = {}
        for item, gate in zip(open, members, strict=True):
            parts.setdefault(top(gate), []).append(item)
        for items in parts.values():
            yield tuple(items)

    def _search(self, root: _State, largest: bool) -> Extreme:
        """Branch and bound, depth first, the more promising decision first."""
        best: int | None = None
        left = [root]
        for _ in range(STEPS):
            if not left:
                break
            state = left.pop()
            bound = self._most(state) if largest else self._fewest(state)
            if best is not None and (bound <= best if largest else bound >= best):
                continue
            if not state.open:
                best = state.sure
                continue
            after = list(self._decide(state))
            after.sort(key=self._most if largest else lambda s: -self._fewest(s))
            left += after
        if left:
            return Extreme(self._most(root) if largest else self._fewest(root), False)
        assert best is not None, "some path is left"
        return Extreme(best)

    def _decide(self, state: _State) -> Iterator[_State]:
        """All decisions of one group that an open weight hangs on."""
        undecided = state.open[0][1][0] & ~state.excluded
        group = self.literals.groups[(undecided & -undecided).bit_length() - 1]
        free = group & ~state.excluded
        while free:
            bit = free & -free
            free &= ~bit
            excluded = state.excluded | (group & ~bit)
            closed = self._closed(self._picked.get(bit), excluded)
            if closed is not None:
                yield _follow(self.literals, state, closed)

    def _closed(self, picks: Picks | None, excluded: int) -> int | None:
        """With the decisions that the number of picks forces; None when there are too many or too few."""
        if picks is None:
            return excluded
        taken = sum(bool(excluded & bit) for bit in picks.selected)
        not_taken = sum(bool(excluded & bit) for bit in picks.dropped)
        if taken > picks.most or len(picks.selected) - not_taken < picks.least:
            return None
        undecided = [
            (selected, dropped)
            for selected, dropped in zip(picks.selected, picks.dropped, strict=True)
            if not excluded & (selected | dropped)
        ]
        if taken == picks.most:
            return excluded | sum(dropped for _, dropped in undecided)
        if len(picks.selected) - not_taken == picks.least:
            return excluded | sum(selected for selected, _ in undecided)
        return excluded

    def _most(self, state: _State) -> int:
        """An upper bound: of the weights that hang on arms that are picked together only the k heaviest arms count."""
        total = state.sure
        by_arm: dict[Picks, dict[int, int]] = {}
        for weight, terms in state.open:
            arm = self._selected_in_all(terms, state.excluded) if self.picks else None
            if arm is None:
                total += weight
            else:
                weights = by_arm.setdefault(self._picked[arm], {})
                weights[arm] = weights.get(arm, 0) + weight
        for picks, weights in by_arm.items():
            free = picks.most - sum(bool(state.excluded & bit) for bit in picks.selected)
            total += sum(sorted(weights.values(), reverse=True)[:free])
        return total

    def _fewest(self, state: _State) -> int:
        """A lower bound: of arms that are picked together the k lightest count, with what runs for each alone."""
        total, alone = state.sure, dict[int, int]()
        for weight, terms in state.open if self.picks else ():
            bit = min(self._selected.intersection(term & ~state.excluded for term in terms), default=None)
            if bit is not None:
                alone[bit] = alone.get(bit, 0) + weight
        for picks in self.picks if alone else ():
            missing = picks.least - sum(bool(state.excluded & bit) for bit in picks.selected)
            open = [s for s, d in zip(picks.selected, picks.dropped, strict=True) if not state.excluded & (s | d)]
            total += sum(sorted(alone.get(bit, 0) for bit in open)[: max(0, missing)])
        return total

    def _selected_in_all(self, terms: Iterable[int], excluded: int) -> int | None:
        """The first bit of an arm, not yet decided, that every term selects."""
        common = reduce(and_, terms) & ~excluded & self._selecting
        return common & -common or None

    @cached_property
    def _selecting(self) -> int:
        return sum(self._selected)

    @cached_property
    def _selected(self) -> frozenset[int]:
        """The bits of arms that are picked together, in which they are."""
        return frozenset(bit for picks in self.picks for bit in picks.selected)


def _follow(literals: Literals, state: _State, excluded: int) -> _State:
    """The state after more is excluded: only the groups that changed can contradict a term anew."""
    groups, changed = list[int](), excluded & ~state.excluded
    while changed:
        groups.append(literals.groups[(changed & -changed).bit_length() - 1])
        changed &= ~groups[-1]
    sure, open = state.sure, list[tuple[int, tuple[int, ...]]]()
    for weight, terms in state.open:
        kept = tuple(t for t in terms if all((t | excluded) & group != group for group in groups))
        if any(not t & ~excluded for t in kept):
            sure += weight
        elif kept:
            open.append((weight, kept))
    return _State(excluded, sure, tuple(open))
