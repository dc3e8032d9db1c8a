"""What `cogseedc evaluate` does: measures, and puts it together as data and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cogseedc.data import DataSet, load_data
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.evaluate.evaluation import Evaluator, static_of
from cogseedc.evaluate.shifts import shifted
from cogseedc.publish import write_file
from cogseedc.runtime import read
from cogseedc.runtime.interface import read_interface


@dataclass(frozen=True)
class Asked:
    """What a call asks for."""

    artifact: str
    data: str | DataSet
    page: Path | None = None
    shifts: tuple[tuple[str, str | DataSet], ...] = ()
    """(name, source) of further data, which need no targets."""
    baselines: tuple[tuple[str, str], ...] = ()
    """(name, artifact)"""
    threads: int | None = None
    timed: bool = True


def evaluate_artifact(asked: Asked) -> dict[str, Any]:
    """Everything that was measured, as data; writes the page when one is asked for. Raises UserError."""
    interface = read_interface(read(asked.artifact))
    data = asked.data
    if isinstance(data, str):
        data = load_data(data, interface.inputs, interface.outputs)
    own = Evaluator(asked.artifact, data, asked.threads)
    report = _report(own, data, asked)
    if asked.page is not None:
        from cogseedc.evaluate.page import page

        try:
            write_file(asked.page, page(report, data, own.run))
        except OSError as error:
            message = f"cannot write {str(asked.page)!r}: {error.strerror or error}"
            raise UserError(Diagnostic("CS0905", message)) from None
    return report


def _report(own: Evaluator, data: DataSet, asked: Asked) -> dict[str, Any]:
    output = data.output
    run, manifest = own.run, own.kept.artifact.manifest
    assert run.quality is not None, "there is a target"
    interface = read_interface(own.kept.artifact)
    shares = np.bincount(run.way, minlength=len(own.names)) / len(data)
    further = [
        (name, load_data(source, interface.inputs, interface.outputs) if isinstance(source, str) else source)
        for name, source in asked.shifts
    ]
    return {
        "name": manifest["name"],
        "target": own.session.target,
        "measure": "accuracy" if data.labelled else "minus squared error",
        "data": {"samples": len(data), "sha256": data.digest, "output": output},
        "result": {
            "quality": float(run.quality.mean()),
            "macs": float(run.macs.mean()),
            "worst_macs": own.work.worst,
            "share": float(run.macs.mean()) / max(1, own.work.worst),
        },
        "latency_ms": own.times() if asked.timed else {},
        "exits": [
            {
                "name": name,
                "share": float(shares[place]),
                "quality": float(run.quality[run.way == place].mean()) if (run.way == place).any() else None,
                "macs": float(run.macs[run.way == place].mean()) if (run.way == place).any() else None,
            }
            for place, name in enumerate(own.names)
        ],
        "gates": own.rates(run.trace),
        "baselines": [
            *own.baselines(),
            *(_other(name, *static_of(path, data, asked.threads)) for name, path in asked.baselines),
        ],
        "curve": own.curve(),
        "calibration_gap": own.gap(),
        "shifted": [_shift(own, name, part) for name, part in (*shifted(data), *further)],
        "classes": own.by_class(),
    }


def _other(name: str, quality: float, macs: float) -> dict[str, Any]:
    return {"name": name, "quality": quality, "macs": macs}


def _shift(own: Evaluator, name: str, data: DataSet) -> dict[str, Any]:
    run = own.of(data)
    shares = np.bincount(run.way, minlength=len(own.names)) / len(data)
    quality = None if run.quality is None else float(run.quality.mean())
    return {
        "name": name,
        "samples": len(data),
        "quality": quality,
        "macs": float(run.macs.mean()),
        "shares": shares.tolist(),
    }
