"""Finds the cheapest joint choice of many small variables whose costs are of one variable or of two: bucket
elimination. Knows nothing of programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import count, product
from math import prod

from cogseedc.record import record

CAP = 4096
"""Entries of the largest table. Programs are nearly trees, whose tables have at most a few dozen."""
SWEEPS = 8
"""How often the choices are improved one by one, when a table would have been larger."""

Pair = tuple[int, int]
Table = Sequence[Sequence[float]]


@record
class Choice:
    """The choices found."""

    values: dict[int, int]
    """Per variable the place of its choice in its domain."""
    cost: float
    exact: bool
    """Whether no other choices cost less. Not known when a table would have passed the cap."""


def cost_of(singles: Mapping[int, Sequence[float]], pairs: Mapping[Pair, Table], values: Mapping[int, int]) -> float:
    """What given choices cost."""
    alone = sum(costs[values[v]] for v, costs in singles.items())
    return alone + sum(table[values[a]][values[b]] for (a, b), table in pairs.items())


def cheapest(singles: Mapping[int, Sequence[float]], pairs: Mapping[Pair, Table], cap: int = CAP) -> Choice:
    """Choices of least total cost.

    `singles[v][i]` is the cost of choice i of variable v, `pairs[a, b][i][j]` of i for a together with j for b.
    Variables are eliminated in min-degree order (Dechter, Bucket elimination, 1999): exact, in time linear in the
    variables for a fixed width. Where a table would have more than `cap` entries, the variable with most neighbours
    is fixed to what is cheapest by itself and with its neighbours' best, and the outcome is improved one variable at
    a time; it is then legal, but perhaps not the cheapest.
    """
    work = _Elimination(singles, pairs, cap)
    values = work.run()
    if not work.exact:
        _improve(singles, pairs, values)
    return Choice(values, cost_of(singles, pairs, values), work.exact)


@record
class _Factor:
    """A cost of several variables together."""

    scope: tuple[int, ...]
    table: dict[tuple[int, ...], float]


class _Elimination:
    """One elimination under way."""

    def __init__(self, singles: Mapping[int, Sequence[float]], pairs: Mapping[Pair, Table], cap: int) -> None:
        self.sizes = {v: len(costs) for v, costs in singles.items()}
        self.cap = cap
        self.exact = True
        self.factors: dict[int, _Factor] = {}
        self.keys = count()
        self.of: dict[int, set[int]] = {v: set() for v in singles}
        self.near: dict[int, set[int]] = {v: set() for v in singles}
        self.solved: list[tuple[int, tuple[int, ...], dict[tuple[int, ...], int]]] = []
        for v, costs in singles.items():
            self._add(_Factor((v,), {(i,): cost for i, cost in enumerate(costs)}))
        for (a, b), table in pairs.items():
            rows = enumerate(table)
            cells: dict[tuple[int, ...], float] = {(i, j): cost for i, row in rows for j, cost in enumerate(row)}
            self._add(_Factor((a, b), cells))

    def run(self) -> dict[int, int]:
        waiting = [(len(near), v) for v, near in self.near.items()]
        heapify(waiting)
        while waiting:
            degree, v = heappop(waiting)
            if v not in self.near:
                continue
            if degree != len(self.near[v]):
                heappush(waiting, (len(self.near[v]), v))
                continue
            if self.sizes[v] * prod(self.sizes[u] for u in self.near[v]) > self.cap:
                most = max(self.near, key=lambda u: (len(self.near[u]), -u))
                changed = self._fix(most)
                if v in self.near and v not in changed:
                    changed = [*changed, v]
            else:
                changed = self._eliminate(v)
            for u in changed:
                heappush(waiting, (len(self.near[u]), u))
        return self._choices()

    def _add(self, factor: _Factor) -> None:
        key = next(self.keys)
        self.factors[key] = factor
        for v in factor.scope:
            self.of[v].add(key)
            self.near[v].update(u for u in factor.scope if u != v)

    def _drop(self, v: int) -> tuple[list[_Factor], list[int]]:
        """The factors of a variable, which is taken away with them; and its neighbours."""
        taken = [(key, self.factors.pop(key)) for key in sorted(self.of.pop(v))]
        near = sorted(self.near.pop(v))
        for key, factor in taken:
            for u in factor.scope:
                if u != v:
                    self.of[u].discard(key)
        for u in near:
            self.near[u].discard(v)
        return [factor for _, factor in taken], near

    def _eliminate(self, v: int) -> list[int]:
        factors, near = self._drop(v)
        scope = tuple(near)
        readers = [(f.table, [scope.index(u) if u != v else None for u in f.scope]) for f in factors]
        table: dict[tuple[int, ...], float] = {}
        best: dict[tuple[int, ...], int] = {}
        for cell in product(*(range(self.sizes[u]) for u in scope)):
            costs = [
                sum(t[tuple(i if p is None else cell[p] for p in places)] for t, places in readers)
                for i in range(self.sizes[v])
            ]
            table[cell] = min(costs)
            best[cell] = costs.index(table[cell])
        self.solved.append((v, scope, best))
        if scope:
            self._add(_Factor(scope, table))
        return near

    def _fix(self, v: int) -> list[int]:
        """Takes a variable's cheapest choice, each factor at its best for it, and goes on without the variable."""
        self.exact = False
        factors, near = self._drop(v)
        costs = [
            sum(min(c for cell, c in f.table.items() if cell[f.scope.index(v)] == i) for f in factors)
            for i in range(self.sizes[v])
        ]
        place = costs.index(min(costs))
        self.solved.append((v, (), {(): place}))
        for f in factors:
            at = f.scope.index(v)
            rest = f.scope[:at] + f.scope[at + 1 :]
            if rest:
                cells = {c[:at] + c[at + 1 :]: cost for c, cost in f.table.items() if c[at] == place}
                self._add(_Factor(rest, cells))
        return near

    def _choices(self) -> dict[int, int]:
        values: dict[int, int] = {}
        for v, scope, best in reversed(self.solved):
            values[v] = best[tuple(values[u] for u in scope)]
        return dict(sorted(values.items()))


def _improve(singles: Mapping[int, Sequence[float]], pairs: Mapping[Pair, Table], values: dict[int, int]) -> None:
    """Moves single variables to what is cheapest beside the others, until nothing changes."""
    near: dict[int, list[tuple[int, Table, bool]]] = {v: [] for v in singles}
    for (a, b), table in pairs.items():
        near[a].append((b, table, True))
        near[b].append((a, table, False))
    for _ in range(SWEEPS):
        before = dict(values)
        for v, costs in singles.items():
            total = list(costs)
            for u, table, first in near[v]:
                for i in range(len(total)):
                    total[i] += table[i][values[u]] if first else table[values[u]][i]
            if min(total) < total[values[v]]:
                values[v] = total.index(min(total))
        if values == before:
            return
