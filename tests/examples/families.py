"""References of further families: gates over channels and places, looks at parts of an image, exits of other kinds."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.examples.plain import Net, Outputs, Paper, Sample
from tests.examples.published import msdnet, ranet, resnet


def conv_norm(net: Net, path: str, x: Tensor, stride: int = 1) -> Tensor:
    return F.relu(net.norm(f"{path}.batch_norm", net.conv(f"{path}.conv2d", x, stride)))


def channel_gating(net: Net, sample: Sample) -> Outputs:
    x = sample["image"]
    for path, width in (("FBSConv", 32), ("FBSConv_2", 64)):
        s = F.relu(net.linear(f"{path}.s.linear", x.abs().mean((2, 3))))[0]
        kept = s > s.sort(descending=True).values[width // 2]
        net.decide(f"{path}.active", kept.long())
        y = net.norm(f"{path}.then.batch_norm", net.conv(f"{path}.then.conv2d", x))
        y = s[:, None, None] * y + net.w[f"{path}.beta"][:, None, None]
        x = F.relu(kept[:, None, None] * y)
    return {"logits": net.linear("linear", x.mean((2, 3)))}


def sliced_weights(net: Net, sample: Sample) -> Outputs:
    """Densely: all channels, those that go set to zero."""
    x = sample["image"]
    for layer, width in enumerate((8, 16)):
        path = f"x.{layer}.y.Sliced"
        s = F.relu(F.linear(x.abs().mean((2, 3)), net.w[f"{path}.predict"]))[0]
        kept = torch.zeros(width).double()
        kept[s.sort(descending=True, stable=True).indices[: width // 2]] = 1
        scale, shift = (net.w[f"{path}.{n}"][:, None, None] for n in ("scale", "shift"))
        y = F.conv2d(x, net.w[f"{path}.w"], padding=1) * scale + shift
        x = F.relu((kept * s)[:, None, None] * y)
    return {"logits": F.linear(x.mean((2, 3)), net.w["w"])}


def spatial_gating(net: Net, sample: Sample) -> Outputs:
    x = sample["x"]
    m = net.conv("busy.Mask.conv2d", x)[0, 0] + net.linear("busy.Mask.linear", x.mean((2, 3)))[0, 0]
    net.decide("busy", (m >= 0).long())
    y = net.norm("then.Residual.batch_norm", net.conv("then.Residual.conv2d", conv_norm(net, "then.Residual.h", x)))
    return {"y": F.relu(x + (m >= 0) * y)}


def soft_tree(net: Net, sample: Sample) -> Outputs:
    x = sample["image"].flatten(1)

    def below(path: str, mass: Tensor, level: int) -> Tensor:
        if level == 3:
            return mass * torch.softmax(net.w[f"{path}.then.leaf"], -1)
        right = torch.sigmoid(net.linear(f"{path}.else.right.linear", x))
        left = below(f"{path}.else.Node_2", mass * (1 - right), level + 1)
        return below(f"{path}.else.Node", mass * right, level + 1) + left

    return {"y": below("Node", torch.ones(1, 1).double(), 0)}


def glimpses(net: Net, sample: Sample) -> Outputs:
    image, h, at = sample["image"], torch.zeros(1, 32).double(), torch.zeros(1, 2).double()
    wide = F.pad(image, (16, 16, 16, 16))
    for t in range(4):
        corner = [int(0.5 * (float(c) + 1) * 16) + 16 for c in at[0]]
        patches = []
        for side in (4, 8):
            i, j = (c - side // 2 for c in corner)
            patches.append(F.avg_pool2d(wide[:, :, i : i + side, j : j + side], side // 4).flatten(1))
        what = F.relu(net.linear("see.Glimpse.what.linear", torch.cat(patches, -1)))
        where = F.relu(net.linear("see.Glimpse.linear_2", at))
        g = F.relu(net.linear("see.Glimpse.linear", what) + net.linear("see.Glimpse.linear_3", where))
        h = F.relu(net.linear("core.Core.linear", g) + net.linear("core.Core.linear_2", h))
        at = torch.clamp(torch.tanh(net.linear("locate.linear", h)) + 0.1 * sample["noise"][:, t], -1, 1)
    return {"logits": net.linear("linear", h)}


def cell(net: Net, path: str) -> torch.nn.GRUCell:
    made = torch.nn.GRUCell(8, 16).double()
    for name, parameter in made.named_parameters():
        parameter.copy_(net.w[f"{path}.gru_cell.{name}"])
    return made


def glance_and_focus(net: Net, sample: Sample) -> Outputs:
    image, (c, p) = sample["image"], torch.zeros(2, 1, 16).double()
    classifier, policy = cell(net, "classifier"), cell(net, "policy")
    x, path = F.interpolate(image, size=(8, 8), mode="bilinear", align_corners=False), "f.Encoder"
    for t in range(4):
        f = conv_norm(net, path, conv_norm(net, f"{path}.h", x, 2), 2).mean((2, 3))
        c = classifier(f, c)
        y = net.linear("say.linear", c)
        if t < 3 and net.decide(f"certain.{t}", bool(torch.softmax(y, -1).max() >= 0.16)):
            return {"logits": y, "seen": torch.tensor([t + 1])}
        p, path = policy(f, p), "focus.Encoder"
        i, j = (int(a) for a in torch.floor(torch.sigmoid(net.linear("place.linear", p))[0] * 8))
        x = image[:, :, i : i + 8, j : j + 8]
    return {"logits": y, "seen": torch.tensor([4])}


def clip_sampling(net: Net, sample: Sample) -> Outputs:
    scores, said = [], []
    for t in range(6):
        clip = sample["video"][:, t]
        h = F.relu(net.conv("score.Light.conv2d", F.avg_pool2d(clip, 4)))
        scores.append(net.linear("score.Light.linear", h.mean((2, 3)))[0, 0])
    best = torch.stack(scores).topk(2).indices
    net.decide("pick", best)
    for t in best.tolist():
        h = F.relu(net.conv("say.Heavy.h.conv2d", sample["video"][:, t], 2))
        said.append(net.linear("say.Heavy.linear", F.relu(net.conv("say.Heavy.conv2d", h, 2)).mean((2, 3))))
    return {"logits": (said[0] + said[1]) / 2}


def filters_per_pixel(net: Net, sample: Sample) -> Outputs:
    x = sample["x"]
    h = F.relu(net.conv("h.conv2d", x))
    w = torch.softmax(net.linear("filter.linear", h.permute(0, 2, 3, 1)), -1).permute(0, 3, 1, 2).flatten(2)
    windows = F.unfold(x, 3, padding=1).view(1, 3, 9, 144)
    return {"y": (windows * w[:, None]).sum(2).view(1, 3, 12, 12)}


def width_stages(net: Net, sample: Sample) -> Outputs:
    maps: list[list[Tensor]] = [[], [], []]
    for g in range(3):
        x = sample["image"]
        for layer in range(3):
            own = conv_norm(net, f"maps.{g}.more.{layer}.own.Group", x, 1 if layer == 0 else 2)
            maps[layer].append(own)
            x = torch.cat(maps[layer], 1)
        z = net.linear(f"maps.{g}.z.linear", x.mean((2, 3)))
        if g < 2 and net.decide(f"stage.{g}", bool(torch.softmax(z, -1).max() >= 0.4)):
            break
    return {"logits": z}


def gater(net: Net, sample: Sample) -> Outputs:
    x = sample["image"]
    h = F.relu(net.conv("z.Gater.h.conv2d", x, 2)).mean((2, 3))
    z = net.linear("z.Gater.linear_2", F.relu(net.linear("z.Gater.linear", h)))[0]
    for layer, on in enumerate((z > 0).split((8, 8, 16))):
        net.decide(f"x.{layer}.on", on.long())
        x = on[:, None, None] * conv_norm(net, f"x.{layer}.then", x)
    return {"logits": net.linear("linear", x.mean((2, 3)))}


def boosted_exits(net: Net, sample: Sample) -> Outputs:
    x, total = sample["image"], torch.zeros(1, 10).double()
    for i in range(3):
        x = conv_norm(net, f"x.{i}.y.Stage", x, 2)
        total = total + net.linear(f"x.{i}.z.linear", x.mean((2, 3)))
        if i < 2 and net.decide(f"boosted.{i}", bool(torch.softmax(total, -1).max() >= 0.4)):
            break
    return {"logits": total}


def interpolated(net: Net, sample: Sample) -> Outputs:
    image = sample["image"]
    on = net.conv("sampled.conv2d", image)[0, 0] > 0
    net.decide("sampled", on.long())
    h = F.relu(net.conv("y.then.Features.h.conv2d", image))
    y = on * net.conv("y.then.Features.conv2d", h, 1, 0)
    far = torch.arange(-2, 3).double() ** 2
    kernel = torch.exp(-net.w["sharpness"] * (far[:, None] + far))[None, None]
    near = F.conv2d(y.transpose(0, 1), kernel, padding=2).transpose(0, 1)
    near = near / (F.conv2d(on.double()[None, None], kernel, padding=2) + 0.000001)
    return {"logits": net.linear("linear", F.relu(torch.where(on, y, near)).mean((2, 3)))}


IMAGE = {"image": (3, 16, 16)}
SMALL = {"growth_factors": (1, 2, 4), "bottleneck_factors": (1, 2, 4), "size": 32, "stem": "cifar", "classes": 5}
MSDNET = {**SMALL, "channels": 4, "growth": 4, "blocks": 3, "base": 2, "step": 1}
MINIMAL = {**MSDNET, "prune": "min", "base": 1, "step": 2, "step_mode": "lin_grow"}
RANET = {"channels": 4, "growth": 4, "step": 2, "scales": (1, 2, 3), "blocks": 1, "block_step": 1, "classes": 5}
RANET |= {"growth_factors": (4, 2, 1), "bottleneck_factors": (4, 2, 1)}
DEEP = {"bottleneck": True, "stem": "imagenet"}
RESNET = {"depth": (2, 3), "widths": (4, 8), "size": 16}
IMAGE_32 = {"image": (3, 32, 32)}


def exits(count: int, tau: float) -> dict[str, np.ndarray]:
    return {"tau": np.full(count, tau, np.float32)}


FAMILIES: list[tuple[str, Paper]] = [
    ("14_channel_gating", Paper(channel_gating, {}, IMAGE_32)),
    ("15_spatial_gating", Paper(spatial_gating, {}, {"x": (16, 5, 6)})),
    ("21_resolution_adaptive", Paper(partial(ranet, tau=0.24), exits(3, 0.24), IMAGE_32, RANET)),
    (
        "41_msdnet",
        Paper(partial(msdnet, steps=(2, 1, 1), prune="max", tau=0.35), exits(2, 0.35), IMAGE_32, MSDNET),
    ),
    (
        "41_msdnet",
        Paper(partial(msdnet, steps=(1, 3, 5), prune="min", tau=0.27), exits(2, 0.27), IMAGE_32, MINIMAL),
    ),
    ("42_resnet", Paper(partial(resnet, skip="skipnet"), {}, IMAGE, {**RESNET, "skip": "skipnet"})),
    ("42_resnet", Paper(partial(resnet, skip="blockdrop"), {}, IMAGE, {**RESNET, **DEEP, "skip": "blockdrop"})),
    ("44_soft_tree", Paper(soft_tree, {}, {"image": (1, 8, 8)})),
    ("45_glimpses", Paper(glimpses, {}, {"image": (1, 16, 16), "noise": (4, 2)})),
    ("46_glance_and_focus", Paper(glance_and_focus, {"tau": np.full(3, 0.16, np.float32)}, IMAGE)),
    ("47_clip_sampling", Paper(clip_sampling, {}, {"video": (6, 3, 16, 16)})),
    ("48_filters_per_pixel", Paper(filters_per_pixel, {}, {"x": (3, 12, 12)})),
    ("49_width_stages", Paper(width_stages, {}, IMAGE)),
    ("50_gater", Paper(gater, {}, IMAGE)),
    ("51_boosted_exits", Paper(boosted_exits, {}, IMAGE)),
    ("53_sliced_weights", Paper(sliced_weights, {}, {"image": (3, 12, 12)})),
    ("52_interpolated", Paper(interpolated, {}, {"image": (3, 12, 12)})),
]
