"""Chooses knobs of an artifact by budgets, on validation data, and builds the artifact anew with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cogseedc.calibrate import budget as budgets
from cogseedc.calibrate.budget import Budget
from cogseedc.calibrate.findings import Finding, Rate, findings, rates
from cogseedc.calibrate.latency import latencies
from cogseedc.calibrate.search import Point, Space, by_exit, changed, msdnet, pareto, refine, search
from cogseedc.data import DataSet
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.driver.outcomes import Knobs, Outcomes, Summary, outcomes
from cogseedc.driver.probe import Probe, probe
from cogseedc.driver.reopened import Reopened
from cogseedc.ir import Exit, Gate, Graph, Knob, NodeId
from cogseedc.runtime import Session
from cogseedc.runtime import session as open_session
from cogseedc.runtime.interface import read_interface
from cogseedc.runtime.spending import Work, read_work

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

Method = Literal["search", "msdnet", "per-exit"]
_STEPS = 9
"""Values that are tried of a knob that no exit compares with."""
_BATCH = 256
_STARTS = 8
"""How many of the best points within a budget of work are refined."""


@dataclass(frozen=True)
class Calibrated:
    """What was chosen, and from what."""

    knobs: Knobs
    """All knobs of the program."""
    arms: Mapping[str, tuple[int, ...]]
    """What a budget on the worst case needs folded: the exit at which everybody leaves at the latest."""
    chosen: Point
    full: Point
    """What budgets are relative to: nobody leaves early, other knobs are what they were; with other gates than exits,
    the work is the proved worst case."""
    anytime: tuple[Point, ...]
    """Everybody leaves at one place, for each in turn."""
    curve: tuple[Point, ...]
    """The trade-offs that there are: none is bettered by another."""
    rule: tuple[Point, ...]
    """What the rule of MSDNet offers."""
    table: Outcomes
    latency: Array | None
    """Milliseconds for each place to leave, when a budget asks for them."""


@dataclass
class Calibrator:
    """One artifact and the data to choose on."""

    kept: Reopened
    data: DataSet
    budgets: tuple[Budget, ...]
    method: Method = "search"
    threads: int | None = None
    margin: float = 0.0
    """Accuracy must be better than its budget by so many standard errors."""
    gains: bool = False
    """Whether an early answer that is right where the full network is wrong makes up for one that is worse."""

    @cached_property
    def probe(self) -> Probe:
        return probe(self.kept, self.data.output, self.threads)

    @cached_property
    def session(self) -> Session:
        """The artifact itself."""
        return open_session(self.kept.artifact, device="cpu", threads=self.threads)

    def run(self) -> Calibrated:
        """Chooses. Raises UserError: CS1003 for a budget of accuracy without classes, CS1008 when no knob decides,
        CS1009 when no choice meets the budgets."""
        if budgets.of(self.budgets, "accuracy") and not self.data.labelled:
            help = "give labels, or budgets of macs and latency_ms alone"
            raise UserError(Diagnostic("CS1003", "a budget of accuracy needs data with classes", help=help))
        start = self._start
        others = self._others(start)
        best = self._choose(start)
        if not others and not best.compared:
            help = "an exit `when confidence(logits) >= tau` compares with the knob `tau`"
            raise UserError(Diagnostic("CS1008", "no knob of the program decides anything", help=help))
        for name, element in others * 2 if others else ():
            port = next(p for p in self._interface.knobs if p.name == name)
            for value in np.linspace(port.low, port.high, _STEPS):
                if port.port.dtype.floating or float(value).is_integer():
                    tried = self._choose(changed(best.point.knobs, name, element, float(np.float32(value))))
                    best = min(best, tried, key=lambda choice: choice.rank)
        if best.rank[0] > 0:
            raise UserError(Diagnostic("CS1009", self._missed(best), help="allow more work or less accuracy"))
        return best.result(Point(start, self._full, self._full.macs))

    @cached_property
    def _interface(self) -> Any:
        return read_interface(self.kept.artifact)

    @cached_property
    def _work(self) -> Work:
        return read_work(self.kept.artifact)

    @cached_property
    def _start(self) -> Knobs:
        """Knobs as they are in the artifact."""
        return {port.name: _values(port.default, prod(port.port.shape({}))) for port in self._interface.knobs}

    @cached_property
    def _full(self) -> Summary:
        """What budgets are relative to."""
        full = self._table(self._start).full
        if all(gate.exit is not None for gate in self._interface.gates):
            return full
        return replace(full, macs=float(self._work.worst), worst=float(self._work.worst))

    def _table(self, knobs: Knobs) -> Outcomes:
        """Outcomes when the knobs have these values; those that exits compare with change nothing here."""
        seen = self.probe.run(self.data.inputs, _given(knobs, self._interface), _BATCH)
        return outcomes(seen, self.probe.exits, self._work, self.data.target)

    def _others(self, start: Knobs) -> list[tuple[str, int]]:
        """Elements of knobs on which decisions hang, but for those that exits compare with."""
        compared = {
            (exit.threshold.knob, exit.threshold.element) for exit in self.probe.exits if exit.threshold is not None
        }
        names = _deciding(self.kept.program.elaborated.graph)
        return [(n, i) for n in start if n in names for i in range(len(start[n])) if (n, i) not in compared]

    def _choose(self, start: Knobs) -> _Choice:
        true = self._table(start)
        table = true if self.gains else true.cautious
        space = Space(table, table.macs, {port.name: port for port in self._interface.knobs}, start)
        timed = None
        if any(b.quantity == "latency_ms" for b in self.budgets):
            timed = np.broadcast_to(latencies(self.session, self.data.inputs, space), table.macs.shape)
            if not budgets.of(self.budgets, "macs"):
                space = replace(space, cost=timed)
        last, arms = self._latest(space, timed)
        if last < len(table.exits):
            space = replace(space, outcomes=_cut(table, last), cost=space.cost[: last + 1])
        rule = list(msdnet(space))
        points = self._points(space, rule)
        ranked = min(points, key=lambda p: self._rank(p, table, timed))
        return _Choice(ranked, self._rank(ranked, table, timed), points, rule, true, bool(space.elements), arms, timed)

    def _points(self, space: Space, rule: list[Point]) -> list[Point]:
        match self.method:
            case "msdnet" if rule:
                return rule
            case "msdnet":
                message = "two exits share a threshold, or there is none: the rule of MSDNet does not apply"
                raise UserError(Diagnostic("CS1008", message, help="give each exit an element of a knob of its own"))
            case "per-exit":
                allowed = [-b.value for b in budgets.of(self.budgets, "accuracy") if b.relative]
                return [by_exit(space, min(allowed, default=0.0))]
            case _:
                return self._refined(space, list(search(space, rule)))

    def _refined(self, space: Space, points: list[Point]) -> list[Point]:
        """With the best of the points within a budget of work bettered where the budget leaves room."""
        bounds = budgets.of(self.budgets, "macs") or budgets.of(self.budgets, "latency_ms")
        if not bounds:
            return points
        full = self._full.macs if bounds[0].quantity == "macs" else float(space.cost[-1].mean())
        limit = min(bound.bound(full) for bound in bounds)
        within = sorted((p for p in points if p.cost <= limit), key=lambda p: (-p.summary.quality, p.cost))
        return [*points, *(refine(space, point, limit) for point in within[:_STARTS])]

    def _latest(self, space: Space, timed: Array | None) -> tuple[int, dict[str, tuple[int, ...]]]:
        """The last place at which a sample may leave under the budgets for the worst case."""
        table, fine = space.outcomes, len(space.outcomes.exits)
        for quantity, cost in (("macs", table.macs), ("latency_ms", timed)):
            for bound in budgets.of(self.budgets, quantity, worst=True):  # type: ignore[arg-type]
                assert cost is not None, "times are measured when a budget asks for them"
                limit = bound.bound(self._full.macs if quantity == "macs" else float(cost[-1].max()))
                places = [i for i in range(len(cost)) if cost[i].max() <= limit]
                if not places:
                    least = float(cost[0].max())
                    shown = f"{least:,.0f} MACs" if quantity == "macs" else f"{least:.3g} ms"
                    message = f"`{bound.text}`: the first exit costs {shown} already"
                    raise UserError(Diagnostic("CS1009", message, help="allow more, or place an exit earlier"))
                fine = min(fine, max(places))
        if fine == len(table.exits):
            return fine, {}
        gates = dict(self._interface.exits)
        return fine, {gates[table.exits[fine].name]: (1,)}

    def _rank(self, point: Point, table: Outcomes, timed: Array | None) -> tuple[float, float, float]:
        """By how much budgets are missed, then what is to be least, then what should not be wasted."""
        missed, full = 0.0, self._full
        for bound in self.budgets:
            if bound.worst:
                continue
            if bound.quantity == "accuracy":
                sure = self.margin * self._error(point, table, bound)
                missed += max(0.0, bound.bound(full.quality) - point.summary.quality + sure - 1e-12)
            elif bound.quantity == "macs":
                missed += max(0.0, point.summary.macs / max(1e-12, bound.bound(full.macs)) - 1 - 1e-12)
            else:
                assert timed is not None, "times are measured when a budget asks for them"
                spent = float((np.array(point.summary.shares) * timed[: len(point.summary.shares), 0]).sum())
                missed += max(0.0, spent / max(1e-12, bound.bound(float(timed[-1, 0]))) - 1 - 1e-12)
        cheap = point.cost
        spared = any(not b.worst and b.quantity != "accuracy" for b in self.budgets)
        if budgets.of(self.budgets, "accuracy") and not spared:
            return missed, cheap, -point.summary.quality
        return missed, -point.summary.quality, cheap

    def _error(self, point: Point, table: Outcomes, bound: Budget) -> float:
        """Standard error of what the budget bounds: of the difference from the full network, which has less of it than
        either has, or of the accuracy itself."""
        quality = table.quality[table.leaving(point.knobs), np.arange(table.count)]
        if bound.relative:
            quality = quality - table.quality[-1]
        return float(quality.std() / np.sqrt(max(1, table.count)))

    def _missed(self, choice: _Choice) -> str:
        at, full = choice.point.summary, self._full
        asked = ", ".join(b.text for b in self.budgets)
        return (
            f"no choice of knobs meets {asked}; the nearest is right for {at.quality:.2%} of the samples at "
            f"{at.macs / max(1.0, full.macs):.1%} of the work (the full network: {full.quality:.2%})"
        )


@dataclass(frozen=True)
class _Choice:
    """The best point for one setting of the other knobs."""

    point: Point
    rank: tuple[float, float, float]
    points: list[Point]
    rule: list[Point]
    table: Outcomes
    """As it is, whatever the choice was made by."""
    compared: bool
    """Whether some exit compares with a knob."""
    arms: dict[str, tuple[int, ...]]
    latency: Array | None

    def _true(self, point: Point) -> Point:
        """What a choice comes to, with the exits behind a deadline gone."""
        way = self.table.leaving(point.knobs)
        if self.arms:
            way = np.minimum(way, len(point.summary.shares) - 1)
        return replace(point, summary=self.table.at(way))

    def result(self, full: Point) -> Calibrated:
        def at(place: int) -> Point:
            summary = self.table.at(place)
            return Point(self.point.knobs, summary, summary.macs)

        ways = len(self.table.names)
        return Calibrated(
            self.point.knobs,
            self.arms,
            self._true(self.point),
            full,
            tuple(at(place) for place in range(ways)),
            tuple(pareto([self._true(point) for point in pareto(self.points)])),
            tuple(pareto([self._true(point) for point in self.rule])),
            self.table,
            None if self.latency is None else self.latency[:, 0],
        )


def observed(
    session: Session, data: DataSet, table: Outcomes, knobs: Mapping[str, object]
) -> tuple[dict[str, Rate], list[Finding]]:
    """Rates of all gates of an artifact on the data, by running it, and what they show."""
    parts = [
        session.run({n: a[i : i + _BATCH] for n, a in data.inputs.items()}, knobs, trace=True, state={}).trace
        for i in range(0, len(data), _BATCH)
    ]
    axes = {gate.name: gate.port.batch for gate in session.gates}
    trace = {
        name: parts[0][name] if axes[name] is None else np.concatenate([part[name] for part in parts], axes[name])
        for name in parts[0]
        if _together([part[name] for part in parts], axes[name])
    }
    found = rates(session.gates, trace)
    return found, list(findings(session.gates, found, table))


def _together(parts: Sequence[Array], axis: int | None) -> bool:
    """Whether pieces of a trace fit together: other dynamic axes may differ."""
    shapes = {tuple(s for i, s in enumerate(part.shape) if i != axis) for part in parts}
    return len(shapes) == 1


def _cut(table: Outcomes, last: int) -> Outcomes:
    """The table of a network that ends at one of its exits."""
    return Outcomes(table.exits[:last], table.quality[: last + 1], table.macs[: last + 1], table.scores, table.decided)


def _deciding(graph: Graph) -> set[str]:
    """Names of the knobs on which some decision hangs."""
    wiring = graph.wiring()
    stack: list[NodeId] = []
    for id, node in graph.nodes():
        if isinstance(node, Gate):
            stack += [edge.src for edge in wiring.ins[id]]
        elif isinstance(node, Exit):
            stack += [edge.src for edge in wiring.ins[id] if edge.dst_port == 0]
    seen, found = set(stack), set[str]()
    while stack:
        id = stack.pop()
        node = graph[id]
        if isinstance(node, Knob):
            found.add(node.name)
        for edge in wiring.ins[id]:
            if edge.src not in seen:
                seen.add(edge.src)
                stack.append(edge.src)
    return found


def _values(default: Sequence[float], count: int) -> tuple[float, ...]:
    return tuple(default) * (count if len(default) == 1 else 1)


def _given(knobs: Knobs, interface: Any) -> dict[str, object]:
    """Knobs as a session takes them."""
    return {
        port.name: np.asarray(knobs[port.name], np.float64).reshape(port.port.shape({})) for port in interface.knobs
    }


def paths(folder: str | None, artifact: str) -> Path:
    """Where the new artifact goes."""
    return Path(folder) if folder is not None else Path(f"{artifact.rstrip('/')}-calibrated")


def points_of(points: Sequence[Point]) -> Iterator[dict[str, object]]:
    """Points as data."""
    for point in points:
        yield {
            "quality": point.summary.quality,
            "macs": point.summary.macs,
            "worst_macs": point.summary.worst,
            "shares": [*point.summary.shares],
            "knobs": {name: [*values] for name, values in point.knobs.items()},
        }
