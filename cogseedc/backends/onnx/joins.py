"""Moving values between row spaces: gathers down, scatters up, joins of arms. Which rows: see `rows`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from cogseedc.backends.onnx.builder import Region, branch
from cogseedc.backends.onnx.places import Places
from cogseedc.backends.onnx.rows import Rows
from cogseedc.backends.onnx.sizes import Sizes
from cogseedc.backends.onnx.tensors import NUMPY, Dimension
from cogseedc.backends.plan.model import SpaceId, Strategy, Take
from cogseedc.ir import BATCH_SIZE, Dtype, Lay, Size, TensorType


class Joins:
    """Spells gathers, scatters and joins for one plan."""

    def __init__(self, rows: Rows, sizes: Sizes) -> None:
        self._rows, self._sizes = rows, sizes
        self._places = Places(rows, sizes)

    def take(self, region: Region, value: str, type: TensorType, step: Take) -> str:
        """The rows of a step's target from a value at the rows of its source."""
        source, target, lay = step.source.space, step.target.space, step.target.lay
        together = self._rows.groups.whole(step)
        if type.batch is None:
            return value
        if self._rows.placed(target, source) is not None:
            return self._places.take(region, value, type, source, target, lay, together)
        return self._rows.take(region, value, type.batch, target, source, together)

    def full(self, region: Region, type: TensorType, space: SpaceId, fill: float = 0) -> str:
        """A value of that type at all rows of `space`, every element being `fill`."""
        shape = self._sizes.vector(region, type.shape, space)
        return region.node("ConstantOfShape", [shape], value=np.array([fill], NUMPY[type.dtype]))

    def empty(self, region: Region, type: TensorType, space: SpaceId) -> str:
        """A value of that type with no row; without a batch axis, zeros."""
        shape = [Size.of(0) if s == BATCH_SIZE else s for s in type.shape]
        known = [s.value for s in shape]
        if type.batch is not None and None not in known:
            return region.node("Constant", [], value=np.zeros([k or 0 for k in known], NUMPY[type.dtype]))
        sizes = self._sizes.vector(region, shape, space)
        return region.node("ConstantOfShape", [sizes], value=np.zeros([1], NUMPY[type.dtype]))

    def expand(self, region: Region, value: str, have: TensorType, want: TensorType, space: SpaceId) -> str:
        """The value broadcast to the type that a join has."""
        if have.shape == want.shape:
            return value
        return region.node("Expand", [value, self._sizes.vector(region, want.shape, space)])

    def overwrite(
        self,
        region: Region,
        previous: str,
        value: str,
        type: TensorType,
        source: SpaceId,
        target: SpaceId,
        lay: Lay = (),
    ) -> str:
        """`previous` at the rows of `target`, overwritten at those of `source`, whose BRANCH spaces are run."""
        index = self._rows.places(region, source, target)
        if index is None or type.batch is None:
            return value
        if self._rows.placed(source, target) is not None:
            return self._places.put(region, previous, value, type, source, target, lay)
        return self.put(region, previous, index, value, type)

    def all_turns(self, region: Region, turns: str, type: TensorType, space: SpaceId) -> str:
        """What all turns of a loop gave, a value of `type` each, with its full shape also when there was no turn."""
        count = region.node("Shape", [turns], start=0, end=1)
        shape = region.node("Concat", [count, self._sizes.vector(region, type.shape, space)], axis=0)
        return region.node("Reshape", [turns, shape], allowzero=1)

    def apart(self, region: Region, value: str, type: TensorType, turns: Size, space: SpaceId) -> str:
        """A value of `type` whose rows are rows and turns, with an axis of turns behind that of the rows."""
        shape = self._sizes.vector(region, type.with_turns(turns).shape, space)
        return region.node("Reshape", [value, shape], allowzero=1)

    def put(self, region: Region, previous: str, index: str, value: str, type: TensorType) -> str:
        """`previous` with the rows of an index, whose last axis is of one, overwritten."""
        front = _to_front(type)
        if front is None:
            return region.node("ScatterND", [previous, index, value])
        moved = [region.node("Transpose", [v], perm=front) for v in (previous, value)]
        written = region.node("ScatterND", [moved[0], index, moved[1]])
        return region.node("Transpose", [written], perm=_inverse(front))

    def write(
        self,
        region: Region,
        previous: str,
        value: str,
        type: TensorType,
        dims: Sequence[Dimension],
        source: SpaceId,
        target: SpaceId,
        lay: Lay = (),
    ) -> str:
        """The same where the BRANCH spaces on the way may not have been run."""
        changed = partial(
            self.overwrite, previous=previous, value=value, type=type, source=source, target=target, lay=lay
        )
        return self._where_run(region, changed, previous, (type.dtype, dims), source, target)

    def add(
        self,
        region: Region,
        total: str,
        value: str,
        type: TensorType,
        dims: Sequence[Dimension],
        source: SpaceId,
        target: SpaceId,
        lay: Lay = (),
    ) -> str:
        """`total` with the rows of `source` added; its BRANCH spaces may not have been run."""
        changed = partial(self._added, total=total, value=value, type=type, source=source, target=target, lay=lay)
        return self._where_run(region, changed, total, (type.dtype, dims), source, target)

    def _where_run(
        self,
        region: Region,
        changed: Callable[[Region], str],
        previous: str,
        kind: tuple[Dtype, Sequence[Dimension]],
        source: SpaceId,
        target: SpaceId,
    ) -> str:
        """What is changed where the BRANCH spaces on the way were run; else what was there."""
        guard = self._rows.guard(region, source, target)
        if guard is None:
            return changed(region)
        then, other = Region(region.shared, region), Region(region.shared, region)
        return branch(region, guard, (then, other), ([changed(then)], [previous]), [kind])[0]

    def _added(
        self, region: Region, total: str, value: str, type: TensorType, source: SpaceId, target: SpaceId, lay: Lay
    ) -> str:
        if type.batch is None or self._rows.places(region, source, target) is None:
            return region.node("Add", [total, value])
        if self._rows.placed(source, target) is not None:
            return self._places.put(region, total, value, type, source, target, lay, add=True)
        index = self._rows.places(region, source, target)
        if self._rows.sums(type) and index is not None and type.batch == 0:
            return region.node("ScatterND", [total, index, value], reduction="add")
        current = self._rows.current(region, total, type.batch, source, target)
        return self.overwrite(region, total, region.node("Add", [current, value]), type, source, target)


def runs_whole(rows: Rows, lower: SpaceId, upper: SpaceId) -> bool:
    """Whether only BRANCH spaces lie between: a value there has all rows, or none."""
    return all(s.strategy is Strategy.BRANCH for s in rows.path(lower, upper))


def _to_front(type: TensorType) -> list[int] | None:
    """The permutation that puts the batch axis first; None where it is."""
    batch = type.batch
    if not batch:
        return None
    return [batch, *(i for i in range(type.rank) if i != batch)]


def _inverse(order: list[int]) -> list[int]:
    return [order.index(i) for i in range(len(order))]
