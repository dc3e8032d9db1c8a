"""Reads IR text (`category ir`) back into a graph: flat, positional, as `ir.printer` writes it.

Nothing is aligned, inlined or decided here; ill-formed IR text is an error with a span, like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cogseedc.frontend import ast
from cogseedc.frontend.build.irtext import calls, decisions, declarations
from cogseedc.frontend.build.irtext.reader import Reader, is_ir
from cogseedc.frontend.build.model import BuildError, mistake
from cogseedc.ir import Graph
from cogseedc.limits import Limits

__all__ = ["is_ir", "read_ir"]


def read_ir(
    declaration: ast.SeedDeclaration,
    limits: Limits,
    report: Callable[[BuildError], None],
    seeds: Mapping[str, ast.SeedDeclaration],
) -> Graph:
    """The graph of one IR text. Mistakes go to `report`, one per statement. `seeds` are those of the file, among them
    the bodies of loops."""
    others = {name: seed for name, seed in seeds.items() if seed is not declaration}
    outs = {m.name.text for m in declaration.members if isinstance(m, ast.Port) and m.direction == "out"}
    reader = Reader(Graph(), limits, outs, lambda body: read_ir(body, limits, report, others), others)
    for member in declaration.members:
        if len(reader.graph) > limits.nodes:
            report(mistake(Limits.code("nodes"), f"the program has more than {limits.nodes} nodes", member.span))
            break
        try:
            _READERS[type(member)](reader, member)
        except BuildError as error:
            report(error)
        except KeyError:
            report(
                mistake(
                    "CS0425",
                    "this statement has no place in IR text",
                    member.span,
                    help="see `ir/printer.py` for what has",
                )
            )
    for member in declaration.members:
        if isinstance(member, ast.Port) and member.direction == "out" and member.name.text not in reader.bound:
            report(mistake("CS0228", f"the output `{member.name.text}` is never bound", member.name.span))
    return reader.graph


def _head(reader: Reader, member: ast.Meta) -> None:
    """`category ir` itself."""


_READERS: dict[type, Callable[[Reader, Any], None]] = {
    ast.Meta: _head,
    ast.Port: declarations.port,
    ast.KnobDeclaration: declarations.knob,
    ast.ParamDeclaration: declarations.param,
    ast.StateDeclaration: declarations.state,
    ast.Next: declarations.next_,
    ast.Bind: calls.binding,
    ast.GateDeclaration: decisions.gate,
    ast.ExitDeclaration: decisions.exit_,
    ast.LossDeclaration: declarations.loss,
}
