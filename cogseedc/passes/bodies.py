"""The ports of a loop and of its body, and edits of both at once. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cogseedc.ir import Graph, Input, Loop, NodeId, Output, TensorType, Value
from cogseedc.passes.rewrite import feed


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


@dataclass(frozen=True, slots=True)
class Carry:
    """A carry to be: where it begins, and in the body what follows the value that it has before the turn."""

    initial: Value
    type: TensorType
    held: tuple[int, ...]
    """Positions of the axes of the boolean that stops."""
    following: Callable[[Value], Value]


def add_carries(graph: Graph, id: NodeId, added: Sequence[Carry]) -> tuple[Value, ...]:
    """Gives a loop further carries; what they are in the end.

    Carries come before elements and captures, and before yields, by id: the ports of those are made anew.
    """
    loop = graph[id]
    assert isinstance(loop, Loop)
    at, body = ports(loop), loop.body
    given, first = graph.feeds(id), loop.carries
    before = [Value(body.add(Input(free_name(body, "carried"), carry.type))) for carry in added]
    renew(body, (*at.elements, *at.captures))
    for carry, value in zip(added, before, strict=True):
        body.add(Output(free_name(body, "carried"), carry.type), (carry.following(value),))
    for node in (*at.yields, *(() if at.stop is None else (at.stop,))):
        body.add(body[node], body.feeds(node))
        body.remove([node])
    operands = [*given[:first], *(carry.initial for carry in added), *given[first:]]
    feed(graph, id, [value for value in operands if value is not None])
    held = (*loop.held[:first], *(carry.held for carry in added), *loop.held[first:])
    types = (*loop.types, *(carry.type for carry in added))
    graph.update(id, replace(loop, carries=first + len(added), held=held, types=types))
    return tuple(Value(id, len(loop.types) + i) for i in range(len(added)))


def add_carry(graph: Graph, id: NodeId, first: Value, following: Value) -> Value:
    """Gives a loop that does not halt a further carry, the last: `first` at first, then that value of the body. What it
    is before a turn, in the body."""
    loop = graph[id]
    assert isinstance(loop, Loop)
    before: list[Value] = []

    def after(value: Value) -> Value:
        before.append(value)
        return following

    add_carries(graph, id, [Carry(first, loop.body.type(following), (), after)])
    return before[0]


def renew(body: Graph, inputs: Sequence[NodeId]) -> None:
    """Makes inputs anew, behind all that there are."""
    for node in inputs:
        body.redirect(Value(node), Value(body.add(body[node])))
    body.remove(inputs)


def free_name(body: Graph, wanted: str) -> str:
    """A name that no port of the body has."""
    taken = {node.name for _, node in body.nodes() if isinstance(node, (Input, Output))}
    name, place = wanted, 2
    while name in taken:
        name, place = f"{wanted}_{place}", place + 1
    return name


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
