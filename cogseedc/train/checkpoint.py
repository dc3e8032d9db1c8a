"""The state of a run in one safetensors file: tensors, and JSON in its header. Nothing in it can run code.

One file, replaced atomically: whoever is killed leaves the state before or the state after, never a mix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.publish import write_file

_MODEL, _OPTIMIZER = "model/", "optimizer/"


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands after `epoch` whole epochs of the phase number `phase`."""

    run: str
    """Hash of program, data and options: a run is resumed only as the same run."""
    phase: int
    epoch: int
    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Mapping[str, Tensor]]
    """Per weight, the optimizer's tensors; empty at the end of a phase."""

    def write(self, path: Path) -> None:
        """Replaces the file at `path`. Raises OSError."""
        tensors = {f"{_MODEL}{key}": value.detach().contiguous() for key, value in self.model.items()}
        for key, state in self.optimizer.items():
            tensors |= {f"{_OPTIMIZER}{name}/{key}": value.contiguous() for name, value in state.items()}
        text = json.dumps({"run": self.run, "phase": self.phase, "epoch": self.epoch}, sort_keys=True)
        write_file(path, save(tensors, {"cogseed.checkpoint": text}))


def read_checkpoint(path: Path, run: str) -> Checkpoint:
    """The checkpoint of the run `run`. Raises UserError: CS0901 not readable, CS1004 damaged or of another run."""
    model: dict[str, Tensor] = {}
    optimizer: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["cogseed.checkpoint"])
            for name in file.keys():  # noqa: SIM118  # no mapping
                kind, _, key = name.partition("/")
                if kind == "model":
                    model[key] = file.get_tensor(name)
                else:
                    part, _, key = key.partition("/")
                    optimizer.setdefault(key, {})[part] = file.get_tensor(name)
        found = Checkpoint(str(header["run"]), int(header["phase"]), int(header["epoch"]), model, optimizer)
    except OSError as error:
        raise UserError(Diagnostic("CS0901", f"cannot read {str(path)!r}: {error}")) from None
    except (SafetensorError, ValueError, KeyError, TypeError):
        raise _other(path, "is no checkpoint") from None
    if found.run != run:
        raise _other(path, "is of a run with another program, other data or other options")
    return found


def _other(path: Path, what: str) -> UserError:
    help = "repeat the call that wrote it, or train anew without --resume"
    return UserError(Diagnostic("CS1004", f"{str(path)!r} {what}", help=help))


def optimizer_state(optimizer: torch.optim.Optimizer, keys: Mapping[Tensor, str]) -> dict[str, dict[str, Tensor]]:
    """The optimizer's tensors by state-dict key."""
    state: Mapping[Any, Mapping[str, Any]] = optimizer.state
    return {
        keys[weight]: {name: torch.as_tensor(value) for name, value in parts.items() if value is not None}
        for weight, parts in state.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, keys: Mapping[Tensor, str], kept: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """Gives an optimizer the state that `optimizer_state` took."""
    for weight, key in keys.items():
        if key in kept:
            optimizer.state[weight] = dict(kept[key])
