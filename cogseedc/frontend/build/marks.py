"""Attributes before a statement, such as `@bits(int8)`: what they say of all that it makes."""

from __future__ import annotations

from dataclasses import replace

from cogseedc.diagnostics import Diagnostic, Label, Severity
from cogseedc.frontend import ast
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.model import Frame, mistake
from cogseedc.frontend.build.names import suggestion

PRECISIONS = ("int8", "fp8", "fp16", "bf16", "fp32")
_INERT = ("device", "cache")


def marked(b: Builder, frame: Frame, statement: ast.Statement) -> Frame:
    """The frame with the attributes of a statement: `@bits` counts, `@device` and `@cache` are only recorded."""
    for mark in statement.marks:
        name = mark.name.text
        if name in _INERT:
            b.diagnostics.add(
                Diagnostic(
                    "CS0216",
                    f"`@{name}` is recorded, but has no effect yet",
                    (Label(mark.span),),
                    severity=Severity.NOTE,
                )
            )
        elif name == "bits":
            frame = replace(frame, origin=replace(frame.origin, forced_bits=_precision(mark)))
        else:
            raise mistake(
                "CS0217",
                f"there is no attribute `@{name}`",
                mark.span,
                help=suggestion(name, ("bits", *_INERT))
                or "the attributes are @bits, @device and @cache; a matrix product is `matmul(a, b)`",
            )
    return frame


def _precision(mark: ast.Mark) -> str:
    if len(mark.arguments) == 1 and isinstance(mark.arguments[0], ast.Positional):
        value = mark.arguments[0].value
        if isinstance(value, ast.Reference) and value.name in PRECISIONS:
            return value.name
    raise mistake("CS0218", "`@bits` takes one precision", mark.span, help=f"one of {', '.join(PRECISIONS)}")
