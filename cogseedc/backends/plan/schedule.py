"""Orders the items of a plan into blocks: stays in a space as long as anything in it is ready, and takes values into
it where they are first read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush

from cogseedc.backends.plan.items import SOURCES, Items
from cogseedc.backends.plan.model import (
    ROOT,
    Accumulate,
    Block,
    Enter,
    Join,
    Picked,
    Run,
    Slot,
    SpaceId,
    Spread,
    Step,
    Take,
    Tiled,
    Wrap,
)
from cogseedc.ir import Call, Graph, Value
from cogseedc.ops import OPS

Steps = list[tuple[SpaceId, list[Step]]]


def schedule(items: Items) -> Steps:
    """All steps in an order that respects what they wait for, grouped by space."""
    waiting = [len(set(item.after)) for item in items.list]
    followers: list[list[int]] = [[] for _ in items.list]
    for i, item in enumerate(items.list):
        for other in dict.fromkeys(item.after):
            followers[other].append(i)
    ready: dict[SpaceId, list[tuple[tuple[int, int], int]]] = {}
    for i, count in enumerate(waiting):
        if not count:
            ready.setdefault(items.list[i].space, []).append((items.list[i].priority, i))
    for heap in ready.values():
        heapify(heap)
    done: Steps = []
    there: set[Slot] = set()
    space = ROOT
    while ready:
        if space not in ready:
            space = max(ready, key=lambda s: (items.spaces.drafts[s].depth, [-p for p in ready[s][0][0]], -s))
        if not done or done[-1][0] != space:
            done.append((space, []))
        _, i = heappop(ready[space])
        if not ready[space]:
            del ready[space]
        _emit(items, i, there, done[-1][1])
        for follower in followers[i]:
            waiting[follower] -= 1
            if not waiting[follower]:
                item = items.list[follower]
                heappush(ready.setdefault(item.space, []), (item.priority, follower))
    assert not any(waiting), "items wait for each other"
    return [(s, steps) for s, steps in done if steps]


def _emit(items: Items, index: int, there: set[Slot], steps: list[Step]) -> None:
    item = items.list[index]
    for slot in item.slots:
        if slot not in there:
            steps.append(Take(_nearest(items, slot, there), slot))
            there.add(slot)
    if item.step is not None:
        steps.append(item.step)
        there.update(writes(item.step))


def _nearest(items: Items, slot: Slot, there: set[Slot]) -> Slot:
    """The copy of a value in the nearest ancestor of a slot's space."""
    value = Value(slot.node, slot.port)
    source = isinstance(items.graph[value.node], SOURCES)
    for space in items.spaces.up(slot.space):
        found = items.slot(value, space, slot.lay)
        if found in there or (source and space == ROOT):
            return found
    raise AssertionError(f"value {value} is nowhere above space {slot.space}")


def spend(steps: Steps, graph: Graph, kept: Iterable[Slot]) -> None:
    """Marks those joins by tiles that may write over their base: another one made it, and all others that read it come
    before and multiply, so that they hold no part of it."""
    made = {step.output for _, body in steps for step in body if isinstance(step, Tiled)} - set(kept)
    last: dict[Slot, Step | None] = {}
    for _, body in steps:
        for step in body:
            for slot in reads(step):
                if slot in made:
                    node = graph[step.node] if isinstance(step, Run) else None
                    copies = isinstance(step, Tiled) or (isinstance(node, Call) and OPS[node.op].macs is not None)
                    last[slot] = step if copies and last.get(slot, step) is not None else None
    for _, body in steps:
        body[:] = [replace(s, spent=True) if isinstance(s, Tiled) and last.get(s.base) is s else s for s in body]


def reads(step: Step) -> tuple[Slot, ...]:
    """The slots that a step reads; an Enter's are those of its space's decisions."""
    match step:
        case Run(inputs=inputs):
            return tuple(s for s in inputs if s is not None)
        case Enter():
            return ()
        case Take(source=source) | Spread(source=source):
            return (source,)
        case Tiled() | Picked():
            return step.reads()
        case Join(base=start) | Accumulate(otherwise=start):
            slots = [] if start is None else [start]
            for write in step.writes:
                slots += [write.value] if write.weight is None else [write.value, write.weight]
            if isinstance(step, Accumulate):
                slots += [choice.decision for choice in step.taken]
            return tuple(slots)


def writes(step: Step) -> tuple[Slot, ...]:
    """The slots that a step fills."""
    match step:
        case Run(outputs=outputs):
            return outputs
        case Enter():
            return ()
        case Take(target=target) | Spread(target=target):
            return (target,)
        case Join(output=output) | Accumulate(output=output) | Tiled(output=output) | Picked(output=output):
            return (output,)


def blocks(
    steps: Steps,
    graph: Graph,
    decisions: Callable[[SpaceId], Iterable[Slot]],
    kept: Sequence[Slot],
    wrap: Callable[[SpaceId, Sequence[Step]], Wrap],
) -> tuple[Block, ...]:
    """The blocks, each with what it reads from others and what others (or `kept`) read from it."""
    filled = [{slot for step in body for slot in writes(step)} for _, body in steps]
    wanted = set(kept)
    outside: list[tuple[Slot, ...]] = []
    for (_, body), own in zip(steps, filled, strict=True):
        found: dict[Slot, None] = {}
        for step in body:
            for slot in decisions(step.space) if isinstance(step, Enter) else reads(step):
                if slot not in own and not (slot.space == ROOT and isinstance(graph[slot.node], SOURCES)):
                    found[slot] = None
        outside.append(tuple(sorted(found, key=_key)))
        wanted.update(found)
    return tuple(
        Block(i, space, wrap(space, body), tuple(body), outside[i], tuple(sorted(filled[i] & wanted, key=_key)))
        for i, (space, body) in enumerate(steps)
    )


def _key(slot: Slot) -> tuple[int, int, int, tuple[int, ...]]:
    return slot.node, slot.port, slot.space, slot.lay
