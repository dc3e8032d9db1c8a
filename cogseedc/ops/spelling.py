"""Fragments that the tables share to spell operations in PyTorch and ONNX and to compute references.

Nothing here decides anything: dtypes and sizes are those that the type rules answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cogseedc.ir.opspec import OnnxCall, ReferenceCall, TorchCall
from cogseedc.ir.size import Size
from cogseedc.ir.types import BATCH_SIZE, Dtype, TensorType
from cogseedc.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

F32_LOWEST = -3.4028234663852886e38
"""The lowest finite f32: what minus infinity becomes where NaN has to be lower still."""
F16_LOWEST = -65504.0

_TORCH = {
    Dtype.F32: "float32", Dtype.F16: "float16", Dtype.BF16: "bfloat16", Dtype.I64: "int64",
    Dtype.I32: "int32", Dtype.I8: "int8", Dtype.U8: "uint8", Dtype.BOOL: "bool",
}  # fmt: skip
ONNX_TYPE = {
    Dtype.F32: 1, Dtype.U8: 2, Dtype.I8: 3, Dtype.I32: 6, Dtype.I64: 7, Dtype.BOOL: 9, Dtype.F16: 10, Dtype.BF16: 16,
}  # fmt: skip
"""Element types of ONNX, by number (TensorProto.DataType)."""


def known(types: Sequence[TensorType | None], operand: int = 0) -> TensorType:
    """The type of an operand that a type rule has required."""
    found = types[operand]
    assert found is not None
    return found


def present(args: Sequence[object], operand: int) -> bool:
    """Whether an operand of a call is there (absent: None, "" or past the end)."""
    found = args[operand] if operand < len(args) else None
    return found is not None and not (isinstance(found, str) and not found)


def size_of(call: TorchCall | OnnxCall | ReferenceCall, name: str) -> Size:
    """A size attribute of a call."""
    value = call.attrs[name]
    assert isinstance(value, int | Size), (name, value)
    return Size.of(value)


# PyTorch


def torch_type(dtype: Dtype) -> str:
    return f"torch.{_TORCH[dtype]}"


def torch_cast(text: str, source: Dtype, to: Dtype) -> str:
    """The expression at another dtype; unchanged when it has it."""
    return text if source is to else f"{text}.to({torch_type(to)})"


def torch_arg(call: TorchCall, operand: int, dtype: Dtype | None = None) -> str:
    """An operand, cast to `dtype`."""
    text = call.args[operand]
    assert text is not None
    return text if dtype is None else torch_cast(text, known(call.inputs, operand).dtype, dtype)


def torch_tuple(values: Sequence[int]) -> str:
    return "(" + ", ".join(map(str, values)) + ("," if len(values) == 1 else "") + ")"


# ONNX


def numpy_type(dtype: Dtype) -> type[np.generic]:
    """The numpy type that holds constants of a dtype; bf16 constants are f32 and need a Cast."""
    return {
        Dtype.F32: np.float32, Dtype.F16: np.float16, Dtype.BF16: np.float32, Dtype.I64: np.int64,
        Dtype.I32: np.int32, Dtype.I8: np.int8, Dtype.U8: np.uint8, Dtype.BOOL: np.bool_,
    }[dtype]  # fmt: skip


def onnx_cast(call: OnnxCall, name: str, source: Dtype, to: Dtype) -> str:
    """The value at another dtype; unchanged when it has it."""
    return name if source is to else call.node("Cast", [name], to=ONNX_TYPE[to])


def onnx_arg(call: OnnxCall, operand: int, dtype: Dtype | None = None) -> str:
    """An operand, cast to `dtype`."""
    name = call.args[operand]
    return name if dtype is None else onnx_cast(call, name, known(call.inputs, operand).dtype, dtype)


def onnx_ints(call: OnnxCall, *values: int) -> str:
    """A 1-D i64."""
    return call.constant(np.array(values, dtype=np.int64))


def onnx_scalar(call: OnnxCall, value: float | int | bool, dtype: Dtype) -> str:
    """A value without axes."""
    name = call.constant(np.array(value, dtype=numpy_type(dtype)))
    return onnx_cast(call, name, Dtype.F32, dtype) if dtype is Dtype.BF16 else name


def onnx_sizes(call: OnnxCall, sizes: Sequence[Size]) -> str:
    """A 1-D i64 of sizes, constant where they are."""
    if all(s.value is not None for s in sizes):
        return onnx_ints(call, *(s.value or 0 for s in sizes))
    return call.sizes(sizes)


def onnx_reshape(call: OnnxCall, x: str, source: Sequence[Size], target: Sequence[Size]) -> str:
    """A reshape that is right for an empty batch too: -1 only where the batch is, 0 copies an axis."""
    if tuple(source) == tuple(target):
        return x
    free = next((i for i, s in enumerate(target) if s == BATCH_SIZE), None)
    if free is None:
        symbolic = [i for i, s in enumerate(target) if s.value is None]
        free = symbolic[0] if len(symbolic) == 1 else None
    dims: list[int] = []
    for i, size in enumerate(target):
        if i == free:
            dims.append(-1)
        elif size.value:
            dims.append(size.value)
        elif size.value is None and i < len(source) and source[i] == size:
            dims.append(0)
        else:
            return call.node("Reshape", [x, call.sizes(target)], allowzero=1)
    return call.node("Reshape", [x, onnx_ints(call, *dims)])


def onnx_transpose(call: OnnxCall, x: str, order: Sequence[int]) -> str:
    """A transpose; the value itself when nothing moves."""
    return x if list(order) == sorted(order) else call.node("Transpose", [x], perm=list(order))


def onnx_is_image(type: TensorType, over: Sequence[int]) -> bool:
    """Whether a reduction is over the two last axes of an f32 [N, C, H, W] with some pixel."""
    pixels = [type.axes[i].size.value for i in over] if tuple(over) == (2, 3) and type.rank == 4 else [0]
    return type.dtype is Dtype.F32 and all(pixels)


def onnx_image_mean(call: OnnxCall, x: str, keep: bool) -> str:
    """A mean over the pixels as GlobalAveragePool, which reads what a convolution wrote in the layout that it has: ONNX
    Runtime would turn it back for ReduceMean."""
    mean = call.node("GlobalAveragePool", [x])
    return mean if keep else call.node("Flatten", [mean], axis=1)


def onnx_range(call: OnnxCall, size: Size) -> str:
    """0, 1, .. of a size, as a 1-D i64."""
    if size.value is not None:
        return call.constant(np.arange(size.value, dtype=np.int64))
    zero, step = onnx_scalar(call, 0, Dtype.I64), onnx_scalar(call, 1, Dtype.I64)
    return call.node("Range", [zero, call.size(size), step])


def onnx_unsqueeze(call: OnnxCall, x: str, axes: Sequence[int]) -> str:
    return call.node("Unsqueeze", [x, onnx_ints(call, *axes)]) if axes else x


def onnx_through(call: OnnxCall, dtype: Dtype) -> Dtype:
    """The dtype in which ONNX Runtime can compute what it cannot in `dtype` itself: i32 for narrower integers."""
    return Dtype.I32 if dtype in (Dtype.I8, Dtype.U8, Dtype.BOOL) else dtype


# Reference


def ref_arg(call: ReferenceCall, operand: int, dtype: Dtype | None = None) -> Array:
    """An operand; cast, as the reference holds `dtype`: float64, int64 or bool."""
    value = call.args[operand]
    assert value is not None
    return value if dtype is None else ref_cast(value, dtype)


def ref_cast(value: Array, dtype: Dtype) -> Array:
    """A value as the reference holds `dtype`; narrow integers wrap round."""
    if dtype.floating:
        return np.asarray(value, dtype=np.float64)
    if dtype is Dtype.BOOL:
        return np.asarray(value, dtype=bool)
    if dtype is Dtype.I64:
        return np.asarray(value, dtype=np.int64)
    return np.asarray(value).astype(np.int64).astype(numpy_type(dtype)).astype(np.int64)


def ref_key(x: Array) -> Array:
    """Values to rank by: NaN below everything."""
    if x.dtype.kind != "f":
        return x.astype(np.int64)
    return np.where(np.isnan(x), -np.inf, np.maximum(x, np.finfo(np.float64).min))


def onnx_key(call: OnnxCall, x: str, dtype: Dtype) -> tuple[str, Dtype]:
    """Values to rank by: NaN becomes minus infinity, minus infinity the lowest finite value. Its dtype."""
    if dtype.floating:
        x = onnx_cast(call, x, dtype, Dtype.F32)
        clamped = call.node("Max", [x, onnx_scalar(call, F32_LOWEST, Dtype.F32)])
        nan = call.node("IsNaN", [x])
        return call.node("Where", [nan, onnx_scalar(call, float("-inf"), Dtype.F32), clamped]), Dtype.F32
    work = onnx_through(call, dtype)
    return onnx_cast(call, x, dtype, work), work
