"""Verifies an artifact: runs it, naturally and with forced decisions, against the reference of its source.

Never reads the optimised graph. The artifact's own decisions are replayed in the reference, so that a decision
near its threshold is no mismatch of values; decisions are compared by themselves, where they are certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cogseedc.diagnostics import UserError
from cogseedc.interp import Reference, bind_sizes, forced, initial_states, kind_of
from cogseedc.ir import BATCH, GateKind, Graph, Input, Size
from cogseedc.lazy import lazy
from cogseedc.verify.census import Census
from cogseedc.verify.compare import Distance, Mismatch, Tolerance, compare_rows, compare_run, compare_values, too_far
from cogseedc.verify.forcing import ROTATE, Force, Scenario, groups, scenarios, untold
from cogseedc.verify.inputs import choose_sizes, random_inputs
from cogseedc.verify.report import Report
from cogseedc.verify.rows import RowPlan, predict_rows
from cogseedc.verify.runners import Run, Runner

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

BATCHES = (0, 1, 2, 7, 16)
NEAR = 1e-3
DOUBT = 1e-5
"""How near, relative to values above one, a choice that is no gate is to another when what hangs on it may differ:
as far apart as sums in f32 in another order come out."""
CALLS = 3
"""Calls of each run of a program with states: each gets the states that the artifact gave in the one before."""
FORCED_BATCH = 7
MANY_SCENARIOS = 96
"""Past so many forced runs the batch of each is two."""
SCALE = 8.0
"""Standard deviation of large inputs."""
MOST_MISMATCHES = 200


@dataclass(frozen=True)
class Settings:
    """How to verify."""

    rng: int = 0
    batches: tuple[int, ...] = BATCHES
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Sizes of open axes; the others are chosen."""
    equal: tuple[tuple[Size, Size], ...] = ()
    """Sizes that the program requires to be equal."""
    knobs: Mapping[str, Any] = field(default_factory=dict)
    tolerance: Tolerance = field(default_factory=Tolerance)
    near: float = NEAR
    force: bool = True
    """Whether decisions are forced; without it only what the random inputs happen to decide is verified."""


def verify(
    graph: Graph,
    weights: Mapping[str, Array],
    runner: Runner,
    settings: Settings | None = None,
    *,
    subject: str = "artifact",
    spaces: RowPlan | None = None,
    rounded: Graph | None = None,
    inputs: Iterable[Mapping[str, Array]] = (),
) -> Report:
    """Compares what `runner` runs with the meaning of `graph`, the graph before passes.

    `spaces` say which rows each block must run on. `rounded` is the same program with the
    roundings of its precisions written out: values and decisions are then compared with it, and the distance to
    `graph` is reported.
    `inputs` are further batches to run. Raises UserError for weights or sizes that do not fit the program.
    """
    return _Verification(graph, weights, runner, settings or Settings(), subject, spaces, rounded).report(inputs)


class _Verification:
    """One verification under way."""

    def __init__(
        self,
        graph: Graph,
        weights: Mapping[str, Array],
        runner: Runner,
        settings: Settings,
        subject: str,
        spaces: RowPlan | None,
        rounded: Graph | None,
    ) -> None:
        self.graph, self.runner, self.settings = graph, runner, settings
        self.subject, self.spaces = subject, spaces or RowPlan()
        self.meaning = Reference(graph, weights)
        if rounded is None:
            self.reference = self.meaning
        else:  # passes have dropped what no output needs
            kept = {path: weights[path] for path in rounded.weights()}
            self.reference = Reference(rounded, kept, rounding=True)
        self.plan = self.meaning.plan
        self.groups = groups(self.plan)
        self.states = tuple(n.state for _, n in graph.nodes() if isinstance(n, Input) and n.state is not None)
        self._alone = self.plan.batch_coupled and not runner.rotates  # it takes single samples, which are the batch
        self.mismatches: list[Mismatch] = []
        self.dropped = self.natural_runs = self.forced_runs = 0
        self.census = Census()
        self.distances: dict[str, float] = {}
        self.unrounded: dict[str, float] = {}
        self.notes: list[str] = []
        self.doubtful: dict[str, int] = {}
        """How many samples of an output differed by such a choice."""

    def report(self, inputs: Iterable[Mapping[str, Array]]) -> Report:
        sizes = choose_sizes(self.graph, self.settings.sizes, self.settings.equal)
        for choice in reversed(sizes):
            self._natural(choice)
        if self.settings.force:  # on samples of the last batch: the reference has them evaluated
            self._force(sizes[0])
        self._scaled(sizes[0])
        for i, given in enumerate(inputs):
            states = initial_states(self.graph, bind_sizes(self.graph, given))
            self._compare(Scenario(f"given inputs {i}"), {**states, **given})
        return Report(
            subject=self.subject,
            natural=self.natural_runs,
            forced=self.forced_runs,
            tolerance=self.settings.tolerance,
            near=self.settings.near,
            mismatches=tuple(self.mismatches),
            dropped=self.dropped,
            census=self.census.counts(self.plan),
            untraced=self.census.untraced(self.plan),
            distances=tuple(self.distances.items()),
            unrounded=tuple(self.unrounded.items()) if self.reference is not self.meaning else (),
            batch_coupled=self.plan.batch_coupled,
            notes=(*self.notes, *self._doubts()),
        )

    def _doubts(self) -> Iterator[str]:
        for name, count in self.doubtful.items():
            if count:
                yield (
                    f"output {name}: {count} samples hang on a choice that is no gate (an index, a comparison)"
                    " and nearer to another than f32 tells apart; they were not compared"
                )

    def _natural(self, choice: Mapping[str, int]) -> None:
        """Runs with the program's own decisions, for one choice of sizes."""
        batches = [b for b in self.settings.batches if b or not self.plan.batch_coupled]
        if not any(n.type.batch is not None for _, n in self.graph.nodes() if isinstance(n, Input)):
            batches = [1]
        if self._alone:
            batches = [1]
        for batch in batches:
            name = ", ".join(f"{name}={size}" for name, size in {BATCH: batch, **choice}.items())
            self._stream(Scenario(name), batch, choice)

    def _scaled(self, choice: Mapping[str, int]) -> None:
        """A run with large inputs: they saturate what saturates."""
        self._stream(Scenario(f"inputs times {SCALE:g}"), 1 if self._alone else FORCED_BATCH, choice, SCALE)

    def _force(self, sizes: Mapping[str, int]) -> None:
        wanted = scenarios(self.plan, self.runner.rotates)
        batch = 1 if self._alone else FORCED_BATCH if len(wanted) <= MANY_SCENARIOS else 2
        for scenario in wanted:
            known = {name: force for name, force in scenario.forces if name in self.census.traced}
            if known:
                self._stream(Scenario(scenario.name, tuple(known.items())), batch, sizes)

    def _stream(self, scenario: Scenario, batch: int, sizes: Mapping[str, int], scale: float = 1.0) -> None:
        """One call with random inputs; of a program with states several, each with what the one before kept."""
        kept = initial_states(self.graph, {BATCH: batch, **sizes})
        for call in range(CALLS if self.states else 1):
            inputs = random_inputs(self.graph, batch, sizes, self.settings.rng + call, scale)
            name = f"{scenario.name}, call {call + 1}" if call else scenario.name
            run = self._compare(Scenario(name, scenario.forces), {**inputs, **kept}, usual=scale == 1)
            if run is None or any(state.output not in run.outputs for state in self.states):
                return
            kept = {state.input: run.outputs[state.output] for state in self.states}

    def _compare(self, scenario: Scenario, inputs: Mapping[str, Array], usual: bool = True) -> Run | None:
        """Runs the artifact, replays its decisions in the reference, and notes every difference. What the run gave.

        Inputs that are not `usual` leave the range of calibrated scales; what that costs is no distance to report. They
        make all values larger, and so all roundings.
        """
        slack = 1.0 if usual or self.reference is self.meaning else SCALE
        forces = dict(scenario.forces)
        self.natural_runs, self.forced_runs = self.natural_runs + (not forces), self.forced_runs + bool(forces)
        run = self._run(scenario.name, inputs, forces)
        if run is None:
            return None
        decisions = self._decisions(run.trace, forces)
        try:
            result = self.reference.run(inputs, self.settings.knobs, decisions)
        except UserError as error:
            self._note(Mismatch("decision", scenario.name, "trace", str(error)))
            return None
        hidden, near = untold(self.plan, self.groups, forces), slack * self.settings.near
        for mismatch in compare_run(self.plan, scenario.name, run.trace, result, forces, near, hidden):
            self._note(mismatch)
        self._values(scenario.name, run, result.outputs, result.output_margins, slack)
        if usual and self.reference is not self.meaning:
            self._distance(run, self.meaning.run(inputs, self.settings.knobs, decisions).outputs)
        self.census.add(self.plan, run.trace, forces, not forces, result.demanded)
        self._rows(scenario.name, run, inputs, forces)
        return run

    def _run(self, name: str, inputs: Mapping[str, Array], forces: Mapping[str, Force]) -> Run | None:
        """A run of the artifact. Whatever it raises is a finding, not our fault."""
        try:
            if forces:
                return self.runner.run_forced(inputs, self.settings.knobs, forces)
            return self.runner.run(inputs, self.settings.knobs)
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            self._note(Mismatch("error", name, type(error).__name__, text))
            return None

    def _decisions(self, trace: Mapping[str, Array], forces: Mapping[str, Force]) -> dict[str, Array]:
        """What the reference has to decide: what was forced, else what the artifact decided.

        A gate that the artifact merged with another follows that other.
        """
        decisions: dict[str, Array] = {}
        for leader, members in self.groups.members.items():
            traced = [name for name in members if name in trace]
            for name in members:
                source = name if name in trace else traced[0] if traced else None
                force = forces.get(source, ROTATE) if source is not None else ROTATE
                if force is None or force >= 0:
                    decisions[name] = forced(self.plan.decider(leader), force)
                elif source is not None:
                    decisions[name] = trace[source]
        return decisions

    def _values(
        self,
        scenario: str,
        run: Run,
        outputs: Mapping[str, Array],
        margins: Mapping[str, Array],
        slack: float,
    ) -> None:
        allowed = self.settings.tolerance
        tolerance = Tolerance(slack * allowed.absolute, allowed.relative)
        for name, wanted in outputs.items():
            if name not in run.outputs:
                self._note(Mismatch("value", scenario, name, "the artifact does not give it"))
                continue
            margin, near = margins.get(name), slack * self.settings.near
            found = compare_values(run.outputs[name], wanted, tolerance, margin, near)
            if found.mismatch is not None and wanted.dtype.kind == "f" and run.outputs[name].shape == wanted.shape:
                found = self._undoubted(name, run.outputs[name], wanted, tolerance)
            self.distances[name] = max(self.distances.get(name, 0.0), found.absolute)
            if found.mismatch is not None:
                self._note(Mismatch("value", scenario, name, found.mismatch))

    def _undoubted(self, name: str, value: Array, wanted: Array, tolerance: Tolerance) -> Distance:
        """The distance of an output without the samples that differ by a choice that could as well go the other way.

        Gates are replayed; an index that is taken or a condition of `where` is not.
        """
        axis = next(self.plan.type(v).batch for _, node, v in self.plan.outputs if node.name == name)
        limit = DOUBT if self.reference is self.meaning else tolerance.absolute
        doubtful = np.asarray(self.reference.nearest() <= limit)
        if axis is None or len(doubtful) != wanted.shape[axis]:
            doubtful = np.asarray(doubtful.any()).reshape([1] * wanted.ndim)
        else:
            doubtful = doubtful.reshape([-1 if i == axis else 1 for i in range(wanted.ndim)])
        doubtful = doubtful & too_far(value, wanted, tolerance)
        others = tuple(i for i in range(wanted.ndim) if i != axis)
        self.doubtful[name] = self.doubtful.get(name, 0) + int(doubtful.any(axis=others).sum())
        return compare_values(np.where(doubtful, wanted, value), wanted, tolerance, None, 0.0)

    def _distance(self, run: Run, outputs: Mapping[str, Array]) -> None:
        for name, wanted in outputs.items():
            if name in run.outputs:
                gap = compare_values(run.outputs[name], wanted, self.settings.tolerance, None, np.inf).absolute
                self.unrounded[name] = max(self.unrounded.get(name, 0.0), gap)

    def _rows(self, scenario: str, run: Run, inputs: Mapping[str, Array], forces: Mapping[str, Force]) -> None:
        trace = {
            name: self._taken(name, decisions, forces)
            for name, decisions in run.trace.items()
            if not self._copies(name, forces)
        }
        sizes = bind_sizes(self.graph, inputs)
        for name, wrong in compare_rows(run.rows, predict_rows(self.spaces, trace, self._batch(inputs), sizes)):
            self._note(Mismatch("rows", scenario, name, wrong))

    def _taken(self, name: str, trace: Array, forces: Mapping[str, Force]) -> Array:
        """What a gate took, wherever it is asked. Artifacts trace the indices that a k-of-n gate found and its mask
        kept, which say nothing of a mask that was forced: where it was reached, the spaces around it say."""
        force = forces.get(name, ROTATE)
        many = name in self.plan.deciders and kind_of(self.plan.decider(name)) is GateKind.MANY
        return np.full_like(trace, -1 if force is None else force) if many and force != ROTATE else trace

    def _copies(self, name: str, forces: Mapping[str, Force]) -> bool:
        """Whether a k-of-n gate of a loop was decided outside, where masks are forced: no trace shows these."""
        step = self.groups.levels[name].gates[name] if name in self.groups.levels and name not in forces else None
        if step is None or kind_of(self.plan.decider(name)) is not GateKind.MANY or not forces:
            return False
        source = step.operands[0]
        return source is not None and isinstance(self.groups.levels[name].step[source.node].node, Input)

    def _batch(self, inputs: Mapping[str, Array]) -> int:
        for _, node in self.graph.nodes():
            if isinstance(node, Input) and node.type.batch is not None:
                return int(inputs[node.name].shape[node.type.batch])
        return 1

    def _note(self, mismatch: Mismatch) -> None:
        if len(self.mismatches) < MOST_MISMATCHES:
            self.mismatches.append(mismatch)
        else:
            self.dropped += 1
