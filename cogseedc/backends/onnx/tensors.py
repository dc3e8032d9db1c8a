"""Element types and literal tensors in ONNX's own messages. Decides nothing about graphs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
from onnx import TensorProto, TypeProto, ValueInfoProto

from cogseedc.ir import Dtype

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

NUMPY: dict[Dtype, np.dtype[Any]] = {
    Dtype.F32: np.dtype("<f4"),
    Dtype.F16: np.dtype("<f2"),
    Dtype.BF16: np.dtype(ml_dtypes.bfloat16),
    Dtype.I64: np.dtype("<i8"),
    Dtype.I32: np.dtype("<i4"),
    Dtype.I8: np.dtype("i1"),
    Dtype.U8: np.dtype("u1"),
    Dtype.BOOL: np.dtype("?"),
}
ONNX: dict[Dtype, int] = {
    Dtype.F32: TensorProto.FLOAT,
    Dtype.F16: TensorProto.FLOAT16,
    Dtype.BF16: TensorProto.BFLOAT16,
    Dtype.I64: TensorProto.INT64,
    Dtype.I32: TensorProto.INT32,
    Dtype.I8: TensorProto.INT8,
    Dtype.U8: TensorProto.UINT8,
    Dtype.BOOL: TensorProto.BOOL,
}
_ELEMENTS: dict[np.dtype[Any], int] = {NUMPY[d]: ONNX[d] for d in Dtype}

Dimension = int | str | None
"""A known size, the name of a symbolic one, or neither."""


def canonical(value: Array) -> Array:
    """The array, contiguous and of an element type of the language; float64 becomes float32, as the language has it.

    Raises TypeError for an element type that no value of the language has.
    """
    array = np.asarray(value)
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    if array.dtype.newbyteorder("<") not in _ELEMENTS:
        raise TypeError(f"no element type for {array.dtype}")
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def tensor(value: Array, name: str = "") -> TensorProto:
    """A literal. Scalars keep rank 0."""
    proto = TensorProto()
    fill(proto, value, name)
    return proto


def fill(proto: TensorProto, value: Array, name: str) -> None:
    """Writes a literal into an empty message."""
    array = canonical(value)
    proto.name, proto.data_type, proto.raw_data = name, _ELEMENTS[array.dtype], array.tobytes()
    proto.dims.extend(array.shape)


def info(name: str, dtype: Dtype, dims: Sequence[Dimension] | None) -> ValueInfoProto:
    """Name, element type and dimensions of a value; no dimensions at all means that the rank is open."""
    proto = ValueInfoProto()
    state(proto, name, dtype, dims)
    return proto


def state(proto: ValueInfoProto, name: str, dtype: Dtype, dims: Sequence[Dimension] | None) -> None:
    """Writes the same into an empty message."""
    proto.name = name
    proto.type.CopyFrom(_type(dtype, None if dims is None else tuple(dims)))


@lru_cache(maxsize=1024)
def _type(dtype: Dtype, dims: tuple[Dimension, ...] | None) -> TypeProto:
    """To be copied: thousands of values have one type, and to set its fields takes four times as long."""
    proto = TypeProto()
    proto.tensor_type.elem_type = ONNX[dtype]
    if dims is not None:
        proto.tensor_type.shape.SetInParent()
        for size in dims:
            dim = proto.tensor_type.shape.dim.add()
            if isinstance(size, int):
                dim.dim_value = size
            elif size is not None:
                dim.dim_param = size
    return proto
