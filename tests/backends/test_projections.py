"""What mixes positions is computed for rows in which a gate chose one: where that is asked for, or pays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cogseedc.backends.plan import Gates, Strategy, plan
from cogseedc.driver.program import load
from cogseedc.source import Source
from cogseedc.target import Profile, Target
from cogseedc.target import load as target

PIXELS = """\
export seed Net {
    in  x: f32[N, C=8, H=16, W=16]
    out y: f32[N, C, H, W]
    gate busy over N, H, W = mean[over=C](x) > 0
    y = when busy { x |> conv2d[64, kernel=3, padding=1] |> relu |> conv2d[C, kernel=3, padding=1] } else { x }
}
"""
RARE = Profile(32, (("busy", (0.9, 0.1)),), (("busy", (1.0, 0.1)),))
OFTEN = Profile(32, (("busy", (0.9, 0.1)),), (("busy", (1.0, 1.0)),))
CPU, EDGE = target("onnx-cpu"), target("onnx-edge")


@pytest.mark.parametrize(
    ("found", "gates", "wanted"),
    [
        (CPU, "auto", None),
        (CPU, "compact", Strategy.COMPACT),
        (replace(CPU, profile=RARE), "auto", Strategy.COMPACT),
        (replace(CPU, profile=OFTEN), "auto", None),
        (replace(CPU, profile=RARE, gates=("dense", "branch")), "auto", None),
        (EDGE, "auto", Strategy.BRANCH),
        (EDGE, "branch", Strategy.BRANCH),
        (EDGE, "compact", Strategy.COMPACT),
        (EDGE, "dense", None),
        (replace(EDGE, gates=("dense", "compact")), "auto", None),
    ],
)
def test_how_rows_without_a_position_are_left_out(found: Target, gates: Gates, wanted: Strategy | None) -> None:
    spaces = plan(load(Source("net.seed", PIXELS)).elaborated.graph, found, gates).spaces
    assert [space.strategy for space in spaces if space.name == "any_busy"] == ([] if wanted is None else [wanted])
