"""Which channels of values may differ from zero, by the decisions of gates over channels: a convolution or a linear
layer need not read the others of its operand. Zero times anything counts as zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cogseedc.ir import (
    Call,
    Constant,
    Flow,
    Gate,
    GateKind,
    Graph,
    Merge,
    MergeMode,
    NodeId,
    Ops,
    Pointwise,
    Size,
    TensorType,
    Value,
)

Choice = tuple[NodeId, int]
"""A gate over channels, or over samples and channels, and an arm."""


@dataclass(frozen=True, slots=True)
class Part:
    """Channels side by side."""

    size: Size
    taken: tuple[Choice, ...] | None
    """A channel is zero where none of these holds. None: any may differ."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The channels of one value that may differ from zero."""

    axis: int
    parts: tuple[Part, ...]
    """One after the other along the axis."""

    def choices(self) -> Iterator[Choice]:
        for part in self.parts:
            yield from part.taken or ()


# fmt: off
_KEEPING = frozenset([
    "abs", "adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool1d", "avg_pool2d", "cast", "ceil", "detach",
    "dropout", "elu", "erf", "floor", "gelu", "global_avg_pool", "global_max_pool", "hard_swish", "identity",
    "leaky_relu", "max", "max_pool1d", "max_pool2d", "mean", "min", "mish", "neg", "permute", "prelu", "relu",
    "relu6", "reshape", "resize", "round", "select", "sign", "silu", "sin", "slice", "sqrt", "square", "squeeze",
    "sum", "tanh", "unsqueeze",
])
# fmt: on
"""Operations whose first operand decides: where a channel of it is zero, so is that of the result."""
_PLAIN = {"conv1d": 1, "conv2d": 1, "instance_norm": 0}
"""The same, with so many weights: a bias would make a difference."""
_TOGETHER = ("add", "sub", "maximum", "minimum")
"""Operations that give zero where all operands are zero."""


def kept_channels(graph: Graph, order: Sequence[NodeId], ops: Ops) -> dict[Value, Kept]:
    """What is known of the values of nodes in `order`, which is topological."""
    found: dict[Value, Kept] = {}
    for id in order:
        node = graph[id]
        kept: Kept | None = None
        operands = graph.wiring().operands(id)
        match node:
            case Gate(kind=GateKind.BOOL) if (axis := channel_axis(graph, id)) is not None:
                kept = Kept(axis, (Part(node.type.shape[axis], ((id, 1),)),))
            case Merge():
                kept = _joined(graph, found, node, operands)
            case Call() if len(node.types) == 1:
                kept = _called(graph, ops, found, node, operands)
            case _:
                pass
        if kept is not None and any(part.taken is not None for part in kept.parts):
            found[Value(id)] = kept
    return found


def channel_axis(graph: Graph, id: NodeId) -> int | None:
    """Where the channels lie in a gate over channels, or over samples and channels; None for any other gate. How many
    there are is known: each has weights."""
    gate = graph[id]
    if not isinstance(gate, Gate) or gate.kind is GateKind.MANY:
        return None
    axis = 0 if gate.type.batch is None else 1
    legal = gate.type.rank == axis + 1 and gate.type.batch in (None, 0)
    return axis if legal and gate.type.shape[axis].value is not None else None


def is_zero(graph: Graph, value: Value) -> bool:
    """Whether a value is a literal zero, of any shape."""
    node = graph[value.node]
    if isinstance(node, Call) and node.op == "expand":
        operand = graph.wiring().operand(value.node, 0)
        return operand is not None and is_zero(graph, operand)
    return isinstance(node, Constant) and not any(node.values)


def _joined(graph: Graph, found: Mapping[Value, Kept], merge: Merge, operands: Sequence[Value | None]) -> Kept | None:
    """A channel of a join may differ from zero where an arm that may is taken."""
    if merge.mode is not MergeMode.SELECT:
        return None
    count = len(merge.arms)
    gates = [v.node if v is not None else None for v in operands[count : 2 * count]]
    axis = _axis_of(graph, found, merge, operands)
    if axis is None:
        return None
    size = merge.type.shape[axis]
    sides: list[Kept] = []
    choices: tuple[Choice, ...] | None
    for arm, gate, value, lay in zip(merge.arms, gates, operands, merge.axes, strict=False):
        choices = ((gate, arm),) if gate is not None and _by_channel(graph, gate, lay, axis, size) else None
        sides.append(_side(graph, found, value, choices, axis, merge.type))
    if merge.otherwise:
        first, alone = gates[0], len({*gates}) == 1  # along one axis, as all channels lie
        choices = None
        if first is not None and alone and _by_channel(graph, first, merge.axes[0], axis, size):
            choices = tuple((first, arm) for arm in range(_arms(graph, first)) if arm not in merge.arms)
        sides.append(_side(graph, found, operands[2 * count], choices, axis, merge.type))
    return _union(graph, sides)


def _axis_of(graph: Graph, found: Mapping[Value, Kept], merge: Merge, operands: Sequence[Value | None]) -> int | None:
    """The one axis that the channels of gates and arms lie along."""
    count = len(merge.arms)
    axes: set[int] = set()
    for gate, lay in zip(operands[count:], merge.axes, strict=False):
        if gate is not None and lay and channel_axis(graph, gate.node) == len(lay) - 1:
            axes.add(lay[-1])
    for value in (*operands[:count], *operands[2 * count : 2 * count + merge.otherwise]):
        if value is not None and value in found and graph.type(value).rank == merge.type.rank:
            axes.add(found[value].axis)
    return axes.pop() if len(axes) == 1 else None


def _by_channel(graph: Graph, gate: NodeId, lay: tuple[int, ...], axis: int, size: Size) -> bool:
    at = channel_axis(graph, gate)
    if at is None or len(lay) != at + 1 or lay[-1] != axis or (at and lay[0] != 0):
        return False
    return graph.type(Value(gate)).shape[at] == size


def _arms(graph: Graph, id: NodeId) -> int:
    gate = graph[id]
    assert isinstance(gate, Gate)
    return gate.arms


def _side(
    graph: Graph,
    found: Mapping[Value, Kept],
    value: Value | None,
    choices: tuple[Choice, ...] | None,
    axis: int,
    type: TensorType,
) -> Kept:
    size = type.shape[axis]
    if value is not None and is_zero(graph, value):
        return Kept(axis, (Part(size, ()),))
    if choices is not None:
        return Kept(axis, (Part(size, choices),))
    known = None if value is None else found.get(value)
    if known is not None and value is not None and known.axis == axis and graph.type(value).shape == type.shape:
        return known
    return Kept(axis, (Part(size, None),))


def _called(
    graph: Graph, ops: Ops, found: Mapping[Value, Kept], node: Call, operands: Sequence[Value | None]
) -> Kept | None:
    known = [None if value is None else found.get(value) for value in operands]
    if not any(known):
        return None
    types = [None if value is None else graph.type(value) for value in operands]
    flows = ops[node.op].flow(node.attrs, types, node.types)
    if node.op == "concat":
        return _side_by_side(graph, known, types, node)
    moved = [
        None if kept is None or type is None else _moved(kept, flow, type, node.type)
        for kept, flow, type in zip(known, flows, types, strict=False)
    ]
    if node.op in _TOGETHER:
        return _union(graph, [kept for kept in moved if kept is not None]) if all(moved) else None
    if node.op == "mul":
        return next((kept for kept in moved if kept is not None), None)
    weights = sum(value is not None for value in operands[1:])
    plain = weights == _PLAIN.get(node.op)  # convolutions of one channel each; without bias
    return moved[0] if node.op in _KEEPING or plain else None


def _moved(kept: Kept, flow: Sequence[Flow], type: TensorType, result: TensorType) -> Kept | None:
    """What is known of an operand, of the result."""
    way = flow[kept.axis]
    if not isinstance(way, Pointwise) or result.shape[way.to] != type.shape[kept.axis]:
        return None
    if type.batch is not None and (type.batch != 0 or result.batch != 0):
        return None
    return Kept(way.to, kept.parts)


def _side_by_side(
    graph: Graph, known: Sequence[Kept | None], types: Sequence[TensorType | None], node: Call
) -> Kept | None:
    axes = {kept.axis for kept in known if kept is not None}
    if len(axes) != 1:
        return None
    (axis,) = axes
    if axis != node.attrs.integer("over"):
        return _union(graph, [kept for kept in known if kept is not None]) if all(known) else None
    parts: list[Part] = []
    for kept, type in zip(known, types, strict=True):
        assert type is not None
        parts += kept.parts if kept is not None else (Part(type.shape[axis], None),)
    return Kept(axis, tuple(parts))


def _union(graph: Graph, sides: Sequence[Kept]) -> Kept | None:
    """Where one of several may differ; None where their parts are not alike."""
    places = {(side.axis, tuple(part.size for part in side.parts)) for side in sides}
    if len(places) != 1:
        return None
    ((axis, sizes),) = places
    parts: list[Part] = []
    for size, *several in zip(sizes, *(side.parts for side in sides), strict=True):
        every = [part.taken for part in several]
        both: dict[Choice, None] = {}
        for taken in every:
            both.update(dict.fromkeys(taken or ()))
        any_ = None in every or any(all((gate, arm) in both for arm in range(_arms(graph, gate))) for gate, _ in both)
        parts.append(Part(size, None if any_ else tuple(both)))
    return Kept(axis, tuple(parts))
