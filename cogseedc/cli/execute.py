"""`cogseedc run` and `cogseedc verify`: commands on artifacts."""

from __future__ import annotations

import click

from cogseedc.cli import options, tables
from cogseedc.cli.state import MISMATCH, OK
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.publish import canonical_json


@click.command(epilog=options.examples("cogseedc run build/net in.npz --knob tau=0.8 --trace -o out.npz"))
@click.argument("artifact", metavar="ARTIFACT", type=click.Path())
@click.argument("inputs", metavar="INPUTS.npz", type=click.Path())
@click.option("-o", "--output", type=click.Path(), help="Write the outputs to this .npz file.")
@options.knobs
@click.option("--trace", is_flag=True, help="Also the decisions of each gate, as trace.<gate>.")
@click.option("--state", type=click.Path(), metavar="NPZ", help="States before the call; default: the initial ones.")
@click.option("--save-state", type=click.Path(), metavar="NPZ", help="Write the states after the call to this file.")
@options.as_json
def run(
    artifact: str,
    inputs: str,
    output: str | None,
    knobs: tuple[tuple[str, str], ...],
    trace: bool,
    state: str | None,
    save_state: str | None,
    as_json: bool,
) -> int:
    """Run ARTIFACT on INPUTS.npz, which has one array per input, named as the input is."""
    from cogseedc.driver.execute import run_file

    values = {name: numbers(name, text) for name, text in knobs}
    rows = run_file(artifact, inputs, output, values, trace, state, save_state)
    if as_json:
        click.echo(canonical_json(rows), nl=False)
    else:
        tables.show(("array", "dtype", "shape", "what"), [(r["name"], r["dtype"], r["shape"], r["what"]) for r in rows])
    return 0


@click.command(epilog=options.examples("cogseedc verify build/net-torch-cpu build/net-onnx-cpu"))
@click.argument("artifacts", nargs=-1, required=True, metavar="ARTIFACT...", type=click.Path())
@click.option("--rng", type=click.IntRange(0), default=0, show_default=True, help="Random inputs from this number.")
@options.as_json
def verify(artifacts: tuple[str, ...], rng: int, as_json: bool) -> int:
    """Compare each ARTIFACT with the meaning of the source in it.

    Decisions are replayed in the reference and forced each way, for batches of 0, 1, 2, 7 and 16. Status 3 on a
    mismatch, 1 when an artifact is damaged.
    """
    from cogseedc.verify import Settings, verify_artifact

    reports = []
    failures: list[Diagnostic] = []
    for path in artifacts:
        try:
            reports.append(verify_artifact(path, Settings(rng=rng)))
        except UserError as error:
            failures += error.diagnostics
    if as_json and not failures:
        click.echo(canonical_json([found.to_json() for found in reports]), nl=False)
    elif not as_json:
        for found in reports:
            click.echo(found.to_text(), nl=False)
    if failures:
        raise UserError(*failures)
    return OK if all(found.ok for found in reports) else MISMATCH


def numbers(name: str, text: str) -> float | list[float]:
    """A knob's value: a number, or several in parentheses."""
    parts = [part for part in text.strip("()").split(",") if part.strip()]
    try:
        values = [float(part) for part in parts]
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no number, nor numbers in parentheses", param_hint=f"--knob {name}"
        ) from None
    return values if text.startswith("(") else values[0] if len(values) == 1 else values
