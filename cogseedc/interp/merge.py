"""What joins mean: a Merge of arms, and the Return of a seed with exits. Dense: every arm is given everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cogseedc.diagnostics import InternalError
from cogseedc.ir import BATCH_SIZE, Exit, Gate, GateKind, Merge, MergeMode, TensorType
from cogseedc.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")


def merge(
    node: Merge, gates: Sequence[Gate], args: Sequence[Array | None], shape: tuple[int, ...], dtype: str
) -> Array:
    """The join of the arms. `args` are in the order of the Merge's ports, `gates` the payloads of the choosers."""
    count = len(node.arms)
    arms = [np.broadcast_to(_given(node, args, i), shape) for i in range(count)]
    chosen = [
        placed(choice(gates[i], _given(node, args, count + i), node.arms[i]), node.axes[i], len(shape))
        for i in range(count)
    ]
    rest = np.broadcast_to(_given(node, args, 2 * count), shape) if node.otherwise else np.zeros(shape, dtype)
    if node.mode is MergeMode.SELECT:
        result = rest
        for arm, mask in zip(arms[::-1], chosen[::-1], strict=True):
            result = np.where(mask, arm, result)
        return result
    weights: list[Array] | None = None
    if node.mode is MergeMode.WEIGHTED_SUM:
        dense = _given(node, args, 2 * count + node.otherwise)
        weights = [placed(dense[..., arm], node.axes[i], len(shape)) for i, arm in enumerate(node.arms)]
    return _combine(node.mode, arms, chosen, weights, rest)


def choice(gate: Gate, decision: Array, arm: int) -> Array:
    """Where the decision takes an arm; over the gate's axes."""
    if gate.kind is GateKind.MANY:
        return np.asarray(decision[..., arm])
    if gate.kind is GateKind.BOOL:
        return decision if arm else ~decision
    return np.asarray(decision == arm)


def leave(exits: Sequence[tuple[Exit, Array, Array]], own: Array, type: TensorType) -> Array:
    """One output of a Return: of the first exit whose condition holds its value, else the seed's own.

    `exits` are, in order, the exit with its condition and its value for this output.
    """
    result = own
    for node, condition, value in exits[::-1]:
        mask = placed(condition, exit_axes(node, type), type.rank)
        result = np.where(mask, value, result)
    return result


def hold(running: Array, new: Array, old: Array, axes: tuple[int, ...]) -> Array:
    """What an index of a loop has after a turn: the new value where it ran, else the one that it had."""
    return np.where(placed(running, axes, new.ndim), new, old)


def exit_axes(node: Exit, type: TensorType) -> tuple[int, ...]:
    """Positions in an output of the axes of an exit's condition: the batch axis by its size, others by name or size."""
    found: list[int] = []
    for axis in node.condition.axes:
        position = type.batch if axis.size == BATCH_SIZE else type.position(axis.name) if axis.name else None
        if position is None:
            position = next((i for i, other in enumerate(type.axes) if other.size == axis.size), None)
        if position is None:
            raise InternalError(f"exit {node.name}: its axis {axis} is no axis of the output {type}")
        found.append(position)
    return tuple(found)


def _combine(
    mode: MergeMode, arms: list[Array], chosen: list[Array], weights: list[Array] | None, rest: Array
) -> Array:
    shape = rest.shape
    count = np.zeros(shape, "int64")
    for mask in chosen:
        count = count + np.broadcast_to(mask, shape)
    if mode is MergeMode.MAX:
        lowest = -np.inf if arms[0].dtype.kind == "f" else np.iinfo("int64").min
        total = np.full(shape, lowest, arms[0].dtype)
        for arm, mask in zip(arms, chosen, strict=True):
            total = np.where(mask, np.maximum(total, arm), total)
        return np.where(count > 0, total, rest)
    total = np.zeros(shape, arms[0].dtype)
    for i, (arm, mask) in enumerate(zip(arms, chosen, strict=True)):
        total = total + np.where(mask, arm if weights is None else arm * weights[i], 0)
    if mode is MergeMode.MEAN:
        total = total / np.maximum(count, 1)
    return np.where(count > 0, total, rest)


def placed(array: Array, axes: Sequence[int], rank: int) -> Array:
    """`array`, whose axis i is axis `axes[i]` of a value of that rank, made broadcastable to the value."""
    order = sorted(range(len(axes)), key=lambda i: axes[i])
    shape = [1] * rank
    for i in order:
        shape[axes[i]] = array.shape[i]
    return array.transpose(order).reshape(shape)


def _given(node: Merge, args: Sequence[Array | None], port: int) -> Array:
    found = args[port] if port < len(args) else None
    if found is None:
        raise InternalError(f"merge {node.origin.path}: nothing feeds port {port}")
    return found
