"""Verifies a published artifact: takes the program from the source that it keeps, and runs the model that it keeps."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cogseedc.analysis.widths import Widths
from cogseedc.driver.compile import Request, lowered
from cogseedc.driver.inspect import source_program, stored_weights
from cogseedc.driver.precisions import rounded_graph
from cogseedc.driver.program import Program
from cogseedc.driver.reopened import kept_widths, target_of
from cogseedc.driver.timing import Timing
from cogseedc.driver.weights import Weights
from cogseedc.interp import Schedule, schedule
from cogseedc.lazy import lazy
from cogseedc.runtime import Artifact, Session, read
from cogseedc.runtime import session as open_session
from cogseedc.runtime.artifact import Json, damaged, record, text
from cogseedc.verify.compare import Tolerance
from cogseedc.verify.report import Report
from cogseedc.verify.rows import RowPlan
from cogseedc.verify.runners import OnnxRunner, Runner, TorchRunner
from cogseedc.verify.verification import NEAR, Settings, verify

if TYPE_CHECKING:
    import numpy as np

else:
    np = lazy("numpy")


def verify_artifact(path: str | os.PathLike[str], settings: Settings | None = None) -> Report:
    """Compares the artifact in a folder with the meaning of the source in it. Runs on the CPU, whatever its target.

    The tolerance is the manifest's when the settings give the default one. The source is planned anew, only to know
    which rows each block must run on. Raises UserError CS0830 .. CS0838 for an
    artifact that is damaged or does not open, and what its source and weights are refused for.
    """
    found = read(path)
    session = open_session(found, device="cpu")
    program = source_program(found)
    weights = Weights.of(program, stored_weights(found), None)
    graph = program.elaborated.graph
    chosen = settings or Settings()
    equal = tuple((r.left, r.right) for r in program.elaborated.requirements)
    chosen = replace(chosen, equal=(*chosen.equal, *equal))
    if chosen.tolerance == Tolerance():
        chosen = replace(chosen, tolerance=_tolerance(found))
    if chosen.near == NEAR:
        chosen = replace(chosen, near=_number(record(found.manifest, "numerics"), "margin"))
    widths = kept_widths(found, program)
    rounded = rounded_graph(program, target_of(found), widths) if widths.precisions else None
    runner = artifact_runner(found, session, schedule(graph))
    subject = f"{program.name} for {session.target}"
    spaces = planned_rows(found, program, weights, widths)
    return verify(graph, weights.arrays, runner, chosen, subject=subject, spaces=spaces, rounded=rounded)


def planned_rows(artifact: Artifact, program: Program, weights: Weights, widths: Widths | None = None) -> RowPlan:
    """The row spaces that the artifact's plan has, by planning its source in the same way."""
    numerics = record(artifact.manifest, "numerics")
    request = Request(gates=text(numerics, "gates"), bits="fp32")
    lowering = lowered(program, weights, target_of(artifact), request, Timing(), widths or Widths())
    return RowPlan.of(lowering.plan, lowering.target.batch_one)


def artifact_runner(artifact: Artifact, session: Session, plan: Schedule) -> Runner:
    """What runs the model of an artifact."""
    backend = text(record(artifact.manifest, "target"), "backend")
    if backend == "torch":
        return TorchRunner(session, plan)
    if backend == "onnx":
        return OnnxRunner(session, artifact.payload(text(record(artifact.manifest, "model"), "payload")), plan)
    raise damaged(f"there is no backend {backend!r}")


def _tolerance(artifact: Artifact) -> Tolerance:
    numerics = record(artifact.manifest, "numerics")
    return Tolerance(_number(numerics, "absolute"), _number(numerics, "relative"))


def _number(table: Mapping[str, Json], name: str) -> float:
    value = table.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise damaged(f"{name!r} in the manifest is no number")
    return float(value)
