"""Folding keeps the layer's value, leaves others alone, and adds only calls on weights."""

import numpy as np
import pytest

from cogseedc.ir import Axis, Call, Dtype, Init, InitKind, Origin, Size, TensorType, Value, Weight, verify
from cogseedc.ir.types import BATCH_SIZE
from cogseedc.ops import OPS, bind, resolve
from cogseedc.passes import Context, FoldBatchNorm, weight_only
from tests.passes.toy import Toy

CONTEXT = Context(OPS)
IMAGE = TensorType(
    Dtype.F32, (Axis("N", BATCH_SIZE), *(Axis(n, Size.of(s)) for n, s in zip("CHW", (3, 6, 5), strict=True)))
)
ROW = TensorType(Dtype.F32, (Axis("N", BATCH_SIZE), Axis("D", Size.of(6))))


def layer(toy, op, x, path, **statics):
    """A call with weights of its own, as the builder makes it."""
    spec = OPS[op]
    made = resolve(spec, (toy.graph.type(x),), bind(spec, (), statics))
    operands = [x, *[None] * (len(spec.operands) - 1)]
    for w in made.weights:
        name = f"{path}.{spec.operands[w.operand].name}"
        operands[w.operand] = Value(toy.graph.add(Weight(name, w.type, w.init, w.trainable)))
    return Value(toy.graph.add(Call(op, made.attrs, made.types, Origin(path)), operands))


class Site:
    def __init__(self, attrs, args, inputs, types):
        self.attrs, self.args, self.inputs, self.types = attrs, args, inputs, types

    def size(self, size):
        return size.evaluate({"N": 2})

    def sizes(self, sizes):
        return tuple(map(self.size, sizes))


def evaluate(graph, x):
    """The first output, with weights drawn from their paths."""
    values = {}
    wiring = graph.wiring()
    for id in wiring.order:
        node, operands = graph[id], wiring.operands(id)
        args = [None if v is None else values[v.node] for v in operands]
        if isinstance(node, Call):
            inputs = [None if v is None else graph.type(v) for v in operands]
            values[id] = OPS[node.op].reference(Site(node.attrs, args, inputs, node.types))
        elif isinstance(node, Weight):
            draw = np.random.default_rng(sum(map(ord, node.path)))
            values[id] = draw.uniform(0.5, 1.5, [s.value for s in node.type.shape])
        elif hasattr(node, "values"):
            values[id] = np.asarray(node.values[0])
        else:
            values[id] = args[0] if args else x
    return values[id]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("op", "type", "statics"),
    [
        ("conv2d", IMAGE, {"channels": 4, "kernel": 3}),
        ("linear", ROW, {"size": 4}),
        ("conv1d", IMAGE, {"channels": 4, "kernel": 2}),
    ],
)
def test_the_value_stays(op, type, statics, bias, affine):
    toy = Toy()
    x = toy.input(type=type)
    h = layer(toy, op, x, "conv", bias=bias, **statics)
    over = 2 if op == "conv1d" else 1
    y = layer(toy, "batch_norm", h, "bn", affine=affine, eps=0.25, over=over)
    toy.output(y, type=toy.graph.type(y))
    data = np.random.default_rng(0).normal(size=[2, *(s.value for s in type.shape[1:])])
    before = evaluate(toy.graph, data)
    assert FoldBatchNorm().run(toy.graph, CONTEXT)
    verify(toy.graph, OPS)
    assert np.allclose(evaluate(toy.graph, data), before)
    ops = [n.op for id, n in toy.graph.nodes() if isinstance(n, Call) and id not in weight_only(toy.graph)]
    assert ops == [op]
    assert not FoldBatchNorm().run(toy.graph, CONTEXT)


def test_another_reader_of_the_layer_prevents_it():
    toy = Toy()
    x = toy.input(type=ROW)
    h = layer(toy, "linear", x, "a", size=4)
    toy.output(layer(toy, "batch_norm", h, "bn"), "y", toy.graph.type(h))
    toy.output(h, "z", toy.graph.type(h))
    assert not FoldBatchNorm().run(toy.graph, CONTEXT)


def test_training_keeps_the_norm():
    toy = Toy()
    h = layer(toy, "linear", toy.input(type=ROW), "a", size=4)
    toy.output(layer(toy, "batch_norm", h, "bn"), "y", toy.graph.type(h))
    assert not FoldBatchNorm().run(toy.graph, Context(OPS, training=True))
    assert Init(InitKind.ONES).kind is InitKind.ONES
