"""Goes over a syntax tree with a stack of its own, since trees are as deep as users make them; changes nothing."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache

from cogseedc.frontend import ast


def walk(node: object) -> Iterator[object]:
    """`node` and all nodes below it, parents before children, in source order."""
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):
            stack.extend(reversed(node))
        elif is_dataclass(node):
            yield node
            stack.extend(getattr(node, name) for name in reversed(_children(node.__class__)))


def shape(node: object) -> list[object]:
    """What a tree means: its nodes' types and plain values in order, without spans. Equal trees have equal shapes."""
    found: list[object] = []
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):
            found.append(len(node))
            stack.extend(reversed(node))
        elif is_dataclass(node):
            found.append(type(node).__name__)
            stack.extend(getattr(node, name) for name in reversed(_children(node.__class__)))
        else:
            found.append(node)
    return found


@cache
def _children(kind: Hashable) -> tuple[str, ...]:
    assert isinstance(kind, type)
    assert is_dataclass(kind)
    return tuple(field.name for field in fields(kind) if field.name != "span")


MARKED = (
    ast.Bind, ast.Share, ast.ParamDeclaration, ast.StateDeclaration, ast.GateDeclaration, ast.ExitDeclaration,
    ast.ExitsDeclaration, ast.Next, ast.LossDeclaration, ast.Require,
)  # fmt: skip
"""The statements: what may carry marks."""
