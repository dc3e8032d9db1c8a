"""`cogseedc check` and `cogseedc fmt`: commands on source text. Neither torch nor onnx is imported."""

from __future__ import annotations

import difflib
import sys

import click

from cogseedc.cli import options, report
from cogseedc.cli.state import State
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.driver.program import Settings, read_source
from cogseedc.driver.program import check as examine
from cogseedc.limits import Limits
from cogseedc.publish import write_file


@click.command(epilog=options.examples("cogseedc check net.seed --set width=32"))
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@options.program
@options.as_json
@click.pass_obj
def check(
    state: State,
    files: tuple[str, ...],
    seed: str | None,
    statics: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    limits: Limits,
    as_json: bool,
) -> int:
    """Report every mistake in FILE... (`-` is stdin)."""
    found: list[Diagnostic] = []
    for file in files:
        try:
            found += examine(file, Settings(seed, statics, sizes, limits))
        except UserError as error:
            found += error.diagnostics
    report.show(found, state)
    status = report.status(found)
    if not (status or as_json):
        click.echo(f"{len(files)} file{'s' if len(files) > 1 else ''} fine", err=True)
    return status


@click.command(epilog=options.examples("cogseedc fmt --check *.seed"))
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--check", "only_check", is_flag=True, help="Change nothing; status 1 when a file would change.")
@click.option("--diff", is_flag=True, help="Change nothing; print what would change.")
@options.limits
def fmt(files: tuple[str, ...], only_check: bool, diff: bool, limits: Limits) -> int:
    """Lay out FILE... in the one layout; comments stay. `-` reads stdin and writes stdout."""
    from cogseedc.frontend.format import format_source

    changed = False
    failures: list[Diagnostic] = []
    for file in files:
        try:
            source = read_source(file, limits)
            text = format_source(source, limits)
        except UserError as error:
            failures += error.diagnostics
            continue
        changed |= text != source.text
        if diff:
            _print_diff(source.text, text, source.name)
        elif only_check:
            if text != source.text:
                click.echo(source.name)
        elif file == "-":
            click.echo(text, nl=False)
        elif text != source.text:
            _write(file, text)
    if failures:
        raise UserError(*failures)
    return int(changed and (only_check or diff))


def _print_diff(old: str, new: str, name: str) -> None:
    lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), name, name)
    sys.stdout.writelines(lines)


def _write(file: str, text: str) -> None:
    try:
        write_file(file, text.encode())
    except OSError as error:
        raise UserError(Diagnostic("CS0905", f"cannot write {file!r}: {error.strerror or error}")) from None
