"""Statements that compute the arm of a join on tiles of an image, or everywhere where that costs less."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cogseedc.backends.plan.model import Slot, SpaceId, Tiled
from cogseedc.backends.plan.tiles import Extent, Layer
from cogseedc.backends.pytorch.body import Body, Device, Tiling
from cogseedc.backends.pytorch.literal import literal
from cogseedc.backends.pytorch.program import Program
from cogseedc.diagnostics import InternalError
from cogseedc.ir import Attr, Attrs, Call, Size, TensorType, Value

_SAID = {"rows_of_tiles": "rows", "inside_tiles": "inside", "changed_pixels": "changed"}
"""What a variable is called that holds what a function gives."""


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
    before = len(body.lines)
    everywhere()
    dense, body.lines[before:] = body.lines[before:], []
    name = body.read(step.output)
    base = program.value(body, step.base)
    if program.type(step.base).shape != merge.shape:
        base = f"{base}.expand({sizes})"
    writer.compute(name, base)
    sparse, body.lines[before:] = body.lines[before:], []
    body.say(f"if {writer.tiling.size}:")
    body.lines += [f"    {line}" for line in sparse]
    body.say("else:")
    body.lines += [f"    {line}" for line in dense]


class _Writer:
    """One step while its tiles are written."""

    def __init__(self, program: Program, body: Body, step: Tiled) -> None:
        self.program, self.body, self.step = program, body, step
        decision = program.value(body, step.decision)
        self.mask = decision if step.region.arm else f"~{decision}"
        self.tiling = self._chosen()
        self.held: dict[Value, dict[int, tuple[str, Extent]]] = {}
        """Values on tiles, by how many of their pixels there are for one of the mask's."""

    def _chosen(self) -> Tiling:
        """What the statement that chooses tiles defines; steps that choose alike share it."""
        layers = zip(self.step.costs, self.step.region.layers, strict=True)
        parts = [f"({cost:.4g}, {la.extent.grid}, {la.extent.span})" for cost, la in layers]
        listed = f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        least = literal(float(f"{self.step.least:.4g}"))
        text = f"active_tiles({self.mask}, {listed}, {self.step.moved:.4g}, {least})"
        body = self.body
        if text not in body.tilings:
            self.program.shared.support.add("active_tiles")
            body.tilings[text] = found = Tiling(body.scope.free("tile"), body.scope.free("tiles"))
            body.say(f"{found.size}, {found.tiles} = {text}", self.program.origin(self.step.node))
        return body.tilings[text]

    def compute(self, name: str, base: str) -> None:
        """The statements that compute tiles and put them over `base`."""
        region = self.step.region
        near = self._last(base)
        for value, extent in region.images:
            slot = next(s for s in self.step.reads() if (s.node, s.port) == (value.node, value.port))
            over = slot == self.step.base
            source = near if over else self._last(self.program.value(self.body, slot))
            rows = self._pixels("rows_of_tiles", extent, Value(self.step.node) if over else value)
            self.program.shared.support.add("take_tiles")
            self._hold(value, extent, f"take_tiles({source}, {rows})")
        for layer in region.layers:
            self._layer(layer)
        result, _ = self.held[region.result][1]
        self.program.shared.support.add("put_tiles")
        spent = self.step.spent or f"{near} is not {base}"
        tiles, image = self.tiling.tiles, self._image(Value(self.step.node))
        changed = self._once("changed_pixels", f"{tiles}, {self.tiling.size}, {self.mask}, {image}")
        text = f"put_tiles({near}, {changed}, {result}, {spent})"
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
            return text if program.type(slot).batch is None else f"{text}.index_select(0, {self.tiling.tiles}[:, 0])"
        name, have = self.held[value][extent.grid]
        left = have.before - extent.before
        right = have.span - have.before - (extent.span - extent.before)
        if left or right:
            part = f"{left}:{f'-{right}' if right else ''}"
            name = self._say(f"{name}[:, :, {part}, {part}]")
        if layer.padded:
            name = self._say(f"torch.where({self._pixels('inside_tiles', extent, value)}, {name}, 0)")
        return name

    def _pixels(self, function: str, extent: Extent, image: Value) -> str:
        """The variable that holds what a function says of what tiles read of an image."""
        by, more = extent.grid, extent.span - extent.grid
        step = self.tiling.size if by == 1 else f"{by} * {self.tiling.size}"
        size = f"{step} + {more}" if more else step
        return self._once(function, f"{self.tiling.tiles}, {step}, {extent.before}, {size}, {self._image(image)}")

    def _image(self, value: Value) -> str:
        """The height and width of an image."""
        return self.program.sizes(self.body, self.program.graph.type(value).shape[2:], self.step.output.space)

    def _once(self, function: str, arguments: str) -> str:
        """The variable that holds what a function gives, which an earlier step on the same tiles may have asked for."""
        text = f"{function}({arguments})"
        if text not in self.tiling.pixels:
            self.program.shared.support.add(function)
            self.tiling.pixels[text] = name = self.body.scope.free(_SAID[function])
            self.body.say(f"{name} = {text}", self.program.origin(self.step.node))
        return self.tiling.pixels[text]

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
