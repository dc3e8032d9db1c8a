"""Scans whose turns are skipped by their state: what a turn of the emitted model does, and that it is what is meant."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from cogseedc.bench.compiled import compiled
from tests import whole

STATED = """
export seed Stated {
    in  xs: f32[N, T=5, D=3]
    out y: f32[N, K=4]
    out all: f32[N, T, K]
    knob pace = 1.5 in 0 .. 9
    share cell = gru_cell[4]
    share want = linear[1]
    all, y, u = scan x in xs over T with h = zeros[N, 4](), u = ones[N, 1]() {
        gate update over N = u > 1
        h2 = when update { cell(x, h) } else { h }
        next h = h2
        next u = when update { pace * sigmoid(want(h2)) } else { u + pace * sigmoid(want(h2)) }
        yield h2
    }
}
"""
THREE = """
export seed Three {
    in  xs: f32[T=4, N, D=3]
    out y: f32[N, D]
    share work = linear[3]
    y = scan x in xs over T with h = zeros[N, 3]() {
        gate which over N = argmax(h + x)
        often = mean(x) > 0
        a = route which { 0 => work(h)  1 => h + x  2 => h }
        next h = when often { tanh(linear[3](a)) } else { a }
    }
}
"""
INSIDE = """
export seed Inside {
    in  xs: f32[N, T=3, S=2, D=3]
    out y: f32[N, D]
    gate hard over N = mean[over=(T, S, D)](xs) > 0
    share work = linear[3]
    y = when hard {
        y = scan row in xs over T with h = zeros[N, 3]() {
            k = scan x in row over S with k = h {
                gate more over N = mean[over=D](k + x) > 0
                next k = when more { tanh(work(k) + x) } else { k }
            }
            next h = k
        }
        yield y
    } else { xs[T=0, S=0] }
}
"""
PROGRAMS = {"stated": STATED, "three": THREE, "inside": INSIDE}


@pytest.mark.parametrize("target", ["onnx-cpu", "onnx-edge", "torch-cpu"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_values_decisions_and_rows(name: str, target: str, tmp_path: Path) -> None:
    source = tmp_path / f"{name}.seed"
    source.write_text(PROGRAMS[name])
    folder = tmp_path / "made"
    folder.mkdir()
    artifact = whole.compiled(source, target, folder, whole.Small())
    whole.verifies_and_runs(artifact, whole.of(artifact))


def bodies(text: str, target: str) -> dict[str, onnx.GraphProto]:
    """What is run for each turn, by the kind of the loop."""
    model = onnx.ModelProto.FromString(compiled(text, target, bits="fp32").payload)
    return {n.op_type: n.attribute[-1].g for n in model.graph.node if n.op_type in ("Loop", "Scan")}


@pytest.mark.parametrize("target", ["onnx-cpu", "onnx-edge"])
def test_a_turn_computes_nothing_for_the_trace(target: str) -> None:
    (body,) = bodies(STATED, target).values()
    read = {name for node in body.node for name in node.input}
    assert "cogseed.trace" not in read
    assert "Cast" not in {node.op_type for node in body.node}


def test_turns_of_a_known_number_are_a_scan() -> None:
    assert list(bodies(STATED, "onnx-cpu")) == ["Scan"]
    assert list(bodies(STATED.replace("T=5", "T"), "onnx-cpu")) == ["Loop"]


def test_a_cell_that_no_row_runs_is_skipped() -> None:
    (body,) = bodies(STATED, "onnx-cpu").values()
    (choice,) = [node for node in body.node if node.op_type == "If"]
    inside = {n.op_type for a in choice.attribute if a.name == "then_branch" for n in a.g.node}
    assert {"Compress", "Gemm", "ScatterND"} <= inside, "with what takes its rows and puts them back"
