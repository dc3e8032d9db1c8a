"""Functions that generated PyTorch files use to compute samples with the filters that they chose; their source is
copied into those files."""

from __future__ import annotations

import torch


def chosen_channels(positions: torch.Tensor, size: int, n: int) -> list[tuple[int, torch.Tensor]]:
    """For each of n samples that chose some of `size` channels: its index, and the channels. Positions count channels
    sample by sample, and ascend."""
    if positions.shape[0] == 0:
        return []
    counts = torch.bincount(torch.div(positions, size, rounding_mode="floor"), minlength=n).tolist()
    return [(i, channels) for i, channels in enumerate(torch.split(positions % size, counts)) if counts[i]]


def kept_channels(positions: torch.Tensor, size: int, n: int) -> list[torch.Tensor]:
    """For each of n samples the channels that may differ from zero: those that it chose, or else the first."""
    found = [positions.new_zeros(1)] * n
    for i, channels in chosen_channels(positions, size, n):
        found[i] = channels
    return found
