"""Finds the graph that a command is about, from a source or an artifact, and has it drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from cogseedc.driver.program import Program, Settings, load
from cogseedc.ir import Call, Graph, NodeId
from cogseedc.ops import OPS
from cogseedc.publish import MANIFEST, canonical_json

FORMATS = ("html", "svg", "dot", "mmd", "json")


def program_of(subject: str, settings: Settings) -> Program:
    """The program of a source file, or the one that an artifact keeps. Raises UserError."""
    if subject != "-" and (Path(subject) / MANIFEST).is_file():
        from cogseedc.driver.inspect import program_of_artifact

        return program_of_artifact(subject)
    return load(subject, settings)


def graph_of(subject: str, settings: Settings) -> tuple[Graph, Mapping[str, int]]:
    """The graph with gates as control edges, and the sizes that are given for its symbols."""
    program = program_of(subject, settings)
    return program.structure, dict(program.settings.sizes)


def picture(subject: str, format: str, settings: Settings) -> bytes:
    """A drawing of the program in one of `FORMATS`."""
    program = program_of(subject, settings)
    return draw(program, format)


def draw(program: Program, format: str) -> bytes:
    """A drawing of a checked program; of `json`, the data that all others are made of."""
    from cogseedc.viz import document, dot, html, mermaid, svg

    data = document(program.structure, program.name, program.elaborated.doc, _macs(program), dict(program.files))
    spell = {
        "json": lambda: canonical_json(data), "dot": lambda: dot(data).encode(), "mmd": lambda: mermaid(data).encode(),
        "svg": lambda: svg(data), "html": lambda: html(data),
    }
    return spell[format]()


def _macs(program: Program) -> Callable[[NodeId], int]:
    """MACs per sample of each node; a size that is open counts as one."""
    graph, wiring = program.structure, program.structure.wiring()

    def of(id: NodeId) -> int:
        node = graph[id]
        macs = OPS[node.op].macs if isinstance(node, Call) else None
        if macs is None or not isinstance(node, Call):
            return 0
        size = macs(node.attrs, [graph.type(v) if v is not None else None for v in wiring.operands(id)], node.types)
        known = dict(program.settings.sizes)
        return size.evaluate({symbol: known.get(symbol, 1) for symbol in size.symbols()})

    return of
