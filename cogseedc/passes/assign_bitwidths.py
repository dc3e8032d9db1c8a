"""Gives each call a precision and writes the casts and roundings that follow. Chooses nothing itself; see
`analysis.widths`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from cogseedc.analysis.tolerance import HALF, INT8, LAYERS, activations, weights_alone
from cogseedc.analysis.widths import Ranges, Rounding, Widths, choose
from cogseedc.ir import Call, Constant, Dtype, Graph, NodeId, Origin, Static, TensorType, Value
from cogseedc.passes.base import Context, Pass
from cogseedc.passes.rewrite import call, feed_port

MIDDLE = 128
"""The integer of zero, where a range is symmetric: kernels want operands without a sign."""


@dataclass(frozen=True)
class AssignBitwidths(Pass):
    """One precision per call, from the seeds' `bits`, the target and `@bits`, so that the modelled time is least.

    fp16 and bf16: operands are cast, the call computes in 16 bits, its result is cast back where an fp32 reader is.
    int8: operands are rounded to integers, with a fixed scale where ranges were measured, else with one per sample;
    weights with one per output channel. Casts stand at their readers, so inside the arms of a join, whose type stays.
    Scores that decide stay in fp32. Does nothing in training, or without a target.
    """

    bits: str | None = None
    """`fp32`, `auto`, or one precision that is taken wherever it is tolerated; None: the target's own."""
    ranges: Ranges | None = None
    """Measured ranges of values."""
    widths: Widths | None = None
    """A choice made before; then nothing is chosen."""
    emulated: bool = False
    """Whether layers multiply rounded real numbers although the target has layers of integers: the same values."""

    name: ClassVar[str] = "assign-bitwidths"

    def run(self, graph: Graph, context: Context) -> bool:
        target = context.target
        if context.training or target is None:
            return False
        loop = "" if context.loop is None else context.loop.name
        if self.widths is not None:
            widths = self.widths.of(loop)
        else:
            bits = self.bits or target.default_bits
            widths = choose(graph, context.ops, target, bits, self._ranges(loop), context.diagnostics)
        if context.diagnostics.failed or not widths.nodes:
            return False
        _Writer(graph, context, widths, () if self.emulated else target.row_layers).write()
        return True

    def _ranges(self, loop: str) -> Ranges | None:
        """The measured ranges, those of the body of a loop as those of a program."""
        if self.ranges is None or not loop:
            return self.ranges
        return {("", value): range for (name, value), range in self.ranges.items() if name == loop}


class _Writer:
    """One graph under rewriting."""

    def __init__(self, graph: Graph, context: Context, widths: Widths, integers: Sequence[str]) -> None:
        self.graph, self.context, self.widths = graph, context, widths
        self.integers = integers
        self.fixed = weights_alone(graph, graph.wiring())
        self.half: dict[tuple[Value, Dtype], Value] = {}
        """16-bit copies of f32 values."""
        self.back: list[NodeId] = []
        """Casts back to f32."""
        self.whole: dict[Value, Value] = {}
        """Integers of values with a fixed scale."""
        self.near: dict[Value, Value] = {}
        """Values rounded sample by sample, as f32."""
        self.rows: dict[Value, tuple[Value, Value]] = {}
        """Integers and scales of values that are rounded sample by sample."""
        self.ends: set[NodeId] = set()
        """Calls whose result is rounded for all its readers."""
        self.weights: dict[Value, tuple[Value, Value]] = {}

    def write(self) -> None:
        wiring = self.graph.wiring()
        operands = {id: activations(self.graph, wiring, id, self.fixed) for id in self.widths.nodes}
        for id in wiring.order:
            precision = self.widths.nodes.get(id)
            if precision is None:
                continue
            if precision in HALF:
                self._halve(id, HALF[precision])
            elif precision == INT8 and self.widths.static:
                self._round(id, operands[id])
            elif precision == INT8:
                self._round_rows(id)
        outs = self.graph.wiring().outs
        self.graph.remove([id for id in self.back if not outs[id]])

    # ---- 16 bits

    def _halve(self, id: NodeId, dtype: Dtype) -> None:
        node = self._call(id)
        for port, value in enumerate(self.graph.feeds(id)):
            if value is not None and self.graph.type(value).dtype is Dtype.F32:
                feed_port(self.graph, id, port, self._halved(value, dtype, node.origin))
        self.graph.update(id, replace(node, types=tuple(t.with_dtype(dtype) for t in node.types)))
        for port in range(len(node.types)):
            here = Value(id, port)
            back = self._do("cast", here, origin=node.origin, dtype=Dtype.F32)
            self.graph.redirect(here, back, frozenset({back.node}))
            self.half[back, dtype] = here
            self.back.append(back.node)

    def _halved(self, value: Value, dtype: Dtype, origin: Origin) -> Value:
        if (value, dtype) not in self.half:
            self.half[value, dtype] = self._do("cast", value, origin=origin, dtype=dtype)
        return self.half[value, dtype]

    # ---- int8, scales measured before

    def _round(self, id: NodeId, operands: dict[int, Value]) -> None:
        node = self._call(id)
        scale: Value | None = None
        for port, value in operands.items():
            rounding = self.widths.rounded.get(value)
            if rounding is None:
                continue
            if value not in self.whole:
                there = self.graph.feeds(id)[port]  # behind a cast, where the value is in 16 bits
                assert there is not None
                self.whole[value] = self._whole(there, rounding, self.graph[value.node].origin)
            if value.node not in self.ends:
                feed_port(self.graph, id, port, self._real(self.whole[value], rounding, node.origin))
            scale = self._literal(rounding.scale, node.origin)
        if node.op in LAYERS:
            self._round_weights(id, scale)
        if Value(id) in self.widths.rounded:
            self._end(id, self.widths.rounded[Value(id)])

    def _end(self, id: NodeId, rounding: Rounding) -> None:
        """Rounds a result. Each reader has its own way back to real numbers, so that integers go from arm to arm."""
        readers = self.graph.wiring().outs[id]
        self.whole[Value(id)] = whole = self._whole(Value(id), rounding, self.graph[id].origin)
        self.ends.add(id)
        for reader in dict.fromkeys(edge.dst for edge in readers):
            near = self._real(whole, rounding, self.graph[reader].origin)
            for edge in readers:
                if edge.dst == reader:
                    feed_port(self.graph, reader, edge.dst_port, near)

    def _whole(self, value: Value, rounding: Rounding, origin: Origin) -> Value:
        scale = self._literal(rounding.scale, origin)
        return self._do("quantize", value, scale, origin=origin, zero=rounding.zero, to=Dtype.U8)

    def _real(self, whole: Value, rounding: Rounding, origin: Origin) -> Value:
        scale = self._literal(rounding.scale, origin)
        return self._do("dequantize", whole, scale, origin=origin, zero=rounding.zero)

    def _round_weights(self, id: NodeId, scale: Value | None) -> None:
        """Puts a layer's weight on the grid of its channels; with the operand's scale, its bias on that of sums."""
        origin = self._call(id).origin
        operands = (*self.graph.feeds(id), None)
        assert operands[1] is not None
        whole, step = self._integers(operands[1], origin)
        feed_port(self.graph, id, 1, self._do("dequantize", whole, step, origin=origin, over=0))
        bias = operands[2]
        if bias is not None and scale is not None:
            fine = self._do("mul", step, scale, origin=origin)
            sums = self._do("quantize", bias, fine, origin=origin, over=0, to=Dtype.I32)
            feed_port(self.graph, id, 2, self._do("dequantize", sums, fine, origin=origin, over=0))

    def _integers(self, weight: Value, origin: Origin) -> tuple[Value, Value]:
        """A weight as integers, and the scale of each output channel."""
        if weight not in self.weights:
            step = self._do("scale_of", weight, origin=origin, over=0, limit=self.widths.weight_limit)
            self.weights[weight] = self._do("quantize", weight, step, origin=origin, over=0), step
        return self.weights[weight]

    # ---- int8, scales measured while running

    def _round_rows(self, id: NodeId) -> None:
        node = self._call(id)
        operands = (*self.graph.feeds(id), None)
        x = operands[0]
        assert x is not None
        batch = self.graph.type(x).batch
        if x not in self.rows:
            origin = self.graph[x.node].origin
            step = self._do("scale_of", x, origin=origin, over=batch)
            whole = self._do("quantize", x, step, origin=origin, over=batch, zero=MIDDLE, to=Dtype.U8)
            self.rows[x] = whole, step
        whole, step = self.rows[x]
        if node.op in self.integers:
            self._integer_layer(id, node, whole, step)
            return
        if x not in self.near:
            self.near[x] = self._do("dequantize", whole, step, origin=node.origin, over=batch, zero=MIDDLE)
        feed_port(self.graph, id, 0, self.near[x])
        self._round_weights(id, None)

    def _integer_layer(self, id: NodeId, node: Call, whole: Value, step: Value) -> None:
        """Sums of integers, times the scales of channel and sample, plus the bias."""
        origin = node.origin
        _, weight, bias = (*self.graph.feeds(id), None)[:3]
        assert weight is not None
        integers, channels = self._integers(weight, origin)
        sums = self._do(f"integer_{node.op}", whole, integers, origin=origin, zero=MIDDLE)
        kind = self.graph.type(sums)
        at = kind.rank - 1
        y = self._do("dequantize", sums, channels, origin=origin, over=at)
        y = self._do("mul", y, self._aligned(step, kind.batch, kind.rank, origin), origin=origin)
        if bias is not None:
            y = self._do("add", y, self._aligned(bias, at, kind.rank, origin), origin=origin)
        self.graph.update(y.node, replace(self._call(y.node), types=node.types))
        self.graph.redirect(Value(id), y)
        self.graph.remove([id])

    def _aligned(self, value: Value, place: int | None, rank: int, origin: Origin) -> Value:
        """A value of one axis beside one of `rank` axes, at its place; one of no axis as it is."""
        if place is None or place == rank - 1 or not self.graph.type(value).rank:
            return value
        return self._do("unsqueeze", value, origin=origin, axes=tuple(range(1, rank - place)))

    # ---- edits

    def _call(self, id: NodeId) -> Call:
        node = self.graph[id]
        assert isinstance(node, Call)
        return node

    def _do(self, op: str, *operands: Value, origin: Origin, **statics: Static) -> Value:
        return call(self.graph, self.context, op, operands, origin, **statics)

    def _literal(self, value: float, origin: Origin) -> Value:
        return Value(self.graph.add(Constant(TensorType(Dtype.F32), (value,), origin)))
