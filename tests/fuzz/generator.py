"""Writes random programs as text, directed by types: every value knows its axes, and `bridge` reaches any of them.

A program depends on its number alone. Thresholds are placed by the reference, at a wanted rate and with a margin;
`place` does it. Executes no artifact.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from cogseedc.driver.program import Program, Settings, load, load_texts
from cogseedc.interp import Reference, initial_weights
from cogseedc.ir import Constant, Graph, Input, Value
from cogseedc.source import Source
from tests.fuzz.operations import (
    BINARY,
    SCORES,
    UNARY,
    Type,
    any_type,
    is_image,
    is_series,
    names,
    over,
    port,
    unnamed,
    vector,
)

Array = np.ndarray[Any, np.dtype[Any]]
ROWS = 16
RATES = (0.0, 0.3, 0.5, 0.8, 1.0)
MARGIN = 2e-3
DEEPEST = 3
MOST_LOOPS = 2
FILE = "# ---- {}"
"""Stands before the text of a file that the program imports."""
FEATURES = (
    "exit", "seed exit", "arm exit", "for exit", "for", "tuple", "one", "many", "axes", "uniform", "logic",
    "several outputs", "shared", "anonymous", "broadcast", "gate value", "repeat", "scan", "capacity", "recursion",
    "dynamic weight", "imports", "state",
)  # fmt: skip


@dataclass(frozen=True)
class Variable:
    name: str
    type: Type


@dataclass(frozen=True)
class Callee:
    """A seed (or a shared instance of one) that may be called."""

    name: str
    source: Type
    result: Type


@dataclass
class Scope:
    """What a block can read."""

    values: list[Variable]
    gates: list[str] = field(default_factory=list)
    outputs: list[Variable] = field(default_factory=list)
    """What an exit must set: outputs of the enclosing seed."""

    rowwise: bool = True
    """Whether it stands in no region over further axes, so that an exit may stand here."""

    def inner(self) -> Scope:
        return Scope(list(self.values), list(self.gates), self.outputs, self.rowwise)


class Generator:
    """One program under way."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.unary = [op for op in UNARY if self.rng.random() < 0.5 or op.name in ("linear4", "relu")]
        self.binary = [name for name in sorted(BINARY) if self.rng.random() < 0.6] or ["add"]
        self.scores = [name for name in sorted(SCORES) if self.rng.random() < 0.6 or name in ("mean",)]
        self.features = {name for name in FEATURES if self.rng.random() < 0.6}
        self.count = self.thresholds = 0
        self.rates: dict[str, float] = {}
        self.callees: list[Callee] = []
        self.knobs: list[str] = []
        self.budget = 40
        self.loops = 0
        """Loops around, which are run."""

    def program(self) -> str:
        """The whole text; thresholds are still numbers of their own."""
        parts = [self._seed(f"Part{i}") for i in range(self.rng.choice((0, 0, 1, 2)))]
        if "recursion" in self.features and self.chance(0.3):
            parts.append(self._recursive("Again"))
        if not parts or "imports" not in self.features:
            return "\n".join([*parts, self._main()])
        self.callees = [replace(c, name=f"parts.{c.name}") for c in self.callees]
        main = f'import "./parts.seed" as parts\n{self._main()}'
        return "\n".join([main, FILE.format("parts.seed"), *parts])

    def fresh(self, stem: str = "v") -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def pick(self, items: Sequence[Any]) -> Any:
        return self.rng.choice(items)

    def chance(self, part: float) -> bool:
        return self.rng.random() < part

    def goal(self) -> Type:
        kind = self.rng.random()
        if kind < 0.55:
            return vector(self.pick((3, 4, 6)))
        if kind < 0.8:
            return (("C", self.pick((2, 3))), ("H", 4), ("W", 4))
        return (("T", self.pick((2, 4))), ("D", self.pick((3, 4))))

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
        if "state" in self.features and self.chance(0.4):
            state = Variable("kept", vector(4))
            lines.append(f"state kept: {port(state.type)} = zeros()")
            scope.values.append(state)
        if "shared" in self.features and self.callees:
            callee = self.pick(self.callees)
            lines.append(f"share again = {callee.name}")
            self.callees.append(Callee("again", callee.source, callee.result))
        lines += self.block(scope, self.rng.randint(3, 9), 0, exits="exit" in self.features)
        if any(v.name == "kept" for v in scope.values):
            lines.append(f"next kept = tanh({self.bridge(scope, self.some(scope), vector(4), lines)})")
        for out in outputs:
            lines.append(f"{out.name} = {self.bridge(scope, self.some(scope), out.type, lines)}")
        return _seed_text("export seed Net", lines)

    def _seed(self, name: str) -> str:
        source, result = Variable("x", self.goal()), Variable("y", self.goal())
        lines = [f"in x: {port(source.type)}", f"out y: {unnamed(result.type)}"]
        scope = Scope([source], outputs=[result])
        lines += self.block(scope, self.rng.randint(1, 4), 1, exits="seed exit" in self.features)
        lines.append(f"y = {self.bridge(scope, self.some(scope), result.type, lines)}")
        self.callees.append(Callee(name, source.type, result.type))
        return _seed_text(f"seed {name}", lines)

    def _recursive(self, name: str) -> str:
        """A seed that uses itself some times."""
        value = Variable("x", self.goal())
        lines = [f"in x: {port(value.type)}", f"out y: {unnamed(value.type)}"]
        scope = Scope([value], outputs=[Variable("y", value.type)])
        lines += self.block(scope, self.rng.randint(1, 2), 2, exits=False)
        again = self.bridge(scope, self.some(scope), value.type, lines)
        lines.append(f"y = when n == 0 {{ {again} }} else {{ {name}[n - 1]({again}) }}")
        self.callees.append(Callee(f"{name}[{self.pick((1, 2))}]", value.type, value.type))
        return _seed_text(f"seed {name}[n: int]", lines)

    def block(self, scope: Scope, statements: int, depth: int, exits: bool) -> list[str]:
        """Statements, whose values are added to the scope."""
        lines: list[str] = []
        for _ in range(statements):
            if self.budget <= 0:
                break
            self.budget -= 1
            for _, make in self._choices(scope, depth, exits):
                make(scope, depth, lines)
        return lines

    def _choices(self, scope: Scope, depth: int, exits: bool) -> list[tuple[str, Callable[..., None]]]:
        """One way to go on, drawn by weight."""
        table: list[tuple[str, float, Callable[..., None], bool]] = [
            ("operation", 5.0, self._operation, True),
            ("binary", 2.0, self._binary, True),
            ("call", 2.0, self._call, bool(self.callees)),
            ("gate", 1.0, self._gate, True),
            ("when", 3.0, self._when, depth < DEEPEST),
            ("one", 1.5, self._route_one, depth < DEEPEST and "one" in self.features),
            ("many", 1.5, self._route_many, depth < DEEPEST and "many" in self.features),
            ("axes", 1.5, self._axes, depth < DEEPEST and "axes" in self.features),
            ("for", 1.0, self._for, depth < 2 and "for" in self.features),
            ("repeat", 1.0, self._repeat, self.loops < MOST_LOOPS and "repeat" in self.features),
            ("scan", 1.0, self._scan, self.loops < MOST_LOOPS and "scan" in self.features),
            ("dynamic weight", 0.7, self._dynamic_weight, "dynamic weight" in self.features),
            ("tuple", 0.5, self._tuple, "tuple" in self.features),
            ("broadcast", 0.7, self._broadcast, "broadcast" in self.features),
            ("gate value", 0.5, self._gate_value, bool(scope.gates) and "gate value" in self.features),
            ("exit", 1.0, self._exit, exits and scope.rowwise),
        ]
        legal = [(name, weight, make) for name, weight, make, fits in table if fits]
        (chosen,) = self.rng.choices(legal, [weight for _, weight, _ in legal])
        return [(chosen[0], chosen[2])]

    def some(self, scope: Scope, guard: Callable[[Type], bool] = any_type) -> Variable:
        """A value of the scope, rather a late one."""
        fitting = [v for v in scope.values if guard(v.type)]
        return fitting[-1] if self.chance(0.4) else self.pick(fitting)

    def define(self, scope: Scope, lines: list[str], text: str, type: Type) -> Variable:
        found = Variable(self.fresh(), type)
        lines.append(f"{found.name} = {text}")
        if prod(size for _, size in type) <= 256:
            scope.values.append(found)
        return found

    def bridge(self, scope: Scope, value: Variable, goal: Type, lines: list[str]) -> str:
        """An expression of the wanted type."""
        if value.type == goal:
            return value.name
        flat = value.name if len(value.type) == 1 else f"flatten({value.name})"
        if len(goal) == 1:
            return f"linear[{goal[0][0]}={goal[0][1]}]({flat})"
        sizes = ", ".join(f"{name}={size}" for name, size in goal[:-1])
        whole = prod(size for _, size in goal)
        return f"linear[Q={whole}]({flat}) |> split[over=Q, into=({names(goal)}), {sizes}]"

    def threshold(self) -> str:
        """A number of its own, which `place` replaces."""
        text = f"{1000 + self.thresholds / 8}"
        self.thresholds += 1
        self.rates[text] = self.pick(RATES)
        return text

    def score(self, scope: Scope, value: Variable) -> str:
        fitting = [n for n in self.scores if SCORES[n][1](value.type)]
        text = SCORES[self.pick(fitting)][0]
        return text.format(x=value.name, axes=over(names(value.type)), last=value.type[-1][0])

    def condition(self, scope: Scope) -> str:
        """A boolean expression over N."""
        if scope.gates and "logic" in self.features and self.chance(0.3):
            gate, other = self.pick(scope.gates), self.pick(scope.gates)
            return str(self.pick((f"not {gate}", f"{gate} and {other}", f"{gate} or not {other}", gate)))
        if self.knobs and self.chance(0.2):
            return f"tau > {self.pick(('0.3', '0.6'))}"
        sign = self.pick((">", ">=", "<", "<="))
        text = f"{self.score(scope, self.some(scope))} {sign} {self.threshold()}"
        if "logic" in self.features and self.chance(0.2):
            more = f"{self.score(scope, self.some(scope))} > {self.threshold()}"
            text = self.pick((f"{text} and {more}", f"not ({text}) or {more}", f"not ({text})"))
        return str(text)

    def _operation(self, scope: Scope, depth: int, lines: list[str]) -> None:
        value = self.some(scope)
        op = self.pick([op for op in self.unary if op.guard(value.type)])
        self.define(scope, lines, op.spell(value.name, value.type), op.result(value.type))

    def _binary(self, scope: Scope, depth: int, lines: list[str]) -> None:
        x, y = self.some(scope), self.some(scope)
        other = self.bridge(scope, y, x.type, lines)
        if other != y.name:
            other = self.define(scope, lines, other, x.type).name
        self.define(scope, lines, BINARY[self.pick(self.binary)].format(x=x.name, y=other), x.type)

    def _broadcast(self, scope: Scope, depth: int, lines: list[str]) -> None:
        x, y = self.some(scope), self.some(scope)
        axis, size = self.pick(x.type)
        gain = self.define(scope, lines, self.bridge(scope, y, vector(size, axis), lines), vector(size, axis))
        factor = self.pick((f"sigmoid({gain.name})", f"mean({gain.name})"))
        self.define(scope, lines, f"{x.name} * {factor}", x.type)

    def _call(self, scope: Scope, depth: int, lines: list[str]) -> None:
        callee = self.pick(self.callees)
        given = self.bridge(scope, self.some(scope), callee.source, lines)
        self.define(scope, lines, f"{callee.name}({given})", callee.result)

    def _gate(self, scope: Scope, depth: int, lines: list[str]) -> None:
        text = self.condition(scope)
        if "tau" in text or text in scope.gates:
            return
        name = self.fresh("g")
        lines.append(f"gate {name} over N = {text}")
        scope.gates.append(name)

    def _gate_value(self, scope: Scope, depth: int, lines: list[str]) -> None:
        value = self.some(scope)
        self.define(scope, lines, f"{value.name} * {self.pick(scope.gates)}", value.type)

    def arm(self, scope: Scope, goal: Type, depth: int, plain: float = 0.3) -> str:
        """A block in braces that ends in a value of the wanted type."""
        inner = scope.inner()
        exits = "arm exit" in self.features and depth <= 2 and self.chance(0.2)
        lines = [] if self.chance(plain) else self.block(inner, self.rng.randint(1, 3), depth, exits)
        last = self.some(inner) if lines else self.some(scope)
        lines.append(f"yield {self.bridge(inner, last, goal, lines)}")
        return "{\n" + _indented(lines) + "\n}"

    def _join(self, scope: Scope) -> Type:
        return self.pick(scope.values).type if self.chance(0.7) else self.goal()

    def _when(self, scope: Scope, depth: int, lines: list[str]) -> None:
        goal = self._join(scope)
        if "anonymous" in self.features and self.chance(0.5):
            gate = self.condition(scope)
        else:
            if not scope.gates or self.chance(0.7):
                self._gate(scope, depth, lines)
            gate = self.pick(scope.gates) if scope.gates else self.condition(scope)
        then, other = self.arm(scope, goal, depth + 1), self.arm(scope, goal, depth + 1, 0.6)
        self.define(scope, lines, f"when {gate} {then} else {other}", goal)

    def _route_one(self, scope: Scope, depth: int, lines: list[str]) -> None:
        goal, count, value = self._join(scope), self.pick((2, 3, 4)), self.some(scope)
        flat = value.name if len(value.type) == 1 else f"flatten({value.name})"
        name = self.fresh("r")
        lines.append(f"gate {name} over N = argmax(linear[{count}]({flat}))")
        kept = list(range(count))
        if self.chance(0.4):
            kept.remove(self.pick(kept))
        arms = [f"{i} => {self.arm(scope, goal, depth + 1)}" for i in kept]
        if len(kept) < count or self.chance(0.2):
            arms.append(f"else => {self.arm(scope, goal, depth + 1)}")
        self.define(scope, lines, f"route {name} {{\n{_indented(arms)}\n}}", goal)

    def _route_many(self, scope: Scope, depth: int, lines: list[str]) -> None:
        series = "axes" in self.features and self.chance(0.3) and any(is_series(v.type) for v in scope.values)
        count = self.pick((3, 4))
        k = self.rng.randint(1, count - 1)
        name = self.fresh("m")
        if series:
            value = self.some(scope, is_series)
            goal, axes, scores = value.type, "N, T", f"softmax[over=E](linear[E={count}]({value.name}))"
        else:
            value, goal, axes = self.some(scope), self._join(scope), "N"
            flat = value.name if len(value.type) == 1 else f"flatten({value.name})"
            scores = f"softmax[over=E](linear[E={count}]({flat}))"
        options = ", renormalize=true" if self.chance(0.3) else ""
        top = f"top[{k}{options}]({scores})"
        if series and "capacity" in self.features and self.chance(0.5):
            top = f"capacity[{self.pick((1, 2))}, over=T]({top})"
        lines.append(f"gate {name} over {axes} = {top}")
        scope = Scope(scope.values, scope.gates, scope.outputs, scope.rowwise and not series)
        merge = self.pick(("", " merge sum", " merge mean", " merge max", " merge weighted_sum"))
        kept = count - 1 if self.chance(0.3) else count
        if self.chance(0.3):
            call = UNARY[0].spell(value.name, value.type)
            body = (
                f"linear[{goal[-1][0]}={goal[-1][1]}]({call})"
                if value.type == goal
                else self.bridge(scope, value, goal, lines)
            )
            arms = [f"e in 0 .. {kept} => {body}"]
        else:
            arms = [f"{i} => {self.arm(scope, goal, depth + 1)}" for i in range(kept)]
        if kept < count or self.chance(0.3):
            arms.append(f"else => {self.arm(scope, goal, depth + 1, 0.8)}")
        self.define(scope, lines, f"route {name}{merge} {{\n{_indented(arms)}\n}}", goal)

    def _axes(self, scope: Scope, depth: int, lines: list[str]) -> None:
        """A gate over further axes: T, C, or H and W."""
        fitting = [v for v in scope.values if is_image(v.type) or is_series(v.type)]
        if not fitting:
            return
        value = self.pick(fitting)
        if is_series(value.type):
            axes, rest = "T", "D"
        else:
            axes, rest = self.pick((("C", "H, W"), ("H, W", "C")))
        name = self.fresh("a")
        lines.append(f"gate {name} over N, {axes} = mean[{over(rest)}]({value.name}) > {self.threshold()}")
        wide = Scope(scope.values, scope.gates, scope.outputs, rowwise=False)
        then, other = self.arm(wide, value.type, depth + 1), self.arm(wide, value.type, depth + 1, 0.7)
        self.define(scope, lines, f"when {name} {then} else {other}", value.type)

    def _for(self, scope: Scope, depth: int, lines: list[str]) -> None:
        start = self.some(scope)
        inner, carry = scope.inner(), Variable(self.fresh("h"), start.type)
        inner.values.append(carry)
        exits = "for exit" in self.features and self.chance(0.4)
        body = self.block(inner, self.rng.randint(1, 3), depth + 1, exits)
        body.append(f"next {carry.name} = {self.bridge(inner, self.some(inner), start.type, body)}")
        head = f"for {self.fresh('i')} in 0 .. {self.pick((2, 3))} with {carry.name} = {start.name}"
        self.define(scope, lines, f"{head} {{\n{_indented(body)}\n}}", start.type)

    def _repeat(self, scope: Scope, depth: int, lines: list[str]) -> None:
        start = self.some(scope)
        name = self.fresh("h")
        body, last = self._turn(scope, Variable(name, start.type), depth)
        gate = self.fresh("d")
        score = self.score(scope, Variable(last, start.type))
        body.append(f"gate {gate} over N = {score} > {self.threshold()}")
        body.append(f"next {name} = {last}")
        counted, count = self.chance(0.3), self.fresh("n")
        carries, result = f"{name} = {start.name}", self.fresh()
        if counted:
            carries += f", {count} = 0"
            body.append(f"next {count} = {count} + 1")
        until = "" if self.chance(0.1) else f" until {gate}"
        head = f"repeat {self.pick((1, 2, 3, 5))} with {carries}{until}"
        lines.append(f"{result}{', ' + result + 'n' if counted else ''} = {head} {{\n{_indented(body)}\n}}")
        scope.values.append(Variable(result, start.type))
        if counted:
            self.define(scope, lines, f"{result} * ({result}n / 4)", start.type)

    def _scan(self, scope: Scope, depth: int, lines: list[str]) -> None:
        fitting = [v for v in scope.values if is_series(v.type)]
        if not fitting:
            return
        series = self.pick(fitting)
        item, name, goal = Variable(self.fresh("w"), series.type[1:]), self.fresh("h"), vector(4)
        outside = scope.inner()
        outside.values.append(item)
        body, last = self._turn(outside, Variable(name, goal), depth)
        body.append(f"next {name} = {last}")
        until = ""
        if self.chance(0.3):
            until = f" until mean[over=D]({name}) > {self.threshold()}"
        body.append(f"yield {name}")
        states, result = self.fresh(), self.fresh()
        start = "zeros[N, D=4]()" if self.chance(0.5) else self.bridge(scope, self.some(scope), goal, lines)
        head = f"scan {item.name} in {series.name} over T with {name} = {start}{until}"
        lines.append(f"{states}, {result} = {head} {{\n{_indented(body)}\n}}")
        scope.values.append(Variable(result, goal))
        scope.values.append(Variable(states, (series.type[0], *goal)))

    def _turn(self, scope: Scope, carry: Variable, depth: int) -> tuple[list[str], str]:
        """The body of a loop that is run, and the name of what its carry becomes."""
        inner = Scope([*scope.values, carry, carry], list(scope.gates), scope.outputs, rowwise=False)
        self.loops += 1
        body = self.block(inner, self.rng.randint(1, 3), depth + 1, exits=False)
        self.loops -= 1
        return body, self.define(
            inner, body, f"tanh({self.bridge(inner, self.some(inner), carry.type, body)})", carry.type
        ).name

    def _dynamic_weight(self, scope: Scope, depth: int, lines: list[str]) -> None:
        """A layer whose weights are a value: each sample has its own, or a mixture of a bank."""
        vectors = [v for v in scope.values if len(v.type) == 1]
        if not vectors:
            return
        value, by = self.pick(vectors), self.pick(vectors)
        ((name, size),) = value.type
        if self.chance(0.5):
            weight = f"split[over=Q, into=(O, I), O=3](linear[Q={3 * size}]({by.name}))"
        else:
            bank, mix = self.fresh("p"), self.fresh()
            lines.append(f"param {bank}: f32[M=2, O=3, I={size}] = kaiming()")
            lines.append(f"{mix} = softmax(linear[M=2]({by.name}))")
            weight = f"sum[over=M](expand[N]({bank}) * {mix})"
        self.define(scope, lines, f"linear[{name}=3, bias=false]({value.name}, weight={weight})", vector(3, name))

    def _tuple(self, scope: Scope, depth: int, lines: list[str]) -> None:
        value, name, goal = self.some(scope), self.fresh("t"), vector(4)
        inner = scope.inner()
        body = self.block(inner, 1, DEEPEST, False)
        body.append(f"yield {self.bridge(inner, self.some(inner), goal, body)}")
        lines.append(f"{name} = for {self.fresh('i')} in 0 .. 2 {{\n{_indented(body)}\n}}")
        text = self.pick((f"{name}[0] + {name}[1]", f"max({name})", f"{name}[1] * {name}[0]", f"sum({name})"))
        del value
        self.define(scope, lines, text, goal)

    def _exit(self, scope: Scope, depth: int, lines: list[str]) -> None:
        inner = scope.inner()
        body = [] if self.chance(0.5) else self.block(inner, 1, DEEPEST, False)
        for out in scope.outputs:
            body.append(f"{out.name} = {self.bridge(inner, self.some(inner), out.type, body)}")
        condition = self.condition(scope)
        lines.append(f"exit {self.fresh('e')} {{\n{_indented(body)}\n}} when {condition}")


def _indented(lines: Sequence[str]) -> str:
    return "\n".join("    " + line for text in lines for line in text.split("\n"))


def _seed_text(head: str, lines: Sequence[str]) -> str:
    return f"{head} {{\n{_indented(lines)}\n}}\n"


def weights_of(graph: Graph, seed: int) -> dict[str, Array]:
    """Initial weights, with biases and statistics that differ from 0 and 1."""
    rng = np.random.default_rng(seed)
    arrays = {path: np.array(array) for path, array in initial_weights(graph, seed).items()}
    for path, array in arrays.items():
        if array.dtype.kind == "f" and array.ndim < 2:
            noise = rng.random(array.shape) if path.endswith("var") else rng.normal(0, 0.2, array.shape)
            arrays[path] = (array + noise).astype(array.dtype)
    return arrays


def inputs_of(graph: Graph, seed: int, rows: int = ROWS) -> dict[str, Array]:
    """Random inputs; those of a smaller batch are its first rows."""
    rng = np.random.default_rng(seed + 1)
    ports = [node for _, node in graph.nodes() if isinstance(node, Input)]
    full = {p.name: rng.standard_normal([s.evaluate({"N": ROWS}) for s in p.type.shape]) for p in ports}
    return {name: np.ascontiguousarray(a.astype(np.float32)[:rows]) for name, a in full.items()}


def files(text: str) -> dict[str, str]:
    """The texts of a program by name, the program first; `FILE` lines begin the others."""
    main, *others = re.split(r"^# ---- (.*)\n", text, flags=re.MULTILINE)
    return {"net.seed": main, **dict(zip(others[::2], others[1::2], strict=True))}


def read(text: str) -> Program:
    """The program of a text. Raises UserError."""
    found = files(text)
    return load(Source("<fuzz>", text), Settings()) if len(found) == 1 else load_texts(found, Settings())


def place(text: str, rates: Mapping[str, float], seed: int) -> str:
    """The text with every threshold placed so that about the wanted part of 16 random rows exceeds it."""
    graph = read(text).elaborated.graph.copy()
    weights, inputs = weights_of(graph, seed), inputs_of(graph, seed)
    pending = {float(t): t for t in rates}
    placed: dict[str, str] = {}
    found: dict[str, list[int]] = {}
    for id in graph.wiring().order:
        node = graph[id]
        if isinstance(node, Constant) and len(node.values) == 1 and node.values[0] in pending:
            found.setdefault(pending[float(node.values[0])], []).append(id)
    readers = {edge.src: edge.dst for edges in graph.wiring().ins.values() for edge in edges}
    rank = {id: i for i, id in enumerate(graph.wiring().order)}
    order = sorted(found, key=lambda t: min(rank[_compared(graph, readers, i)] for i in found[t]))  # type: ignore[arg-type]
    for threshold in order:
        reference = Reference(graph, weights)
        reference.run(inputs, {})
        scores: list[float] = []
        for id in found[threshold]:
            at = _compared(graph, readers, id)  # type: ignore[arg-type]
            other = next(
                v
                for v in graph.wiring().operands(at)
                if v is not None and v.node not in _sources(graph, readers, id, at)
            )
            try:
                parts = reference.value(Value(other.node, other.port))
            except KeyError:  # nothing depends on it
                continue
            scores += [float(s) for part in parts for s in np.ravel(part)]
        placed[threshold] = f"{choose_threshold(scores, rates[threshold]):.4f}"
        for id in found[threshold]:
            constant = graph[id]  # type: ignore[index]
            assert isinstance(constant, Constant)
            graph.update(id, Constant(constant.type, (float(placed[threshold]),), constant.origin))  # type: ignore[arg-type]
    rng = random.Random(seed)  # for those that stand in loops, or that nothing depends on
    return re.sub(r"\b1\d\d\d\.\d+\b", lambda m: placed.get(m.group()) or rng.choice(("0.5", "0.05", "-0.2")), text)


def _compared(graph: Graph, readers: Mapping[int, int], id: int) -> int:
    """The comparison that a constant ends in, behind casts and moves."""
    at = readers[id]
    while getattr(graph[at], "op", "") not in ("gt", "ge", "lt", "le"):  # type: ignore[index]
        at = readers[at]
    return at


def _sources(graph: Graph, readers: Mapping[int, int], id: int, at: int) -> set[int]:
    chain = {id}
    while readers[id] != at:
        id = readers[id]
        chain.add(id)
    return chain


def choose_threshold(scores: Sequence[float], rate: float) -> float:
    """The middle of a wide gap near the wanted rate."""
    if not scores:
        return 0.5
    ordered = sorted(scores)
    edges = [ordered[0] - 1, *ordered, ordered[-1] + 1]
    place = round((1 - rate) * len(ordered))
    best = max(
        range(len(ordered) + 1),
        key=lambda i: (edges[i + 1] - edges[i] > 2 * MARGIN, -abs(i - place), edges[i + 1] - edges[i]),
    )
    return (edges[best] + edges[best + 1]) / 2


def generate(seed: int) -> str:
    """The text of a program, thresholds placed. Raises UserError where the generator wrote no legal program."""
    generator = Generator(seed)
    text = generator.program()
    return place(text, generator.rates, seed)
