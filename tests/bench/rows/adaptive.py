"""P10: a loop that each sample leaves after as many turns as it needs: three of at most twelve, on average."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cogseedc.bench import Bound, Cell, Figure, ratio
from cogseedc.bench.compiled import compiled
from tests.bench.setting import Setting, calling, microseconds, running

NAMES = ("P10",)
MOST, MEAN, BATCH, WIDTH = 12, 3, 32, 512

THINK = f"""
seed Think {{
    in  x: f32[N, D]
    out y: f32[N, D]
    y = relu(x + (x |> linear[{2 * WIDTH}] |> relu |> linear[D]))
}}
"""
LOOP = f"""{THINK}
export seed Ponder {{
    in  x: f32[N, D={WIDTH}]
    in  turns: f32[N]
    out y: f32[N, D]
    share think = Think
    y, n = repeat {MOST} with h = x, n = zeros[N]() until done {{
        next h = think(h)
        next n = n + 1
        gate done over N = n + 1 >= turns
    }}
}}
"""
TURN = f"{THINK}\nexport seed Turn {{\n    in  x: f32[N, D={WIDTH}]\n    out y: f32[N, D]\n    y = Think(x)\n}}\n"


def rows(setting: Setting, asked: frozenset[str]) -> Iterator[Cell]:
    """Against the same loop run to the end, and against single turns of exactly the samples that are left."""
    ours, turn = compiled(LOOP, "onnx-cpu"), compiled(TURN, "onnx-cpu")
    rng = np.random.default_rng(4)
    places = (np.arange(BATCH) + 0.5) / BATCH  # of a geometric distribution with that mean, cut off at the end
    turns = np.clip(np.ceil(np.log(1 - places) / np.log(1 - 1 / MEAN)), 1, MOST).astype(np.float32)
    turns = rng.permutation(turns)
    x = rng.standard_normal((BATCH, WIDTH)).astype(np.float32)
    left = [int((turns > t).sum()) for t in range(MOST)]
    parts = [turn.model.bound({"x": x[:rows]}) for rows in left if rows]
    samples = setting.measured(
        {
            "ours": running(ours.model, [{"x": x, "turns": turns}]),
            "static": running(ours.model, [{"x": x, "turns": np.full(BATCH, MOST, np.float32)}]),
            "limit": calling(parts),
        }
    )
    figures = {
        "x static": ratio(samples["static"], samples["ours"]),
        "limit": ratio(samples["static"], samples["limit"]),
        "efficiency": ratio(samples["limit"], samples["ours"]),
        "x FLOPs": Figure.exact(MOST * BATCH / sum(left)),
        "us": microseconds(samples["ours"], BATCH),
    }
    mean = f"batch {BATCH}, {float(turns.mean()):.1f} turns"
    yield Cell("P10", mean, figures, [Bound("x static", least=3.0), Bound("efficiency", least=0.85)])
