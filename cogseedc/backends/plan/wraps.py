"""Where a part of a plan is skipped when it has no rows: where it must be, and where one sample gains by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from cogseedc.backends.plan.items import Items
from cogseedc.backends.plan.model import ROOT, Choice, LoopPlan, Run, Space, SpaceId, Step, Strategy, Take, Wrap
from cogseedc.backends.plan.rates import Rates
from cogseedc.ir import Call, Graph, Loop, NodeId
from cogseedc.ops import OPS
from cogseedc.target import Target

MARGIN = 2.0
"""How many times its cost an `if` has to save: what crosses its border is not in the model."""


def unsafe_spaces(
    items: Items, steps: Sequence[tuple[SpaceId, Sequence[Step]]], loops: Mapping[NodeId, LoopPlan], target: Target
) -> set[SpaceId]:
    """COMPACT spaces that may not be run without rows, since an operation in a BRANCH below them may not."""
    found: set[SpaceId] = set()
    for space, body in steps:
        if _empty_is_wrong(items.graph, body, loops, target):
            above = (s for s in items.spaces.up(space) if items.spaces.drafts[s].strategy is Strategy.COMPACT)
            found.add(next(above))
    return found - {ROOT}


def _empty_is_wrong(graph: Graph, body: Sequence[Step], loops: Mapping[NodeId, LoopPlan], target: Target) -> bool:
    """Whether a step may not be run without rows. What a loop runs for some rows only is wrapped in its body; one that
    is planned for one sample counts on it."""
    for step in body:
        node = graph[step.node] if isinstance(step, Run) else None
        if isinstance(node, Call) and not OPS[node.op].zero_rows:
            return True
        if isinstance(node, Loop):
            if target.batch_one:
                return True
            assert isinstance(step, Run)
            inner = loops[step.node].body
            blocks = (block for block in inner.blocks if block.wrap is Wrap.NONE)
            if any(_empty_is_wrong(inner.graph, block.steps, inner.loops, target) for block in blocks):
                return True
    return False


def wrap(
    space: Space,
    body: Sequence[Step],
    rates: Rates,
    loops: Mapping[NodeId, LoopPlan],
    unsafe: bool,
) -> Wrap:
    """What stands around a block of a space; `unsafe`: another block needs the space to have a row."""
    if space.parent is None:
        return Wrap.NONE
    graph, target = rates.graph, rates.target
    if space.strategy is Strategy.BRANCH:
        return Wrap.CONDITION
    needed = unsafe or target.wrap_regions or _empty_is_wrong(graph, body, loops, target)
    return Wrap.ANY if needed or _pays(space, body, rates) else Wrap.NONE


def _pays(space: Space, body: Sequence[Step], rates: Rates) -> bool:
    """Whether one sample by itself is quicker with an `if` around the block, whose operations take a while even on no
    row. For many samples neither matters."""
    target = rates.target
    steps = sum(parts(step, rates.graph) for step in body)
    rows = target.profile.rows if target.profile is not None else 1
    empty = (1 - taken(space, rates)) ** rows
    return empty * steps * target.costs.empty_us > MARGIN * target.costs.wrap_us


def taken(space: Space, rates: Rates) -> float:
    """The share of the rows of its parent that a space holds."""
    return min(1.0, sum(prod(_share(rates, c) for c in term) for term in space.terms))


def _share(rates: Rates, choice: Choice) -> float:
    id = choice.decision.node
    if choice.anywhere:
        return rates.anywhere(id, choice.arms)
    return rates.share(id, choice.arms, choice.negated)


def parts(step: Step, graph: Graph) -> int:
    """About how many operations of a runtime a step takes."""
    if not isinstance(step, Run):
        return isinstance(step, Take)
    node = graph[step.node]
    return OPS[node.op].parts if isinstance(node, Call) else 0
