"""Which rows each part of a plan must run on: predicted from decisions by the guards alone, in loops turn by turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from cogseedc.backends.plan.model import ROOT, Choice, LoopPlan, Plan, Run, Space, SpaceId, Strategy
from cogseedc.ir import BATCH_SIZE, Gate, GateKind, Loop, NodeId, Output, Size
from cogseedc.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")


@dataclass(frozen=True, slots=True)
class Literal:
    """Holds where a gate's decision is one of `arms`, or (`negated`) is none of them."""

    gate: str
    arms: tuple[int, ...]
    negated: bool
    axes: int
    """How many axes it holds along, in one turn: none, the batch, or further ones after it; along further ones of the
    decision, where it holds for any index."""


@dataclass(frozen=True, slots=True)
class RowSpace:
    """A subset of the batch rows, or of the positions in them, by the decisions that make it; parents come before their
    children."""

    name: str
    parent: str | None
    terms: tuple[tuple[Literal, ...], ...]


@dataclass(frozen=True, slots=True)
class LoopRows:
    """A loop, and what is known of the rows that run its turns."""

    name: str
    space: str | None
    """Where it is run."""
    steps: Size
    until: Literal | None
    """What stops an index; None: all turns are run."""
    active: str | None
    """The gate that says which turns a row takes part in, where only these are run."""
    together: bool
    """Whether rows that have stopped are computed on until all have."""
    body: RowPlan


@dataclass(frozen=True, slots=True)
class RowPlan:
    """The row spaces of a plan, but for the root, and the loops in them.

    Left out are spaces of gates that are computed for more rows than were asked: they hold rows that the trace calls
    unreached; so are loops that are run for more, and those that end by what no gate decides.
    """

    spaces: tuple[RowSpace, ...] = ()
    loops: tuple[LoopRows, ...] = ()

    @staticmethod
    def of(plan: Plan, alone: bool) -> RowPlan:
        """`alone`: whether the program is run for one row at a time."""
        beyond = frozenset(report.gate for report in plan.gates if report.reached != ((),))
        spaces: list[RowSpace] = []
        known: dict[SpaceId, str | None] = {ROOT: None}
        for space in plan.spaces:
            if space.parent is None or space.parent not in known:
                continue
            asked = {choice.decision.node for term in space.terms for choice in term}
            terms = None if asked & beyond else _terms(plan, space)
            if terms is not None:
                known[space.id] = space.name
                spaces.append(RowSpace(space.name, known[space.parent], terms))
        homes = {step.node: block.space for block in plan.blocks for step in block.steps if isinstance(step, Run)}
        flat = {space.id for space in plan.spaces if not space.grid}
        loops = [
            _loop(plan, id, known[homes[id]], loop, alone)
            for id, loop in plan.loops.items()
            if homes.get(id) in known and homes[id] in flat and loop.reached == ((),)
        ]
        return RowPlan(tuple(spaces), tuple(loop for loop in loops if loop is not None))


def predict_rows(plan: RowPlan, trace: Mapping[str, Array], rows: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """Rows, or positions, that each space holds, and rows that run the turns of each loop, by the decisions of a run.

    What hangs on decisions that were not traced is left out. `sizes` are those of axes, by symbol.
    """
    return dict(_predicted(plan, "", np.ones(rows, "bool"), 0, trace, sizes))


def _predicted(
    plan: RowPlan, prefix: str, root: Array, loops: int, trace: Mapping[str, Array], sizes: Mapping[str, int]
) -> Iterator[tuple[str, int]]:
    """Of a plan whose rows are those of `root`, [rows, turns of so many loops around]."""
    held: dict[str | None, Array] = {None: root}
    for space in plan.spaces:
        literals = [literal for term in space.terms for literal in term]
        if space.parent in held and all(literal.gate in trace for literal in literals):
            parent = held[space.parent]
            rank = max([parent.ndim, *(loops + literal.axes for literal in literals)])
            terms = [reduce(_and, [_holds(c, trace[c.gate], loops, rank) for c in term]) for term in space.terms]
            held[space.name] = _and(reduce(_or, terms), _widened(parent, rank))
            yield f"{prefix}{space.name}", int(held[space.name].sum())
    for loop in plan.loops:
        ran = _ran(loop, held[loop.space], loops, trace, sizes) if loop.space in held else None
        if ran is not None:
            yield f"{loop.name}.turns", int(ran.sum())
            yield from _predicted(loop.body, f"{loop.name}.", ran, loops + 1, trace, sizes)


def _ran(
    loop: LoopRows, space: Array, loops: int, trace: Mapping[str, Array], sizes: Mapping[str, int]
) -> Array | None:
    """Which rows run which turn: [rows, turns around, turn]. None: nothing tells."""
    rows = np.expand_dims(space, -1)
    if loop.active is not None:
        return _and(rows, trace[loop.active] == 1) if loop.active in trace else None
    if loop.until is None:
        return np.broadcast_to(rows, (*space.shape, loop.steps.evaluate(sizes)))
    if loop.until.gate not in trace:
        return None
    rank = loops + 1 + max(loop.until.axes, 1)
    stopped = _holds(loop.until, trace[loop.until.gate], loops + 1, rank).cumsum(axis=loops + 1) > 0
    before = np.zeros_like(stopped)
    before[(*[slice(None)] * (loops + 1), slice(1, None))] = stopped[(*[slice(None)] * (loops + 1), slice(None, -1))]
    goes = ~before
    goes = _and(rows, np.asarray(goes.any(axis=tuple(range(loops + 2, goes.ndim)))))
    return _and(rows, np.asarray(goes.any(axis=0, keepdims=True))) if loop.together else goes


def _loop(plan: Plan, id: NodeId, space: str | None, found: LoopPlan, alone: bool) -> LoopRows | None:
    loop = plan.graph[id]
    assert isinstance(loop, Loop)
    until = None
    if loop.halts:
        until = _stop(found.body)
        if until is None:
            return None
    active = None
    if loop.active is not None:
        active = _active(plan, id)
        if active is None:
            return None
    together = until is not None and until.axes > 0 and not found.compact and not alone
    body = RowPlan() if together else RowPlan.of(found.body, alone)  # what rows that have stopped decide is not traced
    return LoopRows(loop.name, space, loop.steps, until, active, together, body)


def _stop(body: Plan) -> Literal | None:
    _, slot = body.outputs[-1]
    gate = body.graph[slot.node]
    if not isinstance(gate, Gate) or (gate.type.axes and gate.type.axes[0].size != BATCH_SIZE):
        return None
    return Literal(gate.name, (1,), False, gate.type.rank)


def _active(plan: Plan, id: NodeId) -> str | None:
    """The gate that decides, in a scan of its own, which turns are taken."""
    value = plan.graph.wiring().operands(id)[-1]
    ahead = None if value is None else plan.graph[value.node]
    if value is None or not isinstance(ahead, Loop):
        return None
    outputs = [node for node, payload in ahead.body.nodes() if isinstance(payload, Output)]
    made = ahead.body.wiring().operand(outputs[ahead.carries + value.port], 0)
    gate = None if made is None else ahead.body[made.node]
    return gate.name if isinstance(gate, Gate) else None


def _terms(plan: Plan, space: Space) -> tuple[tuple[Literal, ...], ...] | None:
    terms = [[_literal(plan, choice) for choice in term] for term in space.terms]
    found = tuple(tuple(literal for literal in term if literal is not None) for term in terms)
    complete = all(len(term) == len(choices) for term, choices in zip(found, space.terms, strict=True))
    return found if complete and space.strategy in (Strategy.COMPACT, Strategy.BRANCH) else None


def _literal(plan: Plan, choice: Choice) -> Literal | None:
    gate = plan.graph[choice.decision.node]
    if not isinstance(gate, Gate):
        return None
    axes = gate.type.axes[:-1] if gate.kind is GateKind.MANY else gate.type.axes
    if axes and axes[0].size != BATCH_SIZE:
        return None
    return Literal(gate.name, choice.arms, choice.negated, 1 if choice.anywhere else len(axes))


def _holds(literal: Literal, trace: Array, loops: int, rank: int) -> Array:
    """Where a literal holds, in each turn of so many loops, with that rank."""
    taken: Array = np.isin(trace, literal.arms)
    taken = np.asarray(taken.any(axis=tuple(range(loops + literal.axes, taken.ndim))))
    if not literal.axes:
        taken = np.expand_dims(taken, 0)
    return _widened(np.asarray(~taken) if literal.negated else taken, rank)


def _widened(mask: Array, rank: int) -> Array:
    """With further axes of size one."""
    return mask.reshape(mask.shape + (1,) * (rank - mask.ndim))


def _and(a: Array, b: Array) -> Array:
    return np.asarray(a & b)


def _or(a: Array, b: Array) -> Array:
    return np.asarray(a | b)
