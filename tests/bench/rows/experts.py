"""P5: a feed-forward layer of eight experts, one or two for each token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from cogseedc.bench import Bound, Cell, Figure, Work, ratio
from cogseedc.bench.compiled import compiled
from tests.bench.setting import Array, Feed, Setting, batches, limiting, microseconds, running, works

NAMES = ("P5",)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096)
CELLS = tuple((tokens, taken) for tokens in TOKENS for taken in (1, 2))
EXPERTS, WIDTH, HIDDEN = 8, 512, 2048
INSTANCES = 3


def program(taken: int) -> str:
    """The layer; each row of the batch is a token."""
    return f"""
seed Expert {{
    in  x: f32[N, D]
    out y: f32[N, D]
    y = x |> linear[{HIDDEN}] |> relu |> linear[D]
}}
export seed Experts {{
    in  x: f32[N, D={WIDTH}]
    out y: f32[N, D]
    gate pick over N = top[{taken}](softmax(linear[E={EXPERTS}](x)))
    y = route pick {{ e in 0 .. {EXPERTS} => Expert(x) }}
}}
"""


def rows(setting: Setting, asked: frozenset[str]) -> Iterator[Cell]:
    """Efficiency by tokens and experts a token; against the loop over experts of published implementations."""
    for tokens, taken in setting.each(CELLS):
        ours = compiled(program(taken), "onnx-cpu")
        count = max(tokens, 16)
        pool = np.random.default_rng(5).standard_normal((count, WIDTH)).astype(np.float32)
        feeds = batches({"x": pool}, tokens)
        needed = works(ours, feeds)
        samples = setting.spread(partial(_candidates, taken, ours.weights.by_key(), feeds, needed), INSTANCES)
        dense = EXPERTS * 2 * WIDTH * HIDDEN + WIDTH * EXPERTS
        figures = {
            "x static": ratio(samples["everything"], samples["ours"]),
            "limit": ratio(samples["everything"], samples["limit"]),
            "efficiency": ratio(samples["limit"], samples["ours"]),
            "x FLOPs": Figure.exact(count * dense / sum(ours.limit().macs(work) for work in needed)),
            "x loop": ratio(samples["loop"], samples["ours"]),
            "us": microseconds(samples["ours"], count),
        }
        least = [Bound("x loop", 2.0)] if tokens >= 64 else [Bound("x loop", 0.95)]
        yield Cell("P5", f"{tokens} tokens, top {taken}", figures, [Bound("efficiency", 0.90), *least])


def _candidates(
    taken: int, weights: Mapping[str, Array], feeds: Sequence[Feed], needed: Sequence[Work]
) -> dict[str, Callable[[], object]]:
    """What is compared, with weights in places of their own."""
    ours = compiled(program(taken), "onnx-cpu", weights)
    everything = compiled(program(taken), "onnx-cpu", weights, gates="dense")
    loop = Loop(weights, taken).eval()
    np.testing.assert_allclose(ours.model.trace(feeds[0])[0]["y"], _run(loop, feeds[0]["x"]), rtol=1e-3, atol=1e-4)
    return {
        "ours": running(ours.model, feeds),
        "limit": limiting(ours.limit(), needed),
        "everything": running(everything.model, feeds),
        "loop": lambda: [_run(loop, feed["x"]) for feed in feeds],
    }


class Loop(nn.Module):
    """One expert after the other over the tokens that chose it, added up by `index_add_`, as in published mixtures."""

    def __init__(self, weights: Mapping[str, Array], taken: int) -> None:
        super().__init__()
        self.taken = taken
        self.router = _linear(weights, "pick.linear")
        self.up = nn.ModuleList(_linear(weights, f"_{e}.Expert.linear") for e in range(EXPERTS))
        self.down = nn.ModuleList(_linear(weights, f"_{e}.Expert.linear_2") for e in range(EXPERTS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores, chosen = torch.softmax(self.router(x), -1).topk(self.taken, -1)
        mask = nn.functional.one_hot(chosen, EXPERTS).permute(2, 1, 0)
        y = torch.zeros_like(x)
        for e in range(EXPERTS):
            place, token = torch.where(mask[e])
            found = self.down[e](torch.relu(self.up[e](x[token]))) * scores[token, place, None]
            y.index_add_(0, token, found)
        return y


def _linear(weights: Mapping[str, Array], path: str) -> nn.Linear:
    weight, bias = (torch.from_numpy(weights[f"{path}.{part}"]) for part in ("weight", "bias"))
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def _run(module: nn.Module, x: Array) -> Array:
    with torch.inference_mode():
        found: Array = module(torch.from_numpy(x)).numpy()
    return found
