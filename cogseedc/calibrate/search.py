"""Choices of thresholds from a table of outcomes: the published rule of MSDNet, a search, and each exit by itself.

All of them read validation data only. The search keeps every point that it or the rule has passed through, so what it
chooses is never worse, on those data, than what the rule offers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cogseedc.driver.outcomes import Knobs, Outcomes, Summary
from cogseedc.driver.probe import Threshold
from cogseedc.runtime import KnobPort

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

PRICES = tuple(float(p) for p in np.geomspace(1e-3, 3.0, 40))
"""How much quality one full cost is worth, from generous to stingy."""
_SWEEPS = 6
_CANDIDATES = 128


@dataclass(frozen=True)
class Point:
    """One choice, and what it comes to on the data that it was made from."""

    knobs: Knobs
    summary: Summary
    cost: float
    """Mean of what is to be spared: MACs or milliseconds."""


@dataclass(frozen=True)
class Space:
    """What may be chosen: the elements of knobs that exits compare with."""

    outcomes: Outcomes
    cost: Array
    """[k + 1, n]: what is to be spared."""
    ports: Mapping[str, KnobPort]
    start: Knobs
    """Values of all knobs; those that no exit compares with stay."""

    @cached_property
    def elements(self) -> tuple[tuple[str, int, tuple[int, ...]], ...]:
        """(knob, element, the exits that compare with it), in the order of the exits."""
        found: dict[tuple[str, int], list[int]] = {}
        for place, exit in enumerate(self.outcomes.exits):
            if exit.threshold is not None:
                found.setdefault((exit.threshold.knob, exit.threshold.element), []).append(place)
        return tuple((knob, element, tuple(places)) for (knob, element), places in found.items())

    def point(self, knobs: Knobs) -> Point:
        """What a choice comes to."""
        way = self.outcomes.leaving(knobs)
        return Point(knobs, self.outcomes.at(way), float(self.cost[way, np.arange(len(way))].mean()))

    def threshold(self, place: int) -> Threshold:
        """What the exit at a place compares with."""
        found = self.outcomes.exits[place].threshold
        assert found is not None, "elements list exits with thresholds only"
        return found

    def within(self, knob: str, value: float) -> float:
        """A value in the knob's range, as an f32."""
        port = self.ports[knob]
        return float(np.float32(min(max(value, port.low), port.high)))

    def never(self, place: int) -> float:
        """The value at which the fewest samples leave."""
        threshold = self.threshold(place)
        port = self.ports[threshold.knob]
        return port.high if threshold.upward else port.low

    def always(self, place: int) -> float:
        """The value at which the most samples leave."""
        threshold = self.threshold(place)
        port = self.ports[threshold.knob]
        return port.low if threshold.upward else port.high


def changed(knobs: Knobs, name: str, element: int, value: float) -> Knobs:
    """The same knobs but for one element."""
    values = list(knobs[name])
    values[element] = value
    return {**knobs, name: tuple(values)}


def msdnet(space: Space) -> Iterator[Point]:
    """The rule of MSDNet (and GFNet): shares p_k proportional to (q / 20)^k for q = 1 .. 39; at each exit the threshold
    is the confidence of the floor(n p_k)-th best of the samples that are still there.

    Empty when two exits share a threshold, for which the rule has no answer.
    """
    if any(len(places) > 1 for _, _, places in space.elements) or not space.elements:
        return
    table = space.outcomes
    for q in range(1, 40):
        shares = (q / 20) ** np.arange(1, len(table.names) + 1)
        shares /= shares.sum()
        knobs, left = space.start, np.zeros(table.count, bool)
        for name, element, (place,) in space.elements:
            score = _upward(space, place)
            rest = np.sort(score[~left & ~np.isnan(score)])[::-1]
            take = int(np.floor(table.count * shares[place]))
            cut = _signed(space, place, rest[min(take, len(rest)) - 1]) if take and len(rest) else space.never(place)
            knobs = changed(knobs, name, element, space.within(name, cut))
            left |= table.condition(table.exits[place], knobs)
        yield space.point(knobs)


def search(space: Space, begin: Sequence[Point] = ()) -> Iterator[Point]:
    """For each price of work, thresholds of which none can be bettered alone; found from several starts.

    One coordinate at a time, from the last exit to the first: with the others fixed, the best threshold is read off one
    sort and one sum. Every point on the way is given, and those at which everybody leaves at one exit.
    """
    yield from begin
    yield from _extremes(space)
    starts = [_all(space, space.never), *(p.knobs for p in _spread(begin, 4))]
    scale = float(space.cost[-1].mean()) or 1.0
    last = starts[0]
    for price in PRICES:
        worth = price * space.cost / scale - space.outcomes.quality
        for knobs in (last, *starts[1:]):
            point = space.point(knobs)
            yield point
            for _ in range(_SWEEPS):
                before = point.knobs
                for name, element, places in reversed(space.elements):
                    value = _best(space, worth, point.knobs, name, element, places)
                    if value != point.knobs[name][element]:
                        point = space.point(changed(point.knobs, name, element, value))
                        yield point
                if point.knobs == before:
                    break
            if knobs is last:
                last = point.knobs


def refine(space: Space, start: Point, limit: float) -> Point:
    """The same search under a bound on the mean cost instead of a price, which also finds what lies between prices.

    From a point within the bound, one exit's threshold at a time, to the best quality that the bound allows.
    """
    point = start
    for _ in range(_SWEEPS):
        before = point
        for name, element, places in reversed(space.elements):
            if len(places) == 1:
                values = [_best_within(space, limit, point.knobs, name, element, places[0])]
            else:
                values = [*_cuts(space, name, places), *_near(space, name, places, point.knobs[name][element])]
            for value in values:
                other = space.point(changed(point.knobs, name, element, value))
                if other.cost <= limit and other.summary.quality > point.summary.quality + 1e-12:
                    point = other
        if point is before:
            break
    return point


def by_exit(space: Space, allowed: float) -> Point:
    """Each exit by itself: the threshold at which most samples would leave there, such that those who do are right
    there as often as at the end, but for `allowed`."""
    table, knobs = space.outcomes, space.start
    for name, element, places in space.elements:
        values = []
        for place in places:
            score = _upward(space, place)
            order = np.argsort(-score, kind="stable")
            order = order[~np.isnan(score[order])]
            gain = (table.quality[place] - table.quality[-1])[order]
            mean = np.cumsum(gain) / np.arange(1, len(gain) + 1)
            fine = np.flatnonzero(mean >= -allowed)
            cut = (
                _signed(space, place, _between(space, place, score[order], int(fine[-1]) + 1))
                if len(fine)
                else space.never(place)
            )
            values.append(space.within(name, cut))
        strict: Callable[[Sequence[float]], float] = max if space.threshold(places[0]).upward else min
        knobs = changed(knobs, name, element, strict(values))
    return space.point(knobs)


def pareto(points: Sequence[Point]) -> list[Point]:
    """The points that no other one betters in both quality and cost; by cost."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.summary.quality)):
        if not best or point.summary.quality > best[-1].summary.quality:
            best.append(point)
    return best


def _extremes(space: Space) -> Iterator[Point]:
    """For each threshold, as many as it can leave where it is compared with, and nobody before."""
    knobs = _all(space, space.never)
    for name, element, places in space.elements:
        yield space.point(changed(knobs, name, element, space.always(places[0])))


def _all(space: Space, value: Callable[[int], float]) -> Knobs:
    knobs = space.start
    for name, element, places in space.elements:
        knobs = changed(knobs, name, element, value(places[0]))
    return knobs


def _spread(points: Sequence[Point], count: int) -> Sequence[Point]:
    return [points[i * (len(points) - 1) // (count - 1)] for i in range(count)] if len(points) >= count else points


def _best(space: Space, worth: Array, knobs: Knobs, name: str, element: int, places: tuple[int, ...]) -> float:
    """The value of one element at which the sum of `worth` (small is good) is least; the old one if none betters it."""
    table, samples = space.outcomes, np.arange(space.outcomes.count)
    if len(places) > 1:
        values = [knobs[name][element], *_cuts(space, name, places)]
        ways = [table.leaving(changed(knobs, name, element, v)) for v in values]
        return values[int(np.argmin([worth[way, samples].sum() for way in ways]))]
    (place,) = places
    without, order, score = _order(space, knobs, name, element, place)
    gain = worth[without[order], order] - worth[place, order]
    total = np.concatenate([[0.0], np.cumsum(gain)])
    counts = np.flatnonzero(np.diff(score[order], prepend=np.inf, append=-np.inf))  # cuts between different scores
    old = int(table.condition(table.exits[place], knobs)[order].sum())
    chosen = int(counts[np.argmax(total[counts])])
    if total[chosen] <= total[old] + 1e-12:
        return knobs[name][element]
    return space.within(name, _signed(space, place, _between(space, place, score[order], chosen)))


def _shared(space: Space, places: tuple[int, ...]) -> Array:
    """The middles between neighbouring scores of exits that share a threshold, rising."""
    scores = np.concatenate([space.outcomes.scores[space.outcomes.exits[place].name] for place in places])
    scores = np.unique(scores[~np.isnan(scores)])
    return np.asarray((scores[1:] + scores[:-1]) / 2)


def _cuts(space: Space, name: str, places: tuple[int, ...]) -> list[float]:
    """Values of a shared threshold, spread evenly over those at which it changes something."""
    return _spread_over(space, name, _shared(space, places))


def _near(space: Space, name: str, places: tuple[int, ...], value: float) -> list[float]:
    """Values between those of `_cuts` that are beside a value."""
    scores = _shared(space, places)
    step, here = -(-len(scores) // _CANDIDATES), int(np.searchsorted(scores, value))
    return _spread_over(space, name, scores[max(0, here - step) : here + step + 1])


def _spread_over(space: Space, name: str, scores: Array) -> list[float]:
    chosen = np.linspace(0, len(scores) - 1, min(len(scores), _CANDIDATES)).astype(int)
    return [space.within(name, float(v)) for v in scores[chosen]]


def _best_within(space: Space, limit: float, knobs: Knobs, name: str, element: int, place: int) -> float:
    """The value of one element with the best quality among those with a mean cost of at most `limit`."""
    table, samples = space.outcomes, np.arange(space.outcomes.count)
    without, order, score = _order(space, knobs, name, element, place)
    quality, cost = table.quality, space.cost
    gained = np.concatenate([[0.0], np.cumsum(quality[place, order] - quality[without[order], order])])
    spent = np.concatenate([[0.0], np.cumsum(cost[place, order] - cost[without[order], order])])
    spent += cost[without, samples].sum()
    counts = np.flatnonzero(np.diff(score[order], prepend=np.inf, append=-np.inf))
    fine = counts[spent[counts] <= limit * table.count]
    if not len(fine):
        return knobs[name][element]
    best = fine[gained[fine] >= gained[fine].max() - 1e-9]
    chosen = int(best[np.argmin(spent[best])])
    return space.within(name, _signed(space, place, _between(space, place, score[order], chosen)))


def _order(space: Space, knobs: Knobs, name: str, element: int, place: int) -> tuple[Array, Array, Array]:
    """Where samples go if not out at a place, those that reach it by falling scores, and the scores."""
    table = space.outcomes
    without = table.leaving(changed(knobs, name, element, space.never(place)))
    without[without == place] = len(table.exits)  # those that leave at any value of the knob: counted as going on
    early = np.zeros(table.count, bool)
    for exit in table.exits[:place]:
        early |= table.condition(exit, knobs)
    score = _upward(space, place)
    here = np.flatnonzero(~early & ~np.isnan(score))
    return without, here[np.argsort(-score[here], kind="stable")], score


def _between(space: Space, place: int, scores: Array, count: int) -> float:
    """A value that the first `count` of falling scores pass and the others do not, as far from both as it can be."""
    if count == 0:
        return float("inf")
    if count == len(scores):
        return float("-inf")
    middle = float(np.float32((float(scores[count - 1]) + float(scores[count])) / 2))
    if scores[count] < middle < scores[count - 1]:
        return middle
    strict = space.threshold(place).comparison in ("gt", "lt")
    return float(scores[count] if strict else scores[count - 1])


def _upward(space: Space, place: int) -> Array:
    """Scores of an exit, turned so that large ones leave."""
    score = space.outcomes.scores[space.outcomes.exits[place].name].astype(np.float64)
    return score if space.threshold(place).upward else -score


def _signed(space: Space, place: int, value: float) -> float:
    return float(value) if space.threshold(place).upward else -float(value)
