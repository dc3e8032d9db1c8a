"""Decisions and row counts as further outputs of the model: what was decided where, -1 where nothing was asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, ValueInfoProto

from cogseedc.backends.onnx.builder import Place, Region, branch
from cogseedc.backends.onnx.tensors import Dimension, info
from cogseedc.backends.plan.model import ROOT, GateReport, Plan, Slot, Space, Strategy
from cogseedc.ir import Dtype

if TYPE_CHECKING:
    from cogseedc.backends.onnx.steps import Steps

SWITCH = "cogseed.trace"
"""Name of the bool input, false by default, that asks for the trace; no identifier of the language has a dot."""


def slots(plan: Plan) -> Iterator[Slot]:
    """What the trace reads."""
    for report in plan.gates:
        yield report.indices or report.decision


def emit_trace(steps: Steps, root: Region) -> tuple[ValueInfoProto, list[ValueInfoProto]]:
    """Adds `trace.<gate>` and `rows.<space>`, computed where the input `cogseed.trace` is true; else they are empty.

    ONNX Runtime computes every output on every run, asked for or not: one If keeps that to about a microsecond.
    The switch, and the graph outputs.
    """
    root.shared.place = Place("/trace", "trace")
    switch = info(root.shared.names.unique(SWITCH), Dtype.BOOL, [])
    root.initializer(switch.name, np.array(False))
    then, other = Region(root.shared, root), Region(root.shared, root)
    inner = [*(_gate(steps, then, g) for g in steps.plan.gates), *(_rows(steps, then, s) for s in _spaces(steps.plan))]
    empty = [_nothing(other, value.rank) for value in inner]
    types = [(Dtype.I64, value.dims) for value in inner]
    names = [value.name for value in inner]
    branch(root, switch.name, (then, other), ([v.inside for v in inner], empty), types, names)
    return switch, [info(value.name, Dtype.I64, value.dims) for value in inner]


@dataclass(frozen=True, slots=True)
class _Traced:
    """A traced value: its name outside, its name in the body, its dimensions (none known: it may be empty)."""

    name: str
    inside: str
    dims: Sequence[Dimension]

    @property
    def rank(self) -> int:
        return len(self.dims)


def _spaces(plan: Plan) -> Sequence[Space]:
    return [space for space in plan.spaces if space.id != ROOT]


def _nothing(region: Region, rank: int) -> str:
    """A value that says that nothing was traced: no element, or for a scalar -1."""
    return region.constant(np.full([0] * rank, -1, np.int64))


def _gate(steps: Steps, region: Region, report: GateReport) -> _Traced:
    region.shared.place = Place(f"/trace/{report.name}", "trace")
    slot = report.indices or report.decision
    type = steps.type(slot).with_dtype(Dtype.I64)
    value = region.node("Cast", [steps.value(region, slot)], to=TensorProto.INT64)
    dims = steps.dims(type, ROOT)
    if slot.space != ROOT:
        unreached = steps.joins.full(region, type, ROOT, -1)
        value = steps.joins.write(region, unreached, value, type, dims, slot.space, ROOT)
    return _Traced(region.shared.names.unique(f"trace.{report.name}"), value, [None] * type.rank)


def _rows(steps: Steps, region: Region, space: Space) -> _Traced:
    region.shared.place = Place(f"/trace/{space.name}", "trace")
    name = region.shared.names.unique(f"rows.{space.name}")
    entry = steps.rows.entry[space.id]
    if space.strategy is Strategy.COMPACT:
        return _Traced(name, region.node("Size", [entry]), [])
    count = region.node("Squeeze", [steps.rows.count(region, space.id), region.constant(np.array([0], np.int64))])
    return _Traced(name, region.node("Mul", [count, region.node("Cast", [entry], to=TensorProto.INT64)]), [])
