"""Evaluates calls whose operands are all constants. Weights are data, not constants: they stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cogseedc.ir import (
    Attrs,
    Call,
    Constant,
    Dtype,
    Exit,
    Gate,
    Graph,
    Loop,
    NodeId,
    OpSpec,
    Output,
    Size,
    TensorType,
    Value,
)
from cogseedc.lazy import lazy
from cogseedc.passes.base import Context, Pass

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

LARGEST = 64 << 10
"""Bytes of a result that may still become a constant; a larger one would bloat the artifact."""

_ROUNDED = {"add", "sub", "mul", "div", "neg", "abs", "sqrt", "minimum", "maximum", "clamp", "floor", "ceil", "round"}
_LOGIC = {"where", "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_not", "isnan", "cast"}
_LAYOUT = {"permute", "unsqueeze", "squeeze", "expand", "reshape", "flatten", "select", "slice", "concat", "split"}
_MADE = {"join", "zeros", "ones", "full", "range", "size_value"}
EXACT = frozenset(_ROUNDED | _LOGIC | _LAYOUT | _MADE)
"""Operations whose float64 result, rounded once, is the f32 result: they are correctly rounded there (a double
rounding of one basic operation is harmless from 53 to 24 bits), or they compute nothing."""

_NUMPY = {
    Dtype.F32: "float32",
    Dtype.F16: "float16",
    Dtype.I64: "int64",
    Dtype.I32: "int32",
    Dtype.I8: "int8",
    Dtype.U8: "uint8",
    Dtype.BOOL: "bool",
}


@dataclass(frozen=True)
class FoldConstants(Pass):
    """A call on constants alone becomes a constant: its float64 reference, rounded once to its dtype.

    Left alone: results over 64 KiB or of unknown size, bf16, operations that differ in training, and, where the
    result can reach a decision, whatever a runtime may round differently; so no decision changes.
    """

    name: ClassVar[str] = "fold-constants"

    def run(self, graph: Graph, context: Context) -> bool:
        wiring = graph.wiring()
        deciding = _deciding(graph, context.loop is not None)
        values = {id: _array(node) for id, node in graph.of(Constant) if _known(node.type)}
        known: dict[Value, Array] = {Value(id): array for id, array in values.items()}
        folded = list[NodeId]()
        for id in wiring.order:
            node, operands = graph[id], wiring.operands(id)
            if not isinstance(node, Call) or any(v is not None and v not in known for v in operands):
                continue
            if not _foldable(node, context.ops[node.op], id in deciding):
                continue
            types = tuple(None if v is None else graph.type(v) for v in operands)
            args = tuple(None if v is None else known[v] for v in operands)
            results = _evaluate(context.ops[node.op], _Folding(node.attrs, args, types, node.types))
            if results is None:
                continue
            known.update((Value(id, port), result) for port, result in enumerate(results))
            folded.append(id)
        for id in folded:
            node = graph[id]
            assert isinstance(node, Call)
            for port, type in enumerate(node.types):
                constant = Constant(type, _literal(known[Value(id, port)]), node.origin)
                graph.redirect(Value(id, port), Value(graph.add(constant)))
        graph.remove(folded)
        return bool(folded)


@dataclass(slots=True)
class _Folding:
    """One call as its reference function sees it; no size is symbolic."""

    attrs: Attrs
    args: Sequence[Array | None]
    inputs: Sequence[TensorType | None]
    types: tuple[TensorType, ...]

    def size(self, size: Size) -> int:
        return size.evaluate({})

    def sizes(self, sizes: Sequence[Size]) -> tuple[int, ...]:
        return tuple(size.evaluate({}) for size in sizes)


def _deciding(graph: Graph, body: bool) -> set[NodeId]:
    """Nodes whose value can reach a gate or an exit's condition, maybe in a loop, or in a turn that follows."""
    decides = (Gate, Exit, Loop, Output) if body else (Gate, Exit, Loop)
    ins = graph.wiring().ins
    found = set[NodeId]()
    for id in reversed(graph.wiring().order):
        if isinstance(graph[id], decides) or id in found:
            found.update(edge.src for edge in ins[id])
    return found


def _known(type: TensorType) -> bool:
    sized = all(size.value is not None for size in type.shape)
    return type.dtype in _NUMPY and sized and type.elements.evaluate({}) * type.dtype.bits <= 8 * LARGEST


def _foldable(call: Call, spec: OpSpec, decides: bool) -> bool:
    symbolic = any(isinstance(v, Size) and v.value is None for v in call.attrs.flat())
    return (
        not spec.training
        and not symbolic
        and all(_known(type) for type in call.types)
        and (not decides or call.op in EXACT or not any(type.dtype.floating for type in call.types))
    )


def _array(node: Constant) -> Array:
    """The elements as every backend holds them: rounded to the dtype, then as the reference computes."""
    shape = tuple(size.evaluate({}) for size in node.type.shape)
    array = np.asarray(node.values).astype(_NUMPY[node.type.dtype])
    return _wide(
        np.broadcast_to(array.reshape(()), shape) if array.size == 1 else array.reshape(shape), node.type.dtype
    )


def _wide(array: Array, dtype: Dtype) -> Array:
    return array.astype("float64" if dtype.floating else "bool" if dtype is Dtype.BOOL else "int64")


def _evaluate(spec: OpSpec, call: _Folding) -> tuple[Array, ...] | None:
    """Rounded results; None when a value is out of the range of its dtype, where runtimes differ."""
    with np.errstate(all="ignore"):
        made = spec.reference(call)
        results = made if isinstance(made, tuple) else (made,)
        rounded: list[Array] = []
        for result, type in zip(results, call.types, strict=True):
            exact = np.asarray(result)
            value = _wide(exact.astype(_NUMPY[type.dtype]), type.dtype)
            if not type.dtype.floating and not np.array_equal(value, exact):
                return None
            shape = tuple(size.evaluate({}) for size in type.shape)
            rounded.append(np.broadcast_to(value, shape))
    return tuple(rounded)


def _literal(array: Array) -> tuple[float | int | bool, ...]:
    """Row-major elements; one stands for all when all are the same, bit for bit."""
    elements: list[float | int | bool] = array.ravel().tolist()
    alike = array.tobytes() == array.ravel()[:1].tobytes() * len(elements)
    return tuple(elements[:1] if alike else elements)
