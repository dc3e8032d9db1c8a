"""Puts a mutant into the place of what it was made from, in this process: functions that are there already, or the import."""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from tests.trust.mutation.areas import PACKAGE
from tests.trust.mutation.changes import compiled


class NotSwapped(Exception):
    """The functions of a module cannot be given the changed code."""


def module(file: str) -> str:
    """The name that a file of the compiler is imported by."""
    return "cogseedc." + file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def apply(file: str, tree: ast.Module) -> None:
    """From now on a changed file of the compiler runs in the place of the one that lies there.

    Of a module that is imported already, all functions are given their changed code; what its import has computed stays, so
    this is for changes of lines that no import runs.
    """
    before, after = compiled(file), compiled(file, tree)
    name = module(file)
    if name not in sys.modules:
        sys.meta_path.insert(0, _Finder(name, after, PACKAGE / file))
        return
    swaps = list(_pairs(before, after))
    found = 0
    for function in gc.get_objects():
        if type(function) is FunctionType and function.__code__.co_filename == before.co_filename:
            for old, new in swaps:
                if function.__code__ == old and list(function.__code__.co_positions()) == list(old.co_positions()):
                    function.__code__ = new
                    found += 1
    if not found:
        raise NotSwapped(file)


def _pairs(before: CodeType, after: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Codes that differ, outer ones with all inner ones."""
    if len(_inner(before)) != len(_inner(after)):
        raise NotSwapped(before.co_name)
    for a, b in zip(_inner(before), _inner(after), strict=True):
        if a != b:
            yield a, b
        yield from _pairs(a, b)


def _inner(code: CodeType) -> list[CodeType]:
    return [c for c in code.co_consts if isinstance(c, CodeType)]


class _Finder(MetaPathFinder, Loader):
    """Imports one module from changed code."""

    def __init__(self, name: str, code: CodeType, path: Path) -> None:
        self._name, self._code, self._path = name, code, path

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        spec = ModuleSpec(fullname, self, origin=str(self._path), is_package=self._path.name == "__init__.py")
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(str(self._path.parent))
        return spec

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self._path)
        exec(self._code, module.__dict__)
