"""The programs of the language's tour."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import whole
from tests.whole import Small

FOLDER = Path(__file__).parent
PROGRAMS = sorted(FOLDER.glob("*.seed"))
SMALL = {
    "auto_exits": Small(replace=(("width=32, depth=18", "width=8, depth=9"),)),
    "blockdrop": Small({"blocks": 3}),
    "multi_scale": Small({"blocks": 2, "base": 1, "step": 1, "channels": 4, "growth": 4}, replace=(("128", "16"),)),
    "sact": Small({"units": 3}),
    "seeds": Small(replace=(("D=64", "D=8"), ("[64]\n        1", "[8]\n        1"), ("Planner[64]", "Planner[8]"))),
    "skip": Small({"depth": 3}),
    "token_exit": Small({"layers": 3, "d": 8, "length": 6, "vocabulary": 12}),
}


@pytest.mark.parametrize("source", PROGRAMS, ids=lambda p: p.stem)
def test_reads_and_prints(source: Path, tmp_path: Path) -> None:
    whole.prints_and_reads_again(whole.read(source), tmp_path)


@pytest.mark.parametrize("target", ["torch-cpu", "onnx-cpu"])
@pytest.mark.parametrize("source", PROGRAMS, ids=lambda p: p.stem)
def test_compiles_verifies_and_runs(source: Path, target: str, tmp_path: Path) -> None:
    artifact = whole.compiled(source, target, tmp_path, SMALL.get(source.stem, Small()))
    whole.verifies_and_runs(artifact, whole.of(artifact))


@pytest.mark.parametrize("source", PROGRAMS, ids=lambda p: p.stem)
def test_builds_for_cuda(source: Path, tmp_path: Path) -> None:
    for target in ("torch-cuda", "onnx-cuda"):
        whole.builds(whole.compiled(source, target, tmp_path, SMALL.get(source.stem, Small())))


@pytest.mark.parametrize("name", ["early_exit", "tree"])
def test_compiles_for_one_sample_at_a_time(name: str, tmp_path: Path) -> None:
    artifact = whole.compiled(FOLDER / f"{name}.seed", "onnx-edge", tmp_path, SMALL.get(name, Small()))
    whole.verifies_and_runs(artifact, whole.of(artifact))
