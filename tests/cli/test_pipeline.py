"""build, run, verify, inspect, cost, graph, opt and the lists, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cogseedc.driver.lower import PIPELINES

from .conftest import Command

EARLY = """\
export seed Early {
    in  x: f32[N, D=6]
    out y: f32[N, K=3]
    knob tau = 0.5 in 0 .. 1
    a = x |> linear[8] |> relu
    exit easy { y = a |> linear[K=3] } when confidence(y) >= tau
    y = a |> linear[32] |> relu |> linear[K=3]
}
"""


@pytest.fixture
def early(command: Command) -> Command:
    Path("early.seed").write_text(EARLY)
    return command


def test_build_run_verify_inspect(early: Command) -> None:
    built = early("build", "early.seed", "-t", "onnx-cpu", "-o", "art")
    assert (built.status, built.out) == (0, "art\n")
    assert "CS0911" in built.err, "that the weights are initial ones is worth a note"
    assert early("build", "early.seed", "-t", "onnx-cpu", "-o", "art", "--rng", "0").err == ""

    np.savez("in.npz", x=np.random.default_rng(0).standard_normal((5, 6), dtype="float32"))
    ran = early("run", "art", "in.npz", "-o", "out.npz", "--trace", "--knob", "tau=0")
    assert ran.status == 0
    with np.load("out.npz") as found:
        assert found["y"].shape == (5, 3)
        assert found["trace.easy"].tolist() == [1] * 5
    assert "trace.easy" in ran.out

    assert early("verify", "art").status == 0
    (report,) = json.loads(early("verify", "art", "--json").out)
    assert report["ok"]
    assert "easy: yes or no over N" in early("inspect", "art").out
    assert json.loads(early("inspect", "art", "--json").out)["name"] == "Early"


def test_ports_may_be_called_like_what_runs_them(command: Command) -> None:
    body = "in knobs: f32[N, D=2]\nin trace: f32[N, D]\nout file: f32[N, D]\nout allow_pickle: f32[N, D]\n"
    Path("net.seed").write_text(f"export seed Net {{\n{body}file = knobs\nallow_pickle = trace\n}}\n")
    command("build", "net.seed", "-t", "torch-cpu", "-o", "art")
    given = {"knobs": np.ones((3, 2), "float32"), "trace": np.zeros((3, 2), "float32")}
    np.savez("in.npz", **given)
    assert command("run", "art", "in.npz", "-o", "out.npz").status == 0
    with np.load("out.npz") as found:
        assert {name: found[name].tolist() for name in found} == {
            "file": given["knobs"].tolist(),
            "allow_pickle": given["trace"].tolist(),
        }


def test_a_damaged_artifact_has_status_1(early: Command) -> None:
    early("build", "early.seed", "-t", "onnx-cpu", "-o", "art", "--rng", "0")
    (model,) = Path("art").rglob("model.onnx")
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    for name in ("verify", "inspect"):
        outcome = early(name, "art")
        assert outcome.status == 1
        assert "CS0831" in outcome.err
    assert "CS0830" in early("verify", "nothing").err


def test_another_model_under_the_manifest_is_a_mismatch(early: Command) -> None:
    """Weights of the artifact say one thing, its model computes with others, all hashes are right."""
    from cogseedc.publish import publish

    for name, rng in (("a", "0"), ("b", "1")):
        early("build", "early.seed", "-t", "onnx-cpu", "-o", name, "--rng", rng)
    manifests = {n: json.loads(Path(n, "cogseed.json").read_bytes()) for n in "ab"}
    payloads = {n: Path("a", e["path"]).read_bytes() for n, e in manifests["a"]["payloads"].items()}
    payloads["model.onnx"] = Path("b", manifests["b"]["payloads"]["model.onnx"]["path"]).read_bytes()
    publish("c", payloads, manifests["a"])
    outcome = early("verify", "c")
    assert outcome.status == 3
    assert "CS0850" in outcome.out


def test_build_for_several_targets(early: Command) -> None:
    outcome = early("build", "early.seed", "-t", "onnx-cpu", "-t", "torch-cpu", "-o", "out", "--json", "--timing")
    assert json.loads(outcome.out) == {"onnx-cpu": "out/onnx-cpu", "torch-cpu": "out/torch-cpu"}
    assert "total" in outcome.err
    assert early("verify", "out/onnx-cpu", "out/torch-cpu").status == 0


def test_build_names_the_artifact_after_the_source(early: Command) -> None:
    assert early("build", "early.seed", "--rng", "0").out == "build/early-torch-cpu\n"


def test_a_budget_has_status_4(early: Command) -> None:
    Path("tight.seed").write_text(EARLY.replace("    in  x", "    budget macs worst <= 10\n    in  x"))
    assert early("build", "tight.seed").status == 4
    assert not Path("build").exists()


def test_cost(early: Command) -> None:
    out = early("cost", "early.seed").out
    assert out.splitlines()[0] == "per sample\tleast\texpected\tmost"
    record = json.loads(early("cost", "early.seed", "--json", "--rate", "easy=1").out)
    assert record["macs"]["expected"] == record["macs"]["least"] == 6 * 8 + 8 * 3
    assert early("cost", "early.seed", "--rate", "easy=2").status == 1
    assert early("cost", "early.seed", "--rate", "easy=x").status == 2


@pytest.mark.parametrize("ending", ["html", "svg", "dot", "mmd", "json"])
def test_graph(early: Command, ending: str) -> None:
    assert early("graph", "early.seed", "-o", f"g.{ending}").out == f"g.{ending}\n"
    assert b"easy" in Path(f"g.{ending}").read_bytes()


def test_graph_of_an_artifact_is_that_of_its_source(early: Command) -> None:
    early("build", "early.seed", "-t", "onnx-cpu", "-o", "art", "--rng", "0")
    own = json.loads(early("graph", "art", "--json").out)
    assert own["nodes"] == json.loads(early("graph", "early.seed", "--json").out)["nodes"]


def test_opt_prints_programs_that_can_be_read_again(early: Command) -> None:
    for names in ("insert-exit-points,eliminate-dead-seeds", "inference", "none"):
        text = early("opt", "early.seed", "--passes", names, "--verify-each").out
        Path("again.seed").write_text(text)
        again = early("opt", "again.seed", "--passes", "none" if "none" in names else "eliminate-dead-seeds")
        assert again.status == 0, again.err
    everything = early("opt", "early.seed", "--print-after-all", "-t", "onnx-cpu").out
    for step in PIPELINES["stored"]:
        assert f"# after {step.name}: " in everything
    assert "CS0701" in early("opt", "early.seed", "--passes", "magic").err
    assert "insert-exit-points" in early("opt", "--list").out


def test_explain_plan_has_loops_and_what_is_decided_in_them(early: Command) -> None:
    Path("loop.seed").write_text(
        "export seed Net {\n in x: f32[N, T, D=4]\n out y: f32[N, T, D]\n"
        " y, h = scan a in x over T with h = zeros[N, D]() {\n"
        "  s = repeat 3 with s = a + h until mean(s) > 0 { next s = tanh(linear[D](s)) }\n"
        "  next h = s\n  yield s\n }\n}\n"
    )
    rows = json.loads(early("explain", "loop.seed", "--plan", "-t", "torch-cpu", "--json").out)
    assert [(row.get("loop") or row["gate"], row["strategy"]) for row in rows] == [
        ("scan", "in turn"),
        ("s.repeat", "leaving"),
        ("s.until", "dense"),
    ]
    assert [row["turns"] for row in rows[:2]] == ["T", "at most 3"]
    assert "at most 3 turns" in early("explain", "loop.seed", "--plan").out


def test_explain_plan(early: Command) -> None:
    lines = early("explain", "early.seed", "--plan", "-t", "onnx-edge").out.splitlines()
    assert lines[1].split("\t")[:3] == ["easy", "N", "branch"]
    assert json.loads(early("explain", "early.seed", "--plan", "--json").out)[0]["gate"] == "easy"


def test_lists(command: Command) -> None:
    assert "onnx-edge" in command("targets").out
    assert {t["name"] for t in json.loads(command("targets", "--json").out)} >= {"torch-cpu", "onnx-cuda"}
    assert "std.vision\tConvBlock[" in command("seeds").out
    assert "Small(x: f32[N, D=4])" in command("seeds", "good.seed").out
    assert len(command("ops").out.splitlines()) > 90
    assert "conv2d" in command("ops", "conv2d").out
    assert json.loads(command("ops", "--json").out)


def test_doctor(command: Command) -> None:
    outcome = command("doctor")
    assert outcome.status == 0, outcome.out
    parts = {record["part"] for record in json.loads(command("doctor", "--json").out)}
    assert {"cogseedc", "python", "torch", "onnx", "grammar", "targets"} <= parts
