"""Writes whole random programs: seeds, imports, ports, states, knobs, losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.fuzz.operations import port, unnamed, vector
from tests.fuzz.placing import FILE, place
from tests.fuzz.statements import Statements
from tests.fuzz.writer import Callee, Scope, Variable, indented


class Generator(Statements):
    """One program under way."""

    def program(self) -> str:
        """The whole text; thresholds are still numbers of their own."""
        parts = [self._seed(f"Part{i}") for i in range(self.pick((0, 0, 1, 2) if self.most > 2 else (0, 0, 1)))]
        if "recursion" in self.features and self.chance(0.3):
            parts.append(self._recursive("Again"))
        if not parts or "imports" not in self.features:
            return "\n".join([*parts, self._main()])
        self.callees = [replace(c, name=f"parts.{c.name}") for c in self.callees]
        main = f'import "./parts.seed" as parts\n{self._main()}'
        return "\n".join([main, FILE.format("parts.seed"), *parts])

    def _main(self) -> str:
        inputs = [Variable("x0", self.goal())]
        other = self.goal()
        if self.chance(0.4) and all(dict(inputs[0].type).get(name, size) == size for name, size in other):
            inputs.append(Variable("x1", other))
        count = self.pick((1, 2, 3)) if "several outputs" in self.features else 1
        outputs = [Variable(f"y{i}", self.goal()) for i in range(count)]
        lines = [f"in {v.name}: {port(v.type)}" for v in inputs] + [f"out {v.name}: {unnamed(v.type)}" for v in outputs]
        if "uniform" in self.features:
            self.knobs = ["tau"]
            lines.append(f"knob tau = {self.pick(('0.25', '0.5', '0.75'))} in 0 .. 1")
        scope = Scope(list(inputs), outputs=outputs)
        if self.kind == "state" or ("state" in self.features and self.chance(0.3)):
            state = Variable("kept", vector(4))
            lines.append(f"state kept: {port(state.type)} = zeros()")
            scope.values.append(state)
        if "shared" in self.features and self.callees:
            callee = self.pick(self.callees)
            lines.append(f"share again = {callee.name}")
            self.callees.append(Callee("again", callee.source, callee.result))
        if self.kind == "open" or ("open" in self.features and self.chance(0.1)):
            lines.insert(0, "in s: f32[N, L, F=4]")
            self.open(scope, lines)
        lines += self.block(scope, self.rng.randint(1, self.most), 0, exits="exit" in self.features)
        self.forced(scope, lines)
        lines += self.block(scope, self.rng.randint(0, self.most // 2), 0, exits="exit" in self.features)
        scope.loose += [self.call(scope, callee, lines) for callee in self.callees if callee not in self.called]
        while self.due:
            self.write_due(scope, lines)
        if any(v.name == "kept" for v in scope.values):
            lines.append(f"next kept = tanh({self.bridge(scope, self.some(scope), vector(4), lines)})")
        for out in outputs:
            give = self.result if out is outputs[0] else self.bridge
            lines.append(f"{out.name} = {give(scope, self.some(scope), out.type, lines)}")
        lines += self.losses
        return _seed_text("export seed Net", lines)

    def _seed(self, name: str) -> str:
        source, result = Variable("x", self.goal()), Variable("y", self.goal())
        lines = [f"in x: {port(source.type)}", f"out y: {unnamed(result.type)}"]
        scope = Scope([source], outputs=[result])
        lines += self.block(scope, self.rng.randint(1, 4), 1, exits="seed exit" in self.features)
        lines.append(f"y = {self.result(scope, self.some(scope), result.type, lines)}")
        self.callees.append(Callee(name, source.type, result.type))
        return _seed_text(f"seed {name}", lines)

    def _recursive(self, name: str) -> str:
        """A seed that uses itself some times."""
        value = Variable("x", self.goal())
        lines = [f"in x: {port(value.type)}", f"out y: {unnamed(value.type)}"]
        scope = Scope([value], outputs=[Variable("y", value.type)])
        lines += self.block(scope, self.rng.randint(1, 2), 2, exits=False)
        given = self.result(scope, self.some(scope), value.type, lines)
        again = self.define(scope, lines, given, value.type).name
        lines.append(f"y = when n == 0 {{ {again} }} else {{ {name}[n - 1]({again}) }}")
        self.callees.append(Callee(f"{name}[{self.pick((1, 2))}]", value.type, value.type))
        return _seed_text(f"seed {name}[n: int]", lines)


def _seed_text(head: str, lines: Sequence[str]) -> str:
    return f"{head} {{\n{indented(lines)}\n}}\n"


def generate(seed: int) -> str:
    """The text of a program, thresholds placed. Raises UserError where the generator wrote no legal program."""
    generator = Generator(seed)
    text = generator.program()
    return place(text, generator.rates, seed)
