"""Gates over pixels by tiles: equal to the dense meaning with the halo, and not without; less is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import cogseedc
from cogseedc.backends.plan import Tiled, plan
from cogseedc.backends.plan.tiles import Extent
from cogseedc.backends.support import tiles as support
from cogseedc.bench.compiled import compiled
from cogseedc.driver.program import load
from cogseedc.ir import Call
from cogseedc.target import load as target
from cogseedc.verify import Settings, verify_artifact

WINDOWS = """\
export seed Windows {
    in  x: f32[N, C=6, H, W]
    in  m: f32[N, H, W]
    out y: f32[N, C, H, W]
    out z: f32[N, Z=5, P, Q]
    gate busy over N, H, W = m > 0
    s = sigmoid(linear[C](mean[over=(H, W)](x)))
    f = when busy {
        h = x |> conv2d[4, kernel=1] |> relu |> conv2d[4, kernel=3, padding=2, dilation=2] |> batch_norm |> relu
        yield h |> conv2d[C, kernel=3, padding=1] |> tanh
    } else { 0 }
    y = relu(x + s * f)
    gate low over N, H, W = squeeze[over=C](conv2d[1, kernel=3, stride=2, padding=1](x)) > 0
    b = y |> conv2d[5, kernel=1, stride=2]
    z = when low { b } else { b + (y |> conv2d[3, kernel=3, padding=1] |> relu |> conv2d[5, kernel=5, stride=2, padding=2]) }
}
"""
CHAIN = """\
export seed Chain {
    in  x: f32[N, C=4, H, W]
    in  m: f32[N, H, W]
    out y: f32[N, C, H, W]
    y = for i in 0 .. 3 with y = x {
        gate busy over N, H, W = m > i
        next y = when busy { relu(y + (y |> conv2d[C, kernel=3, padding=1] |> relu |> conv2d[C, kernel=3, padding=1])) } else { y }
    }
}
"""
FOLDER = Path(__file__).parents[2] / "examples"


def tensors(batch: int, side: int, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """An image, and scores whose mask is coherent."""
    generator = torch.Generator().manual_seed(batch)
    x = torch.randn(batch, channels, side, side + 3, generator=generator)
    rough = torch.randn(max(batch, 1), 1, 5, 5, generator=generator)
    return x, F.interpolate(rough, (side, side + 3))[:batch, 0] - 0.5


def with_tiles(module: torch.nn.Module, size: int, seen: list[int]) -> None:
    """Lets a module compute on tiles of one size, whatever it costs."""

    def found(mask: torch.Tensor, *costs: Any) -> tuple[int, torch.Tensor]:
        n, height, width = mask.shape
        near = F.pad(mask, (0, -width % size, 0, -height % size))
        near = near.reshape(n, near.shape[1] // size, size, near.shape[2] // size, size).any(4).any(2)
        seen.append(int(near.sum()))
        return size, torch.nonzero(near)

    type(module).forward.__globals__["active_tiles"] = found


@pytest.mark.parametrize("source", [WINDOWS, CHAIN], ids=["windows", "chain"])
def test_tiles_of_any_size_are_the_dense_meaning(source: str) -> None:
    program = load(source)
    dense = cogseedc.build(program, rng=0, gates="dense").eval()
    module = cogseedc.build(program, rng=0, gates="tiles").eval()
    for size in (1, 4, 7, 16):
        seen: list[int] = []
        with_tiles(module, size, seen)
        for batch in (0, 1, 3):
            x, m = tensors(batch, 13, 6 if source == WINDOWS else 4)
            kept = x.clone()
            with torch.inference_mode():
                for a, b in zip(module(x, m), dense(x, m), strict=True):
                    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(x, kept, msg="an input was written over")
        assert sum(seen) > 0
    x, m = tensors(2, 13, 6 if source == WINDOWS else 4)
    for network in (module, dense):
        network(x, m)[0].square().sum().backward()
    for (name, a), (_, b) in zip(module.named_parameters(), dense.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-4, msg=name)


def test_the_halo_is_what_is_needed() -> None:
    """Where the mask's halo of two stacked windows is kept, active pixels do not change; where only the mask is, they
    do."""
    source = CHAIN.replace("0 .. 3", "0 .. 1")
    module = cogseedc.build(load(source), rng=0, gates="tiles").eval()
    x, m = tensors(3, 20, 4)
    busy = (m > 0).unsqueeze(1)
    halo = F.max_pool2d(busy.float(), 5, 1, 2) > 0
    assert 0 < busy.sum() < halo.sum() < halo.numel()
    with torch.inference_mode():
        whole, kept, lost = (module(torch.where(mask, x, 0), m).y for mask in (torch.tensor(True), halo, busy))
    torch.testing.assert_close(whole * busy, kept * busy)
    assert float(((whole - lost) * busy).abs().max()) > 0.1


def test_what_is_computed_on_tiles() -> None:
    """Each convolution computes the pixels of the active tiles, with what the later ones need around them."""
    module = cogseedc.build(load(CHAIN.replace("0 .. 3", "0 .. 1")), rng=0, gates="tiles").eval()
    x, m = tensors(3, 20, 4)
    count = len(support.active_tiles(m > 0, ((1.0, 1, 1),), 0.0, float("-inf"))[1])
    shapes: list[tuple[int, ...]] = []

    def watch(value: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:
        found = torch.conv2d(value, *rest, **more)
        shapes.append(tuple(found.shape))
        return found

    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(F, "conv2d", watch)
        module(x, m)
    assert shapes == [(count, 4, 6, 6), (count, 4, 4, 4)]
    assert 0 < count < 3 * 5 * 6


def test_the_cheapest_tiles_are_chosen() -> None:
    layers = ((10.0, 1, 3), (10.0, 1, 1))
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[:, 8:24, 8:24] = True
    assert support.active_tiles(mask, layers, 1.0, 0.0)[0] == 8
    assert support.active_tiles(~mask, layers, 1.0, 0.0)[0] == 0, "nearly everything is active"
    assert support.active_tiles(mask, layers, 1.0, 1e9)[0] == 0, "nothing pays on so small an image"
    assert support.active_tiles(torch.rand(1, 64, 64) < 0.25, layers, 1.0, 0.0)[0] == 0, "random pixels touch all tiles"
    size, tiles = support.active_tiles(torch.zeros_like(mask), layers, 1.0, 0.0)
    assert (size > 0, len(tiles)) == (True, 0)


def test_blocks_under_one_mask_share_its_tiles() -> None:
    text = (
        compiled(CHAIN.replace("m > i", "m > 0"), "torch-cpu", gates="tiles").payload.decode().partition("_block_0")[2]
    )
    functions = ("active_tiles", "rows_of_tiles", "inside_tiles", "changed_pixels", "take_tiles", "put_tiles")
    assert [text.count(f" = {name}(") for name in functions] == [1, 1, 2, 1, 3, 3], "inside differs by layer"


def test_a_base_is_written_over_only_where_nobody_reads_it() -> None:
    """In a chain of blocks each but the first works on what the one before made."""
    found = plan(_passed(CHAIN), target("torch-cpu"), "tiles")
    steps = [step for block in found.blocks for step in block.steps if isinstance(step, Tiled)]
    assert [step.spent for step in steps] == [False, True, True]
    read = CHAIN.replace("out y: f32[N, C, H, W]\n", "out y: f32[N, C, H, W]\n    out v: f32[N, C, H, W]\n", 1)
    read = (
        read.replace("    y = for", "    y, v = for")
        .replace("with y = x", "with y = x, v = x")
        .replace("next y", "next v = y\n        next y")
    )
    found = plan(_passed(read), target("torch-cpu"), "tiles")
    steps = [step for block in found.blocks for step in block.steps if isinstance(step, Tiled)]
    assert [step.spent for step in steps] == [False, True, False], "the last one's base is an output"


def _passed(source: str) -> Any:
    from cogseedc.driver.structure import passed
    from cogseedc.driver.timing import Timing
    from cogseedc.limits import Limits
    from cogseedc.passes import PIPELINES

    return passed(load(source).elaborated.graph, Limits(), PIPELINES["inference"], target("torch-cpu"), True, Timing())


@pytest.mark.parametrize("name", ["15_spatial_gating", "16_spatial_act"])
def test_examples_verify_on_tiles(name: str, tmp_path: Path) -> None:
    artifact = cogseedc.compile(FOLDER / f"{name}.seed", "torch-cpu", tmp_path / "a", rng=0, gates="tiles")
    assert "active_tiles(" in next(artifact.rglob("model.py")).read_text()
    report = verify_artifact(artifact, Settings(batches=(0, 1, 2, 7, 16)))
    assert report.ok, report.to_text()


def test_windows_verify_on_tiles(tmp_path: Path) -> None:
    source = tmp_path / "windows.seed"
    source.write_text(WINDOWS)
    report = verify_artifact(cogseedc.compile(source, "torch-cpu", tmp_path / "a", rng=0, gates="tiles"))
    assert report.ok, report.to_text()
    assert np.all([arm.natural + arm.forced for arm in report.census])


STRIDED = """
export seed Strided {
    in  x: f32[N, C=4, H=32, W=32]
    in  k: f32[N, O=4, C=4, 3, 3]
    out y: f32[N, C, P, Q]
    b = x |> conv2d[C, kernel=1, SAME]
    gate low over N, H, W = mean[over=C](b) > 0
    y = when low { x |> WINDOW } else { b }
}
"""


@pytest.mark.parametrize(
    ("same", "window", "able"),
    [
        ("stride=1", "conv2d[C, kernel=3, padding=1]", True),
        ("stride=1", "conv2d[C, kernel=3, padding=1, bias=false]", True),
        ("stride=1", "conv2d[C, kernel=1]", False),  # nothing is read around a pixel
        ("stride=1", "conv2d[C, kernel=(1, 3), padding=(0, 1)]", False),
        ("stride=1", "conv2d[C, kernel=3, padding=(1, 2), dilation=(1, 2)]", False),
        ("stride=2", "conv2d[C, kernel=3, padding=1, stride=2]", True),
        ("stride=(2, 1)", "conv2d[C, kernel=3, padding=1, stride=(2, 1)]", False),
        ("padding=1", "conv2d[C, kernel=3, padding=2]", True),
        ("padding=2", "conv2d[C, kernel=3, padding=3]", False),  # its border reads nothing but zeros
        ("padding=1", "conv2d[C, kernel=3, dilation=2, padding=3]", True),
        ("stride=1", "conv2d[padding=1](weight=k)", False),  # a kernel for each sample
        ("stride=1", "conv2d[C, kernel=3, padding=1] |> batch_norm |> relu", True),
        ("stride=1", "conv2d[C, kernel=3, padding=1] |> layer_norm", False),  # mixes pixels
        ("stride=1", "conv2d[C, kernel=1] |> relu |> conv2d[C, kernel=3, padding=1]", True),
        ("stride=1", "conv2d[C, kernel=2, padding=1, dilation=2]", True),
        ("stride=1", "conv2d[C, kernel=3, padding=1] |> softmax[over=C]", False),  # mixes channels
    ],
)
def test_which_chains_can_be_computed_on_tiles(same: str, window: str, able: bool) -> None:
    graph = load(STRIDED.replace("SAME", same).replace("WINDOW", window)).elaborated.graph
    found = plan(graph, target("torch-cpu"), "tiles")
    assert [gate.strategy for gate in found.gates] == ["tiles" if able else "dense"]
    assert sum(isinstance(step, Tiled) for block in found.blocks for step in block.steps) == able


PARTS = """
export seed Parts {
    in  x: f32[N, C=4, H=32, W=32]
    in  k: i64[N, C=4, H=32, W=32]
    out y: f32[N, C, P, Q]
    b = x |> conv2d[C, kernel=1, SAME]
    gate low over N, H, W = mean[over=C](b) > 0
    y = when low { ARM } else { b }
}
"""
HALF = "a = conv2d[C, kernel=3, padding=1](x)  yield conv2d[C, kernel=1, stride=2](a) + conv2d[C, kernel=17](a)"


@pytest.mark.parametrize(
    ("same", "arm", "wanted"),
    [
        ("stride=1", "conv2d[C, kernel=3, padding=1](x) * mean[over=(H, W), keep=true](x)", ["conv2d", "mul"]),
        ("stride=1", "conv2d[C, kernel=3, padding=1](x) + where(k > 0, x, 2 * x)", ["conv2d", "add"]),
        ("stride=2", HALF, ["conv2d", "conv2d", "add"]),
    ],
    ids=["a value of each sample", "integers", "pixels that two windows read at other strides"],
)
def test_which_parts_are_computed_on_tiles(same: str, arm: str, wanted: list[str]) -> None:
    """The others everywhere, before."""
    found = plan(load(PARTS.replace("SAME", same).replace("ARM", arm)).elaborated.graph, target("torch-cpu"), "tiles")
    (tiled,) = (step for block in found.blocks for step in block.steps if isinstance(step, Tiled))
    layers = [found.graph[layer.node] for layer in tiled.region.layers]
    assert [layer.op for layer in layers if isinstance(layer, Call)] == wanted


@pytest.mark.parametrize(
    ("reader", "spent"),
    [
        ("conv2d[C, kernel=1](y)", [False, True, True]),
        ("relu(y)", [False, False, False]),
        ("conv2d[C, kernel=1](y) + relu(y)", [False, False, False]),
    ],
)
def test_what_multiplies_holds_no_part_of_a_base(reader: str, spent: list[bool]) -> None:
    """What else reads it before the next block does may give the value itself, or a part of it."""
    read = CHAIN.replace("with y = x", "with y = x, v = x").replace("    y = for", "    y, v = for")
    read = read.replace("        next y", f"        next v = v + {reader}\n        next y")
    read = read.replace("out y: f32[N, C, H, W]\n", "out y: f32[N, C, H, W]\n    out v: f32[N, C, H, W]\n", 1)
    found = plan(_passed(read), target("torch-cpu"), "tiles")
    steps = [step for block in found.blocks for step in block.steps if isinstance(step, Tiled)]
    assert [step.spent for step in steps] == spent


def test_what_windows_need() -> None:
    """From `before` pixels ahead of a tile on, `span` pixels for a tile of one."""
    one = Extent(1, 0, 1)
    assert one.behind(kernel=3, stride=1, padding=1, dilation=1) == Extent(1, 1, 3)
    assert one.behind(kernel=3, stride=2, padding=1, dilation=2) == Extent(2, 1, 5)
    assert Extent(2, 1, 5).behind(kernel=3, stride=2, padding=0, dilation=1) == Extent(4, 2, 11)
    assert Extent(1, 1, 3).union(Extent(1, 2, 5)) == Extent(1, 2, 5)
    assert Extent(1, 2, 3).union(Extent(1, 1, 5)) == Extent(1, 2, 6)
    assert Extent(1, 0, 4).union(Extent(1, 3, 4)) == Extent(1, 3, 7)
