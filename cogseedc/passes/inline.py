"""Clears what is left of seed boundaries. Seeds themselves are inlined while the graph is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cogseedc.ir import Exit, Graph, Return, Value
from cogseedc.passes.base import Context, Pass


@dataclass(frozen=True)
class Inline(Pass):
    """Takes away the returns of scopes from which no exit leaves: their users read the scope's own values.

    A return with exits stays, as it stands for a join; `insert-exit-points` makes it. Origins keep the hierarchy.
    """

    name: ClassVar[str] = "inline"

    def run(self, graph: Graph, context: Context) -> bool:
        left = {node.scope for _, node in graph.of(Exit)}
        found = [id for id, node in graph.of(Return) if node.scope not in left]
        for id in found:
            for port, own in enumerate(graph.feeds(id)):
                assert own is not None, "the verifier found every port of a return fed"
                graph.redirect(Value(id, port), own)
            graph.remove([id])
        return bool(found)
