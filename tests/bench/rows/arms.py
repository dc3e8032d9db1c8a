"""P6: one small and one large residual network behind a `when`, one sample at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cogseedc.bench import Bound, Cell, ratio
from cogseedc.bench.compiled import compiled
from tests.bench.setting import Setting, microseconds, running

NAMES = ("P6",)

SEEDS = """
seed Basic[width: int, stride: int = 1] {
    in  x: f32[N, C, H, W]
    out y: f32[N, width, H2, W2]
    h = x |> conv2d[width, kernel=3, padding=1, stride=stride] |> relu |> conv2d[width, kernel=3, padding=1]
    y = relu(h + when stride > 1 or C != width { x |> conv2d[width, kernel=1, stride=stride] } else { x })
}
seed Bottleneck[width: int, stride: int = 1] {
    in  x: f32[N, C, H, W]
    out y: f32[N, width, H2, W2]
    h = x |> conv2d[width / 4, kernel=1] |> relu |> conv2d[width / 4, kernel=3, padding=1, stride=stride] |> relu
          |> conv2d[width, kernel=1]
    y = relu(h + when stride > 1 or C != width { x |> conv2d[width, kernel=1, stride=stride] } else { x })
}
seed Network[block: seed, depths: int[], width: int] {
    in  x: f32[N, C, H, W]
    out logits: f32[N, K=10]
    a = for i in 0 .. depths[0] with h = x |> conv2d[width, kernel=3, padding=1] |> relu { next h = h |> block[width] }
    b = for i in 0 .. depths[1] with h = a { next h = h |> block[2 * width, stride=when i == 0 { 2 } else { 1 }] }
    c = for i in 0 .. depths[2] with h = b { next h = h |> block[4 * width, stride=when i == 0 { 2 } else { 1 }] }
    d = for i in 0 .. depths[3] with h = c { next h = h |> block[8 * width, stride=when i == 0 { 2 } else { 1 }] }
    logits = d |> mean[over=(H, W)] |> linear[10]
}
"""
SMALL, LARGE = "Network[Basic, (2, 2, 2, 2), 16]", "Network[Bottleneck, (3, 4, 23, 3), 64]"


def program(body: str, knob: bool) -> str:
    ports = "in  image: f32[N, C=3, H=32, W=32]\n    out logits: f32[N, K=10]\n"
    return f"{SEEDS}\nexport seed Arms {{\n    {ports}{'    knob least = 0.0 in -1 .. 1' if knob else ''}\n    {body}\n}}\n"


def rows(setting: Setting, asked: frozenset[str]) -> Iterator[Cell]:
    """Each arm against that arm alone."""
    alone = {name: compiled(program(f"logits = image |> {net}", False), "onnx-cpu") for name, net in _ARMS.items()}
    choice = f"logits = when mean(image) > least {{ image |> {LARGE} }} else {{ image |> {SMALL} }}"
    choice = choice.replace("mean(image)", "mean[over=(C, H, W)](image)")
    feed = {"image": np.random.default_rng(1).standard_normal((1, 3, 32, 32)).astype(np.float32)}
    for target in ("onnx-cpu", "onnx-edge"):
        ours = compiled(program(choice, True), target, bits="fp32")
        for name in _ARMS:
            least = np.array(1.0 if name == "small" else -1.0, np.float32)
            samples = setting.measured(
                {
                    "ours": running(ours.model, [feed | {"least": least}]),
                    "alone": running(alone[name].model, [feed]),
                    "other": running(alone["large" if name == "small" else "small"].model, [feed]),
                }
            )
            figures = {
                "x alone": ratio(samples["ours"], samples["alone"]),
                "us": microseconds(samples["ours"], 1),
                "us alone": microseconds(samples["alone"], 1),
            }
            yield Cell("P6", f"{name} arm, {target}", figures, [Bound("x alone", most=1.05)])


_ARMS = {"small": SMALL, "large": LARGE}
