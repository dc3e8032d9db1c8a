"""Spells loops: one `Loop` of the standard per loop of the program, its body a region with steps of its own; or, where
all rows take all turns of a scan whose number is known, one `Scan`, which is quicker: it hands out elements without a
copy. ONNX Runtime's refuses to make no turn.

Carries go from turn to turn at all rows. Where rows leave by themselves, the index of those that still run goes along:
a turn gathers their values, computes, and writes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from onnx import ValueInfoProto

from cogseedc.backends.onnx.blocks import emit_blocks
from cogseedc.backends.onnx.builder import Region, branch
from cogseedc.backends.onnx.ledger import SWITCH, traced
from cogseedc.backends.onnx.merges import laid, where
from cogseedc.backends.onnx.packed import emit_packed
from cogseedc.backends.onnx.recording import plain_record
from cogseedc.backends.onnx.records import Count, Decisions, Turns
from cogseedc.backends.onnx.rows import any_true
from cogseedc.backends.onnx.steps import Steps
from cogseedc.backends.onnx.tensors import Dimension, info
from cogseedc.backends.onnx.trace import traced_gates, traced_rows
from cogseedc.backends.plan.model import ROOT, SpaceId
from cogseedc.ir import BATCH, BATCH_SIZE, Axis, Dtype, Input, Loop, LoopKind, NodeId, Size, TensorType, Value

_ROWS = TensorType(Dtype.I64, (Axis("N", BATCH_SIZE),))


@dataclass
class _Carried:
    """A value that goes from turn to turn: what it starts as, its name inside, what follows it."""

    initial: str
    inside: str
    dtype: Dtype
    dims: Sequence[Dimension]
    following: str = ""


def emit_loop(steps: Steps, region: Region, id: NodeId, given: Sequence[str], space: SpaceId) -> tuple[str, ...]:
    """Adds the loop to `region`, fed by `given`; names of its outputs. Its record goes to `steps.turns`."""
    node = steps.plan.graph[id]
    assert isinstance(node, Loop)
    body = steps.plan.loops[id]
    quiet = not any(plan.gates for plan in body.body.nested())
    if body.folded and (quiet or region is steps.region):  # from inside an If, the trace would not see the decisions
        return _folded(steps, region, id, node, given, space)
    if node.active is not None:
        return emit_packed(steps, region, id, node, given, space)
    return _Emission(steps, region, id, node, given, space).run()


def _folded(
    steps: Steps, region: Region, id: NodeId, node: Loop, given: Sequence[str], space: SpaceId
) -> tuple[str, ...]:
    """All turns at once: each row and turn is a row of the body."""
    plan = steps.plan.loops[id].body
    inputs = [(i, n.type) for i, n in plan.graph.of(Input)]
    names: dict[NodeId, str] = {}
    for place, (input, type) in enumerate(inputs):
        names[input] = given[place]
        if place < len(node.scanned):
            assert type.batch is not None
            value = _moved(region, given[place], type.rank + 1, node.scanned[place], type.batch + 1)
            names[input] = region.node("Reshape", [value, _shape(steps, region, type, node, space)], allowzero=1)
    place_ = region.shared.place
    inner = steps.nested(id, names, f"N.{node.name}", space, folded=True)
    emit_blocks(inner, region)
    region.shared.place = place_
    steps.folded[id] = inner
    results: list[str] = []
    for (_, slot), axis in zip(plan.outputs, node.stacked, strict=True):
        type = inner.type(slot)
        assert type.batch is not None
        apart = steps.joins.apart(region, inner.value(region, slot), type, node.steps, space)
        results.append(_moved(region, apart, type.rank + 1, type.batch + 1, axis))
    return tuple(results)


def _moved(region: Region, value: str, rank: int, source: int, target: int) -> str:
    """The value with one axis moved to another place."""
    if source == target:
        return value
    order = [i for i in range(rank) if i != source]
    order.insert(target, source)
    return region.node("Transpose", [value], perm=order)


def _shape(steps: Steps, region: Region, type: TensorType, node: Loop, space: SpaceId) -> str:
    """The shape of a value of `type` whose rows are rows and turns."""
    count = steps.sizes.vector(region, [Size.symbol(BATCH), node.steps], space)
    rows = region.node("ReduceProd", [count], keepdims=1)
    return region.node(
        "Concat",
        [rows if s == BATCH_SIZE else steps.sizes.vector(region, [s], space) for s in type.shape],
        axis=0,
    )


class _Emission:
    """One loop, while it is written."""

    def __init__(
        self, steps: Steps, region: Region, id: NodeId, node: Loop, given: Sequence[str], space: SpaceId
    ) -> None:
        self.steps, self.region, self.id, self.node, self.space = steps, region, id, node, space
        self.given = given
        self.plan = steps.plan.loops[id]
        body = self.plan.body
        self.inputs = [(i, n.type) for i, n in body.graph.of(Input)]
        types = [body.graph.type(Value(slot.node, slot.port)) for _, slot in body.outputs]
        self.types, self.stop_type = types[: len(node.types)], types[-1]
        """Of the carries, then of the yields, in one turn."""
        self.body = Region(region.shared, region)
        self.scans = bool(node.scanned and node.steps.value) and not node.halts
        self.elements: list[ValueInfoProto] = []
        """What a `Scan` hands to a turn."""
        if not self.scans:
            self.turn, self.going = self.body.declare("turn"), self.body.declare("going")
        self.carried: list[_Carried] = []
        self.scanned: list[tuple[str, Dtype, Sequence[Dimension]]] = []
        """What each turn gives and all turns together are."""

    def run(self) -> tuple[str, ...]:
        node, steps = self.node, self.steps
        place = self.region.shared.place
        first = self.types[: node.carries]
        held = [self._carry(name, type) for name, type in zip(self.given, first, strict=False)]
        if node.halts or node.kind is LoopKind.REPEAT:
            yields = self.types[node.carries :]
            held += [self._carry(steps.joins.full(self.region, type, self.space), type) for type in yields]
        running = self._carry(self._all_running(), self.stop_type) if node.halts and self.plan.holds else None
        rows = self._rows() if self.plan.compact else None
        inside = None if rows is None else rows.inside
        inputs = self._inputs(held, inside)
        label: Dimension = f"N.{node.name}" if self.plan.compact else steps.dims(_ROWS, self.space)[0]
        inner = steps.nested(self.id, inputs, label, self.space)
        emit_blocks(inner, self.body)
        self.region.shared.place = place
        results = [inner.value(self.body, slot) for _, slot in self.plan.body.outputs]
        stop = results[-1] if node.halts else None
        mask = None if running is None else self._at(running.inside, self.stop_type, inside)
        for i, (value, type) in enumerate(zip(results, self.types, strict=False)):
            if i < len(held):
                held[i].following = self._followed(value, type, i, held[i].inside, mask, inside)
            if i >= node.carries and node.kind is LoopKind.SCAN:
                self.scanned.append(
                    (held[i].following if i < len(held) else value, type.dtype, steps.dims(type, self.space))
                )
        go = self._go(stop, mask, running, rows)
        record = self._record(inner, inside, mask)
        self.region.shared.place = place
        return self._finished(self._loop(go), len(held), record)

    # What goes in

    def _carry(self, initial: str, type: TensorType) -> _Carried:
        dims = self.steps.dims(type, self.space)
        found = _Carried(initial, self.body.declare("carried"), type.dtype, dims)
        self.carried.append(found)
        return found

    def _all_running(self) -> str:
        return self.steps.joins.full(self.region, self.stop_type, self.space, 1)

    def _rows(self) -> _Carried:
        """The index of the rows that run: at first all."""
        region = self.region
        count = self.steps.rows.count(region, self.space)
        size = region.node("Squeeze", [count, region.constant(np.array([0], np.int64))])
        ends = [region.constant(np.array(n, np.int64)) for n in (0, 1)]
        found = _Carried(region.node("Range", [ends[0], size, ends[1]]), self.body.declare("rows"), Dtype.I64, [None])
        self.carried.append(found)
        return found

    def _inputs(self, held: Sequence[_Carried], rows: str | None) -> dict[NodeId, str]:
        """What the body's inputs are in a turn."""
        node, found = self.node, dict[NodeId, str]()
        for place, (id, type) in enumerate(self.inputs):
            if place < node.carries:
                value = held[place].inside
            else:
                value = self.given[place]
                if place < node.carries + len(node.scanned):
                    value = self._element(value, node.scanned[place - node.carries], type)
            found[id] = self._at(value, type, rows)
        return found

    def _element(self, sequence: str, axis: int, type: TensorType) -> str:
        """What a turn has of a sequence."""
        if not self.scans:
            return self.body.node("Gather", [sequence, self.turn], axis=axis)
        self.elements.append(info(self.body.declare("element"), type.dtype, self.steps.dims(type, self.space)))
        return self.elements[-1].name

    def _at(self, value: str, type: TensorType, rows: str | None) -> str:
        """A value at the rows that run."""
        if rows is None or type.batch is None:
            return value
        return self.body.node("Gather", [value, rows], axis=type.batch)

    # What comes out of a turn

    def _followed(self, value: str, type: TensorType, port: int, old: str, mask: str | None, rows: str | None) -> str:
        """What a value is after the turn, at all rows: an index that had stopped has its old one."""
        if mask is not None:
            ran = laid(self.body, mask, self.node.held[port], type.rank)
            value = where(self.body, ran, value, self._at(old, type, rows), type.dtype)
        if rows is None or type.batch is None:
            return value
        return self.steps.joins.put(self.body, old, self._column(rows), value, type)

    def _column(self, rows: str) -> str:
        key = ("scatter", rows)
        last = self.body.constant(np.array([-1, 1], np.int64))
        return self.body.local(key) or self.body.keep(key, self.body.node("Reshape", [rows, last]))

    def _go(self, stop: str | None, mask: str | None, running: _Carried | None, rows: _Carried | None) -> str | None:
        """Whether a turn follows, if that is asked; says what the running indices and rows are in it."""
        body = self.body
        if stop is None:
            return None if self.scans else self.going
        stays = body.node("Not", [stop])
        if running is not None:
            assert mask is not None
            stays = body.node("And", [mask, stays])
            running.following = stays
            if rows is not None:
                column = self._column(rows.inside)
                running.following = self.steps.joins.put(body, running.inside, column, stays, self.stop_type)
        if rows is None:
            return any_true(body, stays) if self.stop_type.rank else stays
        others = [i for i in range(self.stop_type.rank) if i != self.stop_type.batch]
        for axis in reversed(others):
            stays = any_true(body, stays, axis)
        rows.following = body.node("Compress", [rows.inside, stays], axis=0)
        zero = body.constant(np.array(0, np.int64))
        return body.node("Greater", [body.node("Size", [rows.following]), zero])

    def _record(self, inner: Steps, rows: str | None, mask: str | None) -> Turns:
        """What was decided in a turn, for all rows, under the names that the body has for it."""
        if not self.steps.traces:
            return Turns()
        plain = None if self.node.halts else plain_record(inner, f"{self.node.name}.")
        found = self._computed(inner, rows, mask) if plain is None else plain
        self.scanned += [(record.value, record.dtype, [None] * record.rank) for record in found.kept()]
        return found

    def _computed(self, inner: Steps, rows: str | None, mask: str | None) -> Turns:
        """A record that takes operations: made where a trace is asked for."""
        then = traced(Region(self.body.shared, self.body, alone=True))
        other = Region(self.body.shared, self.body)
        gates = [
            Decisions(name, self._seen(then, value, type, rows, mask), type)
            for name, value, type in traced_gates(inner, then)
        ]
        counts = [Count(name, value) for name, value in traced_rows(inner, then, f"{self.node.name}.")]
        if self.node.halts and self._rowed():
            one = then.constant(np.array([0], np.int64))
            counts.insert(0, Count(self._name(), then.node("Squeeze", [inner.rows.count(then, ROOT), one])))
        found = Turns(tuple(gates), tuple(counts))
        kept = found.kept()
        if not kept:
            return found
        absent = [other.constant(np.full([0] * record.rank, -1, np.int64)) for record in kept]
        kinds: list[tuple[Dtype, Sequence[Dimension]]] = [(Dtype.I64, [None] * record.rank) for record in kept]
        return found.named(branch(self.body, SWITCH, (then, other), ([r.value for r in kept], absent), kinds))

    def _turns(self) -> tuple[Count, ...]:
        """How many rows ran the turns of a loop that none leaves: a value only where the loop may not be run at all."""
        if self.node.halts or not self.steps.traces or not self._rowed():
            return ()
        always = self.region is self.steps.region
        value = "" if always else self.steps.sizes.vector(self.region, [self.node.steps], self.space)
        return (Count(self._name(), value, each=True),)

    def _name(self) -> str:
        return f"{self.node.name}.turns"

    def _rowed(self) -> bool:
        return any(type.batch is not None for _, type in self.inputs)

    def _seen(self, region: Region, value: str, type: TensorType, rows: str | None, mask: str | None) -> str:
        """A decision at all rows: -1 where a row did not run the turn."""
        if type.batch is None or (rows is None and mask is None):
            return value
        traced = type.with_dtype(Dtype.I64)
        if rows is not None:
            whole = self.steps.joins.full(region, traced, self.space, -1)
            return self.steps.joins.put(region, whole, self._column(rows), value, traced)
        assert mask is not None
        batch = self.stop_type.batch
        if batch is None:
            return value
        for axis in reversed([i for i in range(self.stop_type.rank) if i != batch]):
            mask = any_true(region, mask, axis)
        ran = laid(region, mask, (type.batch,), type.rank)
        return region.node("Where", [ran, value, region.constant(np.array(-1, np.int64))])

    # The node

    def _loop(self, go: str | None) -> list[str]:
        """Adds the node; names of what goes on after the last turn, then of what all turns gave."""
        region, body, node = self.region, self.body, self.node
        given = [(c.following, c.dtype, c.dims) for c in self.carried] + self.scanned
        if go is not None:
            given.insert(0, (go, Dtype.BOOL, []))
        names = body.results([name for name, _, _ in given])
        outputs = [info(name, dtype, dims) for name, (_, dtype, dims) in zip(names, given, strict=True)]
        initial = [c.initial for c in self.carried]
        if go is None:
            fed = [*initial, *self.given[node.carries : node.carries + len(node.scanned)]]
            axes = list(node.scanned)
            found = region.nodes_of("Scan", fed, len(given), num_scan_inputs=len(axes), scan_input_axes=axes)
        else:
            most = self.steps.sizes.scalar(region, node.steps, self.space)
            found = region.nodes_of("Loop", [most, region.constant(np.array(True)), *initial], len(given) - 1)
        region.attach("body", body, self._declared(), outputs)
        for name, value in zip(found, self.carried, strict=False):
            region.describe(name, value.dtype, value.dims)
        return list(found)

    def _declared(self) -> list[ValueInfoProto]:
        """The inputs of the body."""
        carried = [info(c.inside, c.dtype, c.dims) for c in self.carried]
        if self.scans:
            return [*carried, *self.elements]
        return [info(self.turn, Dtype.I64, []), info(self.going, Dtype.BOOL, []), *carried]

    def _finished(self, names: Sequence[str], held: int, record: Turns) -> tuple[str, ...]:
        node = self.node
        all_turns = list(names[len(self.carried) :])
        yields = list(names[node.carries : held])
        if node.kind is LoopKind.SCAN:
            last = [*yields, *([""] * node.yields)]
            types = self.types[node.carries :]
            yields = [self._stacked(all_turns.pop(0), last[i], type, i) for i, type in enumerate(types)]
        record = record.named(all_turns)
        self.steps.turns[self.id] = replace(record, rows=(*self._turns(), *record.rows))
        return (*yields, *names[: node.carries])

    def _stacked(self, turns: str, last: str, type: TensorType, port: int) -> str:
        """The yields of all turns: what would follow the last one is like it."""
        region, steps = self.region, self.steps
        whole = steps.joins.all_turns(region, turns, type, self.space)
        if last:
            zero = region.constant(np.array([0], np.int64))
            count = steps.sizes.vector(region, [self.node.steps], self.space)
            missing = region.node("Sub", [count, region.node("Shape", [turns], start=0, end=1)])
            shape = region.node("Concat", [missing, steps.sizes.vector(region, type.shape, self.space)], axis=0)
            rest = region.node("Expand", [region.node("Unsqueeze", [last, zero]), shape])
            whole = region.node("Concat", [whole, rest], axis=0)
        at = self.node.stacked[port]
        order = [*range(1, at + 1), 0, *range(at + 1, type.rank + 1)]
        return region.node("Transpose", [whole], perm=order) if at else whole
