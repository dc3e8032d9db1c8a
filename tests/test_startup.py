"""Commands on text start quickly and import nothing heavy. The bound wanted is 0.4 s on a quiet machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WANTED = 0.4
BOUND = 1.5
"""Of processor time, since machines of tests are shared; the printed time is what to look at."""
HEAVY = ("torch", "onnx", "onnxruntime", "numpy", "sklearn", "jinja2")
NEEDED = {"graph --json": ("numpy",), "graph -o": ("numpy", "jinja2"), "explain --plan": ("numpy",)}
SOURCE = Path(__file__).parents[1] / "examples" / "02_early_exit.seed"
COMMANDS = {
    "--help": ("--help",),
    "check": ("check", "net.seed"),
    "fmt": ("fmt", "--check", "net.seed"),
    "explain": ("explain", "CS0301"),
    "lsp": ("lsp",),
    "graph --json": ("graph", "net.seed", "--json"),
    "graph -o": ("graph", "net.seed", "-o", "net.html"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.seed").write_bytes(SOURCE.read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_imports_nothing_heavy(name: str, folder: Path) -> None:
    call = [sys.executable, "-X", "importtime", "-m", "cogseedc", *COMMANDS[name]]
    done = subprocess.run(
        call, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=folder, check=True, timeout=60
    )
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "cogseedc" in loaded
    assert loaded & set(HEAVY) <= set(NEEDED.get(name, ()))


@pytest.mark.parametrize("name", COMMANDS)
def test_starts_quickly(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = [sys.executable, "-m", "cogseedc", *COMMANDS[name]]
    times = []
    for _ in range(3):
        before = sum(os.times()[2:4])
        subprocess.run(call, stdin=subprocess.DEVNULL, capture_output=True, cwd=folder, check=True, timeout=60)
        times.append(sum(os.times()[2:4]) - before)
    best = min(times)
    with capsys.disabled():
        print(f"\n  cogseedc {name}: {best:.2f} s (wanted: {WANTED} s)", end="")
    assert best < BOUND
