"""The balance of a router: classes times the sum of the shares of selections and the mean probabilities."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import cogseedc

TEXT = """\
export seed Router {
    in  z: f32[N, T=5, E=4]
    out y: f32[N, T]
    gate pick over N, T = top[2](%s)
    y = route pick { e in 0 .. 4 => z[E=0] * (e + 1) }
    loss balance = load_balance(pick)
}
"""
SCORES = {
    "z": lambda z: z.softmax(-1),
    "z * 2 + 1": lambda z: (z * 2 + 1).softmax(-1),
    "softmax(z)": lambda z: z.softmax(-1),
    "softmax(z) * 0.5 + 0.1": lambda z: z.softmax(-1) * 0.5 + 0.1,
    "sigmoid(z)": torch.sigmoid,
    "log_softmax(z)": lambda z: z.softmax(-1),
}


@pytest.mark.parametrize("scores", SCORES)
def test_logits_count_as_their_softmax(scores: str, tmp_path: Path) -> None:
    source = tmp_path / "net.seed"
    source.write_text(TEXT % scores)
    z = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1))
    found = cogseedc.build(source).train()(z).losses["balance"]
    chosen = torch.zeros(3, 5, 4).scatter(-1, z.topk(2, -1).indices, 1.0)
    expected = 4 * (chosen.mean((0, 1)) * SCORES[scores](z).mean((0, 1))).sum()
    torch.testing.assert_close(found, expected)
