"""What leaves a nest: values, and where the rows of its spaces lie, as far as others ask for them. What only the trace
asks of it is found from its decisions, which leave it in a ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cogseedc.backends.onnx.fusion import Around, Fusion, left, nests_around, reads
from cogseedc.backends.onnx.ledger import fits
from cogseedc.backends.plan.model import (
    ROOT,
    Accumulate,
    Enter,
    Join,
    Plan,
    Slot,
    SpaceId,
    Spread,
    Strategy,
    Take,
    Wrap,
)

Pair = tuple[SpaceId, SpaceId]
"""A space, and one above it: the places of the rows of the first among those of the second."""


@dataclass(frozen=True)
class Crossing:
    """By nest, in the order of the plan."""

    slots: tuple[frozenset[Slot], ...]
    """Looked up, never listed."""
    told: tuple[frozenset[Slot], ...]
    """What only the trace reads; looked up, never listed."""
    entries: tuple[frozenset[SpaceId], ...]
    """Spaces whose rows among those of their parent are asked for; looked up, never listed."""
    places: tuple[tuple[Pair, ...], ...]
    entered: frozenset[SpaceId]
    """All spaces that are entered in a nest; looked up, never listed."""


def crossing(plan: Plan, fusion: Fusion, outputs: Iterable[Slot], traced: Iterable[Slot]) -> Crossing:
    """What has to leave each nest; `outputs` are slots that are read after the last block, `traced` those that the
    trace reads: then it asks for the rows of all spaces, too."""
    inside = nests_around(plan)
    slots: list[set[Slot]] = [set() for _ in plan.nests]
    told: list[set[Slot]] = [set() for _ in plan.nests]
    home = {slot: inside[i] for i in inside for slot in plan.blocks[i].gives if slot in fusion.needed}
    lasting = [slot for slot in traced if not fits(plan.graph, slot)]
    for position, slot in (*reads(plan, fusion.done), *((-1, slot) for slot in (*outputs, *lasting))):
        for number in left(home.get(slot, ()), inside.get(position, ())):
            slots[number].add(slot)
    for slot in traced:
        for number in home.get(slot, ()):
            if slot not in slots[number]:
                told[number].add(slot)
    by = {step.space: inside[i] for i in inside for step in plan.blocks[i].steps if isinstance(step, Enter)}
    entries, places = _asked(plan, inside, by, fusion)
    decided = {*traced} - {*lasting}
    for space, around in by.items() if decided or lasting else ():
        if not all(choice.decision in decided for term in plan.spaces[space].terms for choice in term):
            for number in around:
                entries[number].add(space)
    return Crossing(
        tuple(map(frozenset, slots)),
        tuple(map(frozenset, told)),
        tuple(map(frozenset, entries)),
        tuple(map(tuple, places)),
        frozenset(by),
    )


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
    plan: Plan, inside: Mapping[int, Around], by: Mapping[SpaceId, Around], fusion: Fusion
) -> tuple[list[set[SpaceId]], list[dict[Pair, None]]]:
    """The spaces whose rows leave each nest, among their parent's, and among those of spaces further up; `by` says
    which nests a space is entered in."""
    entries: list[set[SpaceId]] = [set() for _ in plan.nests]
    places: list[dict[Pair, None]] = [{} for _ in plan.nests]
    walked: set[tuple[SpaceId, SpaceId, int, bool]] = set()
    for around, lower, upper in _pairs(plan, inside, fusion):
        at, told = lower, set[int]()
        while at != upper:
            here = left(by.get(at, ()), around)
            key = (at, upper, len(here), told.issuperset(here))
            if key in walked:
                break
            walked.add(key)
            branch = plan.spaces[at].strategy is Strategy.BRANCH
            if branch or left(by.get(upper, ()), around)[:1] == here[:1]:
                for number in here:
                    entries[number].add(at)
            else:
                for number in here:
                    if number not in told:
                        places[number][at, upper] = None
                told.update(here)
            at = _parent(plan, at)
    return entries, places


def _pairs(plan: Plan, inside: Mapping[int, Around], fusion: Fusion) -> Iterator[tuple[Around, SpaceId, SpaceId]]:
    """Each two spaces between which rows are moved, and the nests in which that is done."""
    for number, nest in enumerate(plan.nests):
        around = tuple(other for other in inside[nest.first] if other != number)
        yield around, nest.space, outer(plan, fusion, number) or _parent(plan, nest.space)
    for position, block in enumerate(plan.blocks):
        around = inside.get(position, ())
        known = bool(around) and block.space == plan.nests[around[-1]].space
        if block.space != ROOT:
            yield around, block.space, _parent(plan, block.space)
        if block.wrap is Wrap.ANY and not known:
            yield around, block.space, fusion.outer(position) or _parent(plan, block.space)
        elif block.wrap is Wrap.CONDITION and not known:
            branch: SpaceId = block.space
            while plan.spaces[branch].strategy is not Strategy.BRANCH:
                branch = _parent(plan, branch)
            yield around, branch, _parent(plan, branch)
        for fused in fusion.writes.get(position, ()):
            yield around, fused.write.value.space, fused.join.output.space
        for step in block.steps:
            match step:
                case Take(source=upper, target=lower) | Spread(source=lower, target=upper):
                    yield around, lower.space, upper.space
                case Join(output=output) | Accumulate(output=output):
                    done = fusion.done[output] if isinstance(step, Join) else 0
                    yield from ((around, write.value.space, output.space) for write in step.writes[done:])


def _parent(plan: Plan, space: SpaceId) -> SpaceId:
    parent = plan.spaces[space].parent
    assert parent is not None
    return parent
