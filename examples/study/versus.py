"""Studies that compare two kinds of network: experts beside a dense network, skipped blocks beside fewer blocks."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import cogseedc
from cogseedc.data import DataSet
from cogseedc.driver.costs import measured
from cogseedc.driver.program import Program
from cogseedc.evaluate import Asked, evaluate_artifact
from cogseedc.runtime import read
from cogseedc.runtime.spending import read_work
from cogseedc.train import Options

from .agreement import agreement
from .data import Splits
from .flow import FINAL, HERE, Result, accuracy, trained


def experts(splits: Splits, options: Options, rng: int, place: Path) -> Result:
    """Eight experts, one of them for each image, and a dense network with at least their MACs."""
    start = time.perf_counter()
    found: Result = {}
    for name in ("Experts", "Dense"):
        program = cogseedc.load(HERE / "moe.seed", seed=name)
        module = trained(program, splits.train, replace(options, rng=rng))
        found[name.lower()] = {"accuracy": accuracy(module, splits.test), "macs": _macs(program)}
        if name == "Experts":
            artifact = cogseedc.compile(program, "onnx-cpu", place / FINAL, weights=module.state_dict())
            report = evaluate_artifact(Asked(str(artifact), splits.test, place / "report.html", threads=1, timed=False))
            found["shares"] = {str(i): share for i, share in enumerate(report["gates"]["pick"]["arms"])}
            assert report["result"]["macs"] == found["experts"]["macs"]
            found["decisions"] = agreement(str(artifact), module, splits.test)
    assert found["experts"]["macs"] <= found["dense"]["macs"]
    found["accuracy"], found["full_accuracy"] = found["experts"]["accuracy"], found["dense"]["accuracy"]
    found["points_gained"] = 100 * (found["accuracy"] - found["full_accuracy"])
    found["seconds"] = time.perf_counter() - start
    return found


def skipping(splits: Splits, options: Options, rng: int, place: Path) -> Result:
    """Three gated blocks, and networks with none to two blocks that were trained alone: the line to beat."""
    start = time.perf_counter()
    options = replace(options, rng=rng)
    program = cogseedc.load(HERE / "skip.seed", seed="Skipping")
    module = trained(program, splits.train, options)
    artifact = cogseedc.compile(program, "onnx-cpu", place / FINAL, weights=module.state_dict())
    report = evaluate_artifact(Asked(str(artifact), splits.test, place / "report.html", threads=1, timed=False))
    macs = _spent(artifact, splits.test)
    static = []
    for depth in range(3):
        plain = cogseedc.load(HERE / "skip.seed", seed="Plain", set={"depth": depth})
        alone = replace(options, knobs={}, losses={})
        static.append((float(_macs(plain)), accuracy(trained(plain, splits.train, alone), splits.test)))
    right, spent = report["result"]["quality"], float(macs.mean())
    equal = float(np.interp(spent, [m for m, _ in static], [a for _, a in static]))
    rates = {name: gate["arms"][1] for name, gate in report["gates"].items()}
    random = next(b for b in report["baselines"] if b["name"].startswith("random"))
    return {
        "accuracy": right,
        "full_accuracy": equal,
        "macs": spent,
        "points_gained": 100 * (right - equal),
        "points_over_chance": 100 * (right - random["quality"]),
        "spread_of_macs": float(macs.std() / spent),
        "open": rates,
        "constant_gates": sum(min(rate, 1 - rate) < 0.01 for rate in rates.values()),
        "decisions": agreement(str(artifact), module, splits.test),
        "static": {str(depth): {"macs": m, "accuracy": a} for depth, (m, a) in enumerate(static)},
        "seconds": time.perf_counter() - start,
    }


def _macs(program: Program) -> int:
    record: Any = measured(program.structure, {})
    return int(record["macs"]["worst"])


def _spent(artifact: Path, data: DataSet) -> np.ndarray:
    session, work = cogseedc.open(artifact, threads=1), read_work(read(artifact))
    parts = [work.macs(session(**part.inputs, trace=True).trace, len(part)) for part in data.batches(500)]
    return np.concatenate(parts)
