"""Elaborates short programs for tests."""

from __future__ import annotations

from pathlib import Path

from cogseedc.diagnostics import Diagnostics
from cogseedc.frontend import ast
from cogseedc.frontend.build import Elaborated, Options, elaborate
from cogseedc.frontend.parser import parse
from cogseedc.ir import Call, Graph, Output, TensorType, Weight
from cogseedc.limits import Limits
from cogseedc.seeds import Library
from cogseedc.source import Source


def tree(name: str, data: bytes) -> ast.File:
    """Parses a file that must be well-formed."""
    diagnostics = Diagnostics()
    file = parse(Source(name, data.decode()), diagnostics, Limits())
    diagnostics.check()
    assert file is not None
    return file


def elaborated(
    text: str, root: Path | None = None, options: Options = Options(), limits: Limits = Limits()
) -> tuple[Elaborated | None, Diagnostics]:
    """What a text becomes, and what is said of it."""
    diagnostics = Diagnostics()
    file = parse(Source("test.seed", text), diagnostics, limits)
    if file is None:
        return None, diagnostics
    return elaborate(file, Library(tree, root), diagnostics, options, limits), diagnostics


def body(statements: str, inputs: str = "x: f32[N, D=4]", outputs: str = "y: f32[N, D]", head: str = "") -> str:
    """A program of one seed."""
    return f"{head}\nexport seed Net {{\n in {inputs}\n out {outputs}\n {statements}\n}}\n"


def graph_of(text: str, root: Path | None = None, options: Options = Options()) -> Graph:
    """The graph of a correct program."""
    found, diagnostics = elaborated(text, root, options)
    diagnostics.check()
    assert found is not None
    return found.graph


def codes(text: str, root: Path | None = None, limits: Limits = Limits()) -> list[str]:
    """Codes of all diagnostics, by place."""
    return [d.code for d in elaborated(text, root, limits=limits)[1]]


def output_type(text: str, name: str = "y") -> TensorType:
    graph = graph_of(text)
    return next(n.type for _, n in graph.nodes() if isinstance(n, Output) and n.name == name)


def weights(graph: Graph) -> list[str]:
    return [n.path for _, n in graph.nodes() if isinstance(n, Weight)]


def calls(graph: Graph) -> list[str]:
    return [n.op for _, n in graph.nodes() if isinstance(n, Call)]
