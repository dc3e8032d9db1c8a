"""What the turns of a loop leave for the trace: decisions, and how many rows spaces held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cogseedc.backends.plan.model import ROOT, Choice, Space, Strategy
from cogseedc.ir import Dtype, Gate, NodeId, TensorType, Value

if TYPE_CHECKING:
    from cogseedc.backends.onnx.steps import Steps


@dataclass(frozen=True, slots=True)
class Decisions:
    """Those of one gate: [turns that were run, ...]."""

    name: str
    value: str
    type: TensorType
    """Of one turn."""
    gate: tuple[NodeId, Gate] | None = None
    """Set where they are as the gate gave them, neither laid out nor cast."""

    @property
    def dtype(self) -> Dtype:
        return self.type.dtype

    @property
    def rank(self) -> int:
        return self.type.rank


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


def plain_record(inner: Steps, prefix: str) -> Turns | None:
    """What a turn of a loop that all rows run decides, as it is: recording it takes no operation. `prefix` stands
    before the names of spaces. None where a record has to be computed."""
    plan = inner.plan
    if inner.turns or inner.folded or not all(_told(inner, space) for space in plan.spaces[1:]):
        return None
    if any(r.indices or r.decision.space != ROOT or r.reached != ((),) for r in plan.gates):
        return None
    return Turns(tuple(_decided(inner)), tuple(_entered(inner, prefix)))


def _told(inner: Steps, space: Space) -> bool:
    """Whether decisions at the rows of the root say which rows a space holds."""
    ranks = {_rank(inner, c) for term in space.terms for c in term}
    return space.parent == ROOT and not space.grid and len(ranks) == 1


def _rank(inner: Steps, choice: Choice) -> int:
    return inner.plan.graph.type(Value(choice.decision.node)).rank


def _decided(inner: Steps) -> Iterator[Decisions]:
    for report in inner.plan.gates:
        gate = inner.plan.graph[report.gate]
        assert inner.region is not None
        assert isinstance(gate, Gate)
        yield Decisions(report.name, inner.asked(inner.region, report.decision), gate.type, (report.gate, gate))


def _entered(inner: Steps, prefix: str) -> Iterator[Count]:
    for space in inner.plan.spaces[1:]:
        each = space.strategy is Strategy.BRANCH or _rank(inner, space.terms[0][0]) == 0
        yield Count(f"{prefix}{space.name}", terms=space.terms, each=each)
