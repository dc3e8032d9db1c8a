"""Small programs whose scores are inputs, so that a test can say what the gradient of each score must be."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pytest
import torch

import cogseedc

WHEN = """\
export seed Net {{
    in  z: f32[N]
    in  w: f32[N]
    in  a: f32[N, D=3]
    in  b: f32[N, D]
    out y: f32[N, D]
    knob tau = 1.0 in 0.01 .. 10.0
    gate g over N = {decision} via {via}
    y = when g {{ a }} else {{ b }}
}}
"""
ROUTE = """\
export seed Net {{
    in  z: f32[N, K=4]
    in  a: f32[N, K, D=3]
    out y: f32[N, D]
    knob tau = 1.0 in 0.01 .. 10.0
    gate g over N = {decision} via {via}
    y = route g {merge} {{ k in 0 .. 4 => a[K=k] }}
}}
"""
MASK = """\
export seed Net {{
    in  z: f32[N, K=4]
    in  a: f32[N, K]
    out y: f32[N, K]
    gate g over N, K = {decision} via {via}
    y = when g {{ a }} else {{ 0 }}
}}
"""
N = 6


def module(template: str, **parts: str) -> torch.nn.Module:
    """The module of a program, in training mode."""
    return cogseedc.build(template.format(**parts), rng=0)


def silence(net: torch.nn.Module, patch: pytest.MonkeyPatch) -> None:
    """Draws no noise in a module any more."""
    names = vars(sys.modules[type(net).__module__]) if type(net).__module__ in sys.modules else {}
    scope: dict[str, Any] = names or type(net)._train.__globals__  # type: ignore[attr-defined]
    if "perturb" in scope:
        patch.setitem(scope, "perturb", lambda x, noise, training: x)


def inputs(*shapes: tuple[int, ...], seed: int = 0) -> list[torch.Tensor]:
    """Normal numbers that want gradients."""
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=random).requires_grad_() for shape in shapes]


def gradients(value: torch.Tensor, of: list[torch.Tensor]) -> list[torch.Tensor]:
    """Of a sum with fixed, uneven weights."""
    weights = torch.linspace(0.5, 1.5, value.numel()).reshape(value.shape)
    found = torch.autograd.grad((value * weights).sum(), of, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(of, found, strict=True)]


def alike(found: torch.Tensor, wanted: torch.Tensor, of: list[torch.Tensor]) -> None:
    """Equal in value and in every gradient."""
    torch.testing.assert_close(found, wanted)
    for mine, theirs in zip(gradients(found, of), gradients(wanted, of), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def through(hard: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
    """Straight through, by detaching."""
    return soft + (hard.to(soft.dtype) - soft).detach()


def mixed(share: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return share[:, None] * a + (1 - share[:, None]) * b


def losses(net: torch.nn.Module, given: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = net(*given.values()).losses
    return found
