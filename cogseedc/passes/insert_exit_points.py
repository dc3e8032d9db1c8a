"""Turns exit markers into gates and joins, and chooses where `exits n at x` stands. Guards nothing: demand does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from cogseedc.analysis.cuts import Trunk, place
from cogseedc.diagnostics import Diagnostics
from cogseedc.ir import (
    BATCH_SIZE,
    Exit,
    Gate,
    GateKind,
    Graph,
    Merge,
    MergeMode,
    NodeId,
    Ops,
    Phase,
    Return,
    TensorType,
    Value,
)
from cogseedc.passes.base import Context, Pass
from cogseedc.source import Span


@dataclass(frozen=True)
class InsertExitPoints(Pass):
    """Replaces each scope's exits and return: an exit becomes a bool gate of its name, each output of the scope one
    select join that takes the first exit, in source order, whose gate holds, else the scope's own value.

    No `Exit` and no `Return` is left. What follows an exit is guarded later, by `eliminate-dead-seeds`.
    """

    name: ClassVar[str] = "insert-exit-points"
    establishes: ClassVar[Phase | None] = Phase.JOINED

    def run(self, graph: Graph, context: Context) -> bool:
        exits: dict[str, list[tuple[NodeId, Exit]]] = {}
        for id, exit in graph.of(Exit):
            exits.setdefault(exit.scope, []).append((id, exit))
        returns = list(graph.of(Return))
        for id, scope in returns:
            ordered = sorted(exits.get(scope.scope, []), key=lambda item: item[1].order)
            _join(graph, id, scope, ordered)
        return bool(returns)


def _join(graph: Graph, id: NodeId, scope: Return, exits: list[tuple[NodeId, Exit]]) -> None:
    own = graph.feeds(id)
    values = [graph.feeds(exit) for exit, _ in exits]
    gates = [_gate(graph, node, operands[0]) for (_, node), operands in zip(exits, values, strict=True)]
    for port, type in enumerate(scope.types):
        result = own[port]
        if exits:
            axes = tuple(_placed(node, type) for _, node in exits)
            merge = Merge(MergeMode.SELECT, (1,) * len(exits), True, axes, type, scope.origin)
            result = Value(graph.add(merge, [*(v[port + 1] for v in values), *gates, own[port]]))
        assert result is not None, "the verifier found every port of a return fed"
        graph.redirect(Value(id, port), result)
    graph.remove([id, *(exit for exit, _ in exits)])


def _gate(graph: Graph, exit: Exit, condition: Value | None) -> Value:
    gate = Gate(exit.name, GateKind.BOOL, 2, exit.over, exit.condition, exit=exit.name, origin=exit.origin)
    return Value(graph.add(gate, [condition]))


def _placed(exit: Exit, value: TensorType) -> tuple[int, ...]:
    """Positions, in the value, of the axes of the exit's condition."""
    return tuple(_positions(exit, value))


def _positions(exit: Exit, value: TensorType) -> Iterator[int]:
    for axis in exit.condition.axes:
        position = value.batch if axis.size == BATCH_SIZE else None
        if position is None and axis.name is not None:
            position = value.position(axis.name)
        if position is None:
            position = next(i for i, other in enumerate(value.axes) if other.size == axis.size)
        yield position


def place_exits(
    graph: Graph,
    ops: Ops,
    trunk: Trunk,
    count: int,
    build: Callable[[int, Value], None],
    diagnostics: Diagnostics,
    span: Span | None = None,
    legal: Callable[[Value], bool] | None = None,
) -> bool:
    """Chooses the values at which `exits count at x` stands and calls `build(i, value)` for each, in order.

    `build` adds the head, the condition and the `Exit` marker to the graph. Reports CS0703 when the trunk has too
    few single-value cuts; nothing is built then. `legal` leaves values out.
    """
    chosen = place(graph, ops, trunk, count, legal)
    if chosen is None:
        diagnostics.error(
            "CS0703",
            f"the trunk has fewer than {count} places where one value alone carries everything to the outputs",
            span,
            help="ask for fewer exits, or write `exit` where each belongs",
        )
        return False
    for i, value in enumerate(chosen):
        build(i, value)
    return True
