"""`cogseedc targets`, `ops` and `seeds`: what there is to use."""

from __future__ import annotations

import dataclasses
from difflib import get_close_matches

import click

from cogseedc.cli import options, tables
from cogseedc.limits import Limits
from cogseedc.publish import canonical_json


@click.command()
@options.as_json
def targets(as_json: bool) -> int:
    """The kinds of machine to compile for."""
    from cogseedc import target

    found = [target.load(name) for name in target.names()]
    if as_json:
        click.echo(canonical_json([dataclasses.asdict(t) for t in found]), nl=False)
        return 0
    tables.show(
        ("target", "what", "strategies", "precisions"),
        [(t.name, t.summary, " ".join(t.gates), " ".join(t.precisions)) for t in found],
    )
    return 0


@click.command(epilog=options.examples("cogseedc ops", "cogseedc ops conv2d"))
@click.argument("name", required=False)
@options.as_json
def ops(name: str | None, as_json: bool) -> int:
    """The catalogue of operations, or one of them: signature, precisions, examples."""
    from cogseedc.ops import OPS

    if name is not None and name not in OPS:
        close = get_close_matches(name, list(OPS), 1)
        raise click.UsageError(f"there is no operation {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    chosen = [OPS[name]] if name is not None else [OPS[n] for n in sorted(OPS)]
    records = [tables.operation(spec) for spec in chosen]
    if as_json:
        click.echo(canonical_json(records), nl=False)
    elif name is None:
        tables.show(("operation", "family", "what"), [(r["signature"], r["group"], r["summary"]) for r in records])
    else:
        for key, value in records[0].items():
            click.echo(f"{key + ':':<12} {value}" if isinstance(value, str) else f"{key + ':':<12} {', '.join(value)}")
    return 0


@click.command(epilog=options.examples("cogseedc seeds", "cogseedc seeds blocks.seed"))
@click.argument("files", nargs=-1, metavar="[FILE...]")
@options.limits
@options.as_json
def seeds(files: tuple[str, ...], limits: Limits, as_json: bool) -> int:
    """The seeds of the standard library, or of FILE..."""
    from cogseedc.driver.catalogue import seeds_of

    records = seeds_of(files, limits)
    if as_json:
        click.echo(canonical_json(records), nl=False)
    else:
        tables.show(
            ("from", "seed", "level", "what"), [(r["from"], r["signature"], r["level"], r["doc"]) for r in records]
        )
    return 0
