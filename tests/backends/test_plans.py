"""Whole plans of small programs, as they are written in `plans`: what runs where, what is moved, what is reckoned.

A program's first line says for which target, and which strategies are asked for. `pytest --bless` writes the plans anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from pathlib import Path

import pytest

import cogseedc
from cogseedc.backends.plan import Plan, Slot
from cogseedc.driver.compile import Request, lowered, prepared
from cogseedc.driver.timing import Timing
from cogseedc.ir import Call, Graph, Size
from cogseedc.source import Source
from cogseedc.target import load

from .test_predictions import COSTS

PROGRAMS = sorted((Path(__file__).parent / "plans").glob("*.seed"))


def planned(path: Path) -> Plan:
    """The plan of a program, with costs from which each part of a sum can be told."""
    text = path.read_text()
    name, gates = text.split("\n", 1)[0].removeprefix("# plan: ").split()
    request = Request(gates=gates, rng=0)  # type: ignore[arg-type]
    program, weights = prepared(cogseedc.load(Source(path.name, text)), request, Timing())
    return lowered(program, weights, replace(load(name), costs=replace(COSTS, wrap_us=20)), request, Timing()).plan


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


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_plans(path: Path, bless: bool) -> None:
    found = "\n".join(lines(planned(path))) + "\n"
    golden = path.with_suffix(".txt")
    if bless:
        golden.write_text(found)
    assert found == golden.read_text()
