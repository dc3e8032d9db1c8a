"""Folds an inference batch norm into the convolution or linear layer before it. Evaluates no weight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from cogseedc.ir import Attrs, Call, Constant, Dtype, Graph, NodeId, Phase, TensorType, Value, Weight, Wiring
from cogseedc.passes.base import Context, Pass
from cogseedc.passes.rewrite import call

SPATIAL = {"linear": 0, "conv1d": 1, "conv2d": 2}
"""Layers that a batch norm folds into, with their number of spatial axes."""


@dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """y = bn(layer(x, w, b)) becomes y = layer(x, w s, (b - mean) s + shift), with s = scale / sqrt(variance + eps),
    where the norm is the layer's only user and is over its channels.

    The new weights are calls on weight nodes alone. The ONNX emitter evaluates such calls (`weight_only` lists them)
    and stores the results, so no running time is left. It is not for PyTorch, whose state dict keeps the norm's
    own weights, and does nothing in training, where a norm uses the batch's statistics.
    """

    name: ClassVar[str] = "fold-batch-norm"
    requires: ClassVar[Phase] = Phase.JOINED

    def run(self, graph: Graph, context: Context) -> bool:
        if context.training:
            return False
        wiring = graph.wiring()
        found = list(_foldable(graph, wiring))
        for norm, layer in found:
            _fold(graph, context, wiring, norm, layer)
        return bool(found)


def weight_only(graph: Graph) -> frozenset[NodeId]:
    """Calls that read weights and constants alone, and at least one weight: data before the program runs."""
    wiring = graph.wiring()
    found = set[NodeId]()
    for id in wiring.order:
        sources = [edge.src for edge in wiring.ins[id]]
        fixed = all(isinstance(graph[s], (Weight, Constant)) or s in found for s in sources)
        if isinstance(graph[id], Call) and fixed and any(not isinstance(graph[s], Constant) for s in sources):
            found.add(id)
    return frozenset(found)


def _foldable(graph: Graph, wiring: Wiring) -> Iterator[tuple[NodeId, NodeId]]:
    for id, norm in graph.of(Call):
        if norm.op != "batch_norm":
            continue
        operands = wiring.operands(id)
        source = operands[0]
        if source is None or len(wiring.outs[source.node]) != 1:
            continue
        layer = graph[source.node]
        if not isinstance(layer, Call) or layer.op not in SPATIAL or layer.type.dtype is not Dtype.F32:
            continue
        weights = [*operands[1:], *wiring.operands(source.node)[1:]]
        weight = wiring.operand(source.node, 1)
        owned = all(v is None or isinstance(graph[v.node], Weight) for v in weights)
        if weight is None or not owned or graph.type(weight).rank != SPATIAL[layer.op] + 2:
            continue
        channels = layer.attrs.integer("over") if layer.op == "linear" else layer.type.rank - 1 - SPATIAL[layer.op]
        if norm.attrs.integer("over") == channels:
            yield id, source.node


def _fold(graph: Graph, context: Context, wiring: Wiring, norm_id: NodeId, layer_id: NodeId) -> None:
    norm, layer = graph[norm_id], graph[layer_id]
    assert isinstance(norm, Call)
    assert isinstance(layer, Call)
    origin = norm.origin
    _, scale, shift, mean, variance = wiring.operands(norm_id)
    x, weight, bias = (*wiring.operands(layer_id), None)[:3]
    assert variance is not None, "a batch norm has statistics"
    assert weight is not None, "only a layer with a weight is folded"

    def do(op: str, *operands: Value | None) -> Value:
        return call(graph, context, op, operands, origin)

    eps = Value(graph.add(Constant(TensorType(Dtype.F32), (float(norm.attrs.number("eps")),), origin)))
    one = Value(graph.add(Constant(TensorType(Dtype.F32), (1.0,), origin))) if scale is None else scale
    factor = do("div", one, do("sqrt", do("add", variance, eps)))
    axes = tuple(range(1, graph.type(weight).rank))
    spread = call(graph, context, "unsqueeze", [factor], origin, axes=axes)
    centred = do("neg", mean) if bias is None else do("sub", bias, mean)
    moved = do("mul", centred, factor)
    folded = replace(layer, attrs=_with_bias(layer.attrs), types=norm.types)
    operands = [x, do("mul", weight, spread), moved if shift is None else do("add", moved, shift)]
    graph.redirect(Value(norm_id), Value(graph.add(folded, operands)))
    graph.remove([norm_id, layer_id])


def _with_bias(attrs: Attrs) -> Attrs:
    return Attrs(tuple((name, True if name == "bias" else value) for name, value in attrs.items))
