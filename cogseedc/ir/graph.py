"""The program graph: one private networkx multigraph behind typed edit verbs.

The payload of a node is one frozen dataclass, the edge is the multigraph key; no other attribute exists.
Analyses read `wiring()`, never networkx. No pass logic lives here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from operator import attrgetter
from typing import Any, TypeVar, cast

import networkx

from cogseedc.ir.nodes import ControlEdge, DataEdge, Edge, Loop, Node, NodeId, Value, Weight, output_types
from cogseedc.ir.types import TensorType

N = TypeVar("N", bound=Node)


@dataclass(frozen=True)
class Wiring:
    """A snapshot of the edges; edges per node are sorted by port (data) or by gate (control)."""

    ins: dict[NodeId, tuple[DataEdge, ...]]
    outs: dict[NodeId, tuple[DataEdge, ...]]
    controls: dict[NodeId, tuple[ControlEdge, ...]]
    """Control edges into each node."""
    controlled: dict[NodeId, tuple[ControlEdge, ...]]
    """Control edges out of each gate."""
    order: tuple[NodeId, ...]
    """Topological order over both kinds of edges; ready nodes leave by id."""
    _operands: dict[NodeId, tuple[Value | None, ...]] = field(default_factory=dict, compare=False, repr=False)
    """What was asked for once."""

    def operand(self, node: NodeId, port: int) -> Value | None:
        """What feeds an operand port, if anything does."""
        for e in self.ins[node]:
            if e.dst_port == port:
                return Value(e.src, e.src_port)
        return None

    def operands(self, node: NodeId) -> tuple[Value | None, ...]:
        """What feeds each port, from 0 to the last one that is fed; None where nothing does."""
        known = self._operands.get(node)
        if known is None:
            known = self._operands[node] = _by_port(self.ins[node])
        return known


def _by_port(edges: Sequence[DataEdge]) -> tuple[Value | None, ...]:
    result: list[Value | None] = [None] * (edges[-1].dst_port + 1 if edges else 0)
    for e in edges:
        result[e.dst_port] = Value(e.src, e.src_port)
    return tuple(result)


class Graph:
    """A typed, acyclic program graph. Node ids are never reused."""

    def __init__(self) -> None:
        self._graph: networkx.MultiDiGraph[NodeId] = networkx.MultiDiGraph()
        self._payloads: dict[NodeId, Node] = {}  # what `_graph` holds too, in order of ids: read far more than written
        self._kinds: dict[type, set[NodeId]] = {}
        self._next = 0
        self._wiring: Wiring | None = None

    def add(self, node: Node, operands: Iterable[Value | None] = ()) -> NodeId:
        """Adds a node fed by `operands` in port order; None leaves a port open."""
        id = NodeId(self._next)
        self._next += 1
        self._graph.add_node(id, node=node)
        self._payloads[id] = node
        self._kinds.setdefault(type(node), set()).add(id)
        for port, value in enumerate(operands):
            if value is not None:
                self._add_edge(DataEdge(value.node, value.port, id, port))
        self._wiring = None
        return id

    def connect(self, edge: Edge) -> None:
        """Adds an edge; adding an equal one again changes nothing."""
        self._add_edge(edge)
        self._wiring = None

    def disconnect(self, edge: Edge) -> None:
        self._graph.remove_edge(edge.src, edge.dst, key=edge)
        self._wiring = None

    def update(self, id: NodeId, node: Node) -> None:
        """Swaps a payload; the wiring stays."""
        self._graph.nodes[id]["node"] = node
        self._kinds[type(self._payloads[id])].remove(id)
        self._kinds.setdefault(type(node), set()).add(id)
        self._payloads[id] = node

    def remove(self, ids: Iterable[NodeId]) -> None:
        """Removes nodes and all their edges."""
        gone = [id for id in dict.fromkeys(ids) if id in self._payloads]
        self._graph.remove_nodes_from(gone)
        for id in gone:
            self._kinds[type(self._payloads.pop(id))].remove(id)
        if gone:
            self._wiring = None

    def redirect(self, old: Value, new: Value, except_in: frozenset[NodeId] = frozenset()) -> None:
        """Feeds every consumer of `old` from `new`, but for those in `except_in`."""
        for _, dst, edge in list(self._graph.out_edges(old.node, keys=True)):
            if isinstance(edge, DataEdge) and edge.src_port == old.port and dst not in except_in:
                self._graph.remove_edge(old.node, dst, key=edge)
                self._add_edge(DataEdge(new.node, new.port, dst, edge.dst_port))
                self._wiring = None

    def __getitem__(self, id: NodeId) -> Node:
        return self._payloads[id]

    def feeds(self, id: NodeId) -> tuple[Value | None, ...]:
        """What feeds each operand port of one node; for builders, who edit between reads."""
        edges = (key for _, _, key in self._graph.in_edges(id, keys=True) if isinstance(key, DataEdge))
        return _by_port(sorted(edges, key=lambda e: e.dst_port))

    @property
    def next_id(self) -> int:
        """The id that the next added node gets."""
        return self._next

    def __contains__(self, id: NodeId) -> bool:
        return id in self._payloads

    def __len__(self) -> int:
        return len(self._payloads)

    def nodes(self) -> Iterator[tuple[NodeId, Node]]:
        """All nodes, by id; nodes that are added meanwhile do not appear."""
        ids = list(self._payloads)
        return zip(ids, map(self._payloads.__getitem__, ids), strict=True)

    def of(self, kind: type[N]) -> Iterator[tuple[NodeId, N]]:
        """The nodes of one kind, by id; takes no time for the others."""
        ids = sorted(self._kinds.get(kind, ()))
        return zip(ids, map(cast(dict[NodeId, N], self._payloads).__getitem__, ids), strict=True)

    def edges(self) -> Iterator[Edge]:
        """All edges, unsorted."""
        for _, _, key in self._graph.edges(keys=True):
            yield key

    def type(self, value: Value) -> TensorType:
        return output_types(self[value.node])[value.port]

    def wiring(self) -> Wiring:
        """The current snapshot; valid until the next edit of the topology."""
        if self._wiring is None:
            self._wiring = _snapshot(self._graph)
        return self._wiring

    def loops(self) -> Iterator[tuple[NodeId, Loop]]:
        """The loops of this graph, by id; those in their bodies are not among them."""
        return self.of(Loop)

    def nested(self, around: tuple[Loop, ...] = ()) -> Iterator[tuple[Graph, tuple[Loop, ...]]]:
        """This graph and the bodies of all its loops, each with the loops around it, outermost first."""
        yield self, around
        for _, loop in self.loops():
            yield from loop.body.nested((*around, loop))

    def weights(self) -> dict[str, Weight]:
        """All weights by path, also those that only bodies of loops read: in their own order, outermost first."""
        return {node.path: node for graph, _ in self.nested() for _, node in graph.of(Weight)}

    def copy(self) -> Graph:
        """An independent graph with the same ids; payloads are shared, but for bodies of loops, which are copied."""
        other = Graph()
        other._graph = self._graph.copy()
        other._payloads = dict(self._payloads)
        other._kinds = {kind: set(ids) for kind, ids in self._kinds.items()}
        other._next = self._next
        other._wiring = self._wiring
        for id, loop in self.loops():
            other.update(id, replace(loop, body=loop.body.copy()))
        return other

    def as_networkx(self) -> networkx.MultiDiGraph[NodeId]:
        """A frozen view for drawing and for any networkx algorithm."""
        return self._graph.copy(as_view=True)

    def _add_edge(self, edge: Edge) -> None:
        self._graph.add_edge(edge.src, edge.dst, key=edge)


def _snapshot(graph: networkx.MultiDiGraph[NodeId]) -> Wiring:
    ins: dict[NodeId, list[DataEdge]] = {n: [] for n in graph}
    outs: dict[NodeId, tuple[DataEdge, ...]] = {}
    controls: dict[NodeId, list[ControlEdge]] = {}
    controlled: dict[NodeId, list[ControlEdge]] = {}
    ascending = True
    for src, neighbours in graph.adjacency():
        own: list[DataEdge] = []
        for dst, keys in neighbours.items():
            ascending &= src < dst
            key: Any
            for key in keys:
                if isinstance(key, DataEdge):
                    ins[dst].append(key)
                    own.append(key)
                else:
                    controls.setdefault(dst, []).append(key)
                    controlled.setdefault(src, []).append(key)
        if len(own) > 1:
            own.sort(key=attrgetter("dst", "dst_port"))
        outs[src] = tuple(own)
    wiring = Wiring(
        _sorted(ins, attrgetter("dst_port")),
        outs,
        {**dict.fromkeys(graph, ()), **_sorted(controls, attrgetter("term", "src", "arm"))},
        {**dict.fromkeys(graph, ()), **_sorted(controlled, attrgetter("dst", "term", "arm"))},
        tuple(sorted(graph)) if ascending else (),
    )
    return wiring if ascending else replace(wiring, order=_order(wiring))


_E = TypeVar("_E", DataEdge, ControlEdge)


def _sorted(edges: dict[NodeId, list[_E]], key: Callable[[_E], Any]) -> dict[NodeId, tuple[_E, ...]]:
    return {n: tuple(sorted(es, key=key) if len(es) > 1 else es) for n, es in edges.items()}


def _order(wiring: Wiring) -> tuple[NodeId, ...]:
    """Of all topological orders the first by ids; where all edges go to larger ids, that is the order of ids."""
    waiting = {n: len(edges) + len(wiring.controls[n]) for n, edges in wiring.ins.items()}
    ready: list[NodeId] = sorted(n for n, count in waiting.items() if not count)
    order: list[NodeId] = []
    while ready:
        node = heappop(ready)
        order.append(node)
        after: tuple[DataEdge, ...] | tuple[ControlEdge, ...]
        for after in (wiring.outs[node], wiring.controlled[node]):
            for edge in after:
                waiting[edge.dst] -= 1
                if not waiting[edge.dst]:
                    heappush(ready, edge.dst)
    assert len(order) == len(waiting), "the graph has a cycle"
    return tuple(order)
