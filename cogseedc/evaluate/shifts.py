"""Inputs that the program was not trained for, made from those that it was: what does it spend on them?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cogseedc.data import DataSet

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array


def shifted(data: DataSet) -> Iterator[tuple[str, DataSet]]:
    """(name, data): real inputs with noise of half and one of their standard deviations, targets kept; and samples
    whose elements are mixed up, which have no right answer."""
    draw = np.random.Generator(np.random.PCG64(0))
    if any(array.dtype.kind == "f" for array in data.inputs.values()):
        for share in (0.5, 1.0):
            noisy = {name: _noisy(array, share, draw) for name, array in data.inputs.items()}
            yield f"noise of {share:g} standard deviations", DataSet(noisy, data.targets, data.classes)
    yield "elements mixed up (no right answer)", DataSet({n: _mixed(a, draw) for n, a in data.inputs.items()}, {})


def _noisy(array: Array, share: float, draw: np.random.Generator) -> Array:
    if array.dtype.kind != "f":
        return array
    return np.asarray(array + share * array.std() * draw.standard_normal(array.shape), array.dtype)


def _mixed(array: Array, draw: np.random.Generator) -> Array:
    flat = array.reshape(len(array), -1)
    return np.ascontiguousarray(draw.permuted(flat, axis=1).reshape(array.shape))
