"""Integer layers run as such: shown by ONNX Runtime's own profile."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from cogseedc.driver.compile import compile as compile_program
from cogseedc.runtime import read

PROGRAM = Path(__file__).parents[2] / "examples" / "02_early_exit.seed"


def operators(place: Path, folder: Path) -> Counter[str]:
    """What one run of an artifact on one image executes, all exits refused."""
    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(read(place).payload("model.onnx"), options, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(1).normal(size=(1, 1, 28, 28)).astype("float32")
    session.run(["logits"], {"image": image, "tau": np.array(1, "float32")})
    events = json.loads(Path(session.end_profiling()).read_text())
    return Counter(e["args"]["op_name"] for e in events if e.get("cat") == "Node" and "op_name" in e.get("args", {}))


def test_calibrated_convolutions_are_integer_ones(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(32, 1, 28, 28)).astype("float32")
    np.savez(tmp_path / "x.npz", image=images)
    place = compile_program(PROGRAM, "onnx-edge", tmp_path / "out", rng=0, calibration=tmp_path / "x.npz")
    found = operators(place, tmp_path)
    assert found["QLinearConv"] == 3
    assert not {"Conv", "FusedConv", "NhwcFusedConv"} & found.keys()


@pytest.mark.parametrize("target", ["onnx-edge", "onnx-cpu"])
def test_without_calibration_linear_layers_are(target: str, tmp_path: Path) -> None:
    place = compile_program(PROGRAM, target, tmp_path / "out", rng=0, bits="int8")
    found = operators(place, tmp_path)
    assert found["MatMulInteger"] + found["MatMulIntegerToFloat"] == 3
    assert "Gemm" not in found
