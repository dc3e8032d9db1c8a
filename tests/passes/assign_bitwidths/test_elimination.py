"""Bucket elimination against trying everything."""

from itertools import combinations, product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogseedc.analysis.elimination import cheapest, cost_of


@st.composite
def problems(draw):
    count = draw(st.integers(1, 6))
    number = st.integers(-9, 9).map(float)
    sizes = [draw(st.integers(1, 3)) for _ in range(count)]
    singles = {v: [draw(number) for _ in range(size)] for v, size in enumerate(sizes)}
    pairs = {}
    for a in range(count):
        for b in range(a + 1, count):
            if draw(st.booleans()):
                pairs[a, b] = [[draw(number) for _ in range(sizes[b])] for _ in range(sizes[a])]
    return singles, pairs


def exhaustive(singles, pairs):
    every = product(*(range(len(costs)) for costs in singles.values()))
    return min(cost_of(singles, pairs, dict(enumerate(values))) for values in every)


@given(problems())
def test_it_is_what_trying_everything_finds(problem):
    found = cheapest(*problem)
    assert found.exact
    assert found.cost == exhaustive(*problem)
    assert found.cost == cost_of(*problem, found.values)


@given(problems())
def test_past_the_cap_it_is_legal_and_says_so(problem):
    singles, pairs = problem
    found = cheapest(singles, pairs, cap=2)
    assert all(0 <= found.values[v] < len(costs) for v, costs in singles.items())
    assert found.cost >= exhaustive(singles, pairs)
    assert found.exact or any(len(costs) > 1 for costs in singles.values())


def test_the_cap_is_the_most_that_a_table_has():
    singles, pairs = {0: [0.0, 1.0, 2.0], 1: [0.0, 1.0]}, {(0, 1): [[5.0, 0.0], [0.0, 5.0], [5.0, 5.0]]}
    assert [cheapest(singles, pairs, cap).exact for cap in (5, 6)] == [False, True]


@pytest.mark.parametrize("seed", range(20))
def test_past_the_cap_one_is_fixed_and_the_others_are_as_cheap_as_can_be(seed):
    """In a ring, tables of three variables are too large; where one is out of the question, the rest is a chain."""
    random = Random(seed)
    singles = {v: [random.uniform(0, 9), random.uniform(0, 9)] for v in range(6)}
    singles[0] = [0.0, 1000.0]
    pairs = {(v, (v + 1) % 6): [[random.uniform(0, 99) for _ in range(2)] for _ in range(2)] for v in range(6)}
    found = cheapest(singles, pairs, cap=4)
    assert (found.exact, found.values[0]) == (False, 0)
    assert found.cost == pytest.approx(exhaustive(singles, pairs))


@pytest.mark.parametrize("seed", range(20))
def test_past_the_cap_no_other_choice_of_one_variable_is_cheaper(seed):
    random = Random(seed)
    singles = {v: [random.uniform(0, 9) for _ in range(3)] for v in range(7)}
    pairs = {(a, b): [[random.uniform(0, 9) for _ in range(3)] for _ in range(3)] for a, b in combinations(range(7), 2)}
    found = cheapest(singles, pairs, cap=2)
    near = [cost_of(singles, pairs, {**found.values, v: i}) for v in range(7) for i in range(3)]
    assert found.cost == pytest.approx(min(near))


@pytest.mark.parametrize("count", [3000])
def test_a_long_chain_takes_small_tables(count):
    singles = {v: [float(v % 3), 1.0, 2.0] for v in range(count)}
    unlike = [[0.0 if i == j else 0.4 for j in range(3)] for i in range(3)]
    assert cheapest(singles, {(v, v + 1): unlike for v in range(count - 1)}).exact
