"""Builds a program as a PyTorch module in this process, to train it or to look at it. Writes nothing."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from cogseedc import target as targets
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.driver.compile import Request, lowered, prepared
from cogseedc.driver.emit import torch_model
from cogseedc.driver.program import Program, StaticValue, settings_of
from cogseedc.driver.timing import Timing, collector_paused
from cogseedc.runtime.torch_session import module_of


def build(
    program: str | Path | Program,
    target: str = "torch-cpu",
    *,
    weights: str | Path | Mapping[str, Any] | None = None,
    rng: int | None = None,
    gates: str = "auto",
    bits: str | None = None,
    set: Mapping[str, StaticValue] | None = None,
    size: Mapping[str, int] | None = None,
    seed: str | None = None,
) -> torch.nn.Module:
    """The program as a `torch.nn.Module` with its weights, in training mode, on the target's device where there is one.

    `forward` takes the inputs in declared order and the knobs by name, and gives a named tuple of the outputs; with
    `trace=True` also `.trace`; in training mode `.exits` and `.losses`. The state dict's names are the instance paths.
    `weights` is a safetensors file or a state dict; without it, they are initial ones from `rng` (0). Raises UserError.
    """
    if targets.load(target).backend != "torch":
        names = ", ".join(n for n in targets.names() if targets.load(n).backend == "torch")
        message = f"`build` makes PyTorch modules; `{target}` is no target for that"
        raise UserError(Diagnostic("CS0808", message, help=f"use {names}, or `compile` for `{target}`"))
    request = Request(settings_of(set, size, seed), weights, rng, gates, bits)
    with collector_paused():
        checked, arrays = prepared(program, request, Timing())
        lowering = lowered(checked, arrays, target, request, Timing())
        source, record = torch_model(lowering, checked, arrays)
    label = f"cogseedc/{checked.name}_{sha256(source).hexdigest()[:16]}.py"
    linecache.cache[label] = (len(source), None, source.decode().splitlines(True), label)
    module = module_of(source, str(record["class"]), label)
    module.load_state_dict({key: torch.from_numpy(array.copy()) for key, array in arrays.by_key().items()}, strict=True)
    device = lowering.target.device
    return module.to(device) if device == "cpu" or torch.cuda.is_available() else module
