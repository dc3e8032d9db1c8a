"""The ports of a loop and of its body, and edits of both at once. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cogseedc.ir import DataEdge, Graph, Input, Loop, NodeId, Output, Value


@dataclass(frozen=True, slots=True)
class Ports:
    """The inputs and outputs of a body, in the order of the loop's ports."""

    carries: tuple[NodeId, ...]
    elements: tuple[NodeId, ...]
    captures: tuple[NodeId, ...]
    following: tuple[NodeId, ...]
    """What the carries are after the turn."""
    yields: tuple[NodeId, ...]
    stop: NodeId | None

    @property
    def inputs(self) -> tuple[NodeId, ...]:
        return (*self.carries, *self.elements, *self.captures)


def ports(loop: Loop) -> Ports:
    inputs = [id for id, node in loop.body.of(Input)]
    outputs = [id for id, node in loop.body.of(Output)]
    first, second = loop.carries, loop.carries + len(loop.scanned)
    return Ports(
        tuple(inputs[:first]),
        tuple(inputs[first:second]),
        tuple(inputs[second:]),
        tuple(outputs[:first]),
        tuple(outputs[first : len(loop.types)]) if loop.active is None else (),
        outputs[-1] if loop.halts else None,
    )


def feed(graph: Graph, id: NodeId, operands: Sequence[Value]) -> None:
    """Feeds a node with these operands instead of those that it has."""
    for port, value in enumerate(graph.feeds(id)):
        if value is not None:
            graph.disconnect(DataEdge(value.node, value.port, id, port))
    for port, value in enumerate(operands):
        graph.connect(DataEdge(value.node, value.port, id, port))


def free_name(body: Graph, wanted: str) -> str:
    """A name that no input or output of a body has."""
    taken = {node.name for _, node in body.nodes() if isinstance(node, (Input, Output))}
    name, place = wanted, 2
    while name in taken:
        name, place = f"{wanted}_{place}", place + 1
    return name


def add_carry(graph: Graph, id: NodeId, first: Value, following: Value) -> Value:
    """Gives a loop that does not halt a further carry, the last: `first` at first, then that value of the body. What it
    is before a turn, in the body.

    Inputs and outputs are in the order of their ids, so those that come behind are made anew.
    """
    loop = graph[id]
    assert isinstance(loop, Loop)
    at, body = ports(loop), loop.body
    given = graph.feeds(id)
    type = body.type(following)
    held = Value(body.add(Input(free_name(body, "carried"), type)))
    for node in (*at.elements, *at.captures):
        body.redirect(Value(node), Value(body.add(body[node])))
    body.remove([*at.elements, *at.captures])
    body.add(Output(free_name(body, "following"), type), (following,))
    for node in at.yields:
        body.add(body[node], body.feeds(node))
    body.remove(at.yields)
    operands = [*given[: loop.carries], first, *given[loop.carries :]]
    feed(graph, id, [value for value in operands if value is not None])
    held_axes = (*loop.held[: loop.carries], (), *loop.held[loop.carries :])
    graph.update(id, replace(loop, carries=loop.carries + 1, held=held_axes, types=(*loop.types, type)))
    return held


def behind(graph: Graph, roots: Sequence[NodeId]) -> set[NodeId]:
    """The nodes, and all that they are computed from."""
    ins = graph.wiring().ins
    found = set(roots)
    stack = list(roots)
    while stack:
        for edge in ins[stack.pop()]:
            if edge.src not in found:
                found.add(edge.src)
                stack.append(edge.src)
    return found
