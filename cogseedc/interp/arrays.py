"""Arrays at the border of the reference: dtypes, sizes that inputs settle, samples of a batch. Evaluates nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.ir import BATCH, Dtype, Graph, Input, Knob, Size, TensorType
from cogseedc.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

NUMPY = {
    Dtype.F32: "float32",
    Dtype.F16: "float16",
    Dtype.BF16: "float32",  # numpy has no bf16; its values are exact in f32
    Dtype.I64: "int64",
    Dtype.I32: "int32",
    Dtype.I8: "int8",
    Dtype.U8: "uint8",
    Dtype.BOOL: "bool",
}
"""Name of the numpy dtype that holds values of each dtype outside the reference."""


def numpy_dtype(dtype: Dtype) -> str:
    """Name of the numpy dtype of an input, output or weight."""
    return NUMPY[dtype]


def reference_dtype(dtype: Dtype) -> str:
    """The numpy dtype in which the reference computes a dtype."""
    if dtype.floating:
        return "float64"
    return "bool" if dtype is Dtype.BOOL else "int64"


def to_reference(array: Array, dtype: Dtype) -> Array:
    return np.asarray(array).astype(reference_dtype(dtype), copy=False)


def rounded(array: Array, dtype: Dtype) -> Array:
    """Values of the reference rounded to f16 or bf16 (to nearest, halves to even); of other dtypes as they are."""
    if dtype is Dtype.F16:
        return np.asarray(array).astype("float16").astype("float64")
    if dtype is not Dtype.BF16:
        return array
    whole = np.asarray(array).astype("float32")
    bits = whole.view("uint32")
    near = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype("uint32").view("float32")
    return np.where(np.isnan(whole), whole, near).astype("float64")


def literal(values: Sequence[float | int | bool], dtype: Dtype, shape: tuple[int, ...]) -> Array:
    """A literal as every backend holds it: rounded once to its dtype; one value stands for all elements."""
    array = np.asarray(values).astype(NUMPY[dtype]).astype(reference_dtype(dtype))
    return np.broadcast_to(array.reshape(()), shape) if array.size == 1 else array.reshape(shape)


def shape_of(type: TensorType, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(axis.size.evaluate(sizes) for axis in type.axes)


def check_inputs(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The inputs as arrays, by name; a state that is not given is as before the first call.

    Raises UserError (CS0843, CS0844, CS0845) for a wrong name, rank, size or dtype.
    """
    declared = {node.name: node for _, node in graph.of(Input)}
    missing = [name for name, node in declared.items() if name not in inputs and node.state is None]
    unknown = sorted(name for name in inputs if name not in declared)
    if missing or unknown:
        raise _wrong("CS0843", f"missing inputs: {missing}; unknown inputs: {unknown}", f"give {list(declared)}")
    arrays = {name: np.asarray(inputs[name]) for name in declared if name in inputs}
    for name, array in arrays.items():
        _check_array(f"input {name!r}", array, declared[name].type)
    return {**initial_states(graph, bind_sizes(graph, arrays)), **arrays}


def initial_states(graph: Graph, sizes: Mapping[str, int]) -> dict[str, Array]:
    """What the states are before the first call, by the names of their inputs."""
    return {
        node.name: np.full(shape_of(node.type, {BATCH: 1, **sizes}), node.state.initial, NUMPY[node.type.dtype])
        for _, node in graph.nodes()
        if isinstance(node, Input) and node.state is not None
    }


def bind_sizes(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, int]:
    """Sizes of the symbols, as the inputs settle them. Raises UserError (CS0844, CS0844) when they disagree."""
    axes = [
        (node.name, axis.size, int(length))
        for _, node in graph.nodes()
        if isinstance(node, Input) and node.name in inputs
        for axis, length in zip(node.type.axes, inputs[node.name].shape, strict=True)
    ]
    sizes: dict[str, int] = {}
    for name, size, length in axes:
        symbol = _symbol(size)
        if symbol is not None and sizes.setdefault(symbol, length) != length:
            raise _wrong("CS0844", f"input {name!r} has {symbol}={length}, another input has {symbol}={sizes[symbol]}")
    for name, size, length in axes:
        if size.symbols() <= sizes.keys() and size.evaluate(sizes) != length:
            raise _wrong("CS0844", f"input {name!r} has an axis of size {length}, expected {size.evaluate(sizes)}")
    return sizes


def knob_values(graph: Graph, knobs: Mapping[str, Any] | None, sizes: Mapping[str, int]) -> dict[str, Array]:
    """Values of all knobs, defaults included, rounded to their dtype.

    Raises UserError (CS0846) for an unknown name, a wrong shape, or a value outside the knob's range.
    """
    declared = {node.name: node for _, node in graph.of(Knob)}
    given = dict(knobs or {})
    unknown = sorted(name for name in given if name not in declared)
    if unknown:
        raise _wrong("CS0846", f"unknown knobs: {unknown}", f"the knobs are {list(declared)}")
    return {name: _knob(node, given.get(name), sizes) for name, node in declared.items()}


def take_sample(array: Array, axis: int | None, index: int) -> Array:
    """Sample `index` as a batch of one; an array without batch axis stays."""
    if axis is None:
        return array
    return array[(slice(None),) * axis + (slice(index, index + 1),)]


def join_samples(parts: Sequence[Array], axis: int | None, keep: int) -> Array:
    """The first `keep` samples along the batch axis; without one, all samples agree and the first is taken."""
    if axis is None:
        return parts[0]
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)
    return whole[(slice(None),) * axis + (slice(0, keep),)]


def _symbol(size: Size) -> str | None:
    names = size.symbols()
    name = next(iter(names)) if len(names) == 1 else None
    return name if name is not None and size == Size.symbol(name) else None


def _check_array(what: str, array: Array, type: TensorType) -> None:
    if array.ndim != type.rank:
        raise _wrong("CS0844", f"{what} has rank {array.ndim}, expected {type}")
    expected = NUMPY[type.dtype]
    if array.dtype.name != expected:
        raise _wrong(
            "CS0845", f"{what} has dtype {array.dtype.name}, expected {expected}", f"use .astype({expected!r})"
        )


def _knob(node: Knob, value: Any, sizes: Mapping[str, int]) -> Array:
    shape = shape_of(node.type, sizes)
    if value is None:
        return literal(node.default, node.type.dtype, shape)
    array = np.asarray(value)
    if array.size != 1 and array.shape != shape:
        raise _wrong("CS0846", f"knob {node.name!r} has shape {array.shape}, expected {shape}")
    rounded = literal(tuple(array.reshape(-1).tolist()), node.type.dtype, shape)
    if not bool(np.all((rounded >= node.low - 1e-6) & (rounded <= node.high + 1e-6))):
        raise _wrong("CS0846", f"knob {node.name!r} is {value}, its range is {node.low} .. {node.high}")
    return rounded


def _wrong(code: str, message: str, help: str = "") -> UserError:
    return UserError(Diagnostic(code, message, help=help))


def has_batch(graph: Graph) -> bool:
    """Whether any input has the batch axis."""
    return any(node.type.batch is not None for _, node in graph.of(Input))


def batch_size(sizes: Mapping[str, int]) -> int:
    """Number of samples; one for a program without batch axis."""
    return sizes.get(BATCH, 1)
