"""Places `exits n at x` in a program that was just elaborated: asks for the cuts and builds the heads there."""

from __future__ import annotations

from cogseedc.analysis.cuts import Trunk
from cogseedc.diagnostics import Diagnostics
from cogseedc.frontend.build.model import BrokenUse, BuildError, Elaborated, ExitSite
from cogseedc.ir import Constant, Graph, Input, Knob, Return, Value, Weight
from cogseedc.ops import OPS
from cogseedc.passes.insert_exit_points import place_exits


def place_all(program: Elaborated, found: Diagnostics) -> None:
    """Adds the heads, conditions and `Exit` markers of all sites to the graph; what cannot be placed goes to `found`.

    Places depend on MACs only, never on a target, so that one file of weights fits every target.
    """
    for site in program.sites:
        _place(program.graph, site, found)


def _place(graph: Graph, site: ExitSite, found: Diagnostics) -> None:
    def build(number: int, value: Value) -> None:
        try:
            site.insert(value, number)
        except BuildError as error:
            found.add(error.diagnostic)
        except BrokenUse:
            pass  # what broke it has been reported

    trunk = Trunk(_sources(graph, site.scope), _sinks(graph, site.scope))
    place_exits(graph, OPS, trunk, site.count, build, found, site.span, site.fits)


def _sources(graph: Graph, scope: str) -> tuple[Value, ...]:
    """What a seed instance is given from outside; of the exported seed, its inputs."""
    inputs = tuple(Value(id) for id, node in graph.of(Input))
    if not scope:
        return inputs
    inside = {id for id, node in graph.nodes() if scope in node.origin.scope}
    given = dict.fromkeys(
        Value(edge.src, edge.src_port)
        for id in sorted(inside)
        for edge in graph.wiring().ins[id]
        if edge.src not in inside and not isinstance(graph[edge.src], Weight | Knob | Constant)
    )
    return tuple(given)


def _sinks(graph: Graph, scope: str) -> tuple[Value, ...]:
    """The seed's own outputs: what its return is fed."""
    for id, node in graph.nodes():
        if isinstance(node, Return) and node.scope == scope:
            return tuple(value for value in graph.wiring().operands(id) if value is not None)
    return ()
