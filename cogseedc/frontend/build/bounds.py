"""What a program may not exceed while it is elaborated. Each check raises BuildError."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cogseedc.frontend.build.model import Item, Tensor, mistake
from cogseedc.ir import TensorType
from cogseedc.limits import Limits
from cogseedc.source import Span

_SHORTER = "make static loops shorter, or raise the limit with `--limit nodes=...`"


@dataclass(frozen=True)
class Made:
    """What one call of a seed made."""

    calls: int
    """Calls of seeds, itself included."""
    results: tuple[tuple[TensorType, str], ...] | None
    """Types and geometries of the results; None if they are not values one by one."""

    @staticmethod
    def of(calls: int, results: tuple[Item, ...]) -> Made:
        tensors = [item for item in results if isinstance(item, Tensor)]
        known = tuple((t.type, t.geometry) for t in tensors) if len(tensors) == len(results) else None
        return Made(calls, known)


@dataclass(eq=False)
class Bounds:
    """The limits, and what has been counted so far."""

    limits: Limits
    calls: int = 0
    """Calls of seeds."""
    turns: int = 0
    """Turns of static loops."""
    sound: set[TensorType] = field(default_factory=set)
    """Types that are within the limits."""

    def node(self, count: int, span: Span) -> None:
        """One node more than `count`."""
        if count >= self.limits.nodes:
            message = f"the program expands to more than {self.limits.nodes} nodes"
            raise mistake(Limits.code("nodes"), message, span, help=_SHORTER)

    def foresee(self, steps: int, span: Span) -> None:
        """So many calls and turns, which are certain, before any of them is made."""
        if steps > self.limits.nodes:
            message = f"this expands to at least {steps:,} calls and turns; the limit is {self.limits.nodes:,}"
            raise mistake(Limits.code("nodes"), message, span, help=_SHORTER)

    def call(self, span: Span, least: int) -> None:
        """A call of a seed, which makes `least` calls, itself included: one that adds no node takes time too."""
        self.calls += 1
        if self.calls - 1 + least > self.limits.calls:
            raise mistake(
                Limits.code("calls"),
                f"seeds are called more than {self.limits.calls:,} times",
                span,
                help="write a loop in one seed, or raise the limit with `--limit calls=...`",
            )

    def turn(self, span: Span) -> None:
        """A turn of a static loop, which counts as a node."""
        self.turns += 1
        if self.turns > self.limits.nodes:
            message = f"loops have more than {self.limits.nodes:,} turns together"
            raise mistake(Limits.code("nodes"), message, span, help=_SHORTER)

    def types(self, types: Sequence[TensorType], span: Span) -> None:
        """The axes, sizes and elements of values."""
        for type_ in types:
            if type_ not in self.sound:
                self._type(type_, span)
                self.sound.add(type_)

    def _type(self, type_: TensorType, span: Span) -> None:
        if type_.rank > self.limits.rank:
            raise mistake(Limits.code("rank"), f"`{type_}` has more than {self.limits.rank} axes", span)
        for axis in type_.axes:
            value = axis.size.value
            if value is not None and value < 0:
                raise mistake(
                    "CS0230",
                    f"the result `{type_}` has an axis of negative size",
                    span,
                    help="the input is too small for this kernel, stride or slice",
                )
            if value is not None and value > self.limits.dimension:
                message = f"`{type_}` has an axis above {self.limits.dimension}"
                raise mistake(Limits.code("dimension"), message, span)
        total = type_.elements.value
        if total is not None and total > self.limits.elements:
            raise mistake(Limits.code("elements"), f"`{type_}` has more elements than 64 bits count", span)
