"""The ways to run a program: generated PyTorch, ONNX Runtime for each target, and onnx's own evaluator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

from cogseedc import target as targets
from cogseedc.backends.names import class_name
from cogseedc.backends.plan import Gates, Plan, plan
from cogseedc.driver.emit import onnx_model, torch_model
from cogseedc.driver.lower import Lowering
from cogseedc.driver.structure import passed
from cogseedc.driver.timing import Timing
from cogseedc.driver.weights import weight_bytes
from cogseedc.ir import Call, Input, Knob, Output
from cogseedc.passes import PIPELINES
from cogseedc.runtime.interface import Port, StatePort
from cogseedc.runtime.onnx_session import SWITCH, OnnxBackend
from cogseedc.runtime.session import Backend
from cogseedc.runtime.torch_session import TorchBackend
from cogseedc.target import Target
from tests.fuzz.cases import Case, guarded
from tests.fuzz.rewrites import Lowered, count_operations, rounded

Array = np.ndarray[Any, np.dtype[Any]]
Levels = tuple[str, ...]
LEVELS: Levels = ("plain", "optimised")


@dataclass(frozen=True)
class Way:
    """A target with a gate strategy; for ONNX Runtime, with and without the optimisation of its graph."""

    target: str
    gates: str
    levels: Levels = LEVELS
    evaluated: bool = False
    """Whether onnx's own evaluator runs the model too, which has no part in common with ONNX Runtime."""

    def __str__(self) -> str:
        return f"{self.target} {self.gates}"


EVERY: tuple[Way, ...] = (
    *(Way("torch-cpu", gates) for gates in ("auto", "compact", "dense")),
    *(Way("onnx-cpu", gates, evaluated=gates == "dense") for gates in ("auto", "compact", "dense")),
    Way("onnx-cuda", "compact"),
    *(Way("onnx-edge", gates) for gates in ("branch", "auto", "compact", "dense")),
)


@dataclass(frozen=True)
class Executor:
    """One way to run a program."""

    name: str
    backend: Backend
    plan: Plan
    lowered: Lowered
    single: bool
    """Whether it takes one row at a time."""


class Onnx(OnnxBackend):
    """A session of one thread, with or without the optimisation of its graph."""

    def __init__(self, model: bytes, optimise: bool) -> None:
        self._optimise = optimise
        super().__init__(model, threads=1)

    def options(self, threads: int | None) -> onnxruntime.SessionOptions:
        options = super().options(threads)
        if not self._optimise:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return options


class Evaluator:
    """onnx's own evaluator. Runs what its operators can; raises what numpy does."""

    def __init__(self, model: bytes, outputs: Sequence[str], switched: bool, lowered: Lowered) -> None:
        self.lowered = lowered
        self._model = model
        self._outputs = list(outputs)
        self._switch = {SWITCH: np.array(False)} if switched else {}

    def run(self, inputs: Mapping[str, Array], knobs: Mapping[str, Array]) -> list[Array]:
        evaluator = ReferenceEvaluator(onnx.ModelProto.FromString(self._model))
        return cast("list[Array]", evaluator.run(self._outputs, {**inputs, **knobs, **self._switch}))


def executors(
    case: Case, lowered: Mapping[str, Lowered], ways: Sequence[Way], checked: bool, seen: Counter[str]
) -> Iterator[Executor | Evaluator]:
    """The ways to run it; `checked`: onnx's checker looks at each model. `seen` counts operations of training."""

    @cache
    def training(target: Target) -> Plan:
        limits = case.program.settings.limits
        graph = passed(case.graph, limits, PIPELINES["training"], target, False, Timing(), training=True)
        seen.update({f"training {node.op}" for _, node in graph.nodes() if isinstance(node, Call)})
        return plan(graph, target, "dense", training=True)

    @cache
    def narrow(target: Target) -> Lowered:
        found = rounded(case, target, case.seed % 3 == 0)
        count_operations(found.schedule, "lowered", seen)
        return found

    for way in ways:
        target = _target(way.target)
        found = narrow(target) if case.reduced else lowered[target.backend]
        planned = guarded(f"{way} plan", lambda t=target, w=way, f=found: plan(f.graph, t, cast(Gates, w.gates)))
        dense = guarded(f"{way} train", lambda t=target: training(t)) if target.backend == "torch" else None
        lowering = Lowering(target, planned, dense, way.gates, "fp32", found.widths)
        emit: Callable[..., Any] = torch_model if dense else onnx_model
        model, _ = guarded(f"{way} emit", lambda e=emit, low=lowering: e(low, case.program, case.weights))
        if dense is not None:
            backend = guarded(f"{way} open", lambda m=model: _torch(case, m))
            yield Executor(str(way), backend, planned, found, target.batch_one)
            continue
        if checked:
            guarded(f"{way} check", lambda m=model: onnx.checker.check_model(onnx.ModelProto.FromString(m), True))
        for level in way.levels:
            backend = guarded(f"{way} {level} open", lambda m=model, v=level: Onnx(m, v == "optimised"))
            yield Executor(f"{way} {level}", backend, planned, found, target.batch_one)
        if way.evaluated:
            yield Evaluator(model, list(case.meaning.outputs), bool(planned.gates), found)


_target = cache(targets.load)


def _torch(case: Case, model: bytes) -> TorchBackend:
    nodes = [node for _, node in case.graph.nodes()]
    ports = [node for node in nodes if isinstance(node, (Input, Output))]
    return TorchBackend(
        model, class_name(case.program.name), weight_bytes(case.weights.by_key(), {}),
        [n.name for n in ports if isinstance(n, Input) and n.state is None],
        [n.name for n in ports if isinstance(n, Output) and n.state is None],
        knobs=[n.name for n in nodes if isinstance(n, Knob)], states=states(case),
    )  # fmt: skip


def states(case: Case) -> list[StatePort]:
    """What the program keeps between calls."""
    nodes = [node for _, node in case.graph.nodes() if isinstance(node, Input) and node.state]
    return [
        StatePort(_port(n.state.path, n), n.state.initial, _port(n.state.input, n), _port(n.state.output, n))
        for n in nodes
        if n.state
    ]


def _port(name: str, node: Input) -> Port:
    return Port(name, node.type.dtype, node.type.names, tuple(str(size) for size in node.type.shape))
