"""`cogseedc train`: from data to weights."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cogseedc.cli import options, tables
from cogseedc.cli.state import OK
from cogseedc.limits import Limits
from cogseedc.publish import canonical_json

if TYPE_CHECKING:
    from cogseedc.train import Step

_SOURCE = "x.npz, x.csv, x.jsonl, a folder of images, sklearn:digits, module:function; behind #, a part: #train"


class Phases(click.ParamType[tuple[tuple[str, int], ...]]):
    """`joint:20`, or `seeds:10,gates:5,joint:20`."""

    name = "phases"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        found = []
        for part in value.split(","):
            name, colon, epochs = part.partition(":")
            if not colon or not epochs.isdecimal() or not 1 <= int(epochs) <= 1_000_000:
                self.fail(f"{part!r} is not phase:epochs", param, ctx)
            found.append((name.strip(), int(epochs)))
        return tuple(found)


class Exits(click.ParamType[Any]):
    """`equal`, `linear`, or a number for each exit."""

    name = "exits"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in ("equal", "linear") or not isinstance(value, str):
            return value
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not equal, linear, or numbers such as 0.5,1", param, ctx)


@click.command(
    epilog=options.examples(
        "cogseedc train net.seed --data 'sklearn:digits#train' -o net.safetensors",
        "cogseedc train net.seed --data x.npz --phases seeds:10,gates:5,joint:20 -o net.safetensors --resume",
    )
)
@click.argument("file", metavar="FILE")
@click.option("--data", required=True, metavar="SOURCE", help=f"What to train on: {_SOURCE}.")
@click.option("--validation", metavar="SOURCE", help="Held-out data; only reported.")
@click.option("-o", "--output", required=True, type=click.Path(), metavar="FILE", help="The weights, as safetensors.")
@click.option(
    "--phases",
    type=Phases(),
    default="joint:20",
    show_default=True,
    metavar="PHASE:EPOCHS,...",
    help="seeds: each part alone; gates: what only decides; joint: all.",
)
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    default=3e-3,
    show_default=True,
    help="Largest learning rate; it falls along a cosine.",
)
@click.option("--optimizer", type=click.Choice(["adamw", "sgd"]), default="adamw", show_default=True)
@click.option("--decay", type=click.FloatRange(0), default=1e-2, show_default=True, help="Weight decay.")
@click.option("--clip", type=click.FloatRange(0), default=0.0, help="Largest norm of the gradient.")
@click.option("--smoothing", type=click.FloatRange(0, 1), default=0.05, show_default=True, help="Label smoothing.")
@click.option(
    "--exits",
    type=Exits(),
    default="equal",
    show_default=True,
    metavar="WEIGHTS",
    help="Weights of the exits' losses: equal, linear, or 0.3,0.6.",
)
@click.option("--distillation", type=click.FloatRange(0, 1), default=0.0, help="How much exits learn from the end.")
@click.option("--equilibrium", is_flag=True, help="Divide gradients by the number of exits that a weight feeds.")
@click.option(
    "--loss",
    "losses",
    type=options.Pair(),
    multiple=True,
    metavar="NAME=WEIGHT",
    help="Weight of a `loss` of the program.",
)
@click.option(
    "--knob",
    "knobs",
    type=options.Pair(),
    multiple=True,
    metavar="NAME=FROM:TO",
    help="A knob that changes during each phase, such as a temperature.",
)
@click.option("--shift", type=click.IntRange(0), default=0, help="Move images by up to so many pixels.")
@click.option("--noise", type=click.FloatRange(0), default=0.0, help="Standard deviation of noise on the inputs.")
@click.option("--weights", type=click.Path(), metavar="FILE", help="Weights to start from.")
@click.option("--rng", type=click.IntRange(0), default=0, show_default=True, help="Initial weights and all chance.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint beside the output, if there is one.")
@click.option("--threads", type=click.IntRange(1), help="How many threads torch may use.")
@click.option("--events", type=click.Path(), metavar="FOLDER", help="Write TensorBoard events (needs tensorboard).")
@options.program
@options.as_json
def train(
    file: str,
    data: str,
    validation: str | None,
    output: str,
    losses: tuple[tuple[str, str], ...],
    knobs: tuple[tuple[str, str], ...],
    weights: str | None,
    resume: bool,
    threads: int | None,
    events: str | None,
    seed: str | None,
    statics: tuple[tuple[str, str], ...],
    sizes: tuple[tuple[str, int], ...],
    limits: Limits,
    as_json: bool,
    **chosen: Any,
) -> int:
    """Train FILE on data, and write its weights.

    All exits learn at once, with the program's own `loss` terms. The state after each epoch lies beside the weights, so
    that a run that was ended goes on with --resume, to the same weights.
    """
    from cogseedc.driver.program import Settings
    from cogseedc.train import Options, Training, train_file
    from cogseedc.train.progress import progress

    wanted = Options(
        losses={name: _number("--loss", name, text) for name, text in losses},
        knobs={name: _ends(name, text) for name, text in knobs},
        **chosen,
    )
    asked = Training(data, Path(output), validation, wanted, weights, resume, threads)
    with ExitStack() as stack:
        watchers = [stack.enter_context(progress())]
        if events is not None:
            from cogseedc.train.events import events as event_writer

            watchers.append(stack.enter_context(event_writer(Path(events))))

        def observe(step: Step) -> None:
            for watcher in watchers:
                watcher(step)

        report = train_file(file, Settings(seed, statics, sizes, limits), asked, observe)
    if as_json:
        rows = [{"data": d, "exit": e, report.measure: value} for d, e, value in report.rows]
        click.echo(canonical_json({"weights": output, "rows": rows}), nl=False)
    else:
        show = "{:.2%}" if report.measure == "accuracy" else "{:.5g}"
        tables.show(("data", "exit", report.measure), [(d, e, show.format(v)) for d, e, v in report.rows], right=(2,))
    return OK


def _number(option: str, name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no number", param_hint=f"{option} {name}") from None


def _ends(name: str, text: str) -> tuple[float, float]:
    first, colon, last = text.partition(":")
    if not colon:
        raise click.BadParameter(f"{text!r} is not FROM:TO", param_hint=f"--knob {name}")
    return _number("--knob", name, first), _number("--knob", name, last)
