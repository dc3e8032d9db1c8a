"""Measures an artifact on test data: what it reaches and costs, and what other ways of deciding would have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from cogseedc.data import DataSet
from cogseedc.driver.outcomes import Outcomes, Summary, outcomes, score_of
from cogseedc.driver.probe import Probe, probe
from cogseedc.driver.reopened import Reopened, reopen
from cogseedc.evaluate.forced import Forced, chance, everything, forced, oracle
from cogseedc.runtime import GatePort, Session
from cogseedc.runtime import session as open_session
from cogseedc.runtime.artifact import Json
from cogseedc.runtime.spending import Work, read_work

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

CALIBRATION = "calibration.json"
_BATCH = 256
_TIMED = (1, 32)


@dataclass(frozen=True)
class Run:
    """What an artifact did with some samples."""

    quality: Array | None
    """[n]; None without targets."""
    macs: Array
    trace: Mapping[str, Array]
    way: Array
    """Which exit each sample took, the end last."""


@dataclass
class Evaluator:
    """An artifact and the data to measure it on."""

    path: str
    data: DataSet
    threads: int | None = None

    @cached_property
    def kept(self) -> Reopened:
        return reopen(self.path)

    @cached_property
    def session(self) -> Session:
        return open_session(self.kept.artifact, device="cpu", threads=self.threads)

    @cached_property
    def work(self) -> Work:
        return read_work(self.kept.artifact)

    @cached_property
    def profile(self) -> dict[str, Any] | None:
        """What calibrating wrote into the artifact."""
        if CALIBRATION not in self.kept.artifact.manifest["payloads"]:  # type: ignore[operator]
            return None
        found: dict[str, Any] = json.loads(self.kept.artifact.payload(CALIBRATION))
        return found

    @cached_property
    def probe(self) -> Probe:
        return probe(self.kept, self.data.output, self.threads)

    @cached_property
    def table(self) -> Outcomes:
        """What every exit would have brought."""
        return outcomes(self.probe.run(self.data.inputs, {}, _BATCH), self.probe.exits, self.work, self.data.target)

    @cached_property
    def run(self) -> Run:
        return self.of(self.data)

    def of(self, data: DataSet) -> Run:
        """Runs the artifact on data, which need no targets."""
        parts = [self.session.run(dict(part.inputs), {}, trace=True, state={}) for part in data.batches(_BATCH)]
        axes = {gate.name: gate.port.batch for gate in self.session.gates}
        trace = {
            name: parts[0].trace[name] if axes[name] is None else np.concatenate([p.trace[name] for p in parts])
            for name in parts[0].trace
            if axes[name] in (0, None) and len({p.trace[name].shape[1:] for p in parts}) == 1
        }
        quality = None
        if data.targets:
            quality = score_of(np.concatenate([p[data.output] for p in parts]), data.target)
        way = np.full(len(data), len(self.exits))
        for place in reversed(range(len(self.exits))):
            taken = trace[self.exits[place].name] == 1
            way[taken if taken.ndim == 1 else np.full(len(data), bool(taken))] = place
        return Run(quality, self.work.macs(trace, len(data)), trace, way)

    @cached_property
    def exits(self) -> tuple[GatePort, ...]:
        """Exits that decide for each sample, in order."""
        return tuple(gate for gate in self.session.gates if gate.exit is not None and gate.over in ((), ("N",)))

    @cached_property
    def names(self) -> list[str]:
        """The ways out."""
        return [*(str(gate.exit) for gate in self.exits), "the end"]

    def baselines(self) -> Iterator[dict[str, Json]]:
        """Other ways of deciding, with the same weights."""
        full = self.table.full
        yield _baseline("static: everything on", full.quality, float(self.work.worst))
        prefixes = [self.table.at(place) for place in range(len(self.table.exits))]
        for exit, at in zip(self.table.exits, prefixes, strict=True):
            yield _baseline(f"static: all leave at {exit.name}", at.quality, at.macs)
        assert self.run.quality is not None
        reached = float(self.run.quality.mean())
        equal = [at for at in (*prefixes, full) if at.quality >= reached - 1e-12]
        if self.table.exits and equal:
            cheapest = min(equal, key=lambda at: at.macs)
            yield _baseline("static: the cheapest prefix that is as good", cheapest.quality, cheapest.macs)
        others = [gate for gate in self.session.gates if gate.exit is None]
        yield from self._by_table() if not others else self._by_forcing(others)

    def _by_table(self) -> Iterator[dict[str, Json]]:
        """With exits alone, the table says it all, in the artifact's own numbers."""
        table, count = self.table, np.arange(self.table.count)
        best = _cheapest_best(table)
        yield _baseline(
            "oracle: the cheapest exit that is right", *_mean(table.quality[best, count], table.macs[best, count])
        )
        shares = np.bincount(self.run.way, minlength=len(table.names)) / table.count
        if len(shares) == len(table.names):
            random = float((shares * table.quality.mean(1)).sum()), float((shares * table.macs.mean(1)).sum())
            yield _baseline("random: the same shares at each exit", *random)

    def _by_forcing(self, others: Sequence[GatePort]) -> Iterator[dict[str, Json]]:
        net: Forced = forced(self.kept, self.work, {port.name: port.default for port in self.session.knobs})
        for arm, name in ((1, "static: every gate open"), (0, "static: every gate closed")):
            if any(gate.kind == "bool" for gate in others):
                yield _baseline(name, *_mean(*net.run(self.data, everything(self.session.gates, arm))))
        found = oracle(net, self.session.gates, self.data)
        if found is not None:
            yield _baseline("oracle: the cheapest way that is right", *_mean(*found))
        draws = [net.run(self.data, chance(self.session.gates, self._shares, rng)) for rng in range(5)]
        quality, macs = (np.mean([draw[i] for draw in draws]) for i in (0, 1))
        yield _baseline("random: the same rates at each gate", float(quality), float(macs))

    @cached_property
    def _shares(self) -> dict[str, tuple[float, ...]]:
        return {name: tuple(rate["arms"]) for name, rate in self.rates(self.run.trace).items()}

    def rates(self, trace: Mapping[str, Array]) -> dict[str, dict[str, Any]]:
        """How often each gate was asked, and took each arm where it was."""
        found = {}
        for gate in self.session.gates:
            if gate.name not in trace:
                continue
            decision = trace[gate.name]
            asked = (decision >= 0).any(-1) if gate.kind == "many" else decision >= 0
            counts = np.bincount(decision[decision >= 0].ravel(), minlength=gate.arms)
            arms = (counts / max(1, int(asked.sum()))).tolist()
            found[gate.name] = {"reached": float(asked.mean()) if asked.size else 0.0, "arms": arms}
        return found

    def curve(self) -> list[dict[str, Json]]:
        """Test results of the trade-offs that calibrating found; without a calibration, of one threshold for all."""
        if not self.table.exits:
            return []
        if self.profile is not None:
            choices = [point["knobs"] for point in self.profile["curve"]]
            known = {exit.name for exit in self.table.exits}
            if not known <= set(self.profile["exits"]):
                choices = []
        else:
            choices = [self._sweep(share) for share in np.linspace(0, 1, 21)]
        return [_point(self.table.at(self.table.leaving(knobs)), knobs) for knobs in choices]

    def _sweep(self, share: float) -> dict[str, list[float]]:
        return {
            port.name: [port.low + share * (port.high - port.low)] * max(1, len(port.default))
            for port in self.session.knobs
        }

    def gap(self) -> dict[str, Json] | None:
        """What calibrating promised, what came, and the difference."""
        if self.profile is None:
            return None
        chosen = self.profile["chosen"]
        assert self.run.quality is not None
        came = {"quality": float(self.run.quality.mean()), "macs": float(self.run.macs.mean())}
        rates = self.rates(self.run.trace)
        moved: dict[str, Json] = {
            name: max(abs(a - b) for a, b in zip(rates[name]["arms"], rate["arms"], strict=True))
            for name, rate in self.profile["rates"].items()
            if name in rates and len(rates[name]["arms"]) == len(rate["arms"])
        }
        return {
            "validation": {"quality": chosen["quality"], "macs": chosen["macs"]},
            "test": {**came},
            "quality": came["quality"] - chosen["quality"],
            "macs": came["macs"] / max(1e-12, chosen["macs"]) - 1,
            "rates": moved,
        }

    def times(self) -> dict[str, Json]:
        """Milliseconds per sample in batches of each size; the median of many runs."""
        found: dict[str, Json] = {}
        for size in _TIMED:
            if size > len(self.data) or (size > 1 and self.session.batch_one):
                continue
            batches = [dict(part.inputs) for part in self.data.batches(size) if len(part) == size][:100]
            for part in batches[:5]:
                self.session.run(part, {}, state={})
            spent = []
            for part in batches:
                start = perf_counter()
                self.session.run(part, {}, state={})
                spent.append(perf_counter() - start)
            found[str(size)] = float(np.mean(spent) / size * 1e3)
        return found

    def by_class(self) -> list[dict[str, Json]]:
        """For each class: how often it is right, what it costs, and where it leaves and what its gates take."""
        if not self.data.labelled or self.data.target.ndim != 1:
            return []
        rows: list[dict[str, Json]] = []
        assert self.run.quality is not None
        for label in np.unique(self.data.target):
            mine = np.flatnonzero(self.data.target == label)
            trace = {n: t[mine] for n, t in self.run.trace.items() if t.ndim and len(t) == len(self.data)}
            shares = np.bincount(self.run.way[mine], minlength=len(self.names)) / len(mine)
            rows.append(
                {
                    "class": self.data.classes[label] if label < len(self.data.classes) else str(label),
                    "samples": len(mine),
                    "quality": float(self.run.quality[mine].mean()),
                    "macs": float(self.run.macs[mine].mean()),
                    "shares": shares.tolist(),
                    "gates": {name: rate["arms"] for name, rate in self.rates(trace).items()},
                }
            )
        return rows


def _cheapest_best(table: Outcomes) -> Array:
    """For each sample the cheapest place among the best."""
    best = table.quality.max(0)
    cost = np.where(table.quality == best, table.macs, np.inf)
    return np.asarray(cost.argmin(0))


def _mean(quality: Array, macs: Array) -> tuple[float, float]:
    return float(quality.mean()), float(macs.mean())


def _baseline(name: str, quality: float, macs: float) -> dict[str, Json]:
    return {"name": name, "quality": quality, "macs": macs}


def _point(at: Summary, knobs: Mapping[str, Sequence[float]]) -> dict[str, Json]:
    return {"quality": at.quality, "macs": at.macs, "knobs": {name: [*values] for name, values in knobs.items()}}


def static_of(path: str, data: DataSet, threads: int | None) -> tuple[float, float]:
    """Quality and mean MACs of another artifact on the same data."""
    other = Evaluator(path, data, threads)
    assert other.run.quality is not None
    return float(other.run.quality.mean()), float(other.run.macs.mean())
