"""What loops cost: turns times a path through the body, and what a trace says that a sample has spent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cogseedc
from cogseedc.analysis.cost import LoopCost, costs, node_cost
from cogseedc.analysis.paths import Extreme
from cogseedc.driver.costs import measured
from cogseedc.ir import Graph, Guard
from cogseedc.ops import OPS
from cogseedc.runtime import read
from cogseedc.runtime.spending import read_work
from cogseedc.verify.inputs import random_inputs

LAYER = 6 * 6
PONDER = """\
export seed Ponder {
    in  x: f32[N, D=6]
    out y: f32[N, D]
    out n: i64[N]
    first = linear[D](x)
    exit at_once { y = first  n = zeros[N, dtype=i64]() } when mean(first) > 0.5
    h, n = repeat 5 with h = first, n = 0 until done {
        gate hard over N = mean(h) > 0
        step = when hard { tanh(linear[D](linear[D](h))) } else { tanh(linear[D](h)) + 0.2 }
        gate done over N = mean(step) > 0.1
        next h = step
        next n = n + 1
    }
    y = linear[D](h)
}
"""
NESTED = """\
export seed Nested {
    in  x: f32[N, T, D=6]
    out y: f32[N, T, D]
    out n: f32[N]
    y, h, n = scan a in x over T with h = zeros[N, D](), n = 0.0 {
        s, k = repeat 3 with s = a + h, k = 0.0 until mean(s) > 0 {
            next s = tanh(linear[D](s)) + 0.1
            next k = k + 1
        }
        next h = s
        next n = n + k
        yield linear[D](s)
    }
}
"""


def record(text: str, folder: Path, rates: dict[str, float] | None = None) -> dict[str, Any]:
    source = folder / "net.seed"
    source.write_text(text)
    program = cogseedc.load(source)
    found = measured(costs(program.structure, OPS, {"T": 4}), rates)
    return json.loads(json.dumps(found))


def test_turns_times_paths(tmp_path: Path) -> None:
    found = record(PONDER, tmp_path)
    least, worst = 1 * LAYER + 1 * LAYER + LAYER, LAYER + 5 * 2 * LAYER + LAYER
    assert found["macs"]["least"] == LAYER, "the exit"
    assert found["macs"]["worst"] == worst
    assert [(e["name"], e["least"], e["worst"]) for e in found["exits"]] == [
        ("at_once", LAYER, LAYER),
        (None, least, worst),
    ]
    (loop,) = found["loops"]
    assert loop["turns"] == {"least": 1, "expected": pytest.approx((1 - 0.5**5) / 0.5), "worst": 5}
    assert loop["macs"] == {"least": LAYER, "expected": 1.5 * LAYER, "worst": 2 * LAYER}
    turns = loop["turns"]["expected"]
    assert found["macs"]["expected"] == pytest.approx(LAYER + 0.5 * (turns * 1.5 * LAYER + LAYER))


def test_given_rates_of_gates_inside(tmp_path: Path) -> None:
    base = record(PONDER, tmp_path)
    hard, done = (next(g for g in base["rates"] if g.endswith(name)) for name in ("hard", "done"))
    found = record(PONDER, tmp_path, {"at_once": 0.0, hard: 1.0, done: 0.25})
    turns = (1 - 0.75**5) / 0.25
    assert found["macs"]["expected"] == pytest.approx(LAYER + turns * 2 * LAYER + LAYER)
    assert record(PONDER, tmp_path, {"at_once": 0.0, hard: 0.0, done: 0.0})["macs"]["expected"] == 7 * LAYER


def test_weights_of_bodies_count_once(tmp_path: Path) -> None:
    found = record(PONDER, tmp_path)
    layer = LAYER + 6
    assert found["params"] == 5 * layer
    assert [e["params"] for e in found["exits"]] == [layer, 5 * layer]
    assert found["weight_bytes"] == 4 * 5 * layer


@pytest.mark.parametrize("target", ["torch-cpu", "onnx-cpu"])
def test_traces_say_what_each_sample_has_spent(target: str, tmp_path: Path) -> None:
    source = tmp_path / "net.seed"
    source.write_text(PONDER)
    folder = cogseedc.compile(source, target, tmp_path / target, rng=4)
    session = cogseedc.open(folder)
    graph = cogseedc.load(source).elaborated.graph
    result = session.run(random_inputs(graph, 40, {}, 0), {}, trace=True)
    hard = next(trace for name, trace in result.trace.items() if name.endswith("hard"))
    inside = 2 * (hard == 1).sum(1) + (hard == 0).sum(1)
    left = result.trace["at_once"] == 1
    assert ((hard >= 0).sum(1) == result["n"]).all()
    assert len(set(result["n"].tolist())) > 2
    wanted = LAYER * np.where(left, 1, 2 + inside)
    np.testing.assert_array_equal(read_work(read(folder)).macs(result.trace, 40), wanted)


def test_loops_in_loops(tmp_path: Path) -> None:
    found = record(NESTED, tmp_path)
    assert (found["macs"]["least"], found["macs"]["worst"]) == (4 * 2 * LAYER, 4 * 4 * LAYER)
    source = tmp_path / "net.seed"
    folder = cogseedc.compile(source, "torch-cpu", tmp_path / "art", rng=1, size={"T": 4})
    graph = cogseedc.load(source).elaborated.graph
    result = cogseedc.open(folder).run(random_inputs(graph, 9, {"T": 4}, 0), {}, trace=True)
    spent = read_work(read(folder)).macs(result.trace, 9)
    np.testing.assert_array_equal(spent, LAYER * (4 + result["n"]))
    assert len(set(spent.tolist())) > 2


@pytest.mark.parametrize(
    ("exact", "bound", "turns", "wanted"),
    [
        (True, False, 3, True),
        (True, True, 1, True),
        (True, True, 2, False),
        (True, True, 0, True),
        (False, False, 1, False),
    ],
)
def test_turns_that_hang_together_are_no_path(exact: bool, bound: bool, turns: int, wanted: bool) -> None:
    loop = LoopCost("h", Guard((0,)), 0, 3, None, False, costs(Graph(), OPS), bound)
    assert loop.times(Extreme(5, exact), turns) == Extreme(5 * turns, wanted)


TURNS = """\
export seed Turns {
    in  x: f32[N, T=3, D=6]
    in  b: bool[N, T]
    out y: f32[N, D]
    gate far over N = x[T=0, D=0] > 0
    z, h = scan a, c in (x, b) over T with z = zeros[N, D](), h = x[T=0] {
        next z = when %s { linear[D](z + a) } else { z }
        next h = h + 1
    }
    y = when far { z } else { x[T=0] }
}
"""


@pytest.mark.parametrize(
    ("decision", "hang_together"),
    [("a[D=0] > 0", False), ("c", False), ("h[D=0] > 0", False), ("far", True), ("mean(z) > 0", False)],
)
def test_turns_that_read_one_decision_hang_together(decision: str, hang_together: bool) -> None:
    found = costs(cogseedc.load(TURNS % decision).structure, OPS)
    (loop,) = found.loops
    assert loop.bound is hang_together
    assert (found.macs.least, found.macs.worst) == (Extreme(0, not loop.bound), Extreme(3 * LAYER, not loop.bound))
    assert [(arm.gate, arm.arm, arm.macs) for arm in found.arms if arm.macs][:1] == [("far", 1, 3 * LAYER)]


def test_of_turns_that_hang_together_one_is_a_path() -> None:
    text = """
export seed Until {
    in  x: f32[N, D=6]
    in  far: bool[N]
    out y: f32[N, D]
    y = repeat 3 with y = x until mean(y) > 0 { next y = when far { linear[D](linear[D](y)) } else { linear[D](y) } }
}
"""
    found = costs(cogseedc.load(text).structure, OPS)
    assert (found.macs.least, found.macs.worst) == (Extreme(LAYER, exact=False), Extreme(6 * LAYER, exact=False))
    assert [(e.value, e.exact) for e in (found.loops[0].body.macs.least, found.loops[0].body.macs.worst)] == [
        (LAYER, True),
        (2 * LAYER, True),
    ]


def test_weights_that_an_exit_behind_a_loop_has_read() -> None:
    text = """
export seed Late {
    in  x: f32[N, D=6]
    out y: f32[N, D]
    h = repeat 2 with h = x { next h = linear[D](h) }
    exit soon { y = h } when mean(h) > 0
    y = linear[D](h)
}
"""
    found = costs(cogseedc.load(text).structure, OPS)
    assert [(end.path, end.params) for end in found.exits] == [("soon", LAYER + 6), (None, 2 * (LAYER + 6))]
    assert [(loop.body.params, loop.body.weight_bytes) for loop in found.loops] == [(0, 0)]


def test_a_size_that_is_not_known_is_assumed() -> None:
    graph = cogseedc.load(NESTED).structure
    found = costs(graph, OPS)
    assert (found.assumed, found.macs.worst.value) == (("T",), 32 * 4 * LAYER)
    assert costs(graph, OPS, {"T": 4}).assumed == ()


def test_a_loop_writes_what_its_turns_and_its_results_do() -> None:
    text = "export seed Net { in  c: f32[N, D=4]\n    out y: f32[N, D]\n    y = repeat 3 with y = c { next y = tanh(y) * y } }"
    graph = cogseedc.load(text).elaborated.graph
    (id,) = (id for id, _ in graph.loops())
    assert node_cost(graph, OPS, id).bytes.value == 3 * 2 * 16 + 16
