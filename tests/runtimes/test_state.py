"""States: what a session keeps between calls, what a module and a model are given and give."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import cogseedc
from cogseedc.cli.main import run as command
from cogseedc.diagnostics import UserError
from cogseedc.runtime import Session
from cogseedc.verify import verify_artifact

TEXT = """
seed Average {
    in  x: f32[N, D]
    out y: f32[N, D]
    state mean: f32[N, D] = full(0.5)
    state count: i64[N] = zeros()
    y = mean * 0.5 + linear[D](x)
    next mean = y
    next count = count + 1
}
export seed Stream {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    state calls: i64[] = zeros()
    next calls = calls + 1
    y = when x[D=0] > 0 { Average(x) } else { x }
}
"""
REDUCED = """
seed Mean {
    bits int8
    in  x: f32[N, D]
    out y: f32[N, D]
    state m: f32[N, D=8] = zeros()
    y = linear[D](x) + linear[D](m)
    next m = y
}
export seed Net {
    in  x: f32[N, D=8]
    out y: f32[N, D]
    y = Mean(x)
}
"""
MEAN, COUNT = "then.Average.mean", "then.Average.count"
TARGETS = ("torch-cpu", "onnx-cpu", "onnx-edge")
Array = np.ndarray[Any, np.dtype[Any]]


def inputs(rows: int, calls: int = 4) -> list[Array]:
    return list(np.random.default_rng(1).normal(size=(calls, rows, 4)).astype(np.float32))


@pytest.fixture(scope="module", params=TARGETS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("stream")
    return cogseedc.compile(TEXT, request.param, place / request.param, rng=3)


@pytest.fixture
def session(folder: Path) -> Session:
    return cogseedc.open(folder)


def by_hand(folder: Path, xs: list[Array]) -> tuple[list[Array], dict[str, Array]]:
    """The stream in numpy, sample by sample: outputs of each call and the states after them."""
    from safetensors.numpy import load_file

    (path,) = folder.rglob("weights.safetensors")
    weights = load_file(path)
    weight, bias = weights["then.Average.linear.weight"], weights["then.Average.linear.bias"]
    mean, count, ys = np.full(xs[0].shape, 0.5, np.float32), np.zeros(len(xs[0]), np.int64), []
    for x in xs:
        y = x.copy()
        for i in range(len(x)):
            if x[i, 0] > 0:
                y[i] = mean[i] = mean[i] * 0.5 + weight @ x[i] + bias
                count[i] += 1
        ys.append(y)
    return ys, {MEAN: mean, COUNT: count, "calls": np.array(len(xs))}


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_session_keeps_them(session: Session, folder: Path, rows: int) -> None:
    xs = inputs(rows)
    wanted, kept = by_hand(folder, xs)
    assert session.state == {}
    for _ in range(2):
        for x, y in zip(xs, wanted, strict=True):
            np.testing.assert_allclose(session(x=x)["y"], y, 1e-4, 1e-5)
        found = session.state
        assert list(found) == ["calls", MEAN, COUNT] == [s.name for s in session.states]
        for name, value in kept.items():
            np.testing.assert_allclose(found[name], value, 1e-4, 1e-5)
            assert found[name].dtype == value.dtype
        session.reset()


def test_a_stream_goes_on_from_saved_states(session: Session, folder: Path, tmp_path: Path) -> None:
    xs = inputs(2)
    wanted, _ = by_hand(folder, xs)
    for x in xs[:2]:
        session(x=x)
    np.savez(tmp_path / "kept.npz", allow_pickle=False, **session.state)
    session(x=xs[3])
    with np.load(tmp_path / "kept.npz") as saved:
        session.state = dict(saved)
    session.state[MEAN][:] = 9  # a copy
    for x, y in zip(xs[2:], wanted[2:], strict=True):
        np.testing.assert_allclose(session(x=x)["y"], y, 1e-4, 1e-5)


def test_given_states_leave_the_kept_ones_alone(session: Session) -> None:
    (x, other, *_) = inputs(3)
    session(x=x)
    before = session.state
    result = session.run({"x": other[:2]}, {}, state={})
    assert result.state[COUNT].tolist() == [int(v > 0) for v in other[:2, 0]]
    again = session.run({"x": other[:2]}, {}, state=result.state)
    assert int(again.state["calls"]) == 2
    assert all(np.array_equal(session.state[name], before[name]) for name in before)


def test_another_batch_needs_a_reset(session: Session) -> None:
    (x, *_) = inputs(3)
    session(x=x)
    before = session.state
    with pytest.raises(UserError, match="CS0860"):
        session(x=x[:2])
    assert all(np.array_equal(session.state[name], before[name]) for name in before)
    session.reset()
    session(x=x[:2])
    for wrong in ({"calls": before["calls"]}, {**before, MEAN: before[MEAN].astype(np.float64)}, {**before, "k": x}):
        with pytest.raises(UserError, match="CS0860"):
            session.state = wrong


def test_threads_share_one_stream(session: Session) -> None:
    (x, *_) = inputs(2)

    def stream() -> None:
        for _ in range(20):
            session(x=abs(x))

    threads = [Thread(target=stream) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert session.state["calls"] == 80
    assert session.state[COUNT].tolist() == [80, 80]


def test_the_manifest_lists_them(folder: Path) -> None:
    listed = json.loads((folder / "cogseed.json").read_bytes())["interface"]
    assert [port["name"] for port in listed["inputs"]] == ["x"]
    assert [port["name"] for port in listed["outputs"]] == ["y"]
    assert listed["states"][1] == {
        "name": MEAN,
        "dtype": "f32",
        "axes": [{"name": "N", "size": "N"}, {"name": "D", "size": "4"}],
        "shape": [None, 4],
        "initial": 0.5,
        "input": f"state.{MEAN}",
        "output": f"next.{MEAN}",
    }


def test_a_model_has_them_as_inputs_and_outputs(tmp_path: Path) -> None:
    folder = cogseedc.compile(TEXT, "onnx-cpu", tmp_path / "art", rng=3)
    (path,) = folder.rglob("model.onnx")
    model = onnxruntime.InferenceSession(path)
    (x, *_) = inputs(2)
    given = {"state.calls": np.array(4), f"state.{MEAN}": x, f"state.{COUNT}": np.array([1, 2])}
    calls, count = model.run(["next.calls", f"next.{COUNT}"], {"x": abs(x), **given})
    assert calls == 5
    assert count.tolist() == [2, 3]


def test_a_module_takes_and_gives_them_and_gradients_pass() -> None:
    module = cogseedc.build(TEXT, rng=3)
    x = torch.from_numpy(abs(inputs(2)[0])).requires_grad_()
    first, state = module(x)
    assert list(state) == ["calls", MEAN, COUNT]
    leaf = {**state, MEAN: state[MEAN].detach().requires_grad_()}
    second, after = module(x, state=leaf)
    after[MEAN].sum().backward()
    torch.testing.assert_close(leaf[MEAN].grad, torch.full((2, 4), 0.5))
    assert module.get_parameter("then.Average.linear.weight").grad.abs().sum() > 0
    with torch.inference_mode():
        evaluated = module.eval()(x, state=leaf)
    torch.testing.assert_close(evaluated.y, second.detach())
    torch.testing.assert_close(evaluated.state[MEAN], after[MEAN].detach())
    assert first.shape == (2, 4)
    start = module.initial_state(2)
    torch.testing.assert_close(start[MEAN], torch.full((2, 4), 0.5))
    assert list(inspect.signature(module.forward).parameters) == ["x", "state", "trace"]


def test_the_command_takes_and_saves_them(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    xs = inputs(2, 3)
    wanted, kept = by_hand(folder, xs)
    for i, x in enumerate(xs):
        np.savez("in.npz", allow_pickle=False, x=x)
        before = ["--state", "kept.npz"] if i else []
        assert command(["run", str(folder), "in.npz", *before, "--save-state", "kept.npz", "-o", "out.npz"]) == 0
        np.testing.assert_allclose(np.load("out.npz")["y"], wanted[i], 1e-4, 1e-5)
    np.testing.assert_allclose(np.load("kept.npz")[MEAN], kept[MEAN], 1e-4, 1e-5)


def test_calibration_sees_states_that_only_later_calls_have(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", allow_pickle=False, x=np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
    folder = cogseedc.compile(
        REDUCED, "onnx-cpu", tmp_path / "art", rng=0, bits="int8", calibration=tmp_path / "in.npz"
    )
    report = verify_artifact(folder)
    assert report.ok, report.to_text()
    assert dict(report.unrounded)["y"] < 0.1  # with the ranges of a first call it is 0.6
