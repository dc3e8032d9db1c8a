"""P4: eighteen residual blocks, each run or skipped for each sample by a gate on its pooled input."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cogseedc.bench import Bound, Cell, Figure, macs_of, ratio
from cogseedc.bench.compiled import Compiled, compiled
from tests.bench.setting import Array, Setting, batches, limiting, microseconds, running, works

NAMES = ("P4",)
BLOCKS = 18
CELLS = ((1, 0.5), (8, 0.5), (64, 1.0), (64, 0.5), (64, 0.25), (64, 0.1))
BOUNDS = {(1, 0.5): 0.85, (8, 0.5): 0.88, (64, 0.1): 0.80}
"""Least efficiency by batch and share of the blocks that run."""


def program(gated: bool) -> str:
    """The network, or the same without its gates. It gives its scores too, to set thresholds by."""
    lines = ["knob least: f32[L=18] = 0.0 in -100 .. 100"] if gated else []
    value = "x"
    for i in range(BLOCKS):
        block = f"relu({value} + conv2d[32, kernel=3, padding=1](relu(conv2d[32, kernel=3, padding=1]({value}))))"
        if gated:
            lines.append(f"s{i} = {value} |> mean[over=(H, W)] |> linear[1]")
            lines.append(f"h{i} = when s{i} > least[L={i}] {{ {block} }} else {{ {value} }}")
        else:
            lines.append(f"h{i} = {block}")
        value = f"h{i}"
    lines.append(f"y = {value} |> mean[over=(H, W)] |> linear[10]")
    body = "".join(f"    {line}\n" for line in ("in  x: f32[N, C=32, H=16, W=16]", "out y: f32[N, K=10]", *lines))
    return f"export seed Skip {{\n{body}}}\n"


def rows(setting: Setting, asked: frozenset[str]) -> Iterator[Cell]:
    """Efficiency by batch and by share of the blocks that run. The limit has no gates: their cost counts as loss."""
    ours = compiled(program(True), "onnx-cpu")
    limit = ours.limit(gates=False)
    static = compiled(program(False), "onnx-cpu")
    everything = compiled(program(True), "onnx-cpu", ours.weights.by_key(), gates="dense")
    for batch, rate in setting.each(CELLS):
        pool = np.random.default_rng(3).standard_normal((64, 32, 16, 16)).astype(np.float32)
        feeds = batches({"x": pool}, batch, {"least": thresholds(ours, pool, rate)})
        needed = works(ours, feeds)
        samples = setting.measured(
            {
                "ours": running(ours.model, feeds),
                "limit": limiting(limit, needed),
                "static": running(static.model, batches({"x": pool}, batch)),
                "everything": running(everything.model, feeds),
            }
        )
        saved = macs_of(static.plan.graph, len(pool)) / sum(limit.macs(work) for work in needed)
        figures = {
            "x static": ratio(samples["static"], samples["ours"]),
            "limit": ratio(samples["static"], samples["limit"]),
            "efficiency": ratio(samples["limit"], samples["ours"]),
            "x FLOPs": Figure.exact(saved),
            "x everything": ratio(samples["everything"], samples["ours"]),
            "us": microseconds(samples["ours"], len(pool)),
        }
        yield Cell(
            "P4", f"batch {batch}, run {rate:g}", figures, [Bound("efficiency", BOUNDS.get((batch, rate), 0.92))]
        )


def thresholds(ours: Compiled, pool: Array, rate: float) -> Array:
    """Thresholds at which each block runs for that share of the samples, found block after block by bisection."""
    least = np.full(BLOCKS, 100.0, np.float32)
    names = [space.name for space in ours.plan.spaces[1:]]
    for i in range(BLOCKS):
        low, high = -100.0, 100.0
        for _ in range(40):
            least[i] = middle = (low + high) / 2
            run = ours.model.trace({"x": pool, "least": least})[1][names[i]]
            low, high = (middle, high) if run > rate * len(pool) else (low, middle)
        least[i] = high if rate < 1 else -100.0
    return least
