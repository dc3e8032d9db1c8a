"""Watches the decisions of an artifact in use: rates, work done, and how far they have moved from the calibration.

It is shown results that have a trace; it runs nothing and keeps no inputs. Several threads may share one.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from cogseedc.diagnostics.model import Diagnostic, UserError
from cogseedc.runtime.artifact import Artifact, as_written, read, record
from cogseedc.runtime.interface import GatePort, read_interface
from cogseedc.runtime.session import Result
from cogseedc.runtime.spending import Work, read_work

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

CALIBRATION = "calibration.json"
_ODDS = 1e-3
"""How often chance alone may exceed the bound on a distance."""


class Monitor:
    """Counts what an artifact decides. `observe(session(image=x, trace=True))`, then `report()`."""

    def __init__(self, gates: Mapping[str, GatePort], work: Work, profile: Mapping[str, Any] | None) -> None:
        self._gates, self._work, self._profile, self._lock = gates, work, profile, Lock()
        self.reset()

    @staticmethod
    def of(artifact: str | os.PathLike[str] | Artifact) -> Monitor:
        """A monitor for an artifact; it knows of drift when the artifact was calibrated. Raises UserError CS083x."""
        found = artifact if isinstance(artifact, Artifact) else read(artifact)
        profile = None
        if CALIBRATION in record(found.manifest, "payloads"):
            with as_written():
                profile = json.loads(found.payload(CALIBRATION))
                {name: [*rate["arms"]] for name, rate in profile["rates"].items()}, profile["data"]["samples"]
        return Monitor({gate.name: gate for gate in read_interface(found).gates}, read_work(found), profile)

    def reset(self) -> None:
        """Forgets what was seen."""
        with self._lock:
            self._samples, self._macs = 0, 0.0
            self._rows: dict[str, int] = {}
            self._asked = dict.fromkeys(self._gates, 0)
            self._places = dict.fromkeys(self._gates, 0)
            self._arms = {name: np.zeros(gate.arms, np.int64) for name, gate in self._gates.items()}

    def observe(self, result: Result) -> None:
        """Adds one result. Raises ValueError when it was made without `trace=True`."""
        if self._gates and not result.trace:
            raise ValueError("a monitor needs results with a trace: session(..., trace=True)")
        count = self._count(result)
        macs = float(self._work.macs(result.trace, count).sum())
        counted = {name: self._counted(name, decision) for name, decision in result.trace.items()}
        with self._lock:
            self._samples += count
            self._macs += macs
            for part, rows in result.rows.items():
                self._rows[part] = self._rows.get(part, 0) + rows
            for name, (places, asked, arms) in counted.items():
                self._places[name] += places
                self._asked[name] += asked
                self._arms[name] += arms

    def _count(self, result: Result) -> int:
        for name, gate in self._gates.items():
            if gate.port.batch is not None and name in result.trace:
                return int(result.trace[name].shape[gate.port.batch])
        return len(next(iter(result.outputs.values())))

    def _counted(self, name: str, decision: Array) -> tuple[int, int, Array]:
        gate = self._gates[name]
        asked = (decision >= 0).any(-1) if gate.kind == "many" else decision >= 0
        arms = np.bincount(decision[decision >= 0].ravel(), minlength=gate.arms)
        return int(asked.size), int(asked.sum()), arms

    def report(self) -> dict[str, Any]:
        """Everything so far, as data for JSON: means per sample, rates per gate, drift where a calibration is known."""
        with self._lock:
            return {
                "samples": self._samples,
                "macs": {
                    "mean": self._macs / max(1, self._samples),
                    "total": self._macs,
                    "worst_case": self._work.worst,
                    "calibrated": None if self._profile is None else self._profile["chosen"]["macs"],
                },
                "rows": dict(sorted(self._rows.items())),
                "gates": {name: self._gate(name) for name in sorted(self._gates)},
                "drifted": sorted(name for name in self._gates if self._drift(name).get("drifted")),
            }

    def _gate(self, name: str) -> dict[str, Any]:
        asked = self._asked[name]
        return {
            "asked": asked,
            "reached": asked / max(1, self._places[name]),
            "arms": (self._arms[name] / max(1, asked)).tolist(),
            **self._drift(name),
        }

    def _drift(self, name: str) -> dict[str, Any]:
        """The distance (total variation) between the arms taken now and while calibrating, with what chance explains.

        With n samples of a choice among k, chance exceeds sqrt((k ln 2 + ln 1000) / 2n) once in a thousand times
        (Bretagnolle, Huber and Carol; van der Vaart and Wellner 1996, A.6.6). The calibration's own samples have the
        same uncertainty, which is added. Positions of one sample count as one.
        """
        if self._profile is None or name not in self._profile["rates"] or not self._asked[name]:
            return {}
        rate = self._profile["rates"][name]
        now, then = self._arms[name] / self._arms[name].sum(), np.asarray(rate["arms"], np.float64)
        if len(now) != len(then) or not then.sum():
            return {}
        distance = float(np.abs(now - then / then.sum()).sum() / 2)
        share = self._asked[name] / max(1, self._places[name])
        chance = _chance(len(now), self._samples * share) + _chance(
            len(now), self._profile["data"]["samples"] * rate["reached"]
        )
        return {"distance": distance, "chance": min(1.0, chance), "drifted": distance > chance}

    def collect(self) -> Iterator[Any]:
        """The same as metric families of prometheus-client: a monitor can be registered as a collector."""
        core = _prometheus("prometheus_client.core")
        found = self.report()
        yield core.CounterMetricFamily("cogseed_samples", "Samples that were run.", value=found["samples"])
        yield core.CounterMetricFamily("cogseed_macs", "Multiply-accumulates done.", value=found["macs"]["total"])
        rows = core.CounterMetricFamily("cogseed_rows", "Rows that each part of the plan ran on.", labels=["part"])
        for part, count in found["rows"].items():
            rows.add_metric([part], count)
        yield rows
        decisions = core.CounterMetricFamily("cogseed_decisions", "Arms that gates took.", labels=["gate", "arm"])
        drift = core.GaugeMetricFamily("cogseed_drift", "Distance from the calibrated rates.", labels=["gate"])
        chance = core.GaugeMetricFamily("cogseed_drift_chance", "What chance explains of it.", labels=["gate"])
        for name, gate in found["gates"].items():
            for arm, count in enumerate(self._arms[name].tolist()):
                decisions.add_metric([name, str(arm)], count)
            if "distance" in gate:
                drift.add_metric([name], gate["distance"])
                chance.add_metric([name], gate["chance"])
        yield from (decisions, drift, chance)

    def prometheus(self) -> str:
        """The report as Prometheus reads it. Raises UserError CS1010 without prometheus-client."""
        client = _prometheus("prometheus_client")
        registry = client.CollectorRegistry()
        registry.register(self)
        found: bytes = client.generate_latest(registry)
        return found.decode()


def _chance(arms: int, samples: float) -> float:
    """The distance that the rates of so many samples exceed with the odds `_ODDS` at most."""
    return math.sqrt((arms * math.log(2) - math.log(_ODDS)) / (2 * max(1.0, samples)))


def _prometheus(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        message = "exporting metrics needs the package prometheus-client"
        help = "pip install 'cogseedc[prometheus]'"
        raise UserError(Diagnostic("CS1010", message, help=help)) from None
