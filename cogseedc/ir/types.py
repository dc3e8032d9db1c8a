"""Types of values: dtype and axes, each axis a name and a size."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from threading import Lock
from typing import TypeVar
from weakref import WeakValueDictionary

from cogseedc.ir.size import Size

BATCH = "N"
"""Name, and symbol of the size, of the batch axis of the exported seed."""


class Dtype(Enum):
    """Element types; the value is the spelling in the language."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    I64 = "i64"
    I32 = "i32"
    I8 = "i8"
    U8 = "u8"
    BOOL = "bool"

    __hash__ = object.__hash__  # there is one object of each; the hash that enums have is that of a name

    @property
    def floating(self) -> bool:
        return self in _FLOATING

    @property
    def bits(self) -> int:
        return {"f32": 32, "i32": 32, "i64": 64, "f16": 16, "bf16": 16}.get(self.value, 8)


_FLOATING = frozenset({Dtype.F32, Dtype.F16, Dtype.BF16})
_INTEGERS = (Dtype.I8, Dtype.I32, Dtype.I64)


def promote(a: Dtype, b: Dtype) -> Dtype:
    """The dtype of an operation on both, as torch promotes two tensors."""
    if a is b:
        return a
    if a is Dtype.BOOL or b is Dtype.BOOL:
        return b if a is Dtype.BOOL else a
    if a.floating and b.floating:
        return Dtype.F32
    if a.floating or b.floating:
        return a if a.floating else b
    if Dtype.U8 in (a, b):
        other = b if a is Dtype.U8 else a
        return Dtype.I32 if other is Dtype.I8 else other  # torch gives i16, which the language lacks
    return _INTEGERS[max(_INTEGERS.index(a), _INTEGERS.index(b))]


_AXES: WeakValueDictionary[tuple[str | None, Size], Axis] = WeakValueDictionary()
_TYPES: WeakValueDictionary[tuple[Dtype, tuple[Axis, ...]], TensorType] = WeakValueDictionary()
"""The one object of each axis and type: a program has thousands of values of a handful of types, which are compared,
hashed and asked all the time."""
_MAKING = Lock()


@dataclass(frozen=True, eq=False, init=False)
class Axis:
    """One axis: its label (None: unnamed) and its size. Equal axes are the same."""

    name: str | None
    size: Size

    def __new__(cls, name: str | None, size: Size) -> Axis:
        known = _AXES.get((name, size))
        if known is not None:
            return known
        with _MAKING:
            return _AXES.setdefault((name, size), _made(super().__new__(cls), name=name, size=size))

    def __reduce__(self) -> tuple[type[Axis], tuple[object, ...]]:
        return Axis, (self.name, self.size)

    def __str__(self) -> str:
        if self.name is None:
            return str(self.size)
        return self.name if self.size == Size.symbol(self.name) else f"{self.name}={self.size}"


@dataclass(frozen=True, eq=False, init=False)
class TensorType:
    """A dtype and its axes, outermost first. Equal types are the same."""

    dtype: Dtype
    axes: tuple[Axis, ...] = ()

    def __new__(cls, dtype: Dtype, axes: tuple[Axis, ...] = ()) -> TensorType:
        known = _TYPES.get((dtype, axes))
        if known is not None:
            return known
        with _MAKING:
            return _TYPES.setdefault((dtype, axes), _made(super().__new__(cls), dtype=dtype, axes=axes))

    def __reduce__(self) -> tuple[type[TensorType], tuple[object, ...]]:
        return TensorType, (self.dtype, self.axes)

    @cached_property
    def rank(self) -> int:
        return len(self.axes)

    @cached_property
    def shape(self) -> tuple[Size, ...]:
        return tuple(a.size for a in self.axes)

    @cached_property
    def names(self) -> tuple[str | None, ...]:
        return tuple(a.name for a in self.axes)

    @cached_property
    def elements(self) -> Size:
        if not self.axes:
            return _ONE
        total = self.axes[0].size
        for axis in self.axes[1:]:
            total = total * axis.size
        return total

    @cached_property
    def batch(self) -> int | None:
        """Position of the batch axis: the one whose size is the symbol of the batch."""
        for i, axis in enumerate(self.axes):
            if axis.size is BATCH_SIZE:
                return i
        return None

    def position(self, name: str) -> int | None:
        """Position of the axis with that label."""
        return next((i for i, a in enumerate(self.axes) if a.name == name), None)

    def with_dtype(self, dtype: Dtype) -> TensorType:
        return TensorType(dtype, self.axes)

    def with_axes(self, axes: tuple[Axis, ...]) -> TensorType:
        return TensorType(self.dtype, axes)

    @property
    def turn(self) -> int:
        """Where the trace of a gate in a loop has its axis of turns: behind the batch axis, else first."""
        return 0 if self.batch is None else self.batch + 1

    def with_turns(self, steps: Size) -> TensorType:
        """The type of a value of each of `steps` turns, as a trace has it."""
        return self.with_axes((*self.axes[: self.turn], Axis(None, steps), *self.axes[self.turn :]))

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        return f"{self.dtype.value}[{', '.join(map(str, self.axes))}]"


_T = TypeVar("_T", Axis, TensorType)


def _made(value: _T, **fields: object) -> _T:
    """A new object with its fields."""
    value.__dict__.update(fields)
    return value


_ONE = Size.of(1)
BATCH_SIZE = Size.symbol(BATCH)
UNKNOWN = 64
"""What costs reckon a size with that is not known."""


def reckoned(size: Size, rows: int = 1) -> int:
    """A size as costs reckon with it, of so many samples."""
    return size.evaluate({symbol: rows if symbol == BATCH else UNKNOWN for symbol in size.symbols()})
