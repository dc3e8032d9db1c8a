"""Statements that compute with the channels that gates chose: of a join's arm those that take it, of a layer's operand
those that may differ from zero."""

from __future__ import annotations

from dataclasses import dataclass, field

from cogseedc.analysis.channels import Layer
from cogseedc.analysis.kept import Choice, Kept, Part
from cogseedc.backends.plan.model import Picked, Slot, SpaceId
from cogseedc.backends.pytorch.body import Body, Device
from cogseedc.backends.pytorch.program import Program
from cogseedc.backends.pytorch.tiles import Spelling
from cogseedc.ir import BATCH_SIZE, Call, Gate, GateKind, NodeId, Value


def picked(program: Program, body: Body, step: Picked, at: SpaceId) -> None:
    """Adds the statements of a step that stands in a block of `at`."""
    _Writer(program, body, step, at).write()


@dataclass
class _Writer:
    """One step while it is written."""

    program: Program
    body: Body
    step: Picked
    at: SpaceId
    given: dict[Slot, str] = field(default_factory=dict)
    made: dict[Value, str] = field(default_factory=dict)
    """What was computed for the chosen channels."""
    channels: str = ""
    samples: str = ""
    """Which samples are computed; empty: all."""

    @property
    def apart(self) -> bool:
        return self.step.region.apart(self.program.graph)

    def write(self) -> None:
        step, body, program = self.step, self.body, self.program
        region, origin = step.region, program.origin(step.node)
        self.given = {slot: program.value(body, slot) for slot in step.reads()}
        masks = [] if region.choice is None else [self._taken(*region.choice)]
        kept = list(dict.fromkeys(layer.kept for layer in region.layers if layer.kept is not None))
        masks += [self._mask(known) for known in kept]
        self._start()
        before = len(body.lines)
        if self.apart:
            masks = self._grouped(masks)
            before = len(body.lines)
        if region.choice is not None:
            self.channels = body.scope.free("channels")
            body.say(f"{self.channels} = {masks[0]}.nonzero().flatten()", origin)
            body.say(f"if {self.channels}.shape[0]:", origin)
        inner = len(body.lines)
        listed = {known: body.scope.free("kept") for known in kept}
        for known, mask in zip(kept, masks[region.choice is not None :], strict=True):
            program.shared.support.add("listed_channels")
            body.say(f"{listed[known]} = listed_channels({mask})", origin)
        for layer, slots in zip(region.layers, step.operands, strict=True):
            self._layer(layer, slots, None if layer.kept is None else listed[layer.kept])
        self._finish()
        if region.choice is not None:
            body.lines[inner:] = [f"    {line}" for line in body.lines[inner:]]
        if self.samples:
            body.lines[before:] = [f"    {line}" for line in body.lines[before:]]

    def _start(self) -> None:
        """Defines the result, if samples or channels are written into it one after the other."""
        step, body, program = self.step, self.body, self.program
        type, origin = program.type(step.output), program.origin(step.node)
        if step.base is not None:
            base = self.given[step.base]
            if program.type(step.base).shape != type.shape:
                base = f"{base}.expand({program.sizes(body, type.shape, self.at)})"
            start = base if step.further else f"{base}.clone(memory_format=torch.contiguous_format)"
        elif step.region.choice is not None or self.apart:
            start = program.filled(body, type, self.at, "0")
        else:
            return
        for (choice, _), slot in zip(step.region.further, step.further, strict=True):
            start = f"torch.where({self._beside(choice)}, {self.given[slot]}, {start})"
        body.say(f"{program.define(body, step.output)} = {start}", origin)

    def _grouped(self, masks: list[str]) -> list[str]:
        """Begins the loop over samples that are computed alike; the masks of a group."""
        step, body, program = self.step, self.body, self.program
        origin = program.origin(step.node)
        program.shared.support.add("samples_alike")
        self.samples = body.scope.free("samples")
        names = [body.scope.free("mask") for _ in masks]
        n = program.size(body, BATCH_SIZE, self.at)
        found = f"[{', '.join(masks)}]"
        body.say(f"for {self.samples}, [{', '.join(names)}] in samples_alike({n}, {found}):", origin)
        return names

    def _finish(self) -> None:
        """Says where the computed channels go."""
        step, body, program = self.step, self.body, self.program
        result, origin = self.made[step.region.result], program.origin(step.node)
        if step.region.choice is None and not self.samples:
            body.alias(step.output, result)
        elif step.region.choice is None:
            body.say(f"{body.read(step.output)}[{self.samples}] = {result}", origin)
        else:
            program.shared.support.add("put_channels")
            where = f"{self.samples or 'slice(None)'}, {step.region.axis}, {self.channels}"
            body.say(f"put_channels({body.read(step.output)}, {where}, {result})", origin)

    def _taken(self, gate: NodeId, arm: int) -> str:
        """A bool tensor: where a gate took an arm."""
        decision = self.given[self.step.decisions[self.step.region.gates().index(gate)]]
        node = self.program.graph[gate]
        if isinstance(node, Gate) and node.kind is GateKind.ONE:
            return f"({decision} == {arm})"
        return decision if arm else f"(~{decision})"

    def _beside(self, choice: Choice) -> str:
        """The same, with the axes of the result."""
        text, axis = self._taken(*choice), self.step.region.axis
        batched = self.program.graph.type(Value(choice[0])).batch is not None
        between = "".join(".unsqueeze(1)" for _ in range(axis - 1)) if batched else ""
        behind = ", None" * (self.program.type(self.step.output).rank - 1 - axis)
        return f"{text}{between}[...{behind}]" if behind else f"{text}{between}"

    def _mask(self, kept: Kept) -> str:
        """A bool tensor: which channels may differ from zero."""
        parts = [self._part(part) for part in kept.parts]
        if len(parts) == 1:
            return parts[0]
        n = self.program.size(self.body, BATCH_SIZE, self.at)
        if self.apart:
            parts = [f"{part}.expand({n}, -1)" for part in parts]
        return f"torch.cat([{', '.join(parts)}], -1)"

    def _part(self, part: Part) -> str:
        if part.taken:
            text = " | ".join(self._taken(gate, arm) for gate, arm in part.taken)
            return f"({text})" if " " in text else text
        size = self.program.size(self.body, part.size, self.at)
        function = "ones" if part.taken is None else "zeros"
        return f"torch.{function}({size}, dtype=torch.bool, device={self.body.read(Device())})"

    def _layer(self, layer: Layer, slots: tuple[Slot | None, ...], kept: str | None) -> None:
        """Adds the statement of one layer."""
        program, body = self.program, self.body
        node = program.graph[layer.node]
        assert isinstance(node, Call)
        args = [self._operand(layer, slot, axis) for slot, axis in zip(slots, layer.axes, strict=True)]
        if kept is not None:  # what is zero adds nothing: neither it nor its part of the weights is read
            assert layer.kept is not None
            args[:2] = [f"{args[0]}.index_select({layer.kept.axis}, {kept})", f"{args[1]}.index_select(1, {kept})"]
        inputs, types = layer.types(program.graph)
        text = program.shared.ops[node.op].torch(Spelling(program, body, node.attrs, args, inputs, types))
        if layer.whole:
            text = f"{text}.index_select({layer.axes[0]}, {self.channels})"
        slot = Slot(layer.node, 0, self.at)
        program.want(slot)
        self.made[Value(layer.node)] = body.scope.free(f"{program.wanted[slot]}_part")
        body.say(f"{self.made[Value(layer.node)]} = {text}", node.origin)

    def _operand(self, layer: Layer, slot: Slot | None, axis: int | None) -> str | None:
        """What some samples read of a value."""
        if slot is None:
            return None
        own = self.made.get(Value(slot.node, slot.port))
        type = self.program.type(slot)
        if own is not None and layer.whole:
            assert axis is not None
            self.program.shared.support.add("among_channels")
            size = self.program.size(self.body, type.shape[axis], self.at)
            return f"among_channels({own}, {axis}, {self.channels}, {size})"
        if own is not None:
            return own
        text = self.given[slot]
        if self.samples and type.batch is not None:
            text = f"{text}[{self.samples}]"
        return text if axis is None or layer.whole else f"{text}.index_select({axis}, {self.channels})"
