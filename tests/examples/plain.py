"""Plain PyTorch with the weights of a program, for references that are written sample by sample with real control flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import cogseedc
from cogseedc.interp.weights import initial_weights

FOLDER = Path(__file__).parents[2] / "examples"
SEED = 11

Array = np.ndarray[Any, np.dtype[Any]]


class Net:
    """Weights by path, the decisions of the sample that runs (by gate; what is absent was not reached)."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self.w = {path: torch.from_numpy(value).double() for path, value in weights.items()}
        self.decisions: dict[str, Array | int] = {}

    def decide(self, name: str, value: bool | int | Tensor) -> bool | int | Tensor:
        self.decisions[name] = value.numpy() if isinstance(value, Tensor) else int(value)
        return value

    def linear(self, path: str, x: Tensor) -> Tensor:
        return F.linear(x, self.w[f"{path}.weight"], self.w.get(f"{path}.bias"))

    def conv(self, path: str, x: Tensor, stride: int = 1, padding: int = 1) -> Tensor:
        return F.conv2d(x, self.w[f"{path}.weight"], self.w.get(f"{path}.bias"), stride, padding)

    def norm(self, path: str, x: Tensor) -> Tensor:
        mean, var = self.w[f"{path}.running_mean"], self.w[f"{path}.running_var"]
        return F.batch_norm(x, mean, var, self.w.get(f"{path}.weight"), self.w.get(f"{path}.bias"))

    def layer_norm(self, path: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.w[f"{path}.weight"], self.w[f"{path}.bias"])

    def rms_norm(self, path: str, x: Tensor) -> Tensor:
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * self.w[f"{path}.weight"]

    def expert(self, path: str, x: Tensor) -> Tensor:
        gated = F.silu(self.linear(f"{path}.linear", x)) * self.linear(f"{path}.linear_2", x)
        return self.linear(f"{path}.linear_3", gated)

    def attend(self, path: str, x: Tensor, heads: int, allowed: Tensor) -> Tensor:
        """x: [1, T, D], allowed: bool [T, T]."""
        q, k, v = F.linear(x, self.w[f"{path}.in_proj_weight"], self.w.get(f"{path}.in_proj_bias")).chunk(3, -1)
        q, k, v = (t.reshape(*t.shape[:-1], heads, -1).transpose(1, 2) for t in (q, k, v))
        scores = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).masked_fill(~allowed, -torch.inf)
        y = (torch.softmax(scores, -1) @ v).transpose(1, 2).flatten(2)
        return F.linear(y, self.w[f"{path}.out_proj_weight"], self.w.get(f"{path}.out_proj_bias"))


Outputs = dict[str, Tensor]
Sample = dict[str, Tensor]
Reference = Callable[[Net, Sample], Outputs]


@dataclass(frozen=True)
class Paper:
    """What an example computes, and how it is run."""

    reference: Reference
    knobs: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    """Of one sample's inputs."""
    set: Mapping[str, Any] = field(default_factory=dict)


def weights_of(source: Path, set: Mapping[str, Any]) -> dict[str, Array]:
    """Weights with which decisions differ from sample to sample."""
    random = np.random.default_rng(SEED)
    found: dict[str, Array] = {}
    initial: dict[str, Array] = initial_weights(cogseedc.load(source, set=set).elaborated.graph, SEED)
    for path, value in initial.items():
        if path.endswith("running_var"):
            found[path] = np.asarray(random.uniform(0.5, 1.5, value.shape), np.float32)
        elif value.ndim < 2:
            one = 1.0 if path.endswith("norm.weight") else 0.0
            found[path] = np.asarray(one + 0.2 * random.standard_normal(value.shape), np.float32)
        else:
            found[path] = (1.5 * value).astype(np.float32)
    return found


def inputs_of(shapes: Mapping[str, tuple[int, ...]], batch: int) -> dict[str, Array]:
    random = np.random.default_rng(SEED + batch)
    found: dict[str, Array] = {}
    for name, shape in shapes.items():
        if name == "tokens":
            found[name] = random.integers(0, 9, (batch, *shape))
            found[name][:, 0] = 1
        else:
            ones = (1,) * len(shape)
            scale, mean = random.uniform(0.2, 2.5, (batch, *ones)), random.standard_normal((batch, *ones))
            found[name] = (scale * random.standard_normal((batch, *shape)) + mean).astype(np.float32)
    return found
