"""What only the trace reads of a nest leaves it as one vector, made where a trace is asked for: each further result of
an `If` takes a third of a microsecond, run or not.

A ledger of k entries begins with their k sizes; their elements follow, one entry behind the other. Of a nest that was
not run, or when no trace is asked for, it is empty, which reads as k entries without rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cogseedc.backends.onnx.builder import Region, branch
from cogseedc.backends.onnx.tensors import ONNX
from cogseedc.backends.plan.model import Slot
from cogseedc.diagnostics import InternalError
from cogseedc.ir import BATCH_SIZE, Dtype, Graph, TensorType

SWITCH = "cogseed.trace"
"""Name of the bool input, false by default, that asks for the trace; no identifier of the language has a dot."""

_TRACED = ("traced",)
"""What a region keeps that is run only where a trace is asked for."""

LAST = int(np.iinfo(np.int64).max)
"""Where a slice ends that goes on to the end."""


@dataclass(frozen=True, eq=False)
class Ledger:
    """The value that a nest yields, and its entries in order."""

    name: str
    slots: tuple[Slot, ...]


@dataclass(frozen=True)
class Entry:
    """One of a ledger's."""

    ledger: Ledger
    place: int


def fits(graph: Graph, slot: Slot) -> bool:
    """Whether a value can be laid out again once its number of elements is known: only its rows may vary."""
    type = slot.type(graph)
    others = [size.value for size in type.shape if size != BATCH_SIZE]
    return type.batch is not None and all(others)


def traced(region: Region) -> Region:
    """Marks a region that is run only where a trace is asked for."""
    region.keep(_TRACED, SWITCH)
    return region


def write(
    body: Region,
    own: Sequence[Slot],
    inner: Sequence[Ledger],
    value: Callable[[Region, Slot], str],
    rank: Callable[[Slot], int],
) -> tuple[str, tuple[Slot, ...]]:
    """The ledger of a nest, in its body, and what it holds: `own` values, named by `value`, of such a
    `rank`, and what nests inside hold."""
    then, other = traced(Region(body.shared, body, alone=True)), Region(body.shared, body)
    sizes: list[str] = []
    elements: list[str] = []
    for slot in own:
        number = then.node("Cast", [value(then, slot)], to=ONNX[Dtype.I64])
        flat = then.constant(np.array([-1], np.int64))
        elements.append(number if rank(slot) == 1 else then.node("Reshape", [number, flat]))
        sizes.append(then.node("Shape", [elements[-1]]))
    for ledger in inner:
        size, element = _parts(then, ledger)
        sizes.append(size)
        elements.append(element)
    whole = then.node("Concat", [*sizes, *elements], axis=0)
    absent = other.constant(np.zeros([0], np.int64))
    (name,) = branch(body, SWITCH, (then, other), ([whole], [absent]), [(Dtype.I64, [None])])
    return name, (*own, *(slot for ledger in inner for slot in ledger.slots))


def entries(ledger: Ledger) -> dict[Slot, Entry]:
    """The entries of a ledger."""
    return {slot: Entry(ledger, place) for place, slot in enumerate(ledger.slots)}


def read(region: Region, entry: Entry, type: TensorType) -> str:
    """An entry, laid out again, in a region that is run only where a trace is asked for."""
    ledger = entry.ledger
    if region.find(_TRACED) is None:
        raise InternalError(f"{ledger.slots[entry.place]} is read outside of its nest, and not by the trace")
    key = ("entry", ledger.name, entry.place)
    found = region.find(key)
    if found is None:
        found = region.keep(key, _laid_out(region, _piece(region, entry), type))
    return found


def _laid_out(region: Region, piece: str, type: TensorType) -> str:
    shape = np.array([-1 if size == BATCH_SIZE else size.value for size in type.shape], np.int64)
    laid = piece if type.rank == 1 else region.node("Reshape", [piece, region.constant(shape)])
    return laid if type.dtype is Dtype.I64 else region.node("Cast", [laid], to=ONNX[type.dtype])


def _piece(region: Region, entry: Entry) -> str:
    """The elements of an entry."""
    ledger = entry.ledger
    piece = region.find(("piece", ledger.name, entry.place))
    if piece is None:
        sizes, elements = _parts(region, ledger)
        pieces = region.nodes_of("Split", [elements, sizes], len(ledger.slots), axis=0)
        for place, name in enumerate(pieces):
            region.keep(("piece", ledger.name, place), name)
        piece = pieces[entry.place]
    return piece


def _parts(region: Region, ledger: Ledger) -> tuple[str, str]:
    """The sizes of all entries, and their elements."""
    count = len(ledger.slots)
    first, second, last = (region.constant(np.array([n], np.int64)) for n in (0, count, LAST))
    padded = region.node("Concat", [ledger.name, region.constant(np.zeros([count], np.int64))], axis=0)
    return region.node("Slice", [padded, first, second]), region.node("Slice", [ledger.name, second, last])
