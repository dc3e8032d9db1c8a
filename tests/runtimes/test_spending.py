"""What decisions say that samples have cost is what is computed for them, counted by PyTorch itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import cogseedc
from cogseedc.runtime import read
from cogseedc.runtime.spending import read_work
from cogseedc.verify.inputs import random_inputs

ROOT = Path(__file__).parents[2]
ROWS = 9
PROGRAMS = {
    "rows": """
    in  x: f32[N, D=6]
    out y: f32[N, D]
    gate hard over N = mean(x) > 0
    y = linear[D](when hard { linear[D](tanh(linear[D](x))) } else { linear[D](x) })
""",
    "tokens": """
    in  x: f32[N, T, D=6]
    out y: f32[N, T, D]
    gate hard over N, T = mean(x) > 0
    y = linear[D](when hard { linear[D](tanh(linear[D](x))) } else { linear[D](x) })
""",
    "tokens of some rows": """
    in  x: f32[N, T, D=6]
    out y: f32[N, T, D]
    gate open over N = mean[over=(T, D)](x) > 0
    y = when open {
        gate hard over N, T = mean(x) > 0
        yield when hard { linear[D](tanh(linear[D](x))) } else { linear[D](x) }
    } else { x }
""",
    "experts": """
    in  x: f32[N, T, D=6]
    out y: f32[N, T, D]
    gate pick over N, T = top[2](softmax(linear[E=4](x)))
    y = route pick { e in 0 .. 4 => linear[D](tanh(linear[8](x))) }
""",
    "pixels": """
    in  x: f32[N, C=3, H=6, W=6]
    out y: f32[N, C, H, W]
    gate busy over N, H, W = mean[over=C](x) + 20 * mean[over=(C, H, W)](x) > 3
    y = when busy { x |> conv2d[C, kernel=3, padding=1] |> relu |> conv2d[C, kernel=1] } else { x }
""",
    "channels": """
    in  x: f32[N, C=3, H=5, W=5]
    out y: f32[N, C=4]
    gate wide over N, C = linear[C=8](mean[over=(H, W)](x)) > 0
    h = when wide { x |> conv2d[8, kernel=3, padding=1, bias=false] |> relu } else { 0 }
    gate open over N, C = linear[C=4](mean[over=(H, W)](x)) > 0
    y = when open { linear[4](mean[over=(H, W)](h)) } else { 0 }
""",
    "channels for all": """
    in  x: f32[N, C=3, H=5, W=5]
    out y: f32[N, K=4, H, W]
    knob width = 5 in 1 .. 8
    gate wide over C = range[C=8]() < width
    h = when wide { x |> conv2d[8, kernel=3, padding=1, bias=false] |> relu } else { 0 }
    y = h |> conv2d[4, kernel=3, padding=1]
""",
    "side by side": """
    in  x: f32[N, C=8, H=5, W=5]
    out y: f32[N, K=4, H, W]
    gate wide over N, C = linear[C=8](mean[over=(H, W)](x)) > 0
    h = when wide { x |> conv2d[8, kernel=3, padding=1, bias=false] |> relu } else { 0 }
    y = concat[over=C](h, x) |> conv2d[4, kernel=1]
""",
    "turns": """
    in  x: f32[N, T, D=6]
    out y: f32[N, T, D]
    y = repeat 3 with h = x until mean[over=(T, D)](h) > 0.3 {
        gate told over N, T = h[D=0] + 20 * mean[over=(T, D)](h) > 1
        next h = when told { h + tanh(softmax[over=T](linear[D](h)) + linear[D](h)) } else { h + 0.2 }
    }
""",
}
"""By name: the body of a seed."""


EXAMPLES = ("04", "10", "16", "22", "23", "30", "40", "47", "50", "52", "55", "56", "65", "70", "75")
"""Some of those that skip. Of example 12 the counter tells less, as weights are made once for a batch; of 57 and 64 more, as
what a scan computes ahead, and keys, are for all positions."""


def both(source: Path, folder: Path) -> tuple[float, float, float]:
    """MACs of a batch: by its decisions, as counted, and of all that is written."""
    artifact = cogseedc.compile(source, "torch-cpu", folder / "art", rng=3, gates="compact")
    inputs = random_inputs(cogseedc.load(source).elaborated.graph, ROWS, dict.fromkeys("THWLV", 32), 1)
    session, work = cogseedc.open(artifact), read_work(read(artifact))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # fused attention is not counted
        result = session.run(inputs, {}, trace=True)
    return work.macs(result.trace, ROWS).sum(), counter.get_total_flops() / 2, ROWS * work.total


def held(source: Path, folder: Path) -> None:
    told, counted, whole = both(source, folder)
    np.testing.assert_allclose(told, counted, rtol=1e-9)
    assert 0 < told < whole


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_macs_are_those_that_are_run(name: str, tmp_path: Path) -> None:
    source = tmp_path / "net.seed"
    source.write_text(f"export seed Net {{{PROGRAMS[name]}}}\n")
    held(source, tmp_path)


@pytest.mark.parametrize("number", EXAMPLES)
def test_macs_of_examples_are_those_that_are_run(number: str, tmp_path: Path) -> None:
    (source,) = (ROOT / "examples").glob(f"{number}_*.seed")
    held(source, tmp_path)
