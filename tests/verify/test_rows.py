"""Rows that each part of a program runs on, in loops summed over their turns, are exactly those that its decisions ask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cogseedc
from cogseedc.driver.weights import Weights
from cogseedc.interp import Reference, bind_sizes
from cogseedc.runtime import read
from cogseedc.verify import RowPlan, artifact, verify_artifact
from cogseedc.verify.artifact import planned_rows
from cogseedc.verify.inputs import random_inputs
from cogseedc.verify.rows import predict_rows

PROGRAMS = {
    "stops": """
    in  x: f32[N, D=6]
    out y: f32[N, D]
    gate hard over N = mean(x) > 0
    y = when hard {
        z = repeat 5 with h = x until mean(h) > 0.3 {
            gate on over N = h[D=0] > 0
            next h = when on { tanh(linear[D](h)) + 0.1 } else { h + 0.1 }
        }
        yield z
    } else { relu(x) }
""",
    "nests": """
    in  x: f32[N, T, D=4]
    out y: f32[N, T, D]
    y, h = scan a in x over T with h = zeros[N, D]() until mean(h) > 0.6 {
        z = repeat 4 with s = tanh(linear[D](a + h)) until mean(s) > 0.2 {
            gate pick over N = argmax(linear[3](s))
            next s = route pick { 0 => tanh(linear[D](s))  1 => s + 0.1  else => tanh(linear[D](s)) + 0.2 }
        }
        next h = z
        yield z
    }
""",
    "tokens": """
    in  x: f32[N, T, D=4]
    out y: f32[N, T, D]
    y = repeat 4 with h = x until mean[over=D](h) > 0.2 {
        gate pick over N = top[2](softmax(linear[E=3](mean[over=T](h))))
        next h = h + route pick { e in 0 .. 3 => tanh(linear[D](h)) }
    }
""",
    "uniform": """
    in  x: f32[N, D=4]
    out y: f32[N, D]
    knob most = 3 in 1 .. 6
    y, n = repeat 6 with h = x, n = 0 until n >= most {
        gate on over N = mean(h) > 0
        next h = when on { tanh(linear[D](h)) } else { h + 0.1 }
        next n = n + 1
    }
""",
    "ahead": """
    in  x: f32[N, T, D=4]
    out y: f32[N, T, D]
    out h: f32[N, D]
    y, h = scan a in x over T with h = zeros[N, D]() {
        gate new over N = mean(a) > 0
        h2 = when new { gru_cell(linear[D](a), h) } else { h }
        next h = h2
        yield h2
    }
""",
    "pixels": """
    in  x: f32[N, C=2, H=6, W=6]
    out y: f32[N, C, H, W]
    gate busy over N, H, W = mean[over=C](x) + 20 * mean[over=(C, H, W)](x) > 3
    y = when busy {
        h = x |> conv2d[C, kernel=3, padding=1] |> tanh
        gate deep over N = mean[over=(C, H, W)](h) > 0
        g = when deep { h |> conv2d[C, kernel=3, padding=1] |> tanh } else { h }
        yield g |> conv2d[C, kernel=3, padding=1]
    } else { 2 * x }
""",
    "words": """
    in  x: f32[N, T, D=4]
    out y: f32[N, T, D]
    y = repeat 3 with h = x until mean[over=(T, D)](h) > 0.5 {
        gate told over N, T = h[D=0] + 20 * mean[over=(T, D)](h) > 3
        next h = when told { h + tanh(softmax[over=T](linear[D](h))) } else { h + 0.2 }
    }
""",
}
"""By name: the body of a seed."""
HELD = {"stops": 3, "nests": 4, "tokens": 4, "uniform": 3, "ahead": 1, "pixels": 3, "words": 3}
"""How many counts there must be at least."""


def compiled(name: str, target: str, folder: Path, gates: str = "auto") -> Path:
    source = folder / "net.seed"
    source.write_text(f"export seed Net {{{PROGRAMS[name]}}}\n")
    return cogseedc.compile(source, target, folder / "art", rng=3, gates=gates)


@pytest.mark.parametrize("rows", [0, 1, 9])
@pytest.mark.parametrize(
    ("target", "gates"), [("torch-cpu", "compact"), ("onnx-cpu", "compact"), ("onnx-edge", "auto")]
)
@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_every_count_is_predicted(name: str, target: str, gates: str, rows: int, tmp_path: Path) -> None:
    folder = compiled(name, target, tmp_path, gates)
    program = cogseedc.load(tmp_path / "net.seed")
    session = cogseedc.open(folder)
    spaces = planned_rows(read(folder), program, Weights.of(program, None, 3))
    inputs = random_inputs(program.elaborated.graph, rows, {"T": 5}, 0)
    result = session.run(inputs, {}, trace=True)
    predicted = predict_rows(spaces, result.trace, rows, bind_sizes(program.elaborated.graph, inputs))
    assert len(result.rows) >= HELD[name] or rows < 9 or target == "onnx-edge"
    assert result.rows == {count: predicted[count] for count in result.rows}
    if rows == 9 and name in ("stops", "nests"):
        assert 9 < max(result.rows.values()) < 9 * 5 * 4, "some rows stop before others"


@pytest.mark.parametrize("target", ["torch-cpu", "onnx-cpu"])
def test_a_loop_that_runs_on_is_caught(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan in which rows leave, held against an artifact whose rows stay until all have stopped."""
    folder = compiled("nests", target, tmp_path, "dense")
    assert verify_artifact(folder).ok
    real = planned_rows

    def leaving(*given: object) -> RowPlan:
        found = real(*given)  # type: ignore[arg-type]  # passes on what it is given
        return replace(found, loops=tuple(replace(loop, together=False) for loop in found.loops))

    monkeypatch.setattr(artifact, "planned_rows", leaving)
    report = verify_artifact(folder)
    assert {m.kind for m in report.mismatches} == {"rows"}
    assert {m.name.rsplit(".", 1)[-1] for m in report.mismatches} == {"turns"}


@pytest.mark.parametrize("gates", ["auto", "dense", "compact"])
@pytest.mark.parametrize("target", ["torch-cpu", "onnx-cpu"])
@pytest.mark.parametrize("name", ["stops", "nests"])
def test_a_trace_tells_what_was_reached_however_it_was_computed(
    name: str, target: str, gates: str, tmp_path: Path
) -> None:
    session = cogseedc.open(compiled(name, target, tmp_path, gates))
    program = cogseedc.load(tmp_path / "net.seed")
    inputs = random_inputs(program.elaborated.graph, 9, {"T": 5}, 0)
    weights = Weights.of(program, None, 3).arrays
    wanted = Reference(program.structure, weights).run(inputs).trace
    found = session.run(inputs, {}, trace=True).trace
    assert set(found) == set(wanted)
    for gate, trace in found.items():
        np.testing.assert_array_equal(trace, wanted[gate], err_msg=gate)
