"""Finds the graph that a command is about, from a source or an artifact, and has it drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cogseedc.driver.program import Program, Settings, load
from cogseedc.ir import Graph
from cogseedc.publish import MANIFEST

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
    raise NotImplementedError(format)
