"""Reads columns from where the user says: a file, a folder of images, scikit-learn, or a function of the user.

A function is run because the user named it on the command line; no file that is read can name one.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cogseedc.data.fit import fitted
from cogseedc.data.model import FEATURES, LABEL, Columns, DataSet
from cogseedc.data.parts import part_of
from cogseedc.diagnostics import Diagnostic, UserError

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array
    from cogseedc.runtime import Port

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".pgm", ".ppm", ".tif", ".tiff")
_TARGETS = ("label", "target", "class", "y")
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_FORMS = "x.npz, x.csv, x.jsonl, a folder of images, sklearn:digits, or module:function"


def load_data(text: str, inputs: Collection[Port], outputs: Collection[Port]) -> DataSet:
    """The data set that `text` names, fitted to a program's inputs and outputs.

    Raises UserError: CS0901, CS0903, CS1001 for what cannot be read, CS1002 and CS1003 for what does not fit.
    """
    return fitted(read_columns(text), inputs, outputs)


def read_columns(text: str) -> Columns:
    """The columns of `SOURCE` or `SOURCE#PART`; see `parts` for parts. Raises UserError CS0901, CS0903, CS1001."""
    source, mark, part = text.rpartition("#")
    if not mark:
        source = text
    columns = _read(source)
    lengths = {name: len(array) if array.ndim else -1 for name, array in columns.arrays.items()}
    if len(set(lengths.values())) != 1 or min(lengths.values()) < 1:
        shown = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise _error(f"columns of {source!r} differ in length, or are empty: {shown}", "one row per sample in each")
    return part_of(columns, part) if mark else columns


def _read(source: str) -> Columns:
    path = Path(source)
    if path.is_dir():
        return _images(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is not None:
        return reader(source)
    if source.startswith("sklearn:"):
        return _sklearn(source.removeprefix("sklearn:"))
    if _FUNCTION.fullmatch(source):
        return _function(source)
    raise _error(f"{source!r} is no data source", f"a source is {_FORMS}")


def _npz(path: str) -> Columns:
    data = _bytes(path)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return _columns({name: archive[name] for name in archive.files})
    except Exception as error:  # numpy, zipfile and zlib raise what they like for a damaged file
        help = "write it with numpy.savez(path, image=images, label=labels)"
        message = f"{path!r} is no .npz file, or holds Python objects ({type(error).__name__})"
        raise UserError(Diagnostic("CS0903", message, help=help)) from None


def _csv(path: str) -> Columns:
    """The first row has the names; `label` (or the last column) is the target, all others are one row of features."""
    rows = [row for row in csv.reader(io.StringIO(_text(path))) if row]
    if len(rows) < 2 or any(len(row) != len(rows[0]) for row in rows):
        raise _error(f"{path!r} is no table: it needs a row of names, then rows of the same length", "")
    names = rows[0]
    target = next((name for name in _TARGETS if name in names), names[-1])
    at = names.index(target)
    try:
        features = np.array([[float(cell) for i, cell in enumerate(row) if i != at] for row in rows[1:]], np.float32)
    except ValueError as error:
        raise _error(f"{path!r} has a feature that is no number: {error}", "encode it as a number first") from None
    return _columns({FEATURES: features, LABEL: _parsed([row[at] for row in rows[1:]])})


def _parsed(cells: Sequence[str]) -> Array:
    """Whole numbers, numbers, or words."""
    for kind in (int, float):
        try:
            return np.array([kind(cell) for cell in cells], np.int64 if kind is int else np.float32)
        except ValueError:
            continue
    return np.array(cells, np.str_)


def _jsonl(path: str) -> Columns:
    """An object in each line; lists are arrays, and must have one shape in all lines."""
    rows: list[dict[str, object]] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise _error(f"line {number} of {path!r} is not JSON: {error}", "one object in each line") from None
        if not isinstance(row, dict) or (rows and row.keys() != rows[0].keys()):
            raise _error(f"line {number} of {path!r} is no object with the keys of line 1", "one object in each line")
        rows.append(row)
    if not rows:
        raise _error(f"{path!r} is empty", "one object in each line")
    return _columns({key: _stacked(path, key, [row[key] for row in rows]) for key in rows[0]})


def _stacked(path: str, key: str, values: list[object]) -> Array:
    try:
        array = np.array(values)
    except ValueError:
        array = np.array(None)
    if array.dtype == object:
        raise _error(f"{key!r} in {path!r} has another shape in some lines", "pad all to one length")
    return array


def _images(folder: Path) -> Columns:
    """`folder/<class>/<image>`, classes in order of their names, images of one size."""
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    files = [
        (number, file)
        for number, name in enumerate(classes)
        for file in sorted((folder / name).iterdir())
        if file.suffix.lower() in IMAGES
    ]
    if not files:
        raise _error(f"{str(folder)!r} holds no images", "it should be a folder of classes: folder/cat/1.png")
    Image = _optional("PIL.Image", "pillow")
    arrays: list[Array] = []
    for _, file in files:
        try:
            with Image.open(file) as image:
                arrays.append(np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB")))
        except OSError as error:
            raise _error(f"cannot read {str(file)!r}: {error}", "") from None
        if arrays[-1].shape != arrays[0].shape:
            sizes = f"{arrays[0].shape} and {arrays[-1].shape} ({file.name})"
            raise _error(f"images of {str(folder)!r} differ in size: {sizes}", "resize them to one size first")
    label = np.array([number for number, _ in files], np.int64)
    return Columns({FEATURES: np.stack(arrays), LABEL: label}, tuple(classes))


def _sklearn(name: str) -> Columns:
    """A data set that scikit-learn brings along; the grey values of `digits` are scaled to 0 .. 1."""
    datasets = _optional("sklearn.datasets", "scikit-learn")
    known = {"digits", "iris", "wine", "breast_cancer"}
    if name not in known:
        raise _error(f"scikit-learn brings no data set {name!r}", f"it has {', '.join(sorted(known))}")
    bunch = getattr(datasets, f"load_{name}")()
    features = (bunch.images / 16 if name == "digits" else bunch.data).astype(np.float32)
    classes = tuple(str(n) for n in bunch.target_names)
    return Columns({FEATURES: features, LABEL: bunch.target.astype(np.int64)}, classes)


def _function(source: str) -> Columns:
    """What `module:function` gives: arrays by name, or (features, labels)."""
    module, _, name = source.partition(":")
    try:
        sys.path.insert(0, "")  # as `python -m` does: modules of the current folder
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise _error(
            f"there is no function {source!r}: {error}", "module:function, of a module that Python finds"
        ) from None
    finally:
        sys.path.remove("")
    if not callable(function):
        raise _error(f"{source!r} is no function", "module:function, which is called with no arguments")
    made = function()
    if isinstance(made, tuple) and len(made) == 2:
        made = {FEATURES: made[0], LABEL: made[1]}
    if not isinstance(made, Mapping):
        raise _error(f"{source} gave {type(made).__name__}", "it should give arrays by name, or (features, labels)")
    return _columns({str(key): np.asarray(value) for key, value in made.items()})


def _columns(arrays: Mapping[str, Array]) -> Columns:
    """Columns whose target has one name, and numbers for words."""
    found = dict(arrays)
    for name in _TARGETS:
        if name in found and LABEL not in found:
            found[LABEL] = found.pop(name)
    label = found.get(LABEL)
    if label is None or label.dtype.kind not in "US":
        return Columns(found)
    classes, numbers = np.unique(label, return_inverse=True)
    return Columns({**found, LABEL: numbers.astype(np.int64)}, tuple(str(c) for c in classes))


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(Diagnostic("CS0901", f"cannot read {path!r}: {error.strerror or error}")) from None


def _text(path: str) -> str:
    try:
        return _bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _error(f"{path!r} is not UTF-8", "save it as UTF-8") from None


def _optional(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise _error(f"this source needs the package {package}", f"pip install {package}") from None


def _error(message: str, help: str) -> UserError:
    return UserError(Diagnostic("CS1001", message, help=help))


_READERS: Mapping[str, Callable[[str], Columns]] = cast(
    "Mapping[str, Callable[[str], Columns]]",
    {".npz": _npz, ".csv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl},
)
