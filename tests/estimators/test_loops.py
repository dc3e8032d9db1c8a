"""Gates in loops that are run, and gates that such loops read, are trained as those of the unrolled loop."""

from __future__ import annotations

import pytest
import torch

import cogseedc
from tests.estimators.programs import alike, inputs

HEAD = """\
export seed Net {
    in  z: f32[N]
    in  k: f32[N, R=3]
    in  w: f32[N, T=3]
    in  xs: f32[N, T, D=4]
    out y: f32[N, D]
    param v: f32[D=4] = full(0.7)
    gate g over N = z > 0 via VIA
    gate r over N = argmax(k) via VIA
    gate u over N, T = w > 0 via VIA
"""
BODY = """\
        gate own over N = sum[over=D](x * h * v) > 0.1 via VIA
        a = when g and not m { x + h } else { x }
        b = route r { 0 => a  1 => 2 * a  else => h }
        next h = when own { b * own + a } else { b }
"""
SCAN = f"""{HEAD}\
    y = scan x, m in (xs, u.mask) over T with h = ones[N, 4]() {{
{BODY}    }}
}}
"""
FOR = f"""{HEAD}\
    y = for t in 0 .. 3 with h = ones[N, 4]() {{
        x = xs[T=t]
        m = u.mask[T=t]
{BODY}    }}
}}
"""


@pytest.mark.parametrize("via", ["straight_through", "soft"])
def test_a_scan_has_the_gradients_of_its_turns(via: str) -> None:
    given = inputs((6,), (6, 3), (6, 3), (6, 3, 4))
    run, unrolled = (cogseedc.build(text.replace("VIA", via), rng=0) for text in (SCAN, FOR))
    alike(run(*given).y, unrolled(*given).y, given)
    assert all(torch.autograd.grad(run(*given).y.sum(), given)[i].abs().sum() > 0 for i in range(4))


def test_a_gate_reaches_loops_in_loops() -> None:
    text = """\
export seed Net {
    in  z: f32[N]
    in  xs: f32[N, T=2, D=4]
    out y: f32[N, D]
    gate g over N = z > 0 via straight_through
    y = scan x in xs over T with h = x0 {
        next h = repeat 2 with c = h { next c = when g { c + x } else { 2 * c } }
    }
}
""".replace("x0", "0.5 * sum[over=T](xs)")
    z, xs = given = inputs((6,), (6, 2, 4))
    g = (z + ((z > 0).float() - z).detach())[:, None]
    h = 0.5 * xs.sum(1)
    for t in range(2):
        for _ in range(2):
            h = g * (h + xs[:, t]) + (1 - g) * 2 * h
    alike(cogseedc.build(text, rng=0)(*given).y, h, given)


def test_the_trainer_rewards_gates_that_draw() -> None:
    from cogseedc.train.losses import Objective
    from cogseedc.train.options import Options

    text = "export seed A {\n in x: f32[N, D=4]\n out y: f32[N, 2]\n gate g over N = linear[1](x) > 0 via reinforce\n"
    net = cogseedc.build(text + " y = when g { linear[2](x) } else { -linear[2](x) }\n}\n", rng=0)
    out, target = net(torch.randn(8, 4)), torch.randint(2, (8,))
    terms = {name: term for name, _, term in Objective("y", (), Options()).terms(out, target)}
    assert list(terms) == ["end", "policy"]
    terms["policy"].backward()
    assert net.get_parameter("g.linear.weight").grad.abs().sum() > 0
