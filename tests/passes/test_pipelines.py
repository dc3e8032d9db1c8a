"""What each pass of a pipeline makes of small programs, line by line, as it is written in `pipelines` beside them; and
what is known of the result: which channels may differ from zero, and what it costs. A program's first line says which passes, for which target, with which precisions, and whether
ranges were measured.
`pytest --bless` writes the texts anew.

That a pass keeps the meaning is asked elsewhere; here it is that it does all that it should, and nothing in vain.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import cogseedc
from cogseedc.analysis.cost import Costs, costs
from cogseedc.analysis.expected import even_rates, expected
from cogseedc.analysis.kept import kept_channels
from cogseedc.analysis.widths import Ranges, wanted_ranges
from cogseedc.ir import Graph
from cogseedc.ir.printer import print_graph
from cogseedc.ops import OPS
from cogseedc.passes import PIPELINES, AssignBitwidths, Context, run_pipeline
from cogseedc.source import Source
from cogseedc.target import load

PROGRAMS = sorted((Path(__file__).parent / "pipelines").glob("*.seed"))
SIZES = {"N": 1, "T": 3}


def steps(path: Path) -> Iterator[str]:
    """What each pass changed; the sign of a line says whether it went or came."""
    text = path.read_text()
    name, target, bits, static = (*text.split("\n", 1)[0].removeprefix("# passes: ").split(), "", "")[:4]
    graph = cogseedc.load(Source(path.name, text)).elaborated.graph.copy()
    context = Context(OPS, target=load(target), training=name == "training")
    before: list[str] = []
    for step in PIPELINES[name]:
        if isinstance(step, AssignBitwidths):
            step = replace(step, bits=bits or None, ranges=ranges(graph, context, bits) if static else None)
        (ran,) = run_pipeline(graph, [step], context, verify_each=True)
        after = print_graph(graph, "Net", OPS).splitlines()
        assert not before or ran.changed == (after != before), step.name
        if after != before:
            yield f"after {step.name}"
            yield from (f"    {line}" for line in difflib.ndiff(before, after) if line[0] in "+-")
        before = after
    for value, kept in kept_channels(graph, graph.wiring().order, OPS).items():
        parts = ", ".join(f"{part.size} by {part.taken}" for part in kept.parts)
        yield f"kept {value.node}.{value.port} along {kept.axis}: {parts}"
    yield from cost(costs(graph, OPS, SIZES))


def ranges(graph: Graph, context: Context, bits: str) -> Ranges:
    """As if they had been measured: of each value another one."""
    assert context.target is not None
    wanted = wanted_ranges(graph, OPS, context.target, bits, context.diagnostics)
    return {place: (-1.0 - i, 0.5 * i) for i, place in enumerate(wanted)}


def cost(found: Costs, indent: str = "") -> Iterator[str]:
    yield f"{indent}macs {found.macs} bytes {found.bytes} weights {found.params} in {found.weight_bytes} bytes"
    yield from (f"{indent}{part}" for part in (*found.exits, *found.arms, *found.picks))
    for name, arms in found.even.items():
        yield f"{indent}gate {name}: {', '.join(f'{arm.low} .. {arm.high}, evenly {arm.even}' for arm in arms)}"
    for loop in found.loops:
        yield f"{indent}loop {loop.name}: {loop.fewest} to {loop.most} turns, halts {loop.halts}, bound {loop.bound}"
        yield from cost(loop.body, f"{indent}    ")
    if not indent:
        yield f"expected {expected(found, even_rates(found)):.6g}"


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_pipelines(path: Path, bless: bool) -> None:
    found = "\n".join(steps(path)) + "\n"
    golden = path.with_suffix(".txt")
    if bless:
        golden.write_text(found)
    assert found == golden.read_text()
