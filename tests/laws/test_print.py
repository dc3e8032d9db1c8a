"""Every graph prints as a program that reads back as the same graph, after every pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from cogseedc import target
from cogseedc.driver.program import load
from cogseedc.ir import Graph
from cogseedc.ir.printer import print_graph
from cogseedc.ops import OPS
from cogseedc.passes import PIPELINES, Context, run_pipeline

ROOT = Path(__file__).parents[2]
LATER = {"glimpse", "ponder", "skip_rnn", "token_exit", "seeds"}
SOURCES = sorted([*(ROOT / "examples").glob("[0-9]*.seed"), *(ROOT / "tests" / "tour").glob("*.seed")])
SOURCES = [source for source in SOURCES if source.stem not in LATER]


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_after_every_pass(source: Path, tmp_path: Path) -> None:
    program = load(source)
    texts = {print_graph(program.elaborated.graph, program.name, OPS): "reading"}

    def keep(step: object, graph: Graph, changed: bool) -> None:
        if changed:
            texts.setdefault(print_graph(graph, program.name, OPS), type(step).__name__)

    for name, pipeline in PIPELINES.items():
        context = Context(OPS, target=target.load("torch-cpu"), training=name == "training")
        run_pipeline(program.elaborated.graph.copy(), pipeline, context, keep)
    place = tmp_path / "printed.seed"
    for text, step in texts.items():
        place.write_text(text, encoding="utf-8")
        again = load(place).elaborated.graph
        assert print_graph(again, program.name, OPS) == text, f"after {step}"


def test_two_prints_are_equal_texts() -> None:
    source = ROOT / "examples" / "10_neural_tree.seed"
    assert len({print_graph(load(source).elaborated.graph, "Net", OPS) for _ in range(3)}) == 1
