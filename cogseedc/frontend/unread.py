"""Names that nothing reads, each a note: what is compiled is the same without them, and often something was forgotten.

A name counts as read when it stands anywhere else in its seed, in a comment too, so that no note is wrong.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from cogseedc.diagnostics import Diagnostic, Label, Severity
from cogseedc.diagnostics.model import Diagnostics
from cogseedc.frontend import ast

_WORD = re.compile(r"[A-Za-z_]\w*")
_USE = "read it, or remove it"


def report(file: ast.File, diagnostics: Diagnostics) -> None:
    """CS0248 for each name of a seed that nothing reads."""
    for seed in file.items:
        if not isinstance(seed, ast.SeedDeclaration):
            continue
        span = seed.span
        count = Counter(_WORD.findall(span.source.text, span.start, span.end))
        given = {m.name.text for m in seed.members if isinstance(m, ast.Port) and m.direction == "out"}
        for name, help in _declared(seed, count):
            if count[name.text] == 1 and name.text not in given:
                message = f"nothing reads `{name.text}`"
                diagnostics.add(Diagnostic("CS0248", message, (Label(name.span),), help, Severity.NOTE))


def _declared(seed: ast.SeedDeclaration, count: Counter[str]) -> Iterator[tuple[ast.Name, str]]:
    """The names of a seed, and what may be done about one that nothing reads. A static argument costs nothing."""
    axes: set[str] = set()
    for member in seed.members:
        match member:
            case ast.Port(direction="in"):
                own = {axis.name.text for axis in member.type.axes if axis.name} - axes
                if not any(count[name] > 1 for name in own):  # its sizes are read
                    yield member.name, "read it, or remove it: who calls the seed has to give it"
                axes |= own
            case ast.KnobDeclaration():
                yield member.name, "read it where it should decide, or remove it"
    yield from _bound([member for member in seed.members if isinstance(member, ast.Statement)])


def _bound(statements: Sequence[object]) -> Iterator[tuple[ast.Name, str]]:
    for statement in statements:
        match statement:
            case ast.Bind(names=(name,), value=value):
                yield name, f"{_USE}: it is not computed"
                yield from _inside(value)
            case ast.Bind(value=value) | ast.Next(value=value):
                yield from _inside(value)
            case ast.Share(name=name) | ast.ParamDeclaration(name=name):
                yield name, _USE
            case ast.GateDeclaration(name=name):
                yield name, "ask it in a `when` or `route`, or remove it"
            case ast.ExitDeclaration(body=body) | ast.ExitsDeclaration(body=body):
                yield from _bound(body)


def _inside(value: ast.Expr) -> Iterator[tuple[ast.Name, str]]:
    """Those of the blocks of an expression."""
    match value:
        case ast.When(then=then, otherwise=otherwise):
            blocks = [then, otherwise]
        case ast.Route(arms=arms):
            blocks = [arm.body for arm in arms]
        case ast.For(body=body) | ast.Repeat(body=body) | ast.Scan(body=body):
            blocks = [body]
        case _:
            blocks = []
    for block in blocks:
        yield from _bound(block.statements)
