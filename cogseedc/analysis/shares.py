"""How often a gate can take its arms, as far as its decision says so: `in_top[k, over=T]` takes exactly k of T.

A decision is followed back through what only moves its elements, through logic and gates, to what counts: the best of
an axis, capacities, comparisons with an order statistic (`x > top_values[k](x)[C=i]`), or of known numbers with a knob.
A rule stands here for each, and is sound: what is not known takes any share.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from cogseedc.ir import (
    BATCH,
    Call,
    Constant,
    Dtype,
    Gate,
    GateKind,
    Graph,
    Knob,
    NodeId,
    Ops,
    Pointwise,
    Size,
    TensorType,
    Value,
)
from cogseedc.ops.scores import LAYOUT
from cogseedc.record import record

HALF = Fraction(1, 2)
_NONE, _ALL = Fraction(0), Fraction(1)
_ONE = Size.of(1)
_REGROUPING = frozenset(("flatten", "join", "reshape", "split"))
_MOVING = LAYOUT | _REGROUPING
"""Operations whose result has the elements of the operand, or some of them."""
_SPREAD = frozenset(("expand", "identity", "squeeze", "unsqueeze"))
"""Operations that leave the order of axes as it is."""
_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


@record
class Share:
    """Of the positions of one sample, the part at which an arm is taken: at least, at most, and how much that is if
    what is not known falls evenly."""

    low: Fraction
    high: Fraction
    even: Fraction

    @property
    def known(self) -> bool:
        """Whether more is known than that it is a share."""
        return (self.low, self.high) != (_NONE, _ALL)

    @property
    def rest(self) -> Share:
        """That of the positions at which it is not taken."""
        return Share(1 - self.high, 1 - self.low, 1 - self.even)


Bounds = tuple[Fraction, Fraction]


@record
class Counted:
    """What is known of a boolean value: for sets of its axes the share of true elements along them, whichever index
    the other axes have; and the share among all, if what is not known falls evenly."""

    bounds: Mapping[frozenset[int], Bounds]
    even: Fraction | None = None

    def along(self, axes: frozenset[int]) -> Bounds:
        """Along a set of axes: a share that holds along some of them holds along all."""
        inside = [found for own, found in self.bounds.items() if own <= axes]
        return max((low for low, _ in inside), default=_NONE), min((high for _, high in inside), default=_ALL)


_NOTHING = Counted({})


def counted(graph: Graph, ops: Ops, number: Callable[[Size], float]) -> dict[Value, Counted]:
    """What is known of the boolean values of a graph. `number` says how much a size is reckoned as."""
    return _Sweep(graph, ops, number).run()


def shares(graph: Graph, known: Mapping[Value, Counted]) -> dict[NodeId, tuple[Share, ...]]:
    """For each gate the shares of its arms."""
    return {id: tuple(_arms(graph, gate, known.get(Value(id), _NOTHING))) for id, gate in graph.of(Gate)}


def _arms(graph: Graph, gate: Gate, known: Counted) -> Iterator[Share]:
    rank = gate.type.rank - (gate.kind is GateKind.MANY)
    low, high = known.along(frozenset(range(rank)) - {gate.type.batch})
    if gate.kind is GateKind.ONE:
        yield from [Share(_NONE, _ALL, Fraction(1, gate.arms))] * gate.arms
        return
    even = known.even if known.even is not None else HALF
    taken = Share(low, high, min(high, max(low, even)))
    yield from (taken.rest, taken) if gate.kind is GateKind.BOOL else [taken] * gate.arms


@dataclass
class _Sweep:
    """One sweep in order."""

    graph: Graph
    ops: Ops
    number: Callable[[Size], float]

    def run(self) -> dict[Value, Counted]:
        found: dict[Value, Counted] = {}
        for id in self.graph.wiring().order:
            counted = self._node(id, found)
            if counted is not None:
                found[Value(id)] = counted
        return found

    def _node(self, id: NodeId, found: Mapping[Value, Counted]) -> Counted | None:
        node = self.graph[id]
        if not isinstance(node, (Call, Constant, Gate)) or node.type.dtype is not Dtype.BOOL:
            return None
        if isinstance(node, Constant):
            return _always(bool(node.values[0])) if len({*node.values}) == 1 else None
        operands = self.graph.wiring().operands(id)
        known = [_NOTHING if value is None else found.get(value, _NOTHING) for value in operands]
        if isinstance(node, Gate):
            return self._gated(node, operands, known[0])
        match node.op:
            case "in_top":
                return self._best(node.type, node.attrs.integer("over"), node.attrs["k"])
            case "top_mask":
                return self._chosen(node, operands[0])
            case "capacity_mask":
                return self._within(node, known[0])
            case "gt" | "ge" | "lt" | "le":
                return self._compared(node, operands)
            case "isnan":
                return Counted({}, Fraction(0))
            case "logical_not":
                return _negated(known[0])
            case "logical_and" | "logical_or":
                left, right = (self._moved(id, node, port, part) for port, part in enumerate(known))
                return _both(left, right) if node.op == "logical_and" else _either(left, right)
            case _ if node.op in _MOVING:
                return self._moved(id, node, 0, known[0])
        return None

    def _gated(self, gate: Gate, operands: Sequence[Value | None], mask: Counted) -> Counted:
        if gate.kind is not GateKind.MANY or mask.even is not None:
            return mask
        assert operands[1] is not None, "the verifier found both ports fed"
        count = self.graph.type(operands[1]).shape[-1]
        return Counted(mask.bounds, self._part(count, Size.of(gate.arms)))

    def _part(self, count: object, of: Size) -> Fraction:
        """The share that so many are; of a batch any, since it has any size."""
        assert isinstance(count, (int, Size))
        total = _NONE if BATCH in of.symbols() else Fraction(self.number(of))
        return min(_ALL, Fraction(self.number(Size.of(count))) / total) if total else _ALL

    def _best(self, type: TensorType, over: int, count: object) -> Counted | None:
        part = self._part(count, type.shape[over])
        batched = BATCH in type.shape[over].symbols()
        return None if batched else Counted({frozenset((over,)): (part, part)}, part)

    def _chosen(self, node: Call, indices: Value | None) -> Counted:
        """Of the classes those among indices: as many as these are, if no two are alike."""
        assert indices is not None, "the verifier found the operand fed"
        count, over = self.graph.type(indices).shape[-1], node.type.rank - 1
        part = self._part(count, node.type.shape[over])
        maker = self.graph[indices.node]
        distinct = isinstance(maker, Call) and maker.op == "top_indices"
        return Counted({frozenset((over,)): (part if distinct else _NONE, part)}, part)

    def _within(self, node: Call, mask: Counted) -> Counted:
        """Of each class at most `c` along an axis; no more than before along any other."""
        over = node.attrs.integer("over")
        most = self._part(node.attrs["c"], node.type.shape[over])
        bounds = {axes: (_NONE, high) for axes, (_, high) in mask.bounds.items()}
        own = frozenset((over,))
        bounds[own] = (_NONE, min(most, mask.along(own)[1]))
        return Counted(bounds, None if mask.even is None else min(most, mask.even))

    def _compared(self, node: Call, operands: Sequence[Value | None]) -> Counted | None:
        left, right = operands
        assert left is not None, "the verifier found both operands fed"
        assert right is not None, "the verifier found both operands fed"
        if node.op in ("gt", "lt"):
            large, small = (left, right) if node.op == "gt" else (right, left)
            beyond = self._beyond(node.type, large, small)
            if beyond is not None:
                return beyond
        return self._numbered(node, left, right)

    def _beyond(self, result: TensorType, large: Value, small: Value) -> Counted | None:
        """Above the element of rank i are at most i. (NaN is above nothing.)"""
        at = self._behind(small, _SPREAD)
        picked = self.graph[at.node]
        if not isinstance(picked, Call) or picked.op != "select":
            return None
        ranked = self.graph.wiring().operand(at.node, 0)
        assert ranked is not None, "the verifier found the operand fed"
        sorting = self.graph[ranked.node]
        if not isinstance(sorting, Call) or sorting.op != "top_values":
            return None
        over, source = sorting.attrs.integer("over"), self.graph.wiring().operand(ranked.node, 0)
        type = self.graph.type(large)
        beside = (*type.shape[:over], _ONE, *type.shape[over + 1 :])
        aligned = self.graph.type(small).shape in (beside, beside[1:])
        if source != large or picked.attrs.integer("axis") != over or result.shape != type.shape or not aligned:
            return None
        most = self._part(picked.attrs["index"], type.shape[over])
        return Counted({frozenset((over,)): (_NONE, most)}, most)

    def _numbered(self, node: Call, left: Value, right: Value) -> Counted | None:
        """Known numbers along one axis, compared with a knob: as many as its range allows, and as its default says."""
        for numbers, bound, turned in ((left, right, False), (right, left, True)):
            knob, listed = self.graph[self._behind(bound, _SPREAD | {"cast"}).node], self._listed(numbers)
            if not isinstance(knob, Knob) or knob.type.rank or not listed or node.type.rank != 1:
                continue
            compare = _COMPARED[node.op]
            part = [
                Fraction(sum(compare(limit, n) if turned else compare(n, limit) for n in listed), len(listed))
                for limit in (knob.low, knob.high, knob.default[0])
            ]
            return Counted({frozenset((0,)): (min(part), max(part))}, part[2])
        return None

    def _listed(self, value: Value) -> Sequence[float]:
        """The numbers of a vector that are known."""
        node = self.graph[self._behind(value, frozenset(("cast",))).node]
        if isinstance(node, Constant) and node.type.rank == 1:
            return node.values
        if isinstance(node, Call) and node.op == "range" and (length := node.type.shape[0].value) is not None:
            start, step = node.attrs.number("start"), node.attrs.number("step")
            return [start + i * step for i in range(length)]
        return ()

    def _behind(self, value: Value, through: frozenset[str]) -> Value:
        while isinstance(node := self.graph[value.node], Call) and node.op in through:
            operand = self.graph.wiring().operand(value.node, 0)
            assert operand is not None, "the verifier found the operand fed"
            value = operand
        return value

    def _moved(self, id: NodeId, node: Call, port: int, known: Counted) -> Counted:
        """What is known of an operand, of the result: nothing along axes that are cut."""
        inputs = [None if v is None else self.graph.type(v) for v in self.graph.wiring().operands(id)]
        type = inputs[port]
        assert type is not None, "the verifier found the operand fed"
        flows = self.ops[node.op].flow(node.attrs, inputs, node.types)[port]
        to = {i: flow.to for i, flow in enumerate(flows) if isinstance(flow, Pointwise)}
        kept = {i for i, place in to.items() if type.shape[i] == node.type.shape[place]}
        regrouped = frozenset(range(node.type.rank)) - {*to.values()} if node.op in _REGROUPING else None
        bounds: dict[frozenset[int], Bounds] = {}
        for axes, found in known.bounds.items():
            own = {i for i in axes if type.shape[i] != _ONE}
            if own <= kept:
                bounds[frozenset(to[i] for i in own)] = found
            elif regrouped is not None and own & to.keys() <= kept:
                bounds[regrouped | {to[i] for i in own & to.keys()}] = found
        return Counted(bounds, known.even)


def _always(taken: bool) -> Counted:
    part = Fraction(taken)
    return Counted({frozenset(): (part, part)}, part)


def _negated(known: Counted) -> Counted:
    bounds = {axes: (1 - high, 1 - low) for axes, (low, high) in known.bounds.items()}
    return Counted(bounds, None if known.even is None else 1 - known.even)


def _either(left: Counted, right: Counted) -> Counted:
    return _negated(_both(_negated(left), _negated(right)))


def _both(left: Counted, right: Counted) -> Counted:
    """Where both hold: no more than of either, and at least what they cannot share out."""
    bounds: dict[frozenset[int], Bounds] = {}
    for axes in dict.fromkeys((*left.bounds, *right.bounds)):
        (low, high), (other_low, other_high) = left.along(axes), right.along(axes)
        bounds[axes] = max(_NONE, low + other_low - 1), min(high, other_high)
    if left.even is None and right.even is None:
        return Counted(bounds)
    evens = [HALF if known.even is None else known.even for known in (left, right)]
    return Counted(bounds, evens[0] * evens[1])
