"""Moving values between a batch and single positions in it and further axes: a position is an index into these axes,
flattened. Which positions: see `rows`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cogseedc.backends.onnx.builder import Region
from cogseedc.backends.onnx.rows import Rows
from cogseedc.backends.onnx.sizes import Sizes
from cogseedc.backends.plan.model import Space, SpaceId
from cogseedc.ir import Lay, Size, TensorType


class Places:
    """Gathers and scatters of positions for one plan. Values of positions keep their rank."""

    def __init__(self, rows: Rows, sizes: Sizes) -> None:
        self._rows, self._sizes = rows, sizes
        rows.within = self._within

    def take(
        self,
        region: Region,
        value: str,
        type: TensorType,
        source: SpaceId,
        target: SpaceId,
        lay: Lay,
        together: bool = False,
    ) -> str:
        """The values at the positions of `target`; `type` is that of `value`, at the rows of `source`. An axis -1 is
        one that it lacks."""
        held = [axis for axis in lay if axis >= 0]
        flat = self._flat(region, value, type, held, source)
        if len(held) == len(lay):
            found = self._rows.take(region, flat, 0, target, source, together)
        else:
            found = region.node("Gather", [flat, self._narrowed(region, source, target, lay)], axis=0)
        return self._spread(region, found, type, held)

    def put(
        self,
        region: Region,
        previous: str,
        value: str,
        type: TensorType,
        source: SpaceId,
        target: SpaceId,
        lay: Lay,
        add: bool = False,
    ) -> str:
        """`previous`, of that type at the rows of `target`, with a value at the positions of `source` written over, or
        added."""
        places = self._rows.places(region, source, target)
        assert places is not None
        flat = self._flat(region, previous, type, lay, target)
        front = _front(type.rank, lay)
        moved = value if front is None else region.node("Transpose", [value], perm=front)
        rows = region.node("Squeeze", [moved, region.constant(np.arange(1, len(lay)))])
        if add and self._rows.sums(type):
            written = region.node("ScatterND", [flat, places, rows], reduction="add")
        else:
            if add:
                rows = region.node("Add", [self._rows.current(region, flat, 0, source, target), rows])
            written = region.node("ScatterND", [flat, places, rows])
        order = front or list(range(type.rank))
        shape = self._sizes.vector(region, [type.shape[axis] for axis in order], target)
        whole = region.node("Reshape", [written, shape])
        return whole if front is None else region.node("Transpose", [whole], perm=_inverse(front))

    def _within(self, region: Region, outer: str, inner: str, space: Space) -> str:
        """Places of positions in some rows of a batch, as places in the batch in which `outer` has the rows."""
        count = self._count(region, space)
        home = region.home(outer, inner, count)
        key = ("within", outer, inner)
        found = home.find(key)
        if found is None:
            batch = home.node("GatherND", [outer, home.node("Div", [inner, count])])
            near = home.node("Mod", [inner, count])
            found = home.keep(key, home.node("Add", [home.node("Mul", [batch, count]), near]))
        return found

    def _narrowed(self, region: Region, source: SpaceId, target: SpaceId, lay: Lay) -> str:
        """The index of positions in those axes, flattened, that a value has."""
        space = self._rows.placed(target, source)
        assert space is not None
        index = self._rows.index(region, target, source)
        home = region.home(index)
        key = ("narrowed", index, tuple(axis >= 0 for axis in lay))
        found = home.find(key)
        if found is not None:
            return found
        places: list[str] = []
        rest = index
        for size in reversed(space.grid):
            length = self._sizes.scalar(home, size, source)
            places.append(home.node("Mod", [rest, length]))
            rest = home.node("Div", [rest, length])
        total = rest
        for size, axis, place in zip(space.grid, lay[1:], reversed(places), strict=True):
            if axis >= 0:
                scaled = home.node("Mul", [total, self._sizes.scalar(home, size, source)])
                total = home.node("Add", [scaled, place])
        return home.keep(key, total)

    def _count(self, region: Region, space: Space) -> str:
        total = Size.of(1)
        for size in space.grid:
            total = total * size
        return self._sizes.scalar(region, total, space.id)

    def _flat(self, region: Region, value: str, type: TensorType, axes: Sequence[int], space: SpaceId) -> str:
        """The value with these axes in front, flattened to one."""
        front = _front(type.rank, axes)
        moved = value if front is None else region.node("Transpose", [value], perm=front)
        if len(axes) == 1:
            return moved
        order = front or list(range(type.rank))
        rest = self._sizes.vector(region, [type.shape[axis] for axis in order[len(axes) :]], space)
        first = region.constant(np.array([-1], np.int64))
        shape = region.node("Concat", [first, rest], axis=0) if len(axes) < type.rank else first
        return region.node("Reshape", [moved, shape])

    def _spread(self, region: Region, value: str, type: TensorType, axes: Sequence[int]) -> str:
        """Positions in front, back where the batch is, the other axes with size one."""
        whole = value
        if len(axes) > 1:
            whole = region.node("Unsqueeze", [value, region.constant(np.arange(1, len(axes)))])
        front = _front(type.rank, axes)
        return whole if front is None else region.node("Transpose", [whole], perm=_inverse(front))


def _front(rank: int, axes: Sequence[int]) -> list[int] | None:
    """The permutation that puts axes first; None where they are."""
    order = [*axes, *(axis for axis in range(rank) if axis not in axes)]
    return None if order == list(range(rank)) else order


def _inverse(order: list[int]) -> list[int]:
    return [order.index(i) for i in range(len(order))]
