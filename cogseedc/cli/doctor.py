"""`cogseedc doctor`: what is installed and what works here, tried and not guessed."""

from __future__ import annotations

import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version

import click

import cogseedc
from cogseedc.cli import options, tables
from cogseedc.driver.health import attempts
from cogseedc.publish import canonical_json


@click.command()
@options.as_json
def doctor(as_json: bool) -> int:
    """Versions of everything, and which parts work on this machine. Status 1 when a needed part does not."""
    rows = [("cogseedc", cogseedc.__version__, "ok"), ("python", platform.python_version(), _python())]
    rows += [(name, *_package(name, requirement)) for name, requirement in _needed()]
    rows += [(name, "", state) for name, state in attempts()]
    failed = any(state.startswith("fails") for _, _, state in rows)
    if as_json:
        click.echo(canonical_json([{"part": n, "version": v, "state": s} for n, v, s in rows]), nl=False)
    else:
        tables.show(("part", "version", "state"), rows)
    return int(failed)


def _python() -> str:
    return "ok" if sys.version_info >= (3, 11) else "fails: Python 3.11 or newer is needed"


def _needed() -> list[tuple[str, str]]:
    """Name and requirement of each package that the core depends on, as its own metadata lists them."""
    lines = [line.split(";")[0].strip() for line in requires("cogseedc") or [] if "extra ==" not in line]
    return sorted((re.split(r"[^A-Za-z0-9_.-]", line)[0], line) for line in lines)


def _package(name: str, requirement: str) -> tuple[str, str]:
    try:
        return version(name), "ok"
    except PackageNotFoundError:
        return "", f"fails: not installed; pip install '{requirement}'"
