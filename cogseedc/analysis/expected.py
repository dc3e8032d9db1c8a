"""What a program costs in the mean, when it is known how often each gate takes each arm. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import prod

from cogseedc.analysis.cost import Costs, LoopCost
from cogseedc.ir import GateKind, Guard, Literals, NodeId, decider

Rates = Mapping[str, Sequence[float]]
"""By gate, for each arm, the share of the indices that reach the gate for which it takes the arm."""


def expected(costs: Costs, rates: Rates) -> float:
    """Mean MACs per sample when gate `g`, where it is reached, takes arm `a` at rate `rates[g][a]`.

    Decisions of different gates, and of different turns of a loop, count as independent, given that they are reached.
    What a gate over more than the batch can ask for a sample as a whole only, any sample is taken to ask for.
    Raises KeyError for a gate without rates that a guard speaks of.
    """
    own = sum(
        macs * _chance(costs.literals, asked.when, rates) * _chance(costs.literals, asked.read, rates)
        for asked, macs in costs.work.items()
    )
    return own + sum(
        _chance(costs.literals, loop.guard, rates) * expected_turns(loop, rates) * expected(loop.body, rates)
        for loop in costs.loops
    )


def expected_turns(loop: LoopCost, rates: Rates) -> float:
    """The mean number of turns: an index that stops after each with probability p runs (1 - (1 - p)^most) / p."""
    if not loop.halts:
        return loop.most
    stops = 0.5 if loop.until is None else rates[loop.until.name][1]
    return float(loop.most) if stops <= 0 else (1 - (1 - stops) ** loop.most) / stops


def even_rates(costs: Costs) -> dict[str, tuple[float, ...]]:
    """Rates for when nothing was measured: every arm alike, but for what the decision itself says of its share."""
    known = {name: tuple(float(share.even) for share in shares) for name, shares in costs.even.items()}
    return {name: known.get(name, (1 / gate.arms,) * gate.arms) for name, gate in costs.gates.items()}


def _chance(literals: Literals, guard: Guard, rates: Rates) -> float:
    """Inclusion and exclusion over the terms."""
    total = 0.0
    for others in range(len(guard.terms)):
        for chosen in combinations(guard.terms, others + 1):
            both = 0
            for term in chosen:
                both |= term
            if not literals.contradictory(both):
                total += (-1) ** others * _chance_of_all(literals, both, rates)
    return total


def _chance_of_all(literals: Literals, term: int, rates: Rates) -> float:
    return prod(_chance_of(literals, gate, term, rates) for gate in literals.owners_of(term))


def _chance_of(literals: Literals, id: NodeId, term: int, rates: Rates) -> float:
    gate, first = literals.gates[id], literals.first[id]
    rate = rates[gate.name]
    if gate.kind is not GateKind.MANY:
        return sum(rate[arm] for arm in range(gate.arms) if not term >> (first + arm) & 1)
    both = [term >> (first + 2 * arm) & 3 for arm in range(gate.arms)]
    if decider(id) != id:
        return float(all(rate[arm] > 0 for arm, excluded in enumerate(both) if excluded))
    return prod((1.0, 1 - rate[arm], rate[arm])[excluded] for arm, excluded in enumerate(both))
