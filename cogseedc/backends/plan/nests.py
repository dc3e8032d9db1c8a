"""Which consecutive blocks are skipped together: far down a chain of exits, where few samples are left, it is the
`if`s and the finding of rows behind each gate that take the time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import sqrt

from cogseedc.backends.plan.model import ROOT, Block, Enter, Nest, Run, Space, SpaceId, Wrap
from cogseedc.backends.plan.rates import Rates
from cogseedc.backends.plan.wraps import MARGIN, parts, taken
from cogseedc.ir import Graph, Loop
from cogseedc.target import Target

ENTER = 2
"""About how many operations find the rows of a space."""


def nests(blocks: Sequence[Block], spaces: Sequence[Space], rates: Rates) -> tuple[Nest, ...]:
    """Stretches of blocks for one more `if` each, in order.

    Of a chain whose blocks take p when no row is left, a stretch takes about sqrt(2 p w), w being what an `if` takes:
    then all `if`s and, where a sample leaves, half a stretch for nothing cost least together.
    """
    graph, target = rates.graph, rates.target
    before = [0.0, *accumulate(_on_no_row(block, target, graph) for block in blocks)]
    ends = _ends(blocks, spaces)
    empty = _empty(spaces, rates)
    wrap = target.costs.wrap_us
    found: list[Nest] = []
    at = 0
    while at < len(blocks):
        stop = _stop(at, ends, before, sqrt(2 * wrap * (before[ends[at]] - before[at])))
        saved = empty[blocks[at].space] * (before[stop] - before[at])
        if stop - at > 1 and saved > MARGIN * wrap and not _loops(blocks[at:stop], graph):
            found.append(Nest(at, stop, blocks[at].space))
            at = stop
        else:
            at += 1
    return tuple(found)


def _on_no_row(block: Block, target: Target, graph: Graph) -> float:
    """Microseconds that a block takes when its space is empty."""
    if block.wrap is not Wrap.NONE:
        return target.costs.wrap_us
    return target.costs.empty_us * sum(ENTER if isinstance(s, Enter) else parts(s, graph) for s in block.steps)


def _empty(spaces: Sequence[Space], rates: Rates) -> list[float]:
    """How likely each space holds no row."""
    shares = [1.0]
    for space in spaces[1:]:
        assert space.parent is not None
        shares.append(shares[space.parent] * taken(space, rates))
    target = rates.target
    rows = target.profile.rows if target.profile is not None else 1
    return [(1 - share) ** rows for share in shares]


def _stop(at: int, ends: Sequence[int], before: Sequence[float], least: float) -> int:
    """Where a stretch from a block on ends: once it is long enough, where another one begins."""
    for i in range(at + 1, ends[at]):
        if before[i] - before[at] >= least and before[ends[i]] - before[i] >= least:
            return i
    return ends[at]


def _ends(blocks: Sequence[Block], spaces: Sequence[Space]) -> list[int]:
    """For each block the next one that is neither in its space nor below, or is a side of an `if` with two."""
    inside = _below(spaces)
    ends = [len(blocks)] * len(blocks)
    open: list[int] = []
    for i, block in enumerate(blocks):
        paired = block.otherwise or (i + 1 < len(blocks) and blocks[i + 1].otherwise)
        while open and (paired or not inside(block.space, blocks[open[-1]].space)):
            ends[open.pop()] = i
        if paired or block.space == ROOT:
            ends[i] = i + 1
        else:
            open.append(i)
    return ends


def _below(spaces: Sequence[Space]) -> Callable[[SpaceId, SpaceId], bool]:
    """Whether a space is another one, or below it: all that are stand in one interval of numbers."""
    sizes = [1] * len(spaces)
    for space in reversed(spaces[1:]):
        assert space.parent is not None
        sizes[space.parent] += sizes[space.id]
    first, free = [0] * len(spaces), [1] * len(spaces)
    for space in spaces[1:]:
        assert space.parent is not None
        first[space.id], free[space.parent] = free[space.parent], free[space.parent] + sizes[space.id]
        free[space.id] = first[space.id] + 1
    return lambda lower, upper: first[upper] <= first[lower] < first[upper] + sizes[upper]


def _loops(blocks: Sequence[Block], graph: Graph) -> bool:
    """Whether a block runs a loop: what its turns record is read by the trace."""
    steps = (step for block in blocks for step in block.steps)
    return any(isinstance(step, Run) and isinstance(graph[step.node], Loop) for step in steps)
