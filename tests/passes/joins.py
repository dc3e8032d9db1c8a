"""Joins in a few words: `a if p, b if o2 else c`, made and told; and guards as formulas of the gates' names."""

from __future__ import annotations

from cogseedc.ir import (
    TRUE,
    Axis,
    Call,
    Dtype,
    Gate,
    GateKind,
    Graph,
    Guard,
    Literals,
    Merge,
    MergeMode,
    NodeId,
    Size,
    TensorType,
    Value,
)
from tests.passes.toy import ROW, UNIFORM, YES, N, Toy

SCALAR = TensorType(Dtype.F32)
TURNED = TensorType(Dtype.F32, (Axis("C", Size.of(4)), N))


class Joins:
    """Values `a` .. `d`, one without axes and one with its batch behind; gates of two arms `p` .. `s`, and `u` over nothing;
    `o` with one of three arms, `e` with several; and `yes` and `no`, which are always decided alike."""

    def __init__(self) -> None:
        self.toy = Toy()
        x = self.toy.input()
        self.values = {"x": x}
        self.values |= {name: self.toy.layer(x, name) for name in "abcdw"}
        self.values |= {name: self.toy.gate(name, x) for name in "pqrs"}
        self.values["u"] = self.toy.gate("u", x, type=UNIFORM)
        self.values["o"] = self.toy.one("o", x, 3)
        self.values["e"] = self.toy.many("e", x, 3, 2)
        self.values["one"] = self.toy.call("f", self.toy.constant(1.0), type=SCALAR, path="one")
        self.values["turned"] = self.toy.call("f", x, type=TURNED, path="turned")
        self.values["yes"] = self.gate("yes", self.toy.constant(True, dtype=Dtype.BOOL), type=UNIFORM)
        self.values["no"] = self.gate("no", self.toy.constant(False, dtype=Dtype.BOOL), type=UNIFORM)

    def gate(self, name: str, *operands: Value, type: TensorType = YES) -> Value:
        """A gate that is decided by values; from then on it has its name."""
        node = Gate(name, GateKind.BOOL, 2, tuple(a.name or "_" for a in type.axes), type)
        self.values[name] = Value(self.toy.graph.add(node, operands))
        return self.values[name]

    def join(self, text: str, mode: MergeMode = MergeMode.SELECT, *rest: Value | None, **more: object) -> Value:
        """`a if p, b if o2 else c`, followed by other operands."""
        listed, _, otherwise = text.partition(" else ")
        pairs = [arm.split(" if ") for arm in listed.split(", ")]
        gates = [gate.rstrip("0123456789") for _, gate in pairs]
        arms = tuple(int(gate[len(name) :] or 1) for (_, gate), name in zip(pairs, gates, strict=True))
        placed = tuple((0,) if self.toy.graph.type(self.values[name]).axes else () for name in gates)
        operands = [*(self.values[value] for value, _ in pairs), *(self.values[name] for name in gates)]
        operands += [self.values[otherwise]] if otherwise else []
        node = Merge(mode, arms, bool(otherwise), placed, ROW, **more)  # type: ignore[arg-type]
        return Value(self.toy.graph.add(node, [*operands, *rest]))


def told(graph: Graph, value: Value) -> str:
    """A join as it is written, with joins in it in parentheses; other values by their paths."""
    node = graph[value.node]
    if not isinstance(node, Merge):
        return node.origin.path if isinstance(node, Call) else "x"
    count = len(node.arms)
    operands = [v for v in graph.feeds(value.node) if v is not None]
    words = [f"({told(graph, v)})" if isinstance(graph[v.node], Merge) else told(graph, v) for v in operands]
    arms = zip(words, operands[count : 2 * count], node.arms, strict=False)
    listed = ", ".join(f"{word} if {_taken(graph, gate.node, arm)}" for word, gate, arm in arms)
    return listed + (f" else {words[2 * count]}" if node.otherwise else "")


def _taken(graph: Graph, id: NodeId, arm: int) -> str:
    gate = graph[id]
    assert isinstance(gate, Gate)
    return gate.name if gate.kind is GateKind.BOOL and arm == 1 else f"{gate.name}{arm}"


def said(literals: Literals, guard: Guard) -> str:
    """`p & !q | r`, by the names of the gates; `some p` of a projection, and with its number an arm of another gate."""
    if guard.always or guard.never:
        return "always" if guard.always else "never"
    terms: dict[int, list[str]] = {}
    everywhere = dict.fromkeys(literals.gates, TRUE)
    for edge in literals.edges({**everywhere, NodeId(1 << 20): guard}):
        gate, arm, no = literals.gates[edge.src], max(edge.arm, ~edge.arm), edge.arm < 0
        if gate.kind is GateKind.BOOL:
            arm, no = 1, (arm == 1) is no
        name = "some " * (edge.src < 0) + gate.name + str(arm) * (gate.kind is not GateKind.BOOL)
        terms.setdefault(edge.term, []).append("!" * no + name)
    return " | ".join(" & ".join(term) for term in terms.values())
