"""What a data set is: columns as a source gives them, and arrays as a program takes them. Reads nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from cogseedc.diagnostics import Diagnostic, UserError

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

FEATURES, LABEL = "features", "label"
"""Names of the columns of a source that has no names of its own: what is read, and what is to be said of it."""


@dataclass(frozen=True)
class Columns:
    """Arrays by column, all of one length, and the names of the classes where labels were words."""

    arrays: Mapping[str, Array]
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataSet:
    """Samples for one program. The first axis of every array is the sample's."""

    inputs: Mapping[str, Array]
    """By input, in the program's order."""
    targets: Mapping[str, Array]
    """By output: i64 classes, or values of the output's own shape. Empty when nothing is known of them."""
    classes: tuple[str, ...] = field(default=())
    """Names of the classes; may be empty."""

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, rows: Array) -> DataSet:
        """The samples at these positions."""
        return DataSet(
            {name: array[rows] for name, array in self.inputs.items()},
            {name: array[rows] for name, array in self.targets.items()},
            self.classes,
        )

    def batches(self, size: int) -> Iterator[DataSet]:
        """All samples in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))

    @cached_property
    def output(self) -> str:
        """The output whose target this is. Raises UserError CS1003 when there is none, or several."""
        if len(self.targets) == 1:
            return next(iter(self.targets))
        found = f"targets of {', '.join(self.targets)}" if self.targets else "no column with targets"
        help = "give one column `label`, or one that is named as an output"
        raise UserError(Diagnostic("CS1003", f"one target is needed, but the data have {found}", help=help))

    @property
    def target(self) -> Array:
        """The one target. Raises UserError CS1003."""
        return self.targets[self.output]

    @property
    def labelled(self) -> bool:
        """Whether the one target is a class for each sample."""
        return len(self.targets) == 1 and self.target.dtype.kind in "iu"

    @cached_property
    def digest(self) -> str:
        """A hash of all content, by which a profile says what it was measured on."""
        state = sha256()
        for kind in (self.inputs, self.targets):
            for name in sorted(kind):
                array = np.ascontiguousarray(kind[name])
                state.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
                state.update(array.tobytes())
        return state.hexdigest()
