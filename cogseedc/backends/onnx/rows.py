"""Row spaces in ONNX: which rows each space holds, as a mask over its parent's, and their places in any ancestor.

A mask is made where its space is entered, places where they are first needed: one Compress for each further level.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import reduce

import numpy as np
from onnx import TensorProto

from cogseedc.backends.onnx.builder import Place, Region
from cogseedc.backends.onnx.groups import Groups
from cogseedc.backends.plan.model import ROOT, Choice, Plan, Slot, Space, SpaceId, Strategy
from cogseedc.ir import Dtype, Gate, GateKind, TensorType


class Rows:
    """Masks and conditions of the spaces of a plan. `value` names a slot's value as a region sees it; with `waits` (a
    GPU, where each Compress waits for the count) values are gathered by places that are counted once."""

    def __init__(
        self,
        plan: Plan,
        value: Callable[[Region, Slot], str],
        batch: tuple[str, int] | None,
        batch_one: bool = False,
        waits: bool = False,
        around: Callable[[Region], str] | None = None,
        asked: Callable[[Region, Slot], str] | None = None,
    ) -> None:
        """`asked` names a decision of one element, of any rank. `batch` is a value with a batch axis, and where it is;
        `around` counts the rows of the root without one."""
        self._plan, self._value, self._batch_one, self._waits = plan, value, batch_one, waits
        self._batch, self._around = batch, around
        self._asked = asked or value
        self.within: Callable[[Region, str, str, Space], str] | None = None
        """Composes the places of rows of a batch with those of positions in them."""
        self.within_nests: Collection[SpaceId] = ()
        """Spaces that are entered in a nest: outside of it, where only the trace asks, nobody may have decided."""
        self.alone: SpaceId | None = None
        """A space that is computed for one row, whichever rows it holds."""
        self.groups = Groups(plan, value, waits)
        self.entry: dict[SpaceId, str] = {}
        """COMPACT: bool over the rows of the parent, or over its positions, flattened. BRANCH, entered in
        an If: scalar bool; see `entered`."""
        self.seen: dict[tuple[SpaceId, SpaceId], str] = {}
        """Where the rows of a space lie in one above it, as an If gives it."""

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

    def enter(self, region: Region, space: Space, place: Place, late: bool) -> None:
        """Computes and records the entry of a space, in a block of its parent; `late`: that of a BRANCH is computed
        where it is asked."""
        region.shared.place = place
        if space.strategy is Strategy.BRANCH:
            if not late:
                none = region.constant(np.zeros([0], np.int64))
                self.entry[space.id] = region.node("Reshape", [self._entry(region, space), none])
            return
        if not self.groups.has(space.id):
            self.entry[space.id] = self._held(region, space)

    def _held(self, region: Region, space: Space) -> str:
        """Which rows of its parent a COMPACT space holds."""
        mask = self._entry(region, space)
        if all(self._uniform(c) for term in space.terms for c in term):
            assert space.parent is not None
            return region.node("Expand", [mask, self.count(region, space.parent)])
        if space.grid:
            return region.node("Reshape", [mask, region.constant(np.array([-1], np.int64))])
        return mask

    def _mask_of(self, region: Region, space: SpaceId) -> str:
        """The same, where it was entered or, where an If keeps that for itself, from the decisions."""
        known = self.entry.get(space)
        if known is None:
            key = ("entry", id(self), space)
            known = region.find(key) or region.keep(key, self._held(region, self.space(space)))
        return known

    def entered(self, region: Region, branch: SpaceId) -> str:
        """Whether a BRANCH space is run: a bool of one element. Of two that are the sides of one If, one is asked."""
        known = self.entry.get(branch)
        if known is not None:
            return known
        space = self.space(branch)
        home = region.home(
            *((self._value if c.anywhere else self._asked)(region, c.decision) for term in space.terms for c in term)
        )
        key = ("entered", id(self), branch)
        found = home.find(key)
        if found is None:
            place, home.shared.place = home.shared.place, Place(f"/rows/{space.name}", f"rows/{space.name}")
            terms = [_reduce(home, "And", [self._element(home, c) for c in term]) for term in space.terms]
            held = _reduce(home, "Or", terms)
            found = home.keep(key, any_true(home, held) if branch in self.within_nests else held)
            home.shared.place = place
        return found

    def _entry(self, region: Region, space: Space) -> str:
        terms = [_reduce(region, "And", [self._mask(region, c, space) for c in term]) for term in space.terms]
        return _reduce(region, "Or", terms)

    def placed(self, lower: SpaceId, upper: SpaceId) -> Space | None:
        """The space below `upper` in which positions in its batch are chosen, on the way to `lower`."""
        return next(
            (s for s in reversed(self.path(lower, upper)) if self._chooses(s) and not self.space(upper).grid), None
        )

    def _chooses(self, space: Space) -> bool:
        """Whether positions are chosen in the rows of its parent."""
        return bool(space.grid) and space.parent is not None and not self.space(space.parent).grid

    def _mask(self, region: Region, choice: Choice, space: Space) -> str:
        """Where a choice holds, with as many axes as positions in `space` have."""
        mask, gate = self.choice(region, choice), self._gate(choice)
        rank = 1 if choice.anywhere else gate.type.rank - (gate.kind is GateKind.MANY)
        width = 1 + len(space.grid)
        return region.node("Unsqueeze", [mask, region.constant(np.arange(rank, width))]) if 0 < rank < width else mask

    def choice(self, region: Region, choice: Choice) -> str:
        """The bool tensor, over the gate's axes (over the batch, if it may hold anywhere in a row), that is true where
        the choice holds."""
        key = ("choice", id(self), choice)
        return region.find(key) or region.keep(key, self._choice(region, choice))

    def _choice(self, region: Region, choice: Choice) -> str:
        gate = self._gate(choice)
        mask = holds(region, gate, self._value(region, choice.decision), choice)
        if not choice.anywhere:
            return mask
        axes = np.arange(1, gate.type.rank - (gate.kind is GateKind.MANY))
        number = region.node("Cast", [mask], to=TensorProto.INT32)
        total = region.node("ReduceSum", [number, region.constant(axes)], keepdims=0)
        return region.node("Cast", [total], to=TensorProto.BOOL)

    def _element(self, region: Region, choice: Choice) -> str:
        """Whether a choice holds of a decision of one element, of any rank."""
        if choice.anywhere:
            return self.choice(region, choice)
        return holds(region, self._gate(choice), self._asked(region, choice.decision), choice)

    def _gate(self, choice: Choice) -> Gate:
        gate = self._plan.graph[choice.decision.node]
        assert isinstance(gate, Gate), gate
        return gate

    def _uniform(self, choice: Choice) -> bool:
        gate = self._plan.graph[choice.decision.node]
        return isinstance(gate, Gate) and not gate.over

    def take(
        self, region: Region, value: str, axis: int, lower: SpaceId, upper: SpaceId, together: bool = False
    ) -> str:
        """The rows of `lower` from a value at the rows of its ancestor `upper`; `together`: all spaces of its group
        take it."""
        masks = [s.id for s in self.path(lower, upper) if s.strategy is Strategy.COMPACT]
        if not masks:
            return value
        if len(masks) == 1 and together and self.groups.has(masks[0]):
            return self.groups.take(region, value, axis, masks[0])
        counted = self._waits or self.groups.has(masks[0]) or self._left(lower, upper)
        if len(masks) == 1 and not counted:
            return region.node("Compress", [value, self._mask_of(region, masks[0])], axis=axis)
        return region.node("Gather", [value, self.index(region, lower, upper)], axis=axis)

    def _left(self, lower: SpaceId, upper: SpaceId) -> bool:
        """Whether an If gave places, and no masks."""
        path = self.path(lower, upper)
        return any((s.id, upper) in self.seen and s.id not in self.entry for s in path)

    def places(self, region: Region, lower: SpaceId, upper: SpaceId) -> str | None:
        """i64 [rows, 1], as ScatterND wants it: where the rows of `lower` lie in its ancestor `upper`; None: all do."""
        found: str | None = None
        path: list[Space] = []
        for space in self.path(lower, upper):
            found = self.seen.get((space.id, upper))
            if found is not None:
                break
            path.append(space)
        for space in reversed(path):
            if space.strategy is Strategy.COMPACT:
                if found is not None and self._chooses(space):
                    assert self.within is not None
                    found = self.within(region, found, self._own(region, space.id), space)
                elif found is None:
                    found = self._own(region, space.id)
                elif self.groups.has(space.id):
                    found = self._picked(region, found, self._own(region, space.id))
                else:
                    found = self._places(region, found, self._mask_of(region, space.id))
        return found

    def _own(self, region: Region, id: SpaceId) -> str:
        """Where the rows of a COMPACT space lie in its parent."""
        if self.groups.has(id):
            return self.groups.place(region, id)
        parent = self.space(id).parent
        if parent is not None and (id, parent) in self.seen:
            return self.seen[id, parent]
        return self._places(region, None, self._mask_of(region, id))

    def _picked(self, region: Region, outer: str, own: str) -> str:
        home = region.home(outer, own)
        key = ("picked", outer, own)
        flat = home.constant(np.array([-1], np.int64))
        found = home.find(key)
        return found or home.keep(key, home.node("Gather", [outer, home.node("Reshape", [own, flat])], axis=0))

    def _places(self, region: Region, outer: str | None, mask: str) -> str:
        home = region.home(*(n for n in (outer, mask) if n))
        key = ("places", outer, mask)
        found = home.find(key)
        if found is None and outer is None:
            found = home.keep(key, home.node("Transpose", [home.node("NonZero", [mask])], perm=[1, 0]))
        elif found is None:
            assert outer is not None
            found = home.keep(key, home.node("Compress", [outer, mask], axis=0))
        return found

    def index(self, region: Region, lower: SpaceId, upper: SpaceId) -> str:
        """The same as a vector."""
        places = self.places(region, lower, upper)
        assert places is not None
        home = region.home(places)
        key = ("index", places)
        flat = home.home().constant(np.array([-1], np.int64))
        return home.find(key) or home.keep(key, home.node("Reshape", [places, flat]))

    def current(self, region: Region, total: str, axis: int, lower: SpaceId, upper: SpaceId) -> str:
        """The rows of `lower` from a value at those of `upper`, whose places are needed anyway."""
        return region.node("Gather", [total, self.index(region, lower, upper)], axis=axis)

    def sums(self, type: TensorType) -> bool:
        """Whether ONNX Runtime has a kernel that adds rows of that type where they lie."""
        return type.dtype is Dtype.F32 and not self._waits

    def guard(self, region: Region, lower: SpaceId, upper: SpaceId) -> str | None:
        """Condition of the BRANCH spaces below the last COMPACT one: what empties a value though its index is not."""
        for space in self.path(lower, upper):
            if space.strategy is Strategy.COMPACT:
                return None
            return self.entered(region, space.id)
        return None

    def any_row(self, region: Region, id: SpaceId, upper: SpaceId | None = None) -> str:
        """A bool of one element: whether a space holds a row (COMPACT), or is run (BRANCH). `upper` is a space above in
        which its places are needed anyway."""
        if self.space(id).strategy is Strategy.BRANCH:
            return self.entered(region, id)
        places = (None if upper is None else self.places(region, id, upper)) or self._own(region, id)
        home = region.home(places)
        key = ("any", places)
        found = home.find(key)
        if found is None:
            size = home.node("Size", [places])
            found = home.keep(key, home.node("Greater", [size, home.constant(np.array(0, np.int64))]))
        return found

    def condition(self, region: Region, id: SpaceId) -> str:
        """A bool of one element: whether the nearest BRANCH space around, or of, `id` is run."""
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
            return self._root_count(region)
        if id == self.alone:
            return region.constant(np.array([1], np.int64))
        places = self._own(region, id)
        home = region.home(places)
        key = ("count", places)
        return home.find(key) or home.keep(key, home.node("Shape", [places], start=0, end=1))

    def _root_count(self, region: Region) -> str:
        if self._batch is None and self._around is not None:
            return self._around(region)
        if self._batch_one or self._batch is None:
            return region.home().constant(np.array([1], np.int64))
        name, axis = self._batch
        home = region.home(name)
        key = ("count", name)
        return home.find(key) or home.keep(key, home.node("Shape", [name], start=axis, end=axis + 1))


def holds(region: Region, gate: Gate, decision: str, choice: Choice) -> str:
    """True where a choice holds of a gate's decision."""
    mask = _reduce(region, "Or", [arm_mask(region, gate, decision, arm) for arm in choice.arms])
    return region.node("Not", [mask]) if choice.negated else mask


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


def any_true(region: Region, value: str, axis: int | None = None) -> str:
    """Whether an element along an axis, or of all, is true. A sum is right for no element too, though not over a
    negative axis: of an empty tensor ONNX Runtime 1.31 then reduces nothing."""
    axes = [] if axis is None else [region.constant(np.array([axis], np.int64))]
    total = region.node("ReduceSum", [region.node("Cast", [value], to=TensorProto.INT64), *axes], keepdims=0)
    return region.node("Greater", [total, region.constant(np.array(0, np.int64))])


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
