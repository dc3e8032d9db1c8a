"""Which parts of a program can be computed for some channels only: what leads from a convolution or a linear layer to a
join under a gate over samples and channels. Each sample is computed with the filters that it chose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cogseedc.ir import (
    BATCH_SIZE,
    Call,
    Constant,
    Gate,
    GateKind,
    Graph,
    Guard,
    Literals,
    Merge,
    MergeMode,
    Mixing,
    NodeId,
    Ops,
    Pointwise,
    Size,
    Value,
)
from cogseedc.ops.rules import flow_aligned
from cogseedc.target import Costs

CONVOLUTIONS = ("conv1d", "conv2d")
FILTERS = (*CONVOLUTIONS, "linear")
"""Operations with a weight that has a part of its own for each channel of the result."""
_BESIDE = ("batch_norm",)
"""Operations that are pointwise in the channels, beside the elementwise ones."""
CALL_OPS = 5
"""Operations that it takes to find the channels of all samples, and to copy the base."""


@dataclass(frozen=True, slots=True)
class Channels:
    """A join whose one arm is computed for the channels that take it, the other given."""

    merge: NodeId
    gate: NodeId
    arm: int
    """The decision that takes the arm."""
    axis: int
    """Where the channels lie in the result."""
    result: Value
    base: Value
    layers: tuple[tuple[NodeId, tuple[int | None, ...]], ...]
    """In topological order, each with where the channels lie in its operands; None: it is read in full."""


def channel_regions(
    graph: Graph, order: Sequence[NodeId], guards: Mapping[NodeId, Guard], literals: Literals, ops: Ops
) -> Iterator[Channels]:
    """The regions of all joins in `order`, of each the arm that has more filters. No node is in two."""
    place = {id: i for i, id in enumerate(order)}
    for id in order:
        merge = graph[id]
        if isinstance(merge, Merge) and not literals.places(guards[id]):
            sides = [
                _Growth(graph, place, guards, literals, ops, id, axis, result).region(gate, arm, base)
                for gate, arm, axis, result, base in _sides(graph, literals, id, merge)
            ]
            found = [region for region in sides if region is not None]
            if found:
                yield max(found, key=lambda r: len(_filters(graph, r)))


def channel_costs(
    graph: Graph, region: Channels, ops: Ops, costs: Costs, share: float, number: Callable[[Size], float]
) -> tuple[float, float]:
    """Microseconds of a region for all channels, and for a `share` of them, sample by sample. `number` says how much a
    size is reckoned as."""
    rows = number(BATCH_SIZE)
    work = weights = 0.0
    operations = 0
    for id, axes in region.layers:
        node = graph[id]
        assert isinstance(node, Call)
        types = [None if v is None else graph.type(v) for v in graph.wiring().operands(id)]
        macs = ops[node.op].macs
        work += number(macs(node.attrs, types, node.types)) * costs.mac_ns if macs else 0.0
        work += number(node.type.elements) * costs.take_ns
        taken = [type for type, axis in zip(types, axes, strict=True) if type is not None and axis is not None]
        weights += sum(number(type.elements) for type in taken if type.batch is None) * (
            costs.take_ns + costs.layout_ns
        )
        operations += 1 + len(taken)
    elements = number(graph.type(region.result).elements)
    copied = elements * costs.select_ns
    dense = (work + copied) / 1e3 + (len(region.layers) + 1) * costs.op_us
    picked = (share * (work + rows * weights + elements * costs.put_ns) + copied) / 1e3
    return dense, picked + (rows * (operations + 1) + CALL_OPS) * costs.op_us


def is_zero(graph: Graph, value: Value) -> bool:
    """Whether a value is a literal zero, of any shape."""
    node = graph[value.node]
    if isinstance(node, Call) and node.op == "expand":
        operand = graph.wiring().operand(value.node, 0)
        return operand is not None and is_zero(graph, operand)
    return isinstance(node, Constant) and not any(node.values)


def _filters(graph: Graph, region: Channels) -> list[NodeId]:
    return [id for id, _ in region.layers if isinstance(node := graph[id], Call) and node.op in FILTERS]


def _sides(
    graph: Graph, literals: Literals, id: NodeId, merge: Merge
) -> Iterator[tuple[NodeId, int, int, Value, Value]]:
    """For a join of two arms by channels: its gate, the arm that may be computed for some, where the channels lie, the
    arm's value, the other's."""
    operands = graph.wiring().operands(id)
    count = len(merge.arms)
    gates = {v.node for v in operands[count : 2 * count] if v is not None}
    axes = set(merge.axes)
    if merge.mode is not MergeMode.SELECT or len(gates) != 1 or len(axes) != 1 or merge.type.batch != 0:
        return
    (gate,), (lay,) = gates, axes
    node = graph[gate]
    if not literals.mask(gate) & literals.placed or not isinstance(node, Gate) or node.kind is not GateKind.BOOL:
        return
    if len(lay) != 2 or lay[0] != 0:
        return
    values: dict[int, Value] = {}
    for arm in (1, 0):
        value = operands[merge.arms.index(arm)] if arm in merge.arms else operands[-1] if merge.otherwise else None
        if value is not None:
            values[arm] = value
    if len(values) == 2:
        for arm in (1, 0):
            type = graph.type(values[arm])
            if type.shape == merge.type.shape and type.dtype is merge.type.dtype:
                yield gate, arm, lay[1], values[arm], values[1 - arm]


@dataclass
class _Growth:
    """A region while it grows from the result backwards."""

    graph: Graph
    place: Mapping[NodeId, int]
    guards: Mapping[NodeId, Guard]
    literals: Literals
    ops: Ops
    merge: NodeId
    axis: int
    result: Value
    layers: dict[NodeId, tuple[int | None, ...]] = field(default_factory=dict)
    at: dict[Value, int] = field(default_factory=dict)
    """Where the channels lie in values that are read for some of them."""

    def region(self, gate: NodeId, arm: int, base: Value) -> Channels | None:
        self.at[self.result] = self.axis
        waiting, seen = {self.result.node}, set[NodeId]()
        while waiting:
            id = max(waiting, key=lambda n: self.place.get(n, -1))  # all that read it come before
            waiting.remove(id)
            seen.add(id)
            axes = self._layer(id)
            if axes is None:
                continue
            self.layers[id] = axes
            for value, axis in zip(self.graph.wiring().operands(id), axes, strict=True):
                if value is not None and axis is not None and self.at.setdefault(value, axis) == axis:
                    waiting |= {value.node} - seen
        order = sorted(self.layers, key=lambda n: self.place[n])
        layers = tuple((id, self.layers[id]) for id in order)
        region = Channels(self.merge, gate, arm, self.axis, self.result, base, layers)
        return region if _filters(self.graph, region) else None

    def _layer(self, id: NodeId) -> tuple[int | None, ...] | None:
        """Where the channels lie in the operands of a node, if it can be computed for some of them."""
        node = self.graph[id]
        if not isinstance(node, Call) or len(node.types) != 1 or node.type.batch != 0 or not self._alone(id):
            return None
        if self._batchwise(id) != self._batchwise(self.merge) or not self._spelled(id, node):
            return None
        channels = self.at[Value(id)]
        types = [None if v is None else self.graph.type(v) for v in self.graph.wiring().operands(id)]
        found: list[int | None] = []
        for type, flows in zip(types, self.ops[node.op].flow(node.attrs, types, node.types), strict=False):
            own = [i for i, flow in enumerate(flows) if not isinstance(flow, Mixing) and flow.to == channels]
            if type is not None and type.batch is not None and (type.batch != 0 or flows[0] != Pointwise(0)):
                return None
            if any(not isinstance(flows[i], Pointwise) or len(own) > 1 for i in own):
                return None
            if own and type is not None and type.shape[own[0]] != node.type.shape[channels]:
                return None
            found.append(own[0] if own else None)
        return tuple(found) if any(axis is not None for axis in found) and len(found) == len(types) else None

    def _spelled(self, id: NodeId, node: Call) -> bool:
        """Whether what is written for the operation does not depend on how many channels there are."""
        if node.op not in FILTERS:
            return self.ops[node.op].flow is flow_aligned or node.op in _BESIDE
        x, *weights = (None if v is None else self.graph.type(v) for v in self.graph.wiring().operands(id))
        grouped = node.op != "linear" and node.attrs.integer("groups") != 1
        own = 2 if node.op == "linear" else 2 + len(node.attrs.integers("kernel"))
        plain = all(
            t is None or (t.batch is None and t.rank == rank) for t, rank in zip(weights, (own, 1), strict=False)
        )
        return plain and not grouped and x is not None and (node.op == "linear" or x.rank == own)

    def _alone(self, id: NodeId) -> bool:
        """Whether nothing outside of the region reads it."""
        outside = [e.dst for e in self.graph.wiring().outs[id] if e.dst in self.place and e.dst not in self.layers]
        return outside == ([self.merge] if id == self.result.node else [])

    def _batchwise(self, id: NodeId) -> Guard:
        return self.literals.drop(self.guards[id], self.literals.placed)
