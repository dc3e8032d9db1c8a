"""The catalogue's view of the graph under construction, and weights that are computed once, while emitting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cogseedc.backends.onnx.builder import Region
from cogseedc.backends.onnx.sizes import Sizes
from cogseedc.backends.onnx.tensors import NUMPY
from cogseedc.backends.plan.model import SpaceId
from cogseedc.ir import Attrs, Call, Constant, Graph, NodeId, OpSpec, Size, TensorType, Weight

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

_LITERAL = 4096
"""Elements up to which a value that is computed from no weight is stored rather than computed."""


class CallSite:
    """One call as an op's ONNX spelling sees it; an `OnnxCall`."""

    def __init__(
        self,
        region: Region,
        sizes: Sizes,
        space: SpaceId,
        call: Call,
        args: Sequence[str],
        inputs: Sequence[TensorType | None],
        types: tuple[TensorType, ...] | None = None,
    ) -> None:
        self._region, self._sizes, self._space = region, sizes, space
        self.attrs: Attrs = call.attrs
        self.args: Sequence[str] = args
        self.inputs: Sequence[TensorType | None] = inputs
        self.types: tuple[TensorType, ...] = types or call.types

    def node(self, op_type: str, inputs: Sequence[str], /, **attributes: Any) -> str:
        return self._region.nodes_of(op_type, inputs, 1, **attributes)[0]

    def nodes(self, op_type: str, inputs: Sequence[str], outputs: int, /, **attributes: Any) -> tuple[str, ...]:
        return self._region.nodes_of(op_type, inputs, outputs, **attributes)

    def constant(self, value: Array) -> str:
        return self._region.constant(value)

    def size(self, size: Size) -> str:
        return self._sizes.scalar(self._region, size, self._space)

    def sizes(self, sizes: Sequence[Size]) -> str:
        return self._sizes.vector(self._region, sizes, self._space)


class FoldedCall:
    """One call of known operands, as an op's reference sees it; a `ReferenceCall`."""

    def __init__(self, call: Call, args: Sequence[Array | None], inputs: Sequence[TensorType | None]) -> None:
        self.attrs, self.types = call.attrs, call.types
        self.args, self.inputs = args, inputs

    def size(self, size: Size) -> int:
        return size.evaluate({})

    def sizes(self, sizes: Sequence[Size]) -> tuple[int, ...]:
        return tuple(s.evaluate({}) for s in sizes)


class Folding:
    """Which values depend on weights and literals only, and what they are."""

    def __init__(self, graph: Graph, ops: Mapping[str, OpSpec], weights: Mapping[str, Array]) -> None:
        self._graph, self._ops, self._weights = graph, ops, weights
        self._values: dict[tuple[NodeId, int], Array] = {}
        self._first: dict[NodeId, str] = {}
        self._folded = _foldable(graph)

    def __contains__(self, node: NodeId) -> bool:
        return node in self._folded

    def path(self, node: NodeId) -> str:
        """State-dict path of the first weight behind a folded node; empty when there is none."""
        return self._folded[node]

    def value(self, node: NodeId, port: int) -> Array:
        """The value of a folded node, in its own element type."""
        self._evaluate(node)
        call = self._graph[node]
        assert isinstance(call, Call)
        return np.asarray(self._values[node, port]).astype(NUMPY[call.types[port].dtype])

    def _evaluate(self, node: NodeId) -> None:
        wiring = self._graph.wiring()
        stack = [node]
        while stack:
            id = stack[-1]
            missing = [
                v.node
                for v in wiring.operands(id)
                if v and v.node in self._folded and (v.node, v.port) not in self._values
            ]
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            if (id, 0) not in self._values:
                self._call(id)

    def _call(self, id: NodeId) -> None:
        call = self._graph[id]
        assert isinstance(call, Call)
        operands = self._graph.wiring().operands(id)
        args = [self._operand(v.node, v.port) if v else None for v in operands]
        inputs = [self._graph.type(v) if v else None for v in operands]
        results = self._ops[call.op].reference(FoldedCall(call, args, inputs))
        for port, result in enumerate(results if len(call.types) > 1 else [results]):
            self._values[id, port] = np.asarray(result)

    def _operand(self, id: NodeId, port: int) -> Array:
        node = self._graph[id]
        match node:
            case Weight():
                value = np.asarray(self._weights[node.path])
            case Constant():
                value = literal(node)
            case _:
                return self._values[id, port]
        return value.astype(np.float64) if node.type.dtype.floating else value


def literal(node: Constant) -> Array:
    """The array of a constant node."""
    shape = [s.evaluate({}) for s in node.type.shape]
    values = np.array(node.values, NUMPY[node.type.dtype])
    return np.full(shape, values[0], values.dtype) if len(node.values) == 1 else values.reshape(shape)


def _foldable(graph: Graph) -> dict[NodeId, str]:
    """Calls that depend on weights and literals only, with the path of their first weight, in one sweep."""
    wiring = graph.wiring()
    found: dict[NodeId, str] = {}
    for id in wiring.order:
        node = graph[id]
        if not isinstance(node, Call) or any(s.value is None for t in node.types for s in t.shape):
            continue
        if node.op == "size_value":  # folded where the size is known; the others are read off the inputs
            continue
        if node.op == "dequantize":  # the runtime has to see that a layer multiplies integers
            continue
        sources = [v.node for v in wiring.operands(id) if v]
        if not all(s in found or isinstance(graph[s], Weight | Constant) for s in sources):
            continue
        paths = [p for s in sources if (p := _path(graph, found, s))]
        room = max([_LITERAL, *(_elements(graph.type(v)) for v in wiring.operands(id) if v and paths)])
        if all(_elements(t) <= room for t in node.types):
            found[id] = paths[0] if paths else ""
    return found


def _path(graph: Graph, found: Mapping[NodeId, str], id: NodeId) -> str:
    node = graph[id]
    return node.path if isinstance(node, Weight) else found.get(id, "")


def _elements(type: TensorType) -> int:
    return type.elements.value or 0
