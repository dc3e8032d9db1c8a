"""Which weights serve what: the objectives (exits, the end) that each one feeds, and those that only decide.

Read from the graph along data edges; of the values, nothing is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cogseedc.backends.names import names
from cogseedc.driver.program import Program
from cogseedc.driver.weights import weight_paths
from cogseedc.ir import Gate, Graph, Merge, MergeMode, NodeId, Output, Value, Weight


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
    weights = {id: keys[n.path] for id, n in graph.nodes() if isinstance(n, Weight) and n.trainable}
    starts = dict(_objectives(graph))
    feeds: dict[str, tuple[str | None, ...]] = dict.fromkeys(weights.values(), ())
    for name, values in starts.items():
        for id in _behind(graph, values) & weights.keys():
            feeds[weights[id]] = (*feeds[weights[id]], name)
    return Roles(tuple(starts), feeds, frozenset(weights[id] for id in _deciding(graph) & weights.keys()))


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


def _deciding(graph: Graph) -> set[NodeId]:
    """Nodes that only decide; a router that also weighs what its arms give is one of them."""
    wiring = graph.wiring()
    gates = [id for id, node in graph.nodes() if isinstance(node, Gate)]
    operands = tuple(value for id in gates for value in wiring.operands(id) if value is not None)
    outputs = tuple(v for _, values in _objectives(graph) for v in values)
    return _behind(graph, operands) - _behind(graph, outputs, scores=False)
