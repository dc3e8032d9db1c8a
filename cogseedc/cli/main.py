"""The entry point: the table of commands, loaded when called, and the one place where exceptions become exit statuses.

Status: 0 fine, 1 findings, 2 usage, 3 verification mismatch, 4 budget exceeded, 70 a fault of the compiler itself.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

import cogseedc
from cogseedc.cli import report
from cogseedc.cli.state import FAULT, FINDINGS, OK, USAGE, State
from cogseedc.diagnostics.model import UserError

GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "Write": {
        "new": ("project", "start a project: a folder with a program that builds"),
        "check": ("text", "report mistakes, in all files at once"),
        "fmt": ("text", "lay out source files; comments stay"),
        "explain": ("explain", "what a diagnostic code means, or what is planned for each gate"),
        "lsp": ("lsp.command", "answer an editor: mistakes, types and names while you write"),
    },
    "Build and run": {
        "build": ("build", "compile a program into an artifact for a target"),
        "run": ("execute", "run an artifact on arrays: npz in, npz out"),
        "verify": ("execute", "compare an artifact with the meaning of its source"),
        "profile": ("profile", "count what the gates decide on real inputs, for the next build"),
        "bench": ("bench", "measure a program beside its practical limit"),
    },
    "Learn": {
        "train": ("learn", "train a program on data; weights as safetensors"),
        "calibrate": ("calibrate", "choose an artifact's thresholds by budgets, on validation data"),
        "evaluate": ("evaluate", "measure an artifact on test data, beside baselines; a page with plots"),
    },
    "Look inside": {
        "cost": ("inside", "MACs, parameters and bytes: least, expected, most, per exit"),
        "graph": ("inside", "draw the program: html svg dot mmd json"),
        "opt": ("inside", "run passes and print the program between them"),
        "inspect": ("inside", "what an artifact holds and promises"),
    },
    "What there is": {
        "targets": ("catalogue", "kinds of machine to compile for"),
        "ops": ("catalogue", "the catalogue of operations"),
        "seeds": ("catalogue", "seeds of the standard library and of files"),
        "doctor": ("doctor", "versions, and what works on this machine"),
    },
}

EXAMPLES = """\
  cogseedc new hello && cd hello
  cogseedc check hello.seed
  cogseedc build hello.seed --target onnx-cpu --output build/hello
  cogseedc verify build/hello
  cogseedc graph hello.seed --output hello.html"""

_REFUSED = {errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG}
"""What a disk says that takes no more; all other writing is checked where it is done."""

_COMMANDS = {name: entry for group in GROUPS.values() for name, entry in group.items()}


class Commands(click.Group):
    """A group whose commands are imported when they are called, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = entry[0] if "." in entry[0] else f"cli.{entry[0]}"
        command = getattr(import_module(f"cogseedc.{module}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"there is no command {args[0]!r}{_near(args[0])}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, group in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in group.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            formatter.write(EXAMPLES + "\n")
        with formatter.section("Exit status"):
            formatter.write_text(
                "0 fine, 1 findings, 2 usage, 3 verification mismatch, 4 budget exceeded, 70 our own fault"
            )


def _near(word: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, _COMMANDS, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(cogseedc.__version__, "-V", "--version", message="cogseedc %(version)s")
@click.option("--debug", is_flag=True, help="Show the Python traceback of a fault.")
@click.pass_obj
def cli(state: State, debug: bool) -> None:
    """Compile dynamic neural networks: one .seed text to PyTorch and to ONNX."""
    state.debug = debug


def run(arguments: Sequence[str]) -> int:
    """Runs one command and gives its exit status; never raises but for what ends the process."""
    state = State()
    try:
        status = cli.main(list(arguments), prog_name="cogseedc", standalone_mode=False, obj=state)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status if isinstance(status, int) else OK
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.ClickException as error:
        error.show()
        return USAGE
    except click.Abort:
        return _line("interrupted", 130)
    except UserError as error:
        report.show(error.diagnostics, state)
        return report.status(error.diagnostics)
    except BrokenPipeError:
        _drop_output()
        return OK
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _REFUSED:
            _drop_output()
            message = f"cannot write the output: {error.strerror}"
            return _line(f"error[CS0905]: {message}", FINDINGS)
        if state.debug:
            raise
        text = " ".join(str(error).split())[:300]
        return _line(
            f"internal fault: {type(error).__name__}: {text} (cogseedc --debug shows where; please report it)", FAULT
        )


def _drop_output() -> None:
    """Python flushes once more at its end, and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _line(text: str, status: int) -> int:
    print(f"cogseedc: {text}", file=sys.stderr)  # noqa: T201
    return status


def main() -> NoReturn:
    """The console script."""
    gc.set_threshold(50_000)  # a start makes many objects and drops few; the usual 700 cost a tenth of it
    status = run(sys.argv[1:])
    gc.freeze()  # the interpreter's last collection would walk all that is left, for nothing
    sys.exit(status)
