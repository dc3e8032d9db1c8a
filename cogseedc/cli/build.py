"""`cogseedc build`: compiles a program into one artifact for each target."""

from __future__ import annotations

from pathlib import Path

import click

from cogseedc.cli import options, report, tables
from cogseedc.cli.state import State
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.limits import Limits
from cogseedc.publish import canonical_json


@click.command(
    epilog=options.examples(
        "cogseedc build net.seed -t onnx-cpu -o build/net",
        'cogseedc build net.seed --set "widths=(16, 32)" --weights net.safetensors',
    )
)
@click.argument("file", metavar="FILE")
@click.option(
    "-t",
    "--target",
    "targets",
    multiple=True,
    default=("torch-cpu",),
    show_default=True,
    metavar="NAME",
    help="See `cogseedc targets`. Several give one artifact each.",
)
@click.option("-o", "--output", type=click.Path(), help="Folder of the artifact. Default: build/<file>-<target>.")
@options.program
@options.weights
@options.lowering
@options.checks
@click.option("--check-reproducible", is_flag=True, help="Build again in another process and compare every byte.")
@options.as_json
@click.pass_obj
def build(
    state: State,
    file: str,
    targets: tuple[str, ...],
    output: str | None,
    seed: str | None,
    statics: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    limits: Limits,
    weights: str | None,
    rng: int | None,
    gates: str,
    bits: str | None,
    calibration: str | None,
    verify_each: bool,
    timing: bool,
    check_reproducible: bool,
    as_json: bool,
) -> int:
    """Compile FILE (`-` is stdin) into an artifact."""
    from cogseedc.driver.compile import Request, compile_all
    from cogseedc.driver.program import Settings
    from cogseedc.driver.timing import Timing

    if check_reproducible and file == "-":
        raise UserError(Diagnostic("CS0913", "a program from stdin cannot be read twice", help="save it in a file"))
    request = Request(Settings(seed, statics, sizes, limits), weights, rng, gates, bits, calibration, verify_each)
    clock = Timing()
    places = {name: _place(file, name, output, len(targets) > 1) for name in targets}
    artifacts, notes = compile_all(file, places, request, clock)
    if check_reproducible:
        from cogseedc.driver.reproduce import check_reproducible as check

        with clock.step("build again"):
            check(file, artifacts, request)
    if as_json:
        click.echo(canonical_json({name: str(path) for name, path in artifacts.items()}), nl=False)
    else:
        report.show(notes, state)
        for path in artifacts.values():
            click.echo(str(path))
    if timing:
        click.echo("\n".join(f"{tables.seconds(s):>9}  {step}" for step, s in clock.steps()), err=True)
    return 0


def _place(file: str, target: str, output: str | None, several: bool) -> Path:
    """Where an artifact goes; with several targets, a folder for each inside `output`."""
    if output is None:
        if file == "-":
            raise UserError(Diagnostic("CS0905", "a program from stdin has no name", help="say where: --output FOLDER"))
        return Path("build") / f"{Path(file).stem}-{target}"
    return Path(output) / target if several else Path(output)
