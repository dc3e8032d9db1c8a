"""Runs the parse tables over tokens and builds values on the way; what to do at a mistake is decided in `recovery`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cogseedc.frontend.tables import INLINE, KEEP, Tables
from cogseedc.frontend.tokens import END, WORDS_IN_PLACE, Tokens

Value = Any  # What a rule builds depends on the rule; the grammar, not a type, says what its children are.
Builder = Callable[[list[Value], int, int], Value]
"""Makes the value of a rule from its children's and the first and last token's index; a token's value is its index."""

_AFTER_NAME = frozenset(["=", ",", ")", "]", "|>", "."])
"""Signs that no word in place is followed by: before them it is a name."""


class TooDeepError(Exception):
    """An expression is deeper than what recursive readers of the tree can bear; `first` and `last` are its tokens."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self.first = first
        self.last = last


class Machine:
    """The automaton and its stack: `states` has one entry more than `values`, `begins` and `depths`."""

    __slots__ = (
        "begins", "builders", "deep", "depth", "depths", "names", "passed", "position", "states", "tables", "tokens",
        "values",
    )  # fmt: skip

    def __init__(
        self, tables: Tables, tokens: Tokens, builders: Sequence[Builder | None], deep: Sequence[bool], depth: int
    ) -> None:
        self.tables = tables
        self.tokens = tokens
        self.builders = builders
        self.deep = deep
        """Which rules add to the depth of the tree."""
        self.depth = depth
        self.states = [0]
        self.values: list[Value] = []
        self.begins: list[int] = []
        """Index of the first token of each value."""
        self.depths: list[int] = []
        self.position = 0
        self.passed: dict[tuple[int, int, str], int] = {}
        """Where rules lead that pass a value on: from a state above another, before a token. An operand goes through a
        rule for each level of precedence."""
        self.names: set[int] = set()
        """Words in place that were read as names."""

    def run(self) -> Value | None:
        """Goes on until the end, and returns the value of the whole, or until a token that cannot stand; then None.

        Raises TooDeepError.
        """
        actions, gotos, rules = self.tables.actions, self.tables.gotos, self.tables.rules
        kinds, states, values = self.tokens.kinds, self.states, self.values
        begins, depths, builders, deep = self.begins, self.depths, self.builders, self.deep
        final, most, passed = self.tables.final, self.depth, self.passed
        position = self.position
        kind = self._resolve(position)
        state = states[-1]
        while True:
            action = actions[state].get(kind)
            if action is None:
                self.position = position
                return None
            if action >= 0:
                if state == final and kind == END:
                    return values[-1]
                states.append(action)
                values.append(position)
                begins.append(position)
                depths.append(0)
                state = action
                position += 1
                kind = kinds[position]
                if kind in WORDS_IN_PLACE:
                    kind = self._resolve(position)
                continue
            rule = rules[~action]
            size = rule.size
            if rule.passes and size == 1:
                way = (states[-2], state, kind)
                state = states[-1] = passed[way] if way in passed else passed.setdefault(way, self._passed(*way))
                continue
            if size:
                parts = values[-size:]
                if rule.kept is None:
                    children = _children(parts, rule.parts, rule.collects)
                elif len(rule.kept) == size:
                    children = parts
                else:
                    children = [parts[i] for i in rule.kept]
                begin = begins[-size]
                if size == 1:
                    depth = depths.pop()
                    del states[-1], values[-1], begins[-1]
                else:
                    depth = max(depths[-size:])
                    del states[-size:], values[-size:], begins[-size:], depths[-size:]
            else:
                children, begin, depth = [], position, 0
            if deep[~action]:
                depth += 1
                if depth > most:
                    raise TooDeepError(begin, position - 1)
            builder = builders[~action]
            if builder is not None:
                values.append(builder(children, begin, position - 1))
            else:
                values.append(children[0] if rule.passes else children)
            state = gotos[states[-1]][rule.origin]
            states.append(state)
            begins.append(begin)
            depths.append(depth)

    def _passed(self, below: int, state: int, kind: str) -> int:
        """The state after all rules that pass the value of `state` on before a token of a kind."""
        actions, gotos, rules = self.tables.actions, self.tables.gotos, self.tables.rules
        action = actions[state].get(kind)
        while action is not None and action < 0 and rules[~action].passes and rules[~action].size == 1:
            state = gotos[below][rules[~action].origin]
            action = actions[state].get(kind)
        return state

    def accepts(self, height: int, *kinds: str) -> bool:
        """Whether tokens of these kinds can follow when only the lowest `height` states are kept."""
        return advance(self.tables, self.states[:height], kinds)

    def replay(self, height: int, first: int) -> list[int]:
        """The states after the tokens from `first` on, read anew above `height`: as they were before the token that
        cannot stand made the machine end what it could.
        """
        kinds, states = self.tokens.kinds, self.states[:height]
        read = ["NAME" if i in self.names else kinds[i] for i in range(first, self.position)]
        return states if advance(self.tables, states, read) else list(self.states)

    def shifts(self, height: int, kind: str) -> bool:
        """Whether the state at `height` takes this token as it is, without ending anything before it."""
        return self.tables.actions[self.states[height - 1]].get(kind, -1) >= 0

    def truncate(self, height: int) -> None:
        """Forgets all but the lowest `height` states."""
        del self.states[height:], self.values[height - 1 :], self.begins[height - 1 :], self.depths[height - 1 :]

    def _resolve(self, position: int) -> str:
        """Kind of a token; a word in place is a name where the grammar cannot take it and go on after it."""
        kinds = self.tokens.kinds
        kind = kinds[position]
        if kind not in WORDS_IN_PLACE:
            return kind
        after = kinds[position + 1]
        if after in _AFTER_NAME:
            self.names.add(position)
            return "NAME"
        following = (after, "NAME") if after in WORDS_IN_PLACE else (after,)
        if any(self.accepts(len(self.states), kind, next_kind) for next_kind in following):
            return kind
        if not any(self.accepts(len(self.states), "NAME", next_kind) for next_kind in (*following, "NAME")[:2]):
            return kind
        self.names.add(position)
        return "NAME"


def advance(tables: Tables, states: list[int], kinds: Sequence[str]) -> bool:
    """Moves `states` over tokens without building anything; False at one that cannot stand."""
    for kind in kinds:
        while True:
            action = tables.actions[states[-1]].get(kind)
            if action is None:
                return False
            if action >= 0:
                states.append(action)
                break
            rule = tables.rules[~action]
            if rule.parts:
                del states[-len(rule.parts) :]
            states.append(tables.gotos[states[-1]][rule.origin])
    return True


def _children(values: list[Value], parts: tuple[int, ...], collects: bool) -> list[Value]:
    """The values that a rule keeps. A collecting rule that begins with a list makes that list longer, in place."""
    if collects and parts[0] == INLINE:
        children: list[Value] = values[0]
        values, parts = values[1:], parts[1:]
    else:
        children = []
    for value, part in zip(values, parts, strict=True):
        if part == KEEP:
            children.append(value)
        elif part == INLINE:
            children.extend(value)
    return children
