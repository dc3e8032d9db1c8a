"""What the turns of a loop leave for the trace: decisions, and how many rows spaces held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cogseedc.backends.plan.model import Choice
from cogseedc.ir import Dtype, Gate, NodeId, TensorType


@dataclass(frozen=True, slots=True)
class Decisions:
    """Those of one gate: [turns that were run, ...]."""

    name: str
    value: str
    type: TensorType
    """Of one turn."""
    gate: tuple[NodeId, Gate] | None = None
    """Set where they are as the gate gave them, neither laid out nor cast."""
    beyond: int = 0
    """Axes of size one behind those of the gate."""

    @property
    def dtype(self) -> Dtype:
        return self.type.dtype

    @property
    def rank(self) -> int:
        return self.type.rank + self.beyond

    @property
    def of_no_turn(self) -> list[int]:
        """The shape where no turn was run."""
        return [0] * (1 + self.type.rank) + [1] * self.beyond


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows a space held, in all turns: the sum of [turns that were run, ...]."""

    name: str
    value: str = ""
    """Empty where it is known without a record."""
    terms: tuple[tuple[Choice, ...], ...] = ()
    """Where one of these holds of the recorded decisions, a row was there. Without value and terms: in every turn."""
    each: bool = False
    """Whether each that is counted stands for all rows of the space that the loop is in."""

    @property
    def dtype(self) -> Dtype:
        return Dtype.I64

    @property
    def rank(self) -> int:
        return 0

    @property
    def of_no_turn(self) -> list[int]:
        """The shape where no turn was run."""
        return [0]


Record = Decisions | Count


@dataclass(frozen=True, slots=True)
class Turns:
    """What the turns of a loop recorded, seen from the region that holds it; empty where no trace was asked for."""

    gates: tuple[Decisions, ...] = ()
    rows: tuple[Count, ...] = ()

    def kept(self) -> list[Record]:
        """All that has a value."""
        records: tuple[Record, ...] = (*self.gates, *self.rows)
        return [record for record in records if record.value]

    def named(self, values: Sequence[str]) -> Turns:
        """The same record under other names, in the order of `kept`."""
        left = iter(values)
        gates = tuple(replace(record, value=next(left)) for record in self.gates)
        return Turns(
            gates, tuple(replace(record, value=next(left)) if record.value else record for record in self.rows)
        )
