"""Records of turns that take no operation: decisions as the gates gave them."""

from __future__ import annotations

from collections.abc import Iterator

from cogseedc.backends.onnx.records import Count, Decisions, Turns
from cogseedc.backends.onnx.steps import Steps
from cogseedc.backends.plan.model import ROOT, Choice, Space, Strategy
from cogseedc.ir import Gate, Value


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
    rowwise = not any(choice.anywhere for term in space.terms for choice in term)
    return space.parent == ROOT and not space.grid and len(ranks) == 1 and rowwise


def _rank(inner: Steps, choice: Choice) -> int:
    return inner.plan.graph.type(Value(choice.decision.node)).rank


def _decided(inner: Steps) -> Iterator[Decisions]:
    for report in inner.plan.gates:
        gate = inner.plan.graph[report.gate]
        assert inner.region is not None
        assert isinstance(gate, Gate)
        slot = report.decision
        made = (report.gate, gate)
        yield Decisions(report.name, inner.asked(inner.region, slot), gate.type, made, inner.beyond(slot))


def _entered(inner: Steps, prefix: str) -> Iterator[Count]:
    for space in inner.plan.spaces[1:]:
        each = space.strategy is Strategy.BRANCH or _rank(inner, space.terms[0][0]) == 0
        yield Count(f"{prefix}{space.name}", terms=space.terms, each=each)
