"""The frame of the command line: help, exit statuses, what goes to which stream, quick starts."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from cogseedc.cli import main, report, text
from cogseedc.cli.state import State
from cogseedc.diagnostics import Diagnostic, Severity

from .conftest import Command

COMMANDS = [name for group in main.GROUPS.values() for name in group]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_loads(command: Command, name: str) -> None:
    outcome = command(name, "--help")
    assert outcome.status == 0
    assert outcome.out.startswith(f"Usage: cogseedc {name}")
    found = main.cli.get_command(click.Context(main.cli), name)
    assert found is not None
    assert found.help, "a command says what it does"


def test_help_is_grouped_and_has_examples(command: Command) -> None:
    out = command("--help").out
    for word in (*main.GROUPS, *COMMANDS, "Examples", "Exit status"):
        assert word in out


def test_without_arguments_help_is_shown_and_the_call_was_wrong(command: Command) -> None:
    assert command().status == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("chek", "good.seed"),
        ("check",),
        ("check", "good.seed", "--set", "width"),
        ("check", "good.seed", "--size", "D=-1"),
        ("check", "good.seed", "--size", "D=0"),
        ("check", "good.seed", "--limit", "speed=3"),
        ("check", "good.seed", "--wrong"),
        ("build", "good.seed", "--gates", "magic"),
        ("ops", "conv2"),
    ],
)
def test_usage_mistakes_have_status_2(command: Command, arguments: tuple[str, ...]) -> None:
    outcome = command(*arguments)
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.count("\n") < 10


def test_a_mistyped_command_is_answered_with_the_near_one(command: Command) -> None:
    assert "did you mean 'check'" in command("chek").err


def test_an_unexpected_exception_is_one_line_and_status_70(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(text, "examine", broken)
    outcome = command("check", "good.seed")
    assert outcome.status == 70
    assert outcome.err.startswith("cogseedc: internal fault: RuntimeError: first line second line")
    assert outcome.err.count("\n") == 1
    with pytest.raises(RuntimeError):
        command("--debug", "check", "good.seed")


def test_status_of_diagnostics() -> None:
    budget, other = Diagnostic("CS0704", ""), Diagnostic("CS0301", "")
    note = Diagnostic("CS0301", "", severity=Severity.NOTE)
    assert [report.status(found) for found in ((), (note,), (budget,), (budget, other), (other,))] == [0, 0, 4, 1, 1]
    assert not State().debug


HEAVY = ("torch", "onnx", "onnxruntime", "scipy", "sympy")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["check", "good.seed"],
        ["fmt", "good.seed"],
        ["explain", "CS0901"],
        ["targets"],
        ["ops"],
        ["graph", "good.seed", "--json"],
    ],
)
def test_light_commands_import_nothing_heavy(command: Command, arguments: list[str]) -> None:
    code = (
        "import sys\nfrom cogseedc.cli.main import run\n"
        f"status = run({arguments!r})\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)\nsys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path.cwd(), check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.rstrip().endswith("[]"), done.stderr


def test_package_exports_exist_and_nothing_more() -> None:
    import cogseedc

    for name in cogseedc.__all__:
        assert getattr(cogseedc, name) is not None
    with pytest.raises(AttributeError):
        _ = cogseedc.nothing  # type: ignore[attr-defined]
    assert set(dir(cogseedc)) == set(cogseedc.__all__)


def test_python_dash_m(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cogseedc", "--version"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == f"cogseedc {import_module('cogseedc').__version__}\n"
