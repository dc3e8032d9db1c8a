"""The methods of loops: one that is a turn, and one that runs the turns.

Where each row decides when it stops, rows that have stopped leave the batch: what they have is put at their places
among all rows, and the turns that follow run on the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from cogseedc.backends.names import variable
from cogseedc.backends.plan.model import ROOT
from cogseedc.backends.pytorch.body import Device, Key, Symbol, indented, spread_out
from cogseedc.backends.pytorch.calls import Main, Method, call_blocks
from cogseedc.backends.pytorch.flow import block_method, row_counts, trace_method
from cogseedc.backends.pytorch.literal import items, literal
from cogseedc.backends.pytorch.packed import Folded, Packed
from cogseedc.backends.pytorch.program import LoopMethod, Program, traced_types
from cogseedc.backends.pytorch.runs import Runs, returned
from cogseedc.ir import BATCH, Loop, LoopKind, TensorType


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
        way = Folded if loop.folded else Packed if node.active is not None else _OneByOne
        runs = way(program, node, loop, body, label, turn[0].parameters, taken).method()
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
    call_blocks(program, main, blocks)
    tracing = trace_method(program, f"_turn_{label}_trace")
    results = [program.value(main, slot) for _, slot in program.plan.outputs]
    traced = [main.read(key) for key in tracing.parameters]
    counts = row_counts(program, main, f"{node.name}.")
    if main.tells(BATCH):
        counts = [f"{literal(f'{node.name}.turns')}: {main.read(Symbol(BATCH))}", *counts]
    main.say("if not trace:")
    main.lines += indented(returned([*results, "None"]))
    main.lines += spread_out(f"found = self.{tracing.name}(", traced, ")")
    main.lines += spread_out("counts = {", counts, "}")
    main.lines += returned([*results, "(found, counts)"])
    name = f"_turn_{label}"
    given = [*main.arguments, *(main.read(key) for key in main.parameters)]
    start = spread_out(f"def {name}(", ["self", *given, "trace"], "):")
    return [Method(name, (*start, *indented(main.lines)), tuple(main.parameters)), *blocks, tracing]


class _OneByOne(Runs):
    """One turn after another, until all rows have stopped."""

    def method(self) -> Method:
        node, text = self.node, self.text
        captured = self.names[node.carries + len(node.scanned) :]
        arguments = [*self.names[: node.carries], *self.sequences, *captured]
        known = [a for a, t in zip(arguments, self.given(), strict=True) if t.batch is not None]
        batches = [t.batch for t in self.given() if t.batch is not None]
        body: list[str] = []
        if known:
            body.append(f"count = {known[0]}.shape[{batches[0]}]")
            text.alias(Symbol(BATCH), "count")
        if arguments:
            text.alias(Device(), f"{arguments[0]}.device")
        further = [text.read(key) for key in self.further]
        body += self._before()
        body.append(f"for turn in range({self.steps()}):")
        body += indented([*self._elements(), *self._called(captured, further), *self._held(), *self._kept()])
        body += indented(self._stopped(captured))
        body += self._after()
        return self.written(arguments, self._document(), body)

    def _document(self) -> str:
        leave = "; rows that stop leave the batch" if self.loop.compact else ""
        if self.node.kind is LoopKind.SCAN:
            return f"One turn per position{leave}."
        return f"At most {self.steps()} turns{leave}."

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
            lines += ["else:", *indented(self._put("whole"))]
            count = self.node.carries + (self.node.yields if self.node.kind is LoopKind.REPEAT else 0)
            names = [f"whole[{i}]" for i in range(count)]
            carries, yields = names[: self.node.carries], names[self.node.carries :]
        if self._columns:
            self.program.shared.support.add("stack_turns")
            yields = []
            for i, (column, axis) in enumerate(zip(self._columns, self.node.stacked, strict=True)):
                empty = self.program.filled(self.text, self.node.types[i], ROOT, "0")
                yields.append(f"stack_turns({column}, {self.steps()}, {axis}) if {column} else {empty}")
        return [*lines, *returned([*yields, *carries])]


def laid(mask: str, axes: tuple[int, ...], rank: int) -> str:
    """A tensor over some axes of a value, made broadcastable to it; `axes` say where each of its own axes is."""
    if list(axes) != sorted(axes):
        mask = f"{mask}.permute({', '.join(str(axes.index(a)) for a in sorted(axes))})"
    index = [":" if place in axes else "None" for place in range(min(axes, default=rank), rank)]
    return mask if all(i == ":" for i in index) else f"{mask}[{', '.join(index)}]"
