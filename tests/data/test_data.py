"""Data sources: what each gives, how columns are fitted, what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import cogseedc
from cogseedc.data import Columns, fitted, load_data, part_of, read_columns
from cogseedc.diagnostics import UserError
from cogseedc.driver.manifest import interface
from cogseedc.runtime.interface import Interface, interface_of


def ports(inputs: str, outputs: str = "out y: f32[N, K=3]", body: str = "y = zeros[N, 3]()") -> Interface:
    program = cogseedc.load(f"export seed P {{\n    {inputs}\n    {outputs}\n    {body}\n}}\n")
    return interface_of(interface(program.structure), {})


VECTOR = ports("in x: f32[N, D=4]")
IMAGE = ports("in x: f32[N, C=1, H=2, W=2]")


def test_npz_by_name(tmp_path: Path) -> None:
    x, y = np.ones((5, 4), np.float32), np.arange(5) % 3
    np.savez(tmp_path / "d.npz", x=x, y=y)
    found = load_data(str(tmp_path / "d.npz"), VECTOR.inputs, VECTOR.outputs)
    assert found.inputs["x"].dtype == np.float32
    assert found.target.tolist() == [0, 1, 2, 0, 1]
    assert found.output == "y"
    assert len(found) == 5
    assert found.digest != found.take(np.array([0, 1])).digest


def test_csv_and_jsonl(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b,c,d,class\n1,2,3,4,dog\n5,6,7,8,cat\n")
    (tmp_path / "d.jsonl").write_text("".join(json.dumps({"x": [i, 2, 3, 4], "label": i}) + "\n" for i in range(2)))
    table = load_data(str(tmp_path / "d.csv"), VECTOR.inputs, VECTOR.outputs)
    assert (table.classes, table.target.tolist()) == (("cat", "dog"), [1, 0])
    assert table.inputs["x"].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    lines = load_data(str(tmp_path / "d.jsonl"), VECTOR.inputs, VECTOR.outputs)
    assert lines.inputs["x"].dtype == np.float32
    assert lines.target.tolist() == [0, 1]


def test_a_folder_of_images(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for name, grey in (("ant", 0), ("bee", 255)):
        (tmp_path / name).mkdir()
        image.fromarray(np.full((2, 2), grey, np.uint8)).save(tmp_path / name / "1.png")
    found = load_data(str(tmp_path), IMAGE.inputs, IMAGE.outputs)
    assert found.inputs["x"].tolist() == [[[[0, 0], [0, 0]]], [[[1, 1], [1, 1]]]], "bytes become 0 .. 1"
    assert found.classes == ("ant", "bee")


def test_sklearn_and_parts() -> None:
    whole = read_columns("sklearn:digits")
    parts = [read_columns(f"sklearn:digits#{name}") for name in ("train", "validation", "test")]
    assert sum(len(p.arrays["label"]) for p in parts) == len(whole.arrays["label"]) == 1797
    for part in parts:
        shares = np.bincount(part.arrays["label"]) / len(part.arrays["label"])
        np.testing.assert_allclose(shares, np.bincount(whole.arrays["label"]) / 1797, atol=0.005)
    firsts = {p.arrays["features"][0].tobytes() for p in parts}
    assert len(firsts) == 3
    assert len(read_columns("sklearn:digits#0..50").arrays["label"]) == 898


def test_a_function_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mydata_test_module.py").write_text(
        "import numpy as np\ndef f():\n    return np.ones((3, 4)), [0, 1, 2]\n"
    )
    monkeypatch.chdir(tmp_path)
    found = load_data("mydata_test_module:f", VECTOR.inputs, VECTOR.outputs)
    assert found.target.tolist() == [0, 1, 2]
    assert "" not in sys.path[:1] or sys.path.count("") < 2


def test_shapes_are_changed_only_when_it_is_clear_how() -> None:
    flat = Columns({"features": np.arange(8, dtype=np.float32).reshape(2, 4), "label": np.array([0, 1])})
    assert fitted(flat, IMAGE.inputs, IMAGE.outputs).inputs["x"].shape == (2, 1, 2, 2)
    last = Columns({"x": np.zeros((2, 2, 2, 1), np.uint8), "y": np.array([0, 1])})
    assert fitted(last, IMAGE.inputs, IMAGE.outputs).inputs["x"].shape == (2, 1, 2, 2)
    with pytest.raises(UserError, match="CS1002"):
        fitted(Columns({"x": np.zeros((2, 5), np.float32)}), IMAGE.inputs, IMAGE.outputs)
    with pytest.raises(UserError, match="CS1002"):
        fitted(Columns({"a": np.zeros(2), "b": np.zeros(2)}), VECTOR.inputs, VECTOR.outputs)
    with pytest.raises(UserError, match="has 3 classes"):
        fitted(Columns({"x": np.zeros((2, 4)), "y": np.array([0, 3])}), VECTOR.inputs, VECTOR.outputs)


@pytest.mark.parametrize(
    "text",
    ["nothing.pkl", "sklearn:faces", "no_such_module:f", "sklearn:digits#half", "sklearn:digits#80..20", "math:pi"],
)
def test_what_is_no_source_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="CS1001"):
        read_columns(text)


def test_python_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.array([{}], object), allow_pickle=True)
    with pytest.raises(UserError, match="CS0903"):
        read_columns(str(tmp_path / "d.npz"))


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(UserError, match="empty"):
        part_of(Columns({"x": np.zeros(2)}), "10..20")
