"""Which consecutive blocks are skipped together: down a chain of exits it is the `if`s and the finding of rows behind
each gate that a sample waits for which has left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import expm1, log1p

from cogseedc.backends.plan.model import ROOT, Block, Enter, Nest, Run, Space, SpaceId, Wrap
from cogseedc.backends.plan.rates import Rates
from cogseedc.backends.plan.wraps import MARGIN, parts, taken
from cogseedc.ir import Graph, Loop
from cogseedc.target import Target

ENTER = 2
"""About how many operations find the rows of a space."""

DEPTH = 8
"""How many nests lie in each other at most: messages of ONNX may nest to a depth of 31 `if`s and loops."""


@dataclass(frozen=True)
class _Open:
    """A nest that goes on, or the whole plan."""

    nest: Nest
    least: float
    """Microseconds on no row from which on another nest begins inside."""


def nests(blocks: Sequence[Block], spaces: Sequence[Space], rates: Rates) -> tuple[Nest, ...]:
    """Ends of chains of blocks for one more `if` each, by their first blocks: each goes on as long as blocks are of its
    space or below.

    Who leaves behind a gate waits for the blocks up to where the next nest begins. The stretches between grow by a
    factor of two, from the chain's first gate on: so that is never more than what led there takes.
    """
    graph, target = rates.graph, rates.target
    before = [0.0, *accumulate(_on_no_row(block, target, graph) for block in blocks)]
    ends = _ends(blocks, spaces)
    held = _held(spaces, rates)
    loops = [*accumulate((_loops(block, graph) for block in blocks), initial=0)]
    found: list[Nest] = []
    around = [_Open(Nest(0, len(blocks), ROOT), 0.0)]
    for at, block in enumerate(blocks):
        while at == around[-1].nest.stop:
            around.pop()
        nest, least = around[-1].nest, around[-1].least
        stop, space = ends[at], block.space
        if space == nest.space or stop - at < 2 or len(around) > DEPTH or loops[stop] > loops[at]:
            continue
        left = 1 - held[space] / held[nest.space] if held[nest.space] else 0.0
        pays = left * (before[stop] - before[at]) > MARGIN * target.costs.wrap_us
        if pays and before[at] - before[nest.first] >= least:
            found.append(Nest(at, stop, space))
            growing = (before[stop] - before[at]) / 2 ** (DEPTH - 1) if len(around) == 1 else 2 * least
            around.append(_Open(found[-1], growing))
    return tuple(found)


def _on_no_row(block: Block, target: Target, graph: Graph) -> float:
    """Microseconds that a block takes when its space is empty."""
    if block.wrap is not Wrap.NONE:
        return target.costs.wrap_us
    return target.costs.empty_us * sum(ENTER if isinstance(s, Enter) else parts(s, graph) for s in block.steps)


def _held(spaces: Sequence[Space], rates: Rates) -> list[float]:
    """How likely each space holds a row."""
    shares = [1.0]
    for space in spaces[1:]:
        assert space.parent is not None
        shares.append(shares[space.parent] * taken(space, rates))
    target = rates.target
    rows = target.profile.rows if target.profile is not None else 1
    return [-expm1(rows * log1p(-share)) if share < 1 else 1.0 for share in shares]


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


def _loops(block: Block, graph: Graph) -> bool:
    """Whether a block runs a loop: what its turns record is read by the trace."""
    return any(isinstance(step, Run) and isinstance(graph[step.node], Loop) for step in block.steps)
