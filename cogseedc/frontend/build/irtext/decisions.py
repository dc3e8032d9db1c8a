"""Reads what decides in IR text: gates, exits, joins, and the guards of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cogseedc.frontend import ast
from cogseedc.frontend.build.irtext.notation import (
    Marks,
    attribute,
    estimator_of,
    labels,
    marks_of,
    origin_of,
    text_of,
    words,
)
from cogseedc.frontend.build.irtext.reader import Reader
from cogseedc.frontend.build.model import mistake
from cogseedc.ir import ControlEdge, Dtype, Exit, Gate, GateKind, Merge, MergeMode, NodeId, Origin, Value


def gate(reader: Reader, statement: ast.GateDeclaration) -> None:
    marks = marks_of(statement.marks)
    many = isinstance(statement.value, ast.Tuple)
    operands = (
        [reader.operand(e) for e in statement.value.items]
        if isinstance(statement.value, ast.Tuple)
        else [reader.operand(statement.value)]
    )
    type_ = reader.graph.type(operands[0])
    kind = GateKind.MANY if many else GateKind.BOOL if type_.dtype is Dtype.BOOL else GateKind.ONE
    arms = int(attribute(marks["arms"][0])) if "arms" in marks else 2
    name = text_of(marks, "name") or statement.name.text
    aliases = tuple(
        str(attribute(a.value))
        for m in statement.marks
        if m.name.text == "alias"
        for a in m.arguments
        if isinstance(a, ast.Positional)
    )
    over = labels(tuple(n.text for n in statement.axes))
    origin = replace(origin_of(marks, statement.span), path=text_of(marks, "path") or "")
    node = Gate(
        name,
        kind,
        arms,
        over,
        type_,
        estimator_of(statement.estimator),
        text_of(marks, "leaves"),
        aliases=aliases,
        origin=origin,
    )
    given = statement.estimator.arguments if isinstance(statement.estimator, ast.Apply) else ()
    operands += [reader.operand(a.value) for a in given if isinstance(a, ast.Keyword)]
    id = reader.graph.add(node, operands)
    under(reader, id, statement.marks)
    reader.values[statement.name.text] = Value(id)


def exit_(reader: Reader, statement: ast.ExitDeclaration) -> None:
    marks = marks_of(statement.marks)
    condition = reader.operand(statement.condition)
    values = [reader.operand(s.value) for s in statement.body if isinstance(s, ast.Bind)]
    order = int(attribute(marks["order"][0])) if "order" in marks else 0
    node = Exit(
        text_of(marks, "name") or statement.name.text,
        text_of(marks, "scope") or "",
        order,
        labels(words(marks.get("over", ()))),
        reader.graph.type(condition),
        origin_of(marks, statement.span),
    )
    id = reader.graph.add(node, (condition, *values))
    under(reader, id, statement.marks)


def merge(reader: Reader, expr: ast.When | ast.Route, marks: Marks, origin: Origin) -> NodeId:
    if isinstance(expr, ast.Route):
        gate = reader.operand(expr.selector)
        mode = MergeMode(expr.merge.text) if expr.merge is not None else MergeMode.SELECT
        arms = [
            (int(a.pattern.value.value), reader.operand(a.body.yields[0]))
            for a in expr.arms
            if isinstance(a.pattern, ast.Case) and isinstance(a.pattern.value, ast.Number)
        ]
        rest = [reader.operand(a.body.yields[0]) for a in expr.arms if isinstance(a.pattern, ast.Otherwise)]
        operands = [*(v for _, v in arms), *(gate for _ in arms), *rest]
        return joined(reader, mode, tuple(i for i, _ in arms), bool(rest), operands, marks, origin)
    values: list[Value] = []
    gates: list[Value] = []
    last: ast.Expr = expr
    while isinstance(last, ast.When):
        gates.append(reader.operand(last.condition))
        values.append(reader.operand(last.then.yields[0]))
        last = last.otherwise.yields[0]
    operands = [*values, *gates, reader.operand(last)]
    return joined(reader, MergeMode.SELECT, (1,) * len(gates), True, operands, marks, origin)


def joined(
    reader: Reader,
    mode: MergeMode,
    arms: tuple[int, ...],
    otherwise: bool,
    operands: Sequence[Value | None],
    marks: Marks,
    origin: Origin,
    shares: bool = False,
) -> NodeId:
    if len(operands) < 2 * len(arms) + otherwise or None in operands[: 2 * len(arms) + otherwise]:
        assert origin.span is not None
        raise mistake("CS0425", "a join lacks an operand", origin.span)
    axes = tuple(attribute(e) for e in marks.get("axes", ()))
    if not axes:
        for value in operands[len(arms) : 2 * len(arms)]:
            assert value is not None
            node = reader.graph[value.node]
            assert isinstance(node, Gate)
            axes = (*axes, tuple(range(node.type.rank - (node.kind is GateKind.MANY))))
    assert operands[0] is not None
    type_ = reader.graph.type(operands[0])
    return reader.graph.add(Merge(mode, arms, otherwise, axes, type_, origin, shares), operands)


def under(reader: Reader, id: NodeId, marks: Sequence[ast.Mark]) -> None:
    """Control edges of `@under(a, not b)`, one term each."""
    terms = [m for m in marks if m.name.text == "under"]
    for term, mark in enumerate(terms):
        for argument in mark.arguments:
            if isinstance(argument, ast.Positional):
                gate, arm = _literal(reader, argument.value)
                reader.graph.connect(ControlEdge(gate, id, arm, term))


def _literal(reader: Reader, expr: ast.Expr) -> tuple[NodeId, int]:
    """`g`, `not g`, `g == 2`, `g != 2`, `g[2]`, `not g[2]`; a negative arm is the complement."""
    if isinstance(expr, ast.Not):
        gate, arm = _literal(reader, expr.operand)
        node = reader.graph[gate]
        return gate, 0 if isinstance(node, Gate) and node.kind is GateKind.BOOL else ~arm
    if isinstance(expr, ast.Compare):
        arm = int(attribute(expr.right))
        return reader.gate(expr.left)[0], arm if expr.operator == "==" else ~arm
    if isinstance(expr, ast.Configure) and isinstance(expr.arguments[0], ast.Positional):
        return reader.gate(expr.callee)[0], int(attribute(expr.arguments[0].value))
    return reader.gate(expr)[0], 1
