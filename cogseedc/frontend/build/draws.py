"""Gates via `reinforce` in loops that are run: their log-probabilities have to add up over the turns of an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cogseedc.diagnostics import Label
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.model import GateRef, mistake
from cogseedc.ir import Gate, GateKind, Graph, Input, Loop, NodeId
from cogseedc.source import Span


def add_up(b: Builder, start: int, inputs: Sequence[NodeId], until: GateRef | None, span: Span) -> None:
    """Refuses a draw in a body (the nodes from `start` on) that does not say which index it counts for, or whose reward
    is compared with a baseline that changes from turn to turn. Raises BuildError CS0427."""
    draws = [draw for id, _ in b.graph.nodes() if id >= start for draw in _draws(b.graph, id)]
    stopped = {axis.name for axis in until.decision.type.axes} if until is not None else set()
    for gate, baseline in draws:
        axes = gate.type.axes[:-1] if gate.kind is GateKind.MANY else gate.type.axes
        where = gate.origin.span or span
        if not stopped <= {axis.name for axis in axes}:
            raise mistake(
                "CS0427",
                f"the gate `{gate.name}`, which is trained by rewards, is not over all axes that stop the loop",
                where,
                Label(span, "this loop"),
                help=f"decide over {', '.join(sorted(str(name) for name in stopped))}",
            )
        if baseline is not None and not _behind(b.graph, baseline).isdisjoint(inputs):
            raise mistake(
                "CS0427",
                f"the baseline of the gate `{gate.name}` changes from turn to turn",
                where,
                Label(span, "this loop"),
                help="compute the baseline before the loop, or give a number",
            )


def _draws(graph: Graph, id: NodeId) -> Iterator[tuple[Gate, NodeId | None]]:
    """Gates that draw, with the node of the graph that their baseline hangs on, if one does; also those in loops."""
    node = graph[id]
    if isinstance(node, Gate) and node.estimator is not None and node.estimator.name == "reinforce":
        baseline = graph.feeds(id)[-1] if node.estimator.inputs else None
        yield node, None if baseline is None else baseline.node
    elif isinstance(node, Loop):
        ports = [inner for inner, port in node.body.nodes() if isinstance(port, Input)]
        operands = graph.feeds(id)
        for inner, _ in node.body.nodes():
            for gate, source in _draws(node.body, inner):
                read = set() if source is None else _behind(node.body, source)
                outside = [v.node for port, v in zip(ports, operands, strict=False) if port in read and v is not None]
                yield from ((gate, place) for place in outside or (None,))


def _behind(graph: Graph, node: NodeId) -> set[NodeId]:
    """A node, and all that it is computed from."""
    found, stack = {node}, [node]
    while stack:
        for value in graph.feeds(stack.pop()):
            if value is not None and value.node not in found:
                found.add(value.node)
                stack.append(value.node)
    return found
