"""The least and the worst of what is spent where it is known at how many positions gates take their arms, by hand."""

from __future__ import annotations

import pytest

from cogseedc.analysis.cost import costs
from cogseedc.analysis.paths import Extreme
from cogseedc.driver.program import load
from cogseedc.ops import OPS

NET = """
export seed Net {{
    in  x: f32[N, T=8, D=6]
    out y: f32[N, T, D]
    s = x[D=0]
    gate two over N, T = in_top[2, over=T](s)
    gate three over N, T = in_top[3, over=T](-s)
    gate every over N, T = in_top[8, over=T](s)
    gate any over N, T = s > 0
    gate row over N = mean(s) > 0
    gate pick over N = top[2](x[T=0, D=0 .. 3])
    gate full over N, T = capacity[3, over=T](top[1](x[D=0 .. 3]))
    gate some over N, T = capacity[3, over=T](top[2](x[D=0 .. 3]))
    m = mean[over=T](x)
    gate thin over N, D = in_top[2, over=D](m)
    a = linear[D](x)
    b = linear[D](mean[over=T, keep=true](x))
    y = {value}
}}
"""
ONE = 6 * 6
"""MACs of `a` at one position, and of `b`, which is the same for all positions of a row."""
CASES = [
    ("when two { a } else { x }", 2 * ONE, True, 2 * ONE, True),
    ("when two { x } else { a }", 6 * ONE, True, 6 * ONE, True),
    ("when every { x } else { a }", 0, True, 0, True),
    ("when any { a } else { x }", 0, True, 8 * ONE, True),
    # what is known of one gate says nothing of others
    ("when two { a } else { x } + when any { linear[D](x) } else { x }", 2 * ONE, True, 10 * ONE, True),
    ("when two { a } else { x } + when row { linear[D](x) } else { x }", 2 * ONE, True, 10 * ONE, True),
    # together: as many as the rarer one has at most; what they cannot share out at least
    ("when two and row { a } else { x }", 0, False, 2 * ONE, False),
    ("when two { when three { a } else { x } } else { x }", 0, False, 2 * ONE, False),
    ("when two { x } else { when three { x } else { a } }", 3 * ONE, False, 5 * ONE, False),
    # by either: at least what the one asks, at most the sum
    ("when two { tanh(a) } else { when three { a } else { x } }", 2 * ONE, False, 5 * ONE, False),
    ("when two { when row { a } else { x } } else { when row { x } else { a } }", 2 * ONE, False, 8 * ONE, False),
    # what mixes positions is computed in rows of which any position asks for it
    ("when two { x + b } else { x }", ONE, True, ONE, True),
    ("when every { x } else { x + b }", 0, True, 0, True),
    ("when any { x + b } else { x } + when two { a } else { x }", 2 * ONE, True, 3 * ONE, False),
    ("when any { x + b } else { when row { a } else { x } }", 0, True, 9 * ONE, False),
    ("when two { x + b } else { when any { x } else { a } }", ONE, False, 7 * ONE, False),
    ("when any { x + linear[D](when thin { m } else { 0 }) } else { x }", 0, True, ONE // 3, False),
    # k of n: of arms in a row each its own, of positions no more than there is room for
    ("route pick merge sum { 0 => when two { a } else { x }  1 => x  2 => x }", 0, True, 2 * ONE, True),
    ("route pick merge sum { 0 => when two { a } else { x }  else => x }", 0, True, 2 * ONE, True),
    ("route full { 0 => a  1 => linear[D](a)  2 => tanh(linear[D](a)) }", 0, False, 14 * ONE, False),
    ("route full { 0 => a  1 => linear[D](x)  2 => linear[D](linear[D](x)) }", 0, False, 12 * ONE, False),
    ("route full { 0 => x  1 => x  2 => a }", 0, False, 3 * ONE, False),
    ("route some merge sum { 0 => a  1 => linear[D](x)  2 => linear[D](linear[D](x)) }", 0, False, 12 * ONE, False),
    ("route some merge sum { 0 => x  1 => x  else => a }", 2 * ONE, False, 8 * ONE, False),
    ("route some merge sum { 0 => x  1 => a  2 => x }", 0, False, 3 * ONE, False),
]


@pytest.mark.parametrize(("value", "least", "at_least", "worst", "at_most"), CASES)
def test_extremes(value: str, least: int, at_least: bool, worst: int, at_most: bool) -> None:
    found = costs(load(NET.format(value=value)).structure, OPS).macs
    assert (found.least, found.worst) == (Extreme(least, at_least), Extreme(worst, at_most))
