"""Functions that generated PyTorch files use to move values between a batch and single positions in it; their source is
copied into those files.

A position is one number: the index in the flattened axes `axes` of a value, the first of which is the batch. `sizes`
are those of the other axes. A value of positions keeps its rank: they are counted along the batch axis, the other
axes have size one.
"""

from __future__ import annotations

import torch


def places_of(rows: torch.Tensor, sizes: tuple[int, ...]) -> list[torch.Tensor]:
    """The index along each axis."""
    places = []
    for size in reversed(sizes):
        places.append(rows % size)
        rows = torch.div(rows, size, rounding_mode="floor")
    return [rows, *reversed(places)]


def take_places(x: torch.Tensor, rows: torch.Tensor, sizes: tuple[int, ...], axes: tuple[int, ...]) -> torch.Tensor:
    """The values at positions. An axis -1 is one that x lacks: it is the same along it."""
    count = len(axes)
    if axes == tuple(range(count)):
        found = x.flatten(0, count - 1).index_select(0, rows)
        return found.reshape([rows.shape[0], *[1] * (count - 1), *x.shape[count:]])
    places = places_of(rows, sizes)
    if max(axes[1:]) < 0:
        return x.index_select(axes[0], places[0])
    held = [axis for axis in axes if axis >= 0]
    moved = x.movedim(held, list(range(len(held))))
    found = moved[tuple(place for place, axis in zip(places, axes, strict=True) if axis >= 0)]
    for _ in held[1:]:
        found = found.unsqueeze(1)
    return found.movedim(list(range(len(held))), held)


def put_places(
    x: torch.Tensor, rows: torch.Tensor, sizes: tuple[int, ...], axes: tuple[int, ...], value: torch.Tensor
) -> torch.Tensor:
    """x with a value written at positions, each of which occurs once."""
    count = len(axes)
    if axes == tuple(range(count)):
        flat = x.flatten(0, count - 1)
        return flat.index_copy(0, rows, value.reshape([rows.shape[0], *x.shape[count:]])).reshape(x.shape)
    found = x.clone(memory_format=torch.contiguous_format)
    near = list(range(count))
    found.movedim(axes, near)[tuple(places_of(rows, sizes))] = value.movedim(axes, near).flatten(0, count - 1)
    return found


def add_places(
    x: torch.Tensor, rows: torch.Tensor, sizes: tuple[int, ...], axes: tuple[int, ...], value: torch.Tensor
) -> torch.Tensor:
    """x with a value added at positions, each of which occurs once."""
    count = len(axes)
    if axes == tuple(range(count)):
        flat = x.flatten(0, count - 1)
        return flat.index_add(0, rows, value.reshape([rows.shape[0], *x.shape[count:]])).reshape(x.shape)
    return put_places(x, rows, sizes, axes, take_places(x, rows, sizes, axes) + value)


def rows_within(rows: torch.Tensor, sizes: tuple[int, ...], above: torch.Tensor) -> torch.Tensor:
    """Positions in some rows of a batch, as positions in the batch."""
    count = 1
    for size in sizes:
        count *= size
    batch = above.index_select(0, torch.div(rows, count, rounding_mode="floor"))
    return batch * count + rows % count


def places_of_queries(rows: torch.Tensor, size: int, n: int) -> tuple[torch.Tensor, int]:
    """Where positions, in ascending order, stand in n rows of which each has as many places as the fullest needs."""
    row = torch.div(rows, size, rounding_mode="floor")
    counts = torch.bincount(row, minlength=n)
    most = int(counts.max()) if n else 0
    return row * most + torch.arange(rows.shape[0], device=rows.device) - (counts.cumsum(0) - counts)[row], most


def pad_queries(x: torch.Tensor, places: torch.Tensor, n: int, most: int) -> torch.Tensor:
    """Values of positions, row by row, zero (false) in places that nobody needs."""
    empty = x.new_zeros([n * most, *x.shape[2:]])
    return empty.index_copy(0, places, x.squeeze(1)).reshape([n, most, *x.shape[2:]])


def take_queries(x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """The values of positions from those of all places."""
    return x.flatten(0, 1).index_select(0, places).unsqueeze(1)
