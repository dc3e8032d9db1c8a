"""A copy of an artifact that tells more: for all samples, what every exit would give and the score that it asks.

It is lowered from the source in the artifact for the artifact's target and in its precisions, with the exits' values as
further outputs. So everything is computed for every sample, and numbers are the artifact's, quantised ones too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cogseedc import target as targets
from cogseedc.driver.artifact import artifact as made_artifact
from cogseedc.driver.lower import lower
from cogseedc.driver.program import Program
from cogseedc.driver.reopened import Reopened
from cogseedc.ir import Call, Dtype, Gate, Graph, Knob, Merge, MergeMode, NodeId, Output, Value
from cogseedc.passes import Context, Pass
from cogseedc.publish import publish
from cogseedc.runtime import Session
from cogseedc.runtime import open as open_artifact

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

FLIPPED = {"ge": "le", "gt": "lt", "le": "ge", "lt": "gt"}


@dataclass(frozen=True, slots=True)
class Threshold:
    """An exit is taken where `score OP knob[element]`."""

    knob: str
    element: int
    """In row-major order."""
    comparison: str
    """ge, gt, le or lt."""

    @property
    def upward(self) -> bool:
        """Whether it is a large score that leaves."""
        return self.comparison in ("ge", "gt")

    def holds(self, score: Array, value: float) -> Array:
        """Where a score (f32) passes a value, as every backend decides it: false for NaN."""
        limit = np.float32(value)
        with np.errstate(invalid="ignore"):
            match self.comparison:
                case "ge":
                    return np.asarray(score >= limit)
                case "gt":
                    return np.asarray(score > limit)
                case "le":
                    return np.asarray(score <= limit)
                case _:
                    return np.asarray(score < limit)


@dataclass(frozen=True, slots=True)
class ExitPoint:
    """An exit of the exported seed, over the batch."""

    name: str
    threshold: Threshold | None
    """None: its condition is no comparison with a knob."""


@dataclass(frozen=True)
class Seen:
    """What a probe saw of some samples; arrays have the batch first."""

    given: Mapping[str | None, Array]
    """By exit (None: the end), what it gives for the output that was asked for."""
    decided: Mapping[str, Array]
    """By exit, whether its condition holds, at the knobs of the run."""
    scores: Mapping[str, Array]
    """By exit with a threshold, its score."""
    trace: Mapping[str, Array]
    """Decisions of the other gates."""


@dataclass(frozen=True)
class Probe:
    """An opened probe."""

    session: Session
    exits: tuple[ExitPoint, ...]
    _names: Mapping[tuple[str, str | None], str]
    """Name of the output that holds (`given` | `decided` | `score`, exit)."""

    def run(self, inputs: Mapping[str, Array], knobs: Mapping[str, object], batch: int = 256) -> Seen:
        """Runs all samples, `batch` at a time. Raises UserError CS0837, CS0843 .. CS0846."""
        count = len(next(iter(inputs.values())))
        parts = [
            self.session.run({n: a[i : i + batch] for n, a in inputs.items()}, knobs, trace=True, state={})
            for i in range(0, count, batch)
        ]

        def whole(kind: str) -> dict[Any, Array]:
            names = {exit: name for (k, exit), name in self._names.items() if k == kind}
            return {exit: np.concatenate([part[name] for part in parts]) for exit, name in names.items()}

        exits = {exit.name for exit in self.exits}
        axis = {gate.name: gate.port.batch for gate in self.session.gates}
        trace = {
            gate: np.concatenate([part.trace[gate] for part in parts]) if axis[gate] == 0 else parts[0].trace[gate]
            for gate in (parts[0].trace if parts else ())
            if gate not in exits and axis.get(gate) in (0, None)
        }
        return Seen(whole("given"), whole("decided"), whole("score"), trace)


def probe(kept: Reopened, output: str, threads: int | None = None) -> Probe:
    """A probe of an artifact, for what it gives as `output`. Raises UserError as compiling and opening do."""
    expose = _Expose(output)
    target = targets.load(kept.target.name)
    lowering = lower(kept.program, target, kept.weights, "dense", kept.bits, widths=kept.widths, further=expose)
    made = made_artifact(kept.program, kept.weights, lowering)
    with TemporaryDirectory() as folder:
        session = open_artifact(publish(f"{folder}/probe", made.payloads, made.manifest), device="cpu", threads=threads)
    return Probe(session, tuple(expose.exits), expose.names)


def exit_points(program: Program, output: str) -> tuple[ExitPoint, ...]:
    """The exits of the exported seed that give `output` and decide for each sample, in order."""
    return tuple(point for point, _, _ in _points(program.structure, output))


@dataclass(frozen=True)
class _Expose(Pass):
    """Adds outputs for the values, conditions and scores of all exits, and notes their names. Only for probes."""

    name: ClassVar[str] = "expose-exits"
    output: str
    exits: list[ExitPoint] = field(default_factory=list, compare=False)
    names: dict[tuple[str, str | None], str] = field(default_factory=dict, compare=False)

    def run(self, graph: Graph, context: Context) -> bool:
        taken = {node.name for _, node in graph.of(Output)}
        if context.loop is not None:  # exits of the program are in no body
            return False
        points = list(_points(graph, self.output))
        wanted: list[tuple[str, str | None, Value]] = [("given", None, _end(graph, self.output))]
        for point, gate, value in points:
            self.exits.append(point)
            wanted += [("given", point.name, value), ("decided", point.name, gate)]
            score = _score(graph, gate)
            if point.threshold is not None and score is not None:
                wanted.append(("score", point.name, score))
        for number, (kind, exit, value) in enumerate(wanted):
            name = f"probe_{number}"
            while name in taken:
                name += "_"
            graph.add(Output(name, graph.type(value)), [value])
            self.names[kind, exit] = name
        return True


def _points(graph: Graph, output: str) -> Iterator[tuple[ExitPoint, Value, Value]]:
    """Each exit over the batch that the joins before the output choose by: what decides it, and what it gives."""
    value = _fed(graph, output)
    while (named := _choosers(graph, value)) is not None:
        operands = graph.wiring().operands(value.node)
        for gate, given in zip(named, operands, strict=False):
            node = graph[gate]
            assert isinstance(node, Gate)
            decided = graph.wiring().operands(gate)[0]
            if decided is None or given is None or node.exit is None or graph.type(decided).rank != 1:
                continue
            yield ExitPoint(node.exit, _threshold(graph, decided)), decided, given
        value = _rest(graph, value, len(named))


def _end(graph: Graph, output: str) -> Value:
    value = _fed(graph, output)
    while (named := _choosers(graph, value)) is not None:
        value = _rest(graph, value, len(named))
    return value


def _fed(graph: Graph, output: str) -> Value:
    for id, node in graph.nodes():
        if isinstance(node, Output) and node.name == output:
            value = graph.wiring().operands(id)[0]
            assert value is not None, "the verifier found every output fed"
            return value
    raise KeyError(output)


def _rest(graph: Graph, value: Value, arms: int) -> Value:
    rest = graph.wiring().operands(value.node)[2 * arms]
    assert rest is not None, "the verifier found the rest of a join fed"
    return rest


def _choosers(graph: Graph, value: Value) -> list[NodeId] | None:
    """The gates of a join of exits; None for any other value."""
    merge = graph[value.node]
    if not isinstance(merge, Merge) or merge.mode is not MergeMode.SELECT or not merge.otherwise:
        return None
    count = len(merge.arms)
    gates = [v.node for v in graph.wiring().operands(value.node)[count : 2 * count] if v is not None]
    nodes: Sequence[object] = [graph[gate] for gate in gates]
    return gates if all(isinstance(n, Gate) and n.exit is not None for n in nodes) else None


def _threshold(graph: Graph, decided: Value) -> Threshold | None:
    """The knob that a condition compares with, when that is all it does."""
    call = graph[decided.node]
    if not isinstance(call, Call) or call.op not in FLIPPED:
        return None
    left, right = graph.wiring().operands(decided.node)
    for limit, comparison in ((right, call.op), (left, FLIPPED[call.op])):
        found = None if limit is None else _knob(graph, limit)
        if found is not None:
            return Threshold(*found, comparison)
    return None


def _score(graph: Graph, decided: Value) -> Value | None:
    left, right = graph.wiring().operands(decided.node)
    return left if right is not None and _knob(graph, right) is not None else right


def _knob(graph: Graph, value: Value) -> tuple[str, int] | None:
    """The knob, and which element of it, that a value is."""
    node = graph[value.node]
    behind = graph.wiring().operands(value.node)
    if isinstance(node, Knob):
        return (node.name, 0) if not node.type.axes and node.type.dtype is Dtype.F32 else None
    if not isinstance(node, Call) or not behind or behind[0] is None:
        return None
    knob = graph[behind[0].node]
    if node.op == "select" and isinstance(knob, Knob) and knob.type.rank == 1 and knob.type.dtype is Dtype.F32:
        return knob.name, node.attrs.integer("index")
    return None
