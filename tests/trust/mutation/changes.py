"""What a mutant is: all changes of a file that a test could see, and the file with one of them made.

Not changed is what is there for people and type checkers only: annotations, asserts and the like (`strict=` of a zip, the
`slots=` of a record), raised messages, the size of a cache.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

from tests.trust.mutation.areas import PACKAGE

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot,
    ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_PROMISES = {"strict", "slots", "maxsize", "stacklevel"}
"""Keywords that say what holds anyway, or change speed only."""


@dataclass(frozen=True)
class Mutant:
    """One change of one file: which of the changes of which node, and the lines that run it (bit n is line n)."""

    file: str
    line: int
    what: str
    node: int
    choice: int
    lines: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"

    def tree(self) -> ast.Module:
        """The file with the change."""
        tree = ast.parse(_text(self.file))
        node = next(n for i, n in enumerate(ast.walk(tree)) if i == self.node)
        _Put(node, changes(node)[self.choice][1]).visit(tree)
        return ast.fix_missing_locations(tree)


class _Put(ast.NodeTransformer):
    """Puts one node in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self._new if node is self._old else self.generic_visit(node)


def mutants(file: str) -> Iterator[Mutant]:
    """All changes of a file, in order of its nodes."""
    tree = ast.parse(_text(file))
    skipped = {id(inner) for node in ast.walk(tree) for inner in _unrun(node)}
    traced = _traced(compiled(file, tree))
    within: dict[int, ast.stmt] = {}
    for number, node in enumerate(ast.walk(tree)):
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, ast.stmt):
                within[id(inner)] = inner
            elif id(node) in within:
                within[id(inner)] = within[id(node)]
        if id(node) in skipped:
            continue
        for choice, (what, _) in enumerate(changes(node)):
            place = node.test if isinstance(node, ast.If) else node
            assert isinstance(place, ast.expr)
            lines = _lines(place) & traced or _lines(within[id(node)]) & traced
            yield Mutant(file, place.lineno, what, number, choice, sum(1 << line for line in lines))


def changes(node: ast.AST) -> list[tuple[str, ast.AST]]:
    """What could stand in the place of a node, each with words for it."""
    found: list[tuple[str, ast.AST]] = []

    def put(new: ast.AST, what: str = "") -> None:
        found.append((what or f"{ast.unparse(node)} -> {ast.unparse(new)}", ast.copy_location(new, node)))

    match node:
        case ast.Compare(left=left, ops=[op, *more], comparators=right) if type(op) in _COMPARE:
            put(ast.Compare(left, [_COMPARE[type(op)](), *more], right))
        case ast.BoolOp(op=op, values=values):
            put(ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY and not isinstance(
            left, ast.JoinedStr | ast.Tuple | ast.List
        ):
            put(ast.BinOp(left, _BINARY[type(op)](), right))
        case ast.If(test=test, body=body, orelse=orelse):
            put(ast.If(_not(test), body, orelse), f"if {ast.unparse(test)} -> if not")
        case ast.IfExp(test=test, body=then, orelse=other):
            put(ast.IfExp(_not(test), then, other), f"if {ast.unparse(test)} -> if not")
        case ast.Constant(value=bool(value)):
            put(ast.Constant(not value))
        case ast.Constant(value=int(value)):
            put(ast.Constant(value + 1))
    return found


def _not(test: ast.expr) -> ast.expr:
    return ast.copy_location(ast.UnaryOp(ast.Not(), test), test)


def _unrun(node: ast.AST) -> Iterator[ast.AST]:
    """What is there for people and type checkers, or changes speed only."""
    match node:
        case ast.AnnAssign(annotation=part) | ast.arg(annotation=ast.expr() as part):
            yield from ast.walk(part)
        case ast.FunctionDef(returns=ast.expr() as part):
            yield from ast.walk(part)
        case ast.keyword(arg=name) if name in _PROMISES:
            yield from ast.walk(node)
        case ast.Raise() | ast.Assert() | ast.If(test=ast.Name(id="TYPE_CHECKING")):
            yield from ast.walk(node)


def _text(file: str) -> str:
    return (PACKAGE / file).read_text(encoding="utf-8")


def compiled(file: str, tree: ast.Module | None = None) -> CodeType:
    """A file as it is, or with a tree in its place."""
    tree = ast.parse(_text(file)) if tree is None else tree
    return compile(tree, str(PACKAGE / file), "exec", dont_inherit=True)


def _lines(node: ast.stmt | ast.expr) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))


def _traced(code: CodeType) -> set[int]:
    """The lines that a tracer is told of."""
    inner = (c for c in code.co_consts if isinstance(c, CodeType))
    return {line for *_, line in code.co_lines() if line is not None}.union(*map(_traced, inner))
