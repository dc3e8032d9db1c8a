"""The practical limit of a plan: what each row space computes, as a static graph of its own, run on the rows it needs.

Nothing is gathered or put back, no decision is asked: the values that cross the border of a space are inputs of its
graph, already at the rows that it holds. What is computed on tiles of images, of some queries beside all keys, or with
some filters, is in no segment: a limit of a plan with such steps is too low (`has_limit`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cogseedc.backends.plan import ROOT, Enter, Picked, Plan, Run, Slot, SpaceId, Tiled
from cogseedc.backends.plan.schedule import reads
from cogseedc.ir import (
    BATCH,
    Call,
    Constant,
    Gate,
    Graph,
    Input,
    Merge,
    Node,
    NodeId,
    Output,
    TensorType,
    Value,
    Weight,
)
from cogseedc.ops import OPS
from cogseedc.runtime.checks import NUMPY

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

Compiler = Callable[[Graph], Callable[[Mapping[str, "Array"]], Callable[[], object]]]
"""Makes a static graph ready in some runtime, and then one run of it on given arrays."""


@dataclass(frozen=True, slots=True)
class Work:
    """One run of a program: how many rows each of its spaces held."""

    batch: int
    rows: Mapping[str, int]


class Limit:
    """The static graphs of a plan, and runs of exactly those that are needed."""

    def __init__(self, plan: Plan, compile: Compiler, skipped: frozenset[NodeId] = frozenset()) -> None:
        self._plan = plan
        self._graphs = {
            space: graph for space in _spaces(plan) if (graph := _segment(plan, space, skipped)) is not None
        }
        self._ready = {space: compile(graph) for space, graph in self._graphs.items()}
        self._bound: dict[tuple[SpaceId, int], Callable[[], object]] = {}

    def runs(self, work: Work) -> list[Callable[[], object]]:
        """One run of each segment that a run of the program needed, at as many rows."""
        return [self._run(space, rows) for space, rows in self.needed(work)]

    def needed(self, work: Work) -> list[tuple[SpaceId, int]]:
        """The spaces that hold a row, and how many."""
        found = [(s, work.batch if s == ROOT else work.rows[self._plan.spaces[s].name]) for s in self._graphs]
        return [(space, rows) for space, rows in found if rows]

    def _run(self, space: SpaceId, rows: int) -> Callable[[], object]:
        """A segment on arrays of as many rows; which numbers they hold does not matter to its time."""
        if (space, rows) not in self._bound:
            rng = np.random.default_rng(0)
            nodes = (node for _, node in self._graphs[space].nodes() if isinstance(node, Input))
            feed = {node.name: _array(rng, node.type, rows) for node in nodes}
            self._bound[space, rows] = self._ready[space](feed)
        return self._bound[space, rows]

    def macs(self, work: Work) -> int:
        """Multiply-accumulates of those segments."""
        return sum(macs_of(self._graphs[space], rows) for space, rows in self.needed(work))


def has_limit(plan: Plan) -> bool:
    """Whether nothing is computed on tiles or for some channels, which is in no segment."""
    steps = (step for each in plan.nested() for block in each.blocks for step in block.steps)
    return not any(isinstance(step, Picked | Tiled) for step in steps)


def limit_of(plan: Plan, compile: Compiler, gates: bool = True) -> Limit:
    """The limit of a plan; without `gates`, what only decisions need is left out too."""
    return Limit(plan, compile, frozenset() if gates else _only_for_gates(plan))


def macs_of(graph: Graph, rows: int) -> int:
    """Multiply-accumulates of a graph without decisions at a batch of `rows`."""
    total = 0
    wiring = graph.wiring()
    for id, node in graph.nodes():
        macs = OPS[node.op].macs if isinstance(node, Call) else None
        if isinstance(node, Call) and macs is not None:
            types = tuple(None if v is None else graph.type(v) for v in wiring.operands(id))
            total += macs(node.attrs, types, node.types).evaluate({BATCH: rows})
    return total


def _spaces(plan: Plan) -> list[SpaceId]:
    return [space.id for space in plan.spaces]


def _only_for_gates(plan: Plan) -> frozenset[NodeId]:
    """Nodes whose values reach an output through decisions only."""
    graph = plan.graph
    wiring = graph.wiring()
    wanted: set[NodeId] = set()
    for id in reversed(wiring.order):
        node = graph[id]
        if isinstance(node, Output) or (id in wanted and not isinstance(node, Gate)):
            wanted.update(edge.src for edge in wiring.ins[id])
    return frozenset(id for id in wiring.order if id not in wanted or isinstance(graph[id], Gate))


def _segment(plan: Plan, space: SpaceId, skipped: frozenset[NodeId]) -> Graph | None:
    """What a space computes, as one graph; None where it computes nothing."""
    runs: list[Run] = []
    others: set[Slot] = {slot for _, slot in plan.outputs}
    for block in plan.blocks:
        for step in block.steps:
            if isinstance(step, Run) and block.space == space and _inside(plan, step, space):
                if step.node not in skipped:
                    runs.append(step)
            elif not isinstance(step, Enter):
                others.update(reads(step))
    if not any(isinstance(plan.graph[run.node], Call) for run in runs):
        return None
    graph = Graph()
    known: dict[Slot, Value] = {}
    for run in runs:
        operands = [_operand(plan.graph, graph, known, slot) for slot in run.inputs]
        id = graph.add(_typed(plan.graph[run.node], [slot.type(plan.graph) for slot in run.outputs]), operands)
        known.update((slot, Value(id, port)) for port, slot in enumerate(run.outputs))
    _yield(plan.graph, graph, known, runs, others)
    return graph


def _inside(plan: Plan, run: Run, space: SpaceId) -> bool:
    """Whether a node reads nothing of other rows than it computes."""
    read = (s for s in run.inputs if s is not None and s.type(plan.graph).batch is not None)
    return not plan.spaces[space].grid or all(plan.spaces[s.space].grid for s in read)


def _typed(node: Node, types: Sequence[TensorType]) -> Node:
    """A node that computes as many positions as its space holds."""
    if isinstance(node, Call):
        return replace(node, types=tuple(types))
    return replace(node, type=types[0]) if isinstance(node, Gate | Merge) else node


def _operand(source: Graph, graph: Graph, known: dict[Slot, Value], slot: Slot | None) -> Value | None:
    """The value of a slot in the segment: computed there, copied (a weight, a literal), or one more input."""
    if slot is None:
        return None
    if slot not in known:
        node = source[slot.node]
        if isinstance(node, Constant | Weight):
            known[slot] = Value(graph.add(node))
        else:
            outside = Value(graph.add(Input(f"v{slot.node}_{slot.port}_{slot.space}", slot.type(source))))
            gate = _typed(node, [slot.type(source)]) if isinstance(node, Gate) else None
            known[slot] = outside if gate is None else Value(graph.add(gate, [outside]))
    return known[slot]


def _yield(
    source: Graph, graph: Graph, known: Mapping[Slot, Value], runs: Sequence[Run], others: Iterable[Slot]
) -> None:
    """Outputs for what is read outside of the segment."""
    read = {slot for run in runs for slot in run.inputs}
    outside = set(others)
    for run in runs:
        for slot in run.outputs:
            if slot in outside or slot not in read:
                graph.add(Output(f"y{slot.node}_{slot.port}", slot.type(source)), [known[slot]])


def _array(rng: np.random.Generator, type: TensorType, rows: int) -> Array:
    shape = [size.evaluate({BATCH: rows}) for size in type.shape]
    dtype = NUMPY[type.dtype]
    return rng.standard_normal(shape).astype(dtype) if type.dtype.floating else np.zeros(shape, dtype)
