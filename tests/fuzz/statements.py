"""Writes statements of random programs: gates and everything that they decide, loops, exits, losses."""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz.operations import BINARY, UNARY, Type, is_image, is_series, is_vector, over, vector
from tests.fuzz.writer import Callee, Scope, Variable, Writer, indented

DEEPEST = 3
MOST_LOOPS = 2
NARROW = ("linear3", "linear4", "linear6", "conv", "conv3", "conv_stride", "conv_norm")
ESTIMATORS = ("gumbel[temperature=0.7]", "straight_through", "soft")
TRAINABLE = ("mean[", "max[", "min[", "linear[", "argmax(", "top[", "confidence(", "softmax")
MANY = (
    " * mean[over=E]({gate}.weights)",
    " * sum[over=E]({gate}.mask * 0.4)",
    " + tanh({gate}.logp) * 0.1",
    " * max[over=E]({gate}.scores)",
)
"""What else is read of a decision for several."""
OPEN = (
    "mean[over=L](relu(linear[F=4](s)))",
    "mean[over=L](softmax[over=L](s) * s)",
    "sum[over=L](s) / L",
    "mean[over=L](s) * (L / 4)",
    "max[over=L](cumsum[over=L](s) * 0.3)",
    "mean[over=L](attend[over=L](s, tanh(s), s))",
    "mean[over=L](when {gate} {{ linear[F=4](tanh(s)) }} else {{ s }})",
    "(gru[F=4, over=L](s)[0])[L=0]",
    "s[L=0] + mean[over=L](range[L, dtype=f32]()) * 0.1",
)
"""Vectors that are read along an open axis L of `s`."""


class Statements(Writer):
    """Blocks of one program under way."""

    def block(self, scope: Scope, statements: int, depth: int, exits: bool) -> list[str]:
        """Statements, whose values are added to the scope."""
        lines: list[str] = []
        for _ in range(statements):
            if self.budget <= 0:
                break
            self.budget -= 1
            due = len(self.due)
            for _, make in self._choices(scope, depth, exits):
                make(scope, depth, lines)
            if len(self.due) < due:  # somewhere inside
                scope.loose.append(scope.values[-1])
        return lines

    def forced(self, scope: Scope, lines: list[str]) -> None:
        """The statement whose turn it is."""
        kind, _, axes = self.kind.partition(" ")
        made: dict[str, Callable[[], None]] = {
            "when": lambda: self._when(scope, 0, lines),
            "one": lambda: self._route_one(scope, 0, lines),
            "many": lambda: self._route_many(scope, 0, lines, series=False),
            "tokens": lambda: self._route_many(scope, 0, lines, series=True),
            "capacity": lambda: self._route_many(scope, 0, lines, series=True, capacity=True),
            "axes": lambda: self._axes(scope, 0, lines, axes),
            "for": lambda: self._for(scope, 0, lines),
            "repeat": lambda: self._repeat(scope, 0, lines),
            "scan": lambda: self._scan(scope, 0, lines),
            "dynamic": lambda: self._dynamic_weight(scope, 0, lines),
            "tuple": lambda: self._tuple(scope, 0, lines),
            "exit": lambda: self._exit(scope, 0, lines),
            "broadcast": lambda: self._broadcast(scope, 0, lines),
        }
        count = len(scope.values)
        if kind in made:
            made[kind]()
        for _ in range(2 if kind == "bits" else 0):
            self._bits(scope, lines)
        if kind == "gate":
            self._gate(scope, 0, lines)
            if scope.gates:
                self._gate_value(scope, 0, lines)
        if len(scope.values) > count:
            scope.loose.append(scope.values[-1])

    def open(self, scope: Scope, lines: list[str]) -> None:
        """Reads an input along whose axis L the size is known when the artifact runs only."""
        text = self.pick(OPEN)
        if "{gate}" in text:
            name = self.fresh("a")
            lines.append(f"gate {name} over N, L = mean[over=F](s) > {self.threshold()}")
            text = text.format(gate=name)
        scope.loose.append(self.define(scope, lines, text, vector(4, "F")))

    def via(self, text: str) -> str:
        """A decision, perhaps with an estimator, which training alone uses."""
        if (
            "via" not in self.features
            or self.chance(0.6)
            or not text.startswith(TRAINABLE)
            or " and " in text
            or " or " in text
        ):
            return text
        return f"{text} via {self.pick(ESTIMATORS)}"

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
            ("repeat", 0.3 if self.loops else 1.0, self._repeat, self.loops < MOST_LOOPS and "repeat" in self.features),
            ("scan", 0.3 if self.loops else 1.0, self._scan, self.loops < MOST_LOOPS and "scan" in self.features),
            ("dynamic weight", 0.7, self._dynamic_weight, "dynamic weight" in self.features),
            ("tuple", 0.5, self._tuple, "tuple" in self.features),
            ("broadcast", 0.7, self._broadcast, "broadcast" in self.features),
            ("gate value", 0.5, self._gate_value, bool(scope.gates) and "gate value" in self.features),
            ("exit", 1.0, self._exit, exits and scope.rowwise),
        ]
        legal = [(name, weight, make) for name, weight, make, fits in table if fits]
        (chosen,) = self.rng.choices(legal, [weight for _, weight, _ in legal])
        return [(chosen[0], chosen[2])]

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
        self.call(scope, self.pick(self.callees), lines)

    def call(self, scope: Scope, callee: Callee, lines: list[str]) -> Variable:
        self.called.add(callee)
        given = self.bridge(scope, self.some(scope), callee.source, lines)
        return self.define(scope, lines, f"{callee.name}({given})", callee.result)

    def _gate(self, scope: Scope, depth: int, lines: list[str]) -> None:
        text = self.condition(scope)
        if "tau" in text or text in scope.gates:
            return
        name = self.fresh("g")
        lines.append(f"gate {name} over N = {self.via(text)}")
        scope.gates.append(name)

    def _gate_value(self, scope: Scope, depth: int, lines: list[str]) -> None:
        value = self.some(scope)
        self.define(scope, lines, f"{value.name} * {self.pick(scope.gates)}", value.type)

    def arm(self, scope: Scope, goal: Type, depth: int, plain: float = 0.3) -> str:
        """A block in braces that ends in a value of the wanted type."""
        inner = scope.inner()
        exits = "arm exit" in self.features and depth <= 2 and self.chance(0.2)
        lines = [] if self.chance(plain) else self.block(inner, self.rng.randint(1, 3), depth, exits)
        if lines and self.chance(0.5):
            self.write_due(inner, lines)
        last = self.some(inner) if lines else self.some(scope)
        lines.append(f"yield {self.result(inner, last, goal, lines)}")
        return "{\n" + indented(lines) + "\n}"

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
        lines.append(f"gate {name} over N = {self.via(f'argmax(linear[{count}]({flat}))')}")
        kept = list(range(count))
        if self.chance(0.4):
            kept.remove(self.pick(kept))
        arms = [f"{i} => {self.arm(scope, goal, depth + 1)}" for i in kept]
        if len(kept) < count or self.chance(0.2):
            arms.append(f"else => {self.arm(scope, goal, depth + 1)}")
        self.define(scope, lines, f"route {name} {{\n{indented(arms)}\n}}", goal)

    def _route_many(
        self, scope: Scope, depth: int, lines: list[str], series: bool | None = None, capacity: bool = False
    ) -> None:
        if series is None:
            series = "axes" in self.features and self.chance(0.3) and any(is_series(v.type) for v in scope.values)
        count = self.pick((3, 4))
        k = self.rng.randint(1, count - 1)
        name = self.fresh("m")
        if series:
            value = self.fitting(scope, is_series, lines)
            goal, axes, scores = value.type, "N, T", f"softmax[over=E](linear[E={count}]({value.name}))"
        else:
            value, goal, axes = self.some(scope), self._join(scope), "N"
            flat = value.name if len(value.type) == 1 else f"flatten({value.name})"
            scores = f"softmax[over=E](linear[E={count}]({flat}))"
        options = ", renormalize=true" if self.chance(0.3) else ""
        top = f"top[{k}{options}]({scores})"
        if capacity or (series and "capacity" in self.features and self.chance(0.4)):
            top = f"capacity[{self.pick((1, 2))}, over=T]({top})"
        lines.append(f"gate {name} over {axes} = {top if 'capacity' in top else self.via(top)}")
        if not depth and self.loops == 0 and "loss" in self.features:
            self.losses.append(f"loss {self.fresh('l')} = load_balance({name})")
        outside = scope
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
        found = self.define(outside, lines, f"route {name}{merge} {{\n{indented(arms)}\n}}", goal)
        if self.chance(0.4):
            self.define(outside, lines, found.name + self.pick(MANY).format(gate=name), goal)

    def _axes(self, scope: Scope, depth: int, lines: list[str], axes: str = "") -> None:
        """A gate over further axes: T, C, or H and W."""
        axes = axes or self.pick(("T", "C", "H, W"))
        value = self.fitting(scope, is_series if axes == "T" else is_image, lines)
        rest = {"T": "D", "C": "H, W", "H, W": "C"}[axes]
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
        body.append(f"next {carry.name} = {self.result(inner, self.some(inner), start.type, body)}")
        head = f"for {self.fresh('i')} in 0 .. {self.pick((2, 3))} with {carry.name} = {start.name}"
        self.define(scope, lines, f"{head} {{\n{indented(body)}\n}}", start.type)

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
        head = f"repeat {self.pick((1, 2, 3) if self.loops else (1, 2, 3, 5))} with {carries}{until}"
        lines.append(f"{result}{', ' + result + 'n' if counted else ''} = {head} {{\n{indented(body)}\n}}")
        scope.values.append(Variable(result, start.type))
        if counted:
            self.define(scope, lines, f"{result} * ({result}n / 4)", start.type)

    def _scan(self, scope: Scope, depth: int, lines: list[str]) -> None:
        series = self.fitting(scope, is_series, lines)
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
        lines.append(f"{states}, {result} = {head} {{\n{indented(body)}\n}}")
        scope.values.append(Variable(result, goal))
        scope.values.append(Variable(states, (series.type[0], *goal)))

    def _turn(self, scope: Scope, carry: Variable, depth: int) -> tuple[list[str], str]:
        """The body of a loop that is run, and the name of what its carry becomes."""
        inner = Scope([*scope.values, carry, carry], list(scope.gates), scope.outputs, rowwise=False)
        self.loops += 1
        body = self.block(inner, self.rng.randint(1, 3), depth + 1, exits=False)
        if self.chance(0.5):
            self.write_due(inner, body)
        last = self.result(inner, self.some(inner), carry.type, body)
        self.loops -= 1
        return body, self.define(inner, body, f"tanh({last})", carry.type).name

    def _bits(self, scope: Scope, lines: list[str]) -> None:
        """A layer in a precision that all targets have."""
        value = self.some(scope)
        layers = [op for op in UNARY if op.name in NARROW and op.guard(value.type)]
        lines.append(f"@bits({self.pick(('int8', 'int8', 'fp16'))})")
        self.write(scope, self.pick(layers), value, lines)

    def _dynamic_weight(self, scope: Scope, depth: int, lines: list[str]) -> None:
        """A layer whose weights are a value: each sample has its own, or a mixture of a bank."""
        value, by = self.fitting(scope, is_vector, lines), self.fitting(scope, is_vector, lines)
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
        body.append(f"yield {self.result(inner, self.some(inner), goal, body)}")
        lines.append(f"{name} = for {self.fresh('i')} in 0 .. 2 {{\n{indented(body)}\n}}")
        text = self.pick((f"{name}[0] + {name}[1]", f"max({name})", f"{name}[1] * {name}[0]", f"sum({name})"))
        del value
        self.define(scope, lines, text, goal)

    def _exit(self, scope: Scope, depth: int, lines: list[str]) -> None:
        inner = scope.inner()
        body = [] if self.chance(0.5) else self.block(inner, 1, DEEPEST, False)
        for out in scope.outputs:
            body.append(f"{out.name} = {self.bridge(inner, self.some(inner), out.type, body)}")
        condition = self.condition(scope)
        lines.append(f"exit {self.fresh('e')} {{\n{indented(body)}\n}} when {condition}")
