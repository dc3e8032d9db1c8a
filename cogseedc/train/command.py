"""What `cogseedc train` does: reads, builds, trains, says how good every exit is, and writes the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cogseedc.data import DataSet, load_data
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.driver.build import build
from cogseedc.driver.manifest import interface
from cogseedc.driver.program import Program, Settings, load
from cogseedc.driver.weights import weight_bytes
from cogseedc.publish import write_file
from cogseedc.runtime.interface import Interface, interface_of
from cogseedc.train.options import Options
from cogseedc.train.roles import roles
from cogseedc.train.trainer import Observer, Step, train


@dataclass(frozen=True)
class Training:
    """What a call asks for."""

    data: str
    output: Path
    validation: str | None = None
    options: Options = field(default_factory=Options)
    weights: str | None = None
    resume: bool = False
    threads: int | None = None

    @property
    def checkpoint(self) -> Path:
        """Beside the weights."""
        return self.output.with_name(f"{self.output.stem}.checkpoint.safetensors")


@dataclass(frozen=True)
class Report:
    """How good each exit is, on each set of data that was given."""

    rows: tuple[tuple[str, str, float], ...]
    """(data, exit or `end`, share of right classes; for numbers the mean squared error)."""
    measure: str


def train_file(source: str | Program, settings: Settings, asked: Training, observe: Observer | None = None) -> Report:
    """Trains the program and writes the weights at `asked.output`. Raises UserError for all that does not fit."""
    program = source if isinstance(source, Program) else load(source, settings)
    ports = ports_of(program)
    data = load_data(asked.data, ports.inputs, ports.outputs)
    others = (
        {} if asked.validation is None else {"validation": load_data(asked.validation, ports.inputs, ports.outputs)}
    )
    module = build(program, weights=asked.weights, rng=asked.options.rng)
    with _threads(asked.threads):
        train(
            program,
            module,
            data,
            asked.options,
            checkpoint=asked.checkpoint,
            resume=asked.resume,
            observe=observe or (lambda step: None),
        )
        rows = [
            row for name, part in {"training": data, **others}.items() for row in _quality(program, module, name, part)
        ]
    _write(asked.output, program, module)
    return Report(tuple(rows), "accuracy" if data.labelled else "mean squared error")


def ports_of(program: Program) -> Interface:
    """A program's inputs, outputs, knobs and gates."""
    return interface_of(interface(program.structure), {})


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _quality(program: Program, module: Any, name: str, data: DataSet) -> Iterator[tuple[str, str, float]]:
    """Each exit taken by every sample, then none."""
    for exit in roles(program).objectives:
        module.decide = _leaving(exit, frozenset(e for e, _ in ports_of(program).exits))
        total = 0.0
        with torch.inference_mode():
            for part in data.batches(256):
                given = getattr(module(*(torch.from_numpy(a) for a in part.inputs.values())), data.output)
                total += len(part) * _score(given, torch.from_numpy(part.target))
        del module.decide
        yield name, exit or "end", total / len(data)


def _score(given: torch.Tensor, target: torch.Tensor) -> float:
    if target.is_floating_point():
        return float((given - target).square().mean())
    return float((given.argmax(-1) == target).double().mean())


def _leaving(exit: str | None, exits: frozenset[str]) -> Any:
    def decide(name: str, decision: torch.Tensor) -> torch.Tensor:
        return torch.full_like(decision, name == exit) if name in exits else decision

    return decide


def _write(path: Path, program: Program, module: torch.nn.Module) -> None:
    arrays = {key: value.detach().cpu().numpy() for key, value in module.state_dict().items()}
    try:
        write_file(path, weight_bytes(arrays, {"name": program.name}))
    except OSError as error:
        raise UserError(Diagnostic("CS0905", f"cannot write {str(path)!r}: {error.strerror or error}")) from None


__all__ = ["Report", "Step", "Training", "ports_of", "train_file"]
