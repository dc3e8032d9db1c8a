"""`cogseedc explain`: what a code means, or what the plan does with each gate of a program."""

from __future__ import annotations

import json
import re
from difflib import get_close_matches

import click

from cogseedc.cli import options, tables
from cogseedc.diagnostics import CODES, Diagnostic, UserError
from cogseedc.limits import Limits
from cogseedc.publish import canonical_json


@click.command(epilog=options.examples("cogseedc explain CS0301", "cogseedc explain net.seed --plan -t onnx-cpu"))
@click.argument("subject", metavar="CODE|FILE", required=False)
@click.option(
    "--plan", "with_plan", is_flag=True, help="How each gate of FILE is lowered, and what each way would cost."
)
@options.target("onnx-cpu")
@options.program
@options.lowering
@options.as_json
def explain(
    subject: str | None,
    with_plan: bool,
    target: str,
    seed: str | None,
    statics: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    limits: Limits,
    gates: str,
    bits: str | None,
    calibration: str | None,
    as_json: bool,
) -> int:
    """Say what a diagnostic CODE means; list all codes without one; or explain the plan of FILE."""
    if subject is None:
        tables.show(("code", "what"), [(c.code, c.title) for c in sorted(CODES.values(), key=lambda c: c.code)])
        return 0
    if re.fullmatch(r"(?i)cs\d+", subject):
        return _code(subject.upper(), as_json)
    if not with_plan:
        raise click.UsageError("of a FILE, `--plan` is what can be explained: cogseedc explain FILE --plan")
    from cogseedc.driver.compile import Request, explain_plan
    from cogseedc.driver.program import Settings

    request = Request(Settings(seed, statics, sizes, limits), None, None, gates, bits, calibration, False)
    rows = explain_plan(subject, target, request)
    if as_json:
        click.echo(canonical_json(rows), nl=False)
        return 0
    header = ("gate or loop", "over", "lowered as", "us: dense", "compact", "branch", "tiles", "arms taken", "why")
    tables.show(header, [_row(json.loads(canonical_json(row))) for row in rows], right=(3, 4, 5, 6))
    return 0


def _row(row: dict[str, object]) -> tuple[object, ...]:
    if "loop" in row:
        return (row["loop"], f"{row['turns']} turns", row["strategy"], "", "", "", "", "", row["why"])
    predicted = row["predicted"]
    assert isinstance(predicted, dict)
    times = (f"{predicted[s]:.3g}" if s in predicted else "" for s in ("dense", "compact", "branch", "tiles"))
    over = row["over"]
    assert isinstance(over, list)
    shares = row["shares"]
    assert isinstance(shares, list)
    taken = " ".join(f"{s:.0%}" for s in shares) + ("" if row["profiled"] else " (assumed)")
    return (row["gate"], ", ".join(map(str, over)), row["strategy"], *times, taken, row["why"])


def _code(name: str, as_json: bool) -> int:
    code = CODES.get(name)
    if code is None:
        close = get_close_matches(name, list(CODES), 3, 0.7)
        hint = f"near it: {', '.join(close)}; " if close else ""
        raise UserError(Diagnostic("CS0906", f"there is no code {name}", help=f"{hint}`cogseedc explain` lists all"))
    if as_json:
        record = {"code": code.code, "title": code.title, "why": code.why, "wrong": code.wrong, "right": code.right}
        click.echo(canonical_json(record), nl=False)
        return 0
    for title, text in (("", code.why), ("Wrong", _indented(code.wrong)), ("Right", _indented(code.right))):
        click.echo(f"{code.code}: {code.title}\n\n{text}\n" if not title else f"{title}:\n\n{text}\n")
    return 0


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.strip("\n").splitlines())
