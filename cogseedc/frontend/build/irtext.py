"""Reads IR text (`category ir`) back into a graph: flat, positional, as `ir.printer` writes it.

Nothing is aligned, inlined or decided here; ill-formed IR text is an error with a span, like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cogseedc.frontend import ast
from cogseedc.frontend.build.model import BuildError, mistake
from cogseedc.frontend.build.ports import dtype_of
from cogseedc.frontend.build.statics import Number, arithmetic
from cogseedc.ir import (
    Axis,
    Call,
    Constant,
    ControlEdge,
    Dtype,
    Estimator,
    Exit,
    Gate,
    GateKind,
    Graph,
    Init,
    InitKind,
    Input,
    Knob,
    Loop,
    LoopKind,
    Loss,
    Merge,
    MergeMode,
    NodeId,
    Origin,
    Output,
    Return,
    RuleError,
    Site,
    Size,
    State,
    TensorType,
    Value,
    Weight,
)
from cogseedc.limits import Limits
from cogseedc.ops import OPS, bind
from cogseedc.source import Span


def is_ir(declaration: ast.SeedDeclaration) -> bool:
    """Whether a seed is IR text: its first member is `category ir`."""
    first = declaration.members[0] if declaration.members else None
    return isinstance(first, ast.Meta) and first.kind == "category" and [v.text for v in first.values] == ["ir"]


def read_ir(
    declaration: ast.SeedDeclaration,
    limits: Limits,
    report: Callable[[BuildError], None],
    seeds: Mapping[str, ast.SeedDeclaration],
) -> Graph:
    """The graph of one IR text. Mistakes go to `report`, one per statement. `seeds` are those of the file, among them
    the bodies of loops."""
    others = {name: seed for name, seed in seeds.items() if seed is not declaration}
    outs = {m.name.text for m in declaration.members if isinstance(m, ast.Port) and m.direction == "out"}
    reader = _Reader(Graph(), limits, outs, lambda body: read_ir(body, limits, report, others), others)
    for member in declaration.members:
        if len(reader.graph) > limits.nodes:
            report(mistake(Limits.code("nodes"), f"the program has more than {limits.nodes} nodes", member.span))
            break
        try:
            READERS[type(member)](reader, member)
        except BuildError as error:
            report(error)
        except KeyError:
            report(
                mistake(
                    "CS0425",
                    "this statement has no place in IR text",
                    member.span,
                    help="see `ir/printer.py` for what has",
                )
            )
    for member in declaration.members:
        if isinstance(member, ast.Port) and member.direction == "out" and member.name.text not in reader.bound:
            report(mistake("CS0228", f"the output `{member.name.text}` is never bound", member.name.span))
    return reader.graph


@dataclass(eq=False)
class _Reader:
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
        for port, name in enumerate(names):
            self.values[name.text] = Value(id, port)


# Attributes and types


def _attr(expr: ast.Expr) -> Any:
    """A static value of IR text: literals, dtypes, sizes, tuples, `_`."""
    match expr:
        case ast.Number(value=value) | ast.String(value=value) | ast.Boolean(value=value):
            return value
        case ast.Tuple(items=items):
            return tuple(v for v in map(_attr, items) if v is not None)
        case ast.Reference(name="_"):
            return None
        case ast.Reference(name=name) if name in {d.value for d in Dtype}:
            return Dtype(name)
        case ast.Reference(name=name):
            return Size.symbol(name)
        case ast.Negate(operand=operand):
            inner = _attr(operand)
            return -inner if isinstance(inner, float) else arithmetic("-", 0, _number(inner, expr.span), expr.span)
        case ast.Binary(operator=operator, left=left, right=right):
            return arithmetic(operator, _number(_attr(left), left.span), _number(_attr(right), right.span), expr.span)
    raise mistake("CS0425", "this is no attribute of IR text", expr.span)


def _number(value: object, span: Span) -> Number:
    if isinstance(value, bool) or not isinstance(value, (int, float, Size)):
        raise mistake("CS0204", "a static number is expected here", span)
    return value


def _type(type_: ast.Type) -> TensorType:
    axes: list[Axis] = []
    for axis in type_.axes:
        name = axis.name.text if axis.name is not None else None
        size = _number(_attr(axis.size), axis.span) if axis.size is not None else Size.symbol(name or "_")
        if isinstance(size, float):
            raise mistake("CS0204", "a size is an integer", axis.span)
        axes.append(Axis(name, Size.of(size)))
    return TensorType(dtype_of(type_.dtype), tuple(axes))


def _marks(marks: Sequence[ast.Mark]) -> dict[str, tuple[ast.Expr, ...]]:
    """Arguments of each attribute (those that stand once)."""
    return {m.name.text: tuple(a.value for a in m.arguments if not isinstance(a, ast.Slice)) for m in marks}


def _text(marks: dict[str, tuple[ast.Expr, ...]], name: str) -> str | None:
    found = marks.get(name)
    value = _attr(found[0]) if found else None
    return value if isinstance(value, str) else None


def _words(expressions: Sequence[ast.Expr]) -> tuple[str, ...]:
    return tuple(e.name for e in expressions if isinstance(e, ast.Reference) and e.name != "_")


def _labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """Axes of a decision, as the printer writes them: `Once` for none, `Unnamed` for one without label."""
    return tuple("_" if name == "Unnamed" else name for name in names if name != "Once")


def _origin(marks: dict[str, tuple[ast.Expr, ...]], span: Span) -> Origin:
    bits, level = _words(marks.get("bits", ())), marks.get("level")
    return Origin(
        _text(marks, "path") or "",
        span=span,
        bits=_words(marks.get("tolerates", ())),
        forced_bits=bits[0] if bits else None,
        level=int(_attr(level[0])) if level else None,
    )


# Declarations


def _port(reader: _Reader, port: ast.Port) -> None:
    type_ = _type(port.type)
    if port.direction == "out":
        reader.out_types[port.name.text] = type_
        return
    reader.values[port.name.text] = Value(
        reader.graph.add(Input(port.name.text, type_, Origin(port.name.text, span=port.span)))
    )


def _knob(reader: _Reader, member: ast.KnobDeclaration) -> None:
    type_ = _type(member.type) if member.type is not None else TensorType(Dtype.F32)
    default = _attr(member.default)
    values = default if isinstance(default, tuple) else (default,)
    node = Knob(
        member.name.text,
        type_,
        values,
        _attr(member.low),
        _attr(member.high),
        Origin(member.name.text, span=member.span),
    )
    reader.values[member.name.text] = Value(reader.graph.add(node))


def _param(reader: _Reader, statement: ast.ParamDeclaration) -> None:
    marks = _marks(statement.marks)
    type_ = _type(statement.type)
    if "range" in marks:
        low, high = (_attr(e) for e in marks["range"])
        name = _text(marks, "name") or statement.name.text
        id = reader.graph.add(Knob(name, type_, _attr(statement.value), low, high, Origin(name, span=statement.span)))
    else:
        path = _text(marks, "path") or statement.name.text
        node = Weight(path, type_, _init(statement.value), "buffer" not in marks, Origin(path, span=statement.span))
        id = reader.graph.add(node)
    reader.values[statement.name.text] = Value(id)


def _state(reader: _Reader, statement: ast.StateDeclaration) -> None:
    name, value, type_ = statement.name.text, statement.value, _type(statement.type)
    path = _text(_marks(statement.marks), "path") or name
    arguments = value.arguments if isinstance(value, ast.Apply) else ()
    if len(arguments) != 1 or not isinstance(arguments[0], ast.Positional):
        raise mistake("CS0440", "a state of IR text starts as `full(value)`", value.span)
    state = State(path, _attr(arguments[0].value))
    node = Input(state.input, type_, Origin(path, span=statement.span), state)
    reader.values[name] = Value(reader.graph.add(node))


def _next(reader: _Reader, statement: ast.Next) -> None:
    before = reader.graph[reader.operand(ast.Reference(statement.names[0].text, statement.names[0].span)).node]
    if not isinstance(before, Input) or before.state is None:
        raise mistake("CS0425", "`next` sets a state", statement.span)
    node = Output(before.state.output, before.type, Origin(before.state.path, span=statement.span), before.state)
    reader.graph.add(node, (reader.operand(statement.value),))


def _init(expr: ast.Expr) -> Init:
    if (
        isinstance(expr, ast.Apply)
        and isinstance(expr.callee, ast.Reference)
        and expr.callee.name in {k.value for k in InitKind}
    ):
        kind = InitKind(expr.callee.name)
        numbers = tuple(float(_attr(a.value)) for a in expr.arguments if isinstance(a, ast.Positional))
        return Init(kind, (), int(numbers[0])) if kind is InitKind.KAIMING and numbers else Init(kind, numbers)
    raise mistake(
        "CS0221",
        "a parameter starts as kaiming(), normal(std), uniform(low, high), zeros(), ones() or full(value)",
        expr.span,
    )


# Statements


def _bind(reader: _Reader, statement: ast.Bind) -> None:
    if statement.names[0].text in reader.outs:
        name = statement.names[0].text
        value = reader.operand(statement.value)
        reader.bound.add(name)
        type_ = reader.out_types.get(name, reader.graph.type(value))
        reader.graph.add(Output(name, type_, Origin(name, span=statement.span)), (value,))
        return
    marks = _marks(statement.marks)
    origin = _origin(marks, statement.span)
    match statement.value:
        case ast.When() | ast.Route():
            id = _merge(reader, statement.value, marks, origin)
        case ast.Apply(callee=callee, arguments=arguments):
            id = _call(reader, callee, arguments, marks, origin)
        case _:
            raise mistake("CS0425", "a statement of IR text is one call or one join", statement.value.span)
    _under(reader, id, statement.marks)
    reader.bind(statement.names, id)


def _call(
    reader: _Reader,
    callee: ast.Expr,
    arguments: Sequence[ast.Argument],
    marks: dict[str, tuple[ast.Expr, ...]],
    origin: Origin,
) -> NodeId:
    configured = callee.arguments if isinstance(callee, ast.Configure) else ()
    head = callee.callee if isinstance(callee, ast.Configure) else callee
    name = head.name if isinstance(head, ast.Reference) else ""
    attrs = {a.name.text: _attr(a.value) for a in configured if isinstance(a, ast.Keyword)}
    if name == "constant":
        shape = tuple(Size.of(s) for s in attrs.get("shape") or ())
        type_ = TensorType(attrs["dtype"], tuple(Axis(None, s) for s in shape))
        return reader.graph.add(Constant(type_, attrs["values"], origin))
    if name == "returned":
        operands = [reader.operand(a.value) for a in arguments if isinstance(a, ast.Positional)]
        return reader.graph.add(
            Return(attrs["scope"], tuple(map(reader.graph.type, operands)), attrs["names"], origin), operands
        )
    if name == "merged":
        given = [reader.value(a.value) for a in arguments if isinstance(a, ast.Positional)]
        mode, shares = MergeMode(attrs["mode"]), attrs.get("shares") is True
        return _joined(reader, mode, attrs["arms"], attrs["otherwise"], given, marks, origin, shares)
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
    reader: _Reader,
    attrs: Mapping[str, Any],
    operands: Sequence[Value],
    marks: dict[str, tuple[ast.Expr, ...]],
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
    name = str(_attr(marks["name"][0])) if "name" in marks else "loop"
    scanned = tuple(attrs.get("scanned") or ())
    types = (*yields, *results[:carries])
    active = attrs.get("active")
    node = Loop(name, kind, steps, body, carries, scanned, stacked, halts, held, types, active, echoes, origin)
    return reader.graph.add(node, operands)


def _merge(
    reader: _Reader, expr: ast.When | ast.Route, marks: dict[str, tuple[ast.Expr, ...]], origin: Origin
) -> NodeId:
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
        return _joined(reader, mode, tuple(i for i, _ in arms), bool(rest), operands, marks, origin)
    values: list[Value] = []
    gates: list[Value] = []
    last: ast.Expr = expr
    while isinstance(last, ast.When):
        gates.append(reader.operand(last.condition))
        values.append(reader.operand(last.then.yields[0]))
        last = last.otherwise.yields[0]
    operands = [*values, *gates, reader.operand(last)]
    return _joined(reader, MergeMode.SELECT, (1,) * len(gates), True, operands, marks, origin)


def _joined(
    reader: _Reader,
    mode: MergeMode,
    arms: tuple[int, ...],
    otherwise: bool,
    operands: Sequence[Value | None],
    marks: dict[str, tuple[ast.Expr, ...]],
    origin: Origin,
    shares: bool = False,
) -> NodeId:
    if len(operands) < 2 * len(arms) + otherwise or None in operands[: 2 * len(arms) + otherwise]:
        assert origin.span is not None
        raise mistake("CS0425", "a join lacks an operand", origin.span)
    axes = tuple(_attr(e) for e in marks.get("axes", ()))
    if not axes:
        for value in operands[len(arms) : 2 * len(arms)]:
            assert value is not None
            node = reader.graph[value.node]
            assert isinstance(node, Gate)
            axes = (*axes, tuple(range(node.type.rank - (node.kind is GateKind.MANY))))
    assert operands[0] is not None
    type_ = reader.graph.type(operands[0])
    return reader.graph.add(Merge(mode, arms, otherwise, axes, type_, origin, shares), operands)


def _gate(reader: _Reader, statement: ast.GateDeclaration) -> None:
    marks = _marks(statement.marks)
    many = isinstance(statement.value, ast.Tuple)
    operands = (
        [reader.operand(e) for e in statement.value.items]
        if isinstance(statement.value, ast.Tuple)
        else [reader.operand(statement.value)]
    )
    type_ = reader.graph.type(operands[0])
    kind = GateKind.MANY if many else GateKind.BOOL if type_.dtype is Dtype.BOOL else GateKind.ONE
    arms = int(_attr(marks["arms"][0])) if "arms" in marks else 2
    name = _text(marks, "name") or statement.name.text
    aliases = tuple(
        str(_attr(a.value))
        for m in statement.marks
        if m.name.text == "alias"
        for a in m.arguments
        if isinstance(a, ast.Positional)
    )
    over = _labels(tuple(n.text for n in statement.axes))
    origin = replace(_origin(marks, statement.span), path=_text(marks, "path") or "")
    node = Gate(
        name,
        kind,
        arms,
        over,
        type_,
        _estimator(statement.estimator),
        _text(marks, "leaves"),
        aliases=aliases,
        origin=origin,
    )
    given = statement.estimator.arguments if isinstance(statement.estimator, ast.Apply) else ()
    operands += [reader.operand(a.value) for a in given if isinstance(a, ast.Keyword)]
    id = reader.graph.add(node, operands)
    _under(reader, id, statement.marks)
    reader.values[statement.name.text] = Value(id)


def _estimator(expr: ast.Expr | None) -> Estimator | None:
    if expr is None:
        return None
    given = expr.arguments if isinstance(expr, ast.Apply) else ()
    expr = expr.callee if isinstance(expr, ast.Apply) else expr
    arguments = expr.arguments if isinstance(expr, ast.Configure) else ()
    callee = expr.callee if isinstance(expr, ast.Configure) else expr
    assert isinstance(callee, ast.Reference)
    return Estimator(
        callee.name,
        tuple((a.name.text, float(_attr(a.value))) for a in arguments if isinstance(a, ast.Keyword)),
        tuple(a.name.text for a in given if isinstance(a, ast.Keyword)),
    )


def _exit(reader: _Reader, statement: ast.ExitDeclaration) -> None:
    marks = _marks(statement.marks)
    condition = reader.operand(statement.condition)
    values = [reader.operand(s.value) for s in statement.body if isinstance(s, ast.Bind)]
    order = int(_attr(marks["order"][0])) if "order" in marks else 0
    node = Exit(
        _text(marks, "name") or statement.name.text,
        _text(marks, "scope") or "",
        order,
        _labels(_words(marks.get("over", ()))),
        reader.graph.type(condition),
        _origin(marks, statement.span),
    )
    id = reader.graph.add(node, (condition, *values))
    _under(reader, id, statement.marks)


def _loss(reader: _Reader, statement: ast.LossDeclaration) -> None:
    value = reader.operand(statement.value)
    name = _text(_marks(statement.marks), "name") or statement.name.text
    reader.graph.add(Loss(name, reader.graph.type(value), Origin(name, span=statement.span)), (value,))


def _under(reader: _Reader, id: NodeId, marks: Sequence[ast.Mark]) -> None:
    """Control edges of `@under(a, not b)`, one term each."""
    terms = [m for m in marks if m.name.text == "under"]
    for term, mark in enumerate(terms):
        for argument in mark.arguments:
            if isinstance(argument, ast.Positional):
                gate, arm = _literal(reader, argument.value)
                reader.graph.connect(ControlEdge(gate, id, arm, term))


def _literal(reader: _Reader, expr: ast.Expr) -> tuple[NodeId, int]:
    """`g`, `not g`, `g == 2`, `g != 2`, `g[2]`, `not g[2]`; a negative arm is the complement."""
    if isinstance(expr, ast.Not):
        gate, arm = _literal(reader, expr.operand)
        node = reader.graph[gate]
        return gate, 0 if isinstance(node, Gate) and node.kind is GateKind.BOOL else ~arm
    if isinstance(expr, ast.Compare):
        arm = int(_attr(expr.right))
        return reader.gate(expr.left)[0], arm if expr.operator == "==" else ~arm
    if isinstance(expr, ast.Configure) and isinstance(expr.arguments[0], ast.Positional):
        return reader.gate(expr.callee)[0], int(_attr(expr.arguments[0].value))
    return reader.gate(expr)[0], 1


def _head(reader: _Reader, member: ast.Meta) -> None:
    """`category ir` itself."""


READERS: dict[type, Callable[[_Reader, Any], None]] = {
    ast.Meta: _head,
    ast.Port: _port,
    ast.KnobDeclaration: _knob,
    ast.ParamDeclaration: _param,
    ast.StateDeclaration: _state,
    ast.Next: _next,
    ast.Bind: _bind,
    ast.GateDeclaration: _gate,
    ast.ExitDeclaration: _exit,
    ast.LossDeclaration: _loss,
}
