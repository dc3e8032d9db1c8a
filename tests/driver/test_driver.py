"""Programs, modules and artifacts through the public functions: what comes out, twice the same, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import cogseedc
from cogseedc import target
from cogseedc.diagnostics import UserError
from cogseedc.driver.weights import weight_bytes
from cogseedc.ir import ControlEdge
from cogseedc.verify import verify_artifact

EARLY = """\
## Leaves early.
export seed Early[hidden: int = 8] {
    in  x: f32[N, D=6]
    out y: f32[N, K=3]
    knob tau = 0.5 in 0 .. 1
    a = x |> linear[hidden] |> relu
    exit easy { y = a |> linear[K=3] } when confidence(y) >= tau
    y = a |> linear[4 * hidden] |> relu |> linear[K=3]
}
"""


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def payload(folder: Path, name: str) -> bytes:
    manifest = json.loads((folder / "cogseed.json").read_bytes())
    return (folder / manifest["payloads"][name]["path"]).read_bytes()


def codes(call: Callable[[], object]) -> list[str]:
    with pytest.raises(UserError) as caught:
        call()
    return [d.code for d in caught.value.diagnostics]


def test_program() -> None:
    program = cogseedc.load(EARLY)
    assert program.name == "Early"
    edges = [key for _, _, key in program.graph.edges(keys=True)]
    assert any(isinstance(edge, ControlEdge) for edge in edges)
    assert "easy: yes or no over N" in program.report()
    assert "Leaves early." in program.report()


def test_static_parameters_come_from_python_values_and_texts() -> None:
    for value in (5, "5", "2 + 3"):
        program = cogseedc.load(EARLY, set={"hidden": value})
        module = cogseedc.build(program)
        assert module.state_dict()["a.linear.weight"].shape == (5, 6)


def test_module_trains_and_keeps_its_names() -> None:
    module = cogseedc.build(EARLY)
    result = module(torch.randn(4, 6))
    assert set(result.exits) == {"easy"}
    result.y.sum().backward()
    assert all("linear" in name for name in module.state_dict())
    module.eval()
    traced = module(torch.randn(4, 6), tau=0.0, trace=True)
    assert traced.trace["easy"].tolist() == [1, 1, 1, 1]
    again = cogseedc.build(EARLY, weights=module.state_dict())
    x = torch.randn(3, 6)
    assert torch.equal(again.eval()(x).y, module(x).y)


def test_build_is_for_torch_targets() -> None:
    assert codes(lambda: cogseedc.build(EARLY, target="onnx-cpu")) == ["CS0808"]
    assert codes(lambda: cogseedc.build(EARLY, target="torch-cup")) == ["CS0801"]


@pytest.mark.parametrize("name", target.names())
def test_artifacts_verify_and_are_the_same_twice(tmp_path: Path, name: str) -> None:
    program = cogseedc.load(EARLY)
    first = cogseedc.compile(program, name, tmp_path / "one", bits="fp32")
    second = cogseedc.compile(EARLY, name, tmp_path / "two", bits="fp32")
    found = files(first)
    assert files(second).keys() == found.keys()
    for path, data in files(second).items():
        assert data == found[path], path
    assert not any(str(tmp_path).encode() in data for data in found.values())
    report = verify_artifact(first)
    assert report.ok, report.to_text()
    assert not report.unexercised


def test_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "early.seed").write_text(EARLY)
    script = (
        "import cogseedc, sys\n"
        "for t in ('torch-cpu', 'onnx-cpu'): cogseedc.compile(sys.argv[1], t, f'{sys.argv[2]}/{t}')"
    )
    for seed in ("1", "2"):
        env = {"PYTHONHASHSEED": seed, "TZ": f"UTC{seed}", "PATH": "/usr/bin"}
        subprocess.run(
            [sys.executable, "-c", script, "early.seed", seed], cwd=tmp_path, env=env, check=True, timeout=120
        )
    assert files(tmp_path / "1") == files(tmp_path / "2")


def test_artifact_runs_and_says_what_it_is(tmp_path: Path) -> None:
    folder = cogseedc.compile(EARLY, "onnx-cpu", tmp_path / "a", rng=3)
    manifest = json.loads((folder / "cogseed.json").read_bytes())
    assert manifest["interface"]["knobs"][0] == {
        "name": "tau", "dtype": "f32", "axes": [], "shape": [], "default": [0.5], "low": 0.0, "high": 1.0,
    }  # fmt: skip
    assert manifest["interface"]["exits"] == [{"name": "easy", "gate": "easy"}]
    assert manifest["weights"]["rng"] == 3
    card = payload(folder, "README.md").decode()
    assert "Leaves early." in card
    assert "not trained" in card
    costs = json.loads(payload(folder, "costs.json"))
    assert costs["macs"]["least"] < costs["macs"]["expected"] < costs["macs"]["worst"]
    assert payload(folder, "program.seed").decode() == EARLY
    graph = json.loads(payload(folder, "graph.json"))
    assert graph["controls"]
    session = cogseedc.open(folder)
    result = session(x=np.zeros((5, 6), "float32"), knobs={"tau": 0.0}, trace=True)
    assert result["y"].shape == (5, 3)
    assert result.exits["easy"].all()


def test_model_runs_without_cogseedc(tmp_path: Path) -> None:
    folder = cogseedc.compile(EARLY, "torch-cpu", tmp_path / "a")
    (tmp_path / "model.py").write_bytes(payload(folder, "model.py"))
    (tmp_path / "w.safetensors").write_bytes(payload(folder, "weights.safetensors"))
    script = (
        "import sys; sys.modules['cogseedc'] = None\n"
        "import torch; from safetensors.torch import load_file; from model import Early\n"
        "m = Early(); m.load_state_dict(load_file('w.safetensors'), strict=True)\n"
        "print(tuple(m.eval()(torch.zeros(2, 6)).y.shape))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "(2, 3)\n"


def test_weights_must_fit(tmp_path: Path) -> None:
    state = {key: value.numpy() for key, value in cogseedc.build(EARLY).state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    cogseedc.compile(EARLY, "onnx-cpu", tmp_path / "a", weights=tmp_path / "w.safetensors")
    assert load_file(tmp_path / "w.safetensors").keys() == state.keys()
    key = "a.linear.bias"
    assert codes(lambda: cogseedc.build(EARLY, weights={k: v for k, v in state.items() if k != key})) == ["CS0840"]
    assert codes(lambda: cogseedc.build(EARLY, weights={**state, key: state[key][:-1]})) == ["CS0841"]
    assert codes(lambda: cogseedc.build(EARLY, weights={**state, key: state[key].astype("float64")})) == ["CS0842"]


def test_weights_may_be_those_of_a_module(tmp_path: Path) -> None:
    module = cogseedc.build(EARLY, rng=5)
    folder = cogseedc.compile(EARLY, "torch-cpu", tmp_path / "a", weights=module)
    (kept,) = folder.glob("*/weights.safetensors")
    assert all((load_file(kept)[key] == value.numpy()).all() for key, value in module.state_dict().items())


def test_a_text_is_no_path_though_it_is_long_or_on_one_line(tmp_path: Path) -> None:
    long = EARLY + "# " + "x" * 5000 + "\n"
    assert cogseedc.open(cogseedc.compile(long, "onnx-cpu", tmp_path / "a")).inputs
    assert cogseedc.load("export seed A { in x: f32[N, D=4]  out y: f32[N, D]  y = relu(x) }").name == "A"


def test_open_sizes_come_from_the_weights() -> None:
    text = EARLY.replace("D=6", "D")
    state = {key: value.numpy() for key, value in cogseedc.build(text, size={"D": 9}).state_dict().items()}
    assert state["a.linear.weight"].shape == (8, 9)
    assert cogseedc.build(text, weights=state).state_dict()["a.linear.weight"].shape == (8, 9)


def test_weight_bytes_are_stable() -> None:
    arrays = {name: np.arange(3.0) for name in "zxyab"}
    made = {weight_bytes(dict(sorted(arrays.items(), reverse=turn % 2)), {"b": "1", "a": "2"}) for turn in range(20)}
    assert len(made) == 1


def test_a_budget_that_the_worst_path_exceeds(tmp_path: Path) -> None:
    text = EARLY.replace("    in  x", "    budget macs worst <= 100\n    in  x")
    assert codes(lambda: cogseedc.compile(text, "torch-cpu", tmp_path / "a")) == ["CS0704"]
    assert not (tmp_path / "a").exists()


def test_dense_is_always_possible_and_other_strategies_where_the_target_has_them(tmp_path: Path) -> None:
    for name in target.names():
        cogseedc.compile(EARLY, name, tmp_path / name, gates="dense", bits="fp32")
        gates = json.loads((tmp_path / name / "cogseed.json").read_bytes())["interface"]["gates"]
        assert [gate["strategy"] for gate in gates] == ["dense"]
    assert codes(lambda: cogseedc.compile(EARLY, "onnx-edge", tmp_path / "b", gates="select")) == ["CS0806"]


def test_imports_travel_with_the_artifact(tmp_path: Path) -> None:
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "base.seed").write_text(
        "seed Twice {\n    in  x: f32[N, D]\n    out y: f32[N, D]\n    y = x + x\n}\n"
    )
    (tmp_path / "main.seed").write_text(
        'import "./blocks/base.seed" as base\n'
        "export seed Main {\n    in  x: f32[N, D=4]\n    out y: f32[N, D=4]\n    y = base.Twice(x)\n}\n"
    )
    folder = cogseedc.compile(tmp_path / "main.seed", "onnx-cpu", tmp_path / "out")
    (tmp_path / "main.seed").unlink()
    (tmp_path / "blocks" / "base.seed").unlink()
    assert verify_artifact(folder).ok
