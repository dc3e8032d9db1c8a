"""What the plan reckons a gate's strategies to cost, in microseconds, for costs from which each part of a sum can be told."""

from __future__ import annotations

from dataclasses import replace
from sys import modules

import pytest

from cogseedc.backends.plan import Picked, Plan, Strategy, plan
from cogseedc.backends.plan.choose import Load, _channel_costs, _costs, _rows_pay, picks
from cogseedc.backends.plan.lift import _saved
from cogseedc.backends.plan.rates import ANYWHERE, Rates
from cogseedc.driver.program import load as load_program
from cogseedc.ir import Attrs, Axis, Call, Dtype, Gate, Size, TensorType
from cogseedc.ops import OPS
from cogseedc.passes import PIPELINES, Context, run_pipeline
from cogseedc.source import Source
from cogseedc.target import Costs, Profile, Target, load

from .programs import planned
from .test_pytorch import CASES

COSTS = Costs(
    mac_ns=1, op_us=10, take_ns=2, put_ns=3, select_ns=5, select_us=100, pass_ns=0.5, layout_ns=0.25,
    branch_us=1000, wrap_us=4000, empty_us=7, weight_ns=0.125,
)  # fmt: skip
CPU, CUDA, EDGE = (replace(load(name), costs=COSTS) for name in ("onnx-cpu", "onnx-cuda", "onnx-edge"))
TORCH = replace(load("torch-cpu"), costs=COSTS)
SEEN = replace(CPU, profile=Profile(8, (("exit0", (0.25, 0.75)), ("exit1", (1.0, 0.0)))))

SLOW = replace(EDGE, costs=replace(COSTS, mac_ns=8))
TWO = replace(CPU, profile=Profile(2, ()))

TARGETS = {
    "cpu": CPU,
    "cuda": CUDA,
    "edge": EDGE,
    "torch": TORCH,
    "cpu with a profile": SEEN,
    "slow edge": SLOW,
    "two samples": TWO,
}


def test_one_space_by_hand() -> None:
    load = Load(work_ns=4e6, ops=2, entering=2000, leaving=3000, turned=1000)
    assert _costs(load, 0.25, CPU) == {
        "branch": 0.25 * (4000 + 2 * 10) + 1000,
        "compact": 0.25 * 4000 + 2 * 10 + 0.25 * (2000 * 2 + 3000 * 3) / 1000 + 3 * 10 + 1000 * 5 / 1000,
        "dense": 4000 + 2 * 10 + 3000 * 5 / 1000 + 100,
    }
    assert _costs(load, 0.25, CPU, joined=False)["dense"] == 4000 + 2 * 10
    assert _costs(load, 0.25, CUDA)["compact"] == _costs(load, 0.25, CPU)["compact"] + 4000


TEXTS = {
    "tokens": """
        in x: f32[N, D=4, T=6]
        out y: f32[N, D, T]
        gate g over N, T = x[D=0] > 0
        y = when g { permute[(N, D, T)](linear[D=4](permute[(N, T, D)](x))) } else { x }""",
    "pixels": """
        in x: f32[N, C=8, H=16, W=16]
        out y: f32[N, C, H, W]
        gate g over N, H, W = mean[over=C](x) > 0
        y = when g { x |> conv2d[C, kernel=3, padding=1] |> relu |> conv2d[C, kernel=3, padding=1] } else { x }""",
    "strided pixels": """
        in x: f32[N, C=8, H=16, W=16]
        out y: f32[N, C, P, Q]
        b = conv2d[C, kernel=1, stride=2](x)
        gate g over N, H, W = mean[over=C](b) > 0
        y = when g { x |> conv2d[C, kernel=3, padding=1] |> relu |> conv2d[C, kernel=3, padding=1, stride=2] } else { b }""",
    "turns": """
        in x: f32[N, D=4]
        in w: f32[N, T=40, D=4]
        out y: f32[N, D]
        gate g over N = mean[over=D](x) > 0
        y = when g { scan v in w over T with h = x { next h = tanh(linear[D=4](h)) + v } } else { x }""",
    "channels": """
        in x: f32[N, C=8, H=4, W=4]
        out y: f32[N, C=16, H, W]
        gate g over N, C = linear[C=16](mean[over=(H, W)](x)) > 0
        y = when g { relu(conv2d[16, kernel=3, padding=1](x)) } else { 0 }""",
}


def predicted(name: str, target: Target) -> Plan:
    if name in TEXTS:
        graph = load_program(Source("net.seed", f"export seed Net {{{TEXTS[name]}\n}}")).elaborated.graph.copy()
        run_pipeline(graph, PIPELINES["inference"], Context(OPS))
        return plan(graph, target, "auto")
    return planned(CASES[name](), "auto", target)


WANTED: dict[str, dict[str, tuple[str, dict[str, float]]]] = {
    "exits on cpu": {
        "exit0": ("compact", {"branch": 1041.632, "compact": 112, "dense": 184.064}),
        "exit1": ("compact", {"branch": 1010.512, "compact": 50.832, "dense": 121.664}),
    },
    "exits on cuda": {
        "exit0": ("compact", {"branch": 1041.632, "compact": 4112, "dense": 184.064}),
        "exit1": ("compact", {"branch": 1010.512, "compact": 4050.832, "dense": 121.664}),
    },
    "exits on edge": {
        "exit0": ("branch", {"branch": 1040.051, "compact": 110.0625, "dense": 180.127}),
        "exit1": ("branch", {"branch": 1010.016, "compact": 50.026, "dense": 120.052}),
    },
    "exits on cpu with a profile": {
        "exit0": ("compact", {"branch": 1020.204, "compact": 110.25, "dense": 181.016}),
        "exit1": ("compact", {"branch": 1020.256, "compact": 50.416, "dense": 120.416}),
    },
    "images on cpu": {
        "h.0.keep": ("compact", {"branch": 1072.024, "compact": 125.664, "dense": 261.328}),
        "h.1.keep": ("compact", {"branch": 1072.024, "compact": 125.664, "dense": 261.328}),
        "h.2.keep": ("compact", {"branch": 1072.024, "compact": 125.664, "dense": 261.328}),
    },
    "route on cpu": {
        "pick": ("compact", {"branch": 2021.024, "compact": 121.450667, "dense": 264.352}),
    },
    "experts on cpu": {
        "pick": ("compact", {"branch": 5042.048, "compact": 253.7888, "dense": 610.24}),
    },
    "nested on cpu": {
        "outer": ("compact", {"branch": 1057.4, "compact": 142.72, "dense": 215.44}),
        "inner": ("compact", {"branch": 2021.024, "compact": 101.664, "dense": 243.328}),
    },
    "uniform on cpu": {
        "wide": ("branch", {"branch": 3047.434, "compact": 182.818, "dense": 396.148}),
        "g": ("compact", {"branch": 5042.56, "compact": 233.968, "dense": 588.96}),
        "deep": ("branch", {"branch": 2021.024, "compact": 101.664, "dense": 243.328}),
    },
    "uniform on edge": {
        "wide": ("branch", {"branch": 3045.078, "compact": 180.1, "dense": 390.216}),
        "g": ("branch", {"branch": 7040.08, "compact": 290.144, "dense": 780.32}),
        "deep": ("branch", {"branch": 2020.032, "compact": 100.052, "dense": 240.104}),
    },
    "tokens on cpu": {
        "g": ("compact", {"branch": 1018.84, "compact": 77.28, "dense": 141.52}),
    },
    "tokens on edge": {
        "g": ("compact", {"branch": 1015.12, "compact": 60.54, "dense": 130.36}),
    },
    "tokens on torch": {
        "g": ("dense", {"branch": 1018.84, "compact": 4077.28, "dense": 141.52}),
    },
    "pixels on torch": {
        "g": ("tiles", {"dense": 9860.4, "tiles": 6716.032}),
    },
    "pixels on cpu": {"g": ("dense", {})},  # there are no tiles
    "strided pixels on torch": {
        # of 2048 pixels the second convolution, a quarter of what the first and `relu` make
        "g": (
            "tiles",
            {
                "dense": (592 + 4 * 16 + 4 * 592) * 2.048 + 3 * 10,
                "tiles": 0.5 * (592 + (2 + 1 / 8) ** 2 * (16 + 592)) * 2.048 + 40 * 10,
            },
        ),
    },
    "turns on slow edge": {
        "g": (
            "branch",
            {
                "branch": 0.5 * (40 * 16 * 8 / 1000 + 0.008 + 40 * 3 * 10) + 1000,
                "compact": 0.5 * (40 * 16 * 8 / 1000 + 0.008 + 0.34) + 40 * 3 * 10 + 3 * 10,
                "dense": 40 * 16 * 8 / 1000 + 0.008 + 40 * 3 * 10 + 0.02 + 100,
            },
        ),
    },
    "channels on cpu": {
        "g": ("compact", {"branch": 1013.192, "compact": 68.672, "dense": 167.344}),
    },
}


@pytest.mark.parametrize("case", WANTED)
def test_predictions(case: str) -> None:
    name, target = case.split(" on ")
    found = predicted(name, TARGETS[target])
    assert {gate.name: (gate.strategy, dict(gate.predicted)) for gate in found.gates} == {
        name: (strategy, pytest.approx(costs, rel=1e-6)) for name, (strategy, costs) in WANTED[case].items()
    }


def test_some_channels_are_computed_where_that_saves_a_fifth(monkeypatch: pytest.MonkeyPatch) -> None:
    for dense, picked, pays in ((1.0, 0.5, True), (12.0, 10.0, False), (12.1, 10.0, True), (1.0, 1.0, False)):
        monkeypatch.setattr(
            modules["cogseedc.backends.plan.choose"], "_channel_costs", lambda *_, both=(dense, picked): both
        )
        assert picks(None, None, None) is pays  # type: ignore[arg-type]


def test_rows_without_a_chosen_position_are_left_out_where_that_is_known_to_pay() -> None:
    cheap, dear = (
        (("branch", 1.0), ("compact", 1.0), ("dense", 2.0)),
        (("branch", 2.0), ("compact", 2.0), ("dense", 2.0)),
    )
    for natural, known, predicted, target, pays in (
        (Strategy.COMPACT, True, cheap, CPU, True),
        (Strategy.COMPACT, False, cheap, CPU, False),
        (Strategy.BRANCH, False, cheap, EDGE, True),
        (Strategy.BRANCH, True, cheap, EDGE, True),
        (Strategy.BRANCH, True, dear, EDGE, False),
        (Strategy.COMPACT, True, dear, CPU, False),
        (Strategy.COMPACT, True, cheap, replace(CPU, gates=("dense", "branch")), False),
        (Strategy.COMPACT, True, (), CPU, False),
    ):
        assert _rows_pay(natural, known, predicted, target) is pays


@pytest.mark.parametrize(
    ("dtype", "before", "after", "saved"),
    [
        (Dtype.F32, (4, 6, 6), (4, 3, 3), 108 * (0.5 * 2 + 1.5 * 0.25) - 0.5 * 144 * 0.5),
        (Dtype.F16, (4, 6, 6), (4, 3, 3), 108 * 0.5 * 2 - 0.5 * 144 * 0.5),
        (Dtype.F32, (4, 6), (4, 3), 12 * 0.5 * 2 - 0.5 * 24 * 0.5),
        (Dtype.F32, (4, 6, 6), (4, 6, 6), -0.5 * 144 * 0.5),
    ],
)
def test_what_is_saved_by_shrinking_before_rows_are_taken(
    dtype: Dtype, before: tuple[int, ...], after: tuple[int, ...], saved: float
) -> None:
    """For each row; an image is read in the layout that a convolution gave it."""
    types = [TensorType(dtype, tuple(Axis(None, Size.of(n)) for n in (1, *sides))) for sides in (before, after)]
    assert _saved(types[0], Call("max_pool2d", Attrs(), (types[1],)), CPU) == pytest.approx(saved)


def test_how_often_an_arm_is_taken_anywhere() -> None:
    text = """
        in x: f32[N, T=4]
        out y: f32[N, T]
        gate some over N, T = in_top[2, over=T](x)
        gate any over N, T = x > 0
        gate all over N, T = in_top[4, over=T](x)
        y = when some { tanh(x) } else { when any { x * 2 } else { when all { x } else { sin(x) } } }"""
    graph = load_program(Source("net.seed", f"export seed Net {{{text}\n}}")).elaborated.graph
    rates = Rates.of(graph, CPU, OPS)
    found = {gate.name: [rates.anywhere(id, (arm,)) for arm in (0, 1)] for id, gate in graph.of(Gate)}
    assert found == {"some": [1.0, 1.0], "any": [ANYWHERE, ANYWHERE], "all": [0.0, 1.0]}


FILTERS = {
    "one": ("""
        in x: f32[N, C=8, H=4, W=4]
        out y: f32[N, C=16, H, W]
        gate g over N, C = linear[C=16](mean[over=(H, W)](x)) > 0
        y = when g { conv2d[16, kernel=3, padding=1](x) } else { 0 }""", [(667.168, 129726.064)]),
    "some read by another": ("""
        in x: f32[N, C=8, H=4, W=4]
        out y: f32[N, K=5, H, W]
        gate g over N, C = in_top[2, over=C](mean[over=(H, W)](x))
        gate h over N, C = linear[C=8](mean[over=(H, W)](x)) > 0
        a = when g { relu(batch_norm(conv2d[8, kernel=3, padding=1](x))) } else { 0 }
        b = when h { conv2d[8, kernel=1](a) } else { x }
        y = conv2d[5, kernel=3, padding=1](concat[over=C](b, a))""", [(379.968, 132003.896), (81.44, 130007.476), (393.76, 129614.04)]),
    "for all samples": ("""
        in x: f32[N, D=32]
        out y: f32[N, K=5]
        knob width = 16 in 8 .. 64
        gate g over M = range[M=64]() < width
        y = linear[K=5](when g { tanh(linear[M=64](x)) } else { 0 })""", [(113.968, 141.33), (30.56, 94.554)]),
    "without a bias on edge": ("""
        in x: f32[N, C=8, H=4, W=4]
        out y: f32[N, K=5, H, W]
        gate g over N, C = in_top[2, over=C](mean[over=(H, W)](x))
        gate h over N, C = linear[C=8](mean[over=(H, W)](x)) > 0
        a = when g { conv2d[8, kernel=3, padding=1](x) } else { 0 }
        b = when h { conv2d[8, kernel=1, bias=false](a) } else { 0 }
        y = conv2d[5, kernel=3, padding=1, bias=false](b)""", [(30.112, 93.41425), (21.92, 101.169), (25.92, 93.7905)]),
    "each channel by itself on edge": ("""
        in x: f32[N, C=8, H=4, W=4]
        out y: f32[N, C, H, W]
        gate g over N, C = linear[C=8](mean[over=(H, W)](x)) > 0
        y = when g { x |> conv2d[8, kernel=1] |> conv2d[8, kernel=3, padding=1, groups=8] } else { x }""", [(33.328, 133.0845)]),
    "one after the other on two samples": ("""
        in x: f32[N, C=8, H=4, W=4]
        out y: f32[N, C, H, W]
        gate g over N, C = linear[C=8](mean[over=(H, W)](x)) > 0
        y = when g { x |> conv2d[8, kernel=1] |> conv2d[8, kernel=3, padding=1, groups=8] } else { x }""", [(36.656, 8216.169)]),
}  # fmt: skip
"""Programs, each on `onnx-cpu` if it says no other target, and for each region what all its channels cost, and those
that are chosen."""


@pytest.mark.parametrize("name", FILTERS)
def test_what_some_channels_cost(name: str) -> None:
    text, wanted = FILTERS[name]
    program = load_program(Source("net.seed", f"export seed Net {{{text}\n}}"))
    target = TARGETS[name.partition(" on ")[2] or "cpu"]
    found = plan(program.elaborated.graph, target, "compact")
    rates = Rates.of(found.graph, target, OPS)
    regions = [step.region for block in found.blocks for step in block.steps if isinstance(step, Picked)]
    assert [pytest.approx(_channel_costs(rates, region, OPS), rel=1e-9) for region in regions] == wanted
