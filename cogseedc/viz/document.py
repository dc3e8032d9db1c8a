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
    """One seed instance; `parent` is the container around it, "" for the program."""

    id: str
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
    sources: dict[str, str]


Macs = Callable[[NodeId], int]
Family = Callable[[str], str]


def document(
    graph: Graph,
    name: str,
    doc: str = "",
    macs: Macs = lambda _: 0,
    sources: Mapping[str, str] | None = None,
    family: Family = lambda _: "",
) -> GraphJson:
    """The graph as data.

    `macs` gives MACs per sample of a node, `family` the group that an operation belongs to in the catalogue,
    `sources` texts by file name.
    """
    containers: dict[str, ContainerJson] = {}
    nodes = [_node(id, node, macs, family, containers) for id, node in graph.nodes()]
    data = sorted((e for e in graph.edges() if isinstance(e, DataEdge)), key=lambda e: (e.dst, e.dst_port))
    controls = sorted(
        (e for e in graph.edges() if isinstance(e, ControlEdge)), key=lambda e: (e.dst, e.term, e.src, e.arm)
    )
    return GraphJson(
        schema=SCHEMA,
        name=name,
        doc=doc,
        nodes=nodes,
        containers=[containers[key] for key in sorted(containers)],
        edges=[EdgeJson(source=e.src, source_port=e.src_port, target=e.dst, target_port=e.dst_port) for e in data],
        controls=[_control(graph, e) for e in controls],
        sources=dict(sources or {}),
    )


def _node(id: NodeId, node: Node, macs: Macs, family: Family, containers: dict[str, ContainerJson]) -> NodeJson:
    origin = node.origin
    span = origin.span
    types = output_types(node)
    return NodeJson(
        id=id,
        kind=type(node).__name__.lower(),
        family=family(node.op) if isinstance(node, Call) else "",
        label=label(node),
        path=origin.path,
        container=_container(origin, containers),
        types=[str(t) for t in types],
        attributes=dict(_attributes(node)),
        macs=macs(id),
        parameters=(node.type.elements.value or 0) if isinstance(node, Weight) else 0,
        bits=precision(node),
        span=SpanJson(file=span.source.name, line=span.line, column=span.column) if span is not None else None,
    )


def _container(origin: Origin, containers: dict[str, ContainerJson]) -> str:
    """The innermost seed instance, made known with all around it; "" is the exported seed itself."""
    parent = ""
    for scope, seed in zip(origin.scope, origin.seeds, strict=True):
        if scope and scope not in containers:
            containers[scope] = ContainerJson(id=scope, label=seed, parent=parent)
        parent = scope
    return parent


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
        case _:
            return getattr(node, "name", type(node).__name__.lower())


def precision(node: Node) -> str:
    """The precision that a node works in, as `bits` spells it."""
    types = output_types(node)
    names = {Dtype.F32: "fp32", Dtype.F16: "fp16", Dtype.BF16: "bf16", Dtype.I8: "int8"}
    return names.get(types[0].dtype, types[0].dtype.value) if types else ""


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


def _control(graph: Graph, edge: ControlEdge) -> ControlJson:
    gate = graph[edge.src]
    assert isinstance(gate, Gate)
    return ControlJson(source=edge.src, target=edge.dst, arm=edge.arm, term=edge.term, label=arm_label(gate, edge.arm))


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
