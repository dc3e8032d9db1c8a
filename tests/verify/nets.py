"""Small graphs made by hand, for the tests of the reference and of verification."""

from __future__ import annotations

from cogseedc.ir import (
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
    Knob,
    Merge,
    MergeMode,
    NodeId,
    Output,
    Return,
    Site,
    Size,
    Static,
    TensorType,
    Value,
    Weight,
)
from cogseedc.ops import OPS

N = Axis("N", Size.symbol("N"))


def f32(*axes: int | str | Axis) -> TensorType:
    return tensor(Dtype.F32, *axes)


def tensor(dtype: Dtype, *axes: int | str | Axis) -> TensorType:
    """`tensor(Dtype.F32, "N", 4)`: a text is a symbolic axis, an int an unnamed one."""
    made = [
        a if isinstance(a, Axis) else Axis(a, Size.symbol(a)) if isinstance(a, str) else Axis(None, Size.of(a))
        for a in axes
    ]
    return TensorType(dtype, tuple(made))


class Net:
    """A graph under construction; every method answers with the value that it adds."""

    def __init__(self) -> None:
        self.graph = Graph()

    def input(self, name: str, type: TensorType) -> Value:
        return Value(self.graph.add(Input(name, type)))

    def weight(self, path: str, *shape: int, kind: InitKind = InitKind.NORMAL) -> Value:
        return Value(self.graph.add(Weight(path, f32(*shape), Init(kind, (1.0,)))))

    def knob(self, name: str, default: float) -> Value:
        return Value(self.graph.add(Knob(name, f32(), (default,), 0.0, 1.0)))

    def constant(self, value: float) -> Value:
        return Value(self.graph.add(Constant(f32(), (value,))))

    def call(self, op: str, *operands: Value, **statics: Static) -> Value:
        types = tuple(self.graph.type(v) for v in operands)
        found = OPS[op].rule(Site(op, types, statics))
        return Value(self.graph.add(Call(op, found.attrs, found.types), operands))

    def over(self, op: str, x: Value, axis: int, keep: bool = False) -> Value:
        return self.call(op, x, over=axis, keep=keep)

    def gate(self, name: str, decision: Value, kind: GateKind = GateKind.BOOL, arms: int = 2, *more: Value) -> Value:
        type = self.graph.type(decision)
        axes = type.axes[:-1] if kind is GateKind.MANY else type.axes
        over = tuple(a.name or "" for a in axes)
        return Value(self.graph.add(Gate(name, kind, arms, over, type), (decision, *more)))

    def merge(
        self,
        arms: list[tuple[Value, Value, int]],
        otherwise: Value | None = None,
        mode: MergeMode = MergeMode.SELECT,
        weights: Value | None = None,
    ) -> Value:
        """Arms are (value, gate, arm); gates are over the first axes of the value."""
        type = self.graph.type(arms[0][0])
        axes = tuple(tuple(range(self._rank(gate))) for _, gate, _ in arms)
        node = Merge(mode, tuple(arm for *_, arm in arms), otherwise is not None, axes, type)
        rest = [v for v in (otherwise, weights) if v is not None]
        return Value(self.graph.add(node, [*(v for v, *_ in arms), *(g for _, g, _ in arms), *rest]))

    def _rank(self, gate: Value) -> int:
        node = self.graph[gate.node]
        assert isinstance(node, Gate)
        return node.type.rank - (node.kind is GateKind.MANY)

    def exit(self, name: str, order: int, condition: Value, *values: Value) -> NodeId:
        node = Exit(name, "", order, ("N",), self.graph.type(condition))
        return self.graph.add(node, (condition, *values))

    def leave(self, *values: Value) -> tuple[Value, ...]:
        types = tuple(self.graph.type(v) for v in values)
        id = self.graph.add(Return("", types, tuple(f"o{i}" for i in range(len(types)))), values)
        return tuple(Value(id, port) for port in range(len(values)))

    def output(self, name: str, value: Value) -> None:
        self.graph.add(Output(name, self.graph.type(value)), (value,))


def skip_net() -> Graph:
    """One bool gate over N: y = when mean(x) > 0 { x * w } else { x }."""
    net = Net()
    x = net.input("x", f32("N", 4))
    w = net.weight("w", 4)
    keep = net.gate("keep", net.call("gt", net.over("mean", x, 1), net.constant(0.0)))
    y = net.merge([(net.call("mul", x, w), keep, 1), (x, keep, 0)])
    net.output("y", y)
    return net.graph


def nested_net() -> Graph:
    """A gate inside an arm of another: the inner one is needed only where the outer one is taken."""
    net = Net()
    x = net.input("x", f32("N", 4))
    score = net.over("mean", x, 1)
    outer = net.gate("outer", net.call("gt", score, net.constant(100.0)))
    inner = net.gate("inner", net.call("gt", net.over("max", x, 1), net.constant(0.5)))
    deep = net.merge([(net.call("mul", x, net.weight("a", 4)), inner, 1), (x, inner, 0)])
    net.output("y", net.merge([(deep, outer, 1)], otherwise=net.call("neg", x)))
    return net.graph


def exit_net() -> Graph:
    """Two exits in a row and a further output; markers, as before passes."""
    net = Net()
    x = net.input("x", f32("N", 4))
    tau = net.knob("tau", 0.5)
    a = net.call("mul", x, net.weight("a", 4))
    b = net.call("mul", a, net.weight("b", 4))
    c = net.call("mul", b, net.weight("c", 4))
    net.exit("easy", 0, net.call("ge", net.over("max", a, 1), tau), a)
    net.exit("medium", 1, net.call("ge", net.over("max", b, 1), tau), b)
    net.output("y", net.leave(c)[0])
    return net.graph


def route_net() -> Graph:
    """Two of three arms, weighted, over N; and one of three."""
    net = Net()
    x = net.input("x", f32("N", 4))
    scores = net.call("softmax", net.call("slice", x, axis=1, start=0, stop=3), over=-1)
    top = net.call("top_indices", scores, k=Size.of(2), over=-1)
    mask = net.call("top_mask", top, classes=Size.of(3))
    pick = net.gate("pick", mask, GateKind.MANY, 3, top)
    dense = net.call("top_weights", mask, scores, renormalize=True)
    arms = [(net.call("mul", x, net.weight(f"w{i}", 4)), pick, i) for i in range(3)]
    y = net.merge(arms, mode=MergeMode.WEIGHTED_SUM, weights=dense)
    one = net.gate("one", net.over("argmax", scores, 1), GateKind.ONE, 3)
    z = net.merge([(net.call("mul", y, net.weight(f"v{i}", 4)), one, i) for i in range(3)])
    net.output("y", y)
    net.output("z", z)
    return net.graph
