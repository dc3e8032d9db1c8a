"""Choosing thresholds from tables of outcomes: laws that hold for any table."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from cogseedc.calibrate import Space, by_exit, msdnet, pareto, parse, refine, search
from cogseedc.diagnostics import UserError
from cogseedc.driver.outcomes import Outcomes
from cogseedc.driver.probe import ExitPoint, Threshold
from cogseedc.ir import Dtype
from cogseedc.runtime import KnobPort, Port

COSTS = (1.0, 4.0, 10.0)


def table(count: int = 300, rng: int = 0, comparison: str = "ge", shared: bool = False) -> Space:
    """Two exits and the end; scores tell something of whether the answer is right."""
    draw = np.random.default_rng(rng)
    hard = draw.random(count)
    quality = np.stack([(hard + 0.3 * draw.standard_normal(count) < limit) for limit in (0.55, 0.8, 0.9)]).astype(float)
    score = {n: np.clip(1 - hard + 0.2 * draw.standard_normal(count), 0, 1).astype(np.float32) for n in ("one", "two")}
    if comparison in ("le", "lt"):
        score = {n: -s for n, s in score.items()}
    exits = tuple(ExitPoint(n, Threshold("tau", 0 if shared else i, comparison)) for i, n in enumerate(("one", "two")))
    macs = np.repeat(np.array(COSTS)[:, None], count, 1)
    outcomes = Outcomes(exits, quality, macs, score, {n: np.zeros(count, bool) for n in score})
    elements = 1 if shared else 2
    port = Port("tau", Dtype.F32, ("L",), (str(elements),))
    low, high = (-1.0, 0.0) if comparison in ("le", "lt") else (0.0, 1.0)
    return Space(outcomes, macs, {"tau": KnobPort(port, (0.5,) * elements, low, high)}, {"tau": (0.5,) * elements})


@pytest.mark.parametrize("comparison", ["ge", "gt", "le", "lt"])
def test_a_summary_is_what_a_plain_loop_gives(comparison: str) -> None:
    space = table(50, comparison=comparison)
    sign = 1 if comparison in ("ge", "gt") else -1
    knobs = {"tau": (sign * 0.7, sign * 0.3)}
    right = spent = 0.0
    for i in range(50):
        way = 2
        for place, name in ((1, "two"), (0, "one")):
            score, limit = float(space.outcomes.scores[name][i]), float(np.float32(knobs["tau"][place]))
            if {"ge": score >= limit, "gt": score > limit, "le": score <= limit, "lt": score < limit}[comparison]:
                way = place
        right, spent = right + space.outcomes.quality[way, i], spent + COSTS[way]
    point = space.point(knobs)
    assert (point.summary.quality, point.summary.macs) == pytest.approx((right / 50, spent / 50))
    assert sum(point.summary.shares) == pytest.approx(1)


@pytest.mark.parametrize(("comparison", "shared"), [("ge", False), ("lt", False), ("ge", True), ("le", True)])
def test_no_pair_of_thresholds_betters_the_search_by_much(comparison: str, shared: bool) -> None:
    """Against all pairs of a fine grid, at the prices of the search."""
    space = table(120, 3, comparison, shared)
    points = list(search(space))
    low, high = (-1, 0) if comparison in ("le", "lt") else (0, 1)
    grid = np.linspace(low, high, 41)
    pairs: Any = [(v,) for v in grid] if shared else itertools.product(grid, grid)
    others = [space.point({"tau": tuple(map(float, pair))}) for pair in pairs]
    for price in (0.01, 0.1, 0.3):

        def worth(point: Any, price: float = price) -> float:
            return float(point.summary.quality - price * point.cost / COSTS[-1])

        assert max(map(worth, points)) >= max(map(worth, others)) - 1e-9


def test_the_search_is_at_least_as_good_as_the_rule() -> None:
    space = table()
    rule = list(msdnet(space))
    assert len(rule) == 39
    points = list(search(space, rule))
    for budget in np.linspace(1, 10, 19):

        def best(of: Any, budget: float = budget) -> float:
            return float(max((p.summary.quality for p in of if p.cost <= budget), default=0))

        assert best(points) >= best(rule)
    assert sum(p.summary.quality for p in pareto(points)) > 0


@pytest.mark.parametrize("shared", [False, True])
def test_refining_uses_what_a_budget_leaves(shared: bool) -> None:
    """Against all thresholds (pairs of them) of a fine grid, under a bound that no price of the search meets exactly."""
    space = table(1000 if shared else 120, 3, shared=shared)
    points = list(search(space))
    grid = [(float(a),) for a in np.linspace(0, 1, 1001)]
    if not shared:
        grid = [(float(a), float(b)) for a, b in itertools.product(np.linspace(0, 1, 61), repeat=2)]
    others = [space.point({"tau": values}) for values in grid]
    for limit in (1.7, 2.9, 4.3):
        within = sorted((p for p in points if p.cost <= limit), key=lambda p: -p.summary.quality)[:8]
        found = max((refine(space, p, limit) for p in within), key=lambda p: p.summary.quality)
        assert found.cost <= limit
        best = max(p.summary.quality for p in others if p.cost <= limit)
        assert found.summary.quality >= max(best - (0.002 if shared else 0.01), within[0].summary.quality)


def test_the_rule_lets_out_the_shares_that_it_says() -> None:
    """q = 20 asks for equal shares."""
    space = table(300)
    found = list(msdnet(space))[19].summary.shares
    assert found == pytest.approx((1 / 3, 1 / 3, 1 / 3), abs=0.01)
    shared = table(shared=True)
    assert list(msdnet(shared)) == [], "two exits of one threshold"


def test_raising_a_threshold_lets_nobody_out_earlier() -> None:
    space = table()
    for low, high in itertools.combinations(np.linspace(0, 1, 9), 2):
        early = space.outcomes.leaving({"tau": (float(low), 0.5)})
        assert (space.outcomes.leaving({"tau": (float(high), 0.5)}) >= early).all()


def test_each_exit_by_itself_keeps_its_promise() -> None:
    space = table(500)
    for allowed in (0.0, 0.05):
        point = by_exit(space, allowed)
        for place, exit in enumerate(space.outcomes.exits):
            out = space.outcomes.condition(exit, point.knobs)
            assert out.any()
            gain = (space.outcomes.quality[place] - space.outcomes.quality[-1])[out].mean()
            assert gain >= -allowed - 1e-9


def test_no_number_never_leaves() -> None:
    space = table(20)
    space.outcomes.scores["one"][:] = np.nan
    assert (space.outcomes.leaving({"tau": (0.0, 1.0)}) > 0).all()
    assert all(p.summary.shares[0] == 0 for p in (*msdnet(space), *search(space)))


@pytest.mark.parametrize("shared", [False, True])
def test_the_cheapest_choice_is_among_what_the_search_offers(shared: bool) -> None:
    assert min(p.cost for p in search(table(shared=shared))) == COSTS[0], "everybody leaves at once"


def test_pareto_is_what_nothing_betters() -> None:
    points = list(search(table()))
    kept = pareto(points)
    assert all(a.cost < b.cost and a.summary.quality < b.summary.quality for a, b in itertools.pairwise(kept))
    assert max(p.summary.quality for p in points) == kept[-1].summary.quality


def test_budgets() -> None:
    macs, worst, below, share, plain = parse(
        ["macs<=0.3x", "worst macs <= 2M", "accuracy>=-0.2pt", "accuracy >= 97%", "mean latency_ms<=5"]
    )
    assert (macs.bound(1000), macs.worst, worst.bound(1), worst.worst) == (300, False, 2e6, True)
    assert below.bound(0.98) == pytest.approx(0.978)
    assert share.bound(0.5) == 0.97
    assert plain.bound(100) == 5
    assert [b.value for b in parse(["macs<=.3x", "accuracy>=-.5pt", "macs<=2.e+3"])] == [0.3, -0.005, 2000]
    for text in (
        "macs>=1",
        "accuracy<=1",
        "worst accuracy>=1",
        "macs<=3pt",
        "macs<=-1",
        "steps<=3",
        "macs=3",
        "macs<=.x",
        "",
    ):
        with pytest.raises(UserError, match="CS1007"):
            parse([text])
