"""Where weights live: in the one region that reads them, at the root when several do, copied for convolutions.

A convolution whose weight is captured from outside its If loses ONNX Runtime's blocked layout: half again the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from cogseedc.backends.onnx.builder import Region
from cogseedc.backends.onnx.calls import Folding
from cogseedc.backends.onnx.fusion import inputs_of, nests_around
from cogseedc.backends.onnx.tensors import NUMPY
from cogseedc.backends.plan.model import Plan, Run, Slot, Step, Wrap
from cogseedc.diagnostics import InternalError
from cogseedc.ir import Call, Graph, NodeId, Value, Weight

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]


class Weights:
    """Hands out initialisers for weights and for values that are computed from them."""

    def __init__(self, plan: Plan, arrays: Mapping[str, Array], names: Mapping[str, str], folding: Folding) -> None:
        self._graph, self._folding = plan.graph, folding
        self.arrays, self.names = arrays, names
        self._late = _late(plan.graph, folding)
        self._readers = _readers(plan, folding, self._late)

    def fixed(self, node: NodeId) -> bool:
        """Whether a node's values are known now."""
        return node in self._folding or isinstance(self._graph[node], Weight)

    def late(self, node: NodeId) -> bool:
        """Whether a node makes real numbers of a weight's integers: that is done beside each of its readers."""
        return node in self._late

    def initializer(self, region: Region, node: NodeId, port: int) -> str:
        """Name of the initialiser, made where it is first asked for."""
        readers, convolution = self._readers.get((node, port), (2, False))
        place = region if readers == 1 or convolution else region.outermost()
        key = self._key(node, port)
        found = place.local(key) if convolution else place.find(key)
        if found is None:
            path, array = self._array(node, port)
            name = region.shared.names.unique(path)
            place.initializer(name, array, path)
            found = place.keep(key, name)
        return found

    def _key(self, node: NodeId, port: int) -> tuple[object, ...]:
        """A weight is one and the same in all plans of a model, what is computed from some is a plan's own."""
        payload = self._graph[node]
        return ("weight", payload.path) if isinstance(payload, Weight) else ("folded", id(self), node, port)

    def bytes(self) -> int:
        """Size of all weights that the plan reads, copies counted."""
        total = 0
        for (id, port), (readers, convolution) in self._readers.items():
            type = self._graph.type(Value(id, port))
            total += (type.elements.value or 0) * type.dtype.bits // 8 * (readers if convolution else 1)
        return total

    def _array(self, node: NodeId, port: int) -> tuple[str, Array]:
        payload = self._graph[node]
        if isinstance(payload, Weight):
            if payload.path not in self.arrays:
                raise InternalError(f"no weight was given for {payload.path}")
            array = np.asarray(self.arrays[payload.path])
            return self.names.get(payload.path, payload.path), array.astype(NUMPY[payload.type.dtype])
        path = self._folding.path(node)
        base = f"{self.names.get(path, path)}.folded" if path else "constant"
        return base, self._folding.value(node, port)


def _readers(plan: Plan, folding: Folding, late: Set[NodeId]) -> dict[tuple[NodeId, int], tuple[int, bool]]:
    """For each fixed value: how many regions read it, and whether a convolution does."""
    regions: dict[tuple[NodeId, int], set[int]] = {}
    convolutions: set[tuple[NodeId, int]] = set()
    nests = nests_around(plan)
    postponed = {id for single in plan.singles for id in single.blocks}
    for position, block in enumerate(plan.blocks):
        region = position if block.wrap is not Wrap.NONE else -2 - nests.get(position, (-1,))[-1]
        places = {position, region} if position in postponed else {region}
        for step in block.steps:
            for slot in _reads(plan, folding, late, step):
                key = (slot.node, slot.port)
                regions.setdefault(key, set()).update(places)
                if _is_convolution(plan.graph, step):
                    convolutions.add(key)
    return {key: (len(found), key in convolutions) for key, found in regions.items()}


def _reads(plan: Plan, folding: Folding, late: Set[NodeId], step: Step) -> Iterator[Slot]:
    if isinstance(step, Run) and (step.node in folding or step.node in late):
        return
    for slot in _behind(plan.graph, late, inputs_of(step, plan)):
        if slot.node in folding or isinstance(plan.graph[slot.node], Weight):
            yield slot


def _behind(graph: Graph, late: Set[NodeId], slots: Iterable[Slot]) -> Iterator[Slot]:
    """The slots, and in place of late ones what these read."""
    for slot in slots:
        if slot.node in late:
            yield from (Slot(v.node, v.port, slot.space) for v in graph.wiring().operands(slot.node) if v)
        else:
            yield slot


def _late(graph: Graph, folding: Folding) -> frozenset[NodeId]:
    """Every `dequantize` of what is known before the run."""

    def known(value: Value | None) -> bool:
        return value is None or value.node in folding or isinstance(graph[value.node], Weight)

    operands = graph.wiring().operands
    return frozenset(id for id, node in graph.of(Call) if node.op == "dequantize" and all(map(known, operands(id))))


def _is_convolution(graph: Graph, step: Step) -> bool:
    if not isinstance(step, Run):
        return False
    call = graph[step.node]
    return isinstance(call, Call) and call.op.startswith("conv")
