"""Prints a graph as `.seed` text that reads back to an equal text. Prints no spans, and decides nothing.

The IR text is one exported, flat seed. Its first member `category ir` says that the text is positional: axes
are ints, elementwise operands are aligned as numpy does, values are numbered in order of the text.

    export seed Name {
        category ir
        in  image: f32[N, C=1, H=28, W=28]         # an axis without label: its size; with one: `label=size`
        out logits: f32[N, K=10]
        @path("h.0.k")
        state s1: f32[N, 16] = full(0.0)            # kept between calls: an input and an output, set by `next`
        knob tau: f32[] = 0.9 in 0.0 .. 1.0         # `(0.9, 0.8)`: one default per element
        @path("a.conv2d.weight") @buffer            # a weight; `@buffer`: not trainable
        param p1: f32[16, 1, 3, 3] = kaiming(9)     # or normal(std) uniform(low, high) zeros() ones() full(v)
        c1 = constant[dtype=f32, shape=(2, 3), values=(1.0,)]()      # one value stands for all elements
        @path("a.conv2d")
        v1 = conv2d[kernel=(3, 3)](image, weight=p1)                  # names[attributes](operands by port)
        v2, v3 = split[...](v1)                                       # several outputs
        @name("exits.easy") @leaves("exits.easy") @alias("other")
        gate g1 over N = v4 via gumbel[temperature=1.0]               # bool
        @name("arm") @arms(3)
        gate g2 over N = v5                                           # one of three
        @name("pick") @arms(8)
        gate g3 over N, T = (v6, v7)                                  # many of eight: mask, indices
        @under(not g1, g2 == 1) @under(g3[2])                         # a guard: terms are alternatives
        v8 = when g1 { v1 } else { when g4 { v2 } else { v3 } }      # one ordered select join
        v9 = route g2 { 0 => v1  1 => v2  else => v3 }
        logits = v9                                   # outputs come last, then `next s1 = v`, then `loss name = v`
    }

* `_` is an absent operand or attribute; `(_,)` is an empty tuple. `over Once` is a gate over no axes, `Unnamed`
  an axis without label (`_` in `Gate.over`).
* `@under` terms: `g`, `not g` (bool); `g == a`, `g != a` (one of n); `g[a]`, `not g[a]` (many). They leave out
  what the guards of these gates say.
* A chain of `when` in one expression is one Merge SELECT whose arms are all 1, in order, with `otherwise`; the form
  with arms (1, 0) of one gate prints alike. Separate joins are separate statements. `route` of a one-of-n gate is a
  select, without `else` one that covers. Any other join, and a chain longer than eight, is
  `merged[mode="sum", arms=(0, 1), otherwise=true](ports in the order of Merge)`.
  In all, the gates' axes are the first of the result; `@axes((0,), (1, 2))` where they are not.
* `@path`, `@bits(int8)` (forced), `@tolerates(int8, fp16)` and `@level(1)` are origins.
* `@name("a.tau") @range(0.0, 1.0) param k1: f32[] = (0.9,)` is a knob whose name is a path, and
  `@name("a.balance") loss l1 = v1` a loss.
* The body of a loop is a seed of its own before the one that is exported, also `category ir`; its ports are the
  body's, in order. `@name("h.repeat") v1, v2 = looped[kind="repeat", body="Name_1", steps=12, carries=1](operands)`,
  with the other fields of `Loop`; `held` and `stacked` where they are not empty.
* Before `insert-exit-points`: `@scope("a") @order(0) @name("a.exits.easy") @over(N) exit e1 { y = v3 } when v4` and
  `v5, v6 = returned[scope="a", names=("y", "z")](v3, v4)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from cogseedc.diagnostics import InternalError
from cogseedc.ir.graph import Graph, Wiring
from cogseedc.ir.nodes import (
    Attr,
    Call,
    Constant,
    ControlEdge,
    Exit,
    Gate,
    GateKind,
    Init,
    Input,
    Knob,
    Loop,
    Loss,
    Merge,
    MergeMode,
    Node,
    NodeId,
    Origin,
    Output,
    Return,
    State,
    Value,
    Weight,
    output_types,
)
from cogseedc.ir.size import Size
from cogseedc.ir.transfer import Ops
from cogseedc.ir.types import Axis, Dtype, TensorType

LONGEST_CHAIN = 8
_NUMBERED = re.compile(r"[a-z]\d+")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_LEAVES = (Input, Knob, Weight, Constant)
_LETTERS: dict[type[Node], str] = {Input: "s", Weight: "p", Knob: "k", Constant: "c", Gate: "g", Exit: "e"}


def print_graph(graph: Graph, name: str = "Program", ops: Ops | None = None) -> str:
    """The IR text of a graph. With `ops`, weight operands are given by name (`weight=p1`), else by place.

    Raises InternalError for what no text can say (a string with a quote in it).
    """
    bodies: list[str] = []
    text = _seed(graph, name, ops, bodies, name)
    return "\n".join([*bodies, f"export {text}"])


def _seed(graph: Graph, name: str, ops: Ops | None, bodies: list[str], program: str) -> str:
    """The text of one graph. Those of the bodies of its loops are added to `bodies`, inner ones first."""
    wiring = graph.wiring()
    names: dict[NodeId, str] = {}
    for id in wiring.order:  # in which a reader numbers them again
        loop = graph[id]
        if not isinstance(loop, Loop):
            continue
        body = _seed(loop.body, "", ops, bodies, program)
        names[id] = f"{program}_{len(bodies) + 1}"
        bodies.append(body.replace("seed ", f"seed {names[id]}", 1))
    spell = _Spelling(graph, wiring, ops, names)
    order = [(id, graph[id]) for id in wiring.order]
    lines = ["category ir"]
    for group in (Input, Output, Knob, Weight, Constant):
        lines += [line for id, node in graph.nodes() if isinstance(node, group) for line in spell.declaration(id, node)]
    for id, node in order:
        if not isinstance(node, (Input, Output, Knob, Weight, Constant, Loss)):
            lines += spell.statement(id, node)
    for id, node in graph.nodes():
        if isinstance(node, Output):
            target = node.name if node.state is None else f"next {spell.kept(node.state)}"
            lines.append(f"{target} = {spell.operand(id, 0)}")
    losses = [(id, node) for id, node in graph.of(Loss)]
    for place, (id, node) in enumerate(losses, 1):
        if not _IDENTIFIER.fullmatch(node.name):  # the loss of a callee: a path
            lines.append(f"@name({_attr(node.name)})")
        name = node.name if _IDENTIFIER.fullmatch(node.name) else f"l{place}"
        lines.append(f"loss {name} = {spell.operand(id, 0)}")
    body = "\n".join("    " + line for line in lines)
    return f"seed {name} {{\n{body}\n}}\n"


class _Spelling:
    """Names of all values of one graph, and the text of each node."""

    def __init__(self, graph: Graph, wiring: Wiring, ops: Ops | None, bodies: dict[NodeId, str]) -> None:
        self.graph, self.wiring, self.ops, self.bodies = graph, wiring, ops, bodies
        self.names: dict[Value, str] = {}
        self.rank = {id: place for place, id in enumerate(wiring.order)}
        self._number()

    def _number(self) -> None:
        taken = {n.name for _, n in self.graph.nodes() if isinstance(n, (Input, Output, Knob, Loss))}
        taken = {name for name in taken if _NUMBERED.fullmatch(name)}
        counts: dict[str, int] = {}
        leaves = [id for id, node in self.graph.nodes() if isinstance(node, _LEAVES)]
        for id in leaves + [id for id in self.wiring.order if not isinstance(self.graph[id], _LEAVES)]:
            node = self.graph[id]
            given = isinstance(node, Input) and node.state is None
            if given or (isinstance(node, Knob) and _IDENTIFIER.fullmatch(node.name)):
                assert isinstance(node, (Input, Knob))
                self.names[Value(id)] = node.name
                continue
            for port in range(max(len(output_types(node)), isinstance(node, Exit))):
                letter = _LETTERS.get(type(node), "v")
                counts[letter] = counts.get(letter, 0) + 1
                while f"{letter}{counts[letter]}" in taken:
                    counts[letter] += 1
                self.names[Value(id, port)] = f"{letter}{counts[letter]}"

    def kept(self, state: State) -> str:
        """The name of a state."""
        return next(self.names[Value(id)] for id, n in self.graph.of(Input) if n.state == state)

    def operand(self, id: NodeId, port: int) -> str:
        value = self.wiring.operand(id, port)
        return "_" if value is None else self.names[value]

    def operands(self, id: NodeId) -> list[str]:
        return ["_" if value is None else self.names[value] for value in self.wiring.operands(id)]

    def results(self, id: NodeId, node: Node) -> str:
        return ", ".join(self.names[Value(id, port)] for port in range(len(output_types(node))))

    def declaration(self, id: NodeId, node: Node) -> Iterator[str]:
        match node:
            case Input(name=name, type=type, state=None):
                yield f"in  {name}: {_type(type)}"
            case Input(type=type, state=State(path=path, initial=initial)):
                yield f"@path({_attr(path)}) state {self.names[Value(id)]}: {_type(type)} = full({_attr(initial)})"
            case Output(name=name, type=type, state=None):
                yield f"out {name}: {_type(type)}"
            case Knob(name=name, type=type, low=low, high=high):
                default = _attr(node.default[0] if len(node.default) == 1 else node.default)
                head, bounds = self.names[Value(id)], f"{_attr(low)}, {_attr(high)}"
                if head == name:
                    yield f"knob {name}: {_type(type)} = {default} in {bounds.replace(', ', ' .. ')}"
                else:
                    yield f"@name({_attr(name)}) @range({bounds}) param {head}: {_type(type)} = {_attr(node.default)}"
            case Weight(path=path, type=type, init=init):
                buffer = "" if node.trainable else " @buffer"
                yield f"@path({_attr(path)}){buffer} param {self.names[Value(id)]}: {_type(type)} = {_init(init)}"
            case Constant(type=type, values=values):
                exact = tuple(float(v) for v in values) if type.dtype.floating else values
                attrs = _attrs((("dtype", type.dtype), ("shape", type.shape), ("values", exact)))
                yield f"{self.names[Value(id)]} = constant{attrs}()"

    def statement(self, id: NodeId, node: Node) -> list[str]:
        marks = [*self._marks(id, node), *_origin(node.origin), *self._under(id)]
        match node:
            case Call():
                text = f"{self.results(id, node)} = {node.op}{_attrs(node.attrs.items)}({self._arguments(id, node)})"
            case Gate():
                text = self._gate(id, node)
            case Merge():
                text = f"{self.results(id, node)} = {self._merge(id, node)}"
            case Return(scope=scope, names=names):
                attrs = _attrs((("scope", scope), ("names", names)))
                text = f"{self.results(id, node)} = returned{attrs}({', '.join(self.operands(id))})"
            case Exit():
                text = self._exit(id, node)
            case Loop():
                text = f"{self.results(id, node)} = looped{self._loop(id, node)}({', '.join(self.operands(id))})"
            case _:
                raise InternalError(f"node {id} is no statement")
        return ([" ".join(marks)] if marks else []) + [text]

    def _marks(self, id: NodeId, node: Node) -> Iterator[str]:
        match node:
            case Gate(name=name, kind=kind, arms=arms, exit=exit, aliases=aliases):
                yield f"@name({_attr(name)})"
                if kind is not GateKind.BOOL:
                    yield f"@arms({arms})"
                if exit is not None:
                    yield f"@leaves({_attr(exit)})"
                yield from (f"@alias({_attr(alias)})" for alias in aliases)
            case Exit(name=name, scope=scope, order=order, over=over):
                yield f"@scope({_attr(scope)}) @order({order}) @name({_attr(name)}) @over({_over(over)})"
            case Loop(name=name):
                yield f"@name({_attr(name)})"
            case Merge(axes=axes) if axes != tuple(self._placed(id, node)):
                yield f"@axes({', '.join(map(_attr, axes))})"

    def _loop(self, id: NodeId, loop: Loop) -> str:
        attrs: list[tuple[str, Attr]] = [("kind", loop.kind.value), ("body", self.bodies[id]), ("steps", loop.steps)]
        attrs += [("carries", loop.carries), ("scanned", loop.scanned or None), ("stacked", loop.stacked or None)]
        attrs += [("halts", loop.halts), ("held", loop.held if any(loop.held) else None)]
        attrs += [("active", loop.active), ("echoes", loop.echoes or None)]
        return _attrs(attrs)

    def _placed(self, id: NodeId, merge: Merge) -> Iterator[tuple[int, ...]]:
        """Where the gates' axes lie when nothing says it: they are the value's first ones."""
        for gate in self._choosers(id, merge):
            yield tuple(range(gate.type.rank - (gate.kind is GateKind.MANY)))

    def _under(self, id: NodeId) -> Iterator[str]:
        terms: dict[int, list[str]] = {}
        for edge in sorted(self.wiring.controls[id], key=self._place):
            terms.setdefault(edge.term, []).append(self._literal(edge))
        for term in sorted(terms):
            yield f"@under({', '.join(terms[term])})"

    def _place(self, edge: ControlEdge) -> tuple[int, int]:
        """Gates as they are printed, which their ids need not say."""
        return self.rank[edge.src], edge.arm

    def _literal(self, edge: ControlEdge) -> str:
        gate, name = self.graph[edge.src], self.names[Value(edge.src)]
        assert isinstance(gate, Gate)
        arm = edge.arm if edge.arm >= 0 else ~edge.arm
        match gate.kind:
            case GateKind.BOOL:
                return name if (arm == 1) == (edge.arm >= 0) else f"not {name}"
            case GateKind.ONE:
                return f"{name} {'==' if edge.arm >= 0 else '!='} {arm}"
            case GateKind.MANY:
                return f"{'' if edge.arm >= 0 else 'not '}{name}[{arm}]"

    def _arguments(self, id: NodeId, call: Call) -> str:
        operands = self.operands(id)
        if self.ops is None:
            return ", ".join(operands)
        signature, texts, by_name = self.ops[call.op].operands, list[str](), False
        for port, text in enumerate(operands):
            known = signature[port] if port < len(signature) else None
            if known is None or known.variadic:
                texts.append(text)
            elif text == "_":
                by_name = True
            else:
                by_name = by_name or known.weight
                texts.append(f"{known.name}={text}" if by_name else text)
        return ", ".join(texts)

    def _gate(self, id: NodeId, gate: Gate) -> str:
        operands = self.operands(id)
        decided = f"({', '.join(operands[:2])})" if gate.kind is GateKind.MANY else operands[0]
        via = ""
        if gate.estimator is not None:
            given = zip(gate.estimator.inputs, operands[len(operands) - len(gate.estimator.inputs) :], strict=True)
            inputs = ", ".join(f"{name}={text}" for name, text in given)
            via = f" via {gate.estimator.name}{_attrs(gate.estimator.arguments)}{f'({inputs})' if inputs else ''}"
        return f"gate {self.names[Value(id)]} over {_over(gate.over)} = {decided}{via}"

    def _exit(self, id: NodeId, node: Exit) -> str:
        names = next(n.names for _, n in self.graph.of(Return) if n.scope == node.scope)
        operands = self.operands(id)
        outs = "  ".join(f"{name} = {text}" for name, text in zip(names, operands[1:], strict=True))
        return f"exit {self.names[Value(id)]} {{ {outs} }} when {operands[0]}"

    def _merge(self, id: NodeId, merge: Merge) -> str:
        operands, count = self.operands(id), len(merge.arms)
        attrs = (("mode", merge.mode.value), ("arms", merge.arms), ("otherwise", merge.otherwise))
        if merge.shares:
            return f"merged{_attrs((*attrs, ('shares', True)))}({', '.join(operands)})"
        values, gates, rest = operands[:count], operands[count : 2 * count], operands[2 * count :]
        kinds = {gate.kind for gate in self._choosers(id, merge)}
        if merge.mode is MergeMode.SELECT and kinds == {GateKind.BOOL}:
            if merge.arms == (1, 0) and gates[0] == gates[1] and not rest:
                return _when([(gates[0], values[0])], values[1])
            if set(merge.arms) == {1} and rest and count <= LONGEST_CHAIN:
                return _when(list(zip(gates, values, strict=True)), rest[0])
        one = merge.mode is MergeMode.SELECT and kinds == {GateKind.ONE}
        many = merge.mode in (MergeMode.SUM, MergeMode.MEAN, MergeMode.MAX) and kinds == {GateKind.MANY}
        if len(set(gates)) == 1 and (one or many):
            arms = [f"{arm} => {text}" for arm, text in zip(merge.arms, values, strict=True)]
            arms += [f"else => {text}" for text in rest]
            return f"route {gates[0]}{f' merge {merge.mode.value}' if many else ''} {{ {'  '.join(arms)} }}"
        return f"merged{_attrs(attrs)}({', '.join(operands)})"

    def _choosers(self, id: NodeId, merge: Merge) -> Iterator[Gate]:
        for i in range(len(merge.arms)):
            value = self.wiring.operand(id, len(merge.arms) + i)
            if value is not None and isinstance(gate := self.graph[value.node], Gate):
                yield gate


def _when(arms: list[tuple[str, str]], otherwise: str) -> str:
    text = otherwise
    for gate, value in reversed(arms):
        text = f"when {gate} {{ {value} }} else {{ {text} }}"
    return text


def _over(names: tuple[str, ...]) -> str:
    """Labels of a decision's axes; the grammar wants at least one, with a capital."""
    return ", ".join(name if name[:1].isupper() else "Unnamed" for name in names) or "Once"


def _origin(origin: Origin) -> Iterator[str]:
    if origin.path:
        yield f"@path({_attr(origin.path)})"
    if origin.forced_bits is not None:
        yield f"@bits({origin.forced_bits})"
    if origin.bits:
        yield f"@tolerates({', '.join(b.value if isinstance(b, Dtype) else b for b in origin.bits)})"
    if origin.level is not None:
        yield f"@level({origin.level})"


def _type(type: TensorType) -> str:
    return f"{type.dtype.value}[{', '.join(_axis(axis) for axis in type.axes)}]"


def _axis(axis: Axis) -> str:
    """A size that is one symbol would read as a label: `0 + T` is the size alone."""
    text = str(axis)
    return f"0 + {text}" if axis.name is None and _IDENTIFIER.fullmatch(text) else text


def _init(init: Init) -> str:
    arguments = (init.fan_in,) if init.fan_in else init.arguments
    return f"{init.kind.value}({', '.join(map(_attr, arguments))})"


def _attrs(items: Iterable[tuple[str, Attr]]) -> str:
    texts = [f"{name}={_attr(value)}" for name, value in items if value is not None]
    return f"[{', '.join(texts)}]" if texts else ""


def _attr(value: Attr) -> str:
    match value:
        case None:
            return "_"
        case bool():
            return "true" if value else "false"
        case int() | Size():
            return str(value)
        case float():
            return repr(value) if value - value == 0 else f'"{value}"'
        case Dtype():
            return value.value
        case str():
            if '"' in value or "\n" in value:
                raise InternalError(f"no text can say the string {value!r}")
            return f'"{value}"'
        case tuple():
            texts = [_attr(item) for item in value]
            return f"({texts[0] if texts else '_'},)" if len(texts) < 2 else f"({', '.join(texts)})"
