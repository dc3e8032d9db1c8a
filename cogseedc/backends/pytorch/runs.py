"""What the methods that run the turns of a loop have in common: what they are given, what the body is, how they are
written."""

from __future__ import annotations

from collections.abc import Sequence

from cogseedc.backends.plan.model import ROOT, LoopPlan
from cogseedc.backends.pytorch.body import Body, Key, indented, spread_out
from cogseedc.backends.pytorch.calls import Method
from cogseedc.backends.pytorch.program import Program
from cogseedc.ir import Axis, Input, Loop, TensorType, Value


class Runs:
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
        inputs = [n for _, n in loop.body.graph.of(Input)]
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

    def given(self) -> list[TensorType]:
        """Types of what the method is given: of sequences with the axis that is scanned."""
        node = self.node
        found = list(self.inputs)
        for i, axis in enumerate(node.scanned, node.carries):
            axes = found[i].axes
            found[i] = found[i].with_axes((*axes[:axis], self._length(), *axes[axis:]))
        return found

    def _length(self) -> Axis:
        return Axis(None, self.node.steps)

    def steps(self) -> str:
        if self.sequences:
            return f"{self.sequences[0]}.shape[{self.node.scanned[0]}]"
        return self.program.size(self.text, self.node.steps, ROOT)

    def written(self, arguments: Sequence[str], document: str, body: Sequence[str]) -> Method:
        """The method, with what the body reads beside its arguments."""
        parameters = [self.text.read(key) for key in self.text.parameters]
        name = f"_loop_{self.label}"
        start = spread_out(f"def {name}(", ["self", *arguments, *parameters, "turns"], "):")
        return Method(name, (*start, *indented([f'"""{document}"""', *body])), tuple(self.text.parameters))


def returned(values: Sequence[str]) -> list[str]:
    """The statement that returns one value, or several."""
    return [f"return {values[0]}"] if len(values) == 1 else spread_out("return (", values, ")")
