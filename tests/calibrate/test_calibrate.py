"""Calibrating artifacts: what is promised from the table is what the new artifact does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

import cogseedc
from cogseedc.calibrate import Asked, Report, calibrate_artifact
from cogseedc.calibrate.calibration import observed
from cogseedc.diagnostics import UserError
from cogseedc.driver.outcomes import outcomes
from cogseedc.driver.probe import probe
from cogseedc.driver.reopened import reopen
from cogseedc.publish import publish
from cogseedc.runtime import read
from cogseedc.runtime.spending import read_work
from cogseedc.train import Options, train
from cogseedc.verify import verify_artifact
from tests.train.programs import EXITS, GATED, clouds

DATA = clouds(400)
KNOBBED = GATED.replace("score[S=0] > 0", "score[S=0] > tau").replace(
    "    score =", "    knob tau = 0.0 in -4 .. 4\n    score ="
)
NEVER = EXITS.replace(
    "    b = a |> linear[16]", "    exit odd { y = a |> linear[K] } when confidence(y) > 2\n    b = a |> linear[16]"
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Trained weights, by program."""
    found: dict[str, str] = {}
    for text in (EXITS, GATED, KNOBBED, NEVER):
        program = cogseedc.load(text)
        module = cogseedc.build(program)
        train(program, module, DATA, Options(phases=(("joint", 6),), batch=32, rate=1e-2))
        found[text] = str(tmp_path_factory.mktemp("w") / "w.safetensors")
        save_file(module.state_dict(), found[text])
    return found


@pytest.fixture
def data(tmp_path: Path) -> str:
    np.savez(tmp_path / "d.npz", x=DATA.inputs["x"], y=DATA.target)
    return str(tmp_path / "d.npz")


def calibrated(
    text: str, weights: str, data: str, folder: Path, *budgets: str, target: str = "onnx-cpu", **more: Any
) -> tuple[Report, str]:
    built = {key: more.pop(key) for key in ("bits", "calibration") if key in more}
    art = cogseedc.compile(cogseedc.load(text), target, folder / "art", weights=weights, **built)
    report = calibrate_artifact(Asked(str(art), data, folder / "new", budgets, **more))
    return report, str(folder / "new")


def ran(artifact: str) -> tuple[float, float]:
    """Accuracy and mean MACs of an artifact as it is run."""
    result = cogseedc.open(artifact)(**DATA.inputs, trace=True)
    spent = read_work(read(artifact)).macs(result.trace, len(DATA))
    return float((result["y"].argmax(-1) == DATA.target).mean()), float(spent.mean())


@pytest.mark.parametrize("target", ["onnx-cpu", "torch-cpu", "onnx-edge"])
def test_the_new_artifact_does_what_the_table_says(
    target: str, weights: dict[str, str], data: str, tmp_path: Path
) -> None:
    report, art = calibrated(EXITS, weights[EXITS], data, tmp_path, "accuracy>=-0.5pt", target=target)
    chosen, full = report.profile["chosen"], report.profile["full"]
    assert ran(art) == pytest.approx((chosen["quality"], chosen["macs"]))
    assert chosen["quality"] >= full["quality"] - 0.005
    assert chosen["macs"] < full["macs"]
    session = cogseedc.open(art)
    assert session.knobs[0].default == tuple(report.profile["knobs"]["tau"])
    assert json.loads(read(art).payload("calibration.json")) == report.profile
    assert verify_artifact(art).ok
    rates = report.profile["rates"]
    assert rates["one"]["arms"][1] == pytest.approx(chosen["shares"][0])


def test_equal_calls_give_equal_artifacts(weights: dict[str, str], data: str, tmp_path: Path) -> None:
    first = calibrated(EXITS, weights[EXITS], data, tmp_path / "a", "macs<=0.5x")[1]
    again = calibrated(EXITS, weights[EXITS], data, tmp_path / "b", "macs<=0.5x")[1]
    assert Path(first, "cogseed.json").read_bytes() == Path(again, "cogseed.json").read_bytes()


@pytest.mark.parametrize("method", ["search", "msdnet", "per-exit"])
def test_methods_keep_budgets_of_work(method: Any, weights: dict[str, str], data: str, tmp_path: Path) -> None:
    report, art = calibrated(EXITS, weights[EXITS], data, tmp_path, "macs<=0.6x", method=method)
    assert ran(art)[1] <= 0.6 * report.profile["full"]["macs"]


def test_a_quantised_artifact_is_calibrated_with_its_own_numbers(
    weights: dict[str, str], data: str, tmp_path: Path
) -> None:
    text = EXITS.replace("export seed Exits {", "export seed Exits {\n    bits int8")
    report, art = calibrated(
        text, weights[EXITS], data, tmp_path, "accuracy>=-0.5pt", bits="int8", calibration=dict(DATA.inputs)
    )
    assert read(art).manifest["numerics"]["precisions"] == ["int8"]  # type: ignore[index, call-overload]
    assert ran(art) == pytest.approx((report.profile["chosen"]["quality"], report.profile["chosen"]["macs"]))
    kept = reopen(art)
    opened = probe(kept, "y")
    table = outcomes(opened.run(DATA.inputs, {}), opened.exits, read_work(kept.artifact), DATA.target)
    plain = reopen(cogseedc.compile(cogseedc.load(EXITS), "onnx-cpu", tmp_path / "fp32", weights=weights[EXITS]))
    other = probe(plain, "y").run(DATA.inputs, {})
    assert np.abs(table.scores["one"] - other.scores["one"]).max() > 1e-4, "these are int8's scores, not fp32's"
    assert verify_artifact(art).ok


def test_the_worst_case_is_capped_by_the_structure(weights: dict[str, str], data: str, tmp_path: Path) -> None:
    report, art = calibrated(EXITS, weights[EXITS], data, tmp_path, "worst macs<=0.4x")
    assert report.profile["worst_macs"] == 248
    assert report.profile["folded"] == {"two": [1]}
    result = cogseedc.open(art)(x=DATA.inputs["x"] * 0, trace=True, knobs={"tau": [1.0, 1.0]})
    assert read_work(read(art)).macs(result.trace, len(DATA)).max() <= 248, "whatever the knobs say"
    assert verify_artifact(art).ok


def test_latency(weights: dict[str, str], data: str, tmp_path: Path) -> None:
    report, _ = calibrated(EXITS, weights[EXITS], data, tmp_path, "latency_ms<=1000")
    assert len(report.profile["latency_ms"]) == 3
    assert report.profile["chosen"]["quality"] >= report.profile["full"]["quality"]
    with pytest.raises(UserError, match=r"CS1009.*the first exit costs [0-9.e-]*[1-9][0-9.e-]* ms already"):
        calibrated(EXITS, weights[EXITS], data, tmp_path, "worst latency_ms<=0.0000001")


def test_a_knob_of_another_gate_is_searched_too(weights: dict[str, str], data: str, tmp_path: Path) -> None:
    report, art = calibrated(KNOBBED, weights[KNOBBED], data, tmp_path, "macs<=0.4x")
    full = read_work(read(art)).worst
    assert ran(art)[1] <= 0.4 * report.profile["full"]["macs"] <= 0.4 * full
    assert report.profile["knobs"]["tau"] != [0.0]


def test_what_is_idle_is_reported_and_folded(weights: dict[str, str], data: str, tmp_path: Path) -> None:
    report, art = calibrated(NEVER, weights[NEVER], data, tmp_path, "accuracy>=-0.5pt")
    assert ("unused exit", "odd") in {(f.kind, f.gate) for f in report.found}
    before = ran(art)
    folded, art = calibrated(NEVER, weights[NEVER], data, tmp_path, "accuracy>=-0.5pt", fold=True)
    assert "odd" in folded.profile["folded"]
    assert "odd" not in {gate.name for gate in cogseedc.open(art).gates}
    after = ran(art)
    assert after[0] >= before[0]
    assert after[1] < before[1], "the head of the exit that nobody takes is gone"
    assert verify_artifact(art).ok


def test_a_tail_that_nobody_comes_to_is_reported(weights: dict[str, str], tmp_path: Path) -> None:
    kept = reopen(cogseedc.compile(cogseedc.load(EXITS), "onnx-cpu", tmp_path / "art", weights=weights[EXITS]))
    opened = probe(kept, "y")
    table = outcomes(opened.run(DATA.inputs, {}), opened.exits, read_work(kept.artifact), DATA.target)
    session = cogseedc.open(tmp_path / "art")
    told = [
        {(f.kind, f.gate, f.keep) for f in observed(session, DATA, table, {"tau": tau})[1] if f.kind != "idle tail"}
        for tau in ([0.0, 0.0], [0.9, 0.0], [0.9, 0.9])
    ]
    assert told == [
        {("unreached tail", "one", (1,)), ("unused exit", "two", (0,))},
        {("unreached tail", "two", (1,))},
        set(),
    ]


def test_a_margin_asks_for_more(weights: dict[str, str], data: str, tmp_path: Path) -> None:
    plain, _ = calibrated(EXITS, weights[EXITS], data, tmp_path, "accuracy>=-1pt")
    sure, _ = calibrated(EXITS, weights[EXITS], data, tmp_path, "accuracy>=-1pt", margin=2.0)
    assert sure.profile["chosen"]["macs"] > plain.profile["chosen"]["macs"]


def test_gains_make_up_for_losses_only_when_asked(weights: dict[str, str], data: str, tmp_path: Path) -> None:
    plain, art = calibrated(EXITS, weights[EXITS], data, tmp_path, "accuracy>=-0pt")
    lucky, _ = calibrated(EXITS, weights[EXITS], data, tmp_path / "lucky", "accuracy>=-0pt", gains=True)
    assert lucky.profile["chosen"]["macs"] <= plain.profile["chosen"]["macs"]
    given = cogseedc.open(art)(**DATA.inputs)["y"].argmax(-1) == DATA.target
    made = reopen(art).settled({}, {"one": (0,), "two": (0,)}, {}).made()
    whole = cogseedc.open(publish(tmp_path / "whole", made.payloads, made.manifest))
    last = whole(**DATA.inputs)["y"].argmax(-1) == DATA.target
    assert not (last & ~given).any(), "a budget of no loss, and no gain that pays for one: no loss at all"


def test_arms_that_are_settled_are_meant_by_the_source(tmp_path: Path) -> None:
    """Whatever is folded, the artifact equals the meaning of its source with the same settings."""
    cases: list[tuple[str, dict[str, tuple[int, ...]]]] = [
        (EXITS, {"one": (0,)}),
        (EXITS, {"one": (1,)}),
        (EXITS, {"two": (1,)}),
        (EXITS, {"two": (0,), "one": (0,)}),
        (GATED, {"keep": (1,)}),
        (GATED, {"keep": (0,), "pick": (1, 2)}),
    ]
    for text, arms in cases:
        art = cogseedc.compile(cogseedc.load(text), "onnx-cpu", tmp_path / "art", rng=0)
        made = reopen(art).settled({}, arms, {}).made()
        new = publish(tmp_path / "new", made.payloads, made.manifest)
        assert verify_artifact(new).ok, arms
        gone = {name for name, kept in arms.items() if len(kept) == 1}
        assert gone.isdisjoint(gate.name for gate in cogseedc.open(new).gates)
