"""Which parts of a program can be computed on tiles of an image: chains of convolutions under a gate over pixels.

A tile of the join is a square of pixels. What lies behind it is demanded on the square dilated by the transposed
footprints of what reads it (the halo), through strides, pads and dilations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from cogseedc.analysis.growth import Growth, two_arms
from cogseedc.ir import Call, Dtype, Graph, Guard, Literals, Merge, NodeId, Ops, Size, TensorType, Value, laid, reckoned
from cogseedc.ops.rules import flow_aligned

TILE_OPS = 40
"""Operations that it takes to find tiles, to read them and to put them back."""
PIXELS = (0, 2, 3)
"""Where a gate over pixels lies in an image: sample, row, column."""
_BESIDE = ("batch_norm",)
"""Operations that are pointwise in the pixels, beside the elementwise ones."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What of an image is needed for a tile of t pixels: from `grid * place * t - before` on, `grid * (t - 1) + span`
    pixels along each axis."""

    grid: int
    before: int
    span: int

    def behind(self, kernel: int, stride: int, padding: int, dilation: int) -> Extent:
        """What a window needs of its operand."""
        return Extent(
            self.grid * stride, self.before * stride + padding, (self.span - 1) * stride + (kernel - 1) * dilation + 1
        )

    def union(self, other: Extent) -> Extent:
        """What is enough for both."""
        before = max(self.before, other.before)
        return Extent(self.grid, before, before + max(self.span - self.before, other.span - other.before))


@dataclass(frozen=True, slots=True)
class Layer:
    """One operation of a region."""

    node: NodeId
    extent: Extent
    """Of its result."""
    reads: tuple[Extent | None, ...]
    """By port: what it reads of images; None: a weight, or a value of each sample."""
    padded: bool
    """Whether it reads zeros outside of the image."""


@dataclass(frozen=True, slots=True)
class Region:
    """A join whose one arm is computed on tiles, the other given."""

    merge: NodeId
    gate: NodeId
    arm: int
    """The decision that takes the arm."""
    result: Value
    base: Value
    layers: tuple[Layer, ...]
    """In topological order."""
    images: tuple[tuple[Value, Extent], ...]
    """What comes from outside, with what is read of it."""


def regions(
    graph: Graph, order: Sequence[NodeId], guards: Mapping[NodeId, Guard], literals: Literals, ops: Ops
) -> Iterator[Region]:
    """The regions of all joins in `order`, of each the arm that costs more. No node is in two."""
    place = {id: i for i, id in enumerate(order)}
    for id in order:
        merge = graph[id]
        if isinstance(merge, Merge):
            sides = [
                _Growth(graph, place, guards, literals, ops, id, result).region(gate, arm, base)
                for gate, arm, result, base in _sides(graph, literals, id, merge)
            ]
            found = [region for region in sides if region is not None]
            if found:
                yield max(found, key=lambda r: sum(pixel_cost(graph, ops, la, 1, 0) for la in r.layers))


def _sides(graph: Graph, literals: Literals, id: NodeId, merge: Merge) -> Iterator[tuple[NodeId, int, Value, Value]]:
    """For a join of two arms by pixels: its gate, the arm that may be computed on tiles, its value, the other."""
    found = two_arms(graph, merge, graph.wiring().operands(id))
    if found is None or not _image(merge.type) or any(axes != PIXELS for axes in merge.axes):
        return
    gate, (no, yes) = found
    if literals.mask(gate) & literals.placed:
        yield gate, 1, yes, no
        yield gate, 0, no, yes


def _image(type: TensorType) -> bool:
    return type.rank == 4 and type.batch == 0 and type.dtype is Dtype.F32


@dataclass
class _Growth(Growth[Layer]):
    """A region while it grows from the result backwards."""

    needs: dict[Value, dict[int, Extent]] = field(default_factory=dict)
    """What layers need of a value, by the grid of the extent."""

    def region(self, gate: NodeId, arm: int, base: Value) -> Region | None:
        self.needs[self.result] = {1: Extent(1, 0, 1)}
        layers = self.grow()
        if not any(self._wide(layer) for layer in layers) or self.result.node not in self.layers:
            return None
        images = [(v, e) for v, found in self.needs.items() if v.node not in self.layers for e in found.values()]
        return Region(self.merge, gate, arm, self.result, base, layers, tuple(images))

    def reads(self, id: NodeId, layer: Layer) -> Iterator[Value]:
        for value, extent in zip(self.graph.wiring().operands(id), layer.reads, strict=True):
            if value is not None and extent is not None:
                self._need(value, extent)
                yield value

    def _need(self, value: Value, extent: Extent) -> None:
        found = self.needs.setdefault(value, {})
        known = found.get(extent.grid)
        found[extent.grid] = extent if known is None else known.union(extent)

    def layer(self, id: NodeId, node: Call) -> Layer | None:
        found = self.needs.get(Value(id), {})
        if len(found) != 1 or not _image(node.type):
            return None
        (extent,) = found.values()
        return self._convolution(id, node, extent) if node.op == "conv2d" else self._pointwise(id, node, extent)

    def _convolution(self, id: NodeId, node: Call, extent: Extent) -> Layer | None:
        shape = [set(node.attrs.integers(name)) for name in ("kernel", "stride", "padding", "dilation")]
        x, *weights = (None if v is None else self.graph.type(v) for v in self.graph.wiring().operands(id))
        if any(len(sizes) > 1 for sizes in shape) or x is None or not _image(x):
            return None
        if any(w is not None and w.batch is not None for w in weights):
            return None
        kernel, stride, padding, dilation = (next(iter(sizes)) for sizes in shape)
        if padding > dilation * (kernel - 1):  # a place that reads nothing but zeros
            return None
        read = extent.behind(kernel, stride, padding, dilation)
        return Layer(id, extent, (read, *(None for _ in weights)), padding > 0)

    def _pointwise(self, id: NodeId, node: Call, extent: Extent) -> Layer | None:
        spec = self.ops[node.op]
        lays = laid(self.graph, self.ops, id, PIXELS)
        if lays is None or not (spec.flow is flow_aligned or node.op in _BESIDE):
            return None
        if any(lay not in ((), PIXELS, (0, -1, -1)) for lay in lays):
            return None
        types = [None if v is None else self.graph.type(v) for v in self.graph.wiring().operands(id)]
        if any(lay == PIXELS and (t is None or not _image(t)) for t, lay in zip(types, lays, strict=True)):
            return None
        return Layer(id, extent, tuple(extent if lay == PIXELS else None for lay in lays), False)

    def _wide(self, layer: Layer) -> bool:
        node = self.graph[layer.node]
        return isinstance(node, Call) and node.op == "conv2d" and max(node.attrs.integers("kernel")) > 1


def pixel_cost(graph: Graph, ops: Ops, layer: Layer, mac_ns: float, move_ns: float) -> float:
    """Nanoseconds per pixel of a layer's result."""
    node = graph[layer.node]
    assert isinstance(node, Call)
    inputs = tuple(None if v is None else graph.type(v) for v in graph.wiring().operands(layer.node))
    macs = ops[node.op].macs
    _, channels, *sides = node.type.shape
    total = macs(node.attrs, inputs, node.types) if macs else Size.of(0)
    pixels = prod(reckoned(size) for size in sides)
    return reckoned(total) / max(pixels, 1) * mac_ns + reckoned(channels) * move_ns
