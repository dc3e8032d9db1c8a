"""Evaluating artifacts: every number that is reported, computed again in another way."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cogseedc
from cogseedc.calibrate import Asked as Calibrate
from cogseedc.calibrate import calibrate_artifact
from cogseedc.cli.main import run as command
from cogseedc.data import DataSet
from cogseedc.diagnostics import UserError
from cogseedc.evaluate import Asked, evaluate_artifact
from cogseedc.runtime import read
from cogseedc.runtime.spending import read_work
from cogseedc.train import Options, train
from tests.train.programs import EXITS, GATED, clouds

DATA = clouds(300)
Report = dict[str, Any]
TWO = """\
export seed Two {
    in  x: f32[N, D=6]
    out y: f32[N, K=3]
    gate one over N = linear[1](x) > 0
    a = when one { x + linear[D](x) } else { x }
    gate two over N = argmax(linear[3](a))
    b = route two { 0 => a  1 => linear[D](a)  2 => linear[24](a) |> relu |> linear[D] }
    exit early { y = b |> linear[K] } when confidence(y) >= 0.6
    y = b |> linear[16] |> relu |> linear[K]
}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], str]:
    """Artifacts of trained programs."""
    made: dict[tuple[str, str], str] = {}

    def build(text: str, target: str = "onnx-cpu") -> str:
        if (text, target) not in made:
            program = cogseedc.load(text)
            module = cogseedc.build(program)
            train(program, module, clouds(200), Options(phases=(("joint", 4),), batch=32, rate=1e-2))
            folder = tmp_path_factory.mktemp("art")
            made[text, target] = str(cogseedc.compile(program, target, folder / "art", weights=module.state_dict()))
        return made[text, target]

    return build


@pytest.fixture
def data(tmp_path: Path) -> str:
    np.savez(tmp_path / "d.npz", x=DATA.inputs["x"], y=DATA.target)
    return str(tmp_path / "d.npz")


def named(report: Report) -> dict[str, dict[str, float]]:
    return {point["name"].partition(":")[2].strip() or point["name"]: point for point in report["baselines"]}


def measured(art: str, data: DataSet, **knobs: object) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong, and MACs, of each sample."""
    result = cogseedc.open(art)(**data.inputs, trace=True, knobs=knobs)
    return result["y"].argmax(-1) == data.target, read_work(read(art)).macs(result.trace, len(data))


def test_exits(built: Callable[..., str], data: str) -> None:
    art = built(EXITS)
    report = evaluate_artifact(Asked(art, data, timed=False))
    right, macs = measured(art, DATA)
    assert report["result"]["quality"] == pytest.approx(right.mean())
    assert report["result"]["macs"] == pytest.approx(macs.mean())
    assert report["result"]["worst_macs"] == 856

    ways = {"one": (0.0, 0.0), "two": (1.0, 0.0), "end": (1.0, 1.0)}
    each = {name: measured(art, DATA, tau=taus) for name, taus in ways.items()}
    found = named(report)
    assert found["everything on"]["quality"] == pytest.approx(each["end"][0].mean())
    for name in ("one", "two"):
        point = found[f"all leave at {name}"]
        assert (point["quality"], point["macs"]) == pytest.approx((each[name][0].mean(), each[name][1].mean()))
    first = np.select([each[n][0] for n in ways], [each[n][1] for n in ways], each["one"][1])
    oracle = found["the cheapest exit that is right"]
    assert oracle["quality"] == pytest.approx(np.any([each[n][0] for n in ways], axis=0).mean())
    assert oracle["macs"] == pytest.approx(first.mean())
    shares = [exit["share"] for exit in report["exits"]]
    random = found["the same shares at each exit"]
    assert random["macs"] == pytest.approx(report["result"]["macs"])
    assert random["quality"] == pytest.approx(sum(s * each[n][0].mean() for s, n in zip(shares, ways, strict=True)))

    rows = report["classes"]
    assert sum(row["samples"] * row["quality"] for row in rows) / 300 == pytest.approx(right.mean())
    assert sum(row["samples"] * row["macs"] for row in rows) / 300 == pytest.approx(macs.mean())
    assert report["calibration_gap"] is None
    assert len(report["curve"]) == 21


KEPT = """\
export seed Kept {
    in  x: f32[N, D=6]
    out y: f32[N, K=3]
    state k: f32[N, D=6] = zeros()
    next k = x * 10
    a = linear[D](x) + k
    exit early { y = a |> linear[K] } when confidence(a) >= 0.6
    y = a |> linear[16] |> relu |> linear[K]
}
"""


@pytest.mark.parametrize("target", ["onnx-cpu", "torch-cpu"])
def test_each_sample_is_a_first_call(built: Callable[..., str], data: str, target: str) -> None:
    art = built(KEPT, target)
    report = evaluate_artifact(Asked(art, data, timed=False))
    right, macs = measured(art, DATA)
    assert report["result"]["quality"] == pytest.approx(right.mean())
    assert report["result"]["macs"] == pytest.approx(macs.mean())


LOOP = """\
export seed Loop {
    in  x: f32[N, D=6]
    out y: f32[N, K=3]
    a = linear[8](x)
    exit early { y = linear[K](a) } when confidence(y) >= 0.6
    h, turns = repeat 5 with h = a, turns = 0 until norm(h) < 1.0 {
        next h = 0.6 * h + 0.1 * tanh(linear[8](h))
        next turns = turns + 1
    }
    y = linear[K](h)
}
"""


def test_turns_of_loops_are_counted(built: Callable[..., str], data: str) -> None:
    path = built(LOOP)
    report = evaluate_artifact(Asked(path, data, timed=False))
    trace = cogseedc.open(path).run(DATA.inputs, {}, trace=True).trace
    until = next(trace[name] for name in trace if name.endswith("until"))
    spent = 6 * 8 + 8 * 3 + (trace["early"] == 0) * 8 * 3 + 8 * 8 * (until >= 0).sum(1)
    assert len(set(spent.tolist())) > 3
    np.testing.assert_array_equal(read_work(read(path)).macs(trace, len(DATA)), spent)
    assert report["result"]["macs"] == pytest.approx(spent.mean())


def test_other_gates_are_forced(built: Callable[..., str], data: str) -> None:
    """The oracle against a plain search over all ways, with the module itself."""
    art = built(TWO)
    report = evaluate_artifact(Asked(art, data, timed=False))
    found = named(report)
    module = cogseedc.build(TWO, weights=str(next(Path(art).rglob("weights.safetensors")))).eval()
    x, best = torch.from_numpy(DATA.inputs["x"]), np.zeros(len(DATA), bool)
    for one in (0, 1):
        for two in (0, 1, 2):
            for early in (0, 1):
                said = {"one": one, "two": two, "early": early}
                module.decide = lambda name, decision, said=said: torch.full_like(decision, said[name])
                with torch.no_grad():
                    best |= module(x).y.argmax(-1).numpy() == DATA.target
    assert found["the cheapest way that is right"]["quality"] == pytest.approx(best.mean())
    assert found["every gate open"]["macs"] > found["every gate closed"]["macs"]
    random = found["the same rates at each gate"]
    assert random["macs"] == pytest.approx(report["result"]["macs"], rel=0.1)
    assert random["quality"] < report["result"]["quality"]
    for rate in report["gates"].values():
        assert sum(rate["arms"]) == pytest.approx(1)


def test_k_of_n_gates(built: Callable[..., str], data: str) -> None:
    report = evaluate_artifact(Asked(built(GATED), data, timed=False))
    assert sum(report["gates"]["pick"]["arms"]) == pytest.approx(1)
    assert {"every gate open", "every gate closed", "the cheapest way that is right"} <= named(report).keys()


def test_the_gap_to_calibration(built: Callable[..., str], data: str, tmp_path: Path) -> None:
    part = DATA.take(np.arange(150))
    np.savez(tmp_path / "v.npz", x=part.inputs["x"], y=part.target)
    asked = Calibrate(built(EXITS), str(tmp_path / "v.npz"), tmp_path / "art", ("accuracy>=-1pt",))
    promised = calibrate_artifact(asked).profile["chosen"]
    same = evaluate_artifact(Asked(str(tmp_path / "art"), str(tmp_path / "v.npz"), timed=False))["calibration_gap"]
    assert (same["quality"], same["macs"]) == pytest.approx((0, 0))
    assert max(same["rates"].values()) == pytest.approx(0)
    report = evaluate_artifact(Asked(str(tmp_path / "art"), data, timed=False))
    gap = report["calibration_gap"]
    assert gap["quality"] == pytest.approx(report["result"]["quality"] - promised["quality"])
    assert report["curve"], "the trade-offs that calibrating found, on these data"


def test_shifted_inputs_and_other_artifacts(built: Callable[..., str], data: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "far.npz", x=DATA.inputs["x"] * 0)
    asked = Asked(
        built(EXITS), data, shifts=(("far", str(tmp_path / "far.npz")),), baselines=(("two", built(TWO)),), timed=False
    )
    report = evaluate_artifact(asked)
    shifts = {shift["name"]: shift for shift in report["shifted"]}
    assert shifts["far"]["quality"] is None
    assert shifts["far"]["macs"] in (72, 248, 856), "equal inputs leave at one place"
    assert sum(shifts["far"]["shares"]) == pytest.approx(1)
    right, macs = measured(built(TWO), DATA)
    assert (named(report)["two"]["quality"], named(report)["two"]["macs"]) == pytest.approx((right.mean(), macs.mean()))


class Links(HTMLParser):
    """Collects what a page would load, and checks that elements end."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.wanted += [
            v for k, v in attrs if k in ("src", "href", "xlink:href") and v and not v.startswith(("#", "data:"))
        ]
        if tag not in ("meta", "br", "img", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_for_nothing(built: Callable[..., str], data: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.html", "b.html"):
        evaluate_artifact(Asked(built(EXITS), data, tmp_path / name, timed=False))
    text = (tmp_path / "a.html").read_text()
    assert text == (tmp_path / "b.html").read_text(), "the same bytes for the same input"
    reader = Links()
    reader.feed(text)
    assert reader.wanted == []
    assert reader.open == []
    assert text.count("<svg") >= 4
    assert "{{" not in text
    (embedded,) = re.findall(r'<script type="application/json" id="report">(.*?)</script>', text, re.DOTALL)
    assert json.loads(embedded)["name"] == "Exits"


def test_images_are_shown(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    text = """\
export seed See {
    in  x: f32[N, C=1, H=4, W=4]
    out y: f32[N, K=2]
    exit one { y = flatten[over=(C, H, W)](x) |> linear[K] } when confidence(y) >= 0.6
    y = flatten[over=(C, H, W)](x) |> linear[8] |> relu |> linear[K]
}
"""
    art = cogseedc.compile(cogseedc.load(text), "onnx-cpu", tmp_path / "art", rng=0)
    x = np.random.default_rng(0).standard_normal((60, 1, 4, 4)).astype(np.float32) * 2
    np.savez(tmp_path / "d.npz", x=x, label=np.arange(60) % 2)
    evaluate_artifact(Asked(str(art), str(tmp_path / "d.npz"), tmp_path / "p.html", timed=False))
    assert (tmp_path / "p.html").read_text().count("<image") == 20 + 1, "ten early, ten late, and the table of classes"


def test_the_command(built: Callable[..., str], data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["evaluate", built(EXITS), "--data", data, "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "static: everything on" in out
    assert "ms per sample in batches of 32" in out
    assert command(["evaluate", built(EXITS), "--data", data, "--no-times", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["latency_ms"] == {}


def test_data_without_a_target_are_refused(built: Callable[..., str], tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=DATA.inputs["x"])
    with pytest.raises(UserError, match="CS1003"):
        evaluate_artifact(Asked(built(EXITS), str(tmp_path / "x.npz"), timed=False))
