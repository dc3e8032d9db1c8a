"""What each rule of the grammar builds: one entry per rule or alias of `seed.lark`; resolves no names."""

from __future__ import annotations

import math
from typing import Any

from cogseedc.diagnostics.model import Diagnostics
from cogseedc.frontend import ast
from cogseedc.frontend.machine import Builder, Value
from cogseedc.frontend.tables import Tables
from cogseedc.frontend.tokens import Tokens
from cogseedc.source import Span

_DEEP = frozenset(
    "pipe logical_or logical_and logical_not compare binary negate configure apply attribute tuple when route for "
    "repeat scan".split()
)
"""Rules that make a tree one level deeper."""
_SUFFIXES = {"k": 10**3, "M": 10**6, "G": 10**9}
_LARGEST = (1 << 63) - 1


class Actions:
    """Builds the nodes of one file."""

    def __init__(self, tokens: Tokens, diagnostics: Diagnostics) -> None:
        self.tokens = tokens
        self.diagnostics = diagnostics

    def builders(self, tables: Tables) -> list[Builder | None]:
        """The builder of each rule; None where the children themselves are the value."""
        return [None if rule.collects or rule.passes else getattr(self, rule.name) for rule in tables.rules]

    @staticmethod
    def deep(tables: Tables) -> list[bool]:
        """For each rule, whether it makes the tree deeper."""
        return [rule.name in _DEEP and not rule.passes for rule in tables.rules]

    def _span(self, first: int, last: int) -> Span:
        tokens = self.tokens
        return Span(tokens.source, tokens.starts[first], tokens.ends[last] if last >= first else tokens.starts[first])

    def _word(self, token: int) -> ast.Name:
        return ast.Name(self.tokens.text(token), self.tokens.span(token))

    def _doc(self, first: int) -> str:
        return self.tokens.docs.get(self.tokens.starts[first], "")

    # Files

    def start(self, children: list[Value], first: int, last: int) -> ast.File:
        source = self.tokens.source
        return ast.File(tuple(children), Span(source, 0, len(source.text)))

    def import_module(self, children: list[Value], first: int, last: int) -> ast.Import:
        path, is_file = children[0]
        version = children[1] if len(children) == 3 else None
        return ast.Import(path, is_file, version, children[-1], (), self._span(first, last))

    def import_names(self, children: list[Value], first: int, last: int) -> ast.Import:
        path, is_file = children[0]
        version = children[1] if isinstance(children[1], str) else None
        names = tuple(child for child in children if isinstance(child, ast.ImportedName))
        return ast.Import(path, is_file, version, None, names, self._span(first, last))

    def path(self, children: list[Value], first: int, last: int) -> tuple[str, bool]:
        return ".".join(name.text for name in children), False

    def file(self, children: list[Value], first: int, last: int) -> tuple[str, bool]:
        return self.tokens.text(first).strip('"'), True

    def version(self, children: list[Value], first: int, last: int) -> str:
        return self.tokens.text(last)

    def imported(self, children: list[Value], first: int, last: int) -> ast.ImportedName:
        return ast.ImportedName(children[0], children[-1], self._span(first, last))

    def const(self, children: list[Value], first: int, last: int) -> ast.Const:
        return ast.Const(*children, self._span(first, last))

    # Seeds

    def seed(self, children: list[Value], first: int, last: int) -> ast.SeedDeclaration:
        exported = children[0] is True
        name, *parameters, members = children[1:] if exported else children
        return ast.SeedDeclaration(
            name, *(parameters or [()]), members, exported, self._doc(first), self._span(first, last)
        )

    def export(self, children: list[Value], first: int, last: int) -> bool:
        return True

    def static_parameters(self, children: list[Value], first: int, last: int) -> tuple[ast.StaticParameter, ...]:
        return tuple(children)

    def static_parameter(self, children: list[Value], first: int, last: int) -> ast.StaticParameter:
        name, kind, *default = children
        return ast.StaticParameter(name, kind, default[0] if default else None, self._span(first, last))

    def static_type(self, children: list[Value], first: int, last: int) -> ast.StaticType:
        return ast.StaticType(children[0], len(children) == 2, self._span(first, last))

    def many(self, children: list[Value], first: int, last: int) -> bool:
        return True

    def members(self, children: list[Value], first: int, last: int) -> tuple[ast.Member, ...]:
        return tuple(children)

    def _meta(self, children: list[Value], first: int, last: int) -> ast.Meta:
        head, *values = children
        words = tuple(self._word(value) if isinstance(value, int) else value for value in values)
        return ast.Meta(self.tokens.text(head), words, self._span(first, last))

    level = seed_version = bits = geometry = scale = category = _meta

    def budget(self, children: list[Value], first: int, last: int) -> ast.Budget:
        _, quantity, *bounds = children
        return ast.Budget(quantity, tuple(bounds), self._span(first, last))

    def bound(self, children: list[Value], first: int, last: int) -> ast.Bound:
        measure, operator, value = children
        return ast.Bound(measure, self.tokens.text(operator), value, self._span(first, last))

    def input(self, children: list[Value], first: int, last: int) -> ast.Port:
        return ast.Port("in", *children, self._doc(first), self._span(first, last))

    def output(self, children: list[Value], first: int, last: int) -> ast.Port:
        return ast.Port("out", *children, self._doc(first), self._span(first, last))

    def knob(self, children: list[Value], first: int, last: int) -> ast.KnobDeclaration:
        name, *kind, default, low, high = children
        return ast.KnobDeclaration(
            name, kind[0] if kind else None, default, low, high, self._doc(first), self._span(first, last)
        )

    def type(self, children: list[Value], first: int, last: int) -> ast.Type:
        dtype, axes, *count = children
        return ast.Type(dtype, axes, count[0] if count else None, self._span(first, last))

    def axes(self, children: list[Value], first: int, last: int) -> tuple[ast.AxisType, ...]:
        return tuple(children)

    def axis(self, children: list[Value], first: int, last: int) -> ast.AxisType:
        size = children[0]
        span = self._span(first, last)
        if isinstance(size, ast.Reference) and size.name[0].isupper():
            return ast.AxisType(ast.Name(size.name, size.span), None, span)
        return ast.AxisType(None, size, span)

    def named_axis(self, children: list[Value], first: int, last: int) -> ast.AxisType:
        self._check_axis(children[0])
        return ast.AxisType(children[0], children[1], self._span(first, last))

    def count(self, children: list[Value], first: int, last: int) -> ast.Expr:
        expression: ast.Expr = children[0]
        return expression

    def _check_axis(self, name: ast.Name) -> None:
        if name.text[0].isupper():
            return
        upper = name.text[0].upper() + name.text[1:]
        fix = f"write `{upper}`" if name.text[0].isalpha() else "begin it with an upper-case letter"
        self.diagnostics.error(
            "CS0123", f"`{name.text}` is no name of an axis: these begin with an upper-case letter", name.span, help=fix
        )

    # Statements

    def mark(self, children: list[Value], first: int, last: int) -> ast.Mark:
        name, *arguments = children
        return ast.Mark(name, *(arguments or [()]), self._span(first, last))

    def mark_arguments(self, children: list[Value], first: int, last: int) -> tuple[ast.Argument, ...]:
        return tuple(children)

    def _statement(self, node: Any, children: list[Value], first: int, last: int) -> Value:
        marks = tuple(child for child in children if isinstance(child, ast.Mark))
        return node(*children[len(marks) :], marks, self._doc(first), self._span(first, last))

    def bind(self, children: list[Value], first: int, last: int) -> ast.Bind:
        if len(children) == 2:
            return ast.Bind(children[0], children[1], (), self._doc(first), self._span(first, last))
        bind: ast.Bind = self._statement(ast.Bind, children, first, last)
        return bind

    def share(self, children: list[Value], first: int, last: int) -> Value:
        return self._statement(ast.Share, children, first, last)

    def param(self, children: list[Value], first: int, last: int) -> Value:
        return self._statement(ast.ParamDeclaration, children, first, last)

    def state(self, children: list[Value], first: int, last: int) -> Value:
        return self._statement(ast.StateDeclaration, children, first, last)

    def gate(self, children: list[Value], first: int, last: int) -> Value:
        if not isinstance(children[-1], _Via):
            children.append(_Via(None))
        estimator = children.pop().estimator
        for axis in children[-2]:
            self._check_axis(axis)
        return self._statement(ast.GateDeclaration, [*children, estimator], first, last)

    def via(self, children: list[Value], first: int, last: int) -> _Via:
        return _Via(children[0])

    def exit(self, children: list[Value], first: int, last: int) -> Value:
        return self._statement(ast.ExitDeclaration, children, first, last)

    def exits(self, children: list[Value], first: int, last: int) -> Value:
        return self._statement(ast.ExitsDeclaration, children, first, last)

    def exit_block(self, children: list[Value], first: int, last: int) -> tuple[ast.Statement, ...]:
        return tuple(children)

    def next(self, children: list[Value], first: int, last: int) -> Value:
        return self._statement(ast.Next, children, first, last)

    def loss(self, children: list[Value], first: int, last: int) -> Value:
        return self._statement(ast.LossDeclaration, children, first, last)

    def names(self, children: list[Value], first: int, last: int) -> tuple[ast.Name, ...]:
        return tuple(children)

    # Blocks

    def block(self, children: list[Value], first: int, last: int) -> ast.Block:
        yields: tuple[ast.Expr, ...] = children.pop() if children and isinstance(children[-1], tuple) else ()
        return ast.Block(tuple(children), yields, self._span(first, last))

    loop_block = block

    def expression_block(self, children: list[Value], first: int, last: int) -> ast.Block:
        return ast.Block((), (children[0],), self._span(first, last))

    def bare_block(self, children: list[Value], first: int, last: int) -> ast.Block:
        return ast.Block((), (children[0],), self._span(first, last), braces=False)

    def yields(self, children: list[Value], first: int, last: int) -> tuple[ast.Expr, ...]:
        return tuple(children)

    # Expressions

    def pipe(self, children: list[Value], first: int, last: int) -> ast.Pipe:
        return ast.Pipe(children[0], children[1], self._span(first, last))

    def logical_or(self, children: list[Value], first: int, last: int) -> ast.Logical:
        return ast.Logical("or", children[0], children[1], self._span(first, last))

    def logical_and(self, children: list[Value], first: int, last: int) -> ast.Logical:
        return ast.Logical("and", children[0], children[1], self._span(first, last))

    def logical_not(self, children: list[Value], first: int, last: int) -> ast.Not:
        return ast.Not(children[0], self._span(first, last))

    def compare(self, children: list[Value], first: int, last: int) -> ast.Compare:
        return ast.Compare(self.tokens.text(children[1]), children[0], children[2], self._span(first, last))

    def binary(self, children: list[Value], first: int, last: int) -> ast.Binary:
        return ast.Binary(self.tokens.text(children[1]), children[0], children[2], self._span(first, last))

    def negate(self, children: list[Value], first: int, last: int) -> ast.Negate:
        return ast.Negate(children[0], self._span(first, last))

    def configure(self, children: list[Value], first: int, last: int) -> ast.Configure:
        return ast.Configure(children[0], tuple(children[1:]), self._span(first, last))

    def apply(self, children: list[Value], first: int, last: int) -> ast.Apply:
        return ast.Apply(children[0], tuple(children[1:]), self._span(first, last))

    def attribute(self, children: list[Value], first: int, last: int) -> ast.Attribute:
        return ast.Attribute(children[0], children[1], self._span(first, last))

    def positional(self, children: list[Value], first: int, last: int) -> ast.Positional:
        return ast.Positional(children[0], self._span(first, last))

    def keyword(self, children: list[Value], first: int, last: int) -> ast.Keyword:
        return ast.Keyword(children[0], children[1], self._span(first, last))

    def slice(self, children: list[Value], first: int, last: int) -> ast.Slice:
        return ast.Slice(*children, self._span(first, last))

    def tuple(self, children: list[Value], first: int, last: int) -> ast.Tuple:
        return ast.Tuple((*children,), self._span(first, last))

    def name(self, children: list[Value], first: int, last: int) -> ast.Name:
        return self._word(first)

    def reference(self, children: list[Value], first: int, last: int) -> ast.Reference:
        name: ast.Name = children[0]
        return ast.Reference(name.text, name.span)

    def string(self, children: list[Value], first: int, last: int) -> ast.String:
        return ast.String(self.tokens.text(first).strip("\"'"), self._span(first, last))

    def boolean(self, children: list[Value], first: int, last: int) -> ast.Boolean:
        return ast.Boolean(self.tokens.text(first) == "true", self._span(first, last))

    def number(self, children: list[Value], first: int, last: int) -> ast.Number:
        text, span = self.tokens.text(first), self._span(first, last)
        value = number(text)
        if value is None:
            shown = text if len(text) <= 24 else f"{text[:20]}... ({len(text)} characters)"
            self.diagnostics.error(
                "CS0116", f"{shown} is beyond the range of numbers", span,
                help=f"integers go up to {_LARGEST}, fractional numbers to 1.7e308",
            )  # fmt: skip
            return ast.Number(0, text, span)
        return ast.Number(value, text, span)

    # Regions

    def when(self, children: list[Value], first: int, last: int) -> ast.When:
        return ast.When(*children, self._span(first, last))

    def route(self, children: list[Value], first: int, last: int) -> ast.Route:
        selector, *rest = children
        merge = rest.pop(0) if isinstance(rest[0], ast.Name) else None
        return ast.Route(selector, merge, (*rest,), self._span(first, last))

    def merge(self, children: list[Value], first: int, last: int) -> ast.Name:
        name: ast.Name = children[0]
        return name

    def arm(self, children: list[Value], first: int, last: int) -> ast.Arm:
        return ast.Arm(*children, self._span(first, last))

    def case(self, children: list[Value], first: int, last: int) -> ast.Case:
        return ast.Case(self.number([], first, last), self._span(first, last))

    def cases(self, children: list[Value], first: int, last: int) -> ast.Cases:
        return ast.Cases(*children, self._span(first, last))

    def otherwise(self, children: list[Value], first: int, last: int) -> ast.Otherwise:
        return ast.Otherwise(self._span(first, last))

    # `for` is a word of Python: the rule is found by its name through `getattr` all the same.
    def _for(self, children: list[Value], first: int, last: int) -> ast.For:
        variable, start, stop, *carries, body = children
        return ast.For(variable, start, stop, *(carries or [()]), body, self._span(first, last))

    locals()["for"] = _for

    def repeat(self, children: list[Value], first: int, last: int) -> ast.Repeat:
        limit, *options, body = children
        carries, until = _loop_options(options)
        return ast.Repeat(limit, carries, until, body, self._span(first, last))

    def scan(self, children: list[Value], first: int, last: int) -> ast.Scan:
        variables, sequence, axis, *options, body = children
        self._check_axis(axis)
        carries, until = _loop_options(options)
        return ast.Scan(variables, sequence, axis, carries, until, body, self._span(first, last))

    def carries(self, children: list[Value], first: int, last: int) -> tuple[ast.Carry, ...]:
        return (*children,)

    def carry(self, children: list[Value], first: int, last: int) -> ast.Carry:
        return ast.Carry(children[0], children[1], self._span(first, last))

    def until(self, children: list[Value], first: int, last: int) -> ast.Expr:
        expression: ast.Expr = children[0]
        return expression
