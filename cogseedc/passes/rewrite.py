"""Edits that several passes make: a call as its table entry wants it, other operands, a join with fewer arms.
Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cogseedc.diagnostics import InternalError
from cogseedc.ir import Call, DataEdge, Gate, Graph, Merge, MergeMode, NodeId, Origin, Static, Value
from cogseedc.ops import bind, resolve
from cogseedc.passes.base import Context


def call(
    graph: Graph, context: Context, op: str, operands: Sequence[Value | None], origin: Origin, **statics: Static
) -> Value:
    """The first result of a new call. Raises RuleError when the operation refuses the operands."""
    spec = context.ops[op]
    types = tuple(None if value is None else graph.type(value) for value in operands)
    resolution = resolve(spec, types, bind(spec, (), statics))
    return Value(graph.add(Call(op, resolution.attrs, resolution.types, origin), operands))


def feed(graph: Graph, id: NodeId, operands: Sequence[Value]) -> None:
    """Feeds a node with these operands instead of those that it has."""
    for port, value in enumerate(graph.feeds(id)):
        if value is not None:
            graph.disconnect(DataEdge(value.node, value.port, id, port))
    for port, value in enumerate(operands):
        graph.connect(DataEdge(value.node, value.port, id, port))


def feed_port(graph: Graph, id: NodeId, port: int, value: Value) -> None:
    """Feeds one port from another value."""
    old = graph.feeds(id)[port]
    assert old is not None, "the verifier found the port fed"
    graph.disconnect(DataEdge(old.node, old.port, id, port))
    graph.connect(DataEdge(value.node, value.port, id, port))


def without_estimator(graph: Graph, id: NodeId, gate: Gate) -> None:
    """Takes from a gate its estimator, and what only that read."""
    assert gate.estimator is not None
    operands = graph.feeds(id)
    for port in range(len(operands) - len(gate.estimator.inputs), len(operands)):
        value = operands[port]
        assert value is not None, "the verifier found every port of a gate fed"
        graph.disconnect(DataEdge(value.node, value.port, id, port))
    graph.update(id, replace(gate, estimator=None))


def keep_arms(graph: Graph, id: NodeId, merge: Merge, kept: Sequence[int], rest: Value | None) -> None:
    """Feeds a join with these of its arms only, and with `rest` as its otherwise. With no arm it is `rest` itself."""
    count = len(merge.arms)
    operands = graph.feeds(id)
    if not kept:
        if rest is None:
            raise InternalError(f"nothing is left of the join {id}")
        graph.redirect(Value(id), rest)
        graph.remove([id])
        return
    weights = operands[2 * count + merge.otherwise :] if merge.mode is MergeMode.WEIGHTED_SUM else ()
    fed = [*(operands[i] for i in kept), *(operands[count + i] for i in kept)]
    fed += [*([rest] if rest is not None else []), *weights]
    assert None not in fed, "the verifier found every port of a join fed"
    feed(graph, id, [value for value in fed if value is not None])
    arms, axes = tuple(merge.arms[i] for i in kept), tuple(merge.axes[i] for i in kept)
    graph.update(id, replace(merge, arms=arms, axes=axes, otherwise=rest is not None))
