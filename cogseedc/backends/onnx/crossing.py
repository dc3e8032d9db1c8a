"""What leaves a nest: values, and where the rows of its spaces lie, as far as others ask for them. What the
trace asks of a space that a nest entered is found from its decisions, where these leave it anyway."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cogseedc.backends.onnx.fusion import Fusion, nest_of, reads
from cogseedc.backends.plan.model import Accumulate, Enter, Join, Plan, Slot, SpaceId, Spread, Strategy, Take, Wrap

Pair = tuple[SpaceId, SpaceId]
"""A space, and one above it: the places of the rows of the first among those of the second."""


@dataclass(frozen=True)
class Crossing:
    """By nest, in the order of the plan."""

    slots: tuple[frozenset[Slot], ...]
    """Looked up, never listed."""
    entries: tuple[frozenset[SpaceId], ...]
    """Spaces whose rows among those of their parent are asked for; looked up, never listed."""
    places: tuple[tuple[Pair, ...], ...]


def crossing(plan: Plan, fusion: Fusion, also: Iterable[Slot]) -> Crossing:
    """What has to leave each nest; `also` are slots that are read after the last block."""
    inside = nest_of(plan)
    also = {*also}
    slots: list[set[Slot]] = [set() for _ in plan.nests]
    home = {slot: inside[i] for i in inside for slot in plan.blocks[i].gives}
    for position, slot in (*reads(plan, fusion.done), *((-1, slot) for slot in also)):
        if slot in home and slot in fusion.needed and home[slot] != inside.get(position):
            slots[home[slot]].add(slot)
    by = {step.space: inside[i] for i in inside for step in plan.blocks[i].steps if isinstance(step, Enter)}
    entries, places = _asked(plan, inside, by, fusion)
    for space, nest in by.items():
        if not all(choice.decision in also for term in plan.spaces[space].terms for choice in term):
            entries[nest].add(space)
    return Crossing(tuple(map(frozenset, slots)), tuple(map(frozenset, entries)), tuple(map(tuple, places)))


def outer(plan: Plan, fusion: Fusion, number: int) -> SpaceId | None:
    """A space above that of a nest, among whose rows its blocks write."""
    nest = plan.nests[number]
    around = above(plan, nest.space)
    writes = (f for position in range(nest.first, nest.stop) for f in fusion.writes.get(position, ()))
    return next((f.join.output.space for f in writes if f.join.output.space in around), None)


def above(plan: Plan, space: SpaceId) -> set[SpaceId]:
    """The spaces above one."""
    found: set[SpaceId] = set()
    at = plan.spaces[space].parent
    while at is not None:
        found.add(at)
        at = plan.spaces[at].parent
    return found


def _asked(
    plan: Plan, inside: Mapping[int, int], by: Mapping[SpaceId, int], fusion: Fusion
) -> tuple[list[set[SpaceId]], list[dict[Pair, None]]]:
    """The spaces whose rows leave each nest, among their parent's, and among those of spaces further up; `by` says
    which nest enters a space."""
    entries: list[set[SpaceId]] = [set() for _ in plan.nests]
    places: list[dict[Pair, None]] = [{} for _ in plan.nests]
    walked: set[Pair] = set()
    for nest, lower, upper in _pairs(plan, inside, fusion):
        at, last = lower, nest
        while at != upper and ((nest is not None and by.get(at) == nest) or (at, upper) not in walked):
            here, above = by.get(at), plan.spaces[at].parent
            assert above is not None
            if here != nest:
                walked.add((at, upper))
                if here is not None and by.get(upper) == here:
                    entries[here].add(at)
                elif here is not None and here != last:
                    places[here][at, upper] = None
            at, last = above, here
    return entries, places


def _pairs(plan: Plan, inside: Mapping[int, int], fusion: Fusion) -> Iterator[tuple[int | None, SpaceId, SpaceId]]:
    """Each two spaces between which rows are moved, and the nest in which that is done."""
    for number, around in enumerate(plan.nests):
        yield None, around.space, outer(plan, fusion, number) or _parent(plan, around.space)
    for position, block in enumerate(plan.blocks):
        nest = inside.get(position)
        known = nest is not None and block.space == plan.nests[nest].space
        if block.wrap is Wrap.ANY and not known:
            yield nest, block.space, fusion.outer(position) or _parent(plan, block.space)
        elif block.wrap is Wrap.CONDITION and not known:
            branch: SpaceId = block.space
            while plan.spaces[branch].strategy is not Strategy.BRANCH:
                branch = _parent(plan, branch)
            yield nest, branch, _parent(plan, branch)
        for fused in fusion.writes.get(position, ()):
            yield nest, fused.write.value.space, fused.join.output.space
        for step in block.steps:
            match step:
                case Take(source=upper, target=lower) | Spread(source=lower, target=upper):
                    yield nest, lower.space, upper.space
                case Join(output=output) | Accumulate(output=output):
                    done = fusion.done[output] if isinstance(step, Join) else 0
                    yield from ((nest, write.value.space, output.space) for write in step.writes[done:])


def _parent(plan: Plan, space: SpaceId) -> SpaceId:
    parent = plan.spaces[space].parent
    assert parent is not None
    return parent
