"""P7: residual blocks under a gate over pixels whose mask is coherent, against the same blocks computed everywhere."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cogseedc.bench import Bound, Cell, Figure, ratio
from cogseedc.bench.compiled import compiled
from tests.bench.setting import Array, Feed, Setting, fastest, microseconds, running

NAMES = ("P7",)

BASIC = "x |> conv2d[{c}, kernel=3, padding=1] |> relu |> conv2d[{c}, kernel=3, padding=1]"
BOTTLENECK = "x |> conv2d[{q}, kernel=1] |> relu |> conv2d[{q}, kernel=3, padding=1] |> relu |> conv2d[{c}, kernel=1]"
BLOCKS = {
    "basic 64@56": (BASIC, 64, 56, 4),
    "basic 128@32": (BASIC, 128, 32, 4),
    "bottleneck 256@56": (BOTTLENECK, 256, 56, 1),
}
"""The residual function, its channels, the side of the image, the batch."""
DEPTH = 3
MASKS = ((0.1, 4), (0.1, 8), (0.25, 8), (0.5, 8), (1.0, 8), (0.25, 1))
"""Share of active squares, and their side; the last mask is random."""
WANTED = {(0.1, 4): 3.0, (0.1, 8): 3.0, (0.25, 8): 1.9}
NEVER_BELOW = 0.97


def program(block: str, gated: bool) -> str:
    """A chain of residual blocks; the mask is an input."""
    body, channels, side, _ = BLOCKS[block]
    near = body.format(c=channels, q=channels // 4)
    value = f"when busy {{ relu(x + ({near})) }} else {{ x }}" if gated else f"relu(x + ({near}))"
    return f"""
export seed Net {{
    in  image: f32[N, C={channels}, H={side}, W={side}]
    in  mask: bool[N, H, W]
    out y: f32[N, C, H, W]
    y = for i in 0 .. {DEPTH} with x = image {{
        gate busy over N, H, W = mask
        next x = {value}
    }}
}}
"""


def masks(batch: int, side: int, share: float, square: int, rng: np.random.Generator) -> Array:
    """Squares that are active, at a share of them that is as near as can be."""
    count = -(-side // square)
    chosen = np.zeros((batch, count * count), bool)
    for row in chosen:
        row[rng.permutation(count * count)[: round(share * count * count)]] = True
    grid = chosen.reshape(batch, count, count)
    return np.ascontiguousarray(grid.repeat(square, 1).repeat(square, 2)[:, :side, :side])


def rows(setting: Setting, asked: frozenset[str]) -> Iterator[Cell]:
    """A cell per block and mask, for PyTorch; then that no other target is slower than dense."""
    for block, (_, channels, side, batch) in BLOCKS.items():
        ours = compiled(program(block, True), "torch-cpu")
        weights = ours.weights.by_key()
        dense = compiled(program(block, True), "torch-cpu", weights, gates="dense")
        static = compiled(program(block, False), "torch-cpu")
        onnx = compiled(program(block, True), "onnx-cpu", weights)
        plain = compiled(program(block, True), "onnx-cpu", weights, gates="dense")
        rng = np.random.default_rng(0)
        image = rng.standard_normal((batch, channels, side, side)).astype(np.float32)
        for share, square in setting.each(MASKS):
            feeds: list[Feed] = [{"image": image, "mask": masks(batch, side, share, square, rng)}]
            samples = setting.measured(
                {
                    "ours": running(ours.model, feeds),
                    "dense": running(dense.model, feeds),
                    "static": running(static.model, feeds),
                    "onnx": running(onnx.model, feeds),
                    "onnx dense": running(plain.model, feeds),
                }
            )
            best = fastest(samples, ("dense", "static"))
            figures = {
                "x static": ratio(samples[best], samples["ours"]),
                "x dense": ratio(samples["dense"], samples["ours"]),
                "x pixels": Figure.exact(1 / float(feeds[0]["mask"].mean())),
                "onnx-cpu x dense": ratio(samples["onnx dense"], samples["onnx"]),
                "us": microseconds(samples["ours"], batch),
            }
            bounds = [Bound("x static", least=WANTED.get((share, square)))]
            bounds += [Bound(name, least=NEVER_BELOW) for name in ("x dense", "onnx-cpu x dense")]
            kind = "random" if square == 1 else f"squares of {square}"
            yield Cell("P7", f"{block}, {share:.0%} in {kind}", figures, bounds)
