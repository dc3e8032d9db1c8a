"""The program graph: one private networkx multigraph behind typed edit verbs.

The payload of a node is one frozen dataclass, the edge is the multigraph key; no other attribute exists.
Analyses read `wiring()`, never networkx. No pass logic lives here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from heapq import heappop, heappush
from operator import attrgetter
from typing import Any, TypeVar, cast

import networkx

from cogseedc.ir.nodes import ControlEdge, DataEdge, Edge, Loop, Node, NodeId, Value, Weight, output_types
from cogseedc.ir.types import TensorType

N = TypeVar("N", bound=Node)
_Edges = dict[NodeId, dict[NodeId, dict[Edge, dict[str, Any]]]]
"""By node, by neighbour: the edges between them, without attributes."""


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
    ascending: bool = True
    """Whether every edge is known to go to a larger id: the order is then that of ids."""
    _operands: dict[NodeId, tuple[Value | None, ...]] = field(default_factory=dict, compare=False, repr=False)
    """What was asked for once."""

    @cached_property
    def guarded(self) -> bool:
        """Whether some node has a guard."""
        return any(self.controls.values())

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
        held = cast(Any, self._graph)
        self._in: _Edges = held._pred
        self._out: _Edges = held._adj
        """The dicts of `_graph` itself, to be read: its views of them take many times as long."""
        self._payloads: dict[NodeId, Node] = {}  # what `_graph` holds too, in order of ids: read far more than written
        self._kinds: defaultdict[type, set[NodeId]] = defaultdict(set)
        self._next = 0
        self._wiring = Wiring({}, {}, {}, {}, ())
        self._changed: set[NodeId] = set()
        """Nodes at which edges have changed since `_wiring` was made."""
        self.edits = 0
        """How often it was edited: what was found out about it holds as long as this stays."""

    def add(self, node: Node, operands: Iterable[Value | None] = ()) -> NodeId:
        """Adds a node fed by `operands` in port order; None leaves a port open."""
        id = NodeId(self._next)
        self._next += 1
        self.edits += 1
        self._graph.add_node(id, node=node)
        self._payloads[id] = node
        self._kinds[type(node)].add(id)
        for port, value in enumerate(operands):
            if value is not None:
                self._graph.add_edge(value.node, id, key=DataEdge(value.node, value.port, id, port))
                self._changed.add(value.node)
        self._changed.add(id)
        return id

    def connect(self, edge: Edge) -> None:
        """Adds an edge; adding an equal one again changes nothing."""
        self._graph.add_edge(edge.src, edge.dst, key=edge)
        self._changed.update((edge.src, edge.dst))
        self.edits += 1

    def disconnect(self, edge: Edge) -> None:
        self._graph.remove_edge(edge.src, edge.dst, key=edge)
        self._changed.update((edge.src, edge.dst))
        self.edits += 1

    def update(self, id: NodeId, node: Node) -> None:
        """Swaps a payload; the wiring stays."""
        self._graph.nodes[id]["node"] = node
        self._kinds[type(self._payloads[id])].remove(id)
        self._kinds[type(node)].add(id)
        self._payloads[id] = node
        self.edits += 1

    def remove(self, ids: Iterable[NodeId]) -> None:
        """Removes nodes and all their edges."""
        gone = [id for id in dict.fromkeys(ids) if id in self._payloads]
        for id in gone:
            self._changed.update((id, *self._in[id], *self._out[id]))
            self._kinds[type(self._payloads.pop(id))].remove(id)
        self._graph.remove_nodes_from(gone)
        self.edits += 1

    def redirect(self, old: Value, new: Value, except_in: frozenset[NodeId] = frozenset()) -> None:
        """Feeds every consumer of `old` from `new`, but for those in `except_in`."""
        edges: list[Edge] = [edge for keys in self._out[old.node].values() for edge in keys]
        for edge in edges:
            if isinstance(edge, DataEdge) and edge.src_port == old.port and edge.dst not in except_in:
                self.disconnect(edge)
                self.connect(DataEdge(new.node, new.port, edge.dst, edge.dst_port))

    def __getitem__(self, id: NodeId) -> Node:
        return self._payloads[id]

    def feeds(self, id: NodeId) -> tuple[Value | None, ...]:
        """What feeds each operand port of one node; for builders, who edit between reads."""
        edges = [edge for keys in self._in[id].values() for edge in keys if isinstance(edge, DataEdge)]
        edges.sort(key=attrgetter("dst_port"))
        return _by_port(edges)

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
        for neighbours in self._out.values():
            for keys in neighbours.values():
                yield from keys

    def type(self, value: Value) -> TensorType:
        return output_types(self[value.node])[value.port]

    def wiring(self) -> Wiring:
        """The current snapshot; valid until the next edit of the topology."""
        if self._changed:
            self._wiring = _snapshot(self._in, self._out, self._wiring, self._changed)
            self._changed = set()
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
        for id, node in self._payloads.items():
            other._graph.add_node(id, node=node)
        for src, neighbours in self._out.items():  # no edge has attributes, so `add_edges_from` would do the same
            for dst, keys in neighbours.items():
                other._out[src][dst] = other._in[dst][src] = {key: {} for key in keys}
        other._payloads = dict(self._payloads)
        other._kinds.update((kind, set(ids)) for kind, ids in self._kinds.items())
        other._next = self._next
        other._wiring = self._wiring
        other._changed = set(self._changed)
        for id, loop in self.loops():
            other.update(id, replace(loop, body=loop.body.copy()))
        return other

    def as_networkx(self) -> networkx.MultiDiGraph[NodeId]:
        """A frozen view for drawing and for any networkx algorithm."""
        return self._graph.copy(as_view=True)


def _snapshot(into: _Edges, out: _Edges, known: Wiring, changed: Collection[NodeId]) -> Wiring:
    """The wiring; `known` is an earlier one, which is right but for the nodes that have `changed`."""
    ins, outs = dict(known.ins), dict(known.outs)
    controls, controlled = dict(known.controls), dict(known.controlled)
    operands = dict(known._operands)
    ascending = known.ascending
    for id in sorted(changed):
        operands.pop(id, None)
        if id not in out:
            for edges in (ins, outs, controls, controlled):
                cast(dict[NodeId, Any], edges).pop(id, None)
            continue
        ins[id], controls[id] = _sorted(into[id], _BY_PORT, _BY_TERM)
        outs[id], controlled[id] = _sorted(out[id], _BY_READER, _BY_GUARDED)
        ascending = ascending and all(id < reader for reader in out[id])
    order = tuple(sorted(ins)) if ascending else ()
    wiring = Wiring(ins, outs, controls, controlled, order, ascending, operands)
    return wiring if ascending else replace(wiring, order=_order(wiring))


_BY_PORT, _BY_TERM = attrgetter("dst_port"), attrgetter("term", "src", "arm")
_BY_READER, _BY_GUARDED = attrgetter("dst", "dst_port"), attrgetter("dst", "term", "arm")


def _sorted(
    edges: Mapping[NodeId, Iterable[Edge]], data: Callable[[Any], Any], control: Callable[[Any], Any]
) -> tuple[tuple[DataEdge, ...], tuple[ControlEdge, ...]]:
    """The edges of a node in one direction, by kind, each kind in its order."""
    if not edges:
        return (), ()
    values: list[DataEdge] = []
    guards: list[ControlEdge] = []
    for keys in edges.values():
        for edge in keys:
            if isinstance(edge, DataEdge):
                values.append(edge)
            else:
                guards.append(edge)
    if len(values) > 1:
        values.sort(key=data)
    if len(guards) > 1:
        guards.sort(key=control)
    return tuple(values), tuple(guards)


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
