"""Statements that compute the arm of a join on tiles of an image, or everywhere where that costs less."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cogseedc.backends.plan.model import Slot, SpaceId, Tiled
from cogseedc.backends.plan.tiles import Extent, Layer
from cogseedc.backends.pytorch.body import Body, Device
from cogseedc.backends.pytorch.literal import literal
from cogseedc.backends.pytorch.program import Program
from cogseedc.diagnostics import InternalError
from cogseedc.ir import Attr, Attrs, Call, Size, TensorType, Value


@dataclass
class Spelling:
    """A call on a part of its operands, as an operation's spelling sees it: no size of it is asked."""

    program: Program
    body: Body
    attrs: Attrs
    args: Sequence[str | None]
    inputs: Sequence[TensorType | None]
    types: tuple[TensorType, ...]

    def size(self, size: Size) -> str:
        raise InternalError("an operation on a part asks for a size")

    def sizes(self, sizes: Sequence[Size]) -> str:
        raise InternalError("an operation on a part asks for sizes")

    def device(self) -> str:
        return self.body.read(Device())

    def support(self, function: str) -> str:
        self.program.shared.support.add(function)
        return function


def tiled(program: Program, body: Body, step: Tiled, at: SpaceId, everywhere: Callable[[], None]) -> None:
    """Adds the statements of a step; `everywhere` adds those that compute all, which define its output."""
    for slot in step.reads():
        program.value(body, slot)
    merge = program.graph.type(Value(step.node))
    sizes = program.sizes(body, merge.shape, at)
    writer = _Writer(program, body, step)
    writer.find()
    before = len(body.lines)
    everywhere()
    dense, body.lines[before:] = body.lines[before:], []
    name = body.read(step.output)
    base = program.value(body, step.base)
    if program.type(step.base).shape != merge.shape:
        base = f"{base}.expand({sizes})"
    writer.compute(name, base)
    sparse, body.lines[before:] = body.lines[before:], []
    body.say(f"if {writer.size}:")
    body.lines += [f"    {line}" for line in sparse]
    body.say("else:")
    body.lines += [f"    {line}" for line in dense]


class _Writer:
    """One step while its tiles are written."""

    def __init__(self, program: Program, body: Body, step: Tiled) -> None:
        self.program, self.body, self.step = program, body, step
        self.size, self.tiles = body.scope.free("tile"), body.scope.free("tiles")
        decision = program.value(body, step.decision)
        self.mask = decision if step.region.arm else f"~{decision}"
        self.held: dict[Value, dict[int, tuple[str, Extent]]] = {}
        """Values on tiles, by how many of their pixels there are for one of the mask's."""

    def find(self) -> None:
        """The statement that chooses tiles."""
        layers = zip(self.step.costs, self.step.region.layers, strict=True)
        parts = [f"({cost:.4g}, {la.extent.grid}, {la.extent.span})" for cost, la in layers]
        listed = f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        least = literal(float(f"{self.step.least:.4g}"))
        text = f"active_tiles({self.mask}, {listed}, {self.step.moved:.4g}, {least})"
        self.program.shared.support.add("active_tiles")
        self.body.say(f"{self.size}, {self.tiles} = {text}", self.program.origin(self.step.node))

    def compute(self, name: str, base: str) -> None:
        """The statements that compute tiles and put them over `base`."""
        region = self.step.region
        near = self._last(base)
        for value, extent in region.images:
            slot = next(s for s in self.step.reads() if (s.node, s.port) == (value.node, value.port))
            pixels = extent.span - extent.grid
            read = f"{self._scaled(extent.grid)} + {pixels}" if pixels else self._scaled(extent.grid)
            source = near if slot == self.step.base else self._last(self.program.value(self.body, slot))
            self._hold(value, extent, self._moved("take_tiles", source, extent, read))
        for layer in region.layers:
            self._layer(layer)
        result, _ = self.held[region.result][1]
        self.program.shared.support.add("put_tiles")
        spent = self.step.spent or f"{near} is not {base}"
        text = f"put_tiles({near}, {self.tiles}, {self.size}, {self.mask}, {result}, {spent})"
        self.body.say(f"{name} = {text}", self.program.origin(self.step.node))

    def _last(self, source: str) -> str:
        """An image with its channels last, which is how pixels can be taken."""
        return self._say(f"{source}.contiguous(memory_format=torch.channels_last)", "images")

    def _layer(self, layer: Layer) -> None:
        node = self.program.graph[layer.node]
        assert isinstance(node, Call)
        operands = self.program.graph.wiring().operands(layer.node)
        args = [
            None if value is None else self._operand(layer, value, extent)
            for value, extent in zip(operands, layer.reads, strict=True)
        ]
        inputs = [None if value is None else self.program.graph.type(value) for value in operands]
        spelling = Spelling(self.program, self.body, _unpadded(node.attrs), args, inputs, node.types)
        self._hold(Value(layer.node), layer.extent, self.program.shared.ops[node.op].torch(spelling))

    def _operand(self, layer: Layer, value: Value, extent: Extent | None) -> str:
        """An operand on tiles: what is read of an image, or its sample's value."""
        program, body = self.program, self.body
        if extent is None:
            slot = next(s for run in self.step.dense for s in run.inputs if s and (s.node, s.port) == _key(value))
            text = program.value(body, slot)
            return text if program.type(slot).batch is None else f"{text}.index_select(0, {self.tiles}[:, 0])"
        name, have = self.held[value][extent.grid]
        left = have.before - extent.before
        right = have.span - have.before - (extent.span - extent.before)
        if left or right:
            part = f"{left}:{f'-{right}' if right else ''}"
            name = self._say(f"{name}[:, :, {part}, {part}]")
        if layer.padded:
            image = program.sizes(body, program.graph.type(value).shape[2:], self.step.output.space)
            name = self._say(self._moved("zero_outside", name, extent, image))
        return name

    def _moved(self, function: str, source: str, extent: Extent, last: str) -> str:
        self.program.shared.support.add(function)
        return f"{function}({source}, {self.tiles}, {self._scaled(extent.grid)}, {extent.before}, {last})"

    def _scaled(self, by: int) -> str:
        return self.size if by == 1 else f"{by} * {self.size}"

    def _hold(self, value: Value, extent: Extent, text: str) -> None:
        slot = Slot(value.node, value.port, self.step.output.space)
        self.program.want(slot)
        self.held.setdefault(value, {})[extent.grid] = self._say(text, self.program.wanted[slot]), extent

    def _say(self, text: str, wanted: str = "part") -> str:
        name = self.body.scope.free(f"{wanted}_tiles")
        self.body.say(f"{name} = {text}", self.program.origin(self.step.node))
        return name


def _key(value: Value) -> tuple[int, int]:
    return value.node, value.port


def _unpadded(attrs: Attrs) -> Attrs:
    """Static arguments of a call whose operand has its padding."""
    items: list[tuple[str, Attr]] = []
    for key, value in attrs.items:
        items.append((key, tuple(0 for _ in value) if key == "padding" and isinstance(value, tuple) else value))
    return Attrs(tuple(items))
