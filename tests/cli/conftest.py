"""Runs the command line in this process, as a user would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cogseedc.cli.main import run

GOOD = """\
export seed Small {
    in  x: f32[N, D=4]
    out y: f32[N, K=2]
    y = x |> linear[K=2]
}
"""
BAD = GOOD.replace("linear[K=2]", "lineer[K=2]")


@dataclass
class Outcome:
    """What one call gave."""

    status: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Calls `cogseedc` in a folder of its own that has good.seed and bad.seed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.seed").write_text(GOOD)
    (tmp_path / "bad.seed").write_text(BAD)

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        status = run(arguments)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call
