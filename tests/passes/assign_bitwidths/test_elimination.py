"""Bucket elimination against trying everything."""

from itertools import product

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


@pytest.mark.parametrize("count", [3000])
def test_a_long_chain_takes_small_tables(count):
    singles = {v: [float(v % 3), 1.0, 2.0] for v in range(count)}
    unlike = [[0.0 if i == j else 0.4 for j in range(3)] for i in range(3)]
    assert cheapest(singles, {(v, v + 1): unlike for v in range(count - 1)}).exact
