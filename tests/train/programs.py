"""Programs and data for the tests of learning: small, and without batch norm unless that is the point."""

from __future__ import annotations

import numpy as np

from cogseedc.data import DataSet

EXITS = """\
export seed Exits {
    in  x: f32[N, D=6]
    out y: f32[N, K=3]
    knob tau: f32[L=2] = 0.9 in 0 .. 1
    a = x |> linear[8] |> relu
    exit one { y = a |> linear[K] } when confidence(y) >= tau[L=0]
    b = a |> linear[16] |> relu
    exit two { y = b |> linear[K] } when confidence(y) >= tau[L=1]
    y = b |> linear[32] |> relu |> linear[K]
}
"""

GATED = """\
seed Block[width: int] {
    in  x: f32[N, D]
    out y: f32[N, D]
    y = x |> linear[width] |> relu |> linear[D]
}

export seed Gated {
    in  x: f32[N, D=6]
    out y: f32[N, K=3]
    score = x |> linear[S=1]
    gate keep over N = score[S=0] > 0
    h = when keep { x + Block[16](x) } else { x }
    want = softmax(linear[E=3](h))
    gate pick over N = top[1](want)
    z = route pick { e in 0 .. 3 => linear[K](h) }
    loss open = mean[over=N](square(score[S=0] - 1))
    y = z
}
"""


def clouds(count: int = 96, dimensions: int = 6, classes: int = 3) -> DataSet:
    """Points around a centre for each class, some of them hard to tell apart."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((classes, dimensions)) * 1.5
    label = generator.integers(0, classes, count)
    x = centres[label] + generator.standard_normal((count, dimensions))
    return DataSet({"x": x.astype(np.float32)}, {"y": label})
