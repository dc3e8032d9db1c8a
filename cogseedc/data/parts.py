"""Parts of a data set that has none of its own: fixed shares of a fixed order in which every class is spread evenly."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from cogseedc.data.model import LABEL, Columns
from cogseedc.diagnostics import Diagnostic, UserError

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

NAMED = {"train": (0.0, 60.0), "validation": (60.0, 80.0), "test": (80.0, 100.0)}
_RANGE = re.compile(r"(\d+(?:\.\d+)?)\.\.(\d+(?:\.\d+)?)")


def part_of(columns: Columns, part: str) -> Columns:
    """The samples of `train`, `validation`, `test`, or of `0..75`, in percent of the samples in mixed order.

    The order depends on nothing but the number of samples and their labels. Raises UserError CS1001.
    """
    low, high = _bounds(part)
    order = mixed_order(columns)
    first, last = (round(len(order) * bound / 100) for bound in (low, high))
    if first == last:
        raise UserError(Diagnostic("CS1001", f"the part {part!r} of {len(order)} samples is empty"))
    rows = np.sort(order[first:last])
    return Columns({name: array[rows] for name, array in columns.arrays.items()}, columns.classes)


def mixed_order(columns: Columns) -> Array:
    """A permutation in which any stretch holds the classes in about the shares of the whole."""
    count = len(next(iter(columns.arrays.values())))
    order = np.random.Generator(np.random.PCG64(0)).permutation(count)
    label = columns.arrays.get(LABEL)
    if label is None or label.ndim != 1 or label.dtype.kind not in "iub":
        return order
    place = np.empty(count)  # of each sample among those of its class, from 0 to 1
    for name in np.unique(label):
        rows = order[label[order] == name]
        place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return order[np.argsort(place[order], kind="stable")]


def _bounds(part: str) -> tuple[float, float]:
    if part in NAMED:
        return NAMED[part]
    match = _RANGE.fullmatch(part)
    if match is None or not float(match[1]) < float(match[2]) <= 100:
        help = f"parts: {', '.join(NAMED)}, or percents such as 0..75"
        raise UserError(Diagnostic("CS1001", f"there is no part {part!r} of a data set", help=help))
    return float(match[1]), float(match[2])
