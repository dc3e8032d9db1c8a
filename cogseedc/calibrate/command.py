"""What `cogseedc calibrate` does: chooses, builds the artifact anew, runs it, writes it with the trade-off curve."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from cogseedc.calibrate import budget as budgets
from cogseedc.calibrate.calibration import Calibrated, Calibrator, Method, observed, points_of
from cogseedc.calibrate.findings import Finding, Rate
from cogseedc.data import DataSet, load_data
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.driver.artifact import Artifact as Made
from cogseedc.driver.reopened import reopen
from cogseedc.publish import canonical_json, publish
from cogseedc.runtime import open as open_artifact
from cogseedc.runtime import read
from cogseedc.runtime.interface import read_interface

PAYLOAD = "calibration.json"


@dataclass(frozen=True)
class Asked:
    """What a call asks for."""

    artifact: str
    data: str | DataSet
    output: Path
    budgets: tuple[str, ...] = ()
    method: Method = "search"
    fold: bool = False
    threads: int | None = None
    margin: float = 0.0
    gains: bool = False


@dataclass(frozen=True)
class Report:
    """What was chosen, and what it comes to on the data that it was chosen on."""

    place: Path
    profile: Mapping[str, Any]
    """The content of `calibration.json`."""
    found: tuple[Finding, ...]


def calibrate_artifact(asked: Asked) -> Report:
    """Chooses knobs on the data and writes a new artifact. Raises UserError for what does not fit."""
    wanted = budgets.parse(asked.budgets)
    artifact = read(asked.artifact)
    interface = read_interface(artifact)
    data = asked.data
    if isinstance(data, str):
        data = load_data(data, interface.inputs, interface.outputs)
    kept = reopen(artifact)
    result = Calibrator(kept, data, wanted, asked.method, asked.threads, asked.margin, asked.gains).run()
    settled = kept.settled(result.knobs, result.arms, data.inputs)
    made = settled.made()
    measured, found = _observe(made, data, result, asked.threads)
    folded: dict[str, tuple[int, ...]] = {}
    if asked.fold:
        folded = {f.gate: f.keep for f in found if f.gate not in result.arms}
        made = kept.settled(result.knobs, {**result.arms, **folded}, data.inputs).made()
    profile = _profile(asked, data, result, measured, found, folded, made)
    _publish(asked.output, made, profile)
    return Report(asked.output, profile, tuple(found))


def _observe(
    made: Made, data: DataSet, result: Calibrated, threads: int | None
) -> tuple[dict[str, Rate], list[Finding]]:
    with TemporaryDirectory() as folder:
        session = open_artifact(publish(f"{folder}/art", made.payloads, made.manifest), device="cpu", threads=threads)
        return observed(session, data, result.table, {})


def _profile(
    asked: Asked,
    data: DataSet,
    result: Calibrated,
    measured: Mapping[str, Rate],
    found: Sequence[Finding],
    folded: Mapping[str, tuple[int, ...]],
    made: Made,
) -> dict[str, Any]:
    """The profile as data. Means are over the data that knobs were chosen on; the worst case is proved."""
    one = list(points_of([result.chosen, result.full]))
    return {
        "data": {"samples": len(data), "sha256": data.digest, "output": data.output},
        "measure": "accuracy" if data.labelled else "minus squared error",
        "budgets": [*asked.budgets],
        "method": asked.method,
        "margin": asked.margin,
        "gains": asked.gains,
        "knobs": one[0]["knobs"],
        "chosen": one[0],
        "full": one[1],
        "worst_macs": _worst(made),
        "exits": [exit.name for exit in result.table.exits],
        "anytime": list(points_of(result.anytime)),
        "curve": list(points_of(result.curve)),
        "rule": list(points_of(result.rule)),
        "latency_ms": None if result.latency is None else [float(v) for v in np.round(result.latency, 4)],
        "rates": {name: {"reached": rate.reached, "arms": [*rate.arms]} for name, rate in sorted(measured.items())},
        "findings": [{"kind": f.kind, "gate": f.gate, "message": f.message, "keep": [*f.keep]} for f in found],
        "folded": {name: [*arms] for name, arms in sorted({**result.arms, **folded}.items())},
    }


def _worst(made: Made) -> int:
    """The bound that the costs of the new artifact prove."""

    return int(json.loads(made.payloads["costs.json"])["macs"]["worst"])


def _publish(place: Path, made: Made, profile: Mapping[str, Any]) -> None:
    payloads = {**made.payloads, PAYLOAD: canonical_json(profile, indent=1)}
    manifest = {**made.manifest, "calibration": {"payload": PAYLOAD}}
    try:
        publish(place, payloads, manifest)
    except OSError as error:
        help = "choose a new folder, or one that holds an artifact"
        message = f"cannot write {str(place)!r}: {error.strerror or error}"
        raise UserError(Diagnostic("CS0905", message, help=help)) from None


__all__ = ["Asked", "Report", "calibrate_artifact"]
