"""What can be said of a graph without changing it: demand, guards, cost, cuts."""

from cogseedc.analysis.budget import Budget, check_budgets
from cogseedc.analysis.cost import ArmCost, Costs, ExitCost, LoopCost, NodeCost, costs, node_cost
from cogseedc.analysis.cuts import Cut, Trunk, balanced, cuts, place
from cogseedc.analysis.demand import demand, demand_at, narrowed
from cogseedc.analysis.expected import even_rates, expected, expected_turns
from cogseedc.analysis.extremes import Range
from cogseedc.analysis.guards import FALSE, TRUE, Guard, Literals, guardable, guards
from cogseedc.analysis.paths import Extreme, Paths, Picks
from cogseedc.analysis.shares import Share, counted, shares

__all__ = [
    "FALSE",
    "TRUE",
    "ArmCost",
    "Budget",
    "Costs",
    "Cut",
    "ExitCost",
    "Extreme",
    "Guard",
    "Literals",
    "LoopCost",
    "NodeCost",
    "Paths",
    "Picks",
    "Range",
    "Share",
    "Trunk",
    "balanced",
    "check_budgets",
    "costs",
    "counted",
    "cuts",
    "demand",
    "demand_at",
    "even_rates",
    "expected",
    "expected_turns",
    "guardable",
    "guards",
    "narrowed",
    "node_cost",
    "place",
    "shares",
]
