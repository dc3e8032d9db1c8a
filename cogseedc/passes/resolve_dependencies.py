"""Validates the instances of a built graph and drops those that nothing uses. Reads no file: building did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from cogseedc.diagnostics import InternalError
from cogseedc.ir import Exit, Graph, Input, Knob, Loss, Node, NodeId, Origin, Output, Return, Weight
from cogseedc.passes.base import Context, Pass


@dataclass(frozen=True)
class ResolveDependencies(Pass):
    """Imports, versions and cycles are settled while the graph is built; what is left is to prove that the
    record of it holds. Every instance path names one seed, lies in one parent, and a seed's level is not
    below that of a seed that it uses. Then whatever reaches no output and no loss goes (the exits of a seed with
    its return), with the weights that only it read; in training weights stay, as they are the state dict's.

    Raises InternalError when the record is inconsistent: the frontend lets no such program pass.
    """

    name: ClassVar[str] = "resolve-dependencies"

    def run(self, graph: Graph, context: Context) -> bool:
        _check_instances(graph)
        unused = _unused(graph, keep_weights=context.training)
        graph.remove(unused)
        return bool(unused)


def _check_instances(graph: Graph) -> None:
    seeds: dict[str, str] = {}
    parents: dict[str, str] = {}
    levels: dict[str, int] = {}
    for id, node in graph.nodes():
        origin = node.origin
        for path, seed, parent in _instances(id, origin):
            if seeds.setdefault(path, seed) != seed:
                raise InternalError(f"the instance {path!r} is of {seeds[path]} and of {seed}")
            if parents.setdefault(path, parent) != parent:
                raise InternalError(f"the instance {path!r} lies in {parents[path]!r} and in {parent!r}")
        if origin.scope and origin.level is not None:
            levels.setdefault(origin.scope[-1], origin.level)
    for path, level in levels.items():
        above = levels.get(parents[path])
        if above is not None and above < level:
            raise InternalError(f"the instance {path!r} of level {level} is used at level {above}")


def _instances(id: NodeId, origin: Origin) -> Iterator[tuple[str, str, str]]:
    """(path, seed, parent's path) of each seed call around a node."""
    if len(origin.scope) != len(origin.seeds):
        raise InternalError(f"node {id} lies in {len(origin.scope)} instances of {len(origin.seeds)} seeds")
    parent = ""
    for path, seed in zip(origin.scope, origin.seeds, strict=True):
        yield path, seed, parent
        parent = path


def _unused(graph: Graph, keep_weights: bool) -> list[NodeId]:
    """What reaches none of the roots. An exit is reached from the return of its scope, and goes with it."""
    roots: list[type[Node]] = [Output, Loss, Input, Knob, *([Weight] if keep_weights else [])]
    ins = graph.wiring().ins
    exits: dict[str, list[NodeId]] = {}
    for id, exit in graph.of(Exit):
        exits.setdefault(exit.scope, []).append(id)
    returns = {id: node.scope for id, node in graph.of(Return)}
    waiting = [id for kind in roots for id, _ in graph.of(kind)]
    used = set(waiting)
    while waiting:
        id = waiting.pop()
        asked = [edge.src for edge in ins[id]]
        if id in returns:
            asked += exits.get(returns[id], [])
        for other in asked:
            if other not in used:
                used.add(other)
                waiting.append(other)
    return [id for id, _ in graph.nodes() if id not in used]
