"""Initial weights, each from a random stream of its own, and the strict check of loaded ones. Reads no files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING

from cogseedc.diagnostics import Diagnostic, InternalError, Label, UserError
from cogseedc.interp.arrays import NUMPY, rounded
from cogseedc.ir import Graph, InitKind, Weight
from cogseedc.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")


def initial_weights(graph: Graph, rng: int) -> dict[str, Array]:
    """All weights by path, in f32 (buffers of other dtypes in theirs).

    A weight depends on `rng`, its path, shape and initialiser only, so another weight changes none.
    """
    found = graph.weights()
    return {
        path: rounded(_initial(node, rng), node.type.dtype).astype(NUMPY[node.type.dtype])
        for path, node in found.items()
    }


def load_weights(graph: Graph, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """`arrays`, in the graph's order, when names, shapes and dtypes are exactly the graph's.

    Raises UserError: CS0840 missing or unknown names, CS0841 shapes, CS0842 dtypes.
    """
    wanted = graph.weights()
    problems = [*_name_problems(wanted, arrays)]
    for path, node in wanted.items():
        if path in arrays:
            problems += _array_problems(node, np.asarray(arrays[path]))
    if problems:
        raise UserError(*problems)
    return {path: np.asarray(arrays[path]) for path in wanted}


def _shape(node: Weight) -> tuple[int, ...]:
    sizes = [axis.size.value for axis in node.type.axes]
    if any(size is None for size in sizes):
        raise InternalError(f"weight {node.path} has a size that is not known: {node.type}")
    return tuple(size for size in sizes if size is not None)


def _generator(rng: int, path: str) -> np.random.Generator:
    """Philox is counter-based: its stream is a function of the 128-bit key alone."""
    key = int.from_bytes(sha256(f"{rng}:{path}".encode()).digest()[:16], "little")
    return np.random.Generator(np.random.Philox(key=key))


def _initial(node: Weight, rng: int) -> Array:
    shape, init = _shape(node), node.init
    dtype = NUMPY[node.type.dtype]
    match init.kind:
        case InitKind.ZEROS:
            return np.zeros(shape, dtype)
        case InitKind.ONES:
            return np.ones(shape, dtype)
        case InitKind.FULL:
            return np.full(shape, init.arguments[0], dtype)
        case InitKind.NORMAL:
            std = init.arguments[-1] if init.arguments else 1.0
            return (_generator(rng, node.path).standard_normal(shape) * std).astype(dtype)
        case InitKind.UNIFORM:
            low, high = init.arguments
        case InitKind.KAIMING:
            high = 1 / math.sqrt(max(init.fan_in, 1))
            low = -high
    return (low + (high - low) * _generator(rng, node.path).random(shape)).astype(dtype)


def _name_problems(wanted: Mapping[str, Weight], arrays: Mapping[str, Array]) -> Iterator[Diagnostic]:
    missing = [path for path in wanted if path not in arrays]
    unknown = sorted(path for path in arrays if path not in wanted)
    if missing:
        spans = [wanted[path].origin.span for path in missing]
        labels = tuple(Label(span) for span in spans if span is not None)[:1]
        fix = f"the weights have {_list(unknown)} that the program has not" if unknown else ""
        yield Diagnostic(
            "CS0840", f"the weights lack {_list(missing)}", labels, fix or "save them from the same program"
        )
    elif unknown:
        help = "weights load by name, strictly: remove these or load them into the program that they belong to"
        yield Diagnostic("CS0840", f"the program has no weights {_list(unknown)}", help=help)


def _array_problems(node: Weight, array: Array) -> Iterator[Diagnostic]:
    labels = (Label(node.origin.span),) if node.origin.span else ()
    expected, found = _shape(node), tuple(array.shape)
    if expected != found:
        help = "give the static arguments with which these weights were made (`--set`, `--size`)"
        yield Diagnostic("CS0841", f"weight {node.path!r} has shape {found}, expected {expected}", labels, help)
    dtype = NUMPY[node.type.dtype]
    if array.dtype.name != dtype:
        help = f"convert it to {dtype} before saving"
        yield Diagnostic("CS0842", f"weight {node.path!r} is {array.dtype.name}, expected {dtype}", labels, help)


def _list(names: list[str], limit: int = 5) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
