"""Options that several commands share, and what they are turned into."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import click

from cogseedc.cli.state import State
from cogseedc.limits import Limits

_PATH = re.compile(r"[A-Za-z_]\w*(\.\w+)*", re.ASCII)
F = TypeVar("F", bound=Callable[..., Any])


def examples(*lines: str) -> str:
    """The examples at the end of a command's help."""
    return "\b\nExamples:\n  " + "\n  ".join(lines)


class Pair(click.ParamType[tuple[str, Any]]):
    """`name=value`; the value is text."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not _PATH.fullmatch(name.strip()) or not text.strip():
            self.fail(f"{value!r} is not name=value", param, ctx)
        return name.strip(), text.strip()


class Count(Pair):
    """`NAME=number`, the number at least 1; `k` and `M` may follow it."""

    name = "NAME=number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:  # type: ignore[override]
        if isinstance(value, tuple):
            return value
        name, text = super().convert(value, param, ctx)
        scale = {"k": 1_000, "M": 1_000_000, "G": 1_000_000_000}.get(text[-1], 1)
        digits = text[:-1] if scale > 1 else text
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 18 or int(digits) < 1:
            self.fail(f"{text!r} is not a number of at least 1", param, ctx)
        return name, int(digits) * scale


def _limits(ctx: click.Context, param: click.Parameter, pairs: tuple[tuple[str, int], ...]) -> Limits:
    known = {f.name for f in fields(Limits)}
    for name, _ in pairs:
        if name not in known:
            raise click.BadParameter(f"there is no limit {name!r}; limits: {', '.join(sorted(known))}", ctx, param)
    return Limits(**dict(pairs))


def _json(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    ctx.find_object(State).json = value  # type: ignore[union-attr]
    return value


def as_json(function: F) -> F:
    """`--json`: results and diagnostics for programs, on stdout."""
    return click.option(
        "--json", "as_json", is_flag=True, callback=_json, is_eager=True, help="For programs: JSON on stdout."
    )(function)


def limits(function: F) -> F:
    """`--limit`."""
    return click.option(
        "--limit", "limits", type=Count(), multiple=True, callback=_limits, metavar="NAME=NUMBER", help="Raise a limit."
    )(function)


def program(function: F) -> F:
    """Which program of a source is meant: `--seed --set --size --limit`."""
    for option in (
        limits,
        click.option(
            "--size",
            "sizes",
            type=Count(),
            multiple=True,
            metavar="NAME=NUMBER",
            help="Size of an open axis: --size D=32.",
        ),
        click.option(
            "--set",
            "statics",
            type=Pair(),
            multiple=True,
            metavar="NAME=VALUE",
            help='A static parameter, in the language: --set "widths=(16, 32)".',
        ),
        click.option("--seed", metavar="NAME", help="The seed to compile, when several are exported."),
    ):
        function = option(function)
    return function


def target(default: str | None = "torch-cpu") -> Callable[[F], F]:
    """`--target`."""
    return click.option(
        "-t",
        "--target",
        default=default,
        show_default=default is not None,
        metavar="NAME",
        help="See `cogseedc targets`.",
    )


def lowering(function: F) -> F:
    """How it is lowered: `--gates --bits --calibration`."""
    for option in (
        click.option(
            "--calibration",
            type=click.Path(),
            metavar="NPZ",
            help="Inputs from which the ranges of int8 activations are measured.",
        ),
        click.option(
            "--bits",
            type=click.Choice(["auto", "fp32", "fp16", "bf16", "int8"]),
            help="Precisions: chosen by cost, all fp32, or one wherever seeds tolerate it. Default: the target's.",
        ),
        click.option(
            "--gates",
            type=click.Choice(["auto", "branch", "compact", "dense", "tiles"]),
            default="auto",
            show_default=True,
            help="How work is skipped; auto: by the target's costs.",
        ),
    ):
        function = option(function)
    return function


def weights(function: F) -> F:
    """Where weights come from: `--weights`, or `--rng` for initial ones."""
    for option in (
        click.option(
            "--rng", type=click.IntRange(0), metavar="NUMBER", help="Initial weights from this number (default 0)."
        ),
        click.option(
            "--weights", type=click.Path(), metavar="FILE", help="A safetensors file; names must fit exactly."
        ),
    ):
        function = option(function)
    return function


def knobs(function: F) -> F:
    """`--knob`."""
    return click.option(
        "--knob", "knobs", type=Pair(), multiple=True, metavar="NAME=VALUE", help="Set a knob: --knob tau=0.8."
    )(function)


def checks(function: F) -> F:
    """`--verify-each --timing`."""
    for option in (
        click.option("--timing", is_flag=True, help="Say on stderr how long each step took."),
        click.option("--verify-each", is_flag=True, help="Check the graph after every pass."),
    ):
        function = option(function)
    return function
