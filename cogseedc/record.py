"""Records: small values of which a compile makes hundreds of thousands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """A slotted dataclass with equality and hash that nothing assigns to: the type checker refuses it.

    At run time it is not frozen: to make a frozen dataclass takes three times as long, since each field is set around
    the guard, and a third of the front end's time went there.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
