"""Decisions as data: replacing them, writing them as a trace, and which rows control edges let through. Evaluates no
operation.

A decision in trace form is an integer array over the gate's axes: BOOL 0 or 1, ONE the arm, MANY the arms on a
last axis, best first, -1 in dropped slots; -1 where the gate was not reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.interp.merge import choice
from cogseedc.interp.schedule import Schedule, gate_name
from cogseedc.ir import Exit, Gate, GateKind, Loop, NodeId, TensorType
from cogseedc.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")


def kind_of(node: Gate | Exit) -> GateKind:
    return node.kind if isinstance(node, Gate) else GateKind.BOOL


def arms_of(node: Gate | Exit) -> int:
    return node.arms if isinstance(node, Gate) else 2


def type_of(node: Gate | Exit) -> TensorType:
    return node.type if isinstance(node, Gate) else node.condition


def forced(node: Gate | Exit, arm: int | None) -> Array:
    """A decision that takes one arm everywhere (MANY: that arm alone, None: no arm); broadcastable."""
    if kind_of(node) is GateKind.MANY:
        mask = np.zeros(arms_of(node), "bool")
        if arm is not None:
            mask[arm] = True
        return mask
    assert arm is not None, "only a gate that selects several arms may select none"
    return np.asarray(arm, "int64")


def override(node: Gate | Exit, own: Array, given: Array) -> Array:
    """`own` decision with what is given in its place, where that is not -1. A bool array replaces all.

    Raises UserError (CS0847) when the shapes do not fit.
    """
    kind = kind_of(node)
    shape = own.shape[:-1] if kind is GateKind.MANY and given.dtype != "bool" else own.shape
    try:
        if given.dtype == "bool":
            return np.broadcast_to(given, shape)
        if kind is not GateKind.MANY:
            given = np.broadcast_to(given, shape)
            return np.where(given < 0, own, given != 0 if kind is GateKind.BOOL else given)
        given = np.broadcast_to(given, (*shape, given.shape[-1]))
    except ValueError:
        message = f"the decisions given for {gate_name(node)!r} have shape {given.shape}, the gate has {shape}"
        raise UserError(Diagnostic("CS0847", message)) from None
    kept = (given < 0).all(axis=-1, keepdims=True)
    return np.where(kept, own, mask_of(given, arms_of(node)))


def mask_of(indices: Array, arms: int) -> Array:
    """The mask over `arms` that holds at the indices; -1 selects nothing."""
    return np.asarray((indices[..., None] == np.arange(arms)).any(axis=-2))


def indices_of(mask: Array, width: int) -> Array:
    """Selected arms in ascending order, `width` slots, -1 in the rest."""
    order = np.argsort(~mask, axis=-1, kind="stable")[..., :width]
    found = np.where(np.take_along_axis(mask, order, axis=-1), order, -1)
    missing = width - found.shape[-1]
    return np.pad(found, [(0, 0)] * (found.ndim - 1) + [(0, missing)], constant_values=-1) if missing > 0 else found


def as_trace(node: Gate | Exit, own: Array, decision: Array, indices: Array | None) -> Array:
    """A decision in trace form; the program's own indices, best first, where it is the program's own."""
    if kind_of(node) is not GateKind.MANY:
        return decision.astype("int64")
    if indices is None:
        return indices_of(decision, arms_of(node))
    kept = (own == decision).all(axis=-1, keepdims=True)
    selected = np.take_along_axis(own, np.maximum(indices, 0), axis=-1)
    return np.where(kept, np.where(selected, indices, -1), indices_of(decision, indices.shape[-1]))


def rows_taking(node: Gate | Exit, decision: Array, arm: int, rows: int) -> Array | None:
    """The rows [rows] where an arm is taken; None for a gate over axes other than the batch's."""
    taken = choice(node, decision, arm) if isinstance(node, Gate) else decision if arm else ~decision
    type = type_of(node)
    axes = type.axes[:-1] if kind_of(node) is GateKind.MANY else type.axes
    if not axes:
        return np.broadcast_to(taken, (rows,))
    return taken if len(axes) == 1 and type.batch == 0 else None


def reached(plan: Schedule, decisions: Mapping[NodeId, Array], rows: int) -> dict[NodeId, Array]:
    """Per gate, exit and loop the rows [rows] that its control edges, and those of gates behind them, let through."""
    controls = plan.graph.wiring().controls
    result: dict[NodeId, Array] = {}
    for step in plan.steps:
        if not isinstance(step.node, (Gate, Exit, Loop)):
            continue
        terms: dict[int, Array] = {}
        for edge in controls[step.id]:
            source = plan.graph[edge.src]
            assert isinstance(source, Gate)
            taken = _literal(source, decisions[edge.src], edge.arm, rows)
            so_far = terms.get(edge.term, np.ones(rows, "bool")) & result[edge.src]
            terms[edge.term] = so_far if taken is None else so_far & taken
        result[step.id] = np.any(list(terms.values()), axis=0) if terms else np.ones(rows, "bool")
    return result


def _literal(node: Gate, decision: Array, arm: int, rows: int) -> Array | None:
    """Where the arm of a control edge is taken; `~arm` on the edge: where it is not."""
    if arm >= 0:
        return rows_taking(node, decision, arm, rows)
    taken = rows_taking(node, decision, ~arm, rows)
    return None if taken is None else ~taken
