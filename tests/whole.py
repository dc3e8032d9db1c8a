"""What is asked of every whole program: read, laid out, printed and read again, compiled, verified, run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import cogseedc
from cogseedc.diagnostics import UserError
from cogseedc.driver.picture import program_of
from cogseedc.driver.program import Program, load
from cogseedc.driver.program import Settings as ProgramSettings
from cogseedc.frontend.format import format_source
from cogseedc.ir.printer import print_graph
from cogseedc.limits import Limits
from cogseedc.ops import OPS
from cogseedc.source import Source
from cogseedc.verify import Settings, verify_artifact
from cogseedc.verify.inputs import choose_sizes, random_inputs

BATCHES = (0, 1, 2, 7, 16)
NOTES = {"CS0216", "CS0424"}


@dataclass(frozen=True)
class Small:
    """How a program is made small enough to be verified in a second or two."""

    set: Mapping[str, Any] = field(default_factory=dict)
    size: Mapping[str, int] = field(default_factory=dict)
    replace: tuple[tuple[str, str], ...] = ()
    """In its text, where no static parameter says it."""
    seed: str | None = None

    def path(self, source: Path, folder: Path) -> Path:
        text = source.read_text(encoding="utf-8")
        for old, new in self.replace:
            assert old in text, f"{source.name} no longer says {old}"
            text = text.replace(old, new)
        place = folder / source.name
        place.write_text(text, encoding="utf-8")
        return place


def read(source: Path, seed: str | None = None) -> Program:
    """The program as it is, which gives no more than notes."""
    program = cogseedc.load(source, seed=seed)
    assert {note.code for note in program.notes} <= NOTES
    return program


def is_laid_out(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    assert format_source(Source(source.name, text), Limits()) == text


def prints_and_reads_again(program: Program, folder: Path) -> None:
    """The printed graph is a program that prints as the same text."""
    text = print_graph(program.elaborated.graph, program.name, OPS)
    again = folder / "printed.seed"
    again.write_text(text, encoding="utf-8")
    assert print_graph(load(again).elaborated.graph, program.name, OPS) == text


def compiled(source: Path, target: str, folder: Path, small: Small) -> Path:
    place = small.path(source, folder)
    return cogseedc.compile(
        place, target, folder / target, rng=0, set=small.set, size=small.size, seed=small.seed, verify_each=True
    )


def of(artifact: Path) -> Program:
    """The program that an artifact keeps."""
    return program_of(str(artifact), ProgramSettings())


def verifies_and_runs(artifact: Path, program: Program) -> None:
    report = verify_artifact(artifact, Settings(batches=BATCHES))
    assert report.ok, report.to_text()
    session = cogseedc.open(artifact)
    equal = tuple((r.left, r.right) for r in program.elaborated.requirements)
    (sizes, *_) = choose_sizes(program.elaborated.graph, {}, equal)
    for batch in (3, 0):
        session.reset()
        result = session.run(random_inputs(program.elaborated.graph, batch, sizes, 5), {}, True)
        for array in (*result.values(), *result.state.values()):
            assert np.all(np.isfinite(array))
        assert {gate.name for gate in session.gates} == set(result.trace)


def builds(artifact: Path) -> None:
    """An artifact for a device that is not here: its files are whole and well formed."""
    models = [*artifact.rglob("model.onnx"), *artifact.rglob("model.py")]
    assert len(models) == 1
    if models[0].suffix == ".onnx":
        onnx.checker.check_model(onnx.load(models[0]), full_check=True)
    else:
        compile(models[0].read_bytes(), "model.py", "exec")


def mistakes(source: Path) -> list[str]:
    """Codes of the errors in a source."""
    try:
        return [note.code for note in load(source).notes]
    except UserError as error:
        return [d.code for d in error.diagnostics]
