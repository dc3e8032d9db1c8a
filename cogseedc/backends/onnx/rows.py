"""Row spaces in ONNX: which rows each space holds, as an index into its parent and into any ancestor.

An index is made once, where its space is entered, and composed where it is first needed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from cogseedc.backends.onnx.builder import Place, Region
from cogseedc.backends.plan.model import ROOT, Choice, Plan, Slot, Space, SpaceId, Strategy
from cogseedc.ir import Gate, GateKind, Input


class Rows:
    """Indices and conditions of the spaces of a plan. `value` names a slot's value as a region sees it."""

    def __init__(self, plan: Plan, value: Callable[[Region, Slot], str], batch_one: bool) -> None:
        self._plan, self._value, self._batch_one = plan, value, batch_one
        self.entry: dict[SpaceId, str] = {}
        """COMPACT: i64 row index within the parent. BRANCH: scalar bool."""
        self._batch = _batch_source(plan)

    def space(self, id: SpaceId) -> Space:
        return self._plan.spaces[id]

    def path(self, lower: SpaceId, upper: SpaceId) -> list[Space]:
        """The spaces from `lower` up to, but without, its ancestor `upper`."""
        found: list[Space] = []
        while lower != upper:
            space = self.space(lower)
            assert space.parent is not None, f"space {upper} is not an ancestor"
            found.append(space)
            lower = space.parent
        return found

    def enter(self, region: Region, space: Space, place: Place) -> str:
        """Computes and records the entry of a space, in a block of its parent."""
        region.shared.place = place
        terms = [_reduce(region, "And", [self.choice(region, c) for c in term]) for term in space.terms]
        mask = _reduce(region, "Or", terms)
        if space.strategy is Strategy.BRANCH:
            name = region.node("Reshape", [mask, region.constant(np.zeros([0], np.int64))])
        else:
            if all(self._uniform(c) for term in space.terms for c in term):
                assert space.parent is not None
                mask = region.node("Expand", [mask, self.count(region, space.parent)])
            name = region.node("Reshape", [region.node("NonZero", [mask]), region.constant(np.array([-1], np.int64))])
        self.entry[space.id] = name
        return name

    def choice(self, region: Region, choice: Choice) -> str:
        """The bool tensor, over the gate's axes, that is true where the choice holds."""
        key = ("choice", choice)
        return region.find(key) or region.keep(key, self._choice(region, choice))

    def _choice(self, region: Region, choice: Choice) -> str:
        gate = self._plan.graph[choice.decision.node]
        assert isinstance(gate, Gate), gate
        decision = self._value(region, choice.decision)
        parts = [arm_mask(region, gate, decision, arm) for arm in choice.arms]
        mask = _reduce(region, "Or", parts)
        return region.node("Not", [mask]) if choice.negated else mask

    def _uniform(self, choice: Choice) -> bool:
        gate = self._plan.graph[choice.decision.node]
        return isinstance(gate, Gate) and not gate.over

    def index(self, region: Region, lower: SpaceId, upper: SpaceId) -> str | None:
        """Row index of `lower` within its ancestor `upper`; None where it has all of its rows."""
        found: str | None = None
        for space in reversed(self.path(lower, upper)):
            if space.strategy is Strategy.BRANCH:
                continue
            entry = self.entry[space.id]
            found = _compose(region, found, entry) if found else entry
        return found

    def scatter_index(self, region: Region, lower: SpaceId, upper: SpaceId) -> str | None:
        """The same with a last axis of one, as ScatterND wants it."""
        index = self.index(region, lower, upper)
        if index is None:
            return None
        home = region.home(index)
        key = ("scatter", index)
        last = home.home().constant(np.array([-1, 1], np.int64))
        return home.find(key) or home.keep(key, home.node("Reshape", [index, last]))

    def guard(self, lower: SpaceId, upper: SpaceId) -> str | None:
        """Condition of the BRANCH spaces below the last COMPACT one: what empties a value though its index is not."""
        for space in self.path(lower, upper):
            if space.strategy is Strategy.COMPACT:
                return None
            return self.entry[space.id]
        return None

    def any_row(self, region: Region, id: SpaceId) -> str:
        """Scalar bool: whether a space holds a row (COMPACT), or is run (BRANCH)."""
        space = self.space(id)
        entry = self.entry[id]
        if space.strategy is Strategy.BRANCH:
            return entry
        home = region.home(entry)
        key = ("any", entry)
        zero = home.constant(np.array(0, np.int64))
        return home.find(key) or home.keep(key, home.node("Greater", [home.node("Size", [entry]), zero]))

    def condition(self, region: Region, id: SpaceId) -> str:
        """Scalar bool: whether the nearest BRANCH space around, or of, `id` is run."""
        while self.space(id).strategy is not Strategy.BRANCH:
            parent = self.space(id).parent
            assert parent is not None, "a conditional block outside every BRANCH space"
            id = parent
        return self.any_row(region, id)

    def count(self, region: Region, id: SpaceId) -> str:
        """1-D i64 of one element: the number of rows of a space (of a BRANCH: when it is run)."""
        while id != ROOT and self.space(id).strategy is Strategy.BRANCH:
            parent = self.space(id).parent
            assert parent is not None
            id = parent
        if id == ROOT:
            return self._root_count(region.home())
        entry = self.entry[id]
        home = region.home(entry)
        key = ("count", entry)
        return home.find(key) or home.keep(key, home.node("Shape", [entry]))

    def _root_count(self, root: Region) -> str:
        if self._batch_one or self._batch is None:
            return root.constant(np.array([1], np.int64))
        name, axis = self._batch
        key = ("count", ROOT)
        return root.find(key) or root.keep(key, root.node("Shape", [name], start=axis, end=axis + 1))


def arm_mask(region: Region, gate: Gate, decision: str, arm: int) -> str:
    """True where a decision is `arm` (MANY: where the arm is selected)."""
    key = ("arm", decision, arm)
    found = region.find(key)
    if found is None:
        found = region.keep(key, _arm_mask(region, gate, decision, arm))
    return found


def _arm_mask(region: Region, gate: Gate, decision: str, arm: int) -> str:
    match gate.kind:
        case GateKind.BOOL:
            return decision if arm else region.node("Not", [decision])
        case GateKind.ONE:
            return region.node("Equal", [decision, region.constant(np.array(arm, np.int64))])
        case GateKind.MANY:
            return region.node("Gather", [decision, region.constant(np.array(arm, np.int64))], axis=-1)


def _compose(region: Region, outer: str, inner: str) -> str:
    home = region.home(outer, inner)
    key = ("compose", outer, inner)
    return home.find(key) or home.keep(key, home.node("Gather", [outer, inner], axis=0))


def _reduce(region: Region, op_type: str, parts: list[str]) -> str:
    """All parts, combined pairwise; no part at all is the neutral element.

    What begins alike is computed once: of n exits in a row, the arms ask n times for all that came before.
    """
    if not parts:
        return region.constant(np.array(op_type == "And"))

    def both(a: str, b: str) -> str:
        key = (op_type, a, b)
        return region.find(key) or region.keep(key, region.node(op_type, [a, b]))

    return reduce(both, parts)


def _batch_source(plan: Plan) -> tuple[str, int] | None:
    for id in plan.inputs:
        node = plan.graph[id]
        if isinstance(node, Input) and node.type.batch is not None:
            return node.name, node.type.batch
    return None
