"""`cogseedc calibrate`: knobs from validation data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import click

from cogseedc.cli import options, tables
from cogseedc.cli.state import OK
from cogseedc.publish import canonical_json


@click.command(
    epilog=options.examples(
        'cogseedc calibrate build/net --data "x.npz#validation" --budget "macs<=0.3x"',
        'cogseedc calibrate build/net --data v.npz --budget "accuracy>=-0.2pt" --budget "worst macs<=2M" -o build/net2',
    )
)
@click.argument("artifact", metavar="ARTIFACT", type=click.Path())
@click.option("--data", required=True, metavar="SOURCE", help="Validation data; see `cogseedc train --help`.")
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    metavar="BUDGET",
    help='"macs<=0.3x", "worst macs<=2M", "latency_ms<=5", "accuracy>=-0.2pt"; all must hold.',
)
@click.option("-o", "--output", type=click.Path(), help="Folder of the new artifact. Default: ARTIFACT-calibrated.")
@click.option(
    "--method",
    type=click.Choice(["search", "msdnet", "per-exit"]),
    default="search",
    show_default=True,
    help="How thresholds are found: a search that begins with MSDNet's rule, that rule, or each exit by itself.",
)
@click.option(
    "--margin",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="By how many standard errors accuracy must keep its budget.",
)
@click.option("--gains", is_flag=True, help="Let lucky early answers make up for worse ones; see docs/calibration.md.")
@click.option("--fold", is_flag=True, help="Fold away constant gates, arms that nobody takes, and idle tails.")
@click.option("--threads", type=click.IntRange(1), help="How many threads the runtime may use.")
@options.as_json
def calibrate(
    artifact: str,
    data: str,
    budgets: tuple[str, ...],
    output: str | None,
    method: Literal["search", "msdnet", "per-exit"],
    margin: float,
    gains: bool,
    fold: bool,
    threads: int | None,
    as_json: bool,
) -> int:
    """Choose the knobs of ARTIFACT on validation data, and write a new artifact with them as defaults.

    With a budget of work or time it is as accurate as it can be within it, with one of accuracy alone as cheap. The
    whole trade-off curve and the rates of all gates are kept in the artifact.
    """
    from cogseedc.calibrate import Asked, calibrate_artifact

    place = Path(output) if output is not None else Path(f"{artifact.rstrip('/')}-calibrated")
    report = calibrate_artifact(Asked(artifact, data, place, budgets, method, fold, threads, margin, gains))
    if as_json:
        click.echo(canonical_json({"artifact": str(place), "calibration": report.profile}), nl=False)
        return OK
    profile = report.profile
    rows = [("chosen", *_row(profile["chosen"], profile)), ("full", *_row(profile["full"], profile))]
    for name, point in zip([*profile["exits"], None], profile["anytime"], strict=True):
        if name is not None:
            rows.append((f"all leave at {name}", *_row(point, profile)))
    tables.show(("", profile["measure"], "mean MACs", "of full", "left at exits"), rows, right=(1, 2, 3))
    click.echo(f"worst case, proved: {profile['worst_macs']:,} MACs")
    for name, values in profile["knobs"].items():
        click.echo(f"knob {name} = {', '.join(f'{value:.6g}' for value in values)}")
    for finding in report.found:
        click.echo(f"{finding.kind}: {finding.message}{' (folded away)' if fold else ''}")
    click.echo(str(place))
    return OK


def _row(point: Mapping[str, Any], profile: Mapping[str, Any]) -> tuple[str, str, str, str]:
    full = max(1.0, profile["full"]["macs"])
    shares = ", ".join(f"{share:.0%}" for share in point["shares"][:-1])
    accuracy = profile["measure"] == "accuracy"
    quality = f"{point['quality']:.2%}" if accuracy else f"{point['quality']:.5g}"
    return quality, f"{point['macs']:,.0f}", f"{point['macs'] / full:.1%}", shares
