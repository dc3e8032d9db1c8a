"""Small graphs, made directly, over a toy catalogue; and their dense meaning by brute force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cogseedc.ir import (
    BATCH_SIZE,
    Attrs,
    Axis,
    Call,
    Constant,
    Dtype,
    Exit,
    Gate,
    GateKind,
    Graph,
    Init,
    InitKind,
    Input,
    Loss,
    Merge,
    MergeMode,
    Mixing,
    Operand,
    OpSpec,
    Origin,
    Output,
    Pointwise,
    Resolution,
    Return,
    Size,
    TensorType,
    Value,
    Weight,
)

N = Axis("N", BATCH_SIZE)
ROW = TensorType(Dtype.F32, (N, Axis("C", Size.of(4))))
YES = TensorType(Dtype.BOOL, (N,))
CLASS = TensorType(Dtype.I64, (N,))
UNIFORM = TensorType(Dtype.BOOL)


def _flow(mixing):
    def flow(attrs, inputs, types):
        return tuple(
            () if t is None else tuple(Mixing() if mixing else Pointwise(i) for i in range(t.rank)) for t in inputs
        )

    return flow


def _spec(name, operands, macs=0, mixing=False, training=False):
    return OpSpec(
        name,
        name,
        tuple(Operand(o, variadic=o == "xs", weight=o == "weight", optional=o == "weight") for o in operands),
        (),
        lambda site: Resolution(Attrs(), (site.type(0),)),
        _flow(mixing),
        lambda call: call.args[0],
        lambda call: "",
        lambda call: "",
        (),
        macs=(lambda attrs, inputs, types: Size.of(attrs.integer("macs") if "macs" in attrs else macs)),
        training=training,
    )


OPS = {
    s.name: s
    for s in (
        _spec("f", ["x"]),
        _spec("layer", ["x", "weight"], 100),
        _spec("g", ["xs"]),
        _spec("mix", ["x"], mixing=True),
        _spec("drop", ["x"], training=True),
        _spec("logical_not", ["x"]),
        _spec("logical_and", ["x", "y"]),
        _spec("logical_or", ["x", "y"]),
        _spec("decide", ["x"]),
    )
}


@dataclass
class Toy:
    """Adds nodes with few words."""

    graph: Graph = field(default_factory=Graph)

    def input(self, name="x", type=ROW):
        return Value(self.graph.add(Input(name, type)))

    def call(self, op, *operands, type=ROW, path="", **attrs):
        return Value(self.graph.add(Call(op, Attrs.of(**attrs), (type,), Origin(path)), operands))

    def layer(self, x, path, macs=100, **more):
        init = Init(InitKind.KAIMING, fan_in=4)
        w = self.graph.add(Weight(path + ".weight", TensorType(Dtype.F32, (Axis(None, Size.of(4)),)), init))
        return self.call("layer", x, Value(w), macs=macs, path=path, **more)

    def constant(self, *values, dtype=Dtype.F32, shape=()):
        type = TensorType(dtype, tuple(Axis(None, Size.of(s)) for s in shape))
        return Value(self.graph.add(Constant(type, values)))

    def gate(self, name, x, type=YES, **more):
        c = self.call("decide", x, type=type)
        over = tuple(a.name or "_" for a in type.axes)
        return Value(self.graph.add(Gate(name, GateKind.BOOL, 2, over, type, **more), [c]))

    def one(self, name, x, arms):
        c = self.call("decide", x, type=CLASS)
        return Value(self.graph.add(Gate(name, GateKind.ONE, arms, ("N",), CLASS), [c]))

    def many(self, name, x, arms, k):
        mask = TensorType(Dtype.BOOL, (N, Axis("E", Size.of(arms))))
        indices = TensorType(Dtype.I64, (N, Axis(None, Size.of(k))))
        ports = [self.call("decide", x, type=mask), self.call("decide", x, type=indices)]
        return Value(self.graph.add(Gate(name, GateKind.MANY, arms, ("N",), mask), ports))

    def merge(
        self,
        arms: Sequence[tuple[Value, int, Value]],
        otherwise: Value | None = None,
        mode=MergeMode.SELECT,
        axes=(0,),
        type=ROW,
    ):
        node = Merge(mode, tuple(a for _, a, _ in arms), otherwise is not None, (axes,) * len(arms), type)
        rest = [] if otherwise is None else [otherwise]
        return Value(self.graph.add(node, [*(v for _, _, v in arms), *(g for g, _, _ in arms), *rest]))

    def when(self, gate, then, otherwise, **more):
        return self.merge([(gate, 1, then)], otherwise, **more)

    def exit(self, name, seen, value, order=0, scope=""):
        condition = self.call("decide", seen, type=YES)
        return self.graph.add(Exit(name, scope, order, ("N",), YES), [condition, value])

    def returned(self, value, scope=""):
        return Value(self.graph.add(Return(scope, (ROW,), ("y",)), [value]))

    def output(self, value, name="y", type=ROW):
        return self.graph.add(Output(name, type), [value])

    def loss(self, value, name="l"):
        return self.graph.add(Loss(name, ROW), [value])


def needed(graph, decisions, roots=(Output,)):
    """Brute force: ids whose value is read at one index, when gate ids decide as given (arm, or set of arms)."""
    wiring = graph.wiring()
    found = {id for id, n in graph.nodes() if isinstance(n, roots)}
    todo = sorted(found)
    while todo:
        id = todo.pop()
        node, operands = graph[id], wiring.operands(id)
        if isinstance(node, Merge):
            reads = _merge_reads(node, operands, decisions)
        else:
            reads = list(operands)
        for value in reads:
            if value is not None and value.node not in found:
                found.add(value.node)
                todo.append(value.node)
    return found


def took(decisions, gate, arm):
    decision = decisions[gate]
    return arm in decision if isinstance(decision, frozenset) else decision == arm


def _merge_reads(node, operands, decisions):
    count = len(node.arms)
    reads = []
    any_taken = False
    for i, arm in enumerate(node.arms):
        gate = operands[count + i]
        reads.append(gate)
        if took(decisions, gate.node, arm):
            any_taken = True
            reads.append(operands[i])
            if node.mode is MergeMode.SELECT:
                return reads
    if node.otherwise and not any_taken:
        reads.append(operands[2 * count])
    return reads
