"""Decisions and row counts as one further output of the model: what was decided where, -1 where nothing was asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, ValueInfoProto

from cogseedc.backends.onnx.builder import Place, Region, branch_of_sequence
from cogseedc.backends.onnx.ledger import SWITCH, traced
from cogseedc.backends.onnx.records import Count, Decisions, Turns
from cogseedc.backends.onnx.rows import any_true, holds
from cogseedc.backends.onnx.tensors import info
from cogseedc.backends.plan.model import ROOT, Choice, GateReport, Run, Space, SpaceId, Strategy
from cogseedc.diagnostics import InternalError
from cogseedc.ir import BATCH, Dtype, Gate, GateKind, Loop, NodeId, Size, TensorType

if TYPE_CHECKING:
    from cogseedc.backends.onnx.steps import Steps

TRACED = "cogseed.traced"
"""Name of the output that holds it, a sequence of i64 tensors, and of the metadata that names them, apart by spaces."""


def emit_trace(steps: Steps, root: Region) -> tuple[ValueInfoProto, ValueInfoProto, str] | None:
    """Adds a sequence of `trace.<gate>` and `rows.<space>`, filled where the input `cogseed.trace` is true, else empty.

    ONNX Runtime computes every output on every run, asked for or not: one If with one output keeps that below a
    microsecond, however many gates there are. The switch, the output, and the names of what it holds; None for a model
    that decides nothing.
    """
    root.shared.place = Place("/trace", "trace")
    then, other = traced(Region(root.shared, root, alone=True)), Region(root.shared, root)
    gates = [(f"trace.{name}", value) for name, value, _ in traced_gates(steps, then)]
    found = [*gates, *((f"rows.{name}", value) for name, value in traced_rows(steps, then))]
    if not found:
        return None
    switch = info(root.shared.names.unique(SWITCH), Dtype.BOOL, [])
    root.initializer(switch.name, np.array(False))
    filled = then.node("SequenceConstruct", [value for _, value in found])
    empty = other.node("SequenceEmpty", [], dtype=TensorProto.INT64)
    output = branch_of_sequence(root, switch.name, (then, other), (filled, empty), TRACED)
    return switch, output, " ".join(name for name, _ in found)


_UNREACHED = -2
"""Where a k-of-n gate was not reached, while the trace is made: to tell it from a dropped slot, -1."""


def traced_gates(steps: Steps, region: Region) -> Iterator[tuple[str, str, TensorType]]:
    """Every gate's name, decisions at the root rows and their type; gates come before those whose reach they decide,
    and those in bodies of loops, which have an axis of turns, last."""
    earlier: dict[NodeId, str] = {}
    for report in steps.plan.gates:
        region.shared.place = Place(f"/trace/{report.name}", "trace")
        value = earlier[report.gate] = _laid_out(steps, region, report, earlier)
        if report.indices:
            value = region.node("Max", [value, _integer(region, -1)])
        yield report.name, value, (report.indices or report.decision).whole(steps.plan.graph).with_dtype(Dtype.I64)
    for id, turns in steps.turns.items():
        for record in turns.gates:
            region.shared.place = Place(f"/trace/{record.name}", "trace")
            value, laid = _of_turns(steps, region, id, record)
            yield record.name, _asked_of(steps, region, id, value, laid, earlier), laid
    for id, inner in steps.folded.items():
        loop, space = steps.plan.graph[id], _space_of(steps, id)
        assert isinstance(loop, Loop)
        for name, value, type in traced_gates(inner, region):
            region.shared.place = Place(f"/trace/{name}", "trace")
            apart = value if type.batch is None else steps.joins.apart(region, value, type, loop.steps, space)
            value, laid = _at_root(steps, region, apart, type.with_turns(loop.steps), space)
            yield name, _asked_of(steps, region, id, value, laid, earlier), laid


def _asked_of(
    steps: Steps, region: Region, id: NodeId, value: str, type: TensorType, earlier: Mapping[NodeId, str]
) -> str:
    """The trace of a gate in a loop: -1 where the loop was run for more than was asked."""
    reached = steps.plan.loops[id].reached
    if reached == ((),):
        return value
    terms = [_all(region, "And", [_held(steps, region, earlier, c, type) for c in term]) for term in reached]
    return region.node("Where", [_all(region, "Or", terms), value, _integer(region, -1)])


def _of_turns(steps: Steps, region: Region, id: NodeId, record: Decisions) -> tuple[str, TensorType]:
    """The decisions of a gate in a loop, as a trace at the root rows."""
    loop = steps.plan.graph[id]
    assert isinstance(loop, Loop)
    space, type = _space_of(steps, id), record.type.with_dtype(Dtype.I64)
    value = _recorded(region, record)
    if record.type.dtype is Dtype.BOOL:
        value = region.node("Cast", [value], to=TensorProto.INT64)
    found = steps.joins.all_turns(region, value, type, space)
    count = steps.sizes.vector(region, [loop.steps], space)
    missing = region.node("Sub", [count, region.node("Shape", [found], start=0, end=1)])
    shape = region.node("Concat", [missing, steps.sizes.vector(region, type.shape, space)], axis=0)
    rest = region.node("ConstantOfShape", [shape], value=np.array([-1], np.int64))
    found = region.node("Concat", [found, rest], axis=0)
    if at := type.turn:
        found = region.node("Transpose", [found], perm=[*range(1, at + 1), 0, *range(at + 1, type.rank + 1)])
    return _at_root(steps, region, found, type.with_turns(loop.steps), space)


def _recorded(region: Region, record: Decisions) -> str:
    """The decisions of all turns, with the axes of the gate behind that of the turns."""
    axes = np.arange(1 + record.type.rank, 1 + record.rank)
    return region.node("Squeeze", [record.value, region.constant(axes)]) if record.beyond else record.value


def _space_of(steps: Steps, id: NodeId) -> SpaceId:
    """The space that a loop stands in."""
    return next(b.space for b in steps.plan.blocks for s in b.steps if isinstance(s, Run) and s.node == id)


def _at_root(steps: Steps, region: Region, value: str, type: TensorType, space: SpaceId) -> tuple[str, TensorType]:
    """A trace at the root rows: -1 where the space that it was made in has none."""
    if space == ROOT:
        return value, type
    unreached = steps.joins.full(region, type, ROOT, -1)
    return steps.joins.write(region, unreached, value, type, [None] * type.rank, space, ROOT), type


def _laid_out(steps: Steps, region: Region, report: GateReport, earlier: Mapping[NodeId, str]) -> str:
    """A gate's decisions at the rows of the batch; where it was not reached -1, of k-of-n -2."""
    slot = report.indices or report.decision
    type = slot.whole(steps.plan.graph).with_dtype(Dtype.I64)
    value = _arms(steps, region, report)
    absent = _UNREACHED if report.indices else -1
    if slot.space != ROOT:
        unreached = steps.joins.full(region, type, ROOT, absent)
        dims = steps.dims(type, ROOT)
        value = steps.joins.write(region, unreached, value, type, dims, slot.space, ROOT, slot.lay)
    if report.reached == ((),):
        return value
    laid = _gate_of(steps, report.gate).type
    terms = [_all(region, "And", [_held(steps, region, earlier, c, laid) for c in term]) for term in report.reached]
    return region.node("Where", [_all(region, "Or", terms), value, _integer(region, absent)])


def _arms(steps: Steps, region: Region, report: GateReport) -> str:
    """The arm that was decided; of k-of-n the indices, -1 in slots that the mask lost."""
    decision = steps.value(region, report.decision)
    if report.indices is None:
        return region.node("Cast", [decision], to=TensorProto.INT64)
    indices = steps.value(region, report.indices)
    selected = region.node("GatherElements", [decision, region.node("Max", [indices, _integer(region, 0)])], axis=-1)
    kept = region.node("And", [selected, region.node("GreaterOrEqual", [indices, _integer(region, 0)])])
    return region.node("Where", [kept, indices, _integer(region, -1)])


def _held(
    steps: Steps,
    region: Region,
    earlier: Mapping[NodeId, str],
    condition: tuple[NodeId, tuple[int, ...], bool],
    of: TensorType,
) -> str:
    """Where an earlier gate's trace has one of some arms, laid along the axes of a trace of type `of`."""
    id, arms, negated = condition
    trace, asked = earlier[id], _gate_of(steps, id)
    found = _all(region, "Or", [region.node("Equal", [trace, _integer(region, arm)]) for arm in arms])
    if asked.kind is GateKind.MANY:
        last = asked.type.rank - 1
        found = any_true(region, found, last)
        if negated:
            lost = any_true(region, region.node("Equal", [trace, _integer(region, _UNREACHED)]), last)
            found = region.node("Not", [region.node("Or", [found, lost])])
    batch = of.batch
    if asked.type.batch is None:
        return found
    if batch is None:
        return any_true(region, found)
    own = asked.type.rank - (asked.kind is GateKind.MANY)
    later = of.rank - own - (batch if own == 1 else 0)
    axes = region.constant(np.arange(own, own + later, dtype=np.int64)) if later else ""
    return region.node("Unsqueeze", [found, axes]) if later else found


def _all(region: Region, op_type: str, parts: Sequence[str]) -> str:
    return reduce(lambda a, b: region.node(op_type, [a, b]), parts)


def _integer(region: Region, value: int) -> str:
    return region.constant(np.array(value, np.int64))


def _gate_of(steps: Steps, id: NodeId) -> Gate:
    gate = steps.plan.graph[id]
    assert isinstance(gate, Gate), "a report is of a gate"
    return gate


def traced_rows(steps: Steps, region: Region, prefix: str = "") -> Iterator[tuple[str, str]]:
    """For each space its name and how many rows it held; with those of the turns of loops, under the loops' names."""
    for space in steps.plan.spaces:
        if space.id != ROOT:
            region.shared.place = Place(f"/trace/{space.name}", "trace")
            yield f"{prefix}{space.name}", _rows(steps, region, space)
    for id, turns in steps.turns.items():
        for record in turns.rows:
            region.shared.place = Place(f"/trace/{record.name}", "trace")
            yield record.name, _counted(steps, region, id, record)
    for id, inner in steps.folded.items():
        loop = steps.plan.graph[id]
        assert isinstance(loop, Loop)
        home = _space_of(steps, id)
        sizes = steps.sizes.vector(region, [Size.symbol(BATCH), loop.steps], home)
        count, taken = region.node("ReduceProd", [sizes], keepdims=0), steps.rows.guard(region, home, ROOT)
        if taken is not None:
            count = region.node("Mul", [count, _flag(region, taken)])
        yield f"{loop.name}.turns", count
        yield from traced_rows(inner, region, f"{loop.name}.")


def _counted(steps: Steps, region: Region, id: NodeId, record: Count) -> str:
    """The rows of a space in all turns of a loop."""
    loop, home = steps.plan.graph[id], _space_of(steps, id)
    assert isinstance(loop, Loop)
    if record.terms:
        masks = [_all(region, "And", [_told(region, steps.turns[id], c) for c in term]) for term in record.terms]
        whether = region.node("Cast", [_all(region, "Or", masks)], to=TensorProto.INT64)
        total = region.node("ReduceSum", [whether], keepdims=0)
    elif record.value:
        total = region.node("ReduceSum", [record.value], keepdims=0)
    else:
        total = steps.sizes.scalar(region, loop.steps, home)
    return region.node("Mul", [total, _count(steps, region, home)]) if record.each else total


def _told(region: Region, turns: Turns, choice: Choice) -> str:
    """In which turns, for which rows, a choice held."""
    for record in turns.gates:
        if record.gate is not None and record.gate[0] == choice.decision.node:
            return holds(region, record.gate[1], _recorded(region, record), choice)
    raise InternalError("a space of a loop asks a gate that is not recorded")


def _count(steps: Steps, region: Region, space: SpaceId) -> str:
    """The rows of a space, a scalar."""
    return region.node("Squeeze", [steps.rows.count(region, space), region.constant(np.array([0], np.int64))])


def _rows(steps: Steps, region: Region, space: Space) -> str:
    count = _count(steps, region, space.id)
    if space.strategy is Strategy.BRANCH:
        count = region.node("Mul", [count, _flag(region, steps.rows.entered(region, space.id))])
    return count


def _flag(region: Region, value: str) -> str:
    """A bool of one element as a number, 0 or 1."""
    return region.node(
        "Reshape", [region.node("Cast", [value], to=TensorProto.INT64), region.constant(np.zeros([0], np.int64))]
    )
