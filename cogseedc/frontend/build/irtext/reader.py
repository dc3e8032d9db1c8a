"""What reading one IR text has found so far: the graph, and its values by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cogseedc.frontend import ast
from cogseedc.frontend.build.model import mistake
from cogseedc.ir import Gate, Graph, NodeId, TensorType, Value, output_types
from cogseedc.limits import Limits


def is_ir(declaration: ast.SeedDeclaration) -> bool:
    """Whether a seed is IR text: its first member is `category ir`."""
    first = declaration.members[0] if declaration.members else None
    return isinstance(first, ast.Meta) and first.kind == "category" and [v.text for v in first.values] == ["ir"]


@dataclass(eq=False)
class Reader:
    """The names read so far."""

    graph: Graph
    limits: Limits
    outs: set[str]
    read: Callable[[ast.SeedDeclaration], Graph]
    """Reads the body of a loop."""
    seeds: Mapping[str, ast.SeedDeclaration]
    values: dict[str, Value] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)
    out_types: dict[str, TensorType] = field(default_factory=dict)

    def value(self, expr: ast.Expr) -> Value | None:
        """A named value; None for `_`."""
        if not isinstance(expr, ast.Reference):
            raise mistake("CS0425", "IR text names its operands", expr.span)
        if expr.name == "_":
            return None
        if expr.name not in self.values:
            raise mistake("CS0201", f"`{expr.name}` is not known here", expr.span)
        return self.values[expr.name]

    def operand(self, expr: ast.Expr) -> Value:
        found = self.value(expr)
        if found is None:
            raise mistake("CS0425", "an operand is missing", expr.span)
        return found

    def gate(self, expr: ast.Expr) -> tuple[NodeId, Gate]:
        value = self.operand(expr)
        node = self.graph[value.node]
        if not isinstance(node, Gate):
            raise mistake("CS0425", "a gate is expected here", expr.span)
        return value.node, node

    def bind(self, names: Sequence[ast.Name], id: NodeId) -> None:
        count = len(output_types(self.graph[id]))
        if len(names) > count:
            span = names[0].span.to(names[-1].span)
            raise mistake("CS0219", f"{len(names)} names for {count} values", span)
        for port, name in enumerate(names):
            self.values[name.text] = Value(id, port)
