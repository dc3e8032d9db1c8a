"""Counts the calls of a program without making them all: one that makes far too many is refused before it is expanded.

A call that agrees with an earlier one in what decides how it expands is not expanded again: its number of calls and the
types of its results are known. Sixty seeds that call each other a billion times are counted in some milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from cogseedc.diagnostics import Diagnostics
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.model import BrokenUse, BuildError, Enough
from cogseedc.frontend.build.restarts import ManyCalls, SizeFound
from cogseedc.limits import Limits

T = TypeVar("T")

_NODES = 1 << 12
"""A program with more nodes than that, but for those of calls that are known, is not followed to its end."""


def surveyed(b: Builder, run: Callable[[Builder], T]) -> tuple[Builder, T]:
    """Runs an elaboration. One with many calls begins again, with the builder that is returned, when they have been
    counted. Raises BuildError (CS0612) when there are more than the limit."""
    before = b.diagnostics.mark()
    try:
        return b, run(b)
    except ManyCalls:
        b.diagnostics.back_to(before)  # what a trial of types told was a guess; the rest is told again
        _count(b, run)
    again = _anew(b, b.diagnostics, b.limits)
    return again, run(again)


def _count(b: Builder, run: Callable[[Builder], object]) -> None:
    """A program that has another mistake, or too many nodes, is left to its elaboration."""
    counting = _anew(b, Diagnostics(1), replace(b.limits, nodes=_NODES))
    counting.made, counting.counting = b.made, True
    with suppress(BuildError, BrokenUse, SizeFound, Enough):
        run(counting)
    for diagnostic in counting.diagnostics:
        if diagnostic.code == Limits.code("calls"):
            raise BuildError(diagnostic)


def _anew(b: Builder, diagnostics: Diagnostics, limits: Limits) -> Builder:
    return Builder(diagnostics, limits, b.evaluators, b.runners, b.sizes, b.weight_shapes, many=0)
