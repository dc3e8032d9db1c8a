"""The graph as plain data: what `graph --json` prints, artifacts keep, and every drawing is made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypedDict

from cogseedc.ir import (
    BATCH,
    Attr,
    Call,
    Constant,
    ControlEdge,
    DataEdge,
    Dtype,
    Gate,
    GateKind,
    Graph,
    Input,
    Knob,
    Loop,
    LoopKind,
    Merge,
    Node,
    NodeId,
    Origin,
    Output,
    Size,
    State,
    Weight,
    output_types,
)
from cogseedc.source import Span

SCHEMA = 1


class SpanJson(TypedDict):
    """Where a node is written: one-based line and column."""

    file: str
    line: int
    column: int


class NodeJson(TypedDict):
    """One node. `macs` are per sample, of the dense meaning; `parameters` are of a weight, `family` of an operation."""

    id: int
    kind: str
    family: str
    label: str
    path: str
    container: str
    types: list[str]
    attributes: dict[str, str]
    macs: int
    parameters: int
    bits: str
    span: SpanJson | None


class ContainerJson(TypedDict):
    """One seed instance, or the body of a loop; `parent` is the container around it, "" for the program."""

    id: str
    kind: str
    label: str
    parent: str


class EdgeJson(TypedDict):
    """A value that flows."""

    source: int
    source_port: int
    target: int
    target_port: int


class ControlJson(TypedDict):
    """A decision that governs: `target` runs where `source` took `arm`; one `term` holds together."""

    source: int
    target: int
    arm: int
    term: int
    label: str


class GraphJson(TypedDict):
    """A program graph."""

    schema: int
    name: str
    doc: str
    nodes: list[NodeJson]
    containers: list[ContainerJson]
    edges: list[EdgeJson]
    controls: list[ControlJson]
    backs: list[EdgeJson]
    """From what a carry becomes to the carry in the next turn; `edges` have no cycle."""
    sources: dict[str, str]


Macs = Callable[[Graph, NodeId], int]
Family = Callable[[str], str]


def document(
    graph: Graph,
    name: str,
    doc: str = "",
    macs: Macs = lambda _graph, _id: 0,
    sources: Mapping[str, str] | None = None,
    family: Family = lambda _: "",
) -> GraphJson:
    """The graph as data, with the bodies of its loops as containers of it; their nodes get ids behind its own.

    `macs` gives MACs per sample of a node of the graph or of a body, `family` the group that an operation belongs to in
    the catalogue, `sources` texts by file name.
    """
    drawing = _Drawing(macs, family, graph.next_id)
    drawing.add(graph, {id: int(id) for id, _ in graph.nodes()}, "", 0)
    return GraphJson(
        schema=SCHEMA,
        name=name,
        doc=doc,
        nodes=drawing.nodes,
        containers=[drawing.containers[key] for key in sorted(drawing.containers)],
        edges=drawing.edges,
        controls=drawing.controls,
        backs=drawing.backs,
        sources=dict(sources or {}),
    )


class _Drawing:
    """A document under way."""

    def __init__(self, macs: Macs, family: Family, free: int) -> None:
        self.macs, self.family, self.free = macs, family, free
        self.nodes: list[NodeJson] = []
        self.containers: dict[str, ContainerJson] = {}
        self.edges: list[EdgeJson] = []
        self.controls: list[ControlJson] = []
        self.backs: list[EdgeJson] = []
        self.weights: set[str] = set()

    def add(self, graph: Graph, ids: Mapping[NodeId, int], within: str, depth: int) -> None:
        """A graph whose nodes have these ids; those of the seed `depth` deep are in the container `within`."""
        for id, node in graph.nodes():
            self.nodes.append(self._node(graph, id, node, ids[id], within, depth))
        data = (e for e in graph.edges() if isinstance(e, DataEdge) and not isinstance(graph[e.dst], Loop))
        for e in sorted(data, key=lambda e: (e.dst, e.dst_port)):
            self._edge(ids[e.src], e.src_port, ids[e.dst], e.dst_port)
        controls = (e for e in graph.edges() if isinstance(e, ControlEdge))
        for c in sorted(controls, key=lambda e: (e.dst, e.term, e.src, e.arm)):
            self.controls.append(_control(graph, c, ids))
        for id, loop in graph.loops():
            self._loop(graph, id, loop, ids, within, depth)

    def _loop(self, graph: Graph, id: NodeId, loop: Loop, ids: Mapping[NodeId, int], within: str, depth: int) -> None:
        """The body as a container: operands go to its inputs, what it gives goes to the loop's own node."""
        parent = self._container(loop.origin, within, depth)
        title = f"{loop.kind.value} {loop.steps}" + (" until" if loop.halts else "")
        self.containers[loop.name] = ContainerJson(id=loop.name, kind="loop", label=title, parent=parent)
        inner = {node: self.free + place for place, (node, _) in enumerate(loop.body.nodes())}
        self.free += len(inner)
        self.add(loop.body, inner, loop.name, len(loop.origin.scope))
        inputs = [node for node, payload in loop.body.of(Input)]
        outputs = [node for node, payload in loop.body.of(Output)]
        roles = ["carry"] * loop.carries + ["element"] * len(loop.scanned)
        roles += ["capture"] * (len(inputs) - len(roles))
        given = ["next"] * loop.carries + ["yield"] * loop.yields + ["until"] * loop.halts
        known = {node["id"]: node for node in self.nodes}
        for node, role in [*zip(inputs, roles, strict=True), *zip(outputs, given, strict=True)]:
            known[inner[node]]["kind"] = role
            known[inner[node]]["container"] = loop.name
        for node, after in zip(inputs, outputs[: loop.carries], strict=False):
            known[inner[after]]["label"] = f"next {known[inner[node]]['label']}"
            self.backs.append(EdgeJson(source=inner[after], source_port=0, target=inner[node], target_port=0))
        for node, role in zip(outputs[loop.carries :], given[loop.carries :], strict=True):
            known[inner[node]]["label"] = role
        for port, value in enumerate(graph.wiring().operands(id)):
            if value is not None and port < len(inputs):
                self._edge(ids[value.node], value.port, inner[inputs[port]], 0)
        for port, node in enumerate(outputs):
            self._edge(inner[node], 0, ids[id], port)

    def _edge(self, source: int, source_port: int, target: int, target_port: int) -> None:
        self.edges.append(EdgeJson(source=source, source_port=source_port, target=target, target_port=target_port))

    def _node(self, graph: Graph, id: NodeId, node: Node, place: int, within: str, depth: int) -> NodeJson:
        origin = node.origin
        span = origin.span
        types = output_types(node)
        parameters = 0
        if isinstance(node, Weight) and node.path not in self.weights:  # each body has a node of its own
            self.weights.add(node.path)
            parameters = node.type.elements.value or 0
        return NodeJson(
            id=place,
            kind=type(node).__name__.lower(),
            family=self.family(node.op) if isinstance(node, Call) else "",
            label=label(node),
            path=origin.path,
            container=self._container(origin, within, depth),
            types=[str(t) for t in types],
            attributes=dict(_attributes(node)),
            macs=0 if isinstance(node, Loop) else self.macs(graph, id),
            parameters=parameters,
            bits=precision(node),
            span=None if span is None else _place(span),
        )

    def _container(self, origin: Origin, within: str, depth: int) -> str:
        """The innermost seed instance, made known with all around it; "" is the exported seed itself. What is no deeper
        than the loop that it is in is directly in that loop."""
        parent = within
        for scope, seed in zip(origin.scope[depth:], origin.seeds[depth:], strict=True):
            if not scope:
                continue
            key = scope
            while key in self.containers and self.containers[key]["parent"] != parent:
                key = f"{key} in {within}"  # an instance that is shared with what is outside
            self.containers.setdefault(key, ContainerJson(id=key, kind="seed", label=seed, parent=parent))
            parent = key
        return parent


def _place(span: Span) -> SpanJson:
    line, column = span.source.position(span.start)
    return SpanJson(file=span.source.name, line=line, column=column)


def label(node: Node) -> str:
    """What a person calls the node."""
    match node:
        case Call(op=op):
            return op
        case Weight(path=path):
            return path.rsplit(".", 1)[-1]
        case Gate(name=name):
            return f"gate {name}"
        case Merge(mode=mode):
            return f"merge {mode.value}"
        case Constant(values=values):
            spelled = [f"{v:g}" if isinstance(v, float) else str(v) for v in values[:4]]
            return ", ".join(spelled) + ("..." if len(values) > 4 else "")
        case Input() | Knob() | Output():
            return node.name
        case Loop(kind=kind):
            return f"after {kind.value}"
        case _:
            return getattr(node, "name", type(node).__name__.lower())


def precision(node: Node) -> str:
    """The precision that a node works in, as `bits` spells it."""
    types = output_types(node)
    return _PRECISIONS.get(types[0].dtype, types[0].dtype.value) if types else ""


_PRECISIONS = {Dtype.F32: "fp32", Dtype.F16: "fp16", Dtype.BF16: "bf16", Dtype.I8: "int8"}


def _attributes(node: Node) -> Iterator[tuple[str, str]]:
    match node:
        case Call(attrs=attrs):
            yield from ((name, shown(value)) for name, value in attrs.items if value is not None)
        case Gate(kind=kind, arms=arms, over=over):
            yield from (("kind", kind.value), ("arms", str(arms)), ("over", ", ".join(over)))
            if node.estimator is not None:
                yield "via", node.estimator.name
        case Weight(path=path, init=init):
            yield from (("path", path), ("init", init.kind.value), ("trainable", "yes" if node.trainable else "no"))
        case Knob(low=low, high=high, default=default):
            yield from (("default", ", ".join(f"{v:g}" for v in default)), ("range", f"{low:g} .. {high:g}"))
        case Input(state=State(path=path, initial=initial)):
            yield from (("state", path), ("before the first call", str(initial)))
        case Output(state=State(path=path)):
            yield "state", path
        case Loop(kind=kind, steps=steps, name=name, halts=halts):
            yield from (("loop", name), ("turns", f"{'at most ' if halts else ''}{steps}"))
            yield from (("carries", str(node.carries)), ("yields", str(node.yields)))
            if kind is LoopKind.SCAN:
                yield "sequences", str(len(node.scanned))
        case Merge(arms=arms, mode=mode):
            yield from (("mode", mode.value), ("arms", ", ".join(map(str, arms))))
        case _:
            return


def shown(value: Attr) -> str:
    """An attribute's value for people."""
    match value:
        case bool():
            return "true" if value else "false"
        case Dtype():
            return value.value
        case Size():
            return str(value)
        case tuple():
            return "(" + ", ".join(map(shown, value)) + ")"
        case _:
            return str(value)


def _control(graph: Graph, edge: ControlEdge, ids: Mapping[NodeId, int]) -> ControlJson:
    gate = graph[edge.src]
    assert isinstance(gate, Gate)
    label = arm_label(gate, edge.arm)
    return ControlJson(source=ids[edge.src], target=ids[edge.dst], arm=edge.arm, term=edge.term, label=label)


def arm_label(gate: Gate, arm: int) -> str:
    """`easy`, `not easy`, `arm = 2`, `not pick[3]`."""
    positive = arm if arm >= 0 else ~arm
    match gate.kind:
        case GateKind.BOOL:
            return gate.name if (positive == 1) == (arm >= 0) else f"not {gate.name}"
        case GateKind.ONE:
            return f"{gate.name} {'=' if arm >= 0 else '!='} {positive}"
        case GateKind.MANY:
            return f"{'' if arm >= 0 else 'not '}{gate.name}[{positive}]"


__all__ = ["BATCH", "GraphJson", "arm_label", "document", "label"]
