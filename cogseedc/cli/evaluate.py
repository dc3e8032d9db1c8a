"""`cogseedc evaluate`: an artifact on test data, beside baselines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cogseedc.cli import options, tables
from cogseedc.cli.state import OK
from cogseedc.publish import canonical_json


class Named(options.Pair):
    """`name=value` with any text as the name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name.strip() or not text.strip():
            self.fail(f"{value!r} is not name=value", param, ctx)
        return name.strip(), text.strip()


@click.command(
    epilog=options.examples(
        "cogseedc evaluate build/net --data 'sklearn:digits#test' -o report.html",
        "cogseedc evaluate build/net --data test.npz --shifted oos=oos.npz --baseline alone=build/small --json",
    )
)
@click.argument("artifact", metavar="ARTIFACT", type=click.Path())
@click.option("--data", required=True, metavar="SOURCE", help="Test data; see `cogseedc train --help`.")
@click.option("-o", "--output", type=click.Path(), metavar="FILE.html", help="Write a page with plots.")
@click.option(
    "--shifted", type=Named(), multiple=True, metavar="NAME=SOURCE", help="Other inputs; their cost is reported."
)
@click.option(
    "--baseline", "baselines", type=Named(), multiple=True, metavar="NAME=ARTIFACT", help="Another artifact to compare."
)
@click.option("--threads", type=click.IntRange(1), help="How many threads the runtime may use.")
@click.option("--no-times", is_flag=True, help="Do not measure time.")
@options.as_json
def evaluate(
    artifact: str,
    data: str,
    output: str | None,
    shifted: tuple[tuple[str, str], ...],
    baselines: tuple[tuple[str, str], ...],
    threads: int | None,
    no_times: bool,
    as_json: bool,
) -> int:
    """Measure ARTIFACT on test data, beside other ways of deciding.

    Baselines have the same weights: everything on, everybody leaving at one exit, the best decision for each sample
    (oracle), and decisions by chance with the same rates.
    """
    from cogseedc.evaluate import Asked, evaluate_artifact

    page = None if output is None else Path(output)
    report = evaluate_artifact(Asked(artifact, data, page, shifted, baselines, threads, not no_times))
    if as_json:
        click.echo(canonical_json(report), nl=False)
        return OK
    level = "{:.2%}".format if report["measure"] == "accuracy" else "{:.5g}".format
    full = max(1, report["result"]["worst_macs"])

    def row(name: str, at: Any) -> tuple[str, str, str, str]:
        quality = "" if at["quality"] is None else level(at["quality"])
        return name, quality, f"{at['macs']:,.0f}", f"{at['macs'] / full:.1%}"

    rows = [row(f"{report['name']} for {report['target']}", report["result"])]
    rows += [row(point["name"], point) for point in (*report["baselines"], *report["shifted"])]
    tables.show(("", report["measure"], "mean MACs", "of worst"), rows, right=(1, 2, 3))
    if len(report["exits"]) > 1:
        click.echo("left at: " + ", ".join(f"{exit['name']} {exit['share']:.1%}" for exit in report["exits"]))
    gap = report["calibration_gap"]
    if gap is not None:
        points = f"{100 * gap['quality']:+.2f} points" if report["measure"] == "accuracy" else f"{gap['quality']:+.4g}"
        click.echo(f"calibration gap: {points}, {gap['macs']:+.1%} MACs")
    for size, milliseconds in report["latency_ms"].items():
        click.echo(f"{milliseconds:.3g} ms per sample in batches of {size}")
    if output is not None:
        click.echo(output)
    return OK
