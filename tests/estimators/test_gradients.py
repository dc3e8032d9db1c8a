"""Each estimator against torch's own, or against what defines it written with `detach`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

import cogseedc
from tests.estimators.programs import (
    MASK,
    ROUTE,
    WHEN,
    N,
    alike,
    gradients,
    inputs,
    mixed,
    module,
    through,
)

T = torch.Tensor
TWO = ((N,), (N,), (N, 3), (N, 3))
FORMS: dict[str, tuple[str, Callable[[T, T], T], Callable[[T, T], T]]] = {
    "above": ("z > 0.3", lambda z, w: z > 0.3, lambda z, w: z - 0.3),
    "at least": ("z >= w", lambda z, w: z >= w, lambda z, w: z - w),
    "below": ("z < w", lambda z, w: z < w, lambda z, w: w - z),
    "at most": ("2 * z <= 0.5", lambda z, w: 2 * z <= 0.5, lambda z, w: 0.5 - 2 * z),
    "round": ("round(z) >= 1", lambda z, w: z.round() >= 1, lambda z, w: z - 0.5),
    "rounds to less": ("0.5 > round(z)", lambda z, w: z.round() < 0.5, lambda z, w: 0.5 - z),
    "not": ("not z > w", lambda z, w: z <= w, lambda z, w: w - z),
    "and": ("z > 0 and w > 0", lambda z, w: (z > 0) & (w > 0), torch.minimum),
    "or": ("z > 0 or not w < 0.1", lambda z, w: (z > 0) | (w >= 0.1), lambda z, w: torch.maximum(z, w - 0.1)),
}
"""Decisions: as written, as a condition, and their score."""
each = pytest.mark.parametrize("form", FORMS)


@each
def test_straight_through_passes_the_score(form: str) -> None:
    text, hard, score = FORMS[form]
    z, w, a, b = given = inputs(*TWO)
    share = through(hard(z, w), score(z, w))
    alike(module(WHEN, decision=text, via="straight_through")(*given).y, mixed(share, a, b), given)


@each
def test_soft_is_the_sigmoid_of_the_score(form: str) -> None:
    text, _, score = FORMS[form]
    z, w, a, b = given = inputs(*TWO)
    alike(module(WHEN, decision=text, via="soft")(*given).y, mixed(torch.sigmoid(score(z, w)), a, b), given)


@each
def test_a_binary_gumbel_is_that_of_torch(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The logistic noise is the difference of two gumbel variables: torch is given such two."""
    text, _, score = FORMS[form]
    z, w, a, b = given = inputs(*TWO)
    torch.manual_seed(7)
    found = module(WHEN, decision=text, via="gumbel[temperature=0.7]")(*given).y
    torch.manual_seed(7)
    noise = torch.logit(torch.rand(N), eps=1e-7)
    pair = torch.stack([torch.exp(-noise), torch.ones(N)], 1)
    monkeypatch.setattr(torch.Tensor, "exponential_", lambda self: pair)
    s = score(z, w)
    share = F.gumbel_softmax(torch.stack([s, torch.zeros_like(s)], 1), 0.7, hard=True)[:, 0]
    alike(found, mixed(share, a, b), given)


def test_probabilities_are_compared_as_logits() -> None:
    """sigmoid(z) > t decides as z > log(t / (1 - t)) does; straight through, gradients go through the sigmoid."""
    z, w, a, b = given = inputs(*TWO)
    share = torch.sigmoid(z - torch.logit(torch.tensor(0.3)))
    alike(module(WHEN, decision="sigmoid(z) > 0.3", via="soft")(*given).y, mixed(share, a, b), given)
    share = torch.sigmoid(torch.logit(torch.sigmoid(w)) - z)
    alike(module(WHEN, decision="sigmoid(z) <= sigmoid(w)", via="soft")(*given).y, mixed(share, a, b), given)
    share = through(torch.sigmoid(z) > 0.3, torch.sigmoid(z))
    alike(module(WHEN, decision="sigmoid(z) > 0.3", via="straight_through")(*given).y, mixed(share, a, b), given)


@pytest.mark.parametrize("scores", ["z", "softmax(z)"])
def test_one_of_n(scores: str) -> None:
    z, a = given = inputs((N, 4), (N, 4, 3))

    def net(via: str) -> torch.nn.Module:
        return module(ROUTE, decision=f"argmax({scores})", via=via, merge="")

    def routed(share: T) -> T:
        return (share[..., None] * a).sum(1)

    torch.manual_seed(3)
    found = net("gumbel[temperature=0.5]")(*given).y
    torch.manual_seed(3)
    alike(found, routed(F.gumbel_softmax(z, 0.5, hard=True)), given)
    alike(net("soft")(*given).y, routed(F.softmax(z, 1)), given)
    alike(net("straight_through")(*given).y, routed(through(F.one_hot(z.argmax(1), 4), F.softmax(z, 1))), given)


def relaxed(z: T, k: int) -> T:
    """k softmaxes, each without what the earlier took (Xie and Ermon 2019)."""
    total = torch.zeros_like(z)
    for _ in range(k):
        share = F.softmax(z, -1)
        total, z = total + share, z + torch.log(1 - share)
    return total


def mask_of(z: T, k: int) -> T:
    return torch.zeros_like(z).scatter(1, z.topk(k, 1).indices, 1.0)


@pytest.mark.parametrize("renormalize", ["false", "true"])
@pytest.mark.parametrize("via", ["gumbel[temperature=2.0]", "straight_through", "soft"])
def test_k_of_n(via: str, renormalize: str) -> None:
    z, a = given = inputs((N, 4), (N, 4, 3))
    torch.manual_seed(5)
    found = module(ROUTE, decision=f"top[2, renormalize={renormalize}](softmax(z))", via=via, merge="")(*given).y
    torch.manual_seed(5)
    s, cool = (z - torch.empty(N, 4).exponential_().log(), 2.0) if "gumbel" in via else (z, 1.0)
    soft = relaxed(s / cool, 2)
    mask = soft if via == "soft" else through(mask_of(s, 2), soft)
    weights = mask * F.softmax(z, 1)
    if renormalize == "true":
        weights = weights / weights.sum(1, keepdim=True)
    alike(found, (weights[..., None] * a).sum(1), given)


@pytest.mark.parametrize("merge", ["sum", "mean"])
def test_k_of_n_without_weights(merge: str) -> None:
    z, a = given = inputs((N, 4), (N, 4, 3))
    found = module(ROUTE, decision="top[2](z)", via="straight_through", merge=f"merge {merge}")(*given).y
    mask = through(mask_of(z, 2), relaxed(z, 2))
    total = (mask[..., None] * a).sum(1)
    alike(found, total / mask.sum(1, keepdim=True) if merge == "mean" else total, given)


@pytest.mark.parametrize("via", ["gumbel", "straight_through", "soft"])
def test_in_top(via: str) -> None:
    z, a = given = inputs((N, 4), (N, 4))
    torch.manual_seed(1)
    found = module(MASK, decision="in_top[3](z)", via=via)(*given).y
    torch.manual_seed(1)
    s = z - torch.empty(N, 4).exponential_().log() if via == "gumbel" else z
    alike(found, (relaxed(s, 3) if via == "soft" else through(mask_of(s, 3), relaxed(s, 3))) * a, given)


def test_gates_of_gates_are_trained_by_theirs() -> None:
    text = """\
export seed Net {
    in  z: f32[N, L=2]
    in  a: f32[N, D=3]
    in  b: f32[N, D]
    out y: f32[N, D]
    gate g over N, L = z > 0 via straight_through
    gate h over N = g[L=0] and not g[L=1]
    y = when h or g[L=1] and a[D=0] > 0 { a } else { b }
}
"""
    z, a, b = given = inputs((N, 2), (N, 3), (N, 3))
    g, seen = through(z > 0, z), (a[:, 0] > 0).float()
    h, k = g[:, 0] * (1 - g[:, 1]), g[:, 1] * seen
    alike(cogseedc.build(text, rng=0)(*given).y, mixed(h + k - h * k, a, b), given)


def test_gates_in_arithmetic_and_in_exits() -> None:
    text = """\
export seed Net {
    in  z: f32[N]
    in  s: f32[N, K=3]
    in  a: f32[N, D=3]
    out y: f32[N, D]
    gate g over N = z > 0 via straight_through
    gate r over N = argmax(s) via straight_through
    b = when g {
        exit out_ { y = 2 * a } when a[D=0] > 0
        yield 3 * a
    } else { a }
    y = b * g + r.mask[K=1] * g.weights
}
"""
    z, s, a = given = inputs((N,), (N, 3), (N, 3))
    g, r = through(z > 0, z), through(F.one_hot(s.argmax(1), 3), F.softmax(s, 1))
    leaves = g * (a[:, 0] > 0).float()
    own = mixed(g, 3 * a, a) * g[:, None] + (r[:, 1] * torch.sigmoid(z))[:, None]
    alike(cogseedc.build(text, rng=0)(*given).y, mixed(leaves, 2 * a, own), given)


def test_fewer_and_more_classes_than_a_gate_has() -> None:
    text = """\
export seed Net {
    in  z: f32[N, K=3]
    out two: f32[N, 2]
    out five: f32[N, 5]
    gate g over N = argmax(z) via straight_through
    two = one_hot[2](g)
    five = one_hot[5](g)
}
"""
    (z,) = given = inputs((N, 3))
    share, found = through(F.one_hot(z.argmax(1), 3), F.softmax(z, 1)), cogseedc.build(text, rng=0)(z)
    alike(torch.cat([found.two, found.five], 1), torch.cat([share[:, :2], F.pad(share, (0, 2))], 1), given)


def test_without_an_estimator_no_gradient_passes() -> None:
    given = inputs(*TWO)
    net = module(WHEN.replace(" via {via}", ""), decision="z > 0")
    found = gradients(net(*given).y, given)
    assert not found[0].any()
    assert found[2].any()


def test_a_temperature_is_a_knob_that_changes_without_a_new_build() -> None:
    z, _, a, b = given = inputs(*TWO)
    net = module(WHEN, decision="z > 0", via="gumbel(temperature=tau)")
    for tau in (0.2, 1.0, 4.0):
        torch.manual_seed(2)
        found = net(*given, tau=tau).y
        torch.manual_seed(2)
        s = z + torch.logit(torch.rand(N), eps=1e-7)
        alike(found, mixed(through(s > 0, torch.sigmoid(s / tau)), a, b), given)


def test_draws_come_from_the_seed_of_torch() -> None:
    given = inputs(*TWO)
    net = module(WHEN, decision="0 * z > 0", via="gumbel")
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(net(*given, trace=True).trace["g"])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
