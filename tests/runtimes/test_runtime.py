"""Opening and running artifacts: what is checked, what is refused with which code, what comes out."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save as save_safetensors

from cogseedc.backends.plan.model import Strategy, Wrap
from cogseedc.diagnostics.model import UserError
from cogseedc.publish import sealed
from cogseedc.runtime import open as open_artifact
from cogseedc.runtime.interface import evaluate
from tests.backends.test_onnx import CPU, EDGE, early_exit, images, model_of

MODULE = """
from typing import NamedTuple

import torch


class Outputs(NamedTuple):
    logits: torch.Tensor


class Traced(Outputs):
    trace = {}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(3, 10)

    def forward(self, image, *, tau=None, trace=False):
        logits = self.head(image.mean((2, 3)))
        taken = logits[:, -1] > (0.1 if tau is None else tau)
        if not trace:
            return Outputs(logits)
        outputs = Traced(logits)
        outputs.trace = {"exits.e0": taken.long(), "exits.e1": torch.where(taken, -1, 0)}
        return outputs
"""


def port(name: str, dtype: str, *sizes: object) -> dict[str, Any]:
    axes = [{"name": None if isinstance(s, int) else s, "size": str(s)} for s in sizes]
    return {"name": name, "dtype": dtype, "axes": axes, "shape": [s if isinstance(s, int) else None for s in sizes]}


def gate(name: str) -> dict[str, Any]:
    return port(name, "bool", "N") | {
        "kind": "bool", "arms": 2, "over": ["N"], "exit": name.removeprefix("exits."), "strategy": None
    }  # fmt: skip


def entry(name: str, data: bytes) -> dict[str, Any]:
    digest = sha256(data).hexdigest()
    return {"path": f"{digest[:16]}/{name}", "sha256": digest, "size": len(data)}


def manifest(backend: str, batch_one: bool, payloads: dict[str, bytes]) -> dict[str, Any]:
    gates = [gate("exits.e0"), gate("exits.e1")]
    return {
        "schema": 1,
        "tool": {"name": "cogseedc", "version": "1"},
        "name": "net",
        "target": {
            "name": f"{backend}-test", "backend": backend, "device": "cpu", "providers": ["CPUExecutionProvider"],
            "batch_one": batch_one,
        },
        "weights": {"payload": "weights.safetensors"},
        "model": {"payload": "model.onnx"} if backend == "onnx" else {"payload": "model.py", "class": "Net"},
        "interface": {
            "inputs": [port("image", "f32", "N", 3, 8, 8)],
            "outputs": [port("logits", "f32", "N", 10)],
            "knobs": [port("tau", "f32") | {"default": [0.1], "low": -10.0, "high": 10.0}],
            "gates": gates,
            "exits": [{"name": g["exit"], "gate": g["name"]} for g in gates],
        },
        "payloads": {
            name: entry(name, data) for name, data in payloads.items()
        },
    }  # fmt: skip


def write(folder: Path, backend: str, batch_one: bool = False) -> Path:
    weights = {"head.weight": np.ones((10, 3), np.float32), "head.bias": np.zeros(10, np.float32)}
    payloads = {"weights.safetensors": save_safetensors(weights)}
    if backend == "onnx":
        strategy, wrap = (Strategy.BRANCH, Wrap.CONDITION) if batch_one else (Strategy.COMPACT, Wrap.NONE)
        payloads["model.onnx"] = model_of(early_exit(strategy, wrap), EDGE if batch_one else CPU, True)
    else:
        payloads["model.py"] = MODULE.encode()
    described = manifest(backend, batch_one, payloads)
    for name, written in described["payloads"].items():
        place = folder / written["path"]
        place.parent.mkdir(parents=True)
        place.write_bytes(payloads[name])
    (folder / "cogseed.json").write_bytes(sealed(described))
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("whole") / "net", "onnx")


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    return caught.value.diagnostics[0].code


@pytest.mark.parametrize("kind", ["onnx", "torch", "edge"])
def test_runs_batches(tmp_path: Path, kind: str) -> None:
    session = open_artifact(write(tmp_path / "net", "torch" if kind == "torch" else "onnx", kind == "edge"), threads=1)
    assert [p.name for p in session.inputs] == ["image"]
    assert [p.name for p in session.outputs] == ["logits"]
    assert [k.name for k in session.knobs] == ["tau"]
    assert [g.name for g in session.gates] == ["exits.e0", "exits.e1"]
    assert session.batch_one is (kind == "edge")
    for rows in (0, 1, 2, 7):
        result = session(**images(rows), trace=True)
        assert result["logits"].shape == (rows, 10)
        assert result["logits"].dtype == np.float32
        assert list(result) == ["logits"]
        for name in ("exits.e0", "exits.e1"):
            assert result.trace[name].shape == (rows,)
        assert (result.exits["e0"] == (result.trace["exits.e0"] == 1)).all()
        assert ((result.trace["exits.e1"] == -1) == result.exits["e0"]).all()
        if kind != "torch" and rows:
            assert result.rows["stage1"] == rows - result.exits["e0"].sum()
        plain = session(**images(rows))
        np.testing.assert_array_equal(plain["logits"], result["logits"])
        assert not plain.trace
    assert not session(**images(5), knobs={"tau": 10.0}, trace=True).exits["e0"].any()
    assert session(**images(5), knobs={"tau": -10}, trace=True).exits["e0"].all()


def test_threads_share_a_session(whole: Path) -> None:
    session = open_artifact(whole, threads=1)
    expected = [session(**images(rows))["logits"] for rows in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            found = pool.map(lambda rows: session(**images(rows))["logits"], range(1, 9))
            for logits, wanted in zip(found, expected, strict=True):
                np.testing.assert_array_equal(logits, wanted)


IMAGE = images(2)["image"]


@pytest.mark.parametrize(
    ("code", "inputs", "knobs"),
    [
        ("CS0843", {}, {}),
        ("CS0843", {"image": IMAGE, "imgae": IMAGE}, {}),
        ("CS0845", {"image": None}, {}),
        ("CS0845", {"image": IMAGE.tolist()}, {}),
        ("CS0845", {"image": IMAGE.astype(np.float64)}, {}),
        ("CS0845", {"image": IMAGE.astype(object)}, {}),
        ("CS0844", {"image": IMAGE[0]}, {}),
        ("CS0844", {"image": IMAGE[:, :2]}, {}),
        ("CS0846", {"image": IMAGE}, {"rho": 1.0}),
        ("CS0846", {"image": IMAGE}, {"tau": 11.0}),
        ("CS0846", {"image": IMAGE}, {"tau": float("nan")}),
        ("CS0846", {"image": IMAGE}, {"tau": [0.5]}),
        ("CS0846", {"image": IMAGE}, {"tau": "much"}),
    ],
)
def test_refuses_inputs(whole: Path, code: str, inputs: dict[str, Any], knobs: dict[str, Any]) -> None:
    session = open_artifact(whole, threads=1)
    assert code_of(lambda: session(**inputs, knobs=knobs)) == code


def test_takes_any_layout_and_byte_order(whole: Path) -> None:
    session = open_artifact(whole, threads=1)
    expected = session(image=IMAGE)["logits"]
    strided = np.asfortranarray(IMAGE)
    for image in (strided, IMAGE.astype(">f4"), np.repeat(IMAGE, 2, 0)[::2]):
        np.testing.assert_array_equal(session(image=image)["logits"], expected)


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    place = folder / "cogseed.json"
    described = json.loads(place.read_text())
    change(described)
    place.write_bytes(sealed(described))


def flip(folder: Path) -> None:
    [model] = folder.glob("*/model.onnx")
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(bytes(data))


def link(folder: Path) -> None:
    [model] = folder.glob("*/model.onnx")
    model.rename(folder / "model.onnx")
    model.symlink_to(folder / "model.onnx")


def link_folder(folder: Path) -> None:
    [model] = folder.glob("*/model.onnx")
    shutil.move(model.parent, folder / "there")
    model.parent.symlink_to(folder / "there")


def pipe(folder: Path) -> None:
    [model] = folder.glob("*/model.onnx")
    model.unlink()
    os.mkfifo(model)


@pytest.mark.parametrize(
    ("code", "harm"),
    [
        ("CS0830", lambda f: (f / "cogseed.json").unlink()),
        ("CS0831", flip),
        ("CS0831", lambda f: next(f.glob("*/model.onnx")).write_bytes(b"")),
        ("CS0831", lambda f: (f / "cogseed.json").write_text("{")),
        ("CS0831", lambda f: (f / "cogseed.json").write_text("[1]")),
        ("CS0831", lambda f: (f / "cogseed.json").write_text("[" * 100_000)),
        ("CS0831", lambda f: edit(f, lambda m: m.pop("interface"))),
        ("CS0831", lambda f: edit(f, lambda m: m.update(schema="1"))),
        ("CS0831", lambda f: edit(f, lambda m: m["payloads"]["model.onnx"].update(path="../model.onnx"))),
        ("CS0831", lambda f: edit(f, lambda m: m["payloads"]["model.onnx"].update(path="/etc/passwd"))),
        ("CS0831", lambda f: edit(f, lambda m: m["target"].update(backend="tvm"))),
        ("CS0832", lambda f: edit(f, lambda m: m.update(schema=2))),
        ("CS0833", lambda f: next(f.glob("*/model.onnx")).unlink()),
        ("CS0833", lambda f: shutil.rmtree(next(f.glob("*/model.onnx")).parent)),
        ("CS0834", link),
        ("CS0834", link_folder),
        ("CS0834", pipe),
        ("CS0836", lambda f: edit(f, lambda m: m["target"].update(providers=["CUDAExecutionProvider"]))),
    ],
)
def test_refuses_artifacts(tmp_path: Path, whole: Path, code: str, harm: Callable[[Path], object]) -> None:
    folder = tmp_path / "net"
    shutil.copytree(whole, folder)
    harm(folder)
    if code == "CS0836":
        import onnxruntime

        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            pytest.skip("this machine has the provider")
        assert open_artifact(folder, device="cpu")(image=IMAGE)["logits"].shape == (2, 10)
    assert code_of(lambda: open_artifact(folder)) == code


def replace(folder: Path, name: str, data: bytes) -> None:
    digest = sha256(data).hexdigest()
    (folder / digest[:16]).mkdir()
    (folder / digest[:16] / name).write_bytes(data)
    edit(folder, lambda m: m["payloads"].update({name: entry(name, data)}))


@pytest.mark.parametrize(
    ("code", "backend", "name", "data"),
    [
        ("CS0835", "onnx", "model.onnx", b"no model"),
        ("CS0835", "torch", "model.py", b"class Net: pass"),
        ("CS0835", "torch", "model.py", b"import nothing_of_that_name"),
        ("CS0838", "torch", "weights.safetensors", b"{}"),
        ("CS0838", "torch", "weights.safetensors", save_safetensors({"head.weight": np.ones((10, 3), np.float32)})),
    ],
)
def test_refuses_models(tmp_path: Path, code: str, backend: str, name: str, data: bytes) -> None:
    folder = write(tmp_path / "net", backend)
    replace(folder, name, data)
    assert code_of(lambda: open_artifact(folder)) == code


def test_inputs_must_agree_on_a_size() -> None:
    from cogseedc.ir import Dtype
    from cogseedc.runtime.checks import check_inputs
    from cogseedc.runtime.interface import Port

    ports = [Port(name, Dtype.F32, ("N", "T"), ("N", "T")) for name in ("a", "b")]
    a, b = np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)
    assert check_inputs(ports, {"a": a, "b": a})[1] == {"N": 2, "T": 3}
    assert code_of(lambda: check_inputs(ports, {"a": a, "b": b})) == "CS0844"


@pytest.mark.parametrize(
    ("size", "value"), [("3", 3), ("T", 7), ("(T - 2) / 2 + 1", 3), ("-T + 9", 2), ("2 * T * T", 98)]
)
def test_sizes_are_evaluated(size: str, value: int) -> None:
    assert evaluate(size, {"T": 7}) == value


@pytest.mark.parametrize("size", ["", "T T", "f(T)", "T ** 2", "T.x", "1 / 0", "__import__('os')"])
def test_what_is_no_size_is_damage(size: str) -> None:
    assert code_of(lambda: evaluate(size, {"T": 7, "f": 1})) == "CS0831"
