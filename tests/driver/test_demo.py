"""`make demo`, with hardly any training: every step of it works, in the order in which a newcomer sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


@pytest.mark.slow
def test_demo(tmp_path: Path) -> None:
    command = [sys.executable, str(DEMO), "--epochs", "2", "--output", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("accuracy", "leave at easy", "leave at the end", "mean MACs", "speed-up", "out/graph.html"):
        assert word in done.stdout
    assert done.stdout.count(": verified") == 3
    assert (tmp_path / "out" / "graph.html").stat().st_size > 10_000
    assert (tmp_path / "out" / "onnx-cpu" / "cogseed.json").is_file()
