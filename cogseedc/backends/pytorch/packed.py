"""Loops that need not wait for each turn: all turns at once, or each row's own turns only."""

from __future__ import annotations

from collections.abc import Sequence

from cogseedc.backends.pytorch.body import Device, Symbol, indented, spread_out
from cogseedc.backends.pytorch.calls import Method
from cogseedc.backends.pytorch.literal import literal
from cogseedc.backends.pytorch.program import traced_types
from cogseedc.backends.pytorch.runs import Runs, returned
from cogseedc.ir import BATCH


class Folded(Runs):
    """A scan without carries: each row and turn is a row of the body."""

    def method(self) -> Method:
        """All turns at once."""
        node, text = self.node, self.text
        captured = self.names[len(node.scanned) :]
        types = self.inputs[: len(node.scanned)]
        arguments = [*self.sequences, *captured]
        first, batch = self.sequences[0], self.given()[0].batch
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
        return self.written(arguments, "All positions at once: each is a row.", [*body, *returned(results)])


class Packed(Runs):
    """A scan whose rows run only the turns at which they are active."""

    def method(self) -> Method:
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
        body += indented(self._turn(captured))
        yields: list[str] = []
        for i, (carry, axis) in enumerate(zip(node.echoes, node.stacked, strict=True)):
            self.program.shared.support.add("lay_states")
            yields.append(f"lay_states(columns[{i}], active, {self.inputs[carry].batch}, {axis})")
        body += returned([*yields, *carries])
        document = "One turn per position at which a row is active; rows go on by themselves."
        return self.written(arguments, document, body)

    def _turn(self, captured: Sequence[str]) -> list[str]:
        node, carries = self.node, self.names[: self.node.carries]
        lines = ["rows = torch.nonzero(many > turn).squeeze(1)", "at = order[:, turn].index_select(0, rows)"]
        given = self.given()
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
