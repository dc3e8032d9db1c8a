"""Row spaces of the arms of one decision, entered together: rows sorted by arm once, then cut into a piece for each.

With many arms that is a fraction of the operations that a mask for each would take, which is what few rows wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from cogseedc.backends.onnx.builder import Region
from cogseedc.backends.onnx.fusion import nests_around
from cogseedc.backends.plan.model import Choice, Enter, Plan, Slot, Space, SpaceId, Strategy, Take, Wrap
from cogseedc.ir import Gate, GateKind

LEAST = 4
"""Arms from which it takes fewer operations."""


@dataclass(frozen=True)
class Group:
    """The spaces of different arms of one decision, all below one space."""

    decision: Slot
    gate: Gate
    spaces: tuple[SpaceId, ...]
    arms: tuple[int, ...]


class Groups:
    """The groups of a plan, and what is made for them. `value` names a slot's value as a region sees it; what `waits`
    for each count has no groups."""

    def __init__(self, plan: Plan, value: Callable[[Region, Slot], str], waits: bool) -> None:
        self._value = value
        self._of = {} if waits else {id: group for group in _groups(plan) for id in group.spaces}
        takes = {(s.source, s.target.space) for b in plan.blocks for s in b.steps if isinstance(s, Take)}
        self._whole = {
            (source, id)
            for source, id in takes
            if id in self._of and all((source, other) in takes for other in self._of[id].spaces)
        }

    def has(self, space: SpaceId) -> bool:
        return space in self._of

    def whole(self, step: Take) -> bool:
        """Whether all spaces of a group take the value of a step."""
        return step.target.space in self._of and self.taken(step.source, step.target.space)

    def taken(self, source: Slot, space: SpaceId) -> bool:
        """Whether a space and all others of its group take a value."""
        return (source, space) in self._whole

    def of(self, space: SpaceId) -> Group | None:
        """The group of a space."""
        return self._of.get(space)

    def place(self, region: Region, space: SpaceId) -> str:
        """i64 [rows, 1]: where the rows of a space lie in its parent."""
        group = self._of[space]
        first = self.all_places(region, group)
        return self._pieces(region.home(first), group, first, 0)[group.spaces.index(space)]

    def all_places(self, region: Region, group: Group) -> str:
        """The same for the rows of all its spaces, those of the first space first."""
        home, rows, _ = self._sorted(region, group)
        key = ("grouped places", id(self), group)
        return home.local(key) or home.keep(key, home.node("Unsqueeze", [rows, _ints(home, 1)]))

    def chosen(self, region: Region, group: Group, dense: str, rank: int) -> str:
        """Of dense weights [rows of the parent, arms] those of the chosen arms, sorted: [rows, 1 ..] of that rank."""
        home, _, _ = self._sorted(region, group)
        pairs = home.find(("grouped pairs", id(self), group))
        assert pairs is not None
        own = [region.node("Transpose", [name], perm=[1, 0]) for name in (dense, pairs)]
        return region.node("Unsqueeze", [region.node("GatherND", own), _ints(region, *range(1, rank))])

    def take(self, region: Region, value: str, axis: int, space: SpaceId) -> str:
        """The rows of a space from a value at those of its parent, which all spaces of the group take."""
        group = self._of[space]
        home, rows, _ = self._sorted(region, group)
        home = region.home(value, rows)
        key = ("grouped", value, axis, rows)
        sorted_ = home.find(key) or home.keep(key, home.node("Gather", [value, rows], axis=axis))
        return self._pieces(home, group, sorted_, axis)[group.spaces.index(space)]

    def _pieces(self, region: Region, group: Group, value: str, axis: int) -> list[str]:
        count = len(group.spaces)
        keys = [("piece", value, axis, i) for i in range(count)]
        if region.find(keys[0]) is None:
            _, _, counts = self._sorted(region, group)
            for key, name in zip(keys, region.nodes_of("Split", [value, counts], count, axis=axis), strict=True):
                region.keep(key, name)
        return [found for key in keys if (found := region.find(key)) is not None]

    def _sorted(self, region: Region, group: Group) -> tuple[Region, str, str]:
        """Where the rows of all spaces lie in the parent, those of the first space first; how many each has."""
        decision = self._value(region, group.decision)
        home = region.home(decision)
        keys = [(part, id(self), group) for part in ("grouped rows", "grouped counts")]
        rows, counts = (home.find(key) for key in keys)
        if rows is None or counts is None:
            masks = self._masks(home, group, decision)
            pairs = home.keep(("grouped pairs", id(self), group), home.node("NonZero", [masks]))
            rows = home.node("Gather", [pairs, home.constant(np.array(1, np.int64))], axis=0)
            flags = home.node("Cast", [masks], to=TensorProto.INT64)
            counts = home.node("ReduceSum", [flags, _ints(home, 1)], keepdims=0)
            for key, name in zip(keys, (rows, counts), strict=True):
                home.keep(key, name)
        return home, rows, counts

    def _masks(self, region: Region, group: Group, decision: str) -> str:
        """bool [spaces, rows of the parent]."""
        if group.gate.kind is GateKind.ONE:
            flat = region.node("Reshape", [decision, _ints(region, 1, -1)])
            return region.node("Equal", [flat, region.constant(np.array(group.arms, np.int64)[:, None])])
        if group.gate.type.rank > 2:
            shape = region.constant(np.array([-1, group.gate.arms], np.int64))
            decision = region.node("Reshape", [decision, shape])
        flat = region.node("Transpose", [decision], perm=[1, 0])
        if group.arms == tuple(range(group.gate.arms)):
            return flat
        return region.node("Gather", [flat, _ints(region, *group.arms)], axis=0)


def _ints(region: Region, *values: int) -> str:
    return region.constant(np.array(values, np.int64))


def _groups(plan: Plan) -> Iterator[Group]:
    """Those that are entered outside of any If: their decision is seen everywhere."""
    inside = nests_around(plan)
    blocks = (block for i, block in enumerate(plan.blocks) if block.wrap is Wrap.NONE and i not in inside)
    outside = {step.space for block in blocks for step in block.steps if isinstance(step, Enter)}
    found: dict[tuple[SpaceId, Slot], dict[int, SpaceId]] = {}
    for space in plan.spaces:
        choice = _arm(plan, space) if space.id in outside else None
        if choice is not None and space.parent is not None:
            found.setdefault((space.parent, choice.decision), {}).setdefault(choice.arms[0], space.id)
    for (_, decision), spaces in found.items():
        gate = plan.graph[decision.node]
        assert isinstance(gate, Gate)
        if len(spaces) >= LEAST:
            arms = tuple(sorted(spaces))
            yield Group(decision, gate, tuple(spaces[arm] for arm in arms), arms)


def _arm(plan: Plan, space: Space) -> Choice | None:
    """The one arm whose rows a space holds."""
    if space.strategy is not Strategy.COMPACT or len(space.terms) != 1 or len(space.terms[0]) != 1:
        return None
    (choice,) = space.terms[0]
    gate = plan.graph[choice.decision.node]
    many = isinstance(gate, Gate) and gate.kind is not GateKind.BOOL and bool(gate.over)
    plain = not choice.negated and not choice.anywhere
    return choice if many and len(choice.arms) == 1 and plain else None
