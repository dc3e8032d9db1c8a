"""The source text of functions that generated PyTorch files use; found by reading, so that torch is not imported."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

__all__ = ["sources"]


def sources(functions: Iterable[str]) -> tuple[str, ...]:
    """Texts of these functions and of those that they call, in the order in which they are written.

    Raises KeyError for an unknown function.
    """
    table = _table()
    wanted: set[str] = set()
    waiting = list(functions)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += table[name][1]
    return tuple(text for name, (text, _) in table.items() if name in wanted)


@cache
def _table() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Each function: its text, and the functions of the package that it names."""
    parsed: dict[str, tuple[str, ast.FunctionDef]] = {}
    for file in sorted(files(__package__).iterdir(), key=lambda f: f.name):
        if not file.name.endswith(".py"):
            continue
        text = file.read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef):
                parsed[node.name] = (ast.get_source_segment(text, node) or "", node)
    return {name: (text, _calls(node, parsed)) for name, (text, node) in parsed.items()}


def _calls(function: ast.FunctionDef, known: Iterable[str]) -> tuple[str, ...]:
    named = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    return tuple(name for name in known if name in named and name != function.name)
