"""Computes once what is written several times (common subexpressions). Ignores guards, so it runs before they exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cogseedc.ir import Call, Constant, Graph, Merge, Node, NodeId, Ops, Value, output_types
from cogseedc.passes.base import Context, Pass

_Operands = tuple[Value | None, ...]
_Key = tuple[Node, _Operands, str | None]


@dataclass(frozen=True)
class CommonSeeds(Pass):
    """Two calls of one operation with equal attributes, types and operands become one; so do equal constants and joins.

    Weights are told apart by their node, so instances with weights of their own stay apart. Operations that
    differ in training (dropout draws anew, batch norm keeps statistics) are left alone, and so are gates, whose names
    are keys of the trace, calls whose forced precisions (`@bits`) differ, and `dequantize`, of which each reader has
    its own, beside it. The first one stays, with its origin.
    """

    name: ClassVar[str] = "common-seeds"

    def run(self, graph: Graph, context: Context) -> bool:
        wiring = graph.wiring()
        readers: dict[_Operands, NodeId] = {}  # most operands have one reader, which then need not be looked into
        first: dict[_Key, NodeId] = {}
        same: dict[NodeId, NodeId] = {}
        for id in wiring.order:
            node = graph[id]
            if not _shareable(node, context.ops):
                continue
            operands = wiring.operands(id)
            if same:
                operands = tuple(v and Value(same.get(v.node, v.node), v.port) for v in operands)
            reader = readers.setdefault(operands, id)
            if reader == id:
                continue
            first.setdefault(_key(graph[reader], operands), reader)
            kept = first.setdefault(_key(node, operands), id)
            if kept != id:
                same[id] = kept
        for id, kept in same.items():
            for port in range(len(output_types(graph[id]))):
                graph.redirect(Value(id, port), Value(kept, port))
        graph.remove(same)
        return bool(same)


def _key(node: Node, operands: _Operands) -> _Key:
    return node, operands, node.origin.forced_bits


def _shareable(node: Node, ops: Ops) -> bool:
    if isinstance(node, Call):
        return not ops[node.op].training and node.op != "dequantize"
    return isinstance(node, (Constant, Merge))
