"""Spells the single steps of a plan: calls of operations, gates, merges, moves between row spaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import assert_never

import numpy as np

from cogseedc.backends.onnx.builder import Place, Region, tag
from cogseedc.backends.onnx.calls import CallSite, Folding, literal
from cogseedc.backends.onnx.crossing import crossing
from cogseedc.backends.onnx.fusion import fuse
from cogseedc.backends.onnx.groups import Group
from cogseedc.backends.onnx.joins import Joins, runs_whole
from cogseedc.backends.onnx.ledger import Entry, read
from cogseedc.backends.onnx.merges import aligned, any_of, merge, weighted, where
from cogseedc.backends.onnx.records import Turns
from cogseedc.backends.onnx.rows import Rows
from cogseedc.backends.onnx.sizes import Sizes
from cogseedc.backends.onnx.tensors import Dimension
from cogseedc.backends.onnx.together import emit_together, together, weights_of
from cogseedc.backends.onnx.weights import Weights
from cogseedc.backends.plan.model import (
    ROOT,
    Accumulate,
    Enter,
    Join,
    Picked,
    Plan,
    Run,
    Slot,
    SpaceId,
    Spread,
    Step,
    Strategy,
    Take,
    Tiled,
    Write,
    at_positions,
)
from cogseedc.diagnostics import InternalError
from cogseedc.ir import (
    BATCH,
    BATCH_SIZE,
    Call,
    Constant,
    Gate,
    GateKind,
    Input,
    Knob,
    Loop,
    Merge,
    MergeMode,
    Node,
    NodeId,
    OpSpec,
    TensorType,
    Value,
)

Loops = Callable[["Steps", Region, NodeId, Sequence[str], SpaceId], tuple[str, ...]]
"""Spells a loop: the steps and the region that hold it, its node, operands, the space that it stands in."""
PickedSteps = Callable[["Steps", Region, Picked, SpaceId], str]
"""Spells a step on chosen channels: the steps and the region that hold it, and the space that it stands in."""


class Steps:
    """The steps of one plan, and the names of the slots that have been computed."""

    def __init__(
        self,
        plan: Plan,
        ops: Mapping[str, OpSpec],
        weights: Weights,
        loops: Loops,
        channels: PickedSteps,
        *,
        batch_one: bool,
        waits: bool,
        traces: bool,
        inputs: Mapping[NodeId, str],
        around: tuple[Steps, SpaceId] | None = None,
        root: Dimension = None,
    ) -> None:
        """`inputs` are the names of the inputs and knobs. Of a loop's body: the steps and the space `around` it, and
        the name that the number of rows of its `root` has in types."""
        self.plan, self.ops, self.weights, self.loops, self.channels = plan, ops, weights, loops, channels
        self.batch_one, self.waits, self.traces, self.inputs = batch_one, waits, traces, inputs
        self.root = root
        outer = None if around is None else around[0]
        count = None if around is None else partial(_rows_around, *around)
        self.noted: dict[Slot, Entry] = {}
        """What only the trace reads of a nest."""
        self.rows = Rows(plan, self.value, _batch(plan, inputs), batch_one, waits, count, self.asked)
        self.sizes: Sizes = Sizes(_symbols(plan, inputs), self.rows.count, outer.sizes if outer else None)
        outputs, told = [slot for _, slot in plan.outputs], [*slots(plan)] if traces else []
        self._unmoved = weights_of(plan, self.rows.groups)
        """Weights of arms that are joined at once."""
        self.fusion = fuse(plan, [*outputs, *told], self._unmoved)
        self.crossing = crossing(plan, self.fusion, outputs, told)
        self.rows.within_nests = self.crossing.entered
        self.nests = {nest.first: number for number, nest in enumerate(plan.nests)}
        """By the position of their first block."""
        self.values: dict[Slot, str] = {}
        self._beyond: dict[Slot, int] = {}
        self.raw: dict[Slot, str] = {}
        """Decisions of one sample, with axes of size one that the gate does not have: an If takes them so."""
        self._spread: dict[Slot, Slot] = {}
        """What only lays such a decision out, and what it lays out."""
        self.joins = Joins(self.rows, self.sizes)
        self.turns: dict[NodeId, Turns] = {}
        """What loops recorded."""
        self.folded: dict[NodeId, Steps] = {}
        """Loops of which all turns are run at once: the steps of their bodies, whose rows are rows and turns."""
        self.region: Region | None = None
        """The region that the trace is made from."""
        self._bodies: list[Steps] = []
        self.running: dict[Slot, str] = {}
        """Joins that are being written, by their output."""

    def nested(
        self, id: NodeId, inputs: Mapping[NodeId, str], root: Dimension, space: SpaceId, folded: bool = False
    ) -> Steps:
        """The steps of a loop's body; the loop stands in `space`. `folded`: a row and a turn is a row of the body."""
        body = self.plan.loops[id].body
        weights = Weights(
            body, self.weights.arrays, self.weights.names, Folding(body.graph, self.ops, self.weights.arrays)
        )
        found = Steps(
            body,
            self.ops,
            weights,
            self.loops,
            self.channels,
            batch_one=self.batch_one and not folded,
            waits=self.waits,
            traces=self.traces,
            inputs=inputs,
            around=(self, space),
            root=root,
        )
        self._bodies.append(found)  # what regions remember is known by their identity
        return found

    def type(self, slot: Slot) -> TensorType:
        return slot.type(self.plan.graph)

    def dims(self, type: TensorType, space: SpaceId, open: bool = False) -> list[Dimension]:
        """Dimensions for ONNX. `open`: the value may have no row, because its block was not run."""
        while space != ROOT and not open and self.rows.space(space).strategy is Strategy.BRANCH:
            parent = self.rows.space(space).parent
            assert parent is not None
            space = parent
        rows: Dimension = f"N.{self.rows.space(space).name}" if space != ROOT else 1 if self.batch_one else self.root
        return [rows if s == BATCH_SIZE else s.value if s.value is not None else str(s) for s in type.shape]

    def value(self, region: Region, slot: Slot) -> str:
        """Name of a slot's value, seen from `region`; what is known or the same everywhere is found without a move."""
        found = self.values.get(slot)
        if found is not None:
            return found
        if slot in self.noted:
            return read(region, self.noted[slot], self.type(slot))
        if slot in self.raw:
            key = ("laid out", self.raw[slot])
            shape = region.constant(np.ones([self.type(slot).rank], np.int64))
            return region.find(key) or region.keep(key, region.node("Reshape", [self.raw[slot], shape]))
        if self.weights.fixed(slot.node):
            return self.weights.initializer(region, slot.node, slot.port)
        if self.weights.late(slot.node):
            return self._late(region, slot)
        node = self.plan.graph[slot.node]
        if isinstance(node, Constant):
            return region.constant(literal(node))
        if isinstance(node, Input | Knob) and (slot.space == ROOT or self.type(slot).batch is None):
            return self.inputs[slot.node]
        return self._inherited(slot)

    def asked(self, region: Region, decision: Slot) -> str:
        """The one element of a decision, of any rank."""
        return self.raw.get(decision) or self.value(region, decision)

    def beyond(self, decision: Slot) -> int:
        """How many axes more than the gate it has there."""
        return self._beyond[decision] if decision in self.raw else 0

    def _late(self, region: Region, slot: Slot) -> str:
        """A weight's integers as real numbers, made in the region that reads them: only there a kernel fuses them."""
        key = ("late", slot.node, slot.port)
        found = region.local(key)
        if found is not None:
            return found
        call = self.plan.graph[slot.node]
        assert isinstance(call, Call)
        operands = self.plan.graph.wiring().operands(slot.node)
        slots = [None if v is None else Slot(v.node, v.port, ROOT) for v in operands]
        args = [self.value(region, s) if s else "" for s in slots]
        inputs = [self.type(s) if s else None for s in slots]
        result = self.ops[call.op].onnx(CallSite(region, self.sizes, slot.space, call, args, inputs))
        return region.keep(key, str(result))

    def _inherited(self, slot: Slot) -> str:
        """A value that an ancestor computed and that needs no gather here."""
        space = self.rows.space(slot.space)
        while space.parent is not None:
            if space.strategy is Strategy.COMPACT and self.type(slot).batch is not None:
                break
            lay = slot.lay if self.rows.space(space.parent).grid else ()
            found = self.values.get(Slot(slot.node, slot.port, space.parent, lay))
            if found is not None:
                return found
            space = self.rows.space(space.parent)
        raise InternalError(f"the plan reads {slot} before it is computed")

    def emit(self, region: Region, step: Step, space: SpaceId) -> None:
        region.shared.place = self._place(step)
        match step:
            case Run():
                self._run(region, step, space)
            case Enter():
                self.rows.enter(region, self.rows.space(step.space), region.shared.place, region is self.region)
            case Take(source=source, target=target):
                if target not in self._unmoved and not self._known(source.node):
                    value = self.value(region, source)
                    moved = self.joins.take(region, value, self.type(source), step)
                    self._define(region, target, moved, value)
            case Spread(source=source, target=target):
                self._define(region, target, self.spread(region, source, target))
            case Join():
                self._define(region, step.output, self._join(region, step))
            case Accumulate():
                self._define(region, step.output, self._accumulate(region, step))
            case Picked():
                self._define(region, step.output, self.channels(self, region, step, space))
            case Tiled():
                raise InternalError("tiles are for torch")
            case _:
                assert_never(step)

    def _place(self, step: Step) -> Place:
        match step:
            case Run(node=id) | Join(node=id) | Accumulate(node=id) | Tiled(node=id) | Picked(node=id):
                return place_of(self.plan.graph[id], id)
            case Enter(space=id):
                return Place(f"/rows/{self.rows.space(id).name}", f"rows/{self.rows.space(id).name}")
            case Take(target=slot) | Spread(target=slot):
                return Place(f"/rows/{self.rows.space(slot.space).name}", f"rows/{self.rows.space(slot.space).name}")

    def _known(self, node: NodeId) -> bool:
        return self.weights.fixed(node) or isinstance(self.plan.graph[node], Constant)

    def _define(self, region: Region, slot: Slot, name: str, same: str | None = None) -> None:
        self.values[slot] = name
        if name in region.own and name != same:
            type = self.type(slot)
            region.describe(name, type.dtype, self.dims(type, slot.space))

    def _run(self, region: Region, step: Run, space: SpaceId) -> None:
        node = self.plan.graph[step.node]
        if self.weights.fixed(step.node) or self.weights.late(step.node):
            return
        names: tuple[str, ...] = ()
        match node:
            case Call() if self._lays_out(step.node, space):
                assert step.inputs[0] is not None
                self._spread[step.outputs[0]] = step.inputs[0]
            case Call():
                names = self._call(region, step, node, space)
            case Gate() if step.inputs[0] in self._spread:
                spread = self._spread[step.inputs[0]]
                self.raw[step.outputs[0]] = self._gate(region, node, spread)
                self._beyond[step.outputs[0]] = self.type(spread).rank - node.type.rank
            case Gate():
                assert step.inputs[0] is not None
                names = (self._gate(region, node, step.inputs[0]),)
            case Merge():
                names = (self._merge(region, step, node, space),)
            case Loop():
                names = self.loops(self, region, step.node, [self.value(region, s) for s in step.inputs if s], space)
            case _:
                raise InternalError(f"the plan runs {type(node).__name__} {step.node}, which computes nothing")
        for slot, name in zip(step.outputs, names, strict=False):
            self._define(region, slot, name)

    def _call(self, region: Region, step: Run, node: Call, space: SpaceId) -> tuple[str, ...]:
        args = [self.value(region, s) if s else "" for s in step.inputs]
        inputs = [self.type(s) if s else None for s in step.inputs]
        types = tuple(self.type(s) for s in step.outputs)
        result = self.ops[node.op].onnx(CallSite(region, self.sizes, space, node, args, inputs, types))
        return (result,) if isinstance(result, str) else tuple(result)

    def _lays_out(self, id: NodeId, space: SpaceId) -> bool:
        """Whether a call only takes axes away from what the decisions of one sample, which is there, are made of."""
        node, graph = self.plan.graph[id], self.plan.graph
        readers = [graph[edge.dst] for edge in graph.wiring().outs[id]]
        alone = all(isinstance(reader, Gate) and reader.kind is not GateKind.MANY for reader in readers)
        one = self.batch_one and runs_whole(self.rows, space, ROOT)
        return one and isinstance(node, Call) and node.op == "squeeze" and node.type.rank < 2 and alone

    def _gate(self, region: Region, node: Gate, decided: Slot) -> str:
        """The decision gets a name and metadata, so that it can be found and forced."""
        name, value = region.shared.names.unique(f"gate.{node.name}.decision"), self.value(region, decided)
        if self._read_once(decided) and region.give_name(value, name):
            self.values[decided] = name
        else:
            region.node("Identity", [value], name=name)
        tags = {"cogseed.gate": node.name, "cogseed.kind": node.kind.value, "cogseed.arms": str(node.arms)}
        for key, text in sorted(tags.items()):
            tag(region.graph.node[-1], key, text)
        return name

    def _read_once(self, decided: Slot) -> bool:
        """Whether what a decision is made of is read by its gate only."""
        return len(self.plan.graph.wiring().outs[decided.node]) == 1

    def _merge(self, region: Region, step: Run, node: Merge, space: SpaceId) -> str:
        count = len(node.arms)
        slots = [s for s in step.inputs if s]
        names = [self.value(region, s) for s in slots]
        gates = [self._gate_of(s) for s in slots[count : 2 * count]]
        rest = names[2 * count :]
        otherwise = rest.pop(0) if node.otherwise else None
        weights = rest.pop(0) if node.mode is MergeMode.WEIGHTED_SUM else None
        name = merge(region, node, names[:count], gates, names[count : 2 * count], otherwise, weights)
        arms = [self.type(s).shape for s in slots[:count]]
        shape = self.type(step.outputs[0]).shape
        if shape in arms:
            return name
        return region.node("Expand", [name, self.sizes.vector(region, shape, space)])

    def _gate_of(self, slot: Slot) -> Gate:
        node = self.plan.graph[slot.node]
        assert isinstance(node, Gate), f"a merge is fed by {node} instead of a gate"
        return node

    def spread(self, region: Region, source: Slot, target: Slot) -> str:
        """The value at all rows of the space of `target`, zero where its own space has none."""
        type, space = self.type(target), target.space
        value = self.value(region, source)
        if type.batch is None and self.rows.guard(region, source.space, space) is None:
            return value
        zeros = self.joins.full(region, type, space)
        dims = self.dims(type, space, open=True)
        return self.joins.write(region, zeros, value, type, dims, source.space, space, source.lay)

    def _join(self, region: Region, step: Join) -> str:
        target = step.output.space
        type = self.type(step.output)
        done = self.fusion.done[step.output]
        total = self.running.pop(step.output) if done else self.base(region, step)
        group = None if done else together(self.plan, self.rows.groups, step)
        if group is not None:
            return self._together(region, step, group, total or self.joins.full(region, type, target))
        for write in step.writes[done:]:
            value = self.arm(region, step, write)
            source = write.value.space
            if total is None and runs_whole(self.rows, source, target):
                total = self.joins.full(region, type, target)
            previous = total or self.joins.full(region, type, target)
            dims = self.dims(type, target, open=True)
            total = self.joins.write(region, previous, value, type, dims, source, target, step.lay)
        return total or self.joins.full(region, type, target)

    def _together(self, region: Region, step: Join | Accumulate, group: Group, total: str) -> str:
        return emit_together(self.plan, self.rows.groups, self.value, region, step, group, total)

    def base(self, region: Region, step: Join) -> str | None:
        """The value that a join's first write goes over."""
        if step.base is None:
            return None
        have, want = self.type(step.base), self.type(step.output)
        return self.joins.expand(region, self.value(region, step.base), have, want, step.output.space)

    def arm(self, region: Region, join: Join | Accumulate, write: Write) -> str:
        """A write's value, broadcast to the join's type at the rows of its own space."""
        have, space = self.type(write.value), write.value.space
        whole = self.plan.graph.type(Value(join.node))
        want = at_positions(whole, join.lay if self.rows.space(space).grid else ())
        return self.joins.expand(region, self.value(region, write.value), have, want, space)

    def _accumulate(self, region: Region, step: Accumulate) -> str:
        target = step.output.space
        type = self.type(step.output)
        node = self.plan.graph[step.node]
        assert isinstance(node, Merge)
        total = self.joins.full(region, type, target)
        group = together(self.plan, self.rows.groups, step)
        if group is not None:
            total = self._together(region, step, group, total)
        for arm, write in enumerate(step.writes if group is None else ()):
            value = self.arm(region, step, write)
            if write.weight is not None:
                value = weighted(region, node, arm, value, self.value(region, write.weight))
            dims = self.dims(type, target, open=True)
            total = self.joins.add(region, total, value, type, dims, write.value.space, target, step.lay)
        if step.otherwise is None:
            return total
        taken = [aligned(region, node, i, self.rows.choice(region, c)) for i, c in enumerate(step.taken)]
        return where(region, any_of(region, taken), total, self.value(region, step.otherwise), type.dtype)


def slots(plan: Plan) -> Iterator[Slot]:
    """What the trace reads."""
    for report in plan.gates:
        yield report.decision
        if report.indices:
            yield report.indices


def _rows_around(steps: Steps, space: SpaceId, region: Region) -> str:
    return steps.rows.count(region, space)


def _batch(plan: Plan, names: Mapping[NodeId, str]) -> tuple[str, int] | None:
    """An input with a batch axis, and where that is."""
    for id in plan.inputs:
        node = plan.graph[id]
        if isinstance(node, Input) and node.type.batch is not None:
            return names[id], node.type.batch
    return None


def _symbols(plan: Plan, names: Mapping[NodeId, str]) -> dict[str, tuple[str, int]]:
    """For each symbol but N, an input and the axis that gives it."""
    found: dict[str, tuple[str, int]] = {}
    for id in plan.inputs:
        node = plan.graph[id]
        assert isinstance(node, Input)
        for axis, size in enumerate(node.type.shape):
            for symbol in size.symbols():
                if str(size) == symbol and symbol != BATCH:
                    found.setdefault(symbol, (names[id], axis))
    return found


def place_of(node: Node, id: NodeId) -> Place:
    """Where a node of the program belongs."""
    label = node.op if isinstance(node, Call) else f"{type(node).__name__.lower()}_{id}"
    return Place.of(node.origin, label)
