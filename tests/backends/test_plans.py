"""Whole plans of small programs, as they are written in `plans`: what runs where, what is moved, what is reckoned.

A program's first line says for which targets, and which strategies are asked for. `pytest --bless` writes the plans anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path

import pytest

import cogseedc
from cogseedc.backends.plan import Gates, Plan, Slot
from cogseedc.driver.compile import Request, lowered, prepared
from cogseedc.driver.lower import Lowering
from cogseedc.driver.program import Program
from cogseedc.driver.timing import Timing
from cogseedc.driver.weights import Weights
from cogseedc.ir import Call, Graph, Size
from cogseedc.source import Source
from cogseedc.target import load

from .test_predictions import COSTS

FOLDERS = [Path(__file__).parent / name for name in ("plans", "channels")]
HEAD = "# plan: "


@dataclass(frozen=True)
class Case:
    """A program, to be compiled for a target with some strategies."""

    path: Path
    target: str
    gates: Gates

    def __str__(self) -> str:
        return f"{self.path.stem}.{self.target}.{self.gates}"

    def agrees(self, kind: str, found: str, bless: bool) -> None:
        """Whether what is found is what is written beside the program."""
        golden = self.path.with_name(f"{self}.{kind}")
        if bless:
            golden.write_text(found)
        assert found == golden.read_text()


def cases() -> Iterator[Case]:
    for path in sorted(path for folder in FOLDERS for path in folder.glob("*.seed")):
        head = path.read_text().split("\n", 1)[0]
        for words in head.removeprefix(HEAD).split(", ") if head.startswith(HEAD) else ():
            yield Case(path, *words.split())  # type: ignore[arg-type]


CASES = tuple(cases())


def made(case: Case) -> tuple[Program, Weights, Lowering]:
    """A program and its plan, with costs from which each part of a sum can be told."""
    request = Request(gates=case.gates, rng=0)
    program, weights = prepared(cogseedc.load(Source(case.path.name, case.path.read_text())), request, Timing())
    target = replace(load(case.target), costs=replace(COSTS, wrap_us=20))
    return program, weights, lowered(program, weights, target, request, Timing())


def lines(plan: Plan, indent: str = "") -> Iterator[str]:
    """A plan in words: nodes by their numbers and operations, slots as `node.port@space`; nothing of what is empty."""
    graph = plan.graph
    for space in plan.spaces:
        yield f"{indent}space {spelled(space)}"
    for block in plan.blocks:
        head = replace(block, steps=(), reads=(), gives=())
        yield f"{indent}block {spelled(head)} reads {spelled(block.reads)} gives {spelled(block.gives)}"
        for step in block.steps:
            node = graph[step.node] if hasattr(step, "node") else None
            yield f"{indent}    {f'{node.op} ' if isinstance(node, Call) else ''}{spelled(step)}"
    for gate in plan.gates:
        yield f"{indent}gate {spelled(gate)}"
    for field in ("inputs", "outputs", "nests", "singles", "exits"):
        yield f"{indent}{field} {spelled(getattr(plan, field))}"
    for id, loop in plan.loops.items():
        yield f"{indent}loop {id} {spelled(replace(loop, body=None))}"  # type: ignore[arg-type]
        yield from lines(loop.body, f"{indent}    ")


def spelled(value: object) -> str:
    match value:
        case Slot():
            lay = f"[{' '.join(map(str, value.lay))}]" if value.lay else ""
            return f"{value.node}.{value.port}@{value.space}{lay}"
        case Enum():
            return value.name.lower()
        case float():
            return f"{value:.6g}"
        case Size():
            return str(value)
        case tuple() | list() | frozenset():
            return f"({', '.join(map(spelled, value))})"
        case Mapping():
            return f"{{{', '.join(f'{spelled(k)}: {spelled(v)}' for k, v in value.items())}}}"
        case Graph() | None:
            return "-"
    if is_dataclass(value) or hasattr(value, "__slots__"):
        names = [f.name for f in fields(value)] if is_dataclass(value) else list(value.__slots__)  # type: ignore[arg-type]
        said = ((name, spelled(found)) for name in names if (found := getattr(value, name)) not in ((), None, False))
        return f"{type(value).__name__}({' '.join(f'{name}={text}' for name, text in said)})"
    return str(value)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_plans(case: Case, bless: bool) -> None:
    case.agrees("plan", "\n".join(lines(made(case)[2].plan)) + "\n", bless)


def test_nothing_is_left_of_programs_that_are_gone() -> None:
    written = {path.name for folder in FOLDERS for path in folder.iterdir() if path.suffix != ".seed"}
    assert written == {f"{case}.{kind}" for case in CASES for kind in ("code", "plan")}
