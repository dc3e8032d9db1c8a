"""Compares what an artifact gave with the reference: values, decisions, reach, rows. Runs neither of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cogseedc.interp import Result, Schedule, arms_of, kind_of, mask_of, type_of
from cogseedc.ir import Exit, Gate, GateKind
from cogseedc.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a value may be from the reference: `absolute + relative * |reference|`."""

    absolute: float = 1e-4
    relative: float = 1e-3


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One difference. `kind`: value | shape | decision | reach | force | rows | error."""

    kind: str
    scenario: str
    name: str
    """The output, gate or row space."""
    detail: str


@dataclass(frozen=True, slots=True)
class Distance:
    """Largest distance of an output from the reference."""

    absolute: float
    mismatch: str | None
    """What is wrong; None: within the tolerance."""


def compare_values(found: Array, reference: Array, tolerance: Tolerance, margin: Array | None, near: float) -> Distance:
    """The distance of an output. Not floating: exact where its `margin` exceeds `near`. NaN equals NaN."""
    if found.shape != reference.shape:
        return Distance(float("inf"), f"shape {found.shape}, expected {reference.shape}")
    if not found.size:
        return Distance(0.0, None)
    value = found.astype("float64")
    wanted = reference.astype("float64")
    gap, bad = _apart(value, wanted, tolerance)
    if reference.dtype.kind != "f":
        bad = (gap > 0) & (np.asarray(np.inf if margin is None else margin) > near)
    if not bad.any():
        return Distance(float(gap.max()) if reference.dtype.kind == "f" else 0.0, None)
    worst = np.unravel_index(int(np.argmax(np.where(bad, gap, -1.0))), gap.shape)
    index = ", ".join(str(int(i)) for i in worst)
    text = f"[{index}] is {value[worst]:.6g}, the reference says {wanted[worst]:.6g}"
    text += f"; {int(bad.sum())} of {bad.size} differ"
    return Distance(float(gap.max()), text)


def too_far(found: Array, reference: Array, tolerance: Tolerance) -> Array:
    """Where a floating output of the right shape is further from the reference than allowed."""
    return _apart(found.astype("float64"), reference.astype("float64"), tolerance)[1]


def _apart(value: Array, wanted: Array, tolerance: Tolerance) -> tuple[Array, Array]:
    """How far apart values are, and where that is more than allowed. NaN equals NaN."""
    with np.errstate(all="ignore"):
        gap = np.abs(value - wanted)
        same = (value == wanted) | (np.isnan(value) & np.isnan(wanted))
        gap = np.where(same, 0.0, np.where(np.isnan(gap), np.inf, gap))
        allowed = tolerance.absolute + np.where(np.isfinite(wanted), tolerance.relative * np.abs(wanted), 0.0)
    return gap, gap > allowed


def compare_decisions(
    node: Gate | Exit, trace: Array, own: Array, margin: Array, near: float, loops: int = 0
) -> str | None:
    """What is wrong with an artifact's decisions: they must be the reference's where its margin exceeds `near`.

    `loops` is how many loops are around the gate: so many axes of turns its trace has.
    """
    expected = type_of(node).rank + loops
    if trace.ndim != expected:
        return f"the trace has rank {trace.ndim}, expected {expected}"
    many = kind_of(node) is GateKind.MANY
    if trace.shape[: own.ndim - many] != own.shape[: own.ndim - many]:
        return f"the trace has shape {trace.shape}, expected {own.shape}"
    if ((trace < -1) | (trace >= arms_of(node))).any():
        return f"the trace has an arm outside -1 .. {arms_of(node) - 1}"
    if many:  # the same arms in another order are the same decision
        reached = np.asarray((trace >= 0).any(axis=-1))
        different = np.asarray((mask_of(trace, arms_of(node)) != mask_of(own, arms_of(node))).any(axis=-1))
    else:
        reached, different = np.asarray(trace >= 0), np.asarray(trace != own)
    wrong = reached & different & (margin > near)
    if not wrong.any():
        return None
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    return (
        f"{list(first)} decided {trace[first]}, the reference {own[first]} with margin {float(margin[first]):.3g}; "
        f"{int(wrong.sum())} of {wrong.size} differ"
    )


def compare_reach(node: Gate | Exit, trace: Array, own: Array, demanded: Array) -> str | None:
    """What is wrong with an artifact's reach: a decision on which an output depends must have been made.

    `demanded` is over the axes of the decision and the turns of the loops around it.
    """
    missing = np.asarray(trace < 0)
    if kind_of(node) is GateKind.MANY:
        missing = np.asarray(missing.all(axis=-1) & (own >= 0).any(axis=-1))
    lost = missing & demanded
    if not lost.any():
        return None
    if not lost.ndim:
        return "not reached, yet an output depends on it"
    first = [int(i) for i in np.argwhere(lost)[0]]
    return f"not reached at {first}, yet an output depends on it; {int(lost.sum())} of {lost.size}"


def compare_rows(found: Mapping[str, int], predicted: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Row spaces that held another number of rows than their guards say."""
    for name, rows in found.items():
        if name in predicted and rows != predicted[name]:
            yield name, f"ran on {rows} rows, its guard holds for {predicted[name]}"


def compare_run(
    plan: Schedule,
    scenario: str,
    trace: Mapping[str, Array],
    reference: Result,
    forced: Mapping[str, int | None],
    near: float,
    untold: frozenset[str] = frozenset(),
) -> Iterator[Mismatch]:
    """Mismatches of all decisions of one run. A forced gate must have taken the arm wherever it was reached.

    Of the gates `untold` the trace does not tell where they were reached.
    """
    for name, decisions in trace.items():
        if name not in plan.deciders:
            yield Mismatch("decision", scenario, name, "the program has no such gate")
            continue
        node, loops = plan.decider(name), len(plan.deciders[name].loops)
        own, margin = reference.own[name], reference.margins[name]
        if name not in forced:
            wrong = compare_decisions(node, decisions, own, margin, near, loops)
            if wrong is not None:
                yield Mismatch("decision", scenario, name, wrong)
                continue
        elif kind_of(node) is GateKind.MANY:
            continue  # its trace lists what the scores choose, so a forced mask shows in values only
        elif not _obeyed(decisions, forced[name]):
            yield Mismatch("force", scenario, name, f"was forced to {forced[name]} and did not take it")
        lost = None if name in untold else compare_reach(node, decisions, own, reference.demanded[name])
        if lost is not None:
            yield Mismatch("reach", scenario, name, lost)


def _obeyed(trace: Array, arm: int | None) -> bool:
    return arm is None or arm < 0 or bool(((trace == arm) | (trace == -1)).all())
