"""The bench measures what it says: ratios with intervals, limits of exactly the needed parts, a table, records, a drawing."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from cogseedc.bench import Bound, Cell, Figure, Work, chart, document, measure, ratio, table, typical
from cogseedc.bench.compiled import compiled
from cogseedc.bench.segments import has_limit
from cogseedc.cli.main import cli
from cogseedc.cli.state import State
from cogseedc.driver.compile import Request
from cogseedc.driver.program import load

PROGRAM = """
export seed Two {
    in  x: f32[N, D=8]
    out y: f32[N, K=4]
    knob tau = 0.9 in 0 .. 1
    h = x |> linear[J=16] |> relu
    exit early { y = h |> linear[4] } when h[J=0] > tau
    y = h |> linear[32] |> relu |> linear[4]
}
"""
FIRST, EXIT, REST = 8 * 16, 16 * 4, 16 * 32 + 32 * 4
"""Multiply-accumulates per row."""


def test_a_ratio_is_taken_round_by_round() -> None:
    below = [1.0, 2.0, 4.0, 8.0]
    assert ratio([3 * b for b in below], below) == Figure(3.0, 3.0, 3.0)
    found = typical([1.0, 2.0, 3.0, 4.0, 100.0])
    assert found.low <= found.value == 3.0 <= found.high


def test_candidates_take_turns() -> None:
    seen: list[str] = []
    clock = iter(range(10_000))
    samples = measure(
        {name: lambda name=name: seen.append(name) for name in "abc"}, 6, timer=lambda: float(next(clock)), least=0.0
    )
    assert all(len(times) == 6 for times in samples.values())
    turns = [tuple(seen[i : i + 3]) for i in range(len(seen) - 18, len(seen), 3)]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in turns)
    assert len(set(turns)) > 3


@pytest.mark.parametrize("target", ["onnx-cpu", "torch-cpu"])
def test_the_limit_is_exactly_what_the_decisions_ask_for(target: str) -> None:
    ours = compiled(PROGRAM, target, gates="compact")
    limit = ours.limit()
    feed = {"x": np.random.default_rng(0).standard_normal((20, 8)).astype(np.float32), "tau": np.array(0.3, np.float32)}
    work = ours.work(feed)
    leave, stay = work.rows["early"], work.rows["not_early"]
    assert 0 < leave < 20
    assert leave + stay == 20
    assert limit.macs(work) == 20 * FIRST + leave * EXIT + stay * REST
    assert len(limit.runs(work)) == 3
    assert len(limit.runs(Work(20, {"early": 20, "not_early": 0}))) == 2
    for run in limit.runs(work):
        run()
    assert ours.limit(gates=False).macs(work) == limit.macs(work), "the gate multiplies nothing"


EXPERTS = """
export seed Tokens {
    in  x: f32[N, T=5, D=4]
    out y: f32[N, T, D]
    gate pick over N, T = top[2](linear[E=3](x))
    y = route pick { 0 => linear[4](relu(linear[5](x)))  1 => linear[4](relu(linear[6](x)))  2 => linear[4](relu(linear[7](x))) }
}
"""


@pytest.mark.parametrize("target", ["onnx-cpu", "torch-cpu"])
def test_the_limit_counts_positions(target: str) -> None:
    ours = compiled(EXPERTS, target, gates="compact")
    limit = ours.limit()
    work = ours.work({"x": np.random.default_rng(0).standard_normal((6, 5, 4)).astype(np.float32)})
    tokens = [work.rows[f"pick_{arm}"] for arm in range(3)]
    assert sum(tokens) == 2 * 6 * 5
    assert limit.macs(work) == 6 * 5 * 4 * 3 + sum(n * 2 * 4 * (5 + arm) for arm, n in enumerate(tokens))
    for run in limit.runs(work):
        run()


CELLS = [
    Cell(
        "P1", "batch 1", {"x static": Figure(2.0, 1.9, 2.1), "limit": Figure.exact(2.2)}, [Bound("x static", least=2.0)]
    ),
    Cell(
        "P1",
        "batch 8",
        {"x static": Figure(1.0, 0.9, 1.1), "limit": Figure.exact(1.0)},
        [Bound("x static", least=2.0), Bound("gone", most=1)],
    ),
]


def test_a_table_says_what_is_missed() -> None:
    lines = table(CELLS)
    assert lines[0].split() == ["x", "static", "limit"]
    assert lines[1].split() == ["batch", "1", "2", "±0.1", "2.2"]
    assert lines[3:] == ["missed: P1 batch 8: x static 1, at least 2 wanted"]
    records = document(CELLS, {"rounds": 3})
    assert json.loads(json.dumps(records))["cells"][0]["figures"]["x static"] == {"value": 2.0, "low": 1.9, "high": 2.1}


def test_the_drawing_is_svg_with_a_bar_for_each_cell() -> None:
    drawn = chart(CELLS, "a < b")
    root = ElementTree.fromstring(drawn)
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"P1  batch 1", "P1  batch 8", "a < b"} <= set(texts)
    assert drawn == chart(CELLS, "a < b")


def test_bench_of_a_program_and_of_its_artifact(tmp_path) -> None:  # type: ignore[no-untyped-def]
    source = tmp_path / "two.seed"
    source.write_text(PROGRAM)
    inputs = tmp_path / "in.npz"
    np.savez(inputs, x=np.random.default_rng(0).standard_normal((9, 8)).astype(np.float32))

    def run(*arguments: str) -> dict[str, object]:
        result = CliRunner().invoke(
            cli, ["bench", *arguments, "--rounds", "1", "--json"], obj=State(), standalone_mode=False
        )
        assert result.exception is None, result.output
        return json.loads(result.stdout)  # type: ignore[no-any-return]

    found = run(str(source), "-t", "torch-cpu", "--batch", "4", "--inputs", str(inputs), "-o", str(tmp_path / "out"))
    (cell,) = found["cells"]  # type: ignore[misc]
    assert (cell["row"], cell["cell"]) == ("torch-cpu", "batch 4")  # type: ignore[index]
    assert {"x everything", "limit", "efficiency", "x FLOPs"} <= set(cell["figures"])  # type: ignore[index]
    assert json.loads((tmp_path / "out" / "bench.json").read_text()) == found
    assert (tmp_path / "out" / "bench.svg").is_file()
    CliRunner().invoke(cli, ["build", str(source), "-t", "onnx-edge", "-o", str(tmp_path / "art")], obj=State())
    (cell,) = run(str(tmp_path / "art"))["cells"]  # type: ignore[misc]
    assert (cell["row"], cell["cell"]) == ("onnx-edge", "batch 1")  # type: ignore[index]


@pytest.mark.parametrize("target", ["torch-cpu", "onnx-cpu"])
def test_states_are_those_of_a_first_call(tmp_path: Path, target: str) -> None:
    source = tmp_path / "kept.seed"
    source.write_text(
        "export seed Kept {\n in x: f32[N, D=8]\n out y: f32[N, D]\n state k: f32[N, D=8] = zeros()\n next k = x\n"
        " y = when mean[over=D](x) > 0 { linear[D](x) + k } else { x }\n}\n"
    )
    arguments = ["bench", str(source), "-t", target, "--batch", "4", "--rounds", "1", "--json"]
    result = CliRunner().invoke(cli, arguments, obj=State(), standalone_mode=False)
    assert result.exception is None, result.output
    assert [cell["cell"] for cell in json.loads(result.stdout)["cells"]] == ["batch 4"]


def test_what_is_computed_for_some_channels_has_no_limit() -> None:
    source = """\
export seed Channels {
    in  x: f32[N, C=8, H=6, W=6]
    out y: f32[N, C, H, W]
    gate on over N, C = mean[over=(H, W)](x) > 0
    y = when on { conv2d[C, kernel=3, padding=1](x) } else { 0 }
}
"""
    program = load(source)
    for gates, whole in (("compact", False), ("dense", True)):
        assert has_limit(compiled(program, "torch-cpu", request=Request(gates=gates)).plan) is whole  # type: ignore[arg-type]
