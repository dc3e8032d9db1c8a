"""Prints diagnostics: for people to stderr, for programs as JSON to stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

import click

from cogseedc.cli.state import BUDGET, FINDINGS, OK, State
from cogseedc.diagnostics import Diagnostic, Severity, render, to_json
from cogseedc.publish import canonical_json

_BUDGETS = {"CS0704", "CS0705", "CS1009"}


def show(diagnostics: Iterable[Diagnostic], state: State) -> None:
    """Prints them all, in the form that the call asked for."""
    found = tuple(diagnostics)
    if state.json:
        click.echo(canonical_json(to_json(found)), nl=False)
    elif found:
        click.echo(render(found, color=colored()), err=True, nl=False)


def status(diagnostics: Iterable[Diagnostic]) -> int:
    """4 when a budget is all that fails, 1 when anything else does, 0 when there are only warnings and notes."""
    errors = {d.code for d in diagnostics if d.severity is Severity.ERROR}
    if not errors:
        return OK
    return BUDGET if errors <= _BUDGETS else FINDINGS


def colored() -> bool:
    """Whether messages go to a terminal that wants colour."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
