"""Which writes of joins are done inside the If of the block that computes the value, and who reads what.

A join over arms that are run one after another becomes a running value: each block's If yields it, written
or untouched, so that a layer skip is one If.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from cogseedc.backends.plan.model import (
    Accumulate,
    Block,
    Choice,
    Enter,
    Join,
    Picked,
    Plan,
    Run,
    Slot,
    SpaceId,
    Spread,
    Step,
    Strategy,
    Take,
    Tiled,
    Wrap,
    Write,
)


@dataclass(frozen=True, slots=True)
class FusedWrite:
    """Write `position` of a join, done in the block that computes its value."""

    join: Join
    position: int

    @property
    def write(self) -> Write:
        return self.join.writes[self.position]


@dataclass(frozen=True)
class Fusion:
    """The outcome for one plan."""

    writes: dict[int, tuple[FusedWrite, ...]]
    """By block position."""
    done: dict[Slot, int]
    """By the join's output: how many of its writes, from the first, are done elsewhere."""
    needed: frozenset[Slot]
    """Slots that are read outside the block that computes them; looked up, never listed."""

    def outer(self, position: int) -> SpaceId | None:
        """A space above that of a block, among whose rows it writes."""
        return next((fused.join.output.space for fused in self.writes.get(position, ())), None)


Around = tuple[int, ...]
"""The nests around a block, the outermost first."""


def nests_around(plan: Plan) -> dict[int, Around]:
    """For each block in a nest, by position, all that it is in."""
    found: dict[int, Around] = {}
    for number, nest in enumerate(plan.nests):
        around = (*found.get(nest.first, ()), number)
        found.update(dict.fromkeys(range(nest.first, nest.stop), around))
    return found


def left(around: Around, other: Around) -> Around:
    """The nests that are around one place and not around another."""
    return tuple(number for number in around if number not in other)


def fuse(plan: Plan, also: Iterable[Slot], unread: Set[Slot] = frozenset()) -> Fusion:
    """Decides for all joins; `also` are slots that are read after the last block, `unread` those that nobody reads."""
    home = {slot: i for i, block in enumerate(plan.blocks) for step in block.steps for slot in outputs_of(step)}
    nests = nests_around(plan)
    writes: dict[int, list[FusedWrite]] = {}
    done: dict[Slot, int] = {}
    for position, block in enumerate(plan.blocks):
        for step in block.steps:
            if isinstance(step, Join):
                count = _prefix(plan, nests, home, step, position)
                for i in range(count):
                    writes.setdefault(home[step.writes[i].value], []).append(FusedWrite(step, i))
                done[step.output] = count
    needed = {*also, *(slot for position, slot in reads(plan, done) if home.get(slot) != position)}
    return Fusion({b: tuple(w) for b, w in writes.items()}, done, frozenset(needed - unread))


def _prefix(plan: Plan, nests: Mapping[int, Around], home: dict[Slot, int], join: Join, position: int) -> int:
    """How many of the first writes come from blocks in an `if` in which the join is not, in execution order, after the
    base and before the join."""
    blocks = plan.blocks
    last = home.get(join.base, -1) if join.base else -1
    for i, write in enumerate(join.writes):
        at = home.get(write.value, -1)
        inside = write.value.space == blocks[at].space
        if (
            at < 0
            or not inside
            or not (blocks[at].wrap is not Wrap.NONE or _nested(plan, nests, at, join, position))
            or not (last < at or _sides(blocks, last, at))
        ):
            return i
        last = max(last, at)
        if last >= position:
            return i
    return len(join.writes)


def _nested(plan: Plan, nests: Mapping[int, Around], at: int, join: Join, position: int) -> bool:
    """Whether a block is in nests in which a join is not, and may write there: not where a BRANCH space of such a nest
    is around the join, whose single row is there in that space's own `if` only."""
    own = left(nests.get(at, ()), nests.get(position, ()))
    return bool(own) and not any(_branches(plan, join.output.space, plan.nests[number].space) for number in own)


def _branches(plan: Plan, lower: SpaceId, upper: SpaceId) -> bool:
    """Whether a space lies below another one, and a BRANCH space is on the way, the upper one left out."""
    space, branch = plan.spaces[lower], False
    while space.parent is not None and space.id != upper:
        branch = branch or space.strategy is Strategy.BRANCH
        space = plan.spaces[space.parent]
    return branch and space.id == upper


def _sides(blocks: Sequence[Block], one: int, other: int) -> bool:
    """Whether two blocks are the sides of one If, so that the order of what they write does not matter."""
    return abs(one - other) == 1 and blocks[max(one, other)].otherwise and min(one, other) >= 0


def reads(plan: Plan, done: Mapping[Slot, int]) -> Iterator[tuple[int, Slot]]:
    """What each block reads, by position; of joins not what is `done` elsewhere."""
    for position, block in enumerate(plan.blocks):
        for step in block.steps:
            skip = done[step.output] if isinstance(step, Join) else 0
            for slot in inputs_of(step, plan, skip):
                yield position, slot


def outputs_of(step: Step) -> tuple[Slot, ...]:
    """Slots that a step fills."""
    match step:
        case Run(outputs=outputs):
            return outputs
        case Take(target=target) | Spread(target=target):
            return (target,)
        case Join(output=output) | Accumulate(output=output) | Tiled(output=output) | Picked(output=output):
            return (output,)
        case Enter():
            return ()


def inputs_of(step: Step, plan: Plan, skip: int = 0) -> Iterator[Slot]:
    """Slots that a step reads; of a join without its first `skip` writes."""
    match step:
        case Run(inputs=inputs):
            yield from (s for s in inputs if s)
        case Take(source=source) | Spread(source=source):
            yield source
        case Tiled() | Picked():
            yield from step.reads()
        case Enter(space=space):
            yield from _decisions(c for term in plan.spaces[space].terms for c in term)
        case Join(base=base, writes=writes):
            if base:
                yield base
            yield from _written(writes[skip:])
        case Accumulate(writes=writes, otherwise=otherwise, taken=taken):
            yield from _written(writes)
            if otherwise:
                yield otherwise
            yield from _decisions(taken)


def _written(writes: Iterable[Write]) -> Iterator[Slot]:
    for write in writes:
        yield write.value
        if write.weight:
            yield write.weight


def _decisions(choices: Iterable[Choice]) -> Iterator[Slot]:
    for choice in choices:
        yield choice.decision
