"""What a network has cost at each exit when nothing is skipped: all that is written before it, whoever reads it.

So count those who publish a cost for each classifier of a network that is otherwise static.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cogseedc.analysis.cost import node_cost, numbers
from cogseedc.analysis.counting import Rule
from cogseedc.ir import Exit, Graph, Loop, Node, NodeId, Ops, Output, Weight


@dataclass(frozen=True, slots=True)
class Passed:
    """Per sample, from the start of the program to an exit; `path` is None for the end."""

    path: str | None
    macs: int
    params: int
    """Trainable numbers of the weights up to there."""


def passed(graph: Graph, ops: Ops, rule: Rule, sizes: Mapping[str, int]) -> tuple[tuple[Passed, ...], tuple[str, ...]]:
    """The cost at each exit, in order, the end last; and the symbols whose size was not given.

    The graph is the program as written, before any pass. Where an exit stands is where its text does; one that the
    compiler placed stands behind the value that it was placed at.
    """
    costs = {id: node_cost(graph, ops, id, rule) for id, _ in graph.nodes()}
    number, assumed = numbers(costs.values(), sizes)
    found, macs, params, known = list[Passed](), 0, 0, set[str]()
    for id in _written(graph):
        node = graph[id]
        macs += number(costs[id].macs)
        for path, weight in _weights(node):
            params += number(weight.type.elements) if weight.trainable and path not in known else 0
            known.add(path)
        if isinstance(node, Exit):
            found.append(Passed(node.name, macs, params))
    return (*found, Passed(None, macs, params)), assumed


def _weights(node: Node) -> Iterable[tuple[str, Weight]]:
    """The weight that a node is, or those that the body of a loop reads."""
    match node:
        case Weight(path=path):
            return ((path, node),)
        case Loop(body=body):
            return body.weights().items()
    return ()


def _written(graph: Graph) -> Iterator[NodeId]:
    """All nodes in the order of the text: that of ids, but for exits that were placed when the rest was there."""
    last = max(id for id, _ in graph.of(Output))
    placed: dict[NodeId, list[NodeId]] = {}
    head = list[NodeId]()
    for id, node in graph.nodes():
        if id > last:
            head.append(id)
            if isinstance(node, Exit):
                placed.setdefault(_place(graph, head, last), []).extend(head)
                head = []
    for id, _ in graph.nodes():
        if id <= last:
            yield id
            yield from placed.get(id, ())
    yield from head


def _place(graph: Graph, head: list[NodeId], last: int) -> NodeId:
    """The latest node of the text that a head reads, other than weights, which are read anywhere."""
    ins = graph.wiring().ins
    read = {edge.src for id in head for edge in ins[id] if edge.src <= last}
    return max(id for id in read if not isinstance(graph[id], Weight))
