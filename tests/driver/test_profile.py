"""A profile and measured costs change what is planned, never what a program means; artifacts remember both."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import cogseedc
from cogseedc import target as targets
from cogseedc.bench.probe import probe, steps
from cogseedc.cli.main import cli
from cogseedc.cli.state import State
from cogseedc.verify import verify_artifact

SOURCE = """
export seed Net {
    in  x: f32[N, D=8]
    out y: f32[N, K=4]
    knob tau = 0.9 in 0 .. 1
    h = x |> linear[J=64] |> relu
    exit early { y = h |> linear[4] } when confidence(y) >= tau
    y = h |> linear[64] |> relu |> linear[64] |> relu |> linear[4]
}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "net.seed"
    path.write_text(SOURCE)
    np.savez(tmp_path / "in.npz", x=np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32))
    return path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(a) for a in arguments], obj=State(), standalone_mode=False)
    assert result.exception is None, result.output
    return result.stdout


def explained(source: Path) -> dict[str, object]:
    (row,) = json.loads(run("explain", source, "--plan", "--json"))
    return row  # type: ignore[no-any-return]


def test_a_profile_is_read_by_the_next_build_until_the_source_changes(source: Path) -> None:
    assumed = explained(source)
    assert not assumed["profiled"]
    found = json.loads(run("profile", source, source.parent / "in.npz", "--knob", "tau=0.31", "--batch", 8, "--json"))
    shares = found["gates"]["early"]["shares"]
    assert found["gates"]["early"]["reached"] == found["samples"] == 40
    assert sum(shares) == pytest.approx(1)
    assert found["rows_per_sample"]["not_early"] == pytest.approx(shares[0])
    known = explained(source)
    assert known["profiled"]
    assert known["shares"] == pytest.approx(shares, abs=1e-4)
    assert known["predicted"] != assumed["predicted"]
    art = source.parent / "art"
    run("build", source, "-t", "onnx-cpu", "-o", art, "--rng", 0)
    assert json.loads((art / "cogseed.json").read_text())["target"]["profile"]["rows"] == 8
    assert verify_artifact(art).ok
    source.write_text(SOURCE.replace("linear[64] |> relu |> linear[4]", "linear[4]"))
    assert not explained(source)["profiled"]


PIXELS = """
export seed Net {
    in  x: f32[N, C=8, H=16, W=16]
    out y: f32[N, C, H, W]
    gate busy over N, H, W = mean[over=C](x) > 0
    y = when busy { x |> conv2d[64, kernel=3, padding=1] |> relu |> conv2d[C, kernel=3, padding=1] } else { x }
}
"""


def test_samples_without_a_position_are_left_out_where_a_profile_knows_of_them(tmp_path: Path) -> None:
    source, x = tmp_path / "net.seed", np.full((40, 8, 16, 16), -1, np.float32)
    source.write_text(PIXELS)
    x[::8, :, 3, 5] = 1
    np.savez(tmp_path / "in.npz", x=x)

    def counted() -> dict[str, int]:
        return dict(
            cogseedc.open(cogseedc.compile(source, "onnx-cpu", tmp_path / "art", rng=0)).run({"x": x}, {}, True).rows
        )

    assert "any_busy" not in counted()
    found = json.loads(run("profile", source, tmp_path / "in.npz", "--rng", 0, "--json"))
    assert found["gates"]["busy"]["anywhere"] == [1, 0.125]
    assert counted()["any_busy"] == 5
    assert verify_artifact(tmp_path / "art").ok


def test_measured_costs_are_a_part_of_the_build(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    before = explained(source)["predicted"]
    costs = probe(targets.shipped("onnx-cpu"))
    assert all(value >= 0 for value in (costs.mac_ns, costs.op_us, costs.branch_us, costs.select_ns))
    path = targets.probed_costs("onnx-cpu")
    path.parent.mkdir(parents=True)
    path.write_text("[costs]\n" + "".join(f"{n} = {getattr(costs, n) * 2}\n" for n in costs.__slots__))
    targets.load.cache_clear()
    try:
        assert explained(source)["predicted"] != before
        art = cogseedc.compile(source, "onnx-cpu", tmp_path / "art", rng=0)
    finally:
        path.unlink()
        targets.load.cache_clear()
    assert json.loads((art / "cogseed.json").read_text())["target"]["costs"]["mac_ns"] == costs.mac_ns * 2
    assert verify_artifact(art).ok, "planned as it was built, whatever this machine's costs are"
    try:
        path.write_text("[costs]\nmac_ns = 1\n")
        shipped = targets.shipped("onnx-cpu").costs
        assert targets.load("onnx-cpu").costs == replace(shipped, mac_ns=1.0), "what was not measured is as it comes"
        targets.load.cache_clear()
        path.write_text("[costs]\nmac_ms = 1\n")
        with pytest.raises(cogseedc.driver.compile.UserError, match="CS0802"):
            targets.load("onnx-cpu")
    finally:
        targets.load.cache_clear()


def test_probe_reports_each_step() -> None:
    seen: list[str] = []
    probe(targets.shipped("onnx-edge"), seen.append)
    assert len(seen) == steps(targets.shipped("onnx-edge"))
