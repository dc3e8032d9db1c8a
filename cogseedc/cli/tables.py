"""Tables on stdout: aligned with rich on a terminal, tab-separated otherwise, so that other programs can cut them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cogseedc.ir import Operand, OpSpec, Parameter


def show(header: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[int] = ()) -> None:
    """Prints a table; `right` are the columns that are aligned to the right."""
    if not sys.stdout.isatty():
        for row in (header, *rows):
            click.echo("\t".join(str(cell) for cell in row))
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE, pad_edge=False)
    for i, title in enumerate(header):
        table.add_column(title, justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    Console().print(table)


def operation(spec: OpSpec) -> dict[str, str | list[str]]:
    """What is shown of an operation."""
    static = ", ".join(_parameter(p) for p in spec.parameters)
    operands = ", ".join(_operand(o) for o in spec.operands)
    return {
        "name": spec.name,
        "signature": f"{spec.name}{f'[{static}]' if static else ''}({operands})",
        "group": spec.group,
        "summary": spec.summary,
        "precisions": ["fp32", *sorted(spec.widths)],
        "weights": [o.name for o in spec.operands if o.weight],
        "examples": [f"{e.call}   with {e.inputs}" for e in spec.examples],
        "source": spec.source,
    }


def _parameter(parameter: Parameter) -> str:
    from cogseedc.ir.opspec import REQUIRED

    return parameter.name if parameter.default is REQUIRED else f"{parameter.name}={literal(parameter.default)}"


def literal(value: object) -> str:
    """A default as the language spells it."""
    match value:
        case bool():
            return "true" if value else "false"
        case tuple():
            return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
        case None:
            return "none"
    return str(value)


def _operand(operand: Operand) -> str:
    return f"{operand.name}{'...' if operand.variadic else ''}{'?' if operand.optional else ''}"


def seconds(value: float) -> str:
    """A duration: 1.23 s, 4.5 ms."""
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.1f} ms"
