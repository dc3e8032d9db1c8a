"""REINFORCE: over many draws, the mean of its gradients is the gradient of the expectation."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
import torch.nn.functional as F

import cogseedc
from tests.estimators.programs import gradients

DRAWS = 200_000
KINDS = {
    "bool": ("gate g over N = z[K=0] > 0.2", "g * 1.0", 1),
    "one": ("gate g over N = argmax(z)", "g.mask[K=0] * 3.0 + g.mask[K=1] - g.mask[K=2]", 3),
    "many": ("gate g over N = top[2](z)", "g.mask[K=0] * 3.0 + g.mask[K=1] - g.mask[K=2]", 3),
    "mask": ("gate g over N, K = in_top[2](z)", "sum[over=K](g * w)", 3),
}
VALUES = torch.tensor([3.0, 1.0, -1.0])


def program(kind: str, baseline: str = "[baseline=0]") -> torch.nn.Module:
    decision, value, classes = KINDS[kind]
    text = f"""\
export seed Net {{
    in  z: f32[N, K={classes}]
    out y: f32[N]
    w = concat(full[K=1](3.0), full[K=1](1.0), full[K=1](-1.0))
    {decision} via reinforce{baseline}
    y = {value}
}}
"""
    return cogseedc.build(text, rng=0)


def likelihoods(kind: str, z: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Probability and value of every decision."""
    p = F.softmax(z, 0)
    match kind:
        case "bool":
            taken = torch.sigmoid(z[0] - 0.2)
            return [(taken, torch.tensor(1.0)), (1 - taken, torch.tensor(0.0))]
        case "one":
            return [(p[i], VALUES[i]) for i in range(3)]
    return [(p[i] * p[j] / (1 - p[i]), VALUES[i] + VALUES[j]) for i, j in permutations(range(3), 2)]


@pytest.mark.parametrize("kind", KINDS)
def test_arithmetic_has_the_gradient_of_the_expectation(kind: str) -> None:
    torch.manual_seed(0)
    z = torch.tensor([0.4, -0.3, 0.1][: KINDS[kind][2]], requires_grad=True)
    y = program(kind)(z.expand(DRAWS, -1)).y
    exact = sum(p * v for p, v in likelihoods(kind, z))
    torch.testing.assert_close(y.mean(), exact, atol=0.02, rtol=0)
    (mine,) = torch.autograd.grad(y.mean(), z)
    (wanted,) = torch.autograd.grad(exact, z)
    torch.testing.assert_close(mine, wanted, atol=0.02, rtol=0)


@pytest.mark.parametrize("baseline", ["[baseline=2]", "(baseline=mean(z) + 1)"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_reward_is_any_function_of_what_was_drawn(kind: str, baseline: str) -> None:
    torch.manual_seed(0)
    z = torch.tensor([0.4, -0.3, 0.1][: KINDS[kind][2]], requires_grad=True)
    out = program(kind, baseline)(z.expand(DRAWS, -1))
    assert out.logp["g"].shape[0] == DRAWS
    reward = (out.y.detach() - 0.7) ** 2
    exact = sum(p * (v - 0.7) ** 2 for p, v in likelihoods(kind, z))
    (mine,) = torch.autograd.grad(-out.policy_loss(reward), z)
    (wanted,) = torch.autograd.grad(exact, z)
    torch.testing.assert_close(mine, wanted, atol=0.03, rtol=0)


def test_a_baseline_takes_variance_away() -> None:
    z = torch.zeros(1, requires_grad=True)
    spread = {}
    for baseline in ("[baseline=0]", "[baseline=10]"):
        net, found = program("bool", baseline), []
        for seed in range(40):
            torch.manual_seed(seed)
            out = net(z.expand(8, -1))
            found.append(torch.autograd.grad(-out.policy_loss(out.y.detach() + 10), z)[0])
        spread[baseline] = float(torch.stack(found).var())
    assert spread["[baseline=10]"] < spread["[baseline=0]"] / 50


def test_log_probabilities_are_values_of_the_seed_too() -> None:
    text = """\
export seed Net {
    in  z: f32[N]
    in  s: f32[N, K=3]
    out b: f32[N]
    out c: f32[N]
    out d: f32[N]
    gate g over N = z > 0 via reinforce
    gate r over N = argmax(s) via reinforce
    gate p over N = top[2](s * 2) via reinforce
    b = g.logp
    c = r.logp
    d = p.logp + 0 * sum[over=K](p.mask)
}
"""
    z, s = torch.randn(64).requires_grad_(), torch.randn(64, 3).requires_grad_()
    net = cogseedc.build(text, rng=0)
    out = net(z, s, trace=True)
    g, r, p = (out.trace[name] for name in "grp")
    wanted = F.logsigmoid(torch.where(g == 1, z, -z))
    torch.testing.assert_close(out.b, wanted)
    torch.testing.assert_close(out.c, F.log_softmax(s, 1).gather(1, r[:, None])[:, 0])
    odds = torch.exp(2 * s).gather(1, p)
    first, second = odds[:, 0] / torch.exp(2 * s).sum(1), odds[:, 1] / (torch.exp(2 * s).sum(1) - odds[:, 0])
    torch.testing.assert_close(out.d, torch.log(first) + torch.log(second), rtol=1e-4, atol=1e-5)
    for name, value in (("g", out.b), ("r", out.c), ("p", out.d)):
        torch.testing.assert_close(out.logp[name], value)
        assert [g.any() for g in gradients(value, [z, s])] == [name == "g", name != "g"]
    torch.testing.assert_close(net.eval()(z, s).b, F.logsigmoid(z.abs()))


def test_joins_take_draws_as_they_are() -> None:
    """What a region gives is part of the reward, so that it must not train the gate a second time."""
    text = """\
export seed Net {
    in  z: f32[N]
    in  a: f32[N, D=2]
    out y: f32[N, D]
    gate g over N = z > 0 via reinforce
    y = when g { a } else { 0 }
}
"""
    z, a = torch.randn(9).requires_grad_(), torch.randn(9, 2).requires_grad_()
    found = gradients(cogseedc.build(text, rng=0)(z, a).y, [z, a])
    assert not found[0].any()
    assert found[1].any()
