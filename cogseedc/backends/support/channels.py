"""Functions that generated PyTorch files use to compute with the channels that gates chose; their source is copied into
those files."""

from __future__ import annotations

import torch


def listed_channels(mask: torch.Tensor) -> torch.Tensor:
    """The channels of a mask [channels]; of an empty one the first."""
    found = mask.nonzero().flatten()
    return found if found.shape[0] else found.new_zeros(1)


def samples_alike(n: int, masks: list[torch.Tensor]) -> list[tuple[slice | torch.Tensor, list[torch.Tensor]]]:
    """Groups of the n samples for which all masks, [n, channels] or [channels], are alike: where they lie, and the
    masks [channels] of the group. Samples that lie side by side are a slice."""
    if n == 0:
        return []
    rows = torch.cat([mask.expand(n, -1) for mask in masks], 1)
    distinct, group = torch.unique(rows, dim=0, return_inverse=True)
    members: dict[int, list[int]] = {}
    for i, place in enumerate(group.tolist()):
        members.setdefault(place, []).append(i)
    sizes = [mask.shape[-1] for mask in masks]
    found: list[tuple[slice | torch.Tensor, list[torch.Tensor]]] = []
    for place, samples in members.items():
        near = samples[-1] - samples[0] == len(samples) - 1
        where = slice(samples[0], samples[-1] + 1) if near else torch.tensor(samples, device=rows.device)
        found.append((where, list(distinct[place].split(sizes))))
    return found


def put_channels(
    x: torch.Tensor, samples: slice | torch.Tensor, axis: int, channels: torch.Tensor, value: torch.Tensor
) -> None:
    """Overwrites some channels of some samples of x."""
    if isinstance(samples, slice):
        x[samples].index_copy_(axis, channels, value.to(x.dtype))
    else:
        x[samples] = x[samples].index_copy(axis, channels, value.to(x.dtype))


def among_channels(x: torch.Tensor, axis: int, channels: torch.Tensor, size: int) -> torch.Tensor:
    """x as some of `size` channels, the others being zero."""
    shape = list(x.shape)
    shape[axis] = size
    return x.new_zeros(shape).index_copy(axis, channels, x)
