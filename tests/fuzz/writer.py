"""Writes expressions of random programs, directed by types: every value knows its axes, `bridge` reaches any of them.

A program depends on its number alone. Thresholds are numbers of their own, which `placing` then replaces.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from tests.fuzz.operations import BINARY, SCORES, UNARY, Type, Unary, any_type, names, over, vector

RATES = (0.0, 0.3, 0.5, 0.8, 1.0)
FEATURES = (
    "exit", "seed exit", "arm exit", "for exit", "for", "tuple", "one", "many", "axes", "uniform", "logic",
    "several outputs", "shared", "anonymous", "broadcast", "gate value", "repeat", "scan", "capacity", "recursion",
    "dynamic weight", "imports", "state", "via", "loss", "open",
)  # fmt: skip
KINDS = (
    "when", "one", "many", "tokens", "capacity", "axes T", "axes C", "axes H, W", "for", "repeat", "scan", "dynamic weight",
    "tuple", "exit", "state", "open", "broadcast", "gate value",
    "bits",
)  # fmt: skip
"""What each program has in any case, in turn."""
TYPES: tuple[Type, ...] = (
    *(vector(size) for size in (4, 3, 6)),
    *((("C", c), ("H", 4), ("W", 4)) for c in (2, 3)),
    *((("T", t), ("D", d)) for t, d in ((4, 4), (2, 3))),
)
EACH = 3
"""Operations that a program has in any case: those of its turn."""


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

    loose: list[Variable] = field(default_factory=list)
    """What the block's result must read, so that the operations and the statement of the turn count."""

    def inner(self) -> Scope:
        return Scope(list(self.values), list(self.gates), self.outputs, self.rowwise)


class Writer:
    """Names, drawn choices and expressions of one program under way."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.unary = [op for op in UNARY if self.rng.random() < 0.5 or op.name in ("linear4", "relu")]
        self.binary = [name for name in sorted(BINARY) if self.rng.random() < 0.6] or ["add"]
        self.scores = [name for name in sorted(SCORES) if self.rng.random() < 0.6 or name in ("mean",)]
        self.features = {name for name in FEATURES if self.rng.random() < 0.6}
        self.due = [UNARY[(EACH * seed + i) % len(UNARY)] for i in range(EACH)]
        """Operations whose turn it is."""
        self.kind = KINDS[seed % len(KINDS)]
        """The statement whose turn it is."""
        self.count = self.thresholds = 0
        self.rates: dict[str, float] = {}
        self.callees: list[Callee] = []
        self.called: set[Callee] = set()
        self.knobs: list[str] = []
        self.losses: list[str] = []
        self.budget, self.most = self.pick(((4, 1), (4, 1), (4, 2), (8, 2), (8, 3), (16, 4), (40, 9)))
        """Statements of the whole program, and of the exported seed."""
        self.loops = 0
        """Loops around, which are run."""

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

    def result(self, scope: Scope, value: Variable, goal: Type, lines: list[str]) -> str:
        """What a block gives: a value, and all that it must read."""
        texts = [self.bridge(scope, part, goal, lines) for part in dict.fromkeys([value, *scope.loose])]
        return texts[0] if len(texts) == 1 else " + ".join(f"({text})" for text in texts)

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

    def fitting(self, scope: Scope, guard: Callable[[Type], bool], lines: list[str]) -> Variable:
        """A value that an operation takes, made for it where there is none."""
        if any(guard(v.type) for v in scope.values):
            return self.some(scope, guard)
        goal = self.pick([type for type in TYPES if guard(type)])
        return self.define(scope, lines, self.bridge(scope, self.some(scope), goal, lines), goal)

    def write_due(self, scope: Scope, lines: list[str]) -> Variable | None:
        """The next operation whose turn it is."""
        if not self.due:
            return None
        op = self.due.pop()
        found = self.write(scope, op, self.fitting(scope, op.guard, lines), lines)
        scope.loose.append(found)
        return found

    def write(self, scope: Scope, op: Unary, value: Variable, lines: list[str]) -> Variable:
        return self.define(scope, lines, op.spell(value.name, value.type), op.result(value.type))


def indented(lines: Sequence[str]) -> str:
    return "\n".join("    " + line for text in lines for line in text.split("\n"))
