"""Functions that generated PyTorch files use for neural operations; their source is copied into those files.

Each function is complete in itself and uses nothing but torch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def conv_per_index(
    x: torch.Tensor,
    weight: torch.Tensor,
    spatial: int,
    bias: torch.Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> torch.Tensor:
    """Convolution over the last 1 or 2 axes with a kernel for each index of the axes left of the channels."""
    options = []
    for option, neutral in ((stride, 1), (padding, 0), (dilation, 1)):
        several = (option,) * spatial if isinstance(option, int) else option
        options.append(several if spatial == 2 else (neutral, *several))
    steps, pads, gaps = options
    if spatial == 1:
        x, weight = x.unsqueeze(-2), weight.unsqueeze(-2)
    *lead, channels, height, width = x.shape
    outer, kernel = weight.shape[-4], weight.shape[-2:]
    columns = F.unfold(x.reshape(-1, channels, height, width) if len(lead) != 1 else x, kernel, gaps, pads, steps)
    sides = (height, width)
    out = [(sides[i] + 2 * pads[i] - gaps[i] * (kernel[i] - 1) - 1) // steps[i] + 1 for i in (0, 1)]
    inner = channels // groups * kernel[0] * kernel[1]
    columns = columns.reshape(*lead, groups, inner, out[0] * out[1])
    y = weight.reshape(*weight.shape[:-4], groups, outer // groups, inner) @ columns
    y = y.reshape(*lead, outer, *out[2 - spatial :])
    return y if bias is None else y + bias.reshape(*bias.shape, *[1] * spatial)


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    heads: int = 1,
    mask: torch.Tensor | None = None,
    length: torch.Tensor | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> torch.Tensor:
    """Attention of q [*L, T, D] or [*L, D] to k [*L, S, D] and v [*L, S, E]; mask [*L, T, S] is true for keys seen."""
    single = q.dim() < k.dim()
    q = q.unsqueeze(-2) if single else q
    masks = [] if mask is None else [mask]
    if length is not None:
        masks.append(torch.arange(k.shape[-2], device=k.device) < length[..., None, None])
    if causal:
        masks.append(torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=k.device).tril())
    seen = None
    for near in masks:
        seen = near if seen is None else seen & near
    q, k, v = (x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads).transpose(-3, -2) for x in (q, k, v))
    seen = None if seen is None else seen.unsqueeze(-3)
    y = F.scaled_dot_product_attention(q, k, v, seen, scale=scale)
    lost = 0.0 * k.sum(-1).unsqueeze(-2)  # the fused kernel forgets NaN in q and k: it is put back
    lost = (lost if seen is None else torch.where(seen, lost, 0.0)).sum(-1, keepdim=True)
    y = y + (0.0 * q.sum(-1, keepdim=True) + lost)
    y = y.transpose(-3, -2).flatten(-2)
    return y.squeeze(-2) if single else y


def lstm(
    x: torch.Tensor, h: torch.Tensor | None, c: torch.Tensor | None, *weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """An LSTM over axis -2 of x; states [*L, hidden] start at zero when they are None."""
    lead, hidden = x.shape[:-2], weights[1].shape[1]
    h, c = (x.new_zeros(*lead, hidden) if s is None else s for s in (h, c))
    states = [s.reshape(1, lead.numel(), hidden).contiguous() for s in (h, c)]
    rows = x.reshape(lead.numel(), *x.shape[-2:])
    y, h, c = torch.lstm(rows, states, weights, len(weights) == 4, 1, 0.0, torch.is_grad_enabled(), False, True)
    return y.reshape(*x.shape[:-1], hidden), h.reshape(*lead, hidden), c.reshape(*lead, hidden)


def gru(x: torch.Tensor, h: torch.Tensor | None, *weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A GRU over axis -2 of x; the state [*L, hidden] starts at zero when it is None."""
    lead, hidden = x.shape[:-2], weights[1].shape[1]
    state = (x.new_zeros(*lead, hidden) if h is None else h).reshape(1, lead.numel(), hidden).contiguous()
    rows = x.reshape(lead.numel(), *x.shape[-2:])
    y, last = torch.gru(rows, state, weights, len(weights) == 4, 1, 0.0, torch.is_grad_enabled(), False, True)
    return y.reshape(*x.shape[:-1], hidden), last.reshape(*lead, hidden)


def recurrent_step(
    cell: str, x: torch.Tensor, states: tuple[torch.Tensor, ...], *weights: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """One step of torch's cell of that name, for any number of axes left of the features."""
    rows = [s.reshape(s.shape[:-1].numel(), s.shape[-1]) for s in (x, *states)]
    near = getattr(torch, cell)(rows[0], tuple(rows[1:]) if len(rows) > 2 else rows[1], *weights)
    several = near if isinstance(near, tuple) else (near,)
    return tuple(y.reshape(s.shape) for y, s in zip(several, states, strict=True))


def resize_nearest(x: torch.Tensor, size: tuple[int, ...], dims: tuple[int, ...]) -> torch.Tensor:
    """Output index i of a dimension is input index floor(i * input / output), in exact arithmetic."""
    for count, dim in zip(size, dims, strict=True):
        x = x.index_select(dim, torch.arange(count, device=x.device) * x.shape[dim] // count)
    return x


def pad_inside(
    x: torch.Tensor, before: tuple[int, ...], after: tuple[int, ...], dims: tuple[int, ...], mode: str
) -> torch.Tensor:
    """Pads with values of x itself: its edges, or (`reflect`) its mirror image without the edges."""
    for low, high, dim in zip(before, after, dims, strict=True):
        last = x.shape[dim] - 1
        place = torch.arange(-low, last + 1 + high, device=x.device)
        place = last - (last - place.abs()).abs() if mode == "reflect" else place.clamp(0, last)
        x = x.index_select(dim, place)
    return x


def crop(x: torch.Tensor, at: torch.Tensor, dims: tuple[int, ...], size: tuple[int, ...], zeros: bool) -> torch.Tensor:
    """Cuts `size` around the centre at[..., i], in -1 .. 1, of dimension dims[i]. Outside are zeros or the edge."""
    for i, (dim, count) in enumerate(zip(dims, size, strict=True)):
        length, far = x.shape[dim], x.shape[dim] + count + 1.0
        centre = 0.5 * ((at[..., i].float() + 1.0) * length)
        centre = torch.where(centre > -far, centre, -far)  # NaN is far outside too
        centre = torch.where(centre < far, centre, far)
        steps = torch.arange(count, device=x.device).view([count if d == dim else 1 for d in range(x.dim())])
        place = centre.long() - count // 2 + steps
        shape = [count if d == dim else n for d, n in enumerate(x.shape)]
        x = torch.gather(x, dim, place.clamp(0, length - 1).expand(shape))
        if zeros:
            x = torch.where((place >= 0) & (place < length), x, 0.0)
    return x
