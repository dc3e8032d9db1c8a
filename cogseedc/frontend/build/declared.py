"""What a seed declares, sorted by kind: found once for a declaration, however often it is called."""

from __future__ import annotations

from dataclasses import dataclass

from cogseedc.frontend import ast

LEVELS = ("atomic", "molecular", "cellular", "tissue")


@dataclass(frozen=True)
class Declared:
    """The parts of one declaration, in its order."""

    inputs: tuple[ast.Port, ...]
    outputs: tuple[ast.Port, ...]
    names: tuple[str, ...]
    """Of the outputs."""
    body: tuple[ast.KnobDeclaration | ast.Statement, ...]
    """Knobs and statements."""
    meta: tuple[ast.Meta, ...]
    level: int | None
    """Place of its level in LEVELS."""
    bits: tuple[str, ...]
    """Precisions that it tolerates, best first."""
    geometry: str | None
    sized: tuple[tuple[str, ast.Expr], ...]
    """Axes to which out ports give a size, and no in port gives a name: names with their sizes."""


def declared(declaration: ast.SeedDeclaration) -> Declared:
    """Sorts the members of a declaration."""
    ports = [m for m in declaration.members if isinstance(m, ast.Port)]
    inputs = tuple(p for p in ports if p.direction == "in")
    outputs = tuple(p for p in ports if p.direction == "out")
    taken = {axis.name.text for port in inputs for axis in port.type.axes if axis.name}
    sized = (axis for port in outputs if port.type.count is None for axis in port.type.axes)
    meta = [m for m in declaration.members if isinstance(m, ast.Meta)]
    levels = (m.values[0].text for m in meta if m.kind == "level")
    return Declared(
        inputs,
        outputs,
        tuple(port.name.text for port in outputs),
        tuple(m for m in declaration.members if isinstance(m, ast.KnobDeclaration | ast.Statement)),
        tuple(meta),
        next((LEVELS.index(level) for level in levels if level in LEVELS), None),
        tuple(value.text for m in meta if m.kind == "bits" for value in m.values),
        next((m.values[0].text for m in meta if m.kind == "geometry" and len(m.values) == 1), None),
        tuple((a.name.text, a.size) for a in sized if a.name and a.size is not None and a.name.text not in taken),
    )
