"""Finds the program that a command is about, from a source or an artifact, and has it drawn."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from pathlib import Path

from cogseedc.analysis.cost import ASSUMED, node_cost
from cogseedc.driver.program import Program, Settings, load
from cogseedc.ir import BATCH, Graph, NodeId, Size
from cogseedc.ops import OPS
from cogseedc.publish import MANIFEST, canonical_json

ONE = Size.of(1)
FORMATS = ("html", "svg", "dot", "mmd", "json")


def program_of(subject: str, settings: Settings) -> Program:
    """The program of a source file, or the one that an artifact keeps. Raises UserError."""
    if subject != "-" and (Path(subject) / MANIFEST).is_file():
        from cogseedc.driver.inspect import program_of_artifact

        return program_of_artifact(subject)
    return load(subject, settings)


def picture(subject: str, format: str, settings: Settings) -> bytes:
    """A drawing of the program in one of `FORMATS`."""
    program = program_of(subject, settings)
    return draw(program, format)


def draw(program: Program, format: str) -> bytes:
    """A drawing of a checked program; of `json`, the data that all others are made of."""
    from cogseedc import viz

    graph = program.structure
    turns = {id(inner): prod((loop.steps for loop in around), start=ONE) for inner, around in graph.nested()}

    @lru_cache(maxsize=4096)
    def number(size: Size) -> int:
        return size.evaluate({**dict.fromkeys(size.symbols(), ASSUMED), BATCH: 1, **dict(program.settings.sizes)})

    def macs(inner: Graph, node: NodeId) -> int:
        """Of all turns of the loops around."""
        return number(node_cost(inner, OPS, node).macs * turns[id(inner)])

    data = viz.document(graph, program.name, program.elaborated.doc, macs, program.files, lambda op: OPS[op].group)
    for node in data["nodes"]:
        if node["span"] is not None and node["span"]["file"] == program.source.name:
            node["span"]["file"] = next(iter(program.files))  # its base name: an artifact carries no paths
    match format:
        case "json":
            return canonical_json(data)
        case "dot":
            return viz.dot(data).encode()
        case "mmd":
            return viz.mermaid(data).encode()
        case "svg":
            return viz.svg(data)
        case _:
            return viz.html(data)
