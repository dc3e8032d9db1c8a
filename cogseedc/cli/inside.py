"""`cogseedc opt`, `cost`, `graph` and `inspect`: looking inside programs and artifacts."""

from __future__ import annotations

from pathlib import Path

import click

from cogseedc.cli import options, report, tables
from cogseedc.cli.state import State
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.limits import Limits
from cogseedc.publish import canonical_json, write_file


@click.command(
    epilog=options.examples("cogseedc opt net.seed --passes insert-exit-points,eliminate-dead-seeds --print-after-all")
)
@click.argument("file", metavar="FILE")
@click.option(
    "--passes", metavar="A,B,...", help="Passes to run, in order; default: those that a build for the target runs."
)
@click.option(
    "--print-after-all",
    is_flag=True,
    help="Print the program after every pass that changed it, not only after the last.",
)
@click.option(
    "--list",
    "list_all",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda c, p, v: _list(c, v),
    help="List all passes.",
)
@click.option(
    "--bits",
    type=click.Choice(["auto", "fp32", "fp16", "bf16", "int8"]),
    help="Precisions for assign-bitwidths. Default: the target's.",
)
@options.target("torch-cpu")
@options.program
@options.checks
@click.pass_obj
def opt(
    state: State,
    file: str,
    passes: str | None,
    print_after_all: bool,
    bits: str | None,
    target: str,
    seed: str | None,
    statics: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    limits: Limits,
    verify_each: bool,
    timing: bool,
) -> int:
    """Run passes on FILE (a program, or what `opt` printed) and print the program as text that can be read again."""
    from cogseedc.driver.lower import optimise
    from cogseedc.driver.program import Settings, load
    from cogseedc.driver.timing import Timing

    clock = Timing()
    with clock.step("front end"):
        program = load(file, Settings(seed, statics, sizes, limits))
    report.show(program.notes, state)
    names = None if passes is None else [name.strip() for name in passes.split(",") if name.strip()]
    dumps = optimise(program, target, names, verify_each, clock, bits)
    for i, (title, changed, text) in enumerate(dumps):
        last = i == len(dumps) - 1
        if print_after_all:
            click.echo(f"# after {title}: {'changed' if changed else 'nothing changed'}")
        if last or (print_after_all and changed):
            click.echo(text)
    if timing:
        click.echo("\n".join(f"{tables.seconds(s):>9}  {step}" for step, s in clock.steps()), err=True)
    return 0


def _list(ctx: click.Context, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from cogseedc.passes import PASSES

        tables.show(("pass", "what"), [(p.name, (p.__doc__ or "").strip().split("\n")[0]) for p in PASSES])
        ctx.exit()


@click.command(
    epilog=options.examples(
        "cogseedc cost net.seed",
        "cogseedc cost net.seed --rate easy=0.6",
        "cogseedc cost msdnet.seed --rule msdnet --set stem=cifar",
    )
)
@click.argument("subject", metavar="FILE|ARTIFACT")
@click.option(
    "--rate",
    "rates",
    type=options.Pair(),
    multiple=True,
    metavar="GATE=SHARE",
    help="Share of samples (of tokens, pixels or channels) for which a gate is taken; without it, one half.",
)
@click.option(
    "--rule",
    type=click.Choice(["macs", "msdnet"]),
    help="Print what has been spent at each exit, to the unit. macs: multiply-accumulates of what has to run; msdnet: "
    "as that paper counts, all layers up to there with biases, activations and pooling.",
)
@options.program
@options.as_json
def cost(
    subject: str,
    rates: tuple[tuple[str, str], ...],
    rule: str | None,
    seed: str | None,
    statics: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    limits: Limits,
    as_json: bool,
) -> int:
    """What a program costs per sample: least, expected and most over all decisions, and per exit.

    With rates, the expected MACs are held against the program's mean budget (exit status 4).
    """
    from cogseedc.driver.costs import costs_of, exit_rows, hold_means, measured, published, rows, to_the_end
    from cogseedc.driver.picture import program_of
    from cogseedc.driver.program import Settings

    shares = {gate: _share(gate, text) for gate, text in rates}
    if shares and rule == "msdnet":
        raise click.UsageError("the rule msdnet counts all that is written, so it takes no --rate")
    program = program_of(subject, Settings(seed, statics, sizes, limits))
    known = dict(program.settings.sizes)
    if rule == "msdnet":
        record = published(program.elaborated.graph, known, rule)
    else:
        record = measured(costs_of(program.structure, program.settings.sizes), shares)
        record = record if rule is None else to_the_end(record)
    budgets = program.elaborated.budgets if rates else ()
    if as_json:
        hold_means(budgets, record)
        click.echo(canonical_json(record), nl=False)
        return 0
    if rule is not None:
        tables.show(("per sample, up to", "MACs", "parameters"), list(exit_rows(record)), right=(1, 2))
    else:
        tables.show(("per sample", "least", "expected", "most"), list(rows(record)), right=(1, 2, 3))
    if not rates and rule is None and record["arms"]:
        click.echo(
            "expected: arms alike where a decision does not say how often; measured shares: --rate GATE=SHARE", err=True
        )
    assumed = record["assumed"]
    if isinstance(assumed, list) and assumed:
        click.echo(f"sizes that only the run knows count as 32: {', '.join(map(str, assumed))}", err=True)
    hold_means(budgets, record)
    return 0


def _share(gate: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no number", param_hint=f"--rate {gate}") from None


@click.command(epilog=options.examples("cogseedc graph net.seed -o net.html", "cogseedc graph build/net --json"))
@click.argument("subject", metavar="FILE|ARTIFACT")
@click.option("-o", "--output", type=click.Path(), help="Where to; its ending says how: .html .svg .dot .mmd .json")
@options.program
@options.as_json
def graph(
    subject: str,
    output: str | None,
    seed: str | None,
    statics: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    limits: Limits,
    as_json: bool,
) -> int:
    """Draw a program: collapsible seeds, gates as dashed edges, costs, lines of the source."""
    from cogseedc.driver.picture import FORMATS, picture
    from cogseedc.driver.program import Settings

    format = Path(output).suffix.removeprefix(".") if output and output != "-" else "json" if as_json else "mmd"
    if format not in FORMATS:
        help = f"one of {' '.join('.' + f for f in FORMATS)}"
        raise UserError(Diagnostic("CS0908", f"`.{format}` is no format that `graph` writes", help=help))
    data = picture(subject, format, Settings(seed, statics, sizes, limits))
    if output is None or output == "-":
        click.echo(data, nl=False)
        return 0
    try:
        write_file(output, data)
    except OSError as error:
        raise UserError(Diagnostic("CS0905", f"cannot write {output!r}: {error.strerror or error}")) from None
    click.echo(output)
    return 0


@click.command(epilog=options.examples("cogseedc inspect build/net"))
@click.argument("artifact", metavar="ARTIFACT", type=click.Path())
@options.as_json
def inspect(artifact: str, as_json: bool) -> int:
    """What an artifact holds: interface, gates, exits, where it comes from. Checks all hashes."""
    from cogseedc.driver.inspect import inspect_artifact

    manifest, text = inspect_artifact(artifact)
    click.echo(canonical_json(manifest) if as_json else text, nl=False)
    return 0
