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
