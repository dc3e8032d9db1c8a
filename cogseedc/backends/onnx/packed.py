"""Spells packed scans: a turn per position at which a row is active; a recurrent cell alone is one recurrent layer.

With `many` the number of active positions of a row, `times` those of all rows one after another and `start` where a
row's begin, turn i of a row is at `times[start + i]`. What a row has after each position is what it has after so many
turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from onnx import TensorProto

from cogseedc.backends.onnx.blocks import emit_blocks
from cogseedc.backends.onnx.builder import Region, branch
from cogseedc.backends.onnx.calls import CallSite
from cogseedc.backends.onnx.records import Count, Turns
from cogseedc.backends.onnx.steps import Steps
from cogseedc.backends.onnx.tensors import Dimension, info
from cogseedc.backends.plan.model import ROOT, Slot, SpaceId
from cogseedc.ir import BATCH, Call, Dtype, Input, Loop, NodeId, Output, Size, TensorType, Value, Weight
from cogseedc.ops.recurrent import onnx_recurrence


def emit_packed(
    steps: Steps, region: Region, id: NodeId, node: Loop, given: Sequence[str], space: SpaceId
) -> tuple[str, ...]:
    """Adds the scan to `region`, fed by `given`; names of its outputs. Its record goes to `steps.turns`."""
    return _Packed(steps, region, id, node, given, space).run()


@dataclass(frozen=True, slots=True)
class _Cell:
    """A body that is one recurrent cell."""

    call: Call
    weights: tuple[NodeId | None, ...]


class _Packed:
    """One packed scan, while it is written."""

    def __init__(
        self, steps: Steps, region: Region, id: NodeId, node: Loop, given: Sequence[str], space: SpaceId
    ) -> None:
        self.steps, self.region, self.id, self.node, self.space = steps, region, id, node, space
        self.carries = list(given[: node.carries])
        last = node.carries + len(node.scanned)
        self.captures = given[last:-1]
        self.inputs = [(i, n.type) for i, n in node.body.of(Input)]
        self.types = [type for _, type in self.inputs[: node.carries]]
        self.active = given[-1] if node.active == 1 else region.node("Transpose", [given[-1]], perm=[1, 0])
        flags = region.node("Cast", [self.active], to=TensorProto.INT64)
        one, none = self._ints(1), self._ints(0)
        self.many = region.node("ReduceSum", [flags, one], keepdims=0)
        self.most = region.node("ReduceMax", [region.node("Concat", [self.many, none], axis=0)], keepdims=0)
        self.flags = flags
        places = region.node("NonZero", [self.active])
        self.times = region.node("Gather", [places, region.constant(np.array(1, np.int64))], axis=0)
        self.length = steps.sizes.scalar(region, node.steps, space)
        self.sequences = [
            self._rows_first(value, type, axis)
            for value, (_, type), axis in zip(
                given[node.carries : last], self.inputs[node.carries :], node.scanned, strict=False
            )
        ]

    @cached_property
    def start(self) -> str:
        """Where the active positions of each row begin among those of all."""
        return self.region.node("CumSum", [self.many, self.region.constant(np.array(0, np.int64))], exclusive=1)

    def _ints(self, *values: int) -> str:
        return self.region.constant(np.array(values, np.int64))

    def _rows_first(self, sequence: str, element: TensorType, axis: int) -> str:
        """The sequence with rows and positions as one axis, rows first."""
        assert element.batch is not None, "a scan is packed whose elements have rows"
        region = self.region
        batch = element.batch + (axis <= element.batch)
        order = [batch, axis, *(i for i in range(element.rank + 1) if i not in (batch, axis))]
        turned = sequence if order == sorted(order) else region.node("Transpose", [sequence], perm=order)
        return self._flat(turned, [self._length, Size.symbol(BATCH)], element)

    @property
    def _length(self) -> Size:
        return self.node.steps

    def _flat(self, value: str, leading: Sequence[Size], type: TensorType) -> str:
        """A value of some leading sizes, then what `type` has beside its rows, with the leading ones as one."""
        count = self.region.node("ReduceProd", [self.steps.sizes.vector(self.region, leading, self.space)], keepdims=1)
        return self._rows_of(value, count, type)

    def _rows_of(self, value: str, count: str, type: TensorType) -> str:
        rest = [size for i, size in enumerate(type.shape) if i != type.batch]
        sizes = [count, self.steps.sizes.vector(self.region, rest, self.space)] if rest else [count]
        shape = self.region.node("Concat", sizes, axis=0)
        return self.region.node("Reshape", [value, shape], allowzero=1)

    def run(self) -> tuple[str, ...]:
        node = self.node
        cell = _cell(node)
        finals, states = self._layer(cell) if cell is not None else self._loop()
        self.steps.turns[self.id] = Turns(rows=(Count(f"{node.name}.turns", self.many),))
        yields = [
            self._laid(states[i], self.types[carry], axis)
            for i, (carry, axis) in enumerate(zip(node.echoes, node.stacked, strict=True))
        ]
        return (*yields, *finals)

    def _laid(self, states: str, type: TensorType, axis: int) -> str:
        """What rows have after each position; `states` after no, one, two, .. turns, [turns + 1, ...]."""
        region = self.region
        assert type.batch is not None
        after = region.node("CumSum", [self.flags, region.constant(np.array(1, np.int64))])
        laid = self._states_at(states, type, after)
        rest = [i for i in range(type.rank) if i != type.batch]
        now = ["rows", "turns", *rest]
        wanted: list[object] = list(range(type.rank))
        wanted[type.batch] = "rows"
        wanted.insert(axis, "turns")
        order = [now.index(where) for where in wanted]
        return laid if order == sorted(order) else region.node("Transpose", [laid], perm=order)

    def _states_at(self, states: str, type: TensorType, turns: str) -> str:
        """For each row, and each of its entries in `turns` [rows, entries], the state after so many turns; rows
        first."""
        region, batch = self.region, type.batch
        assert batch is not None
        order = [0, batch + 1, *(i + 1 for i in range(type.rank) if i != batch)]
        turned = states if order == sorted(order) else region.node("Transpose", [states], perm=order)
        count = self.steps.rows.count(region, self.space)
        turned_count = region.node("Mul", [region.node("Shape", [states], start=0, end=1), count])
        flat = self._rows_of(turned, turned_count, type)
        row = region.node("Unsqueeze", [self._row_numbers(region, count), self._ints(1)])
        place = region.node("Add", [region.node("Mul", [turns, count]), row])
        return region.node("Gather", [flat, place], axis=0)

    def _row_numbers(self, region: Region, count: str) -> str:
        """0, 1, .. for all rows."""
        ends = [region.constant(np.array(n, np.int64)) for n in (0, 1)]
        front = region.constant(np.array([0], np.int64))
        return region.node("Range", [ends[0], region.node("Squeeze", [count, front]), ends[1]])

    # Any body

    def _loop(self) -> tuple[list[str], list[str]]:
        """One `Loop`: what the carries are after it, and the states of those that are yielded."""
        region, node, steps = self.region, self.node, self.steps
        place = region.shared.place
        body = Region(region.shared, region)
        turn, going = body.declare("turn"), body.declare("going")
        inside = [body.declare("carried") for _ in self.types]
        flat = body.constant(np.array([-1], np.int64))
        rows = body.node("Reshape", [body.node("NonZero", [body.node("Greater", [self.many, turn])]), flat])
        begin = body.node("Gather", [self.start, rows], axis=0)
        at = body.node("Gather", [self.times, body.node("Add", [begin, turn])], axis=0)
        column = body.node("Unsqueeze", [rows, flat])
        place_of = body.node("Add", [body.node("Mul", [rows, self.length]), at])
        names: dict[NodeId, str] = {}
        for i, (id, type) in enumerate(self.inputs):
            if i < node.carries:
                names[id] = body.node("Gather", [inside[i], rows], axis=type.batch)
            elif i < node.carries + len(self.sequences):
                value = body.node("Gather", [self.sequences[i - node.carries], place_of], axis=0)
                order = [*range(1, (type.batch or 0) + 1), 0, *range((type.batch or 0) + 1, type.rank)]
                names[id] = body.node("Transpose", [value], perm=order) if type.batch else value
            else:
                value = self.captures[i - node.carries - len(self.sequences)]
                names[id] = value if type.batch is None else body.node("Gather", [value, rows], axis=type.batch)
        inner = steps.nested(self.id, names, f"N.{node.name}", self.space)
        emit_blocks(inner, body)
        region.shared.place = place
        following = [
            steps.joins.put(body, old, column, inner.value(body, slot), type)
            for old, (_, slot), type in zip(inside, steps.plan.loops[self.id].body.outputs, self.types, strict=True)
        ]
        dims: list[list[Dimension]] = [steps.dims(type, self.space) for type in self.types]
        pairs = list(zip(self.types, dims, strict=True))
        inputs = [info(turn, Dtype.I64, []), info(going, Dtype.BOOL, [])]
        inputs += [info(n, t.dtype, d) for n, (t, d) in zip(inside, pairs, strict=True)]
        results = [(name, *pair) for name, pair in zip(following, pairs, strict=True)]
        results += [results[carry] for carry in node.echoes]
        given = body.results([going, *(name for name, _, _ in results)])
        outputs = [info(given[0], Dtype.BOOL, [])]
        outputs += [info(name, t.dtype, d) for name, (_, t, d) in zip(given[1:], results, strict=True)]
        start = region.constant(np.array(True))
        found = region.nodes_of("Loop", [self.most, start, *self.carries], len(results))
        region.attach("body", body, inputs, outputs)
        finals, turns = list(found[: node.carries]), found[node.carries :]
        return finals, [self._with_first(value, carry) for value, carry in zip(turns, node.echoes, strict=True)]

    def _with_first(self, turns: str, carry: int) -> str:
        """The states after each turn, behind the one before any."""
        region, type = self.region, self.types[carry]
        first = region.node("Unsqueeze", [self.carries[carry], self._ints(0)])
        whole = self.steps.joins.all_turns(region, turns, type, self.space)
        return region.node("Concat", [first, whole], axis=0)

    # A recurrent cell

    def _layer(self, cell: _Cell) -> tuple[list[str], list[str]]:
        """One recurrent layer over the active positions of each row; where there is none at all, nothing is run."""
        region, echoes = self.region, self.node.echoes
        some = region.node("Greater", [self.most, region.constant(np.array(0, np.int64))])
        then, other = Region(region.shared, region), Region(region.shared, region)
        hidden, ran = self._ran(then, cell)
        type = self.types[0]
        kinds: list[tuple[Dtype, Sequence[Dimension]]] = [(t.dtype, [None] * 2) for t in self.types]
        if not echoes:
            return [*branch(region, some, (then, other), (ran, self.carries), kinds)], []
        shape = self.steps.sizes.vector(other, type.shape, self.space)
        none = other.node("Concat", [other.constant(np.array([0], np.int64)), shape], axis=0)
        absent = other.node("ConstantOfShape", [none], value=np.zeros([1], np.float32))
        given = ([hidden, *ran], [absent, *self.carries])
        turns, *finals = branch(region, some, (then, other), given, [(type.dtype, [None] * 3), *kinds])
        states = self._with_first(turns, 0)
        return finals, [states for _ in echoes]

    def _ran(self, region: Region, cell: _Cell) -> tuple[str, list[str]]:
        """The hidden states after each turn [turns, rows, hidden], and the last states."""
        steps, alone = self.steps, self.steps.batch_one
        behind, front = region.constant(np.array([1], np.int64)), region.constant(np.array([0], np.int64))
        place = region.node("Unsqueeze", [self.times, behind]) if alone else self._turns_of_rows(region)
        x = region.node("Gather", [self.sequences[0], place], axis=0)
        names = {i: "" for i, _ in self.inputs}
        inner = steps.nested(self.id, names, None, self.space)
        weights = [None if w is None else inner.value(region, Slot(w, 0, ROOT)) for w in cell.weights]
        site = CallSite(region, steps.sizes, self.space, cell.call, (), ())
        lengths = "" if alone else region.node("Cast", [self.many], to=TensorProto.INT32)
        states = [region.node("Unsqueeze", [value, front]) for value in self.carries]
        found = onnx_recurrence(site, cell.call.op.removesuffix("_cell"), x, weights, states, lengths)
        ended = [region.node("Squeeze", [last, front]) for last in found[1:]]
        if not alone:
            zero = region.constant(np.array(0, np.int64))
            ran = region.node("Unsqueeze", [region.node("Greater", [self.many, zero]), behind])
            ended = [region.node("Where", [ran, *pair]) for pair in zip(ended, self.carries, strict=True)]
        return region.node("Squeeze", [found[0], behind]) if self.node.echoes else "", ended

    def _turns_of_rows(self, region: Region) -> str:
        """Where each turn of each row [turns, rows] lies in the sequences; where a row has no such turn, anywhere."""
        bounds = [region.constant(np.array(n, np.int64)) for n in (0, 1)]
        turn = region.node("Range", [bounds[0], self.most, bounds[1]])
        last = region.node("Sub", [region.node("Size", [self.times]), bounds[1]])
        behind, front = region.constant(np.array([1], np.int64)), region.constant(np.array([0], np.int64))
        begin = region.node("Unsqueeze", [self.start, front])
        place = region.node("Add", [region.node("Unsqueeze", [turn, behind]), begin])
        at = region.node("Gather", [self.times, region.node("Min", [place, last])], axis=0)
        rows = self._row_numbers(region, region.node("Shape", [self.many]))
        return region.node("Add", [at, region.node("Mul", [rows, self.length])])


def _cell(node: Loop) -> _Cell | None:
    """The cell that a body consists of; None when it does anything else, or yields an LSTM's cell."""
    body = node.body
    calls = [(id, n) for id, n in body.nodes() if not isinstance(n, (Input, Output, Weight))]
    if len(calls) != 1 or len(node.scanned) != 1 or any(node.echoes):
        return None
    id, call = calls[0]
    if not isinstance(call, Call) or call.op not in ("gru_cell", "lstm_cell") or node.carries != len(call.types):
        return None
    inputs = [i for i, n in body.of(Input)]
    outputs = [i for i, n in body.of(Output)]
    operands = body.feeds(id)
    states = [Value(i) for i in inputs[: node.carries]]
    if list(operands[: node.carries + 1]) != [Value(inputs[node.carries]), *states] or len(inputs) != node.carries + 1:
        return None
    if [body.feeds(o)[0] for o in outputs] != [Value(id, port) for port in range(node.carries)]:
        return None
    type = body.type(Value(inputs[node.carries]))
    weights = tuple(None if v is None else v.node for v in operands[node.carries + 1 :])
    plain = type.rank == 2 and type.batch == 0 and type.dtype is Dtype.F32
    return _Cell(call, weights) if plain and all(w is None or isinstance(body[w], Weight) for w in weights) else None
