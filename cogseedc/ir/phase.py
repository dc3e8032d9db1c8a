"""What form a graph is in; a pass says which form it needs and which it leaves."""

from __future__ import annotations

from enum import IntEnum

from cogseedc.ir.graph import Graph
from cogseedc.ir.nodes import Exit, Return


class Phase(IntEnum):
    """Ordered: a later form has all that an earlier one promises."""

    BUILT = 0
    """As built: exits may still be markers (`Exit`, `Return`)."""
    JOINED = 1
    """Every exit is a gate and a merge; no node is guarded."""
    SUNK = 2
    """Control edges say for which decisions each node runs. A graph that needs no guard looks JOINED and is both."""


def phase(graph: Graph) -> Phase:
    """The form that a graph is in, seen from its nodes and edges."""
    if any(graph.of(Exit)) or any(graph.of(Return)):
        return Phase.BUILT
    return Phase.SUNK if graph.wiring().guarded else Phase.JOINED
