"""Networks as people write them by hand in PyTorch, and as torch's own exporter makes ONNX of them."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

Array = np.ndarray[Any, np.dtype[Any]]


def exported(module: nn.Module, arguments: Sequence[torch.Tensor], inputs: Sequence[str], batch: bool = True) -> bytes:
    """What `torch.onnx.export` makes of a module; with `batch`, the first axis of the first argument is open."""
    shapes = tuple({0: torch.export.Dim("batch")} if batch and i == 0 else {} for i in range(len(arguments)))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(), tuple(arguments), dynamo=True, verbose=False, input_names=list(inputs),
            output_names=["y"], dynamic_shapes=shapes if batch else None,
        )  # fmt: skip
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


def weights_at_root(model: bytes) -> bytes:
    """The same model with the initialisers of all bodies in the main graph, where exporters put them."""
    proto = onnx.ModelProto.FromString(model)
    stack = [a.g for node in proto.graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    while stack:
        graph = stack.pop()
        proto.graph.initializer.extend(graph.initializer)
        del graph.initializer[:]
        stack += [a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    content: bytes = proto.SerializeToString()
    return content


class EarlyExit(nn.Module):
    """Four blocks of three convolutions, a classifier behind each; an exit behind the first three."""

    WIDTHS = (3, 32, 64, 128, 256)

    def __init__(self, weights: Mapping[str, Array]) -> None:
        super().__init__()
        pairs = list(zip(self.WIDTHS, self.WIDTHS[1:], strict=False))
        self.blocks = nn.ModuleList(self._block(a, b) for a, b in pairs)
        self.heads = nn.ModuleList(nn.Linear(b, 10) for _, b in pairs)
        order = ["a.Triple", "b.Triple", "c.Triple", "Triple"]
        heads = ["exits.e0.Head", "exits.e1.Head", "exits.e2.Head", "Head"]
        state = {}
        for i, (block, head) in enumerate(zip(order, heads, strict=True)):
            for j, name in enumerate(("conv2d", "conv2d_2", "conv2d_3")):
                for part in ("weight", "bias"):
                    state[f"blocks.{i}.{2 * j}.{part}"] = torch.from_numpy(weights[f"{block}.{name}.{part}"])
            for part in ("weight", "bias"):
                state[f"heads.{i}.{part}"] = torch.from_numpy(weights[f"{head}.linear.{part}"])
        self.load_state_dict(state)

    @staticmethod
    def _block(inputs: int, width: int) -> nn.Sequential:
        sizes = (inputs, width, width)
        layers = [(nn.Conv2d(size, width, 3, padding=1), nn.ReLU()) for size in sizes]
        return nn.Sequential(*(layer for pair in layers for layer in pair))

    def block(self, i: int, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.blocks[i](x if i == 0 else nn.functional.max_pool2d(x, 2))
        return result

    def head(self, i: int, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.heads[i](x.mean((2, 3)))
        return result


class StaticExit(EarlyExit):
    """All blocks, no exit."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for i in range(4):
            x = self.block(i, x)
        return self.head(3, x)


class MaskedExit(EarlyExit):
    """Computes everything for all samples, then selects."""

    def forward(self, x: torch.Tensor, taus: torch.Tensor) -> torch.Tensor:
        outputs = []
        for i in range(4):
            x = self.block(i, x)
            outputs.append(self.head(i, x))
        result = outputs[3]
        for i in (2, 1, 0):
            leaves = torch.softmax(outputs[i], -1).amax(-1, keepdim=True) >= taus[i]
            result = torch.where(leaves, outputs[i], result)
        return result


class CondExit(EarlyExit):
    """Batch one, a `torch.cond` for each exit."""

    def forward(self, x: torch.Tensor, taus: torch.Tensor) -> torch.Tensor:
        return self._from(0, x, taus)

    def _from(self, i: int, x: torch.Tensor, taus: torch.Tensor) -> torch.Tensor:
        x = self.block(i, x)
        y = self.head(i, x)
        if i == 3:
            return y
        leaves = torch.softmax(y, -1).amax(-1) >= taus[i]
        return torch.cond(leaves[0], lambda x, y: y.clone(), lambda x, y: self._from(i + 1, x, taus), (x, y))  # type: ignore[no-any-return]


class LoopedExit(EarlyExit):
    """One sample after the other, a Python `if` for each exit."""

    def forward(self, x: torch.Tensor, taus: torch.Tensor) -> torch.Tensor:
        return torch.cat([self._one(x[i : i + 1], taus) for i in range(len(x))])

    def _one(self, x: torch.Tensor, taus: torch.Tensor) -> torch.Tensor:
        for i in range(4):
            x = self.block(i, x)
            y = self.head(i, x)
            if i == 3 or bool(torch.softmax(y, -1).amax() >= taus[i]):
                break
        return y
