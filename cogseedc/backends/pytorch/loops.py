"""The methods of loops: one that is a turn, and one that runs the turns.

Where each row decides when it stops, rows that have stopped leave the batch: what they have is put at their places
among all rows, and the turns that follow run on the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from cogseedc.backends.names import variable
from cogseedc.backends.plan.model import ROOT, LoopPlan
from cogseedc.backends.pytorch.body import Body, Device, Key, Symbol, spread_out
from cogseedc.backends.pytorch.flow import Main, Method, block_method, call_block, row_counts, trace_method
from cogseedc.backends.pytorch.literal import items, literal
from cogseedc.backends.pytorch.program import LoopMethod, Program, traced_types
from cogseedc.ir import BATCH, Axis, Input, Loop, LoopKind, TensorType, Value


def loop_methods(program: Program, taken: Sequence[str]) -> list[Method]:
    """The methods of all loops of a program, at any depth; says in `program.loops` how each is called."""
    methods: list[Method] = []
    for place, (id, loop) in enumerate(program.plan.loops.items()):
        node = program.graph[id]
        assert isinstance(node, Loop)
        label = f"{program.prefix}{place}_{variable(node.name, node.kind.value)}"
        body = Program(loop.body, program.shared, f"{label}_")
        methods += loop_methods(body, taken)
        turn = _turn(body, node, label, taken)
        runs = _Runs(program, node, loop, body, label, turn[0].parameters, taken).method()
        program.loops[id] = LoopMethod(runs.name, runs.parameters, body)
        methods += [runs, *turn]
    return methods


class _Turn(Main):
    """The method of a turn. A size that its inputs do not tell, it takes."""

    def missing(self, key: Key) -> None:
        unknown = isinstance(key, Symbol) and not self.tells(key.name)
        if unknown or (isinstance(key, Device) and not self.arguments):
            self.parameters.append(key)
            self.define(key)
        else:
            super().missing(key)


def _turn(program: Program, node: Loop, label: str, taken: Sequence[str]) -> list[Method]:
    """A turn: from carries, elements and captures to what follows; with what was decided, on request."""
    blocks = [block_method(program, block) for block in program.plan.blocks]
    main = _Turn(program, (*taken, "trace", "found", "counts"))
    for block, method in zip(program.plan.blocks, blocks, strict=True):
        call_block(program, main, block, method)
    tracing = trace_method(program, f"_turn_{label}_trace")
    results = [program.value(main, slot) for _, slot in program.plan.outputs]
    traced = [main.read(key) for key in tracing.parameters]
    counts = row_counts(program, main, f"{node.name}.")
    if main.tells(BATCH):
        counts = [f"{literal(f'{node.name}.turns')}: {main.read(Symbol(BATCH))}", *counts]
    main.say("if not trace:")
    main.lines += _indented(_returned([*results, "None"]))
    main.lines += spread_out(f"found = self.{tracing.name}(", traced, ")")
    main.lines += spread_out("counts = {", counts, "}")
    main.lines += _returned([*results, "(found, counts)"])
    name = f"_turn_{label}"
    given = [*main.arguments, *(main.read(key) for key in main.parameters)]
    start = spread_out(f"def {name}(", ["self", *given, "trace"], "):")
    return [Method(name, (*start, *_indented(main.lines)), tuple(main.parameters)), *blocks, tracing]


class _Runs:
    """The method that runs the turns of one loop, while it is written."""

    def __init__(
        self,
        program: Program,
        node: Loop,
        loop: LoopPlan,
        body: Program,
        label: str,
        further: tuple[Key, ...],
        taken: Sequence[str],
    ) -> None:
        self.program, self.node, self.loop, self.body, self.label, self.further = (
            program, node, loop, body, label, further,
        )  # fmt: skip
        own = (
            "active",
            "many",
            "order",
            "at",
            "turn",
            "turns",
            "found",
            "rows",
            "count",
            "length",
            "whole",
            "seen",
            "stop",
            "stays",
            "running",
            "columns",
        )
        self.text = Body({}, (*taken, *own))
        inputs = [n for _, n in loop.body.graph.nodes() if isinstance(n, Input)]
        outputs = [loop.body.graph.type(Value(slot.node, slot.port)) for _, slot in loop.body.outputs]
        self.inputs = [n.type for n in inputs]
        self.values = outputs[: len(node.types)]
        """Types of the carries, then of the yields, in one turn."""
        self.stop = outputs[-1] if node.halts else None
        self.names = [self.text.scope.free(n.name) for n in inputs]
        self.results = [*self.names[: node.carries], *(self.text.scope.free("value") for _ in range(node.yields))]
        self.sequences = [
            self.text.scope.free(f"{name}s") for name in self.names[node.carries : node.carries + len(node.scanned)]
        ]

    def folded(self) -> Method:
        """All turns at once."""
        node, text = self.node, self.text
        captured = self.names[len(node.scanned) :]
        types = self.inputs[: len(node.scanned)]
        arguments = [*self.sequences, *captured]
        first, batch = self.sequences[0], self._given()[0].batch
        body = [f"count, length = {first}.shape[{batch}], {first}.shape[{node.scanned[0]}]"]
        text.alias(Symbol(BATCH), "count")
        text.alias(Device(), f"{first}.device")
        for name, sequence, type, axis in zip(self.names, self.sequences, types, node.scanned, strict=False):
            assert type.batch is not None
            moved = sequence if axis == type.batch + 1 else f"{sequence}.movedim({axis}, {type.batch + 1})"
            body.append(f"{name} = {moved}.flatten({type.batch}, {type.batch + 1})")
        further = [text.read(key) for key in self.further]
        given = [*self.names[: len(node.scanned)], *captured, *further, "turns is not None"]
        body += spread_out(f"{', '.join([*self.results, 'found'])} = self._turn_{self.label}(", given, ")")
        axes = ", ".join(f"{literal(name)}: {type.batch}" for name, type in traced_types(self.body))
        self.program.shared.support.add("unfold_turns")
        body += ["if turns is not None:", f"    turns.extend(unfold_turns(found, count, length, {{{axes}}}))"]
        results: list[str] = []
        for name, type, axis in zip(self.results, self.values, node.stacked, strict=True):
            assert type.batch is not None
            apart = f"{name}.unflatten({type.batch}, (count, length))"
            results.append(apart if axis == type.batch + 1 else f"{apart}.movedim({type.batch + 1}, {axis})")
        parameters = [text.read(key) for key in text.parameters]
        name = f"_loop_{self.label}"
        start = spread_out(f"def {name}(", ["self", *arguments, *parameters, "turns"], "):")
        lines = ['"""All positions at once: each is a row."""', *body, *_returned(results)]
        return Method(name, (*start, *_indented(lines)), tuple(text.parameters))

    def packed(self) -> Method:
        """Each row's own turns, one after another."""
        node, text = self.node, self.text
        first, last = node.carries, node.carries + len(node.scanned)
        carries, captured = self.names[:first], self.names[last:]
        arguments = [*carries, *self.sequences, *captured, "active"]
        body = [] if node.active == 1 else ["active = active.transpose(0, 1)"]
        body += ["count, many = active.shape[0], active.sum(1)"]
        body += ["order = torch.sort(active.to(torch.uint8), dim=1, descending=True, stable=True).indices"]
        if node.echoes:
            body.append(f"columns = [{', '.join(f'[{carries[i]}]' for i in node.echoes)}]")
        text.alias(Symbol(BATCH), "count")
        text.alias(Device(), "active.device")
        body.append("for turn in range(int(many.max()) if many.numel() else 0):")
        body += _indented(self._packed_turn(captured))
        yields: list[str] = []
        for i, (carry, axis) in enumerate(zip(node.echoes, node.stacked, strict=True)):
            self.program.shared.support.add("lay_states")
            yields.append(f"lay_states(columns[{i}], active, {self.inputs[carry].batch}, {axis})")
        body += _returned([*yields, *carries])
        parameters = [text.read(key) for key in text.parameters]
        name = f"_loop_{self.label}"
        start = spread_out(f"def {name}(", ["self", *arguments, *parameters, "turns"], "):")
        document = '"""One turn per position at which a row is active; rows go on by themselves."""'
        return Method(name, (*start, *_indented([document, *body])), tuple(text.parameters))

    def _packed_turn(self, captured: Sequence[str]) -> list[str]:
        node, carries = self.node, self.names[: self.node.carries]
        lines = ["rows = torch.nonzero(many > turn).squeeze(1)", "at = order[:, turn].index_select(0, rows)"]
        given = self._given()
        elements = self.names[node.carries : node.carries + len(node.scanned)]
        for i, (name, sequence, axis) in enumerate(
            zip(elements, self.sequences, node.scanned, strict=True), node.carries
        ):
            self.program.shared.support.add("take_turns")
            position = self.inputs[i].batch
            lines.append(f"{name} = take_turns({sequence}, rows, at, {given[i].batch}, {axis}, {position})")
        passed = [
            name if name in elements or type.batch is None else f"{name}.index_select({type.batch}, rows)"
            for name, type in zip(self.names, self.inputs, strict=True)
        ]
        further = [self.text.read(key) for key in self.further]
        results = [*(f"{name}_new" for name in carries), "found"]
        call = f"{', '.join(results)} = self._turn_{self.label}("
        lines += spread_out(call, [*passed, *further, "turns is not None"], ")")
        lines += ["if turns is not None:", "    turns.append(found)"]
        for name, type in zip(carries, self.inputs, strict=False):
            lines.append(f"{name} = {name}.index_copy({type.batch}, rows, {name}_new)")
        return [*lines, *(f"columns[{i}].append({carries[carry]})" for i, carry in enumerate(node.echoes))]

    def method(self) -> Method:
        node, text = self.node, self.text
        if self.loop.folded:
            return self.folded()
        if node.active is not None:
            return self.packed()
        captured = self.names[node.carries + len(node.scanned) :]
        arguments = [*self.names[: node.carries], *self.sequences, *captured]
        known = [a for a, t in zip(arguments, self._given(), strict=True) if t.batch is not None]
        batches = [t.batch for t in self._given() if t.batch is not None]
        body: list[str] = []
        if known:
            body.append(f"count = {known[0]}.shape[{batches[0]}]")
            text.alias(Symbol(BATCH), "count")
        if arguments:
            text.alias(Device(), f"{arguments[0]}.device")
        further = [text.read(key) for key in self.further]
        body += self._before()
        body.append(f"for turn in range({self._steps()}):")
        body += _indented([*self._elements(), *self._called(captured, further), *self._held(), *self._kept()])
        body += _indented(self._stopped(captured))
        body += self._after()
        parameters = [text.read(key) for key in text.parameters]
        name = f"_loop_{self.label}"
        start = spread_out(f"def {name}(", ["self", *arguments, *parameters, "turns"], "):")
        document = f'"""{self._document()}"""'
        return Method(name, (*start, *_indented([document, *body])), tuple(text.parameters))

    def _given(self) -> list[TensorType]:
        """Types of what the method is given: of sequences with the axis that is scanned."""
        node = self.node
        found = list(self.inputs)
        for i, axis in enumerate(node.scanned, node.carries):
            axes = found[i].axes
            found[i] = found[i].with_axes((*axes[:axis], self._length(), *axes[axis:]))
        return found

    def _length(self) -> Axis:
        return Axis(None, self.node.steps)

    def _steps(self) -> str:
        if self.sequences:
            return f"{self.sequences[0]}.shape[{self.node.scanned[0]}]"
        return self.program.size(self.text, self.node.steps, ROOT)

    def _document(self) -> str:
        leave = "; rows that stop leave the batch" if self.loop.compact else ""
        if self.node.kind is LoopKind.SCAN:
            return f"One turn per position{leave}."
        return f"At most {self._steps()} turns{leave}."

    @property
    def _yields(self) -> list[str]:
        return self.results[self.node.carries :]

    @property
    def _columns(self) -> list[str]:
        if self.node.kind is LoopKind.REPEAT:
            return []
        return [f"columns[{i}]" for i in range(self.node.yields)]

    def _axes(self, types: Sequence[TensorType]) -> str:
        return items([str(t.batch) for t in types])

    def _before(self) -> list[str]:
        lines: list[str] = []
        if self.loop.compact:
            lines.append("rows = whole = None")
        if self.stop is not None and (self.loop.holds or not self.loop.compact):
            lines.append("running = None")
        if self._columns:
            lines.append(f"columns = [{', '.join('[]' for _ in self._columns)}]")
            if self.loop.compact:
                lines.append("seen = None")
        return lines

    def _elements(self) -> list[str]:
        """The elements of this turn, at the rows that run it."""
        lines: list[str] = []
        names = self.names[self.node.carries :]
        types = self.inputs[self.node.carries :]
        for name, type, sequence, axis in zip(names, types, self.sequences, self.node.scanned, strict=False):
            lines.append(f"{name} = {sequence}.select({axis}, turn)")
            if self.loop.compact and type.batch is not None:
                lines += ["if rows is not None:", f"    {name} = {name}.index_select({type.batch}, rows)"]
        return lines

    def _called(self, captured: Sequence[str], further: Sequence[str]) -> list[str]:
        """The turn; a held value keeps its old one beside the new."""
        given = [*self.names[: self.node.carries + len(self.sequences)], *captured, *further, "turns is not None"]
        stop = ["stop"] if self.stop is not None else []
        results = [*(f"{name}_new" for name in self.results), *stop] if self.loop.holds else [*self.results, *stop]
        lines = spread_out(f"{', '.join([*results, 'found'])} = self._turn_{self.label}(", given, ")")
        return [*lines, *self._recorded()]

    def _recorded(self) -> list[str]:
        traced = traced_types(self.body)
        axes = ", ".join(f"{literal(name)}: {type.batch}" for name, type in traced)
        if self.loop.compact:
            self.program.shared.support.add("spread_turn")
            text = f"spread_turn(found, rows, count, {{{axes}}})"
        elif self.stop is not None and self.stop.batch is not None:
            self.program.shared.support.add("mask_turn")
            others = tuple(i for i in range(self.stop.rank) if i != self.stop.batch)
            ran = f"running.any(dim={items(list(map(str, others)))})" if others else "running"
            text = f"mask_turn(found, None if running is None else {ran}, {{{axes}}})"
        else:
            text = "found"
        return ["if turns is not None:", f"    turns.append({text})"]

    def _held(self) -> list[str]:
        """A value where its index still runs, the old one where it has stopped."""
        if not self.loop.holds:
            return []
        assert self.stop is not None
        lines = ["if running is not None:"]
        for name, type, axes in zip(self.results, self.values, self.node.held, strict=True):
            mask = laid("running", axes, type.rank)
            lines.append(f"    {name}_new = torch.where({mask}, {name}_new, {name})")
        names = ", ".join(self.results)
        return [*lines, f"{names} = {', '.join(f'{name}_new' for name in self.results)}"]

    def _kept(self) -> list[str]:
        """The yields of this turn, for all rows."""
        if not self._columns:
            return []
        names = self._yields
        lines: list[str] = []
        if self.loop.compact:
            self.program.shared.support.add("put_rows")
            types = self.values[self.node.carries :]
            lines.append(f"seen = put_rows(seen, rows, {items(names)}, {self._axes(types)})")
            names = [f"seen[{i}]" for i in range(len(names))]
        return [*lines, *(f"{c}.append({n})" for c, n in zip(self._columns, names, strict=True))]

    def _stopped(self, captured: Sequence[str]) -> list[str]:
        if self.stop is None:
            return []
        if self.stop.batch is None and not self.loop.holds:
            return ["if bool(stop):", "    break"]
        if not self.loop.compact:
            lines = ["running = ~stop if running is None else running & ~stop"]
            return [*lines, "if not running.any():", "    break"]
        return self._left(captured)

    def _left(self, captured: Sequence[str]) -> list[str]:
        """Rows that have stopped leave; the others are taken on."""
        assert self.stop is not None
        batch = self.stop.batch
        assert batch is not None
        lines: list[str] = []
        moved = list(zip(self.names[: self.node.carries], self.inputs, strict=False))
        if self.loop.holds or self.node.kind is LoopKind.REPEAT:
            moved += zip(self._yields, self.values[self.node.carries :], strict=True)
        moved += zip(captured, self.inputs[self.node.carries + len(self.sequences) :], strict=True)
        if self.loop.holds:
            lines.append("running = ~stop if running is None else running & ~stop")
            others = tuple(str(i) for i in range(self.stop.rank) if i != batch)
            lines.append(f"stays = torch.nonzero(running.any(dim={items(list(others))})).squeeze(1)")
            moved.append(("running", self.stop))
        else:
            lines.append("stays = torch.nonzero(~stop).squeeze(1)")
        lines += [f"if 0 < stays.numel() == stop.shape[{batch}]:", "    continue", *self._put("whole")]
        lines += ["if not stays.numel():", "    break"]
        lines.append("rows = stays if rows is None else rows.index_select(0, stays)")
        for name, type in moved:
            if type.batch is not None:
                lines.append(f"{name} = {name}.index_select({type.batch}, stays)")
        return lines

    def _put(self, target: str) -> list[str]:
        """What the rows have now, at their places among all rows."""
        self.program.shared.support.add("put_rows")
        count = self.node.carries + (self.node.yields if self.node.kind is LoopKind.REPEAT else 0)
        values = self.results[:count]
        given = ["whole", "rows", items(values), self._axes(self.values[:count])]
        return spread_out(f"{target} = put_rows(", given, ")")

    def _after(self) -> list[str]:
        lines: list[str] = []
        carries = self.results[: self.node.carries]
        yields = self._yields
        if self.loop.compact:
            lines += ["else:", *_indented(self._put("whole"))]
            count = self.node.carries + (self.node.yields if self.node.kind is LoopKind.REPEAT else 0)
            names = [f"whole[{i}]" for i in range(count)]
            carries, yields = names[: self.node.carries], names[self.node.carries :]
        if self._columns:
            self.program.shared.support.add("stack_turns")
            yields = []
            for i, (column, axis) in enumerate(zip(self._columns, self.node.stacked, strict=True)):
                empty = self.program.filled(self.text, self.node.types[i], ROOT, "0")
                yields.append(f"stack_turns({column}, {self._steps()}, {axis}) if {column} else {empty}")
        return [*lines, *_returned([*yields, *carries])]


def laid(mask: str, axes: tuple[int, ...], rank: int) -> str:
    """A tensor over some axes of a value, made broadcastable to it; `axes` say where each of its own axes is."""
    if list(axes) != sorted(axes):
        mask = f"{mask}.permute({', '.join(str(axes.index(a)) for a in sorted(axes))})"
    index = [":" if place in axes else "None" for place in range(min(axes, default=rank), rank)]
    return mask if all(i == ":" for i in index) else f"{mask}[{', '.join(index)}]"


def _returned(values: Sequence[str]) -> list[str]:
    return [f"return {values[0]}"] if len(values) == 1 else spread_out("return (", values, ")")


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]
