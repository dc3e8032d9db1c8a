"""`cogseedc targets`, `ops` and `seeds`: what there is to use."""

from __future__ import annotations

import dataclasses
import sys
from difflib import get_close_matches

import click

from cogseedc.cli import options, tables
from cogseedc.limits import Limits
from cogseedc.publish import canonical_json, write_file


@click.group(
    invoke_without_command=True, epilog=options.examples("cogseedc targets", "cogseedc targets probe onnx-cpu")
)
@options.as_json
@click.pass_context
def targets(context: click.Context, as_json: bool) -> int:
    """The kinds of machine to compile for; `probe` measures their costs here."""
    from cogseedc import target

    if context.invoked_subcommand is not None:
        return 0

    found = [target.load(name) for name in target.names()]
    if as_json:
        click.echo(canonical_json([dataclasses.asdict(t) for t in found]), nl=False)
        return 0
    tables.show(
        ("target", "what", "strategies", "precisions"),
        [(t.name, t.summary, " ".join(t.gates), " ".join(t.precisions)) for t in found],
    )
    return 0


@targets.command(epilog=options.examples("cogseedc targets probe", "cogseedc targets probe torch-cpu"))
@click.argument("names", nargs=-1, metavar="[NAME...]")
@options.as_json
def probe(names: tuple[str, ...], as_json: bool) -> int:
    """Measure the costs of targets on this machine, in some ten seconds each; all CPU targets without a NAME.

    They go into the user's folder of settings. Builds then choose by them, and their manifests say so; a model's
    meaning does not change. Remove the file to go back to the numbers that come with the compiler.
    """
    from dataclasses import asdict

    from cogseedc import target
    from cogseedc.bench.probe import probe as measured
    from cogseedc.bench.probe import steps

    chosen = [target.shipped(name) for name in names or target.names()]
    chosen = [t for t in chosen if t.device == "cpu" or names]
    for one in chosen:
        if one.device != "cpu":
            raise click.UsageError(f"{one.name} is for another device; costs are measured on the CPU")
    found = {}
    with click.progressbar(length=sum(steps(t) for t in chosen), label="measuring", file=sys.stderr) as bar:
        for one in chosen:
            found[one.name] = asdict(measured(one, lambda _: bar.update(1)))
    for name, costs in found.items():
        lines = "".join(f"{key:<9} = {value}\n" for key, value in costs.items())
        text = f"# Measured by `cogseedc targets probe`; remove this file to go back.\n[costs]\n{lines}"
        write_file(target.probed_costs(name), text.encode())
    if as_json:
        click.echo(canonical_json(found), nl=False)
    else:
        keys = list(next(iter(found.values())))
        rows = [(key, *(f"{found[name][key]:g}" for name in found)) for key in keys]
        tables.show(("cost", *found), rows, right=tuple(range(1, len(found) + 1)))
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
