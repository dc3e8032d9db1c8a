"""Published networks in plain PyTorch, small: MSDNet, RANet and the ResNet family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.examples.plain import Net, Outputs, Sample


class Layers:
    """The layers of a network whose weights are used in the order in which they were made."""

    def __init__(self, net: Net, tau: float) -> None:
        self.net, self.tau = net, tau
        ends = (".conv2d.weight", ".linear.weight")
        self.paths: Iterator[str] = iter([p.removesuffix(".weight") for p in net.w if p.endswith(ends)])

    def conv(self, x: Tensor, stride: int = 1) -> Tensor:
        path = next(self.paths)
        y = self.net.conv(path, x, stride, self.net.w[f"{path}.weight"].shape[-1] // 2)
        return F.relu(self.net.norm(path.replace(".conv2d", ".batch_norm"), y))

    def bottleneck(self, x: Tensor, stride: int = 1) -> Tensor:
        return self.conv(self.conv(x), stride)

    def classifier(self, x: Tensor) -> Tensor:
        y = F.avg_pool2d(self.conv(self.conv(x, 2), 2), 2)
        return self.net.linear(next(self.paths), y.flatten(1))

    def leaves(self, exit: str, logits: Tensor) -> bool:
        return bool(self.net.decide(exit, bool(torch.softmax(logits, -1).max() >= self.tau)))


def msdnet(net: Net, sample: Sample, steps: Sequence[int], prune: str, tau: float) -> Outputs:
    """Three scales; a layer that loses the finest one still reads it."""
    layers, count, n = Layers(net, tau), sum(steps), 0
    maps = [layers.conv(sample["image"])]
    for _ in range(2):
        maps.append(layers.conv(maps[-1], 2))
    for block, step in enumerate(steps):
        for _ in range(step):
            n += 1
            left = 3 - (n - 1) // -(-count // 3) if prune == "max" else min(3, count - n + 1)
            reduced = left < len(maps) if prune == "max" else n in (count // 3, 2 * count // 3)
            gone, grown = len(maps) - left, []
            for s in range(left):
                own = maps[s + gone]
                finer = [layers.bottleneck(maps[s + gone - 1], 2)] if s + gone else []
                grown.append(torch.cat([own, *finer, layers.bottleneck(own)], 1))
            maps = [layers.conv(m) for m in grown] if reduced else grown
        logits = layers.classifier(maps[-1])
        if block < len(steps) - 1 and layers.leaves(f"head.{block}", logits):
            break
    return {"logits": logits}


def _enlarged(x: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(x, size=tuple(size[2:]), mode="bilinear", align_corners=True)


def ranet(net: Net, sample: Sample, tau: float) -> Outputs:
    """Three sub-networks of one, two and three blocks, two layers in a block; the last block of each has an exit."""
    layers = Layers(net, tau)
    starts = [layers.conv(sample["image"])]
    for _ in range(2):
        starts.append(layers.conv(starts[-1], 2))
    kept: list[list[Tensor]] = []
    for s in range(3):
        x, made = starts[2 - s], list[list[Tensor]]()
        for b in range(s + 1):
            maps = [x]
            for i in range(2):
                if b == s:
                    x = torch.cat([x, layers.bottleneck(x)], 1)
                else:
                    low = layers.bottleneck(kept[b][i])
                    own = layers.bottleneck(x, 2 if i == 1 else 1)
                    x = torch.cat([_enlarged(x, own.shape), _enlarged(low, own.shape), own], 1)
                maps.append(x)
            if b < s:
                x = torch.cat([x, _enlarged(layers.conv(kept[b][2]), x.shape)], 1)
            if b + 1 in [(s + 1) * i // (s + 1) for i in range(1, s + 1)]:
                x = layers.conv(x)
            made.append(maps)
        logits = layers.classifier(x)
        if s < 2 and layers.leaves(f"head.{s}.{s}", logits):
            break
        kept = made
    return {"logits": logits}


def resnet(net: Net, sample: Sample, skip: str) -> Outputs:
    """Two blocks, then three: basic ones with means and zeros around them, or bottlenecks with projections."""
    image, deep = sample["image"], skip == "blockdrop"

    def conv(path: str, x: Tensor, stride: int = 1) -> Tensor:
        y = net.conv(f"{path}.conv2d", x, stride, net.w[f"{path}.conv2d.weight"].shape[-1] // 2)
        return net.norm(f"{path}.batch_norm", y)

    if deep:
        x = F.max_pool2d(F.relu(conv("first.1.Conv", image, 2)), 3, 2, 1)
        policy = F.relu(conv("use.2.Policy.Conv", image, 2)).mean((2, 3))
        use = torch.sigmoid(net.linear("use.2.Policy.linear", policy))[0] >= 0.5
    else:
        x = F.relu(conv("first.0.Conv", image))
    for s, depth in enumerate((2, 3)):
        for b in range(depth):
            path, width, stride = f"x.{s}.{b}", (4, 8)[s] * (4 if deep else 1), 2 if (s, b) == (1, 0) else 1
            if deep:
                short = x if b else conv(f"{path}.short.Shortcut.else.1.Conv", x, stride)
                run, inside = bool(use[2 * s + b]), f"{path}.x.2"
            else:
                short = F.avg_pool2d(x, stride)
                short = torch.cat([short, torch.zeros(1, width - short.shape[1], *short.shape[2:])], 1)
                inside = f"{path}.x.1" if s + b else f"{path}.x.0"
                run = s + b == 0 or bool(net.linear(f"{inside}.keep.linear", x.mean((2, 3))) > 0)
            if s + b or deep:
                net.decide(f"{inside}.keep", run)
                inside += ".then"
            if run:
                inside = f"{inside}.Residual.{'then' if deep else 'else'}.Conv"
                strides = (1, stride, 1) if deep else (stride, 1)
                for i, step in enumerate(strides):
                    x = conv(inside + (f"_{i + 1}" if i else ""), F.relu(x) if i else x, step)
                x = F.relu(short + x)
            else:
                x = short
    return {"logits": net.linear("linear", x.mean((2, 3)))}
