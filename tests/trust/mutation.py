"""Mutation testing: a small change of one place of the compiler at a time, and whether tests see it.

Each mutant runs in a process of its own, forked before the compiler is imported. `python -m tests.trust.mutation AREA`
prints the score and the survivors.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import io
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).parents[2]
PROGRAMS = ("tests/regress", "tests/fuzz/test_differential.py", "tests/trust/test_programs.py")


@dataclass(frozen=True)
class Area:
    """Files that are changed, and tests that ought to see it, the quick ones first."""

    files: tuple[str, ...]
    tests: tuple[str, ...]
    wanted: float


AREAS = {
    "gates": Area(("ir/guards.py", "analysis/demand.py", "passes/simplify_gates.py", "passes/insert_exit_points.py"),
                  ("tests/passes", *PROGRAMS), 0.95),
    "shapes": Area(("ir/size.py", "ir/types.py", "frontend/build/align.py", "ops/rules.py", "ops/shape.py"),
                   ("tests/laws/test_ops.py", "tests/frontend", "tests/language", "tests/test_golden.py"), 0.95),
    "verifier": Area(("ir/verifier.py",), ("tests/passes/test_verifier.py", "tests/passes/test_verifier_rules.py", "tests/regress"), 0.95),
    "passes": Area(("passes/eliminate_dead_seeds.py", "passes/common_seeds.py", "passes/fold_constants.py", "passes/fold_batch_norm.py",
                    "passes/hoist_loops.py", "passes/inline.py"), ("tests/passes", *PROGRAMS), 0.90),
    "plan": Area(("backends/plan/__init__.py", "backends/plan/items.py", "backends/plan/joins.py", "backends/plan/spaces.py",
                  "backends/plan/schedule.py"), ("tests/backends/test_plan.py", *PROGRAMS), 0.90),
    "backends": Area(("backends/onnx/rows.py", "backends/onnx/joins.py", "backends/onnx/merges.py", "backends/onnx/steps.py",
                      "backends/pytorch/steps.py", "backends/pytorch/merges.py", "backends/pytorch/flow.py"),
                     ("tests/regress", *PROGRAMS[1:]), 0.90),
    "trust": Area(("publish.py", "runtime/artifact.py", "runtime/checks.py", "backends/names.py"),
                  ("tests/publish", "tests/runtimes", "tests/backends/test_names.py", "tests/trust/test_faults.py"), 0.95),
}  # fmt: skip

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot,
    ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    file: str
    line: int
    what: str
    tree: ast.Module

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


def mutants(file: str) -> Iterator[Mutant]:
    """All changes of a file, in order of its nodes."""
    text = (ROOT / "cogseedc" / file).read_text(encoding="utf-8")
    whole = ast.parse(text)
    skipped = {id(inner) for node in ast.walk(whole) for inner in _unrun(node)}
    for number, node in enumerate(ast.walk(whole)):
        if id(node) in skipped:
            continue
        for choice in range(3):
            tree = copy.deepcopy(whole)
            place = next(n for i, n in enumerate(ast.walk(tree)) if i == number)
            what = _change(place, choice)
            if what:
                yield Mutant(file, getattr(node, "lineno", 0), what, tree)


def _unrun(node: ast.AST) -> Iterator[ast.AST]:
    """What is there for people and type checkers: annotations, raised messages, asserts."""
    parts: list[ast.AST | None] = []
    if isinstance(node, ast.AnnAssign | ast.arg):
        parts = [node.annotation]
    elif isinstance(node, ast.FunctionDef):
        parts = [node.returns]
    elif isinstance(node, ast.Raise | ast.Assert) or (
        isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ):
        parts = [node]
    for part in parts:
        if part is not None:
            yield from ast.walk(part)


def _change(node: ast.AST, choice: int) -> str:
    """Changes a node in place; what was done, or nothing."""
    match node:
        case ast.Compare(ops=[op, *_]) if choice == 0 and type(op) in _COMPARE:
            before = ast.unparse(node)
            node.ops[0] = _COMPARE[type(op)]()
            return f"{before} -> {ast.unparse(node)}"
        case ast.BoolOp(op=op) if choice == 0:
            before = ast.unparse(node)
            node.op = ast.Or() if isinstance(op, ast.And) else ast.And()
            return f"{before} -> {ast.unparse(node)}"
        case ast.BinOp(op=op) if (
            choice == 0 and type(op) in _BINARY and not isinstance(node.left, ast.JoinedStr | ast.Tuple | ast.List)
        ):
            before = ast.unparse(node)
            node.op = _BINARY[type(op)]()
            return f"{before} -> {ast.unparse(node)}"
        case ast.If(test=test) | ast.IfExp(test=test) if choice == 1:
            node.test = ast.copy_location(ast.UnaryOp(ast.Not(), test), test)
            return f"if {ast.unparse(test)} -> if not"
        case ast.Constant(value=bool(value)) if choice == 0:
            node.value = not value
            return f"{value} -> {not value}"
        case ast.Constant(value=int(value)) if choice == 0 and not isinstance(value, bool):
            node.value = value + 1
            return f"{value} -> {value + 1}"
    return ""


class _Finder(MetaPathFinder, Loader):
    """Imports one module from a changed tree."""

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


def killed(mutant: Mutant | None, tests: Sequence[str], seconds: int) -> bool:
    """Whether the tests fail, or take for ever, with a change; None: without one."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0
    status = 1
    with contextlib.suppress(BaseException):
        signal.alarm(seconds)
        if mutant is not None:
            path = ROOT / "cogseedc" / mutant.file
            name = "cogseedc." + mutant.file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
            code = compile(ast.fix_missing_locations(mutant.tree), str(path), "exec")
            sys.meta_path.insert(0, _Finder(name, code, path))
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            import pytest

            status = int(pytest.main(["-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--no-header", *tests]))
    os._exit(status)


def preload() -> None:
    """Imports what takes long and is never changed, before processes are forked."""
    for heavy in ("numpy", "torch", "onnx", "onnxruntime", "pytest"):
        __import__(heavy)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.trust.mutation")
    parser.add_argument("areas", nargs="*", choices=[*AREAS, []], metavar="AREA", help=", ".join(AREAS))
    parser.add_argument("--count", type=int, default=40, help="how many of an area's mutants, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    os.chdir(ROOT)
    preload()
    for name in chosen.areas or AREAS:
        area = AREAS[name]
        begin = time.perf_counter()
        if killed(None, area.tests, 3600):
            print(f"{name}: the tests fail without any change", flush=True)
            continue
        bound = int(60 + 3 * (time.perf_counter() - begin))
        every = [mutant for file in area.files for mutant in mutants(file)]
        drawn = random.Random(chosen.seed).sample(every, min(chosen.count, len(every)))
        survivors = [mutant for mutant in drawn if not killed(mutant, area.tests, bound)]
        score = 1 - len(survivors) / len(drawn)
        print(
            f"{name}: {len(drawn)} of {len(every)} mutants (seed {chosen.seed}), {score:.0%} killed, {area.wanted:.0%} wanted; "
            f"{time.perf_counter() - begin:.0f} s",
            flush=True,
        )
        for mutant in sorted(survivors, key=str):
            print(f"  survived: {mutant}", flush=True)


if __name__ == "__main__":
    main()
