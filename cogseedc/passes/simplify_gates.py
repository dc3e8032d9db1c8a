"""Takes away decisions that are already made. Changes no value that an output can see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from cogseedc.ir import (
    Call,
    Constant,
    DataEdge,
    Gate,
    GateKind,
    Graph,
    Guard,
    Literals,
    Merge,
    MergeMode,
    NodeId,
    Phase,
    Value,
)
from cogseedc.passes.base import Context, Pass
from cogseedc.passes.rewrite import keep_arms

_DECIDED_BY = {"logical_and": False, "logical_or": True}
"""The operand that decides alone, whatever the other one is."""


@dataclass(frozen=True)
class SimplifyGates(Pass):
    """Four rules, until none applies:

    * equal gates (same operands, kind and estimator) become the first of them, which takes their names as aliases;
    * a join on `not g` reads `g` with its arms exchanged;
    * an arm that is never taken where its join is demanded (a constant decision, a gate that an outer one implies)
      goes, and one that is always taken there ends the join;
    * a select join whose arms are all one value is that value.

    Gates that lose their last user are left to `eliminate-dead-seeds`. Gates that are exits keep their identity.
    """

    name: ClassVar[str] = "simplify-gates"
    requires: ClassVar[Phase] = Phase.JOINED

    def run(self, graph: Graph, context: Context) -> bool:
        changed = False
        while any([_unify(graph), _exchange(graph), _prune(graph, context), _collapse(graph)]):
            changed = True
        return changed


def _unify(graph: Graph) -> bool:
    wiring = graph.wiring()
    first: dict[tuple[Gate, tuple[Value | None, ...]], NodeId] = {}
    same: dict[NodeId, NodeId] = {}
    for id, node in graph.of(Gate):
        if node.exit is None:
            kept = first.setdefault((replace(node, name="", aliases=()), wiring.operands(id)), id)
            if kept != id:
                same[id] = kept
    for id, kept in same.items():
        gate, twin = graph[kept], graph[id]
        assert isinstance(gate, Gate)
        assert isinstance(twin, Gate)
        graph.update(kept, replace(gate, aliases=(*gate.aliases, twin.name, *twin.aliases)))
        graph.redirect(Value(id), Value(kept))
    graph.remove(same)
    return bool(same)


def _exchange(graph: Graph) -> bool:
    """Joins that ask a gate made of `logical_not` of another gate ask that gate."""
    wiring = graph.wiring()
    changed = False
    for id, node in graph.of(Gate):
        inner = _negated(graph, id, node)
        if inner is None:
            continue
        for user in sorted({edge.dst for edge in wiring.outs[id]}):
            merge = graph[user]
            if isinstance(merge, Merge):
                changed |= _ask(graph, user, merge, id, inner)
    return changed


def _negated(graph: Graph, id: NodeId, gate: Gate) -> NodeId | None:
    if gate.kind is not GateKind.BOOL or gate.exit is not None or gate.estimator is not None:
        return None
    decided = _decided(graph, id)
    call = graph[decided]
    if not isinstance(call, Call) or call.op != "logical_not":
        return None
    source = _decided(graph, decided)
    inner = graph[source]
    alike = isinstance(inner, Gate) and inner.kind is GateKind.BOOL and inner.type.shape == gate.type.shape
    return source if alike else None


def _decided(graph: Graph, id: NodeId) -> NodeId:
    """What feeds the first port. Rules edit between reads: they do not ask for the wiring, which would be made anew."""
    value, *_ = graph.feeds(id)
    assert value is not None, "the verifier found the port fed"
    return value.node


def _ask(graph: Graph, id: NodeId, merge: Merge, old: NodeId, new: NodeId) -> bool:
    count = len(merge.arms)
    asked = [i for i, gate in enumerate(graph.feeds(id)[count:][:count]) if gate == Value(old)]
    for i in asked:
        graph.disconnect(DataEdge(old, 0, id, count + i))
        graph.connect(DataEdge(new, 0, id, count + i))
    arms = tuple(1 - arm if i in asked else arm for i, arm in enumerate(merge.arms))
    graph.update(id, replace(merge, arms=arms))
    return bool(asked)


def _prune(graph: Graph, context: Context) -> bool:
    literals, found = context.demand(graph)
    changed = False
    for id, node in list(graph.of(Merge)):
        if node.mode is MergeMode.SELECT:
            kept = _left(graph, literals, found[id], id, node)
            if kept != (list(range(len(node.arms))), None):
                _rebuild(graph, id, node, *kept)
                changed = True
    return changed


def _left(graph: Graph, literals: Literals, guard: Guard, id: NodeId, merge: Merge) -> tuple[list[int], int | None]:
    """The arms that can be taken where the join is demanded, and the one, if any, that then takes the rest."""
    count = len(merge.arms)
    operands = graph.feeds(id)
    kept = list[int]()
    if guard.never:
        return list(range(count)), None
    for i, arm in enumerate(merge.arms):
        gate = operands[count + i]
        assert gate is not None, "the verifier found every gate of a join fed"
        constant = _constant(graph, gate.node, arm)
        speaks = gate.node in literals.gates and merge.axes[i] in ((), (merge.type.batch,))
        taken, left = literals.taken(gate.node, arm), literals.not_taken(gate.node, arm)
        if constant is False or (speaks and literals.exclusive(guard, taken)):
            continue
        if constant is True or (speaks and literals.implies(guard, taken)):
            covers = i == count - 1 == len(kept) and not merge.otherwise
            return ([*kept, i], None) if covers else (kept, i)
        kept.append(i)
        guard = literals.and_(guard, left) if speaks else guard
    if kept and (guard.never if merge.otherwise else len(kept) < count):
        return kept[:-1], kept[-1]
    return kept, None


def _constant(graph: Graph, gate: NodeId, arm: int) -> bool | None:
    """Whether a gate takes an arm, when its decision is one constant, or an `and` or `or` that a constant decides."""
    node, source = graph[gate], _settled(graph, _decided(graph, gate))
    if not isinstance(node, Gate) or node.kind is GateKind.MANY or source is None:
        return None
    decisions = {int(value) for value in source.values}
    return decisions == {arm} if len(decisions) == 1 else None if arm in decisions else False


def _settled(graph: Graph, id: NodeId) -> Constant | None:
    """The constant that a value is: itself, a false operand of an `and`, or a true one of an `or`."""
    node = graph[id]
    if isinstance(node, Constant):
        return node
    if not isinstance(node, Call) or node.op not in _DECIDED_BY:
        return None
    decides = {_DECIDED_BY[node.op]}
    operands = (graph[value.node] for value in graph.feeds(id) if value is not None)
    return next((o for o in operands if isinstance(o, Constant) and {bool(v) for v in o.values} == decides), None)


def _rebuild(graph: Graph, id: NodeId, merge: Merge, kept: Sequence[int], last: int | None) -> None:
    """Feeds the join with these arms only; `last` becomes its otherwise."""
    count = len(merge.arms)
    operands = graph.feeds(id)
    rest = operands[2 * count] if last is None and merge.otherwise else None if last is None else operands[last]
    keep_arms(graph, id, merge, kept, rest)


def _collapse(graph: Graph) -> bool:
    changed = False
    for id, node in list(graph.of(Merge)):
        if node.mode is not MergeMode.SELECT:
            continue
        count = len(node.arms)
        operands = graph.feeds(id)
        values = operands[:count] + operands[2 * count :]
        first, *others = values
        assert first is not None, "the verifier found every port of a join fed"
        if all(value == first for value in others) and graph.type(first).shape == node.type.shape:
            graph.redirect(Value(id), first)
            graph.remove([id])
            changed = True
        elif node.otherwise and count > 1 and values[-2] == values[-1]:
            _rebuild(graph, id, node, list(range(count - 1)), None)
            changed = True
    return changed
