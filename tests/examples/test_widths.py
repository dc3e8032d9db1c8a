"""Networks whose width is dynamic, as their papers define them, in plain PyTorch."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import cogseedc
from tests.examples.families import IMAGE, conv_norm
from tests.examples.plain import FOLDER, Net, Outputs, Paper, Sample, inputs_of, weights_of
from tests.examples.test_semantics import check


def universally_slimmable(net: Net, sample: Sample, ratio: float) -> Outputs:
    x = sample["image"]
    for i, width in enumerate((16, 32, 64)):
        x = first_channels(net, f"x.{i}.Slim.then", x, ceil(ratio * width), 1 if i == 0 else 2)
    weight = net.w["linear.weight"][:, : x.shape[1]]
    return {"logits": F.linear(x.mean((2, 3)), weight, net.w["linear.bias"])}


def first_channels(net: Net, path: str, x: Tensor, count: int, stride: int) -> Tensor:
    """A layer with its first filters, on as many channels as x has."""
    weight, bias = net.w[f"{path}.conv2d.weight"][:count, : x.shape[1]], net.w[f"{path}.conv2d.bias"][:count]
    norm = [net.w[f"{path}.batch_norm.{name}"][:count] for name in ("running_mean", "running_var", "weight", "bias")]
    return F.relu(F.batch_norm(F.conv2d(x, weight, bias, stride, 1), *norm))


def dynamic_slimmable(net: Net, sample: Sample) -> Outputs:
    stem = conv_norm(net, "stem", sample["image"])
    scores = net.linear("width.linear_2", F.relu(net.linear("width.linear", stem.mean((2, 3)))))
    choice = int(net.decide("width", int(scores.argmax())))
    width = (8, 16, 24, 32)[choice]
    a = F.conv2d(stem, net.w["first"][:width], None, 2, 1)
    a = F.relu(net.norm(f"{choice}.a.batch_norm", a))
    b = F.conv2d(a, net.w["second"][:width, :width], None, 1, 1)
    b = F.relu(a + net.norm(f"{choice}.b.batch_norm", b))
    return {"logits": F.linear(b.mean((2, 3)), net.w["last"][:, :width])}


def channel_gated_blocks(net: Net, sample: Sample) -> Outputs:
    x = conv_norm(net, "stem", sample["image"])
    for i in range(2):
        path, stride = f"x.{i}.Block", 1 + i
        score = net.linear(f"{path}.on.linear_2", F.relu(net.linear(f"{path}.on.linear", x.mean((2, 3)))))[0]
        net.decide(f"{path}.on", (score > 0).long())
        on = (score > 0).nonzero().flatten()
        h = F.conv2d(x, net.w[f"{path}.h.then.conv2d.weight"][on], None, stride, 1)
        norm = [net.w[f"{path}.h.then.batch_norm.{n}"][on] for n in ("running_mean", "running_var", "weight", "bias")]
        h = F.relu(F.batch_norm(h, *norm))
        h = F.conv2d(h, net.w[f"{path}.conv2d.weight"][:, on], None, 1, 1)
        short = x
        if i:
            short = net.conv(f"{path}.short.else.conv2d", x, stride, 0)
            short = net.norm(f"{path}.short.else.batch_norm", short)
        x = F.relu(short + net.norm(f"{path}.batch_norm", h))
    return {"logits": net.linear("linear", x.mean((2, 3)))}


def variable_computation(net: Net, sample: Sample) -> Outputs:
    h, turns = torch.zeros(1, 24).double(), []
    for word in sample["words"][0]:
        x = word[None]
        share = torch.sigmoid(net.linear("h.share_.linear", h) + net.linear("h.share_.linear_2", x))
        count = ceil(float(share) * 24)
        turns.append(torch.arange(24) < count)
        new = torch.tanh(net.linear("h.then.linear", x) + net.linear("h.then.linear_2", h))
        h = torch.cat([new[:, :count], h[:, count:]], 1)
    net.decide("h.updated", torch.stack(turns).long())
    return {"logits": net.linear("linear", h)}


WIDTHS: list[tuple[str, Paper]] = [
    ("55_dynamic_slimmable", Paper(dynamic_slimmable, {}, IMAGE)),
    ("56_channel_gated_blocks", Paper(channel_gated_blocks, {}, IMAGE)),
    ("57_variable_computation", Paper(variable_computation, {}, {"words": (6, 8)})),
]


@pytest.mark.parametrize(("name", "paper"), WIDTHS, ids=[name for name, _ in WIDTHS])
def test_is_what_the_family_computes(name: str, paper: Paper, tmp_path: Path) -> None:
    check(name, paper, "torch-cpu", tmp_path)


@pytest.mark.parametrize("target", ["torch-cpu", "onnx-cpu"])
def test_universally_slimmable_at_any_width(target: str, tmp_path: Path) -> None:
    source = FOLDER / "54_universally_slimmable.seed"
    weights, inputs = weights_of(source, {}), inputs_of(IMAGE, 3)
    session = cogseedc.open(cogseedc.compile(source, target, tmp_path / "net", weights=weights, gates="compact"))
    sample = {"image": torch.from_numpy(inputs["image"]).double()}
    for ratio in (0.25, 0.3, 0.75, 1.0):
        found = session.run(inputs, {"ratio": np.array(ratio, np.float32)})
        expected = universally_slimmable(Net(weights), sample, ratio)["logits"]
        np.testing.assert_allclose(found["logits"], expected.numpy(), atol=1e-5, rtol=1e-5)
