"""Compiles a program into artifacts: everything is made in memory, then published in one step per target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cogseedc import target as targets
from cogseedc.analysis.widths import Widths
from cogseedc.backends.plan import GateReport, LoopPlan, Picked, Plan
from cogseedc.backends.plan.rates import Rates
from cogseedc.diagnostics import Diagnostic, Severity, UserError
from cogseedc.driver.artifact import Artifact, artifact
from cogseedc.driver.lower import Lowering, lower
from cogseedc.driver.profile import found_beside
from cogseedc.driver.program import Program, Settings, StaticValue, load, settings_of
from cogseedc.driver.timing import Timing, collector_paused
from cogseedc.driver.weights import Weights, given_weights, read_arrays
from cogseedc.ir import Gate, Loop, NodeId
from cogseedc.ops import OPS
from cogseedc.publish import publish
from cogseedc.target import Profile, Target

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array


@dataclass(frozen=True)
class Request:
    """What a build was asked for, but for the program and the target."""

    settings: Settings = Settings()
    weights: str | Path | Mapping[str, Any] | None = None
    """A safetensors file, or arrays or tensors by state-dict key."""
    rng: int | None = None
    """Initial weights come from this number."""
    gates: str = "auto"
    bits: str | None = None
    """`fp32`, `auto`, or one precision to take wherever it is tolerated; None: the target's."""
    calibration: str | Path | Mapping[str, Array] | None = None
    """An .npz file, or arrays by input."""
    verify_each: bool = False
    profile: Profile | None = None
    """What the program does on real inputs; None: what lies beside its source, if it still fits."""


def compile(
    source: str | Path | Program,
    target: str = "torch-cpu",
    output: str | Path | None = None,
    *,
    weights: str | Path | Mapping[str, Any] | None = None,
    rng: int | None = None,
    gates: str = "auto",
    bits: str | None = None,
    calibration: str | Path | Mapping[str, Array] | None = None,
    set: Mapping[str, StaticValue] | None = None,
    size: Mapping[str, int] | None = None,
    seed: str | None = None,
    verify_each: bool = False,
) -> Path:
    """Compiles a program for a target and gives the artifact's folder.

    `output` is that folder; by default `build/<name>-<target>`. `weights` is a safetensors file or a state dict;
    without it, they are initial ones from `rng` (0). `set` are static parameters (text is read as the language reads
    it), `size` sizes of open axes, `seed` which seed is meant. Raises UserError for every mistake in these, in the
    program, and for an output that cannot be written.
    """
    request = Request(settings_of(set, size, seed), weights, rng, gates, bits, calibration, verify_each)
    stem = source.name if isinstance(source, Program) else Path(source).stem
    place = Path(output) if output is not None else Path("build") / f"{stem}-{target}"
    done, _ = compile_all(source, {target: place}, request, Timing())
    return done[target]


def compile_all(
    source: str | Path | Program, places: Mapping[str, Path], request: Request, clock: Timing
) -> tuple[dict[str, Path], tuple[Diagnostic, ...]]:
    """One artifact for each target in `places`, and what should be noted.

    Nothing is written before all of them are made.
    """
    for name in places:
        targets.load(name)
    with collector_paused():
        program, weights = prepared(source, request, clock)
        request, stale = _profiled(source, program, weights, request)
        made = {name: _make(program, weights, name, request, clock) for name in places}
    done: dict[str, Path] = {}
    with clock.step("publish"):
        for name, place in places.items():
            done[name] = _publish(place, made[name])
    return done, (*program.notes, *stale, *_note(weights))


def prepared(source: str | Path | Program, request: Request, clock: Timing) -> tuple[Program, Weights]:
    """The checked program and its weights; sizes that nothing else says come from the weights' shapes."""
    with clock.step("front end"):
        given = given_weights(request.weights)
        if isinstance(source, Program):
            program = source
        else:
            shapes = tuple((name, tuple(array.shape)) for name, array in sorted(given.items())) if given else ()
            program = load(source, replace(request.settings, weight_shapes=shapes))
    with clock.step("weights"):
        return program, Weights.of(program, given, request.rng)


def lowered(
    program: Program,
    weights: Weights,
    target: str | Target,
    request: Request,
    clock: Timing,
    widths: Widths | None = None,
) -> Lowering:
    """The program, planned for a target. Raises UserError CS0806 for a strategy that the target does not have."""
    if isinstance(target, str):
        target = replace(targets.load(target), profile=request.profile)
    if request.gates not in ("auto", "dense", *target.gates):  # computing everything is always right
        message = f"target `{target.name}` has no strategy `{request.gates}`"
        raise UserError(
            Diagnostic("CS0806", message, help=f"it has dense, {', '.join(g for g in target.gates if g != 'dense')}")
        )
    calibration = request.calibration
    arrays = read_arrays(str(calibration)) if isinstance(calibration, (str, Path)) else calibration
    each = request.verify_each
    return lower(program, target, weights, request.gates, request.bits, arrays, each, clock, widths)


def explain_plan(source: str, name: str, request: Request) -> list[dict[str, object]]:
    """For each gate: name, axes, strategy, and the predicted time of each strategy in microseconds.

    For each loop: name, turns, and how they are run; what is decided in it comes behind it.
    """
    program, weights = prepared(source, request, Timing())
    request, _ = _profiled(source, program, weights, request)
    lowering = lowered(program, weights, name, request, Timing())
    return list(_rows(lowering.plan, lowering.target, request))


def _rows(plan: Plan, target: Target, request: Request) -> Iterator[dict[str, object]]:
    rates = Rates.of(plan.graph, target, OPS)
    yield from (_explained(plan, rates, report, request) for report in plan.gates)
    for id, found in plan.loops.items():
        loop = plan.graph[id]
        assert isinstance(loop, Loop)
        strategy, why = _turns(loop, found)
        turns = f"{'at most ' if loop.halts else ''}{loop.steps}"
        yield {"loop": loop.name, "turns": turns, "strategy": strategy, "why": why}
        yield from _rows(found.body, target, request)


def _turns(loop: Loop, found: LoopPlan) -> tuple[str, str]:
    """How the turns of a loop are run, and why."""
    if loop.active is not None:
        return "packed", "which turns a row takes part in is known before: it runs these only"
    if found.folded:
        return "at once", "no turn reads what another gave: each row and turn is a row of one run"
    if found.compact:
        return "leaving", "rows that have stopped leave the batch"
    return "in turn", "all rows run on until all have stopped" if loop.halts else "each turn reads the one before"


def _explained(plan: Plan, rates: Rates, report: GateReport, request: Request) -> dict[str, object]:
    gate, profile = plan.graph[report.gate], rates.target.profile
    assert isinstance(gate, Gate)
    return {
        "gate": report.name,
        "over": [*gate.over],
        "strategy": report.strategy,
        "predicted": dict(report.predicted),
        "shares": [round(rates.share(report.gate, (arm,)), 4) for arm in range(gate.arms)],
        "profiled": profile is not None and profile.share(report.name, 0) is not None,
        "why": "; ".join([_why(report, request), *_narrowed(plan, report.gate), *_picked(plan, report.gate)]),
    }


def _narrowed(plan: Plan, gate: NodeId) -> Iterator[str]:
    """Which layers are computed for the channels that a gate chose, and which read only these."""
    steps = [step for block in plan.blocks for step in block.steps if isinstance(step, Picked)]
    made: list[str] = []
    read: list[str] = []
    for step in steps:
        for layer in step.region.layers:
            node = plan.graph[layer.node]
            if step.region.choice is not None and step.region.choice[0] == gate and layer.filters(plan.graph):
                made.append(node.origin.path)
            if layer.kept is not None and any(chosen == gate for chosen, _ in layer.kept.choices()):
                read.append(node.origin.path)
    if made:
        yield f"chosen channels of {', '.join(made)}"
    if read:
        yield f"only these are read by {', '.join(read)}"


def _picked(plan: Plan, gate: NodeId) -> Iterator[str]:
    """Whether the weights of one arm are picked for a row by itself."""
    if any(single.decision.node == gate for single in plan.singles):
        yield "of one row by itself only its arm is computed, with weights that are picked"


def _why(report: GateReport, request: Request) -> str:
    if request.gates != "auto":
        return f"asked for by --gates {request.gates}"
    if not report.predicted:
        return "nothing is computed for one decision only"
    if report.strategy == "branch":
        return "one decision for all rows: a real `if`"
    ordered = sorted((cost, name) for name, cost in report.predicted if name != "branch")
    if len(ordered) < 2:
        return f"the target has only {report.strategy}"
    (least, best), (next, other) = ordered[:2]
    return f"{best} is predicted to take {least / max(next, 1e-9):.0%} of the time of {other}"


def _profiled(
    source: str | Path | Program, program: Program, weights: Weights, request: Request
) -> tuple[Request, tuple[Diagnostic, ...]]:
    """The request with the profile beside the source, unless it has one; a note when that is out of date."""
    if request.profile is not None:
        return request, ()
    profile, notes = found_beside(source, program, weights)
    return replace(request, profile=profile), notes


def _make(program: Program, weights: Weights, name: str, request: Request, clock: Timing) -> Artifact:
    lowering = lowered(program, weights, name, request, clock)
    return artifact(program, weights, lowering, clock)


def _publish(place: Path, made: Artifact) -> Path:
    try:
        return publish(place, made.payloads, made.manifest)
    except OSError as error:
        message = f"cannot write {str(place)!r}: {error.strerror or error}"
        raise UserError(
            Diagnostic("CS0905", message, help="choose a new folder, or one that holds an artifact")
        ) from None


def _note(weights: Weights) -> tuple[Diagnostic, ...]:
    if weights.asked:
        return ()
    message = f"weights are initial ones, from --rng {weights.rng}"
    help = "give trained ones with --weights FILE, or say --rng NUMBER to mean initial ones"
    return (Diagnostic("CS0911", message, help=help, severity=Severity.NOTE),)
