"""Least and worst sums over all decisions, against trying every one."""

from __future__ import annotations

from functools import cache
from itertools import product
from random import Random

import pytest

from cogseedc.analysis import paths
from cogseedc.analysis.paths import Extreme, Paths, Picks
from cogseedc.ir import TRUE, Gate, GateKind, Guard, Literals, NodeId
from tests.passes.toy import Toy


@cache
def drawn(seed: int) -> tuple[Paths, int, list[int]]:
    """Gates, some of whose arms are picked together, weights, and what is given; and what is excluded by each decision."""
    rng, toy = Random(seed), Toy()
    x = toy.input()
    many = [toy.many(f"m{i}", x, rng.randint(2, 4), 2).node for i in range(rng.randint(0, 2))]
    together = [toy.gate(f"t{i}", x).node for i in range(rng.choice([0, 3, 4]))]
    others = [toy.gate("b", x).node, toy.one("o", x, 3).node][rng.randint(0, 1) :]
    literals = Literals.of(toy.graph)
    picks = [picked(rng, *bits_of_many(literals, id)) for id in many]
    if together:
        first = [literals.first[id] for id in together]
        picks.append(picked(rng, [1 << bit for bit in first], [2 << bit for bit in first]))
    arms = [literals.taken(id, arm) for id in (*many, *together, *others) for arm in range(literals.gates[id].arms)]
    weights: dict[Guard, int] = {}
    for _ in range(rng.randint(3, 9)):
        terms = [
            literals.and_(rng.choice(arms), rng.choice([TRUE, rng.choice(arms)])) for _ in range(rng.randint(1, 2))
        ]
        weights[literals.union(terms)] = rng.randint(0, 9)
    every = [sum(bits) for bits in product(*(decisions(literals, id, gate) for id, gate in literals.gates.items()))]
    legal = [d for d in every if all(p.least <= sum(bool(d & bit) for bit in p.selected) <= p.most for p in picks)]
    given = rng.choice([0, rng.choice(arms).terms[0]])
    return Paths(literals, weights, picks), given, [d for d in legal if not given & ~d]


def bits_of_many(literals: Literals, id: NodeId) -> tuple[list[int], list[int]]:
    first = [literals.first[id] + 2 * arm for arm in range(literals.gates[id].arms)]
    return [2 << bit for bit in first], [1 << bit for bit in first]


def picked(rng: Random, selected: list[int], dropped: list[int]) -> Picks:
    most = rng.randint(1, len(selected))
    return Picks(rng.randint(0, most), most, tuple(selected), tuple(dropped))


def decisions(literals: Literals, id: NodeId, gate: Gate) -> list[int]:
    """What each decision of a gate excludes."""
    if gate.kind is GateKind.MANY:
        pairs = zip(*bits_of_many(literals, id), strict=True)
        return [sum(bits) for bits in product(*pairs)]
    return [literals.taken(id, arm).terms[0] for arm in range(gate.arms)]


def sums(found: Paths, legal: list[int]) -> list[int]:
    holds = [[any(not t & ~d for t in guard.terms) for guard in found.weights] for d in legal]
    return [sum(w for w, yes in zip(found.weights.values(), each, strict=True) if yes) for each in holds]


@pytest.mark.parametrize("seed", range(6))
def test_extremes_are_those_of_all_decisions(seed: int) -> None:
    for part in range(10):
        found, given, legal = drawn(10 * seed + part)
        if legal:
            every = sums(found, legal)
            assert found.worst(given) == Extreme(max(every))
            assert found.least(given) == Extreme(min(every))


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_bounds_hold_when_the_search_is_cut_short(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "STEPS", steps)
    exact = set[bool]()
    for seed in range(60):
        found, given, legal = drawn(seed)
        if not legal:
            continue
        every, worst, least = sums(found, legal), found.worst(given), found.least(given)
        assert least.value <= min(every) <= max(every) <= worst.value
        assert least.value == min(every) or not least.exact
        assert worst.value == max(every) or not worst.exact
        exact |= {least.exact, worst.exact}
    assert exact == {False, True}


def test_of_arms_picked_together_few_count_where_the_search_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The k heaviest at most, the k lightest at least, whatever else their work hangs on."""
    monkeypatch.setattr(paths, "STEPS", 1)
    toy = Toy()
    x = toy.input()
    pick, other = toy.many("pick", x, 4, 2).node, toy.gate("other", x).node
    literals = Literals.of(toy.graph)
    arms, yes = [literals.taken(pick, arm) for arm in range(4)], literals.taken(other, 1)
    weights = {arm: 10 * (i + 1) for i, arm in enumerate(arms)}
    weights |= {literals.and_(arm, yes): i + 1 for i, arm in enumerate(arms)}
    selected, dropped = bits_of_many(literals, pick)
    found = Paths(literals, weights, [Picks(2, 2, tuple(selected), tuple(dropped))])
    assert found.worst(0) == Extreme(40 + 30 + 4 + 3, exact=False)
    assert found.least(0) == Extreme(10 + 20, exact=False)
    first = arms[0].terms[0]
    assert found.worst(first) == Extreme(10 + 40 + 1 + 4, exact=False)
    assert found.least(first) == Extreme(10 + 20, exact=False)
    monkeypatch.undo()
    assert (found.worst(0), found.least(0)) == (Extreme(77), Extreme(30))
