"""Evaluates a schedule on one sample (or one whole batch). After a first time only what changed is evaluated again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cogseedc.diagnostics import InternalError
from cogseedc.interp.arrays import literal, reference_dtype, rounded, shape_of, to_reference
from cogseedc.interp.merge import hold, leave, merge
from cogseedc.interp.schedule import Schedule, Step, gate_name
from cogseedc.interp.trace import override, type_of
from cogseedc.ir import (
    Attrs,
    Call,
    Constant,
    Exit,
    Gate,
    Input,
    Knob,
    Loop,
    LoopKind,
    Loss,
    Merge,
    NodeId,
    Output,
    Return,
    Size,
    TensorType,
    Weight,
)
from cogseedc.lazy import lazy
from cogseedc.ops import OPS

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")


@dataclass
class State:
    """Values of one sample: per node its outputs (of an exit: its condition, then its values)."""

    values: dict[NodeId, tuple[Array, ...]] = field(default_factory=dict)
    own: dict[NodeId, Array] = field(default_factory=dict)
    """Per gate and exit its own decision, before one that was given replaced it."""
    turns: dict[NodeId, Turns] = field(default_factory=dict)
    """Per loop what was computed in each of its turns."""

    def copy(self) -> State:
        return State(dict(self.values), dict(self.own), dict(self.turns))


@dataclass(frozen=True)
class Turns:
    """One loop, run: the state of each turn that was run, and which indices ran in it (axes as what stops it)."""

    states: tuple[State, ...]
    running: tuple[Array, ...]


@dataclass(slots=True)
class Site:
    """One call as an operation's reference function sees it."""

    attrs: Attrs
    args: Sequence[Array | None]
    inputs: Sequence[TensorType | None]
    types: tuple[TensorType, ...]
    bound: Mapping[str, int]

    def size(self, size: Size) -> int:
        return size.evaluate(self.bound)

    def sizes(self, sizes: Sequence[Size]) -> tuple[int, ...]:
        return tuple(size.evaluate(self.bound) for size in sizes)


@dataclass(frozen=True)
class Evaluator:
    """A schedule with everything that is the same for all samples."""

    schedule: Schedule
    weights: Mapping[str, Array]
    """In the dtypes of the reference, by path."""
    sizes: Mapping[str, int]
    """Of all symbols; of the batch: 1, or all of a batch-coupled program's."""
    rounding: bool = False
    """Whether results in f16 and bf16 are rounded to these; otherwise all real numbers are float64."""
    shapes: dict[NodeId, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    _bodies: dict[NodeId, Evaluator] = field(default_factory=dict)

    def evaluate(
        self,
        state: State,
        inputs: Mapping[str, Array],
        knobs: Mapping[str, Array],
        decisions: Mapping[str, Array],
    ) -> None:
        """Brings `state` up to date. A node whose operands did not change keeps its value."""
        changed: set[NodeId] = set()
        with np.errstate(all="ignore"):
            for step in self.schedule.steps:
                old = state.values.get(step.id)
                fed = isinstance(step.node, (Input, Knob, Gate, Exit, Loop))
                if old is not None and not fed and not any(d in changed for d in step.dependencies):
                    continue
                new = self._step(step, state, inputs, knobs, decisions)
                if old is None or not fed or not _same(old, new):
                    state.values[step.id] = new
                    changed.add(step.id)

    def _step(
        self,
        step: Step,
        state: State,
        inputs: Mapping[str, Array],
        knobs: Mapping[str, Array],
        decisions: Mapping[str, Array],
    ) -> tuple[Array, ...]:
        args = [None if v is None else state.values[v.node][v.port] for v in step.operands]
        node = step.node
        match node:
            case Call():
                return self._call(step, node, args)
            case Input():
                return (to_reference(inputs[node.name], node.type.dtype),)
            case Weight():
                return (self.weights[node.path],)
            case Knob():
                return (knobs[node.name],)
            case Constant():
                return (literal(node.values, node.type.dtype, self._shapes(step)[0]),)
            case Gate() | Exit():
                return self._decide(step, node, state, args, decisions)
            case Merge():
                return (self._merge(step, node, args),)
            case Return():
                return self._return(step, node, state, args)
            case Output() | Loss():
                return _all(node.name, args)
            case Loop():
                return self._loop(step, node, state, _all(node.name, args), decisions)

    def _loop(
        self, step: Step, node: Loop, state: State, args: Sequence[Array], decisions: Mapping[str, Array]
    ) -> tuple[Array, ...]:
        """Turns until all indices have stopped; a stopped index holds its carries and yields."""
        if step.id not in self._bodies:
            self._bodies[step.id] = replace(self, schedule=step.body, shapes={}, _bodies={})
        body = self._bodies[step.id]
        names = [n.name for _, n in node.body.of(Input)]
        carries, sequences = list(args[: node.carries]), args[node.carries : node.carries + len(node.scanned)]
        captures = args[node.carries + len(node.scanned) : len(names)]
        columns: list[list[Array]] = [[] for _ in range(node.yields)]
        states: list[State] = []
        ran: list[Array] = []
        running: Array = np.asarray(True)
        for turn in range(node.steps.evaluate(self.sizes)):
            if node.active is not None:
                running = np.take(args[-1], turn, node.active)
            elements = [np.take(s, turn, axis) for s, axis in zip(sequences, node.scanned, strict=True)]
            inner = State()
            given = dict(zip(names, (*carries, *elements, *captures), strict=True))
            body.evaluate(inner, given, {}, {name: self._at(step, name, d, turn) for name, d in decisions.items()})
            results = [inner.values[id][0] for id, _, _ in step.body.outputs]
            if not turn and node.halts:
                running = np.ones(results[-1].shape, "bool")
            before = carries if not turn or node.active is not None else [*carries, *(column[-1] for column in columns)]
            values = [hold(running, new, old, axes) for new, old, axes in zip(results, before, node.held, strict=False)]
            values += results[len(before) : node.carries + node.yields]
            values += [values[carry] for carry in node.echoes]
            carries = values[: node.carries]
            for column, value in zip(columns, values[node.carries :], strict=True):
                column.append(value)
            states.append(inner)
            ran.append(running)
            if node.halts:
                running = running & ~results[-1]
                if not running.any():
                    break
        state.turns[step.id] = Turns(tuple(states), tuple(ran))
        return (*self._stacked(step, node, columns), *carries)

    def _stacked(self, step: Step, node: Loop, columns: Sequence[Sequence[Array]]) -> tuple[Array, ...]:
        """The yields as outputs: those of the last turn, or all; what would follow the last turn is like it."""
        if node.kind is LoopKind.REPEAT:
            return tuple(column[-1] for column in columns)
        results: list[Array] = []
        count = node.steps.evaluate(self.sizes)
        for port, (column, axis) in enumerate(zip(columns, node.stacked, strict=True)):
            if not column:
                results.append(np.zeros(self._shapes(step)[port], reference_dtype(node.types[port].dtype)))
                continue
            results.append(np.stack([*column, *[column[-1]] * (count - len(column))], axis))
        return tuple(results)

    def _at(self, step: Step, name: str, given: Array, turn: int) -> Array:
        """A decision that is given for all turns of a loop, or for each of them, as one turn needs it."""
        found = step.body.deciders.get(name)
        if found is None or given.ndim < type_of(found.node).rank + len(found.loops) + 1:
            return given
        return np.asarray(np.take(given, turn, type_of(found.node).turn))

    def _call(self, step: Step, node: Call, args: Sequence[Array | None]) -> tuple[Array, ...]:
        result = OPS[node.op].reference(Site(node.attrs, args, step.inputs, node.types, self.sizes))
        parts = tuple(result) if len(node.types) > 1 else (result,)
        shapes = self._shapes(step)
        values = tuple(to_reference(part, type.dtype) for part, type in zip(parts, node.types, strict=True))
        if self.rounding:
            values = tuple(rounded(value, type.dtype) for value, type in zip(values, node.types, strict=True))
        found = tuple(v.shape for v in values)
        if found != shapes:
            raise InternalError(f"the reference of {node.op} gives shapes {found}, its type says {shapes}")
        return values

    def _decide(
        self,
        step: Step,
        node: Gate | Exit,
        state: State,
        args: Sequence[Array | None],
        decisions: Mapping[str, Array],
    ) -> tuple[Array, ...]:
        own, *rest = _all(gate_name(node), args)
        state.own[step.id] = own
        given = decisions.get(gate_name(node))
        decision = own if given is None else override(node, own, given)
        return (decision, *rest)

    def _merge(self, step: Step, node: Merge, args: Sequence[Array | None]) -> Array:
        count = len(node.arms)
        gates: list[Gate] = []
        for value in step.operands[count : 2 * count]:
            payload = None if value is None else self.schedule.graph[value.node]
            if not isinstance(payload, Gate):
                raise InternalError(f"merge {node.origin.path}: an arm has no gate")
            gates.append(payload)
        return merge(node, gates, args, self._shapes(step)[0], reference_dtype(node.type.dtype))

    def _return(self, step: Step, node: Return, state: State, args: Sequence[Array | None]) -> tuple[Array, ...]:
        results: list[Array] = []
        for port, own in enumerate(_all(node.scope, args)):
            exits = []
            for id in step.exits:
                payload = self.schedule.graph[id]
                assert isinstance(payload, Exit)
                condition, *values = state.values[id]
                exits.append((payload, condition, values[port]))
            results.append(leave(exits, own, node.types[port]))
        return tuple(results)

    def _shapes(self, step: Step) -> tuple[tuple[int, ...], ...]:
        found = self.shapes.get(step.id)
        if found is None:
            found = self.shapes[step.id] = tuple(shape_of(type, self.sizes) for type in step.outputs)
        return found


def _all(name: str, args: Sequence[Array | None]) -> tuple[Array, ...]:
    if any(a is None for a in args):
        raise InternalError(f"{name}: an operand is not fed")
    return tuple(a for a in args if a is not None)


def _same(old: tuple[Array, ...], new: tuple[Array, ...]) -> bool:
    return len(old) == len(new) and all(
        a is b or np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(old, new, strict=True)
    )
