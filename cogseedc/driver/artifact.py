"""An artifact in memory: source, model, weights, graph, costs, model card, and the manifest. `publish` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import lcm
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import cogseedc
from cogseedc.analysis.tolerance import written
from cogseedc.analysis.widths import Widths
from cogseedc.driver.card import model_card
from cogseedc.driver.costs import costs_of, measured, rows, work
from cogseedc.driver.emit import EMITTERS
from cogseedc.driver.manifest import MARGIN, SCHEMA, Json, interface, tolerance
from cogseedc.driver.picture import draw
from cogseedc.driver.precisions import PAYLOAD, last_step, record_of, rounded_graph
from cogseedc.driver.profile import record_of_profile
from cogseedc.driver.program import Program
from cogseedc.driver.timing import Timing
from cogseedc.driver.weights import Weights, weight_bytes
from cogseedc.ir import Gate, Graph, Size
from cogseedc.publish import canonical_json

if TYPE_CHECKING:
    from cogseedc.driver.lower import Lowering

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Artifact:
    """What `publish` is given."""

    payloads: Mapping[str, bytes]
    manifest: Mapping[str, Json]


def artifact(program: Program, weights: Weights, lowering: Lowering, clock: Timing | None = None) -> Artifact:
    """Everything of an artifact, the same bytes for the same input."""
    clock = clock or Timing()
    with clock.step(f"emit {lowering.target.name}"):
        model, model_record = EMITTERS[lowering.target.backend](lowering, program, weights)
    with clock.step("costs, picture, card"):
        return _whole(program, weights, lowering, model, model_record)


def _whole(
    program: Program, weights: Weights, lowering: Lowering, model: bytes, model_record: dict[str, Json]
) -> Artifact:
    """A model with what goes along with it."""
    payloads, files = source_payloads(program.files)
    described = interface(
        lowering.plan.graph, [(g.name, g.strategy) for plan in lowering.plan.nested() for g in plan.gates]
    )
    manifest = _manifest(program, weights, lowering, files, described)
    manifest["model"] = model_record
    spent = costs_of(program.structure, program.settings.sizes)
    costs = measured(spent)
    costs["work"] = work(spent, _traced(lowering.plan.graph))
    table = [(what, _spread(least, expected, most)) for what, least, expected, most in rows(costs)]
    payloads |= {
        str(model_record["payload"]): model,
        WEIGHTS: weight_bytes(weights.by_key(), {"name": program.name}),
        "graph.json": draw(program, "json"),
        "costs.json": canonical_json(costs, indent=1),
        **_precisions(program, lowering),
        "README.md": model_card(manifest, program.elaborated.doc, table).encode(),
    }
    return Artifact(payloads, manifest)


def source_payloads(files: Mapping[str, str]) -> tuple[dict[str, bytes], list[Json]]:
    """Payloads of the source texts, and (path, payload) records, the program first."""
    payloads: dict[str, bytes] = {}
    records: list[Json] = []
    for i, (path, text) in enumerate(files.items()):
        name = "program.seed" if i == 0 else f"import_{i}.seed"
        payloads[name] = text.encode()
        records.append({"path": PurePosixPath(path).name if i == 0 else path, "payload": name})
    return payloads, records


def _manifest(
    program: Program, weights: Weights, lowering: Lowering, files: list[Json], described: dict[str, Json]
) -> dict[str, Json]:
    target, settings = lowering.target, program.settings
    narrow = lowering.precisions | written(program.elaborated.graph).keys()
    absolute, relative = tolerance(narrow)
    if lowering.precisions:
        absolute += last_step(rounded_graph(program, target, lowering.widths))
    return {
        "schema": SCHEMA,
        "tool": {"name": "cogseedc", "version": cogseedc.__version__},
        "name": program.name,
        "doc": program.elaborated.doc,
        "version": program.elaborated.version,
        "target": {
            "name": target.name,
            "backend": target.backend,
            "device": target.device,
            "providers": [*target.providers],
            "batch_one": target.batch_one,
            **({"costs": asdict(target.costs)} if target.probed else {}),
            **({"profile": record_of_profile(target.profile)} if target.profile is not None else {}),
        },
        "source": {
            "files": files,
            "seed": program.name,
            "set": dict(settings.statics),
            "size": dict(settings.sizes),
            **_settled(program),
        },
        "weights": {"payload": WEIGHTS, "from": "file" if weights.rng is None else "rng", "rng": weights.rng},
        "interface": described,
        "requirements": [_requirement(r.left, r.right) for r in program.elaborated.requirements],
        "batch_coupled": program.elaborated.coupled,
        "numerics": {
            "precisions": [*sorted(lowering.precisions)],
            "absolute": absolute,
            "relative": relative,
            "margin": max(MARGIN, absolute) if narrow else MARGIN,
            "gates": lowering.gates,
            "bits": lowering.bits,
        },
    }


def _traced(graph: Graph) -> dict[str, str]:
    """Every gate whose decisions the trace has, under its own name or that of a gate that decides alike."""
    gates = [node for inner, _ in graph.nested() for _, node in inner.of(Gate)]
    return {name: gate.name for gate in gates for name in (gate.name, *gate.aliases)}


def _settled(program: Program) -> dict[str, Json]:
    """What was settled before the build; nothing for most artifacts."""
    knobs, arms = program.settings.knobs, program.settings.arms
    return {
        **({"knobs": {name: [*values] for name, values in knobs}} if knobs else {}),
        **({"arms": {name: [*kept] for name, kept in arms}} if arms else {}),
    }


def _requirement(left: Size, right: Size) -> Json:
    """Two sizes that must be equal, both multiplied so that no coefficient is a fraction."""
    scale = lcm(left.denominator, right.denominator)
    return {"left": str(left * scale), "right": str(right * scale)}


def _precisions(program: Program, lowering: Lowering) -> dict[str, bytes]:
    """The payload that says which calls compute in reduced precision, where there are any."""
    if not lowering.precisions:
        return {}
    graph = rounded_graph(program, lowering.target, Widths())
    return {PAYLOAD: canonical_json(record_of(lowering.widths, graph), indent=1)}


def _spread(least: str, expected: str, most: str) -> str:
    if least and least != most:
        return f"{least} to {most}" + (f", {expected} when every arm is taken alike" if expected else "")
    return most
