"""How far a text expands at least, counted without expanding it: a few lines can ask for billions of calls.

Counts calls of seeds and turns of loops that happen whatever is chosen; what stands in an arm counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from cogseedc.frontend import ast
from cogseedc.frontend.build.model import Configured, Item, Module, SeedRef
from cogseedc.frontend.walk import parts, walk

Names = Callable[[str], Item | None]
_Step = tuple[SeedRef | None, int]
_CHOICES = (ast.When, ast.Route, ast.Repeat, ast.Scan)


class Expansion:
    """Lower bounds of one program, each counted once."""

    def __init__(self) -> None:
        self._seeds: dict[int, int] = {}
        self._loops: dict[int, int] = {}
        self._opened: dict[int, list[_Step]] = {}

    def of_seed(self, ref: SeedRef) -> int:
        """Calls and turns that one call of a seed makes, itself included. Recursive calls count nothing."""
        stack = [ref]
        while stack:
            top = stack[-1]
            key = id(top.declaration)
            if key not in self._opened:
                self._opened[key] = list(_steps(top.declaration.members, _names_of(top)))
                stack += [
                    called for called, _ in self._opened[key] if called and id(called.declaration) not in self._opened
                ]
                continue
            stack.pop()
            if key not in self._seeds:
                self._seeds[key] = 1 + self._sum(self._opened[key])
        return self._seeds[id(ref.declaration)]

    def of_turn(self, loop: ast.For, names: Names) -> int:
        """Calls and turns in one turn of a loop, itself included."""
        if id(loop) not in self._loops:
            bound = {node.text for node in walk(loop) if isinstance(node, ast.Name)}
            found = list(_steps(loop.body, lambda n: None if n in bound else names(n)))
            for called, _ in found:
                if called:
                    self.of_seed(called)
            self._loops[id(loop)] = 1 + self._sum(found)
        return self._loops[id(loop)]

    def _sum(self, steps: Sequence[_Step]) -> int:
        return sum(times * (self._seeds.get(id(called.declaration), 0) if called else 1) for called, times in steps)


def _steps(tree: object, names: Names) -> Iterator[_Step]:
    """(called seed, how often), and (None, turns) for loops."""
    stack: list[tuple[object, int]] = [(tree, 1)]
    while stack:
        node, times = stack.pop()
        if isinstance(node, _CHOICES):
            continue
        if isinstance(node, ast.For):
            stack += [(carry.value, times) for carry in node.carries]
            turns = _turns(node)
            if turns > 0:
                yield None, times * turns
                stack.append((node.body, times * turns))
            continue
        if isinstance(node, (ast.Apply, ast.Pipe)):
            called = _called(node.callee, names)
            if called is not None:
                yield called, times
        stack += [(child, times) for child in _children(node)]


def _children(node: object) -> Sequence[object]:
    return node if isinstance(node, tuple) else [getattr(node, name) for name in parts(node.__class__) or ()]


def _names_of(ref: SeedRef) -> Names:
    """What the names in a seed's body mean outside it; None for those that the body gives another meaning."""
    own = {node.text for node in walk(ref.declaration) if isinstance(node, ast.Name)}
    return lambda name: None if name in own else ref.module.names.get(name)


def _called(callee: ast.Expr, names: Names) -> SeedRef | None:
    if isinstance(callee, ast.Configure):
        callee = callee.callee
    if isinstance(callee, ast.Attribute) and isinstance(callee.value, ast.Reference):
        module = names(callee.value.name)
        item = module.names.get(callee.name.text) if isinstance(module, Module) else None
    else:
        item = names(callee.name) if isinstance(callee, ast.Reference) else None
    if isinstance(item, Configured):
        item = item.target
    return item if isinstance(item, SeedRef) else None


def _turns(loop: ast.For) -> int:
    """Turns of a loop whose range is written in numbers; 0 otherwise."""
    start, stop = (e.value if isinstance(e, ast.Number) else None for e in (loop.start, loop.stop))
    return stop - start if isinstance(start, int) and isinstance(stop, int) else 0
