"""`cogseedc bench`: how fast a program is, beside what it could be."""

from __future__ import annotations

from pathlib import Path

import click

from cogseedc.cli import options
from cogseedc.cli.execute import numbers
from cogseedc.limits import Limits
from cogseedc.publish import canonical_json, write_file


@click.command(
    epilog=options.examples(
        "cogseedc bench net.seed -t onnx-cpu --batch 1 --batch 32 --inputs images.npz --knob tau=0.8",
        "cogseedc bench build/net --output build/bench",
    )
)
@click.argument("path", metavar="FILE|ARTIFACT", type=click.Path())
@click.option("-t", "--target", "targets", multiple=True, default=("onnx-cpu",), show_default=True, metavar="NAME")
@click.option("--batch", "batches", multiple=True, type=click.IntRange(1), default=(1, 8, 32), show_default=True)
@click.option(
    "--inputs", type=click.Path(), metavar="NPZ", help="Samples; without them random ones, which decide at random."
)
@options.knobs
@click.option(
    "--rounds", type=click.IntRange(1), default=15, show_default=True, help="How often each candidate is timed."
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="With one, CPU time counts, else the wall's.",
)
@click.option("-o", "--output", type=click.Path(), help="Also write bench.json and bench.svg into this folder.")
@options.program
@options.weights
@options.lowering
@options.as_json
def bench(
    path: str,
    targets: tuple[str, ...],
    batches: tuple[int, ...],
    inputs: str | None,
    knobs: tuple[tuple[str, str], ...],
    rounds: int,
    threads: int,
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
    as_json: bool,
) -> int:
    """Measure FILE or ARTIFACT against itself computing everything, and against its practical limit.

    The limit is the time of exactly the parts that the decisions ask for, each as a static graph on the rows that it
    needs. Efficiency is that time divided by the measured one. All candidates run in turn in this process.
    """
    from cogseedc.bench import chart, document, table
    from cogseedc.bench.program import Wish
    from cogseedc.bench.program import bench as measured
    from cogseedc.driver.compile import Request
    from cogseedc.driver.program import Settings

    request = Request(Settings(seed, statics, sizes, limits), weights, rng, gates, bits, calibration)
    settings = {name: numbers(name, value) for name, value in knobs}
    wish = Wish(targets, batches, inputs, settings, rounds, threads, request)
    cells = measured(path, wish, lambda line: click.echo(line, err=True))
    found = document(cells, {"rounds": rounds, "threads": threads})
    if as_json:
        click.echo(canonical_json(found), nl=False)
    else:
        for target in dict.fromkeys(cell.row for cell in cells):
            click.echo("\n".join([target, *table([cell for cell in cells if cell.row == target])]))
    if output is not None:
        write_file(Path(output) / "bench.json", canonical_json(found, indent=1))
        write_file(Path(output) / "bench.svg", chart(cells, Path(path).name).encode())
    return 0
