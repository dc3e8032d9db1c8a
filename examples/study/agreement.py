"""Decisions of an artifact in ONNX Runtime beside those of the trained module, on every test sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from cogseedc.data import DataSet
from cogseedc.evaluate import Evaluator

BAND = 1e-3
"""Decisions whose score lies nearer to its threshold may differ between runtimes."""


def agreement(artifact: str, module: torch.nn.Module, data: DataSet) -> dict[str, Any]:
    """For how many samples some decision differs, and for how many not because a score is near its threshold.

    A sample counts once, at the first gate that differs: later ones are asked other things. Only an exit that compares
    with a knob has a score; elsewhere any difference counts as outside the band.
    """
    own = Evaluator(artifact, data, 1)
    theirs = _decisions(module, data, own)
    compared = [gate.name for gate in own.session.gates if gate.name in own.run.trace and gate.name in theirs]
    points = {exit.name: exit for exit in own.table.exits}
    limits = {name: value.reshape(-1) for name, value in _knobs(own).items()}
    alike = np.ones(len(data), bool)
    outside = 0
    for name in compared:
        other = _rows(theirs[name] != own.run.trace[name]) & alike
        alike &= ~other
        threshold = points[name].threshold if name in points else None
        if threshold is None:
            outside += int(other.sum())
        else:
            far = np.abs(own.table.scores[name] - limits[threshold.knob][threshold.element]) > BAND
            outside += int((far & other).sum())
    return {
        "gates": len(compared),
        "differ": int((~alike).sum()),
        "differ_outside_the_band": outside,
        "samples": len(data),
    }


def _decisions(module: torch.nn.Module, data: DataSet, own: Evaluator) -> dict[str, np.ndarray]:
    """The module's trace, at the artifact's knobs."""
    knobs = {name.replace(".", "_"): torch.from_numpy(value) for name, value in _knobs(own).items()}
    with torch.inference_mode():
        traces = [
            module(*map(torch.from_numpy, part.inputs.values()), **knobs, trace=True).trace
            for part in data.batches(500)
        ]
    return {name: np.concatenate([trace[name].numpy() for trace in traces]) for name in traces[0]}


def _knobs(own: Evaluator) -> dict[str, np.ndarray]:
    """Values of the artifact's knobs, each in its own shape."""
    return {port.name: np.resize(np.array(port.default, np.float32), port.port.shape({})) for port in own.session.knobs}


def _rows(differs: np.ndarray) -> np.ndarray:
    """Samples for which some decision of a gate differs."""
    return np.asarray(differs.reshape(len(differs), -1).any(1))
