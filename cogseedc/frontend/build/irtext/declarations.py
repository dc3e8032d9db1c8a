"""Reads inputs, outputs, knobs, weights, states and losses of IR text."""

from __future__ import annotations

from cogseedc.frontend import ast
from cogseedc.frontend.build.irtext.notation import attribute, init_of, marks_of, text_of, type_of
from cogseedc.frontend.build.irtext.reader import Reader
from cogseedc.frontend.build.model import mistake
from cogseedc.ir import Dtype, Input, Knob, Loss, Origin, Output, State, TensorType, Value, Weight


def port(reader: Reader, member: ast.Port) -> None:
    name, type_ = member.name.text, type_of(member.type)
    if member.direction == "out":
        reader.out_types[name] = type_
    else:
        reader.values[name] = Value(reader.graph.add(Input(name, type_, Origin(name, span=member.span))))


def knob(reader: Reader, member: ast.KnobDeclaration) -> None:
    name = member.name.text
    type_ = type_of(member.type) if member.type is not None else TensorType(Dtype.F32)
    default = attribute(member.default)
    values = default if isinstance(default, tuple) else (default,)
    origin = Origin(name, span=member.span)
    node = Knob(name, type_, values, attribute(member.low), attribute(member.high), origin)
    reader.values[name] = Value(reader.graph.add(node))


def param(reader: Reader, statement: ast.ParamDeclaration) -> None:
    marks = marks_of(statement.marks)
    type_ = type_of(statement.type)
    if "range" in marks:
        low, high = (attribute(e) for e in marks["range"])
        name = text_of(marks, "name") or statement.name.text
        origin = Origin(name, span=statement.span)
        id = reader.graph.add(Knob(name, type_, attribute(statement.value), low, high, origin))
    else:
        path = text_of(marks, "path") or statement.name.text
        node = Weight(path, type_, init_of(statement.value), "buffer" not in marks, Origin(path, span=statement.span))
        id = reader.graph.add(node)
    reader.values[statement.name.text] = Value(id)


def state(reader: Reader, statement: ast.StateDeclaration) -> None:
    name, value, type_ = statement.name.text, statement.value, type_of(statement.type)
    path = text_of(marks_of(statement.marks), "path") or name
    arguments = value.arguments if isinstance(value, ast.Apply) else ()
    if len(arguments) != 1 or not isinstance(arguments[0], ast.Positional):
        raise mistake("CS0440", "a state of IR text starts as `full(value)`", value.span)
    state = State(path, attribute(arguments[0].value))
    node = Input(state.input, type_, Origin(path, span=statement.span), state)
    reader.values[name] = Value(reader.graph.add(node))


def next_(reader: Reader, statement: ast.Next) -> None:
    before = reader.graph[reader.operand(ast.Reference(statement.names[0].text, statement.names[0].span)).node]
    if not isinstance(before, Input) or before.state is None:
        raise mistake("CS0425", "`next` sets a state", statement.span)
    node = Output(before.state.output, before.type, Origin(before.state.path, span=statement.span), before.state)
    reader.graph.add(node, (reader.operand(statement.value),))


def loss(reader: Reader, statement: ast.LossDeclaration) -> None:
    value = reader.operand(statement.value)
    name = text_of(marks_of(statement.marks), "name") or statement.name.text
    reader.graph.add(Loss(name, reader.graph.type(value), Origin(name, span=statement.span)), (value,))
