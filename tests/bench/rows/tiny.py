"""P12: what a gate costs by itself: twelve of them in a network that hardly computes, one sample at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cogseedc.bench import Bound, Cell, Figure
from cogseedc.bench.compiled import compiled
from cogseedc.bench.figures import typical
from tests.bench.setting import Setting, running

NAMES = ("P12",)
GATES = 12


def program(gated: bool) -> str:
    """Twelve multiplications; with gates each is run or skipped by one element of a policy."""
    lines = [f"on = linear[G={GATES}](x)", "h0 = x"]
    for i in range(GATES):
        value = f"h{i} * 1.5"
        lines.append(f"h{i + 1} = " + (f"when on[G={i}] > 0 {{ {value} }} else {{ h{i} }}" if gated else value))
    lines.append(f"y = linear[4](h{GATES})")
    body = "".join(f"    {line}\n" for line in ("in  x: f32[N, D=16]", "out y: f32[N, K=4]", *lines))
    return f"export seed Tiny {{\n{body}}}\n"


def rows(setting: Setting, asked: frozenset[str]) -> Iterator[Cell]:
    """Microseconds that each gate adds to the same network without gates."""
    feed = {"x": np.random.default_rng(0).standard_normal((1, 16)).astype(np.float32)}
    for target in ("onnx-cpu", "onnx-edge"):
        samples = setting.measured(
            {
                "ours": running(compiled(program(True), target, bits="fp32").model, [feed]),
                "static": running(compiled(program(False), target, bits="fp32").model, [feed]),
            }
        )
        added = [(a - b) * 1e6 / GATES for a, b in zip(samples["ours"], samples["static"], strict=True)]
        figures: dict[str, Figure] = {"us/gate": typical(added), "us static": typical(samples["static"]).scaled(1e6)}
        yield Cell("P12", target, figures, [Bound("us/gate", most=2.5)])
