"""From source text to syntax tree; the only user of lark, which makes the tables when the shipped ones do not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cogseedc.diagnostics.model import Diagnostics
from cogseedc.frontend import actions, ast, tables
from cogseedc.frontend.machine import Machine, TooDeepError
from cogseedc.frontend.mistakes import replace_foreign_words
from cogseedc.frontend.recovery import Recovery
from cogseedc.frontend.tables import DROP, INLINE, KEEP, Rule, Tables
from cogseedc.frontend.tokens import END, Tokens, tokenize, words
from cogseedc.lazy import lazy
from cogseedc.limits import Limits
from cogseedc.source import Source, Span

if TYPE_CHECKING:
    import lark
    from lark.parsers.lalr_analysis import ParseTable
else:
    lark = lazy("lark")

_State = Any  # lark declares states as sets of rules, and numbers them.
_DEPTH = 4
"""An expression may be this many times deeper than brackets may nest: operators and calls count, brackets do not."""


def parse(source: Source, diagnostics: Diagnostics, limits: Limits) -> ast.File | None:
    """The tree of `source`. Its mistakes go to `diagnostics`.

    With mistakes that spoil single statements there is a tree of the rest, so that this is checked too; else None.
    """
    found = Diagnostics(limits.diagnostics)
    file = _parse(source, found, limits)
    for diagnostic in found:
        if diagnostic.code != Limits.code("diagnostics"):
            diagnostics.add(diagnostic)
    diagnostics.dropped += found.dropped
    return file


def _parse(source: Source, diagnostics: Diagnostics, limits: Limits) -> ast.File | None:
    if _bytes(source.text) > limits.source_bytes:
        message = f"the source is longer than {limits.source_bytes} bytes"
        diagnostics.error(
            Limits.code("source_bytes"), message, Span(source, 0, 0),
            help="split it into files, or raise the limit: --limit source_bytes=N",
        )  # fmt: skip
        return None
    tokens = tokenize(source, diagnostics, limits)
    if not tokens.complete:
        return None
    replace_foreign_words(tokens, diagnostics)
    return _run(tokens, diagnostics, limits)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _run(tokens: Tokens, diagnostics: Diagnostics, limits: Limits) -> ast.File | None:
    """Runs the machine, over mistakes too, as long as there is something to go on with."""
    made = tables.load(make_tables)
    builders = actions.builders(made, tokens, diagnostics)
    machine = Machine(made, tokens, builders, actions.deepening(made), _DEPTH * limits.nesting)
    recovery = Recovery(machine, diagnostics)
    try:
        while True:
            file: ast.File | None = machine.run()
            if file is not None:
                return replace(file, suspects=frozenset(recovery.suspects)) if recovery.local else None
            if not recovery.resume():
                return None
    except TooDeepError as deep:
        message = f"this expression is deeper than {_DEPTH * limits.nesting} operators and calls"
        start, end = tokens.starts[deep.first], tokens.ends[deep.last]
        fix = "bind parts of it to names, or raise the limit: --limit nesting=N"
        diagnostics.error(Limits.code("nesting"), message, Span(tokens.source, start, end), help=fix)
        return None


def make_tables(grammar: str) -> Tables:
    """The tables of a grammar, made by lark; states are numbered in the order in which parsing can reach them."""
    made = lark.Lark(grammar, parser="lalr")
    table: ParseTable = made.parser.parser._parse_table
    words = {t.name: t.pattern.value for t in made.terminals if isinstance(t.pattern, lark.lexer.PatternStr)}
    named = {t.name for t in made.terminals if t.name in _NAMED}
    terminals = {name: name if name in named else text for name, text in words.items()}
    terminals |= {t.name: t.name for t in made.terminals if t.name not in terminals} | {END: END}
    rules = list(dict.fromkeys(made.rules))
    numbers = {rule: ~number for number, rule in enumerate(rules)}
    order = _order(table.states, table.start_states["start"])
    actions_: list[dict[str, int]] = []
    gotos: list[dict[str, int]] = []
    for state in order:
        actions_.append({})
        gotos.append({})
        for symbol, (_, target) in sorted(table.states[state].items()):
            value = order[target] if not isinstance(target, lark.grammar.Rule) else numbers[target]
            (actions_ if symbol in terminals else gotos)[-1][terminals.get(symbol, symbol)] = value
    final = order[table.end_states["start"]]
    actions_[final][END] = final
    used = tuple(sorted({kind for row in actions_ for kind in row}))
    return Tables(_rules(rules), tuple(actions_), tuple(gotos), used, final)


_NAMED = words("LEVEL VERSION_WORD BITS GEOMETRY SCALE CATEGORY BUDGET PLUS MINUS STAR SLASH PERCENT CARET")
"""Terminals that the grammar names although they are plain words or signs; the others are known by their text."""


def _order(states: Mapping[_State, Mapping[str, tuple[Any, ...]]], start: _State) -> dict[_State, int]:
    """New numbers of the states, breadth first from `start`, so that the tables do not depend on hashing."""
    order: dict[_State, int] = {start: 0}
    queue = [start]
    for state in queue:
        for _, (_, target) in sorted(states[state].items()):
            if not isinstance(target, lark.grammar.Rule) and target not in order:
                order[target] = len(order)
                queue.append(target)
    return order


def _rules(rules: list[lark.grammar.Rule]) -> tuple[Rule, ...]:
    """What becomes of each symbol's value, by lark's own conventions for trees."""
    hidden = [rule for rule in rules if rule.origin.name.startswith("_")]
    transparent = {rule.origin.name for rule in hidden}
    while collecting := {rule.origin.name for rule in hidden if not _is_single(rule, transparent)} & transparent:
        transparent -= collecting
    return tuple(_rule(rule, transparent) for rule in rules)


def _is_single(rule: lark.grammar.Rule, transparent: set[str]) -> bool:
    """Whether a rule is another name for one symbol whose value is one value."""
    symbols = rule.expansion
    return len(symbols) == 1 and not symbols[0].is_term and not _inlines(symbols[0], transparent)


def _inlines(symbol: lark.grammar.Symbol, transparent: set[str]) -> bool:
    return not symbol.is_term and symbol.name.startswith("_") and symbol.name not in transparent


def _is_filtered(symbol: lark.grammar.Symbol) -> bool:
    return isinstance(symbol, lark.grammar.Terminal) and symbol.filter_out


def _rule(rule: lark.grammar.Rule, transparent: set[str]) -> Rule:
    origin = rule.origin.name
    parts = tuple(
        INLINE if _inlines(symbol, transparent) else DROP if _is_filtered(symbol) else KEEP for symbol in rule.expansion
    )
    single = parts.count(KEEP) == 1 and INLINE not in parts
    passes = origin in transparent or (bool(rule.options.expand1) and not rule.alias and single)
    collects = origin.startswith("_") and not passes
    return Rule(origin, rule.alias or origin, parts, collects, passes)
