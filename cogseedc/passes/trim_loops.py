"""Takes carries, yields, sequences and captures that nobody needs away from loops. Moves no computation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from cogseedc.ir import Constant, Graph, Input, Knob, Loop, Loss, NodeId, Output, Phase, Value, Weight
from cogseedc.passes.base import Context, Pass
from cogseedc.passes.bodies import Ports, behind, ports
from cogseedc.passes.rewrite import feed


@dataclass(frozen=True)
class TrimLoops(Pass):
    """Demand of a loop's results: a yield that nobody reads goes; a carry goes that nobody reads and on which nothing
    depends that stays (a fixpoint from none); so do the sequences and captures that only these read.

    What computed them in the body goes with them. The number of turns stays.
    """

    name: ClassVar[str] = "trim-loops"
    requires: ClassVar[Phase] = Phase.JOINED

    def run(self, graph: Graph, context: Context) -> bool:
        changed = False
        for id, loop in reversed(list(graph.loops())):
            changed |= _drop_unread(graph, context.training)
            if id in graph:
                changed |= _trim(graph, id, loop, {edge.src_port for edge in graph.wiring().outs[id]})
        return changed


def _drop_unread(graph: Graph, training: bool) -> bool:
    """Removes what no output needs."""
    roots = [id for id, _ in graph.of(Output)] + [id for id, _ in graph.of(Loss) if training]
    needed = behind(graph, roots)
    sources = (Input, Weight, Knob, Constant)
    unread = [id for id, node in graph.nodes() if id not in needed and not isinstance(node, sources)]
    graph.remove(unread)
    return bool(unread)


def _trim(graph: Graph, id: NodeId, loop: Loop, live: set[int]) -> bool:
    at = ports(loop)
    carries, reached = _needed(loop, at, live)
    yields = [i for i in range(loop.yields) if i in live]
    kept = [place in carries for place in range(loop.carries)]
    kept += [node in reached for node in (*at.elements, *at.captures)]
    kept += [True] if loop.active is not None else []
    if (all(kept) and len(yields) == loop.yields) or not (carries or yields):
        return False
    operands = graph.feeds(id)
    _shrink(loop.body, at, carries, yields, kept, reached)
    results = [*yields, *(loop.yields + i for i in carries)]
    node = replace(
        loop,
        carries=len(carries),
        scanned=tuple(axis for i, axis in enumerate(loop.scanned, loop.carries) if kept[i]),
        stacked=tuple(loop.stacked[i] for i in yields) if loop.stacked else (),
        held=tuple(loop.held[i] for i in [*carries, *(loop.carries + i for i in yields)]),
        types=tuple(loop.types[i] for i in results),
        echoes=tuple(carries.index(loop.echoes[i]) for i in yields) if loop.echoes else (),
    )
    feed(graph, id, [value for value, keep in zip(operands, kept, strict=True) if keep and value is not None])
    graph.update(id, node)
    for new, old in enumerate(results):
        if new != old:
            graph.redirect(Value(id, old), Value(id, new))
    return True


def _needed(loop: Loop, at: Ports, live: set[int]) -> tuple[list[int], set[NodeId]]:
    """The carries that are needed, and the nodes of the body behind all that is."""
    carries = {i for i in range(loop.carries) if loop.yields + i in live}
    carries |= {carry for i, carry in enumerate(loop.echoes) if i in live}
    wanted = [node for i, node in enumerate(at.yields) if i in live] + ([at.stop] if at.stop is not None else [])
    while True:
        reached = behind(loop.body, [*wanted, *(at.following[i] for i in sorted(carries))])
        found = {i for i, node in enumerate(at.carries) if node in reached}
        if found <= carries:
            return sorted(carries), reached
        carries |= found


def _shrink(
    body: Graph, at: Ports, carries: Sequence[int], yields: Sequence[int], kept: Sequence[bool], reached: set[NodeId]
) -> None:
    inputs = {id for id, keep in zip(at.inputs, kept, strict=False) if keep}
    outputs = {at.following[i] for i in carries} | {node for i, node in enumerate(at.yields) if i in yields}
    outputs |= {at.stop} if at.stop is not None else set()
    stays = reached | inputs | outputs
    body.remove([id for id, node in body.nodes() if id not in stays and not isinstance(node, Knob)])
    assert all(id in inputs for id, node in body.of(Input))
