"""Counts what ran: rows per arm of each gate, and rows per block as the guards predict them from the decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any

from cogseedc.backends.plan.model import Choice, Plan, Space, Strategy
from cogseedc.interp import Schedule, arms_of, kind_of
from cogseedc.ir import BATCH_SIZE, Gate, GateKind
from cogseedc.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]
else:
    np = lazy("numpy")


@dataclass(frozen=True, slots=True)
class ArmCount:
    """How often an arm ran: decisions that took it, in natural and in forced runs. `arm` None: MANY selected none."""

    gate: str
    arm: int | None
    natural: int
    forced: int


@dataclass
class Census:
    """Collects counts per (gate, arm)."""

    natural: dict[tuple[str, int | None], int] = field(default_factory=dict)
    forced: dict[tuple[str, int | None], int] = field(default_factory=dict)
    traced: dict[str, None] = field(default_factory=dict)

    def add(
        self,
        plan: Schedule,
        trace: Mapping[str, Array],
        forces: Mapping[str, int | None],
        natural: bool,
        demanded: Mapping[str, Array],
    ) -> None:
        """Counts one run. What a MANY gate was forced to is not in the trace: it is counted by `forces`, for the
        indices that are `demanded`."""
        table = self.natural if natural else self.forced
        for name, decisions in trace.items():
            if name not in plan.deciders:
                continue
            self.traced[name] = None
            node = plan.decider(name)
            many = kind_of(node) is GateKind.MANY
            force = forces.get(name, -1)
            if many and (force is None or force >= 0):
                key = name, force
                table[key] = table.get(key, 0) + int(demanded[name].sum())
                continue
            for arm in range(arms_of(node)):
                table[name, arm] = table.get((name, arm), 0) + int((decisions == arm).sum())

    def counts(self, plan: Schedule) -> tuple[ArmCount, ...]:
        """One entry per arm of every gate that an artifact traced, in order of the gates."""
        return tuple(
            ArmCount(name, arm, self.natural.get((name, arm), 0), self.forced.get((name, arm), 0))
            for name in plan.deciders
            if name in self.traced
            for arm in range(arms_of(plan.decider(name)))
        )

    def untraced(self, plan: Schedule) -> tuple[str, ...]:
        """Gates of the program that the artifact does not have: folded away, or lost."""
        return tuple(name for name in plan.deciders if name not in self.traced)


@dataclass(frozen=True, slots=True)
class Literal:
    """Holds where a gate's decision is one of `arms`, or (`negated`) is none of them."""

    gate: str
    arms: tuple[int, ...]
    negated: bool
    axes: int
    """How many axes the decision is over: none, the batch, or further ones after it."""


@dataclass(frozen=True, slots=True)
class RowSpace:
    """A subset of the batch rows, or of the positions in them, by the decisions that make it; parents come before their
    children."""

    name: str
    parent: str | None
    terms: tuple[tuple[Literal, ...], ...]


def row_spaces(plan: Plan) -> tuple[RowSpace, ...]:
    """The row spaces of a plan, but for the root. Left out are those of gates that are computed for more rows than were
    asked: their space holds rows that the trace calls unreached."""
    beyond = frozenset(report.gate for report in plan.gates if report.reached != ((),))
    result: list[RowSpace] = []
    known: dict[int, str | None] = {0: None}
    for space in plan.spaces:
        if space.parent is None or space.parent not in known:
            continue
        asked = {choice.decision.node for term in space.terms for choice in term}
        terms = None if asked & beyond else _terms(plan, space)
        if terms is not None:
            known[space.id] = space.name
            result.append(RowSpace(space.name, known[space.parent], terms))
    return tuple(result)


def predict_rows(spaces: Sequence[RowSpace], trace: Mapping[str, Array], rows: int) -> dict[str, int]:
    """Rows, or positions, that each space holds, by the decisions of a run; a space whose decisions were not traced is
    left out."""
    held: dict[str | None, Array] = {None: np.ones(rows, "bool")}
    for space in spaces:
        literals = [literal for term in space.terms for literal in term]
        if space.parent in held and all(literal.gate in trace for literal in literals):
            parent = held[space.parent]
            rank = max([parent.ndim, *(literal.axes for literal in literals)])
            terms = [reduce(_and, [_holds(c, trace[c.gate], rank) for c in term]) for term in space.terms]
            held[space.name] = _and(reduce(_or, terms), _widened(parent, rank))
    return {name: int(mask.sum()) for name, mask in held.items() if name is not None}


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
    return Literal(gate.name, choice.arms, choice.negated, len(axes))


def _holds(literal: Literal, trace: Array, rank: int) -> Array:
    """Where a literal holds, with that rank or none."""
    taken: Array = np.isin(trace, literal.arms)
    if taken.ndim > literal.axes:
        taken = np.asarray(taken.any(axis=-1))
    return _widened(np.asarray(~taken) if literal.negated else taken, rank)


def _widened(mask: Array, rank: int) -> Array:
    """With further axes of size one; a scalar stays one."""
    return mask.reshape(mask.shape + (1,) * (rank - mask.ndim)) if mask.ndim else mask


def _and(a: Array, b: Array) -> Array:
    return np.asarray(a & b)


def _or(a: Array, b: Array) -> Array:
    return np.asarray(a | b)
