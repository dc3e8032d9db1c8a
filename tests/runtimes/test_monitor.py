"""Monitoring: what is counted is what was decided; drift is told from chance."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import cogseedc
from cogseedc.calibrate import Asked, calibrate_artifact
from cogseedc.runtime import Monitor, read
from cogseedc.runtime.spending import read_work
from tests.train.programs import EXITS, GATED


@pytest.fixture
def calibrated(tmp_path: Path) -> str:
    """An artifact with a profile of 2000 samples."""
    draw = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=draw.standard_normal((2000, 6)).astype(np.float32), label=draw.integers(0, 3, 2000))
    art = cogseedc.compile(cogseedc.load(EXITS), "onnx-cpu", tmp_path / "art", rng=0)
    calibrate_artifact(Asked(str(art), str(tmp_path / "d.npz"), tmp_path / "new", ("macs<=0.5x",)))
    return str(tmp_path / "new")


def inputs(count: int, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.default_rng(7).standard_normal((count, 6))).astype(np.float32)


@pytest.mark.parametrize("target", ["onnx-cpu", "torch-cpu", "onnx-edge"])
def test_counts_are_those_of_the_trace(target: str, tmp_path: Path) -> None:
    art = cogseedc.compile(cogseedc.load(GATED), target, tmp_path / "art", rng=0)
    session, monitor = cogseedc.open(art), Monitor.of(art)
    results = [session(x=x, trace=True) for x in (inputs(5), inputs(30)[5:], inputs(1))]
    for result in results:
        monitor.observe(result)
    found = monitor.report()
    keep = np.concatenate([r.trace["keep"] for r in results])
    pick = np.concatenate([r.trace["pick"] for r in results]).ravel()
    assert found["samples"] == len(keep) == 31
    assert found["gates"]["keep"]["arms"] == pytest.approx([(keep == a).mean() for a in (0, 1)])
    assert found["gates"]["pick"]["arms"] == pytest.approx([(pick == a).mean() for a in (0, 1, 2)])
    work = read_work(read(art))
    assert found["macs"]["total"] == sum(work.macs(r.trace, len(r.trace["keep"])).sum() for r in results)
    assert found["rows"] == {name: sum(r.rows[name] for r in results) for name in results[0].rows}
    assert found["drifted"] == []
    assert "distance" not in found["gates"]["keep"], "nothing to compare with"
    assert json.loads(json.dumps(found)) == found
    monitor.reset()
    assert monitor.report()["samples"] == 0


def test_drift_is_told_from_chance(calibrated: str) -> None:
    session = cogseedc.open(calibrated)
    for count, scale, drifted in ((3, 1.0, False), (3000, 1.0, False), (3000, 0.01, True), (3, 0.01, False)):
        monitor = Monitor.of(calibrated)
        monitor.observe(session(x=inputs(count, scale), trace=True))
        report = monitor.report()
        assert bool(report["drifted"]) is drifted, (count, scale)
        for gate in report["gates"].values():
            assert gate.get("distance", 0) <= 1


def test_a_trace_is_needed(calibrated: str) -> None:
    with pytest.raises(ValueError, match="trace=True"):
        Monitor.of(calibrated).observe(cogseedc.open(calibrated)(x=inputs(2)))


def test_prometheus(calibrated: str) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    monitor = Monitor.of(calibrated)
    monitor.observe(cogseedc.open(calibrated)(x=inputs(50), trace=True))
    families = {family.name: family for family in parser.text_string_to_metric_families(monitor.prometheus())}
    report = monitor.report()
    values = {
        (sample.labels["gate"], int(sample.labels["arm"])): sample.value
        for sample in families["cogseed_decisions"].samples
        if sample.name.endswith("_total")
    }
    for name, gate in report["gates"].items():
        for arm, share in enumerate(gate["arms"]):
            assert values[name, arm] == pytest.approx(share * gate["asked"])
    assert families["cogseed_samples"].samples[0].value == 50
    assert families["cogseed_drift"].samples[0].value == report["gates"]["one"]["distance"]
