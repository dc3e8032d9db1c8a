"""Functions that generated PyTorch files use to compute convolutions on some tiles of an image; their source is copied
into those files.

`tiles` has, for each tile, its sample and its place along both axes, counted in tiles. What is read of an image for a
tile begins, along both axes, at `step * place - before` and has `size` pixels, which may lie outside of it.
"""

from __future__ import annotations

import torch


def active_tiles(
    mask: torch.Tensor, layers: tuple[tuple[float, int, int], ...], moved: float, least: float
) -> tuple[int, torch.Tensor]:
    """The size of tiles with which least is computed, and those tiles in which the mask [N, H, W] has a pixel; size 0
    where computing everything costs less.

    `layers` has for each layer its cost per pixel, its pixels per pixel of the mask along an axis, and how many pixels
    a tile of one pixel needs; `moved` is what moving a pixel costs, `least` what any tiling does.
    """
    dense = sum(cost * grid * grid for cost, grid, _ in layers) * mask.numel()
    best, found, near, before = 0, mask, mask.unsqueeze(1).to(torch.float32), 1
    for size in (4, 8, 16):
        step = size // before
        near = torch.nn.functional.max_pool2d(near, step, step, ceil_mode=True) if mask.numel() else near
        before, count = size, float(near.sum())
        total = least
        for cost, grid, span in layers:
            total += count * cost * (grid * (size - 1) + span) ** 2 * (1 + 1 / size)
        total += count * moved * size * size
        if total < dense:
            best, found, dense = size, near.squeeze(1), total
        elif count * size * size > 0.7 * mask.numel():  # larger tiles have no fewer pixels
            break
    return best, torch.nonzero(found)


def along_tiles(places: torch.Tensor, step: int, before: int, size: int) -> torch.Tensor:
    """Where the pixels of tiles lie along an axis [tiles, size]."""
    return (places * step - before).unsqueeze(1) + torch.arange(size, device=places.device)


def inside_tiles(tiles: torch.Tensor, step: int, before: int, size: int, image: tuple[int, int]) -> torch.Tensor:
    """Which pixels of tiles lie in an image [tiles, 1, size, size]."""
    y = along_tiles(tiles[:, 1], step, before, size)
    x = along_tiles(tiles[:, 2], step, before, size)
    return (((y >= 0) & (y < image[0])).unsqueeze(2) & ((x >= 0) & (x < image[1])).unsqueeze(1)).unsqueeze(1)


def rows_of_tiles(tiles: torch.Tensor, step: int, before: int, size: int, image: tuple[int, int]) -> torch.Tensor:
    """The pixels of tiles [tiles, size, size], as places in a flattened batch of images; those outside are moved to the
    border."""
    y = along_tiles(tiles[:, 1], step, before, size).clamp(0, max(image[0] - 1, 0))
    x = along_tiles(tiles[:, 2], step, before, size).clamp(0, max(image[1] - 1, 0))
    return (tiles[:, :1] * image[0] + y).unsqueeze(2) * image[1] + x.unsqueeze(1)


def take_tiles(x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The pixels of x, which has its channels last, in rows [tiles, size, size]: [tiles, C, size, size]."""
    channels = x.shape[1]
    found = x.permute(0, 2, 3, 1).reshape(-1, channels).index_select(0, rows.flatten())
    return found.reshape(*rows.shape, channels).permute(0, 3, 1, 2)


def changed_pixels(
    tiles: torch.Tensor, size: int, mask: torch.Tensor, image: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which pixels of tiles lie in an image where the mask is true, and where these are in a flattened batch."""
    rows = rows_of_tiles(tiles, size, 0, size, image).flatten()
    inside = inside_tiles(tiles, size, 0, size, image).flatten()
    chosen = torch.nonzero(inside & mask.flatten().index_select(0, rows)).squeeze(1)
    return chosen, rows.index_select(0, chosen)


def put_tiles(
    x: torch.Tensor, changed: tuple[torch.Tensor, torch.Tensor], value: torch.Tensor, spent: bool
) -> torch.Tensor:
    """x, which has its channels last, with the changed pixels of tiles written over it. Where x is `spent`, that is,
    nobody reads it any more, it is written over itself (but for gradients, which may read it)."""
    chosen, rows = changed
    found = x if spent and not torch.is_grad_enabled() else x.clone(memory_format=torch.channels_last)
    near = value.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).index_select(0, chosen)
    found.permute(0, 2, 3, 1).view(-1, x.shape[1]).index_copy_(0, rows, near)
    return found
