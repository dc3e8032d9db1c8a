"""Which weights serve what: the objectives (exits, the end) that each one feeds, and those that only decide.

Read from the graph along data edges; of the values, nothing is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cogseedc.backends.names import names
from cogseedc.driver.program import Program
from cogseedc.driver.weights import weight_paths
from cogseedc.ir import Gate, Graph, Loop, Merge, MergeMode, NodeId, Output, Value, Weight


@dataclass(frozen=True)
class Roles:
    """Everything by state-dict key; only trainable weights."""

    objectives: tuple[str | None, ...]
    """The exits of the exported seed in order; None, the last, is the end."""
    feeds: dict[str, tuple[str | None, ...]]
    """Objectives that a weight feeds."""
    gates: frozenset[str]
    """Weights that reach a decision, and no output but through one."""

    def own(self, objective: str | None) -> frozenset[str]:
        """Weights that feed an objective and none before it."""
        before = self.objectives[: self.objectives.index(objective)]
        return frozenset(
            key for key, fed in self.feeds.items() if objective in fed and not any(other in fed for other in before)
        )


def roles(program: Program) -> Roles:
    """The roles of a program's weights."""
    graph = program.structure
    keys = names(weight_paths(program.elaborated.graph)).keys
    starts = dict(_objectives(graph))
    trainable = [path for path, node in graph.weights().items() if node.trainable]
    feeds: dict[str, tuple[str | None, ...]] = {keys[path]: () for path in trainable}
    for name, values in starts.items():
        for path in _weights(graph, _behind(graph, values)):
            feeds[keys[path]] = (*feeds[keys[path]], name)
    outputs = tuple(value for values in starts.values() for value in values)
    return Roles(tuple(starts), feeds, frozenset(keys[path] for path in _deciding(graph, outputs)))


def _weights(graph: Graph, nodes: Iterable[NodeId]) -> set[str]:
    """Paths of the trainable weights among some nodes, and of those that loops among them compute from."""
    found: set[str] = set()
    for id in nodes:
        node = graph[id]
        if isinstance(node, Weight) and node.trainable:
            found.add(node.path)
        elif isinstance(node, Loop):
            found |= _weights(node.body, _behind(node.body, _given(node.body)))
    return found


def _given(body: Graph) -> tuple[Value, ...]:
    """What a body gives: carries, yields, and what stops it."""
    wiring = body.wiring()
    outputs = (id for id, node in body.nodes() if isinstance(node, Output))
    return tuple(value for id in outputs for value in wiring.operands(id) if value is not None)


def _objectives(graph: Graph) -> Iterator[tuple[str | None, tuple[Value, ...]]]:
    """Each exit through which an output may come, with the values that it gives; the end last."""
    wiring, exits, ends = graph.wiring(), dict[str, tuple[Value, ...]](), list[Value]()
    stack = [v for id, node in graph.nodes() if isinstance(node, Output) for v in wiring.operands(id) if v is not None]
    while stack:
        value = stack.pop()
        merge = graph[value.node]
        named = _exits(graph, value.node) if isinstance(merge, Merge) else []
        if not named:
            ends.append(value)
            continue
        operands = wiring.operands(value.node)
        for name, arm in zip(named, operands, strict=False):
            assert arm is not None, "the verifier found every arm fed"
            exits[name] = (*exits.get(name, ()), arm)
        rest = operands[2 * len(named)]
        assert rest is not None, "the verifier found the rest fed"
        stack.append(rest)
    for _, node in graph.nodes():
        if isinstance(node, Gate) and node.exit in exits:
            yield node.exit, exits[node.exit]
    yield None, tuple(ends)


def _exits(graph: Graph, id: NodeId) -> list[str]:
    """The exits that a join chooses by; empty for any other join."""
    merge = graph[id]
    assert isinstance(merge, Merge)
    count = len(merge.arms)
    deciders = [graph[v.node] for v in graph.wiring().operands(id)[count : 2 * count] if v is not None]
    found = [g.exit for g in deciders if isinstance(g, Gate) and g.exit is not None]
    return found if len(found) == count and merge.otherwise else []


def _behind(graph: Graph, values: tuple[Value, ...], scores: bool = True) -> set[NodeId]:
    """Nodes that values are computed from, not through decisions; without `scores`, not through weights of arms."""
    wiring = graph.wiring()
    seen = {value.node for value in values}
    stack = list(seen)
    while stack:
        id = stack.pop()
        node, edges = graph[id], wiring.ins[id]
        if isinstance(node, Gate):
            continue
        if isinstance(node, Merge) and node.mode is MergeMode.WEIGHTED_SUM and not scores:
            edges = edges[:-1]
        for edge in edges:
            if edge.src not in seen:
                seen.add(edge.src)
                stack.append(edge.src)
    return seen


def _deciding(graph: Graph, outputs: tuple[Value, ...]) -> set[str]:
    """Weights that only decide, also in loops; a router that also weighs what its arms give is one of them."""
    wiring = graph.wiring()
    gates = [id for id, node in graph.nodes() if isinstance(node, Gate)]
    operands = tuple(value for id in gates for value in wiring.operands(id) if value is not None)
    found = _weights(graph, _behind(graph, operands))
    for _, loop in graph.loops():
        found |= _deciding(loop.body, _given(loop.body))
    return found - _weights(graph, _behind(graph, outputs, scores=False))
