"""Adds a call to a graph as its table entry wants it: attributes bound, types by the rule. Places nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from cogseedc.ir import Call, Graph, Origin, Static, Value
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
