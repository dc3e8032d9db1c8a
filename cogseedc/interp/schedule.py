"""What of a graph the reference evaluates, in which order, and whether samples can be evaluated alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from cogseedc.ir import (
    BATCH,
    Call,
    Exit,
    Gate,
    Graph,
    Input,
    Loop,
    Node,
    NodeId,
    Output,
    Pointwise,
    Return,
    Size,
    TensorType,
    Value,
    output_types,
)
from cogseedc.ops import OPS

_READS_SIZES = frozenset({"size_value", "range"})
"""Operations whose values, not only their shape, tell how large an axis is."""


@dataclass(frozen=True)
class Step:
    """One node with what feeds it. `exits` are the exits of a Return's scope, in order."""

    id: NodeId
    node: Node
    operands: tuple[Value | None, ...]
    inputs: tuple[TensorType | None, ...]
    outputs: tuple[TensorType, ...]
    exits: tuple[NodeId, ...] = ()

    @cached_property
    def dependencies(self) -> tuple[NodeId, ...]:
        return (*(v.node for v in self.operands if v is not None), *self.exits)

    @cached_property
    def body(self) -> Schedule:
        """The body of a loop."""
        assert isinstance(self.node, Loop)
        return schedule(self.node.body)

    def rowwise(self, port: int) -> bool:
        """Whether a row of the results reads only the same row of this operand (or it has no rows)."""
        type = self.inputs[port]
        if isinstance(self.node, Loop):
            return not self.body.batch_coupled
        if not isinstance(self.node, Call) or type is None or type.batch is None:
            return True
        flow = OPS[self.node.op].flow(self.node.attrs, self.inputs, self.outputs)[port][type.batch]
        return isinstance(flow, Pointwise) and all(t.batch == flow.to for t in self.outputs)


@dataclass(frozen=True, slots=True)
class Decider:
    """A gate, or an exit that is no gate yet, with the loops around it, outermost first.

    Its trace has an axis of turns per loop, in that order, behind the batch axis (without one: before all others).
    """

    node: Gate | Exit
    traced: TensorType
    """What the trace has in one turn: the decision's axes; of k-of-n those of its indices."""
    loops: tuple[Loop, ...] = ()


@dataclass(frozen=True)
class Schedule:
    """The steps that the outputs need, operands before users. What only a loss needs is left out."""

    graph: Graph
    steps: tuple[Step, ...]

    @cached_property
    def step(self) -> dict[NodeId, Step]:
        return {step.id: step for step in self.steps}

    @cached_property
    def gates(self) -> dict[str, Step]:
        """Gates, and exits that are not gates yet, by name."""
        return {gate_name(s.node): s for s in self.steps if isinstance(s.node, (Gate, Exit))}

    @cached_property
    def outputs(self) -> tuple[tuple[NodeId, Output, Value], ...]:
        """The outputs, by id, with what feeds them."""
        found = [(s.id, s.node, s.operands[0]) for s in self.steps if isinstance(s.node, Output)]
        return tuple((id, node, value) for id, node, value in sorted(found, key=lambda f: f[0]) if value is not None)

    @cached_property
    def loops(self) -> tuple[Step, ...]:
        """The loops, in order."""
        return tuple(step for step in self.steps if isinstance(step.node, Loop))

    @cached_property
    def deciders(self) -> dict[str, Decider]:
        """Gates by name, and exits that are not gates yet; those in bodies of loops behind the others."""
        found: dict[str, Decider] = {}
        for name, step in self.gates.items():
            assert isinstance(step.node, (Gate, Exit))
            traced = step.inputs[-1 if isinstance(step.node, Gate) else 0]
            assert traced is not None, "the verifier found every port of a gate fed"
            found[name] = Decider(step.node, traced)
        for step in self.loops:
            assert isinstance(step.node, Loop)
            for name, inner in step.body.deciders.items():
                found[name] = Decider(inner.node, inner.traced, (step.node, *inner.loops))
        return found

    def decider(self, name: str) -> Gate | Exit:
        """The gate, or exit that is no gate yet, of a name."""
        return self.deciders[name].node

    def exit_path(self, name: str) -> str | None:
        """Path of the exit that a gate decides, if it does."""
        node = self.decider(name)
        return name if isinstance(node, Exit) else node.exit

    def type(self, value: Value) -> TensorType:
        return self.step[value.node].outputs[value.port]

    @cached_property
    def batch_coupled(self) -> bool:
        """Whether a sample's outputs may depend on the others of its batch."""
        return any(_couples(step) for step in self.steps if isinstance(step.node, (Call, Loop)))

    @cached_property
    def guarded(self) -> bool:
        """Whether the graph has control edges."""
        wiring = self.graph.wiring()
        return any(wiring.controls[step.id] for step in self.steps)


def gate_name(node: Gate | Exit) -> str:
    """Name of a gate; an exit that is not a gate yet has its path, which its gate will have."""
    return node.name


def schedule(graph: Graph) -> Schedule:
    """Orders what the outputs need; an exit comes before the Return of its scope."""
    wiring = graph.wiring()
    exits: dict[str, list[tuple[int, NodeId]]] = {}
    for id, node in graph.nodes():
        if isinstance(node, Exit):
            exits.setdefault(node.scope, []).append((node.order, id))
    by_scope = {scope: tuple(id for _, id in sorted(found)) for scope, found in exits.items()}
    done: dict[NodeId, Step] = {}
    stack = [id for id, node in graph.of(Output)][::-1]
    while stack:
        id = stack[-1]
        if id in done:
            stack.pop()
            continue
        step = _step(graph, id, by_scope)
        guards = tuple(edge.src for edge in wiring.controls[id]) if isinstance(step.node, (Gate, Loop)) else ()
        waiting = [d for d in (*step.dependencies, *guards) if d not in done]
        if not waiting:
            done[stack.pop()] = step
        stack += waiting[::-1]
    return Schedule(graph, (*_unused_inputs(graph, done), *done.values()))


def _unused_inputs(graph: Graph, done: Mapping[NodeId, Step]) -> tuple[Step, ...]:
    return tuple(
        Step(id, node, (), (), output_types(node))
        for id, node in graph.nodes()
        if isinstance(node, Input) and id not in done
    )


def _step(graph: Graph, id: NodeId, exits: Mapping[str, tuple[NodeId, ...]]) -> Step:
    node = graph[id]
    operands = graph.wiring().operands(id)
    inputs = tuple(None if v is None else graph.type(v) for v in operands)
    leaving = exits.get(node.scope, ()) if isinstance(node, Return) else ()
    return Step(id, node, operands, inputs, output_types(node), leaving)


def _couples(step: Step) -> bool:
    if isinstance(step.node, Loop):
        return step.body.batch_coupled
    if any(not step.rowwise(port) for port in range(len(step.operands))):
        return True
    assert isinstance(step.node, Call)
    if step.node.op not in _READS_SIZES:
        return False
    return any(isinstance(value, Size) and BATCH in value.symbols() for value in step.node.attrs.flat())
