"""One hash per file, whatever the machine; and the command that checks it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cogseedc.cli.main import run
from tests.trust import determinism, sample


def test_machines_do_not_matter() -> None:
    determinism.determinism(4, 0, most=2)


def test_builds_can_be_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.seed").write_text(sample.text())
    options = ("-t", "onnx-cpu", "-t", "torch-cpu", "-o", "art", "--rng", "3", "--limit", "nodes=5000")
    assert run(("build", "net.seed", *options, "--check-reproducible")) == 0, capsys.readouterr().err
    assert capsys.readouterr().out == "art/onnx-cpu\nart/torch-cpu\n"


def test_a_build_that_differs_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source changes between the builds, as if the compiler were moody."""
    from cogseedc.driver import reproduce

    monkeypatch.chdir(tmp_path)
    Path("net.seed").write_text(sample.text())
    real = subprocess.run

    def changed(*arguments: object, **options: object) -> object:
        Path("net.seed").write_text(sample.text(1))
        return real(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(reproduce.subprocess, "run", changed)
    assert run(("build", "net.seed", "-t", "onnx-cpu", "-o", "art", "--rng", "0", "--check-reproducible")) == 1
