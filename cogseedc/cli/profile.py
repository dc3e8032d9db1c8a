"""`cogseedc profile`: what the gates of a program decide on real inputs."""

from __future__ import annotations

import click

from cogseedc.cli import options, tables
from cogseedc.cli.execute import numbers
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.limits import Limits
from cogseedc.publish import canonical_json, write_file


@click.command(epilog=options.examples("cogseedc profile net.seed images.npz --weights net.safetensors --knob tau=0.8"))
@click.argument("file", metavar="FILE", type=click.Path())
@click.argument("inputs", metavar="INPUTS.npz", type=click.Path())
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True, help="Samples that will run together.")
@options.knobs
@options.program
@options.weights
@options.as_json
def profile(
    file: str,
    inputs: str,
    batch: int,
    knobs: tuple[tuple[str, str], ...],
    seed: str | None,
    statics: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    limits: Limits,
    weights: str | None,
    rng: int | None,
    as_json: bool,
) -> int:
    """Run FILE on INPUTS.npz and write how often each arm of its gates is taken, beside it, for the next build.

    A build reads it when it chooses between strategies, as long as source and weights are the same. What the program
    means, and its outputs, do not change.
    """
    from cogseedc.driver.compile import Request, prepared
    from cogseedc.driver.profile import profile_path
    from cogseedc.driver.profiling import measure_profile
    from cogseedc.driver.program import Settings
    from cogseedc.driver.timing import Timing
    from cogseedc.driver.weights import read_arrays

    request = Request(Settings(seed, statics, sizes, limits), weights, rng)
    program, arrays = prepared(file, request, Timing())
    settings = {name: numbers(name, value) for name, value in knobs}
    found = measure_profile(program, arrays, read_arrays(inputs), settings, batch)
    place = profile_path(file)
    try:
        write_file(place, canonical_json(found, indent=1))
    except OSError as error:
        raise UserError(Diagnostic("CS0905", f"cannot write {str(place)!r}: {error.strerror or error}")) from None
    if as_json:
        click.echo(canonical_json(found), nl=False)
        return 0
    gates = found["gates"]
    assert isinstance(gates, dict)
    rows = [(name, g["reached"], " ".join(f"{s:.1%}" for s in g["shares"])) for name, g in gates.items()]  # type: ignore[index, call-overload, union-attr]
    tables.show(("gate", "reached", "arms taken"), rows, right=(1,))
    click.echo(str(place), err=True)
    return 0
