"""What is settled in a program before it is built: defaults of knobs, and arms that no decision is left to take.

Part of the settings, so that the artifact says it and verification means the same program. Folding is exact for the
inputs whose decisions take the arms that are left, and for no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.ir import DataEdge, Exit, Gate, Graph, Knob, Merge, MergeMode, NodeId, Return
from cogseedc.passes.rewrite import keep_arms


def settle(
    graph: Graph, knobs: Sequence[tuple[str, tuple[float, ...]]], arms: Sequence[tuple[str, tuple[int, ...]]]
) -> None:
    """Edits an elaborated graph: each knob in `knobs` gets its values, each gate or exit in `arms` only those arms.

    One value stands for all elements of a knob. Raises UserError CS0846 for a knob, CS0910 for a gate that does not
    fit.
    """
    if knobs:
        found = {node.name: (id, node) for id, node in graph.of(Knob)}
        for name, values in knobs:
            _set_knob(graph, found, name, values)
    if arms:
        _keep(graph, dict(arms))


def _set_knob(graph: Graph, known: Mapping[str, tuple[NodeId, Knob]], name: str, values: tuple[float, ...]) -> None:
    if name not in known:
        raise UserError(Diagnostic("CS0846", f"there is no knob `{name}`", help=f"knobs: {', '.join(known) or 'none'}"))
    id, knob = known[name]
    count = prod(size.value or 0 for size in knob.type.shape)
    if len(values) not in (1, count):
        raise UserError(Diagnostic("CS0846", f"knob `{name}` has {count} elements, not {len(values)}"))
    outside = [v for v in values if not knob.low <= v <= knob.high]
    if outside:
        message = f"knob `{name}` is {outside[0]:g}, out of its range {knob.low:g} .. {knob.high:g}"
        raise UserError(Diagnostic("CS0846", message))
    graph.update(id, replace(knob, default=tuple(values) * (count if len(values) == 1 else 1)))


def _keep(graph: Graph, arms: Mapping[str, tuple[int, ...]]) -> None:
    levels = [level for level, _ in graph.nested()]
    counts: dict[str, int] = {}
    for level in levels:
        counts |= {node.name: node.arms for _, node in level.of(Gate)}
        counts |= {node.name: 2 for _, node in level.of(Exit)}
    for name, kept in arms.items():
        if not kept or not set(kept) <= set(range(counts.get(name, 0))):
            known = ", ".join(counts) or "none"
            raise UserError(
                Diagnostic("CS0910", f"there is no gate `{name}` with the arms {kept}", help=f"gates: {known}")
            )
    for level in levels:
        _keep_in(level, arms)


def _keep_in(graph: Graph, arms: Mapping[str, tuple[int, ...]]) -> None:
    """The same in the program, or in the body of a loop."""
    gates = {node.name: id for id, node in graph.of(Gate)}
    exits = {node.name: id for id, node in graph.of(Exit)}
    for id, node in list(graph.nodes()):
        if isinstance(node, Merge):
            _keep_of_join(graph, id, node, {gate: arms[name] for name, gate in gates.items() if name in arms})
    for name, id in exits.items():
        if name in arms and id in graph:
            _settle_exit(graph, id, taken=1 in arms[name], left=0 in arms[name])


def _keep_of_join(graph: Graph, id: NodeId, merge: Merge, arms: Mapping[NodeId, tuple[int, ...]]) -> None:
    """A join without the arms that are gone; the last that is left of a choice needs no decision."""
    count = len(merge.arms)
    operands = graph.feeds(id)
    asked = [gate.node for gate in operands[count : 2 * count] if gate is not None]
    pairs = list(enumerate(zip(asked, merge.arms, strict=True)))
    kept = [i for i, (gate, arm) in pairs if gate not in arms or arm in arms[gate]]
    if merge.mode is not MergeMode.SELECT:
        if len(kept) < count:
            keep_arms(graph, id, merge, kept, operands[2 * count] if merge.otherwise else None)
        return
    # The first arm whose gate has nothing else left takes all that come to it.
    sure = next((i for i, (gate, arm) in pairs if gate in arms and arms[gate] == (arm,)), None)
    if sure is not None:
        keep_arms(graph, id, merge, [i for i in kept if i < sure], operands[sure])
    elif len(kept) < count:
        rest = operands[2 * count] if merge.otherwise else operands[kept[-1]]
        keep_arms(graph, id, merge, kept if merge.otherwise else kept[:-1], rest)


def _settle_exit(graph: Graph, id: NodeId, taken: bool, left: bool) -> None:
    """An exit that is never taken goes; one that is always taken ends its seed, with all exits behind it."""
    exit = graph[id]
    assert isinstance(exit, Exit)
    if taken and left:
        return
    if taken:
        values = graph.feeds(id)[1:]
        for other, node in list(graph.nodes()):
            if isinstance(node, Exit) and node.scope == exit.scope and node.order > exit.order:
                graph.remove([other])
            elif isinstance(node, Return) and node.scope == exit.scope:
                for port, (old, new) in enumerate(zip(graph.feeds(other), values, strict=True)):
                    assert old is not None, "the verifier found every port of a return fed"
                    assert new is not None, "the verifier found every port of an exit fed"
                    graph.disconnect(DataEdge(old.node, old.port, other, port))
                    graph.connect(DataEdge(new.node, new.port, other, port))
    graph.remove([id])
