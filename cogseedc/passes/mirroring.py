"""Training values of decisions, carried through what decisions go through. Knows no estimator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cogseedc.ir import (
    Call,
    Constant,
    ControlEdge,
    DataEdge,
    Dtype,
    Gate,
    GateKind,
    Graph,
    Merge,
    MergeMode,
    NodeId,
    Static,
    TensorType,
    Value,
)
from cogseedc.ops.scores import LAYOUT, replay
from cogseedc.passes.base import Context
from cogseedc.passes.rewrite import call

Table = dict[Value, Value]


@dataclass
class Beside:
    """Adds calls beside a node: with its guards, and with names made of its path. A `Maker` of scores."""

    graph: Graph
    context: Context
    controls: dict[NodeId, tuple[ControlEdge, ...]]
    node: NodeId
    path: str

    def call(self, op: str, *operands: Value, **statics: Static) -> Value:
        origin = replace(self.graph[self.node].origin, path=self.path)
        made = call(self.graph, self.context, op, operands, origin, **statics)
        for edge in self.controls[self.node]:
            self.graph.connect(replace(edge, dst=made.node))
        return made

    def number(self, value: float) -> Value:
        return Value(self.graph.add(Constant(TensorType(Dtype.F32), (value,), self.graph[self.node].origin)))


@dataclass
class Mirror:
    """Which training value stands for which decision.

    Two tables: `values` for arithmetic, `shares` for joins and weights, which lacks what is trained by rewards. The
    value of a bool is f32 of its shape; that of a class has the classes as one axis more.
    """

    graph: Graph
    context: Context
    controls: dict[NodeId, tuple[ControlEdge, ...]]
    """Control edges into each node, as they were."""
    values: Table = field(default_factory=dict)
    shares: Table = field(default_factory=dict)
    soft: set[Value] = field(default_factory=set)
    """Training values that are not the decision itself in 0 and 1."""
    _made: dict[tuple[NodeId, tuple[Value | None, ...]], Value | None] = field(default_factory=dict)

    def beside(self, id: NodeId, name: str = "") -> Beside:
        """Adds nodes that run where a node runs. `name` ends their paths."""
        path = self.graph[id].origin.path
        return Beside(self.graph, self.context, self.controls, id, f"{path}.{name}" if name else path)

    def put(self, decision: Value, value: Value, share: bool = True, soft: bool = False) -> None:
        """Says what stands for a decision."""
        self.values[decision] = value
        if share:
            self.shares[decision] = value
        if soft:
            self.soft.add(value)

    # What is met on the way

    def gate(self, id: NodeId, gate: Gate) -> None:
        """A gate made of gates passes on what they have; a decision that is forced forces it too."""
        decided, decision = self.graph.feeds(id)[0], Value(id)
        assert decided is not None
        for table in (self.values, self.shares):
            found = table.get(decided)
            if found is not None:
                table[decision] = self._passed(id, gate, decision, found)

    def _passed(self, id: NodeId, gate: Gate, decision: Value, found: Value) -> Value:
        if found in self.soft:
            return found
        key = (id, (found,))
        if key not in self._made:
            make = self.beside(id, "value")
            hard = decision if gate.kind is not GateKind.ONE else make.call("one_hot", decision, classes=gate.arms)
            self._made[key] = make.call("straight_through", hard, found)
        made = self._made[key]
        assert made is not None
        return made

    def call(self, id: NodeId, node: Call) -> None:
        """A call that reads decisions: its own training value, or, where it makes numbers of them, its result."""
        operands = self.graph.feeds(id)
        if not any(v in self.values for v in operands if v is not None):
            return
        if node.type.dtype.floating:
            table = self.shares if node.op in ("where", "top_weights") else self.values
            made = self._number(id, node, operands, table)
            if made is not None:
                self.graph.redirect(Value(id), made, frozenset((made.node,)))
            return
        for table in (self.values, self.shares):
            made = self._decided(id, node, operands, table)
            if made is not None:
                table[Value(id)] = made

    def merge(self, id: NodeId, node: Merge) -> None:
        """A join reads the share of each gate that has one."""
        count = len(node.arms)
        if not node.type.dtype.floating or node.mode is MergeMode.MAX:
            return
        gates = self.graph.feeds(id)[count : 2 * count]
        shares = [None if gate is None else self.shares.get(gate) for gate in gates]
        if not any(shares):
            return
        start = 2 * count + node.otherwise + (node.mode is MergeMode.WEIGHTED_SUM)
        for port, share in enumerate(shares, start):
            if share is not None:
                self.graph.connect(DataEdge(share.node, share.port, id, port))
        self.graph.update(id, replace(node, shares=True))

    # Decisions made of decisions

    def _decided(self, id: NodeId, node: Call, operands: Sequence[Value | None], table: Table) -> Value | None:
        found = tuple(None if v is None else table.get(v) for v in operands)
        if not any(found):
            return None
        key = (id, found)
        if key not in self._made:
            made = self._made[key] = self._computed(id, node, operands, found)
            if made is not None and any(v in self.soft for v in found if v is not None):
                self.soft.add(made)
        return self._made[key]

    def _computed(
        self, id: NodeId, node: Call, operands: Sequence[Value | None], found: Sequence[Value | None]
    ) -> Value | None:
        make = self.beside(id, "value")
        first = found[0]
        if node.op in LAYOUT and first is not None:
            source = operands[0]
            assert source is not None
            return replay(make, (id,), first, self._classes(source, first))
        if node.op in _LOGIC:
            parts = [f if f is not None else self._plain(make, v) for f, v in zip(found, operands, strict=True)]
            return _LOGIC[node.op](make, parts)
        if node.op == "cast" and first is not None and node.type.dtype in (Dtype.BOOL, Dtype.I64):
            return first if self.graph.type(_given(operands[0])).dtype is node.type.dtype else None
        if node.op == "one_hot" and node.type.dtype is Dtype.BOOL and first is not None:
            return self._one_hot(make, node, first)
        if node.op in ("eq", "ne"):
            return self._is_class(make, node, operands, found)
        return None

    def _classes(self, decision: Value, value: Value) -> bool:
        """Whether a training value has the classes as one axis more."""
        return self.graph.type(value).rank > self.graph.type(decision).rank

    def _plain(self, make: Beside, value: Value | None) -> Value:
        return make.call("cast", _given(value), dtype=Dtype.F32)

    def _is_class(
        self, make: Beside, node: Call, operands: Sequence[Value | None], found: Sequence[Value | None]
    ) -> Value | None:
        """Whether a one-of-n decision is one class."""
        which = 0 if found[0] is not None else 1
        share, other = found[which], operands[1 - which]
        literal = None if other is None else self.graph[other.node]
        if share is None or not isinstance(literal, Constant) or not self._classes(_given(operands[which]), share):
            return None
        index = int(literal.values[0])
        if len(set(literal.values)) > 1 or not 0 <= index < self._count(share):
            return None
        taken = make.call("select", share, axis=self.graph.type(share).rank - 1, index=index)
        return taken if node.op == "eq" else make.call("sub", make.number(1.0), taken)

    def _one_hot(self, make: Beside, node: Call, share: Value) -> Value | None:
        """The classes of a one-of-n decision as a `one_hot` lists them: the first of them, or all and others."""
        last = node.type.rank - 1
        wanted, found = node.type.shape[last].value, self._count(share)
        if wanted is None:
            return None
        if wanted > found:
            return make.call("pad", share, before=0, after=wanted - found, over=last)
        return share if wanted == found else make.call("slice", share, axis=last, start=0, stop=wanted)

    def _count(self, share: Value) -> int:
        """How many classes a training value has."""
        return self.graph.type(share).shape[-1].evaluate({})

    # Numbers made of decisions

    def _number(self, id: NodeId, node: Call, operands: Sequence[Value | None], table: Table) -> Value | None:
        first = None if operands[0] is None else table.get(operands[0])
        if first is None:
            return None
        make, decision = self.beside(id), _given(operands[0])
        if node.op == "one_hot":
            classes = self._one_hot(make, node, first)
            return None if classes is None else self._as(make, classes, node.type.dtype)
        if self._classes(decision, first):
            return None
        if node.op == "cast":
            return self._as(make, first, node.type.dtype)
        if node.op == "mean":
            return make.call("mean", first, **dict(node.attrs.items))
        if node.op == "where":
            return self._blend(make, first, _given(operands[1]), _given(operands[2]))
        if node.op == "top_weights":
            weights = make.call("mul", first, self._as(make, _given(operands[1]), Dtype.F32))
            if not node.attrs.flag("renormalize"):
                return weights
            last = self.graph.type(weights).rank - 1
            total = make.call("sum", weights, over=last, keep=True)
            none = make.call("eq", total, make.number(0.0))
            return make.call("div", weights, make.call("where", none, make.number(1.0), total))
        return None

    def _blend(self, make: Beside, share: Value, value: Value, rest: Value) -> Value:
        other = make.call("sub", make.number(1.0), share)
        return make.call("add", make.call("mul", share, value), make.call("mul", other, rest))

    def _as(self, make: Beside, value: Value, dtype: Dtype) -> Value:
        return value if self.graph.type(value).dtype is dtype else make.call("cast", value, dtype=dtype)


def _given(value: Value | None) -> Value:
    assert value is not None, "a built call has its operands"
    return value


def _not(make: Beside, parts: Sequence[Value]) -> Value:
    return make.call("sub", make.number(1.0), parts[0])


def _and(make: Beside, parts: Sequence[Value]) -> Value:
    return make.call("mul", *parts)


def _or(make: Beside, parts: Sequence[Value]) -> Value:
    return make.call("sub", make.call("add", *parts), make.call("mul", *parts))


def _xor(make: Beside, parts: Sequence[Value]) -> Value:
    both = make.call("mul", make.number(2.0), make.call("mul", *parts))
    return make.call("sub", make.call("add", *parts), both)


_LOGIC: Mapping[str, Callable[[Beside, Sequence[Value]], Value]] = {
    "logical_not": _not,
    "logical_and": _and,
    "logical_or": _or,
    "logical_xor": _xor,
}
"""Of independent decisions, the probability of the result."""
