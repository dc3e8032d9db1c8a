"""Functions that generated PyTorch files use to train decisions; their source is copied into those files.

Each function is complete in itself and uses nothing but torch.
"""

from __future__ import annotations

import torch


def perturb(x: torch.Tensor, noise: str, training: bool) -> torch.Tensor:
    """x, in training with standard noise: `gumbel`, `logistic` or `normal`."""
    if not training:
        return x
    x = x.to(torch.float32)
    if noise == "normal":
        return x + torch.randn_like(x)
    if noise == "logistic":
        return x + torch.logit(torch.rand_like(x), eps=1e-7)
    return x - torch.empty_like(x).exponential_().log()


def straight_through(hard: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
    """The hard value, with the gradient of the soft one."""
    soft = soft.to(torch.float32)
    return hard.to(torch.float32).detach() + (soft - soft.detach())


def soft_top(scores: torch.Tensor, k: int, dim: int) -> torch.Tensor:
    """How much each element counts among the k largest, k in all: k softmaxes, each of what is left."""
    scores = scores.to(torch.float32)
    total = torch.zeros_like(scores)
    for _ in range(k):
        share = torch.softmax(scores, dim)
        total = total + share
        scores = scores + torch.log1p(-share.clamp(max=1 - 1e-6))
    return total


def top_logp(scores: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """For each chosen class the log of its probability in its turn, 0 for the others."""
    left = scores.to(torch.float32)
    total = torch.zeros_like(left)
    for turn in range(indices.shape[-1]):
        at = indices.narrow(-1, turn, 1)
        total = total.scatter_add(-1, at, torch.log_softmax(left, -1).gather(-1, at))
        left = left.scatter(-1, at, -torch.inf)
    return total
