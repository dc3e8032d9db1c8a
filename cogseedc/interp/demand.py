"""On which indices of each decision an output depends, by the meaning and the decisions of a run. Evaluates nothing.

One backward sweep. What is needed of a value is a bool array of its rank, of size one along axes where all indices are
needed alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cogseedc.interp.merge import choice, exit_axes, placed
from cogseedc.interp.schedule import Schedule, Step
from cogseedc.ir import (
    BATCH,
    Call,
    Exit,
    Flow,
    Gate,
    GateKind,
    Loop,
    Merge,
    MergeMode,
    NodeId,
    Output,
    Pointwise,
    Return,
    TensorType,
    Value,
    Window,
)
from cogseedc.lazy import lazy
from cogseedc.ops import OPS

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")


def demanded(
    plan: Schedule, decisions: Mapping[NodeId, Array], asked: Array, sizes: Mapping[str, int]
) -> dict[NodeId, Array]:
    """Per gate and exit, over its axes (of k-of-n: without the last), the indices on which an output depends; per loop
    the rows [n] on which one does. Outputs are `asked` for, by rows.

    Joins ask for the arm that is taken, exits for those before which none held. Operations pass demand on as their
    table entries say: of a convolution's input also the halo. `sizes` are those of all symbols but the batch.
    """
    sweep = _Sweep(plan, decisions, asked, {**sizes, BATCH: len(asked)})
    for step in reversed(plan.steps):
        sweep.visit(step)
    found = {s.id: sweep.decision(s) for s in plan.steps if isinstance(s.node, (Gate, Exit))}
    return {**found, **{s.id: sweep.rows(s) for s in plan.loops}}


class _Sweep:
    """What is needed of each value so far."""

    def __init__(
        self, plan: Schedule, decisions: Mapping[NodeId, Array], asked: Array, sizes: Mapping[str, int]
    ) -> None:
        self.plan, self.decisions, self.asked, self.sizes = plan, decisions, asked, sizes
        self._need: dict[Value, Array] = {}

    def visit(self, step: Step) -> None:
        match step.node:
            case Output():
                self._add(step.operands[0], _rowwise(self.asked, step.node.type))
            case Merge():
                self._merge(step, step.node)
            case Return():
                self._return(step)
            case Exit():
                self._add(step.operands[0], self._of(Value(step.id), step.node.condition.rank))
            case Gate():
                need = self._of(Value(step.id), step.node.type.rank)
                for value in step.operands:
                    self._add(value, need)
            case Call():
                self._call(step, step.node)
            case Loop():
                rows = self.rows(step)
                for port, (value, type) in enumerate(zip(step.operands, step.inputs, strict=True)):
                    if type is not None:
                        given = rows if step.rowwise(port) else np.full_like(rows, rows.any())
                        self._add(value, _rowwise(given, type))

    def rows(self, step: Step) -> Array:
        """The rows [n] that are needed of any result of a node."""
        found = np.zeros(len(self.asked), "bool")
        for port, type in enumerate(step.outputs):
            need = self._of(Value(step.id, port), type.rank)
            others = tuple(axis for axis in range(type.rank) if axis != type.batch)
            found = found | np.asarray(need.any(axis=others))
        return found

    def decision(self, step: Step) -> Array:
        """What is needed of a decision, over all its axes."""
        node = step.node
        assert isinstance(node, (Gate, Exit))
        type = node.type if isinstance(node, Gate) else node.condition
        need = self._of(Value(step.id), type.rank)
        if isinstance(node, Gate) and node.kind is GateKind.MANY:
            return np.broadcast_to(need.any(axis=-1), self._shape(type)[:-1])
        return np.broadcast_to(need, self._shape(type))

    def _shape(self, type: TensorType) -> tuple[int, ...]:
        return tuple(size.evaluate(self.sizes) for size in type.shape)

    def _of(self, value: Value, rank: int) -> Array:
        found = self._need.get(value)
        return np.zeros([1] * rank, "bool") if found is None else found

    def _add(self, value: Value | None, need: Array) -> None:
        if value is not None:
            before = self._need.get(value)
            self._need[value] = need if before is None else before | need

    def _call(self, step: Step, node: Call) -> None:
        parts = [self._of(Value(step.id, port), type.rank) for port, type in enumerate(step.outputs)]
        need = parts[0]
        for part in parts[1:]:
            need = need | (part if part.ndim == need.ndim else part.any())
        if need.size == 1:
            for value, type in zip(step.operands, step.inputs, strict=True):
                if type is not None:
                    self._add(value, need.reshape([1] * type.rank))
            return
        flows = OPS[node.op].flow(node.attrs, step.inputs, step.outputs)
        for value, type, flow in zip(step.operands, step.inputs, flows, strict=False):
            if value is not None and type is not None:
                self._add(value, self._through(need, type, flow))

    def _through(self, need: Array, type: TensorType, flows: Sequence[Flow]) -> Array:
        """What an operation needs of one operand."""
        result = np.asarray(need)
        to = [flow.to if isinstance(flow, (Pointwise, Window)) else None for flow in flows]
        result = _any(result, [axis for axis in range(need.ndim) if axis not in to])
        result = _laid(result, to)
        for axis, flow in enumerate(flows):
            size = type.shape[axis].evaluate(self.sizes)
            if isinstance(flow, Window):
                result = _dilated(result, axis, flow, size)
            elif size == 1:
                result = _any(result, [axis])
        return result

    def _merge(self, step: Step, node: Merge) -> None:
        need = left = self._of(Value(step.id), node.type.rank)
        count = len(node.arms)
        for i, arm in enumerate(node.arms):
            chooser = step.operands[count + i]
            assert chooser is not None
            gate = self.plan.graph[chooser.node]
            assert isinstance(gate, Gate)
            asked = left if node.mode is MergeMode.SELECT else need
            taken = placed(choice(gate, self.decisions[chooser.node], arm), node.axes[i], node.type.rank)
            self._add(chooser, _projected(asked, node.axes[i], gate.type.rank))
            self._arm(step, i, asked & taken)
            left = left & ~taken
        if node.otherwise:
            self._arm(step, 2 * count, left)
        if node.mode is MergeMode.WEIGHTED_SUM:
            port = 2 * count + node.otherwise
            type = step.inputs[port]
            assert type is not None
            self._add(step.operands[port], _projected(need, node.axes[0], type.rank))

    def _arm(self, step: Step, port: int, need: Array) -> None:
        """An arm's value may be narrower than the join's: its axes are the last ones."""
        type = step.inputs[port]
        if type is None:
            return
        less = need.ndim - type.rank
        result = np.asarray(need.any(axis=tuple(range(less))))
        shape = self._shape(type)
        self._add(step.operands[port], _any(result, [axis for axis in range(type.rank) if shape[axis] == 1]))

    def _return(self, step: Step) -> None:
        for port, own in enumerate(step.operands):
            type = step.outputs[port]
            left = self._of(Value(step.id, port), type.rank)
            for id in step.exits:
                exit = self.plan.step[id]
                assert isinstance(exit.node, Exit)
                axes = exit_axes(exit.node, type)
                taken = placed(self.decisions[id], axes, type.rank)
                self._add(Value(id), _projected(left, axes, exit.node.condition.rank))
                self._add(exit.operands[1 + port], left & taken)
                left = left & ~taken
            self._add(own, left)


def _rowwise(rows: Array, type: TensorType) -> Array:
    """Rows [n] of a value; of one without batch axis any."""
    if type.batch is None:
        return np.full([1] * type.rank, bool(rows.any()))
    return rows.reshape([-1 if axis == type.batch else 1 for axis in range(type.rank)])


def _any(need: Array, axes: Sequence[int]) -> Array:
    """Any index along some axes, which stay with size one."""
    return np.asarray(need.any(axis=tuple(axes), keepdims=True))


def _laid(need: Array, to: Sequence[int | None]) -> Array:
    """An array with axes `to` (None: of size one) from one that has size one along all others."""
    order = [axis for axis in to if axis is not None]
    rest = [axis for axis in range(need.ndim) if axis not in order]
    if len(set(order)) < len(order):  # an axis that is read along two: both in full
        return np.full([1] * len(to), bool(need.any()))
    shape = [1 if axis is None else need.shape[axis] for axis in to]
    return need.transpose([*rest, *order]).reshape(shape)


def _dilated(need: Array, axis: int, flow: Window, size: int) -> Array:
    """The indices that windows at needed indices read."""
    if need.shape[axis] == 1:
        return need
    moved = np.moveaxis(need, axis, 0)
    result = np.zeros((size, *moved.shape[1:]), "bool")
    starts = np.arange(len(moved)) * flow.stride - flow.before
    for step in range(flow.size):
        places = starts + step * flow.dilation
        inside = (places >= 0) & (places < size)
        np.logical_or.at(result, places[inside], moved[inside])
    return np.moveaxis(result, 0, axis)


def _projected(need: Array, axes: Sequence[int], rank: int) -> Array:
    """What a value needs of a tensor whose first axes lie in it at `axes`; further ones are needed in full."""
    near = _any(need, [axis for axis in range(need.ndim) if axis not in axes])
    return _laid(near, [*axes, *[None] * (rank - len(axes))])
