"""P8: a recurrent network of 200 steps that skips nine of ten, by its input alone or by its own state."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cogseedc.bench import Bound, Cell, Figure, ratio
from cogseedc.bench.compiled import Compiled, compiled
from tests.bench.setting import Array, Setting, microseconds, running

NAMES = ("P8",)
STEPS, INPUTS, HIDDEN, RUN = 200, 128, 256, 0.1

PORTS = f"in  xs: f32[N, T={STEPS}, D={INPUTS}]\n    out y: f32[N, K={HIDDEN}]"
HOISTED = f"""
export seed Hoisted {{
    {PORTS}
    knob least = 0.0 in -9 .. 9
    share cell = gru_cell[{HIDDEN}]
    y = scan x in xs over T with h = zeros[N, {HIDDEN}]() {{
        next h = when x[D=0] > least {{ cell(x, h) }} else {{ h }}
    }}
}}
"""
STATED = f"""
export seed Stated {{
    {PORTS}
    knob pace = 0.1 in 0 .. 9
    share cell = gru_cell[{HIDDEN}]
    share want = linear[1]
    y, u = scan x in xs over T with h = zeros[N, {HIDDEN}](), u = ones[N, 1]() {{
        gate update over N = u > 1
        h2 = when update {{ cell(x, h) }} else {{ h }}
        next h = h2
        next u = when update {{ pace * sigmoid(want(h2)) }} else {{ u + pace * sigmoid(want(h2)) }}
    }}
}}
"""
FUSED = f"""
export seed Fused {{
    {PORTS}
    ys, h = gru[{HIDDEN}](xs)
    y = h
}}
"""
CELLS = (("input", 1, 8.5), ("state", 1, 2.4), ("state", 32, 5.0))


def rows(setting: Setting, asked: frozenset[str]) -> Iterator[Cell]:
    """Against ONNX Runtime's own recurrence over all steps, the quickest way to compute all of them."""
    fused = compiled(FUSED, "onnx-cpu")
    for kind, batch, least in setting.each(CELLS):
        target = "onnx-edge" if batch == 1 else "onnx-cpu"
        ours = compiled(HOISTED if kind == "input" else STATED, target, bits="fp32")
        xs = np.random.default_rng(2).standard_normal((batch, STEPS, INPUTS)).astype(np.float32)
        knob = {"least": np.array(np.quantile(xs[..., 0], 1 - RUN), np.float32)} if kind == "input" else _pace(ours, xs)
        feed = {"xs": xs, **knob}
        samples = setting.measured({"ours": running(ours.model, [feed]), "static": running(fused.model, [{"xs": xs}])})
        figures = {
            "x static": ratio(samples["static"], samples["ours"]),
            "run": Figure.exact(_run(ours, feed)),
            "us/step": microseconds(samples["ours"], STEPS),
        }
        yield Cell("P8", f"by its {kind}, batch {batch}", figures, [Bound("x static", least=least)])


def _run(ours: Compiled, feed: dict[str, Array]) -> float:
    """Share of the steps that were run."""
    decisions = [array for array in ours.model.decisions(feed).values() if array.size >= STEPS]
    return float(np.mean([(d == 1).mean() for d in decisions])) if decisions else RUN


def _pace(ours: Compiled, xs: Array) -> dict[str, Array]:
    """The pace at which that share of the steps runs, by bisection."""
    low, high = 0.0, 9.0
    for _ in range(20):
        middle = (low + high) / 2
        found = _run(ours, {"xs": xs, "pace": np.array(middle, np.float32)})
        low, high = (middle, high) if found < RUN else (low, middle)
    return {"pace": np.array(high, np.float32)}
