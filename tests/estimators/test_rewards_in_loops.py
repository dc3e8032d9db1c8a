"""REINFORCE in loops that are run: the log-probability of an index is the sum over the turns that it took."""

from __future__ import annotations

import pytest
import torch

import cogseedc
from cogseedc.diagnostics import UserError
from tests.estimators.programs import inputs

HEAD = """\
export seed Net {
    in  xs: f32[N, T=3, D=4]
    in  b: f32[N]
    out y: f32[N, D]
    share cell = linear[4]
    share say = linear[R=3]
"""
BODIES = {
    "bool": ("gate own over N = sum[over=D](h * x) > 0.1 via reinforce", "when own { cell(h) + x } else { h }"),
    "one": (
        "gate own over N = argmax(say(h + x)) via reinforce(baseline=b)",
        "route own { 0 => h  1 => cell(h)  2 => x + h }",
    ),
    "many": (
        "gate own over N = top[2](say(h + x)) via reinforce[baseline=2]",
        "route own { 0 => h  1 => cell(h)  2 => x }",
    ),
    "in an arm": (
        "gate on over N = sum[over=D](x) > 0",
        "when on { gate own over N = sum[over=D](h) > 0.1 via reinforce  yield when own { cell(h) } else { x } } else { h }",
    ),
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_scan_draws_as_its_turns(kind: str) -> None:
    """The same noise, the same draws, and the sum of their log-probabilities."""
    gate, value = BODIES[kind]
    scan = f"{HEAD}    y = scan x in xs over T with h = ones[N, 4]() {{ {gate}  next h = {value} }}\n}}\n"
    turns = f"{HEAD}    y = for t in 0 .. 3 with h = ones[N, D=4]() {{ x = xs[T=t]  {gate}  next h = {value} }}\n}}\n"
    given, found = inputs((6, 3, 4), (6,)), []
    for text in (scan, turns):
        net = cogseedc.build(text, rng=0)
        torch.manual_seed(5)
        out = net(*given)
        loss = out.policy_loss(torch.arange(6.0)) + out.y.sum()
        found.append(
            (
                out.y,
                sum(out.logp.values()),
                *torch.autograd.grad(loss, [given[0], *net.parameters()], allow_unused=True),
            )
        )
    for mine, wanted in zip(*found, strict=True):
        assert (mine is None) == (wanted is None)
        if mine is not None:
            torch.testing.assert_close(mine, wanted)


STOPPING = """\
export seed Net {
    in  x: f32[N, D=2]
    out n: i64[N]
    param w: f32[D=2] = ones()
    h, n = repeat 4 with h = x, n = 0 until stop {
        gate stop over N = sum[over=D](h * w) > 0.3 via reinforce[baseline=0.5]
        next h = 0.5 * h + 0.1
        next n = n + 1
    }
}
"""


def test_where_to_stop_is_learned_from_rewards() -> None:
    """The gradient of the expectation over when a sample stops: what no other estimator has."""
    torch.manual_seed(0)
    net = cogseedc.build(STOPPING, rng=0)
    x, w = torch.tensor([0.4, 0.9]), torch.tensor([0.7, -0.4], requires_grad=True)
    net.load_state_dict({"w": w.detach()})
    out = net(x.expand(200_000, -1))
    (mine,) = torch.autograd.grad(-out.policy_loss((out.n - 1.3) ** 2), net.w)
    going, h, exact = torch.tensor(1.0), x, torch.tensor(0.0)
    for turn in range(1, 5):
        stops = torch.sigmoid((h * w).sum() - 0.3) if turn < 4 else torch.tensor(1.0)
        exact = exact + going * stops * (turn - 1.3) ** 2
        going, h = going * (1 - stops), 0.5 * h + 0.1
    (wanted,) = torch.autograd.grad(exact, w)
    torch.testing.assert_close(mine, wanted, atol=0.02, rtol=0)


PLACES = """\
export seed Net {
    in  values: f32[N, T=4]
    out y: f32[N]
    param w: f32[D=2] = ones()
    at, y = repeat 2 with at = full[N](3), y = 0.0 {
        where_to = sigmoid(w[D=0] + w[D=1] * at) * (T - 1)
        away = range[T, dtype=f32]() - expand[T](where_to)
        gate place over N = argmax[over=T](-square(away) / 0.5) via reinforce[baseline=0.75]
        next at = place
        next y = 0.5 * y + take[over=T](values, place)
    }
}
"""


def test_where_to_look_is_learned_from_rewards() -> None:
    """Places drawn from a normal distribution among the frames, each from where the one before was (example 71)."""
    torch.manual_seed(1)
    net = cogseedc.build(PLACES, rng=0)
    values, w = torch.tensor([0.3, 1.0, -0.5, 0.8]), torch.tensor([-0.6, 0.3], requires_grad=True)
    net.load_state_dict({"w": w.detach()})
    out = net(values.expand(200_000, -1))
    (mine,) = torch.autograd.grad(-out.policy_loss((out.y - 0.4) ** 2), net.w)

    def chances(at: float) -> torch.Tensor:
        where_to = 3 * torch.sigmoid(w[0] + w[1] * at)
        return torch.softmax(-((torch.arange(4) - where_to) ** 2) / 0.5, 0)

    first = chances(3.0)
    rewards = [(0.5 * values[a] + values - 0.4) ** 2 for a in range(4)]
    exact = sum((first[a] * (chances(float(a)) * rewards[a]).sum() for a in range(4)), torch.tensor(0.0))
    (wanted,) = torch.autograd.grad(exact, w)
    torch.testing.assert_close(mine, wanted, atol=0.03, rtol=0)
    assert wanted.abs().min() > 0.3


def test_draws_of_loops_in_loops() -> None:
    text = """\
export seed Net {
    in  xs: f32[N, T=2, D=4]
    out y: f32[N, D]
    y = scan x in xs over T with h = ones[N, 4]() {
        next h = repeat 3 with c = h until more {
            gate more over N = sum[over=D](c * x) > 0 via reinforce
            next c = 0.5 * c + x
        }
    }
}
"""
    (xs,) = inputs((6, 2, 4))
    out = cogseedc.build(text, rng=0)(xs, trace=True)
    (name,) = out.logp
    total, h = torch.zeros(6), torch.ones(6, 4)
    for t in range(2):
        going = torch.ones(6)
        for turn in range(3):
            score = (h * xs[:, t]).sum(1)
            drawn = out.trace[name][:, t, turn]
            total = total + going * torch.nn.functional.logsigmoid(torch.where(drawn == 1, score, -score))
            h = torch.where(going[:, None] > 0, 0.5 * h + xs[:, t], h)
            going = going * (drawn == 0)
    torch.testing.assert_close(out.logp[name], total)


REFUSED = {
    "is not over all axes": "gate q over N = sum[over=(T, D)](h) > 0 via reinforce",
    "changes from turn to turn": "gate q over N, T = sum[over=D](h) > 0 via reinforce(baseline=h[D=0])",
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_does_not_add_up_is_refused(message: str) -> None:
    text = f"""\
export seed Net {{
    in  x: f32[N, T, D=4]
    out y: f32[N, T, D]
    y = repeat 3 with h = x until h[D=0] > 0 {{
        {REFUSED[message]}
        next h = when q {{ linear[D](h) }} else {{ -h }}
    }}
}}
"""
    with pytest.raises(UserError, match=f"CS0427.*{message}"):
        cogseedc.load(text)
