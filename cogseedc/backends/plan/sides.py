"""Which blocks are the two sides of one `if`: it is asked once, and what one sample skips costs nothing more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cogseedc.backends.plan.model import ROOT, Block, Choice, Slot, Space, SpaceId, Strategy, Wrap
from cogseedc.ir import Gate, GateKind, Graph


def paired(blocks: Sequence[Block], spaces: Sequence[Space], graph: Graph) -> tuple[Block, ...]:
    """The blocks, each marked that is run exactly where the one before it is not."""
    opposite = opposites(spaces, graph)
    found: list[Block] = []
    for block in blocks:
        before = found[-1] if found else None
        if before is not None and not before.otherwise and _sides(before, block, spaces, opposite):
            block = replace(block, otherwise=True)
        found.append(block)
    return tuple(found)


def _sides(first: Block, second: Block, spaces: Sequence[Space], opposite: Mapping[SpaceId, SpaceId]) -> bool:
    """Only of a space that is always run: elsewhere it may be that neither is."""
    asked = first.wrap is second.wrap is Wrap.CONDITION and not set(first.gives) & set(second.reads)
    return asked and spaces[first.space].parent == ROOT and opposite.get(first.space) == second.space


def opposites(spaces: Sequence[Space], graph: Graph) -> dict[SpaceId, SpaceId]:
    """BRANCH spaces of one decision, of which one is run exactly where the other one is not, if the
    space above is: each to the other."""
    seen: dict[tuple[SpaceId | None, Slot], list[tuple[SpaceId, frozenset[int]]]] = {}
    found: dict[SpaceId, SpaceId] = {}
    for space in spaces:
        choice = _choice(space)
        gate = None if choice is None else graph[choice.decision.node]
        if choice is None or not isinstance(gate, Gate) or gate.kind is GateKind.MANY:
            continue
        earlier = seen.setdefault((space.parent, choice.decision), [])
        rest = frozenset(range(gate.arms)) - frozenset(choice.arms)
        for id, arms in earlier:
            if arms == rest:
                found[id], found[space.id] = space.id, id
        earlier.append((space.id, frozenset(choice.arms)))
    return found


def _choice(space: Space) -> Choice | None:
    """The one decision, of one element, that a real `if` asks."""
    if space.strategy is not Strategy.BRANCH or len(space.terms) != 1 or len(space.terms[0]) != 1:
        return None
    (choice,) = space.terms[0]
    return None if choice.anywhere else choice
