"""Compares what a program costs with what its author allows. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cogseedc.analysis.cost import Costs
from cogseedc.diagnostics import Diagnostics
from cogseedc.source import Span


@dataclass(frozen=True, slots=True)
class Budget:
    """One bound of a `budget` member: `macs mean <= 2M`."""

    quantity: str
    """macs | params | bytes | latency_ms"""
    measure: str
    """mean | worst"""
    limit: float
    strict: bool = False
    """Whether `<` is written rather than `<=`."""
    span: Span | None = None


def check_budgets(
    costs: Costs, budgets: Iterable[Budget], diagnostics: Diagnostics, means: dict[str, float] | None = None
) -> tuple[Budget, ...]:
    """Reports CS0704 for a worst case that is not proved to keep its bound and CS0705 for a mean above it.

    `means` are measured (a profile, a benchmark), by quantity; a mean without measurement is not checked,
    and neither is the worst latency. Returns the bounds that could not be checked.
    """
    open = list[Budget]()
    for budget in budgets:
        worst = budget.measure != "mean"
        value = _worst(costs, budget.quantity) if worst else (means or {}).get(budget.quantity)
        if value is None:
            open.append(budget)
        elif worst:
            _hold(budget, value, "CS0704", diagnostics)
        else:
            hold_mean(budget, value, diagnostics)
    return tuple(open)


def hold_mean(budget: Budget, value: float, diagnostics: Diagnostics) -> None:
    """Reports CS0705 when the mean exceeds its bound."""
    _hold(budget, value, "CS0705", diagnostics)


def _hold(budget: Budget, value: float, code: str, diagnostics: Diagnostics) -> None:
    if value > budget.limit or (budget.strict and value == budget.limit):
        diagnostics.error(
            code,
            f"the {budget.measure} {budget.quantity} are {value:,.0f}, more than the budget of {budget.limit:,.0f}",
            budget.span,
            help="make the costliest path cheaper, or raise the budget; `cogseedc cost` lists the paths",
        )


def _worst(costs: Costs, quantity: str) -> float | None:
    match quantity:
        case "macs":
            return costs.macs.worst.value
        case "bytes":
            return costs.bytes.worst.value
        case "params":
            return costs.params
        case _:
            return None
