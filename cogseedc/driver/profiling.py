"""Measures a profile: runs a program on real inputs and counts what its gates decide."""

from __future__ import annotations

from collections.abc import Mapping
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

from cogseedc.driver.compile import compile
from cogseedc.driver.manifest import Json
from cogseedc.driver.profile import SCHEMA, fingerprint
from cogseedc.driver.program import Program
from cogseedc.driver.weights import Weights
from cogseedc.runtime import open
from cogseedc.runtime.interface import GatePort

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array


def measure_profile(
    program: Program, weights: Weights, inputs: Mapping[str, Array], knobs: Mapping[str, object], batch: int
) -> dict[str, Json]:
    """Runs the program on samples, in batches, and counts what each gate decides and how many rows each part holds.

    Raises UserError for inputs and knobs that do not fit.
    """
    with TemporaryDirectory() as folder:
        place = compile(program, "onnx-cpu", folder, weights=weights.by_key(), gates="compact")
        session = open(place, threads=1)
        counts = {gate.name: [0] * gate.arms for gate in session.gates}
        reached, samples = dict.fromkeys(counts, 0), dict.fromkeys(counts, 0)
        anywhere = {gate.name: [0] * gate.arms for gate in session.gates if _of_rows(gate)}
        rows: dict[str, int] = {}
        axes = {port.name: port.batch for port in session.inputs}
        total = min((inputs[n].shape[a] for n, a in axes.items() if a is not None and n in inputs), default=1)
        for start in range(0, total, batch):
            part = {n: _cut(a, axes.get(n), start, batch) for n, a in inputs.items()}
            result = session.run(part, dict(knobs), True)
            for gate in session.gates:
                trace = result.trace[gate.name]
                _count(trace, gate.kind == "many", counts[gate.name], reached, gate.name)
                if gate.name in anywhere:
                    samples[gate.name] += int((trace.reshape(len(trace), -1) >= 0).any(-1).sum())
                    for arm, count in enumerate(anywhere[gate.name]):
                        anywhere[gate.name][arm] = count + int((trace == arm).reshape(len(trace), -1).any(-1).sum())
            for name, count in result.rows.items():
                rows[name] = rows.get(name, 0) + int(count)
    gates: dict[str, Json] = {
        name: {"reached": reached[name], "shares": [round(c / max(reached[name], 1), 6) for c in found]}
        for name, found in counts.items()
    }
    for name, found in anywhere.items():
        shares: Json = [round(c / max(samples[name], 1), 6) for c in found]
        gates[name] = {**cast(dict[str, Json], gates[name]), "anywhere": shares}
    regions: dict[str, Json] = {name: round(count / max(total, 1), 6) for name, count in rows.items()}
    return {
        "schema": SCHEMA,
        "of": fingerprint(program, weights),
        "samples": total,
        "rows": min(batch, total),
        "gates": gates,
        "rows_per_sample": regions,
    }


def _of_rows(gate: GatePort) -> bool:
    """Whether a gate decides over more than the batch, and not in turns of a loop."""
    along = len(gate.port.axes) - (gate.kind == "many")
    return gate.port.batch == 0 and 1 < along == len(gate.over)


def _cut(array: Array, axis: int | None, start: int, count: int) -> Array:
    if axis is None:
        return array
    return array[(slice(None),) * axis + (slice(start, start + count),)]


def _count(trace: Array, many: bool, counts: list[int], reached: dict[str, int], name: str) -> None:
    """Adds what one run decided; a gate of k of n is reached where it selects anything."""
    reached[name] += int((trace >= 0).any(-1).sum() if many else (trace >= 0).sum())
    for arm in range(len(counts)):
        counts[arm] += int((trace == arm).sum())
