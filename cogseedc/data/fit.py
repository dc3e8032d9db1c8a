"""Fits the columns of a source to a program's inputs and outputs: names, element types, shapes. Guesses no content."""

from __future__ import annotations

from collections.abc import Collection
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from cogseedc.data.model import FEATURES, LABEL, Columns, DataSet
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.runtime.checks import NUMPY

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array
    from cogseedc.runtime import Port


def fitted(columns: Columns, inputs: Collection[Port], outputs: Collection[Port]) -> DataSet:
    """The columns as the program takes them.

    An input is fed by the column of its name, a sole input by `features` too. A column named as an output is its
    target; `label` is that of a sole output, or of the first. A column's shape is changed only when the number of
    elements per sample says how; bytes given for real numbers are divided by 255. Raises UserError CS1002.
    """
    arrays = {port.name: _input(port, columns, len(inputs) == 1) for port in inputs}
    targets = {p.name: columns.arrays[p.name] for p in outputs if p.name in columns.arrays and p.name not in arrays}
    first = next(iter(outputs), None)
    if not targets and first is not None and LABEL in columns.arrays:
        targets = {first.name: columns.arrays[LABEL]}
    ports = {port.name: port for port in outputs}
    return DataSet(arrays, {name: _target(ports[name], array) for name, array in targets.items()}, columns.classes)


def _input(port: Port, columns: Columns, sole: bool) -> Array:
    if port.batch is None or port.batch != 0:
        raise _error(f"input `{port.name}` is {port}: a data set gives a sample per row, so its first axis must be N")
    array = columns.arrays.get(port.name)
    if array is None and sole:
        rest = [name for name in columns.arrays if name != LABEL]
        array = columns.arrays.get(FEATURES, columns.arrays[rest[0]] if len(rest) == 1 else None)
    if array is None:
        have = ", ".join(columns.arrays)
        raise _error(f"no column feeds the input `{port.name}`", f"name a column so; there are {have}")
    return _shaped(port, _typed(port, array))


def _typed(port: Port, array: Array) -> Array:
    wanted = np.dtype(NUMPY[port.dtype]) if port.dtype.value != "bf16" else np.dtype(np.float32)
    if array.dtype == wanted:
        return array
    if wanted.kind == "f" and array.dtype == np.uint8:
        return (array / np.float32(255)).astype(wanted)
    if wanted.kind == "f" and array.dtype.kind in "fiub":
        return array.astype(wanted)
    if wanted.kind in "iu" and array.dtype.kind in "iub":
        limits = np.iinfo(wanted.name)
        if array.size and not (limits.min <= array.min() and array.max() <= limits.max):
            raise _error(f"the column of `{port.name}` holds numbers outside {limits.min} .. {limits.max}")
        return array.astype(wanted)
    raise _error(f"the column of `{port.name}` is {array.dtype}, but {port} is wanted")


def _shaped(port: Port, array: Array) -> Array:
    """The array with the port's rank and sizes."""
    sizes = [int(size) if size.isdecimal() else None for size in port.sizes[1:]]
    if _fits(array.shape[1:], sizes):
        return np.ascontiguousarray(array)
    if array.ndim == port.rank == 4 and _fits((array.shape[3], *array.shape[1:3]), sizes):
        return np.ascontiguousarray(array.transpose(0, 3, 1, 2))  # images are stored with channels last
    open_axes = [i for i, size in enumerate(sizes) if size is None]
    each = prod(array.shape[1:])
    if not open_axes and each == prod(s for s in sizes if s is not None):
        return np.ascontiguousarray(array.reshape(len(array), *(s or 0 for s in sizes)))
    raise _error(f"a sample of the column of `{port.name}` has the shape {array.shape[1:]}, but {port} is wanted")


def _fits(shape: tuple[int, ...], sizes: list[int | None]) -> bool:
    return len(shape) == len(sizes) and all(w is None or s == w for s, w in zip(shape, sizes, strict=True))


def _target(port: Port, array: Array) -> Array:
    """Classes as i64, with the output's axes but for its last one; else numbers of the output's shape."""
    if array.dtype.kind in "iub":
        if array.ndim != port.rank - 1:
            shape = array.shape
            raise _error(
                f"classes for `{port.name}`: {port} need one axis less than it has, but their shape is {shape}"
            )
        last = port.sizes[-1]
        if last.isdecimal() and array.size and not 0 <= int(array.min()) <= int(array.max()) < int(last):
            found = f"{array.min()} to {array.max()}"
            raise _error(f"`{port.name}` has {last} classes, but the data have classes from {found}")
        return array.astype(np.int64)
    if array.dtype.kind != "f":
        raise _error(f"a target of `{port.name}` is {array.dtype}: neither classes nor numbers")
    return _shaped(port, array.astype(np.float32))


def _error(message: str, help: str = "see docs/training.md for how columns are fitted") -> UserError:
    return UserError(Diagnostic("CS1002", message, help=help))
