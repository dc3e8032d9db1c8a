"""Each part of a generated module is a function of its own, which torch takes whole; decisions stay plain Python."""

from __future__ import annotations

import pytest
import torch

import cogseedc
from cogseedc.driver.program import load

SOURCE = """
export seed Net {
    in  x: f32[N, C=3, H=8, W=8]
    out y: f32[N, K=4]
    knob least: f32[L=2] = 0.0 in -9 .. 9
    a = x |> conv2d[8, kernel=3, padding=1] |> relu
    exit early { y = a |> mean[over=(H, W)] |> linear[K=4] } when y[K=0] > least[L=0]
    b = when mean[over=(C, H, W)](a) > least[L=1] { a + conv2d[8, kernel=3, padding=1](relu(a)) } else { a }
    y = b |> mean[over=(H, W)] |> linear[K=4]
}
"""


@pytest.fixture
def module() -> torch.nn.Module:
    return cogseedc.build(load(SOURCE), rng=3, gates="compact").eval()


def parts(module: torch.nn.Module) -> list[str]:
    return [name for name in vars(type(module)) if name.startswith("_block_")]


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(12, 3, 8, 8), torch.tensor([0.02, 0.2])


def test_each_part_is_compiled_whole(module: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, least = batch
    names = parts(module)
    assert len(names) > 2
    assert len({getattr(type(module), name).__code__ for name in names}) == len(names), "one cache of code for each"
    with torch.no_grad():
        least[0] = module(x, least=torch.tensor([-9.0, 0.0])).y[:, 0].median()  # all leave: half of them will
        plain = module(x, least=least, trace=True)
        assert 0 < plain.rows["not_early"] < len(x)
        for name in names:
            setattr(module, name, torch.compile(getattr(module, name), fullgraph=True, dynamic=True, backend="eager"))
        found = module(x, least=least, trace=True)
    torch.testing.assert_close(found.y, plain.y)
    assert found.rows == plain.rows


def test_bf16_autocast(module: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, least = batch
    least = torch.tensor([9.0, -9.0])  # far from every score: both precisions decide alike
    with torch.no_grad():
        exact = module(x, least=least)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = module(x, least=least)
    torch.testing.assert_close(rounded.y.float(), exact.y, rtol=0.05, atol=0.02)
