"""What each rule of the grammar builds: a table with one entry per rule or alias of `seed.lark`; resolves no names."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cogseedc.diagnostics.model import Diagnostics
from cogseedc.frontend import ast
from cogseedc.frontend.machine import Builder, Value
from cogseedc.frontend.tables import Tables
from cogseedc.frontend.tokens import Tokens, words
from cogseedc.source import Span

_SUFFIXES = {"k": 10**3, "M": 10**6, "G": 10**9}
_LARGEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Site:
    """The file whose tree is built. Tokens are given by index, first and last one of a node."""

    tokens: Tokens
    diagnostics: Diagnostics

    def span(self, first: int, last: int) -> Span:
        tokens = self.tokens
        return Span(tokens.source, tokens.starts[first], tokens.ends[last] if last >= first else tokens.starts[first])

    def word(self, token: int) -> ast.Name:
        return ast.Name(self.tokens.text(token), self.tokens.span(token))

    def doc(self, first: int) -> str:
        return self.tokens.docs.get(self.tokens.starts[first], "")

    def check_axis(self, name: ast.Name) -> None:
        """Reports a name that cannot be an axis's."""
        if name.text[0].isupper() or name.text == "_":  # `_`: IR text, over no axes
            return
        upper = name.text[0].upper() + name.text[1:]
        fix = f"write `{upper}`" if name.text[0].isalpha() else "begin it with an upper-case letter"
        if name.text in ("batch", "b"):
            fix = "the batch is the axis `N`"
        message = f"`{name.text}` is no name of an axis: these begin with an upper-case letter"
        self.diagnostics.error("CS0123", message, name.span, help=fix)


Action = Callable[[Site, list[Value], int, int], Value]


def builders(tables: Tables, tokens: Tokens, diagnostics: Diagnostics) -> list[Builder | None]:
    """The builder of each rule; None where the children themselves are the value."""
    site = Site(tokens, diagnostics)
    made = {name: partial(action, site) for name, action in ACTIONS.items()}
    return [None if rule.collects or rule.passes else made[rule.name] for rule in tables.rules]


def deepening(tables: Tables) -> list[bool]:
    """For each rule, whether it makes the tree a level deeper."""
    return [rule.name in DEEP and not rule.passes for rule in tables.rules]


def number(text: str) -> int | float | None:
    """Value of a number as written: an int without point or exponent; None when it is out of range."""
    scale = _SUFFIXES.get(text[-1:], 1)
    digits = text[:-1] if scale > 1 else text
    if digits.isdecimal():
        short = digits.lstrip("0") or "0"
        if len(short) > 19 or int(short) * scale > _LARGEST:
            return None
        return int(short) * scale
    try:
        value = float(digits) * scale
    except ValueError:  # reported by the tokens already
        return 0
    return value if math.isfinite(value) else None


def _node(make: Callable[..., Value]) -> Action:
    """A node whose fields are the children, in order, and its span."""
    return lambda site, children, first, last: make(*children, site.span(first, last))


def _documented(make: Callable[..., Value]) -> Action:
    """A statement: its fields are the children after its marks, then the marks, its doc and its span."""

    def build(site: Site, children: list[Value], first: int, last: int) -> Value:
        count = 0
        while isinstance(children[count], ast.Mark):
            count += 1
        return make(*children[count:], tuple(children[:count]), site.doc(first), site.span(first, last))

    return build


def _items(site: Site, children: list[Value], first: int, last: int) -> tuple[Value, ...]:
    return tuple(children)


def _only(site: Site, children: list[Value], first: int, last: int) -> Value:
    return children[0]


def _present(site: Site, children: list[Value], first: int, last: int) -> bool:
    return True


# Files and seeds


def _file(site: Site, children: list[Value], first: int, last: int) -> ast.File:
    source = site.tokens.source
    return ast.File(tuple(children), Span(source, 0, len(source.text)))


def _import_module(site: Site, children: list[Value], first: int, last: int) -> ast.Import:
    (path, is_file), *version, alias = children
    return ast.Import(path, is_file, version[0] if version else None, alias, (), site.span(first, last))


def _import_names(site: Site, children: list[Value], first: int, last: int) -> ast.Import:
    (path, is_file), *names = children
    version = names.pop(0) if isinstance(names[0], str) else None
    return ast.Import(path, is_file, version, None, tuple(names), site.span(first, last))


def _path(site: Site, children: list[Value], first: int, last: int) -> tuple[str, bool]:
    return ".".join(name.text for name in children), False


def _path_of_file(site: Site, children: list[Value], first: int, last: int) -> tuple[str, bool]:
    return _unquoted(site.tokens.text(first)), True


def _imported(site: Site, children: list[Value], first: int, last: int) -> ast.ImportedName:
    return ast.ImportedName(children[0], children[-1], site.span(first, last))


def _seed(site: Site, children: list[Value], first: int, last: int) -> ast.SeedDeclaration:
    exported = children[0] is True
    name, *parameters, members = children[1:] if exported else children
    return ast.SeedDeclaration(
        name, parameters[0] if parameters else (), members, exported, site.doc(first), site.span(first, last)
    )


def _static_parameter(site: Site, children: list[Value], first: int, last: int) -> ast.StaticParameter:
    name, kind, *default = children
    return ast.StaticParameter(name, kind, default[0] if default else None, site.span(first, last))


def _static_type(site: Site, children: list[Value], first: int, last: int) -> ast.StaticType:
    return ast.StaticType(children[0], len(children) == 2, site.span(first, last))


def _meta(site: Site, children: list[Value], first: int, last: int) -> ast.Meta:
    head, *values = children
    words = tuple(site.word(value) if isinstance(value, int) else value for value in values)
    return ast.Meta(site.tokens.text(head), words, site.span(first, last))


def _budget(site: Site, children: list[Value], first: int, last: int) -> ast.Budget:
    return ast.Budget(children[1], tuple(children[2:]), site.span(first, last))


def _bound(site: Site, children: list[Value], first: int, last: int) -> ast.Bound:
    measure, operator, value = children
    return ast.Bound(measure, site.tokens.text(operator), value, site.span(first, last))


def _port(direction: str) -> Action:
    def build(site: Site, children: list[Value], first: int, last: int) -> ast.Port:
        return ast.Port(direction, children[0], children[1], site.doc(first), site.span(first, last))

    return build


def _knob(site: Site, children: list[Value], first: int, last: int) -> ast.KnobDeclaration:
    name, *kind, default, low, high = children
    return ast.KnobDeclaration(
        name, kind[0] if kind else None, default, low, high, site.doc(first), site.span(first, last)
    )


def _type(site: Site, children: list[Value], first: int, last: int) -> ast.Type:
    dtype, axes, *count = children
    return ast.Type(dtype, axes, count[0] if count else None, site.span(first, last))


def _axis(site: Site, children: list[Value], first: int, last: int) -> ast.AxisType:
    size, span = children[0], site.span(first, last)
    if isinstance(size, ast.Reference) and size.name[0].isupper():
        return ast.AxisType(ast.Name(size.name, size.span), None, span)
    return ast.AxisType(None, size, span)


def _named_axis(site: Site, children: list[Value], first: int, last: int) -> ast.AxisType:
    site.check_axis(children[0])
    return ast.AxisType(children[0], children[1], site.span(first, last))


# Statements and blocks


def _mark(site: Site, children: list[Value], first: int, last: int) -> ast.Mark:
    return ast.Mark(children[0], children[1] if len(children) == 2 else (), site.span(first, last))


def _make_gate(name: ast.Name, axes: tuple[ast.Name, ...], value: ast.Expr, *rest: Value) -> ast.GateDeclaration:
    *estimator, marks, doc, span = rest
    return ast.GateDeclaration(name, axes, value, estimator[0] if estimator else None, marks, doc, span)


_plain_gate = _documented(_make_gate)


def _gate(site: Site, children: list[Value], first: int, last: int) -> ast.GateDeclaration:
    gate: ast.GateDeclaration = _plain_gate(site, children, first, last)
    for axis in gate.axes:
        site.check_axis(axis)
    return gate


def _make_require(condition: ast.Expr, *rest: Value) -> ast.Require:
    """A requirement, whose reason may be left out."""
    reason, given = (rest[0], rest[1:]) if isinstance(rest[0], ast.String) else (None, rest)
    return ast.Require(condition, reason, *given)


def _block(site: Site, children: list[Value], first: int, last: int) -> ast.Block:
    yields = children.pop() if isinstance(children[-1], tuple) else ()
    return ast.Block(tuple(children), yields, site.span(first, last))


def _expression_block(site: Site, children: list[Value], first: int, last: int) -> ast.Block:
    return ast.Block((), (children[0],), site.span(first, last))


def _bare_block(site: Site, children: list[Value], first: int, last: int) -> ast.Block:
    return ast.Block((), (children[0],), site.span(first, last), braces=False)


# Expressions


def _operator(make: Callable[..., Value]) -> Action:
    def build(site: Site, children: list[Value], first: int, last: int) -> Value:
        return make(site.tokens.text(children[1]), children[0], children[2], site.span(first, last))

    return build


def _logical(word: str) -> Action:
    def build(site: Site, children: list[Value], first: int, last: int) -> ast.Logical:
        return ast.Logical(word, children[0], children[1], site.span(first, last))

    return build


def _call(make: Callable[..., Value]) -> Action:
    def build(site: Site, children: list[Value], first: int, last: int) -> Value:
        return make(children[0], tuple(children[1:]), site.span(first, last))

    return build


def _tuple(site: Site, children: list[Value], first: int, last: int) -> ast.Tuple:
    return ast.Tuple(tuple(children), site.span(first, last))


def _name(site: Site, children: list[Value], first: int, last: int) -> ast.Name:
    return site.word(first)


def _reference(site: Site, children: list[Value], first: int, last: int) -> ast.Reference:
    name: ast.Name = children[0]
    return ast.Reference(name.text, name.span)


def _string(site: Site, children: list[Value], first: int, last: int) -> ast.String:
    return ast.String(_unquoted(site.tokens.text(first)), site.span(first, last))


def _boolean(site: Site, children: list[Value], first: int, last: int) -> ast.Boolean:
    return ast.Boolean(site.tokens.text(first) == "true", site.span(first, last))


def _number(site: Site, children: list[Value], first: int, last: int) -> ast.Number:
    text, span = site.tokens.text(first), site.span(first, last)
    value = number(text)
    if value is None:
        shown = text if len(text) <= 24 else f"{text[:20]}... ({len(text)} characters)"
        fix = f"integers go up to {_LARGEST}, fractional numbers to 1.7e308"
        site.diagnostics.error("CS0116", f"{shown} is beyond the range of numbers", span, help=fix)
        value = 0
    return ast.Number(value, text, span)


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[-1] == text[0] else text[1:]


# Regions


def _route(site: Site, children: list[Value], first: int, last: int) -> ast.Route:
    selector, *arms = children
    merge = arms.pop(0) if isinstance(arms[0], ast.Name) else None
    return ast.Route(selector, merge, tuple(arms), site.span(first, last))


def _case(site: Site, children: list[Value], first: int, last: int) -> ast.Case:
    text = site.tokens.text(first).startswith('"')
    return ast.Case((_string if text else _number)(site, children, first, last), site.span(first, last))


def _for(site: Site, children: list[Value], first: int, last: int) -> ast.For:
    variable, start, stop, *carries, body = children
    return ast.For(variable, start, stop, carries[0] if carries else (), body, site.span(first, last))


def _repeat(site: Site, children: list[Value], first: int, last: int) -> ast.Repeat:
    limit, *options, body = children
    return ast.Repeat(limit, *_loop_options(options), body, site.span(first, last))


def _scan(site: Site, children: list[Value], first: int, last: int) -> ast.Scan:
    variables, sequence, axis, *options, body = children
    site.check_axis(axis)
    return ast.Scan(variables, sequence, axis, *_loop_options(options), body, site.span(first, last))


def _loop_options(options: list[Value]) -> tuple[tuple[ast.Carry, ...], ast.Expr | None]:
    """Carries and condition of a loop, each of which may be missing; only the carries are a tuple."""
    carries = options.pop(0) if options and isinstance(options[0], tuple) else ()
    return carries, options[0] if options else None


ACTIONS: dict[str, Action] = {
    "start": _file,
    "import_module": _import_module,
    "import_names": _import_names,
    "path": _path,
    "file": _path_of_file,
    "version": lambda site, children, first, last: site.tokens.text(last),
    "imported": _imported,
    "const": _node(ast.Const),
    "seed": _seed,
    "export": _present,
    "static_parameters": _items,
    "static_parameter": _static_parameter,
    "static_type": _static_type,
    "many": _present,
    "members": _items,
    **dict.fromkeys(("level", "seed_version", "bits", "geometry", "scale", "category"), _meta),
    "budget": _budget,
    "bound": _bound,
    "input": _port("in"),
    "output": _port("out"),
    "knob": _knob,
    "type": _type,
    "axes": _items,
    "axis": _axis,
    "named_axis": _named_axis,
    "count": _only,
    "mark": _mark,
    "mark_arguments": _items,
    "bind": _documented(ast.Bind),
    "share": _documented(ast.Share),
    "param": _documented(ast.ParamDeclaration),
    "state": _documented(ast.StateDeclaration),
    "gate": _gate,
    "via": _only,
    "exit": _documented(ast.ExitDeclaration),
    "exits": _documented(ast.ExitsDeclaration),
    "exit_block": _items,
    "next": _documented(ast.Next),
    "loss": _documented(ast.LossDeclaration),
    "require": _documented(_make_require),
    "reason": _string,
    "names": _items,
    "block": _block,
    "loop_block": _block,
    "expression_block": _expression_block,
    "bare_block": _bare_block,
    "yields": _items,
    "pipe": _node(ast.Pipe),
    "logical_or": _logical("or"),
    "logical_and": _logical("and"),
    "logical_not": _node(ast.Not),
    "compare": _operator(ast.Compare),
    "binary": _operator(ast.Binary),
    "negate": _node(ast.Negate),
    "configure": _call(ast.Configure),
    "apply": _call(ast.Apply),
    "attribute": _node(ast.Attribute),
    "positional": _node(ast.Positional),
    "keyword": _node(ast.Keyword),
    "slice": _node(ast.Slice),
    "tuple": _tuple,
    "name": _name,
    "reference": _reference,
    "string": _string,
    "boolean": _boolean,
    "number": _number,
    "when": _node(ast.When),
    "route": _route,
    "merge": _only,
    "arm": _node(ast.Arm),
    "case": _case,
    "cases": _node(ast.Cases),
    "otherwise": _node(ast.Otherwise),
    "for": _for,
    "repeat": _repeat,
    "scan": _scan,
    "carries": _items,
    "carry": _node(ast.Carry),
    "until": _only,
}
"""What each rule builds. Rules that begin with `_` or `?` pass their children on."""

DEEP = words(
    "pipe logical_or logical_and logical_not compare binary negate configure apply attribute tuple when route for "
    "repeat scan"
)
"""Rules that make a tree a level deeper."""
