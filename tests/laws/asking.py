"""Calls of operations for tests of what type rules share: types and sites in a few words, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from cogseedc.ir import RuleError, Site, Size, Static, TensorType
from tests.laws import harness

N, T = Size.symbol("N"), Size.symbol("T")
Refused = tuple[str, str, str, int | None, str | None]


def typed(text: str) -> TensorType:
    """`f32[N, C=3]` as a type."""
    return harness.ports(f"x: {text}")[0].type


def site(*operands: str | None, axes: Mapping[str, Size] | None = None, **statics: Static) -> Site:
    """A call of an operation `op` with operands of such types."""
    return Site("op", tuple(None if o is None else typed(o) for o in operands), statics, axes or {})


def refused(ask: Callable[[], object]) -> Refused:
    """Code, message, help, operand and parameter of what a rule says against a call."""
    with pytest.raises(RuleError) as caught:
        ask()
    error = caught.value
    return error.code, error.message, error.help, error.operand, error.static
