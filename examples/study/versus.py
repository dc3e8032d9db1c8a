"""Studies that compare two kinds of network: experts beside a dense network, skipped blocks beside fewer blocks."""

from __future__ import annotations

import time
from bisect import bisect
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

import cogseedc
from cogseedc.data import DataSet
from cogseedc.driver.costs import costs_of
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
    """Gated blocks beside networks that were trained alone: with fewer blocks, and, at no more MACs than the gates let
    through, with narrower ones. The best of the narrower ones is what gates have to beat."""
    start = time.perf_counter()
    options = replace(options, rng=rng)
    program = cogseedc.load(HERE / "skip.seed", seed="Skipping")
    module = trained(program, splits.train, options)
    artifact = cogseedc.compile(program, "onnx-cpu", place / FINAL, weights=module.state_dict())
    report = evaluate_artifact(Asked(str(artifact), splits.test, place / "report.html", threads=1, timed=False))
    macs = _spent(artifact, splits.test)
    alone = replace(options, knobs={}, losses={})
    right, spent = report["result"]["quality"], float(macs.mean())
    fewer = [_plain(splits, alone, depth, 16) for depth in range(3)]
    narrower = [_plain(splits, alone, depth, width) for depth, width in _narrower(spent)]
    between = np.interp(spent, [net["macs"] for net in fewer], [net["accuracy"] for net in fewer])
    equal = max(net["accuracy"] for net in narrower)
    rates = {name: gate["arms"][1] for name, gate in report["gates"].items()}
    random = next(b for b in report["baselines"] if b["name"].startswith("random"))
    return {
        "accuracy": right,
        "full_accuracy": equal,
        "macs": spent,
        "points_gained": 100 * (right - equal),
        "points_over_fewer_blocks": 100 * (right - float(between)),
        "points_over_chance": 100 * (right - random["quality"]),
        "spread_of_macs": float(macs.std() / spent),
        "open": rates,
        "constant_gates": sum(min(rate, 1 - rate) < 0.01 for rate in rates.values()),
        "decisions": agreement(str(artifact), module, splits.test),
        "fewer": {str(i): net for i, net in enumerate(fewer)},
        "narrower": {str(i): net for i, net in enumerate(narrower)},
        "seconds": time.perf_counter() - start,
    }


def _plain(splits: Splits, options: Options, depth: int, width: int) -> dict[str, float]:
    """A network without gates, trained alone."""
    program = cogseedc.load(HERE / "skip.seed", seed="Plain", set={"depth": depth, "width": width})
    right = accuracy(trained(program, splits.train, options), splits.test)
    return {"depth": depth, "width": width, "macs": _macs(program), "accuracy": right}


def _narrower(most: float) -> Iterator[tuple[int, int]]:
    """For one and for two blocks, the width of the widest network with at most so many MACs."""
    for depth in (1, 2):

        def macs(width: int, depth: int = depth) -> int:
            return _macs(cogseedc.load(HERE / "skip.seed", seed="Plain", set={"depth": depth, "width": width}))

        yield depth, max(1, bisect(range(1, 33), most, key=macs))


def _macs(program: Program) -> int:
    return costs_of(program.structure, ()).macs.worst.value


def _spent(artifact: Path, data: DataSet) -> np.ndarray:
    session, work = cogseedc.open(artifact, threads=1), read_work(read(artifact))
    parts = [work.macs(session.run(part.inputs, trace=True).trace, len(part)) for part in data.batches(500)]
    return np.concatenate(parts)
