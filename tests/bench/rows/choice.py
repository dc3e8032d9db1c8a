"""P9: how much slower the chosen strategy is than the best one, over segments, batches and shares of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from cogseedc.bench import Bound, Cell, Figure, typical
from cogseedc.bench.compiled import compiled
from cogseedc.driver.compile import Request
from cogseedc.target import Profile
from tests.bench.setting import Setting, running

NAMES = ("P9",)

SEGMENTS = {
    "mlp 16": ("f32[N, D=16]", "relu(linear[16](x))"),
    "mlp 64": ("f32[N, D=64]", "relu(linear[64](x))"),
    "mlp 256": ("f32[N, D=256]", "relu(linear[256](relu(linear[256](x))))"),
    "mlp 1024": ("f32[N, D=1024]", "relu(linear[1024](x))"),
    "norm 512": ("f32[N, D=512]", "x + relu(linear[512](layer_norm(x)))"),
    "conv 8x16": ("f32[N, C=8, H=16, W=16]", "relu(conv2d[8, kernel=3, padding=1](x))"),
    "conv 32x16": ("f32[N, C=32, H=16, W=16]", "relu(conv2d[32, kernel=3, padding=1](x))"),
    "conv 64x8": ("f32[N, C=64, H=8, W=8]", "relu(conv2d[64, kernel=3, padding=1](relu(conv2d[64, kernel=3, padding=1](x))))"),
    "point 16x32": ("f32[N, C=16, H=32, W=32]", "relu(conv2d[16, kernel=1](x))"),
    "scale 4096": ("f32[N, D=4096]", "x * 1.5 + 1"),
}  # fmt: skip
"""What the numbers of the targets were chosen with."""
OTHERS = {
    "mlp 32 twice": ("f32[N, D=32]", "relu(linear[32](relu(linear[32](x))))"),
    "mlp 128": ("f32[N, D=128]", "relu(linear[128](x))"),
    "mlp 512 wide": ("f32[N, D=512]", "linear[512](relu(linear[2048](x)))"),
    "gelu 1024 narrow": ("f32[N, D=1024]", "x + linear[1024](gelu(linear[256](x)))"),
    "softmax 256": ("f32[N, D=256]", "softmax[over=D](linear[D](x))"),
    "conv 16x32 twice": ("f32[N, C=16, H=32, W=32]", "relu(conv2d[16, kernel=3, padding=1](relu(conv2d[16, kernel=3, padding=1](x))))"),
    "conv 128x8": ("f32[N, C=128, H=8, W=8]", "relu(conv2d[128, kernel=3, padding=1](x))"),
    "depthwise 64x16": ("f32[N, C=64, H=16, W=16]", "relu(conv2d[64, kernel=3, padding=1, groups=64](x))"),
    "bottleneck 128x16": ("f32[N, C=128, H=16, W=16]", "x + conv2d[128, kernel=1](relu(conv2d[32, kernel=3, padding=1](relu(conv2d[32, kernel=1](x)))))"),
    "tanh 512": ("f32[N, D=512]", "tanh(x) * 2"),
}  # fmt: skip
"""What nothing was chosen with."""
BATCHES, SHARES = (1, 4, 16, 64), (0.0, 0.1, 0.3, 0.6, 1.0)
WAYS = ("dense", "compact")


def program(segment: tuple[str, str]) -> str:
    """A segment that some rows run, and others pass by."""
    type, body = segment
    ports = f"in  x: {type}\n    in  s: f32[N]\n    out y: {type}"
    return f"export seed Choice {{\n    {ports}\n    y = when s > 0 {{ {body} }} else {{ x }}\n}}\n"


def rows(setting: Setting, asked: frozenset[str]) -> Iterator[Cell]:
    """The regret of the choice with a profile and without one, and of each fixed way, on both grids."""
    for grid, segments in (("", SEGMENTS), (", held out", OTHERS)):
        regrets = _regrets(setting, list(segments.values()))
        for name, values in regrets.items():
            figures = {
                "regret": Figure.exact(float(np.exp(np.mean(np.log(values))))),
                "p95": Figure.exact(float(np.quantile(values, 0.95))),
                "most": Figure.exact(max(values)),
                "cells": Figure.exact(len(values)),
            }
            bounds = [Bound("regret", most=1.03), Bound("p95", most=1.15)] if name == "profiled" else []
            yield Cell("P9", f"{name}{grid}", figures, bounds)


def _regrets(setting: Setting, segments: Sequence[tuple[str, str]]) -> dict[str, list[float]]:
    """Time over that of the better way, for each cell of a grid, by who chooses."""
    regrets: dict[str, list[float]] = {name: [] for name in ("profiled", "unprofiled", *WAYS)}
    for segment in setting.each(segments):
        nets = {way: compiled(program(segment), "onnx-cpu", gates=way) for way in WAYS}
        guess, (gate,) = _chosen(segment, None), nets["compact"].plan.gates
        for batch in setting.each(BATCHES):
            for share in setting.each(SHARES):
                feed = _feed(segment, batch, share)
                samples = setting.measured({way: running(net.model, [feed]) for way, net in nets.items()})
                times = {way: typical(samples[way]).value for way in WAYS}
                best = min(times.values())
                taken = round(share * batch) / batch
                informed = _chosen(segment, Profile(batch, ((gate.name, (1 - taken, taken)),)))
                for name, way in {"profiled": informed, "unprofiled": guess, **{w: w for w in WAYS}}.items():
                    regrets[name].append(times[way] / best)
    return regrets


def _chosen(segment: tuple[str, str], profile: Profile | None) -> str:
    net = compiled(program(segment), "onnx-cpu", request=replace(Request(rng=0), profile=profile))
    (gate,) = net.plan.gates
    return gate.strategy


def _feed(segment: tuple[str, str], batch: int, share: float) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    type, _ = segment
    shape = [batch] + [int(part.split("=")[1]) for part in type[4:-1].split(",")[1:]]
    rng = np.random.default_rng(0)
    scores = np.full(batch, -1, np.float32)
    scores[rng.permutation(batch)[: round(share * batch)]] = 1
    return {"x": rng.standard_normal(shape).astype(np.float32), "s": scores}
