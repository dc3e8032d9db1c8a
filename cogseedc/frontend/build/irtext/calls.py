"""Reads the bindings of IR text: calls of operations, loops, and joins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cogseedc.frontend import ast
from cogseedc.frontend.build.irtext.decisions import joined, merge, under
from cogseedc.frontend.build.irtext.notation import Marks, attribute, marks_of, origin_of
from cogseedc.frontend.build.irtext.reader import Reader, is_ir
from cogseedc.frontend.build.model import mistake
from cogseedc.ir import (
    Axis,
    Call,
    Constant,
    Dtype,
    Loop,
    LoopKind,
    MergeMode,
    NodeId,
    Origin,
    Output,
    Return,
    RuleError,
    Site,
    Size,
    TensorType,
    Value,
)
from cogseedc.ops import OPS, bind
from cogseedc.source import Span


def binding(reader: Reader, statement: ast.Bind) -> None:
    if statement.names[0].text in reader.outs:
        name = statement.names[0].text
        value = reader.operand(statement.value)
        reader.bound.add(name)
        type_ = reader.out_types.get(name, reader.graph.type(value))
        reader.graph.add(Output(name, type_, Origin(name, span=statement.span)), (value,))
        return
    marks = marks_of(statement.marks)
    origin = origin_of(marks, statement.span)
    match statement.value:
        case ast.When() | ast.Route():
            id = merge(reader, statement.value, marks, origin)
        case ast.Apply(callee=callee, arguments=arguments):
            id = _call(reader, callee, arguments, marks, origin)
        case _:
            raise mistake("CS0425", "a statement of IR text is one call or one join", statement.value.span)
    under(reader, id, statement.marks)
    reader.bind(statement.names, id)


def _call(
    reader: Reader,
    callee: ast.Expr,
    arguments: Sequence[ast.Argument],
    marks: Marks,
    origin: Origin,
) -> NodeId:
    configured = callee.arguments if isinstance(callee, ast.Configure) else ()
    head = callee.callee if isinstance(callee, ast.Configure) else callee
    name = head.name if isinstance(head, ast.Reference) else ""
    attrs = {a.name.text: attribute(a.value) for a in configured if isinstance(a, ast.Keyword)}
    if name == "constant":
        if not isinstance(attrs.get("dtype"), Dtype):
            raise mistake("CS0425", "a constant has a `dtype`", callee.span)
        shape = tuple(Size.of(s) for s in attrs.get("shape") or ())
        type_ = TensorType(attrs["dtype"], tuple(Axis(None, s) for s in shape))
        return reader.graph.add(Constant(type_, attrs["values"], origin))
    if name == "returned":
        operands = [reader.operand(a.value) for a in arguments if isinstance(a, ast.Positional)]
        return reader.graph.add(
            Return(attrs["scope"], tuple(map(reader.graph.type, operands)), attrs["names"], origin), operands
        )
    if name == "merged":
        legal = isinstance(attrs.get("arms"), tuple) and isinstance(attrs.get("otherwise"), bool)
        if not legal or attrs.get("mode") not in {mode.value for mode in MergeMode}:
            raise mistake(
                "CS0425", "a join has a `mode`, `arms`, and says whether there is an `otherwise`", callee.span
            )
        given = [reader.value(a.value) for a in arguments if isinstance(a, ast.Positional)]
        mode, shares = MergeMode(attrs["mode"]), attrs.get("shares") is True
        return joined(reader, mode, attrs["arms"], attrs["otherwise"], given, marks, origin, shares)
    if name == "looped":
        operands = [reader.operand(a.value) for a in arguments if isinstance(a, ast.Positional)]
        return _loop(reader, attrs, operands, marks, origin, callee.span)
    spec = OPS.get(name)
    if spec is None:
        raise mistake("CS0201", f"there is no operation `{name}`", callee.span)
    ports: list[Value | None] = []
    for argument in arguments:
        if isinstance(argument, ast.Keyword):
            at = next((i for i, o in enumerate(spec.operands) if o.name == argument.name.text), None)
            if at is None:
                raise mistake("CS0215", f"`{name}` has no operand `{argument.name.text}`", argument.span)
            ports += [None] * (at + 1 - len(ports))
            ports[at] = reader.value(argument.value)
        elif isinstance(argument, ast.Positional):
            ports.append(reader.value(argument.value))
    try:
        statics = bind(spec, (), attrs, ())
        resolution = spec.rule(Site(name, tuple(reader.graph.type(v) if v else None for v in ports), statics))
    except RuleError as error:
        raise mistake(error.code, error.message, callee.span, help=error.help) from None
    if resolution.weights:
        raise mistake("CS0425", f"`{name}` lacks a weight: IR text gives all of them", callee.span)
    return reader.graph.add(Call(name, resolution.attrs, resolution.types, origin), ports)


def _loop(
    reader: Reader,
    attrs: Mapping[str, Any],
    operands: Sequence[Value],
    marks: Marks,
    origin: Origin,
    span: Span,
) -> NodeId:
    declaration = reader.seeds.get(str(attrs.get("body")))
    if declaration is None or not is_ir(declaration):
        raise mistake("CS0425", f"there is no body {attrs.get('body')!r} in IR text", span)
    body = reader.read(declaration)
    if attrs.get("kind") not in {kind.value for kind in LoopKind} or not isinstance(attrs.get("carries"), int):
        raise mistake("CS0425", "a loop has a `kind` and a number of `carries`", span)
    kind, carries, halts = LoopKind(attrs["kind"]), attrs["carries"], attrs.get("halts") is True
    steps = Size.of(attrs.get("steps") or 0)
    outputs = [node.type for _, node in body.nodes() if isinstance(node, Output)]
    results = outputs[: len(outputs) - halts]
    stacked, echoes = tuple(attrs.get("stacked") or ()), tuple(attrs.get("echoes") or ())
    if any(not isinstance(i, int) or not 0 <= i < len(results) for i in echoes):
        raise mistake("CS0425", "an echo is the number of a carry", span)
    yields = [*results[carries:], *(results[i] for i in echoes)]
    if kind is LoopKind.SCAN:
        if len(stacked) != len(yields):
            raise mistake("CS0425", f"{len(stacked)} places for {len(yields)} yields", span)
        along = Axis(None, steps)
        pairs = zip(yields, stacked, strict=True)
        yields = [t.with_axes((*t.axes[:at], along, *t.axes[at:])) for t, at in pairs]
    held = tuple(tuple(axes) for axes in attrs.get("held") or ((),) * (carries + len(yields)))
    name = str(attribute(marks["name"][0])) if "name" in marks else "loop"
    scanned = tuple(attrs.get("scanned") or ())
    types = (*yields, *results[:carries])
    active = attrs.get("active")
    node = Loop(name, kind, steps, body, carries, scanned, stacked, halts, held, types, active, echoes, origin)
    return reader.graph.add(node, operands)
