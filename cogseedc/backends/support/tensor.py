"""Functions that generated PyTorch files use for tensor operations; their source is copied into those files.

Each function is complete in itself and uses nothing but torch.
"""

from __future__ import annotations

import torch


def argmax(x: torch.Tensor, dim: int, keep: bool) -> torch.Tensor:
    """Index of the largest element: the lowest of equal ones; NaN counts as lowest."""
    if x.is_floating_point():
        x = torch.where(x.isnan(), -torch.inf, x.clamp(min=torch.finfo(x.dtype).min))
    return x.to(torch.uint8 if x.dtype == torch.bool else x.dtype).argmax(dim, keepdim=keep)


def argmin(x: torch.Tensor, dim: int, keep: bool) -> torch.Tensor:
    """Index of the smallest element: the lowest of equal ones; NaN counts as largest."""
    if x.is_floating_point():
        x = torch.where(x.isnan(), torch.inf, x.clamp(max=torch.finfo(x.dtype).max))
    return x.to(torch.uint8 if x.dtype == torch.bool else x.dtype).argmin(dim, keepdim=keep)


def argsort(x: torch.Tensor, dim: int, descending: bool) -> torch.Tensor:
    """Indices in order, equal elements by index; NaN counts as lowest."""
    if x.is_floating_point():
        x = torch.where(x.isnan(), -torch.inf, x.clamp(min=torch.finfo(x.dtype).min))
    return torch.sort(x, dim=dim, descending=descending, stable=True).indices


def top_places(x: torch.Tensor, k: int, dim: int) -> torch.Tensor:
    """Indices of the k largest elements along an axis, best first: equal ones by index, NaN as lowest."""
    if x.is_floating_point():
        x = torch.where(x.isnan(), -torch.inf, x.clamp(min=torch.finfo(x.dtype).min))
    if k == 1 and x.dtype != torch.bool:
        return x.argmax(dim, keepdim=True)
    return torch.sort(x, dim=dim, descending=True, stable=True).indices.narrow(dim, 0, k)


def in_places(x: torch.Tensor, places: torch.Tensor, dim: int) -> torch.Tensor:
    """True at the places, along an axis, of a tensor like x."""
    return torch.zeros(x.shape, dtype=torch.bool, device=x.device).scatter(dim, places, True)


def top_mask(indices: torch.Tensor, classes: int) -> torch.Tensor:
    """True for the classes among the indices of the last axis; -1 is none."""
    return (indices.unsqueeze(-1) == torch.arange(classes, device=indices.device)).any(-2)


def top_weights(mask: torch.Tensor, weights: torch.Tensor, renormalize: bool) -> torch.Tensor:
    """The weights of the selected, zero elsewhere; made to sum to one along the last axis on request."""
    taken = torch.where(mask, weights.to(torch.float32), 0.0)
    if not renormalize:
        return taken
    total = taken.sum(-1, keepdim=True)
    return taken / torch.where(total == 0, 1.0, total)


def capacity_mask(mask: torch.Tensor, capacity: int, dim: int) -> torch.Tensor:
    """The first `capacity` selections of each class along an axis."""
    return mask & (mask.cumsum(dim) <= capacity)


def dropped_indices(indices: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The indices, -1 where the mask of their class is false."""
    kept = torch.gather(mask, -1, indices.clamp(min=0)) & (indices >= 0)
    return torch.where(kept, indices, -1)


def variance(x: torch.Tensor, dim: tuple[int, ...], unbiased: bool, keep: bool) -> torch.Tensor:
    """Mean squared distance from the mean; without torch's warning for an empty batch."""
    squares = torch.square(x - x.mean(dim, keepdim=True))
    if not unbiased:
        return squares.mean(dim, keepdim=keep)
    count = 1
    for axis in dim:
        count *= x.shape[axis]
    return squares.sum(dim, keepdim=keep) / (count - 1 or torch.nan)


def take(x: torch.Tensor, index: torch.Tensor, dim: int, shared: tuple[int, ...]) -> torch.Tensor:
    """Elements of x at an index along `dim`, clamped into it.

    `shared[i]` is the axis of x that axis i of the index goes with, or -1; the other axes of the index
    stand in the result where `dim` stood in x.
    """
    index = index.to(torch.int64).clamp(0, x.shape[dim] - 1)
    new = [i for i, axis in enumerate(shared) if axis < 0]
    both = sorted(axis for axis in shared if axis >= 0)
    rest = [axis for axis in range(x.dim()) if axis != dim and axis not in both]
    index = index.permute([shared.index(axis) for axis in both] + new)
    places = []
    for i, axis in enumerate(both):
        shape = [1] * index.dim()
        shape[i] = x.shape[axis]
        places.append(torch.arange(x.shape[axis], device=x.device).reshape(shape))
    found = x.permute([*both, dim, *rest])[(*places, index)]
    order: list[int] = []
    for axis in range(x.dim()):
        if axis == dim:
            order += range(len(both), len(both) + len(new))
        else:
            order.append(both.index(axis) if axis in both else len(both) + len(new) + rest.index(axis))
    return found.permute(order)


def space_to_depth(x: torch.Tensor, factor: int) -> torch.Tensor:
    """Blocks of pixels to channels; unlike torch's pixel_unshuffle also for an empty batch."""
    n, (height, width) = x.dim() - 3, x.shape[-2:]
    x = x.reshape([*x.shape[:-2], height // factor, factor, width // factor, factor])
    return x.permute([*range(n), n, n + 2, n + 4, n + 1, n + 3]).flatten(n, n + 2)


def put(x: torch.Tensor, index: torch.Tensor, value: torch.Tensor, dim: int, shared: tuple[int, ...]) -> torch.Tensor:
    """x with `value` written at an index along `dim`; outside of it nothing is written.

    `shared[i]` is the axis of x that axis i of the index goes with.
    """
    axes = sorted(shared)
    shape = [x.shape[axis] if axis in axes else 1 for axis in range(x.dim())]
    at = index.permute([shared.index(axis) for axis in axes]).reshape(shape)
    places = torch.arange(x.shape[dim], device=x.device).reshape([-1] + [1] * (x.dim() - dim - 1))
    return torch.where(places == at, value.unsqueeze(dim), x)


def gather(x: torch.Tensor, index: torch.Tensor, dim: int) -> torch.Tensor:
    """Elements along an axis, one for each element of the index, which is clamped into the axis."""
    return torch.gather(x, dim, index.to(torch.int64).clamp(0, x.shape[dim] - 1))


def scatter(x: torch.Tensor, index: torch.Tensor, value: torch.Tensor, dim: int, add: bool) -> torch.Tensor:
    """x with values written, or added, along an axis at an index, which is clamped into the axis."""
    index = index.to(torch.int64).clamp(0, x.shape[dim] - 1)
    return x.scatter_add(dim, index, value) if add else x.scatter(dim, index, value)


def entropy(logits: torch.Tensor, dim: int) -> torch.Tensor:
    """Entropy, in nats, of the softmax of logits; 0 ln 0 is 0."""
    logp = torch.log_softmax(logits.to(torch.float32), dim)
    return -(logp.exp() * logp.clamp(min=torch.finfo(torch.float32).min)).sum(dim)


def margin(logits: torch.Tensor, dim: int) -> torch.Tensor:
    """The largest probability minus the second."""
    best = torch.softmax(logits.to(torch.float32), dim).topk(2, dim).values
    return best.select(dim, 0) - best.select(dim, 1)


def load_balance(mask: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Classes times the sum, over classes, of the share of selections and the mean score."""
    classes = mask.shape[-1]
    share = mask.to(torch.float32).reshape(-1, classes).mean(0)
    return classes * (share * scores.to(torch.float32).reshape(-1, classes).mean(0)).sum()


def scale_of(largest: torch.Tensor, limit: float) -> torch.Tensor:
    """The step with which `limit` steps reach the largest magnitude; 1 where that is zero."""
    return torch.where(largest > 0, largest / limit, 1.0)


def quantize(
    x: torch.Tensor,
    scale: torch.Tensor,
    zero: int = 0,
    dtype: torch.dtype = torch.int8,
    low: int = -128,
    high: int = 127,
) -> torch.Tensor:
    """x in steps of `scale`, rounded (halves to even), from the zero point on; NaN is zero."""
    near = torch.nan_to_num(torch.round(x / scale)).to(torch.float64) + zero
    return near.clamp(low, high).to(dtype)


def exp_map(v: torch.Tensor, curvature: float) -> torch.Tensor:
    """From the tangent space at the origin into the Poincare ball."""
    length: torch.Tensor = curvature**0.5 * torch.linalg.vector_norm(v, dim=-1, keepdim=True).clamp(min=1e-7)
    return torch.tanh(length) * v / length


def log_map(y: torch.Tensor, curvature: float) -> torch.Tensor:
    """From the Poincare ball into the tangent space at its origin."""
    length: torch.Tensor = curvature**0.5 * torch.linalg.vector_norm(y, dim=-1, keepdim=True).clamp(min=1e-7)
    return torch.atanh(length.clamp(max=1 - 1e-3)) * y / length


def mobius_add(x: torch.Tensor, y: torch.Tensor, curvature: float) -> torch.Tensor:
    """Sum of two points of the Poincare ball."""
    c = curvature
    xy, xx, yy = (x * y).sum(-1, keepdim=True), (x * x).sum(-1, keepdim=True), (y * y).sum(-1, keepdim=True)
    return ((1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y) / (1 + 2 * c * xy + c * c * xx * yy)


def to_sphere(x: torch.Tensor) -> torch.Tensor:
    """The point of the unit sphere in the direction of x."""
    length: torch.Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp(min=1e-7)
    return x / length
