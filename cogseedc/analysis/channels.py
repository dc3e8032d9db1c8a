"""Which parts of a program can be computed for some channels only: what leads from a convolution or a linear layer to a
join under a gate over channels is computed with the filters that were chosen; a layer whose operand has channels that a
gate made zero, without those. Where samples choose by themselves, each is computed with its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cogseedc.analysis.growth import Growth, two_arms
from cogseedc.analysis.kept import Choice, Kept, channel_axis
from cogseedc.ir import (
    Axis,
    Call,
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
    TensorType,
    Value,
    reckoned,
)
from cogseedc.ops.rules import flow_aligned
from cogseedc.record import record

CONVOLUTIONS = ("conv1d", "conv2d")
_SOME = Size.symbol("some channels")
FILTERS = (*CONVOLUTIONS, "linear")
"""Operations with a weight that has a part of its own for each channel of the result."""
_PLAIN = ("batch_norm", "cast", "avg_pool1d", "avg_pool2d", "instance_norm", "max_pool1d", "max_pool2d")
"""Operations that are pointwise in the channels and written alike for any number of them; so are elementwise ones."""
_WHOLE = CONVOLUTIONS
"""Operations that are pointwise in the channels, where each has a filter of its own, but written for a number of them:
they are computed for all, with zeros for those that were not."""


@record
class Layer:
    """One operation, computed for the chosen channels."""

    node: NodeId
    axes: tuple[int | None, ...]
    """By port: where the chosen channels lie; None: it is read in full."""
    at: int
    """Where they lie in the result."""
    whole: bool = False
    """Whether it is computed for all channels, of which the chosen ones are taken."""
    kept: Kept | None = None
    """Of a filter: what it reads of its first operand; None: all."""

    def types(self, graph: Graph) -> tuple[tuple[TensorType | None, ...], tuple[TensorType, ...]]:
        """The types of its operands and results, with as many channels as are chosen."""
        node, operands = graph[self.node], graph.wiring().operands(self.node)
        assert isinstance(node, Call)
        given = [None if value is None else graph.type(value) for value in operands]
        if node.op in FILTERS:
            return tuple(given), node.types
        inputs = tuple(None if t is None else _part(t, axis) for t, axis in zip(given, self.axes, strict=True))
        return inputs, tuple(_part(type, self.at) for type in node.types)

    def filters(self, graph: Graph) -> bool:
        """Whether some filters of a layer are computed."""
        node = graph[self.node]
        return not self.whole and isinstance(node, Call) and node.op in FILTERS


def _part(type: TensorType, axis: int | None) -> TensorType:
    """Of a value some channels."""
    return type.with_axes(tuple(Axis(a.name, _SOME) if i == axis else a for i, a in enumerate(type.axes)))


@record
class Channels:
    """A join whose one arm is computed for the channels that take it, the other given; or a single layer that reads
    some channels only."""

    node: NodeId
    result: Value
    axis: int
    """Where the channels lie in the result."""
    choice: Choice | None
    """The decision that takes the arm; None: a single layer."""
    base: Value | None
    """What the other channels have: the other arm, or the last of several."""
    layers: tuple[Layer, ...]
    """In topological order."""
    further: tuple[tuple[Choice, Value], ...] = ()
    """Of a choice among several: what channels have that take one of these."""

    def gates(self) -> tuple[NodeId, ...]:
        """The gates whose decisions are read, that of the join first."""
        kept = [gate for layer in self.layers if layer.kept is not None for gate, _ in layer.kept.choices()]
        return tuple(dict.fromkeys([*([] if self.choice is None else [self.choice[0]]), *kept]))

    def apart(self, graph: Graph) -> bool:
        """Whether samples choose by themselves."""
        return any(graph.type(Value(gate)).batch is not None for gate in self.gates())


def channel_regions(
    graph: Graph,
    order: Sequence[NodeId],
    guards: Mapping[NodeId, Guard],
    literals: Literals,
    ops: Ops,
    kept: Mapping[Value, Kept],
) -> Iterator[Channels]:
    """The regions of all joins in `order`, of each the arm whose filters take more work. No node is in two."""
    place = {id: i for i, id in enumerate(order)}
    for id in order:
        merge = graph[id]
        if isinstance(merge, Merge) and not literals.places(guards[id]):
            sides = [
                _Growth(graph, place, guards, literals, ops, id, side.result, kept=kept).region(side)
                for side in _sides(graph, id, merge)
            ]
            found = [region for region in sides if region is not None]
            if found:
                yield max(found, key=lambda r: _work(graph, ops, r))


def narrow_layers(
    graph: Graph,
    order: Sequence[NodeId],
    guards: Mapping[NodeId, Guard],
    literals: Literals,
    kept: Mapping[Value, Kept],
) -> Iterator[Channels]:
    """The layers in `order` that need not read all channels of their operand."""
    for id in order:
        node = graph[id]
        known = _read(graph, kept, id)
        if known is None or not isinstance(node, Call) or node.type.batch != 0 or literals.places(guards[id]):
            continue
        if all(literals.implies(guards[id], guards[gate]) for gate, _ in known.choices()):
            axes = (None,) * len(graph.wiring().operands(id))
            yield Channels(id, Value(id), known.axis, None, None, (Layer(id, axes, known.axis, kept=known),))


def _filters(graph: Graph, region: Channels) -> int:
    return sum(layer.filters(graph) for layer in region.layers)


def _work(graph: Graph, ops: Ops, region: Channels) -> int:
    """Multiply-accumulates of its filters, for all channels."""
    return sum(_macs(graph, ops, layer.node) for layer in region.layers if layer.filters(graph))


def _macs(graph: Graph, ops: Ops, id: NodeId) -> int:
    node = graph[id]
    assert isinstance(node, Call)
    types = [None if v is None else graph.type(v) for v in graph.wiring().operands(id)]
    count = ops[node.op].macs
    assert count is not None, "a filter multiplies"
    return reckoned(count(node.attrs, types, node.types))


def _read(graph: Graph, kept: Mapping[Value, Kept], id: NodeId) -> Kept | None:
    """What a convolution or linear layer reads of its first operand, if the axis that it sums over has the channels."""
    node = graph[id]
    operands = graph.wiring().operands(id)
    source = operands[0] if operands else None
    known = kept.get(source) if source is not None else None
    if source is None or known is None or not isinstance(node, Call) or node.op not in FILTERS:
        return None
    summed = node.attrs.integer("over") if node.op == "linear" else 1
    types = [None if v is None else graph.type(v) for v in operands]
    if known.axis != summed or graph.type(source).batch != 0 or not _common(node, types):
        return None
    return known


def _common(node: Call, types: Sequence[TensorType | None]) -> bool:
    """Whether a layer has one weight for all samples, each of its filters reading all channels."""
    x, *weights = types
    own = 2 if node.op == "linear" else 2 + len(node.attrs.integers("kernel"))
    plain = all(t is None or (t.batch is None and t.rank == rank) for t, rank in zip(weights, (own, 1), strict=False))
    single = node.op == "linear" or node.attrs.integer("groups") == 1
    return plain and single and x is not None and (node.op == "linear" or x.rank == own)


@record
class _Side:
    """An arm of a join by channels that may be computed for some, and the others."""

    choice: Choice
    axis: int
    result: Value
    base: Value
    further: tuple[tuple[Choice, Value], ...] = ()


def _sides(graph: Graph, id: NodeId, merge: Merge) -> Iterator[_Side]:
    """The arms of a join by channels."""
    found, axes = _arms(graph, merge, graph.wiring().operands(id)), set(merge.axes)
    if found is None or len(axes) != 1 or merge.type.batch != 0:
        return
    (gate, arms, rest), (lay,) = found, axes
    at = channel_axis(graph, gate)
    if at is None or lay[:-1] != (0,) * at:
        return
    for arm, value in reversed(arms.items()):
        type = graph.type(value)
        others = [(i, v) for i, v in arms.items() if i != arm]
        base = rest if rest is not None else others.pop()[1] if others else None
        if base is not None and type.shape == merge.type.shape:
            yield _Side((gate, arm), lay[-1], value, base, tuple(((gate, i), v) for i, v in others))


def _arms(
    graph: Graph, merge: Merge, operands: Sequence[Value | None]
) -> tuple[NodeId, dict[int, Value], Value | None] | None:
    """Of a join that one gate chooses for: the gate, what it gives by arm, and otherwise."""
    two = two_arms(graph, merge, operands)
    if two is not None:
        return two[0], dict(enumerate(two[1])), None
    count = len(merge.arms)
    gates = {value.node for value in operands[count : 2 * count] if value is not None}
    if merge.mode is not MergeMode.SELECT or len(gates) != 1 or len({*merge.arms}) != count:
        return None
    values = {arm: value for arm, value in zip(merge.arms, operands, strict=False) if value is not None}
    return gates.pop(), values, operands[2 * count] if merge.otherwise else None


@dataclass
class _Growth(Growth[Layer]):
    """A region while it grows from the result backwards."""

    kept: Mapping[Value, Kept] = field(kw_only=True)
    at: dict[Value, int] = field(default_factory=dict)
    """Where the channels lie in values that are read for some of them."""
    full: set[Value] = field(default_factory=set)
    """Values that are read for all channels, or along several axes."""

    def region(self, side: _Side) -> Channels | None:
        self.at[self.result] = side.axis
        layers = self.grow()
        region = Channels(self.merge, self.result, side.axis, side.choice, side.base, layers, side.further)
        return region if _filters(self.graph, region) else None

    def reads(self, id: NodeId, layer: Layer) -> Iterator[Value]:
        for value, axis in zip(self.graph.wiring().operands(id), layer.axes, strict=True):
            if value is None:
                continue
            if axis is None or self.at.setdefault(value, axis) != axis:
                self.full.add(value)
            else:
                yield value

    def layer(self, id: NodeId, node: Call) -> Layer | None:
        """An operation as a layer, if it can be computed for some channels."""
        if node.type.batch != 0 or Value(id) in self.full:
            return None
        types = [None if v is None else self.graph.type(v) for v in self.graph.wiring().operands(id)]
        way, axes = self._way(node, types), self._axes(id, node, types)
        if way is None or axes is None or (way == "whole" and (axes[0], self.at[Value(id)]) != (1, 1)):
            return None
        if way == "whole":
            return Layer(id, (axes[0], *(None,) * (len(axes) - 1)), 1, whole=True)
        known = _read(self.graph, self.kept, id) if way == "filter" else None
        asked = self.guards[id]  # elsewhere nothing of it is read
        decided = known is not None and all(self.literals.implies(asked, self.guards[g]) for g, _ in known.choices())
        return Layer(id, axes, self.at[Value(id)], kept=known if decided else None)

    def _axes(self, id: NodeId, node: Call, types: Sequence[TensorType | None]) -> tuple[int | None, ...] | None:
        """Where the channels lie in the operands of a node."""
        channels = self.at[Value(id)]
        found: list[int | None] = []
        for _, flows in zip(types, self.ops[node.op].flow(node.attrs, types, node.types), strict=False):
            own = [i for i, flow in enumerate(flows) if not isinstance(flow, Mixing) and flow.to == channels]
            if not all(isinstance(flows[i], Pointwise) for i in own):
                return None
            found.append(own[0] if own else None)
        return tuple(found)

    def _way(self, node: Call, types: Sequence[TensorType | None]) -> str | None:
        """How an operation is computed for some channels; None: not at all."""
        if node.op in FILTERS and _common(node, types):
            return "filter"
        if self.ops[node.op].flow is flow_aligned or node.op in _PLAIN:
            return "plain"
        x, *weights = types
        if node.op not in _WHOLE or x is None or x.rank != 2 + len(node.attrs.integers("kernel")):
            return None
        return "whole" if all(type is None or type.batch is None for type in weights) else None
