"""Artifacts in reduced precision: verified against a reference that rounds alike; wrong ones are caught."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from cogseedc.analysis.widths import Rounding, Widths
from cogseedc.diagnostics import UserError
from cogseedc.driver import artifact as artifacts
from cogseedc.driver.compile import compile as compile_program
from cogseedc.runtime import open as open_artifact
from cogseedc.runtime import read
from cogseedc.verify import verify_artifact

TOUR = Path(__file__).parents[1] / "tour"
TARGETS = ("torch-cpu", "onnx-cpu", "onnx-edge")
PROGRAM = """
seed Body[k: int] {
    bits int8 | fp16 | bf16
    in  x: f32[N, C, H, W]
    out y: f32[N, k, H, W]
    y = x |> conv2d[k, kernel=3, padding=1] |> relu
}
seed Head[k: int] {
    bits int8 | fp16 | bf16
    in  x: f32[N, C, H, W]
    out y: f32[N, K=k]
    y = x |> mean[over=(H, W)] |> linear[16] |> relu |> linear[k]
}
export seed Net {
    in  x: f32[N, C=3, H=8, W=8]
    out y: f32[N, K=4]
    a = x |> Body[8]
    exit easy { y = a |> Head[4] } when confidence(linear[4](mean[over=(H, W)](a))) >= 0.4
    b = a |> max_pool2d[2] |> Body[8]
    y = b |> Head[4]
}
"""


def samples(rows: int = 16) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(5).normal(size=(rows, 3, 8, 8)).astype("float32")}


def compiled(folder: Path, target: str, bits: str, calibrated: bool) -> Path:
    (folder / "net.seed").write_text(PROGRAM)
    calibration = samples() if calibrated else None
    return compile_program(
        folder / "net.seed", target, folder / "out", rng=0, bits=bits, calibration=calibration, verify_each=True
    )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("bits", "calibrated"), [("int8", False), ("int8", True), ("fp16", False), ("auto", True), ("bf16", False)]
)
def test_it_means_its_source_with_the_same_roundings(target: str, bits: str, calibrated: bool, tmp_path: Path) -> None:
    if bits == "bf16" and target != "torch-cpu":
        pytest.skip("only torch has bf16 on the CPU")
    place = compiled(tmp_path, target, bits, calibrated)
    report = verify_artifact(place)
    assert report.ok, report.to_text()
    if bits == "auto" and target == "torch-cpu":  # nothing is faster there
        assert not report.unrounded
        return
    assert report.unrounded[0][1] > 0
    kept = json.loads(read(place).payload("precisions.json"))
    assert {record["precision"] for record in kept["nodes"]} == {"int8" if bits == "auto" else bits}
    assert bool(kept["rounded"]) is calibrated


@pytest.mark.parametrize("target", TARGETS)
def test_precisions_that_a_gate_chooses(target: str, tmp_path: Path) -> None:
    place = compile_program(TOUR / "bits.seed", target, tmp_path / "out", rng=0, verify_each=True)
    report = verify_artifact(place)
    assert report.ok, report.to_text()
    assert report.unrounded
    kept = json.loads(read(place).payload("precisions.json"))
    assert {record["precision"] for record in kept["nodes"]} == {"int8", "fp16"}


@pytest.mark.parametrize("target", ["torch-cpu", "onnx-cpu"])
@pytest.mark.parametrize("calibrated", [False, True])
def test_a_sample_gives_the_same_in_any_batch(target: str, calibrated: bool, tmp_path: Path) -> None:
    session = open_artifact(compiled(tmp_path, target, "int8", calibrated))
    given = samples(6)["x"] * np.array([1, 0.1, 1, 3, 1, 0.5], "float32").reshape(6, 1, 1, 1)
    whole = session.run({"x": given}, {}).outputs["y"]
    for i in range(6):
        alone = session.run({"x": given[i : i + 1]}, {}).outputs["y"]
        assert np.allclose(alone[0], whole[i], atol=1e-5)


@pytest.mark.parametrize("target", ["torch-cpu", "onnx-edge"])
def test_a_scale_other_than_recorded_is_caught(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = artifacts.record_of

    def wrong(widths: Widths, *rest: object) -> object:
        rounded = {value: Rounding(r.scale * 4, r.zero) for value, r in widths.rounded.items()}
        return real(replace(widths, rounded=rounded), *rest)  # type: ignore[arg-type]  # passes on what it is given

    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "record_of", wrong)
        place = compiled(tmp_path, target, "int8", True)
    assert not verify_artifact(place).ok


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    manifests = []
    for folder in (first, second):
        folder.mkdir()
        manifests.append((compiled(folder, "onnx-edge", "int8", True) / "cogseed.json").read_bytes())
    assert manifests[0] == manifests[1]


LOOPS = """
seed Cell {
    bits int8 | fp16
    in  x: f32[N, D]
    out y: f32[N, D]
    y = relu(linear[D](relu(linear[D](x))))
}
export seed Net {
    in  x: f32[N, T, D=8]
    out ys: f32[N, T, D]
    ys = scan a in x over T with h = zeros[N, D]() {
        h2 = repeat 3 with s = a + h until mean(s) > 0.3 { next s = Cell(s) + 0.2 }
        next h = h2
        yield Cell(h2)
    }
}
"""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("bits", "calibrated"), [("int8", False), ("int8", True), ("fp16", False)])
def test_bodies_of_loops_have_precisions_too(target: str, bits: str, calibrated: bool, tmp_path: Path) -> None:
    (tmp_path / "net.seed").write_text(LOOPS)
    given = {"x": np.random.default_rng(5).normal(size=(8, 3, 8)).astype("float32")} if calibrated else None
    place = compile_program(
        tmp_path / "net.seed", target, tmp_path / "out", rng=0, bits=bits, calibration=given, verify_each=True
    )
    report = verify_artifact(place)
    assert report.ok, report.to_text()
    assert report.unrounded[0][1] > 0
    kept = json.loads(read(place).payload("precisions.json"))
    assert not kept["nodes"], "the program itself only scans"
    assert len(kept["loops"]) == 2
    for body in kept["loops"].values():
        assert {record["precision"] for record in body["nodes"]} == {bits}
        assert bool(body["rounded"]) is calibrated


@pytest.mark.parametrize(("dtype", "target"), [*(("f16", target) for target in TARGETS), ("bf16", "torch-cpu")])
def test_a_program_that_writes_types_of_16_bits_is_compared_as_they_are_exact(
    dtype: str, target: str, tmp_path: Path
) -> None:
    (tmp_path / "net.seed").write_text(f"""
export seed Net {{
    in  x: f32[N, D=8]
    out y: f32[N, K=3]
    a = cast[{dtype}](x)
    h = when mean(x) > 0 {{ a |> linear[D] |> layer_norm }} else {{ gru_cell(a, a) }}
    y = cast[f32](linear[K](h))
}}
""")
    report = verify_artifact(compile_program(tmp_path / "net.seed", target, tmp_path / "out", rng=0))
    assert report.ok, report.to_text()


@pytest.mark.parametrize("target", ["onnx-cpu", "onnx-edge"])
def test_values_of_a_type_that_the_target_lacks_are_refused(target: str, tmp_path: Path) -> None:
    (tmp_path / "net.seed").write_text("export seed Net { in x: bf16[N, D=8]  out y: bf16[N, D]  y = relu(x) }")
    with pytest.raises(UserError, match="CS0706"):
        compile_program(tmp_path / "net.seed", target, tmp_path / "out", rng=0)


def test_weights_that_no_output_needs_are_none_of_the_rounded_program(tmp_path: Path) -> None:
    (tmp_path / "net.seed").write_text("""
export seed Net {
    bits fp16
    in  x: f32[N, D=8]
    out y: f32[N, D]
    unread = linear[D](x)
    y = x |> linear[D] |> relu
}
""")
    report = verify_artifact(compile_program(tmp_path / "net.seed", "onnx-cpu", tmp_path / "out", rng=0, bits="fp16"))
    assert report.ok, report.to_text()


HALVES = """
export seed Halves {
    in  x: bf16[N, D=4]
    out y: bf16[N, D]
    out sum: bf16[N]
    state kept: bf16[N] = zeros()
    gate g over N = max[over=D](x) > 0
    sum = max[over=D](x) + kept
    next kept = sum
    y = when g { relu(linear[D](x)) } else { x }
}
"""


def test_bf16_goes_in_and_out_as_f32(tmp_path: Path) -> None:
    """Numpy has no bf16; its values are exact in f32, and an extension's arrays are taken, too."""
    (tmp_path / "net.seed").write_text(HALVES)
    artifact = compile_program(tmp_path / "net.seed", "torch-cpu", tmp_path / "a", rng=0)
    report = verify_artifact(artifact)
    assert report.ok, report.to_text()
    session = open_artifact(artifact)
    x = np.array([[1.001, 2, 3, 4.001]], np.float32)
    kept = [session(x=given)["sum"] for given in (x, x.astype(ml_dtypes.bfloat16))]
    assert [(array.dtype.name, array.tolist()) for array in kept] == [("float32", [4.0]), ("float32", [8.0])]
