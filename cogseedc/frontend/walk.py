"""Goes over a syntax tree with a stack of its own, since trees are as deep as users make them; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from cogseedc.frontend import ast


def walk(node: object) -> Iterator[object]:
    """`node` and all nodes below it, parents before children, in source order."""
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):
            stack.extend(reversed(node))
        elif (names := parts(node.__class__)) is not None:
            yield node
            stack.extend([getattr(node, name) for name in reversed(names)])


def shape(node: object) -> list[object]:
    """What a tree means: its nodes' types and plain values in order, without spans. Equal trees have equal shapes."""
    found: list[object] = []
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):
            found.append(len(node))
            stack.extend(reversed(node))
        elif (names := parts(node.__class__)) is not None:
            found.append(type(node).__name__)
            stack.extend([getattr(node, name) for name in reversed(names)])
        else:
            found.append(node)
    return found


_PARTS: dict[type, tuple[str, ...] | None] = {}


def parts(kind: type) -> tuple[str, ...] | None:
    """The fields of a kind of node, but for its span; None for what is no node."""
    if kind not in _PARTS:
        _PARTS[kind] = tuple(f.name for f in fields(kind) if f.name != "span") if is_dataclass(kind) else None
    return _PARTS[kind]


MARKED = (
    ast.Bind, ast.Share, ast.ParamDeclaration, ast.StateDeclaration, ast.GateDeclaration, ast.ExitDeclaration,
    ast.ExitsDeclaration, ast.Next, ast.LossDeclaration, ast.Require,
)  # fmt: skip
"""The statements: what may carry marks."""
