"""Training modules as a whole: they agree with evaluation, count what they cost, and learn to cost less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import cogseedc
from tests.estimators.programs import silence

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.seed"))
TRAINED = [path for path in EXAMPLES if " via " in path.read_text(encoding="utf-8")]
ROUNDED = frozenset({"h.where_to.linear.weight", "h.where_to.linear.bias"})
"""Weights of places that are rounded to whole numbers, which have no gradient; rewards for places train them."""
HARD = [path for path in TRAINED if "via soft" not in path.read_text(encoding="utf-8")]
NESTED = """\
export seed Net {
    in  z: f32[N, L=2]
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate outer over N = z[L=0] > 0 via VIA
    gate inner over N = z[L=1] > 0 via VIA
    h = when outer {
        a = when inner { linear[D](x) } else { x }
        yield linear[D](linear[D](a))
    } else { x }
    y = linear[D](h)
    loss inner_ = cost(inner)
    loss outer_ = cost(outer)
    loss region = cost(h)
    loss all = cost()
    loss most = cost(full=true)
}
"""


def images(net: cogseedc.Program, rows: int) -> list[torch.Tensor]:
    """Random inputs of a program."""
    from cogseedc.ir import Input

    random = torch.Generator().manual_seed(1)
    ports = [n for _, n in net.elaborated.graph.nodes() if isinstance(n, Input)]
    return [torch.randn(*(a.size.value or rows for a in p.type.axes), generator=random) for p in ports]


@pytest.mark.parametrize("path", HARD, ids=lambda p: p.stem)
def test_without_noise_hard_estimators_train_what_is_evaluated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = cogseedc.load(path)
    net = cogseedc.build(program, rng=0)
    silence(net, monkeypatch)
    kept = F.batch_norm
    monkeypatch.setattr(F, "batch_norm", lambda *args, training=False, **more: kept(*args, training=False, **more))
    given = images(program, 5)
    trained, evaluated = net(*given, trace=True), net.eval()(*given, trace=True)
    for mine, theirs in zip(trained, evaluated, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    for name, decision in trained.trace.items():
        seen = evaluated.trace[name] >= 0
        assert torch.equal(decision[seen], evaluated.trace[name][seen]), name


@pytest.mark.parametrize("path", TRAINED, ids=lambda p: p.stem)
def test_every_example_trains_under_autocast(path: Path) -> None:
    program = cogseedc.load(path)
    net = cogseedc.build(program, rng=0)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        out = net(*images(program, 4))
    total = sum(value.float().square().mean() for value in out) + sum(out.losses.values())
    if out.logp:
        total = total + out.policy_loss(out[0].detach().float().flatten(1).mean(1))
    total.backward()
    for name, weight in net.named_parameters():
        assert weight.grad is not None or "exits" in name or name in ROUNDED, name
        assert weight.grad is None or torch.isfinite(weight.grad).all(), name


@pytest.mark.parametrize("via", ["straight_through", "soft", "gumbel", "reinforce"])
def test_a_cost_is_linear_in_the_means_of_the_gates(via: str) -> None:
    net = cogseedc.build(NESTED.replace("VIA", via), rng=0)
    z = torch.randn(50, 2).requires_grad_()
    out = net(z, torch.randn(50, 4), trace=True)
    outer, inner = out.trace["outer"] == 1, out.trace["inner"] == 1
    shares = torch.sigmoid(z.detach()) if via == "soft" else torch.stack([outer, inner], 1).float()
    both = float(shares.prod(1).mean())
    wanted = {"inner_": 16 * both, "outer_": 32 * float(shares[:, 0].mean()) + 16 * both}
    wanted |= {"region": wanted["outer_"], "all": 16 + wanted["outer_"], "most": 64.0}
    assert {k: float(v.detach()) for k, v in out.losses.items()} == pytest.approx(wanted)
    (grad,) = torch.autograd.grad(out.losses["region"], z)
    if via in ("straight_through", "soft"):
        slope = shares * (1 - shares) if via == "soft" else torch.ones_like(shares)
        each = torch.stack([32 + 16 * shares[:, 1], 16 * shares[:, 0]], 1)
        torch.testing.assert_close(grad, each * slope / 50)
    else:
        assert grad.abs().sum(0).min() > 0


APART = """\
export seed Net {
    in  a: f32[N, C=2]
    in  b: f32[N, H=3]
    in  c: f32[C, H]
    in  x: f32[N, C, H, D=4]
    out y: f32[N, C, H, D]
    gate outer over N, C = a > 0 via soft
    gate inner over N, H = b > 0 via soft
    gate last over C, H = c > 0 via soft
    part = when outer { when inner { linear[D](x) } else { x } } else { x }
    y = when outer { when inner { when last { linear[D](part) } else { x } } else { x } } else { x }
    loss two = cost(part)
    loss three = cost(y)
}
"""


@pytest.mark.parametrize(("loss", "product"), [("two", "nc,nh->nch"), ("three", "nc,nh,ch->nch")])
def test_gates_of_which_none_has_all_axes_cost_the_mean_of_their_product(loss: str, product: str) -> None:
    net = cogseedc.build(APART, rng=0).double()
    x = torch.randn(5, 2, 3, 4, dtype=torch.float64)
    given = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((5, 2), (5, 3), (2, 3))]

    def spent(*scores: torch.Tensor) -> torch.Tensor:
        return net(*scores, x).losses[loss]

    shares = [torch.sigmoid(score) for score in given][: product.count(",") + 1]
    torch.testing.assert_close(spent(*given), 2 * 3 * 16 * torch.einsum(product, *shares).mean())
    assert torch.autograd.gradcheck(spent, given)


def test_the_else_of_a_route_costs_what_the_arms_leave() -> None:
    text = """\
export seed Net {
    in  z: f32[N, K=3]
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate g over N = argmax(z) via soft
    y = route g { 0 => x  1 => relu(x)  else => linear[D](x) }
    loss spent = cost(y)
}
"""
    z = torch.randn(8, 3).requires_grad_()
    spent = cogseedc.build(text, rng=0)(z, torch.randn(8, 4)).losses["spent"]
    wanted = 16 * F.softmax(z, 1)[:, 2].mean()
    torch.testing.assert_close(spent, wanted)
    torch.testing.assert_close(torch.autograd.grad(spent, z), torch.autograd.grad(wanted, z))


def test_what_follows_an_exit_costs_those_who_stay() -> None:
    text = """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, K=2]
    a = linear[D](x)
    exit easy { y = linear[K](a) } when x[D=0] > 0
    y = linear[K](relu(linear[8](a)))
    loss spent = cost()
}
"""
    out = cogseedc.build(text, rng=0)(torch.randn(40, 4), trace=True)
    stay = float((out.trace["easy"] == 0).float().mean())
    assert 0 < stay < 1
    assert float(out.losses["spent"].detach()) == pytest.approx(16 + 8 + stay * (32 + 16))


SKIP = """\
export seed Skip[blocks: int = 4, target: float = 0.5] {
    in  x: f32[N, D=64]
    out logits: f32[N, K=10]
    knob tau = 1.0 in 0.1 .. 5.0
    h = for i in 0 .. blocks with h = relu(linear[24](x)) {
        gate keep over N = linear[1](h) > -1.0 via VIA
        next h = when keep { relu(h + linear[24](h)) } else { h }
    }
    logits = linear[K](h)
    loss spend = (cost(h) / cost(h, full=true) - target) ^ 2
}
"""


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    from sklearn.datasets import load_digits

    data = load_digits()
    return torch.from_numpy(data.data.astype(np.float32)) / 8 - 1, torch.from_numpy(data.target)


@pytest.mark.parametrize("target", [0.5, 0.75])
@pytest.mark.parametrize("via", ["gumbel(temperature=tau)", "reinforce"])
def test_training_on_digits_moves_the_cost_to_the_budget(via: str, target: float) -> None:
    x, wanted = digits()
    net = cogseedc.build(cogseedc.load(SKIP.replace("VIA", via), set={"target": target}), rng=0)

    def taken() -> float:
        with torch.no_grad():
            trace = net.eval()(x[1200:], trace=True).trace
        net.train()
        return float(torch.stack([t == 1 for t in trace.values()]).float().mean())

    assert taken() > 0.9
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(net.parameters(), 0.005)
    for step in range(150):
        rows = torch.randint(1200, (128,))
        out = net(x[rows], tau=max(0.5, 1.0 - step / 100))
        each = F.cross_entropy(out.logits, wanted[rows], reduction="none")
        loss = each.mean() + 2 * out.losses["spend"]
        if out.logp:
            loss = loss + out.policy_loss(-each)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert abs(taken() - target) < 0.12
    with torch.no_grad():
        right = (net.eval()(x[1200:]).logits.argmax(1) == wanted[1200:]).float().mean()
    assert right > 0.85


def test_one_state_dict_serves_training_and_its_plan() -> None:
    text = SKIP.replace("VIA", "soft")
    net = cogseedc.build(text, rng=0)
    other = cogseedc.build(text, rng=1, gates="dense").eval()
    other.load_state_dict(net.state_dict(), strict=True)
    x = torch.randn(4, 64)
    torch.testing.assert_close(net.eval()(x).logits, other(x).logits)
