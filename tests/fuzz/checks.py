"""Runs one program everywhere and compares: the reference, after each pass, generated PyTorch, ONNX Runtime.

A program whose decisions are too near to their thresholds, or that amplifies rounding, is dropped: see `Dropped`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

from cogseedc import target as targets
from cogseedc.backends.names import class_name, names
from cogseedc.backends.plan import Plan, plan
from cogseedc.diagnostics import UserError
from cogseedc.driver.emit import onnx_model, torch_model
from cogseedc.driver.lower import Lowering, lower
from cogseedc.driver.program import Program
from cogseedc.driver.weights import Weights, weight_bytes, weight_paths
from cogseedc.interp import Reference, Result, Schedule, bind_sizes, kind_of, schedule
from cogseedc.ir import Call, Gate, GateKind, Graph, Input, Knob, Loop, Output
from cogseedc.ir.printer import print_graph
from cogseedc.ir.verifier import verify
from cogseedc.ops import OPS
from cogseedc.passes import PASSES, PIPELINES, Context, run_pipeline
from cogseedc.runtime.interface import Port, StatePort
from cogseedc.runtime.onnx_session import SWITCH, OnnxBackend
from cogseedc.runtime.session import Backend, Raw
from cogseedc.runtime.torch_session import TorchBackend
from cogseedc.verify.compare import compare_decisions, compare_reach, compare_rows
from cogseedc.verify.rows import RowPlan, predict_rows
from tests.fuzz.generator import ROWS, inputs_of, read, weights_of

Array = np.ndarray[Any, np.dtype[Any]]
BATCHES = (0, 1, 2, 7, 16)
NEAR = 1e-3
ABSOLUTE, RELATIVE = 1e-4, 1e-3
SINGLES = 4
"""Rows that a batch-one model is run on."""


class Dropped(Exception):
    """Nothing can be said of this program."""


class Failure(AssertionError):
    """Something differs. `kind` is what a shrunk program must show too."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


@dataclass(frozen=True)
class Case:
    """A program with its weights, inputs and meaning."""

    program: Program
    weights: Weights
    inputs: Mapping[str, Array]
    meaning: Result

    @property
    def graph(self) -> Graph:
        return self.program.elaborated.graph

    def rows(self, start: int, stop: int) -> dict[str, Array]:
        return {name: np.ascontiguousarray(a[start:stop]) for name, a in self.inputs.items()}


@dataclass(frozen=True)
class Executor:
    """One way to run a program."""

    name: str
    backend: Backend
    plan: Plan
    meaning: Schedule
    result: Result
    """What its decisions must be on the whole batch, after the passes of its backend."""
    single: bool
    knobs: Mapping[str, Array]


def case_of(text: str, seed: int) -> Case:
    """The meaning of a text on random inputs. Raises UserError, Dropped."""
    program = read(text)
    graph = program.elaborated.graph
    arrays = weights_of(graph, seed)
    inputs = inputs_of(graph, seed)
    meaning = Reference(graph, arrays).run(inputs, {})
    for name, margin in meaning.margins.items():
        if margin.size and not margin.min() > NEAR:
            raise Dropped(f"the gate {name} is near its threshold")
    for name, value in meaning.outputs.items():
        if not np.isfinite(value).all() or np.abs(value).max(initial=0) > 1e4:
            raise Dropped(f"the output {name} is huge")
    return Case(program, Weights(arrays, names(weight_paths(graph)), seed, True), inputs, meaning)


def check(text: str, seed: int, thorough: bool = True, seen: Counter[str] | None = None) -> Case:
    """Everything about one program; `seen` counts what was met. Raises Failure, Dropped, UserError (not a legal one)."""
    case = case_of(text, seed)
    seen = Counter() if seen is None else seen
    meanings = {name: check_passes(case, name) for name in ("inference", "stored")}
    count_program(case, meanings["inference"][0].graph, seen)
    check_orders(case, seed, 3 if thorough else 1)
    check_printing(case.graph, case)
    for executor in executors(case, meanings, seed, thorough):
        if executor.single:
            for i in range(SINGLES):
                _compare(case, executor, i, i + 1, seen)
        else:
            for batch in BATCHES:
                _compare(case, executor, 0, batch, seen)
        seen[f"executor {executor.name}"] += 1
    if thorough:
        check_evaluator(case, seen)
    return case


def count_program(case: Case, guarded: Graph, seen: Counter[str]) -> None:
    """Operations, kinds of statements, how deep gates stand, and how their decisions fell."""
    graphs = [graph for graph, _ in case.graph.nested()]
    nodes = [node for graph in graphs for _, node in graph.nodes()]
    seen.update({f"operation {node.op}" for node in nodes if isinstance(node, Call)})
    seen.update({f"loop {node.kind.value}" for node in nodes if isinstance(node, Loop)})
    seen.update({f"gate {node.kind.value} over {', '.join(node.over)}" for node in nodes if isinstance(node, Gate)})
    seen.update(
        f"feature {word.strip(' [{')}"
        for word in ("exit ", "state ", "import ", "capacity[")
        if word in case.program.source.text
    )
    wiring, depth = guarded.wiring(), dict[int, int]()
    for id in wiring.order:
        depth[id] = max((1 + depth[edge.src] for edge in wiring.controls[id]), default=0)
    seen[f"gates {min(max(depth.values(), default=0), 3)} deep"] += 1
    flat = [own.ravel() for own in case.meaning.own.values() if own.size]
    seen["programs"] += 1
    seen["programs with a gate that all rows decide alike"] += any((own == own[0]).all() for own in flat)


def check_passes(case: Case, pipeline: str) -> tuple[Schedule, Result]:
    """The same values after each pass; what the last one leaves, and how it decides."""
    graph, found = case.graph.copy(), case.meaning
    for step in PIPELINES[pipeline]:
        changed = _guarded(
            f"pass {step.name}",
            lambda step=step: run_pipeline(graph, (step,), Context(OPS), verify_each=True)[0].changed,
        )
        if changed or step is PIPELINES[pipeline][-1]:
            found = _reference(case, graph, f"pass {step.name}")
    _guarded("print", lambda: check_printing(graph, case))
    return schedule(graph), found


def check_orders(case: Case, seed: int, count: int) -> None:
    """Passes in any legal order leave a graph that means the same and can be planned."""
    rng = random.Random(seed)
    frame = PIPELINES["none"]
    rest = [step() for step in PASSES if step.name not in {s.name for s in frame}]
    for _ in range(count):
        chosen = [rng.choice(rest) for _ in range(rng.randint(1, 5))]
        label = "order " + " ".join(step.name for step in chosen)
        graph = case.graph.copy()
        _guarded(label, lambda g=graph, c=chosen: run_pipeline(g, (*frame, *c), Context(OPS), verify_each=True))
        _reference(case, graph, label)
        _guarded(label, lambda g=graph: plan(g, targets.load("torch-cpu"), "compact"))


def check_printing(graph: Graph, case: Case) -> None:
    """The text of a graph is read back as the same text, and means the same."""
    text = print_graph(graph, case.program.name, OPS)
    again = _guarded("parse printed", lambda: read(text).elaborated.graph)
    found = print_graph(again, case.program.name, OPS)
    if found != text:
        lines = [f"{a!r} became {b!r}" for a, b in zip(text.splitlines(), found.splitlines(), strict=False) if a != b]
        raise Failure("printed", lines[0] if lines else "another number of lines")
    _guarded("verify printed", lambda: verify(again, OPS))
    _reference(case, again, "printed")


def executors(
    case: Case, meanings: Mapping[str, tuple[Schedule, Result]], seed: int, thorough: bool
) -> Iterator[Executor]:
    """All ways to run it; without `thorough`, some of them."""
    ways = [("torch-cpu", gates) for gates in ("auto", "compact", "dense")]
    ways += [("onnx-cpu", gates) for gates in ("auto", "compact", "dense")]
    ways += [("onnx-cuda", "compact"), ("onnx-edge", "branch"), ("onnx-edge", "auto"), ("onnx-edge", "dense")]
    if not thorough:
        rng = random.Random(seed)
        ways = [*rng.sample(ways[:3], 2), ("onnx-cpu", "compact"), rng.choice(ways[3:6:2]), rng.choice(ways[6:])]
    knobs = {node.name: knob_of(node) for _, node in case.graph.nodes() if isinstance(node, Knob)}
    for name, gates in ways:
        label = f"{name} {gates}"
        target = targets.load(name)
        lowering: Lowering = _guarded(
            f"{label} lower", lambda t=target, g=gates: lower(case.program, t, case.weights, g, "fp32")
        )
        meaning = meanings["inference" if target.backend == "torch" else "stored"]
        emit = torch_model if target.backend == "torch" else onnx_model
        model, _ = _guarded(f"{label} emit", lambda e=emit, low=lowering: e(low, case.program, case.weights))
        if target.backend == "torch":
            backend = _guarded(f"{label} open", lambda m=model: _torch(case, m))
            yield Executor(label, backend, lowering.plan, *meaning, target.batch_one, knobs)
            continue
        _guarded(
            f"{label} check", lambda m=model: onnx.checker.check_model(onnx.ModelProto.FromString(m), full_check=True)
        )
        for level in ("plain", "optimised"):
            backend = _guarded(f"{label} {level} open", lambda m=model, v=level: Onnx(m, v == "optimised"))
            yield Executor(f"{label} {level}", backend, lowering.plan, *meaning, target.batch_one, knobs)


class Onnx(OnnxBackend):
    """A session of one thread, with or without the optimisation of its graph."""

    def __init__(self, model: bytes, optimise: bool) -> None:
        super().__init__(model, threads=1)
        if not optimise:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            options.intra_op_num_threads = 1
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def check_evaluator(case: Case, seen: Counter[str]) -> None:
    """The dense model in onnx's own evaluator, which has no part in common with ONNX Runtime; where it has the ops."""
    lowering = lower(case.program, targets.load("onnx-cpu"), case.weights, "dense", "fp32")
    model, _ = onnx_model(lowering, case.program, case.weights)
    names = list(case.meaning.outputs)
    given = {node.name: knob_of(node) for _, node in case.graph.nodes() if isinstance(node, Knob)}
    try:
        evaluator = ReferenceEvaluator(onnx.ModelProto.FromString(model))
        found = evaluator.run(
            names, {**case.rows(0, 3), **given, SWITCH: np.array(False)} if lowering.plan.gates else case.rows(0, 3)
        )
    except Exception as error:  # it raises whatever numpy does
        seen[f"evaluator lacks {type(error).__name__}"] += 1
        return
    seen["executor onnx-evaluator"] += 1
    for name, value in zip(names, found, strict=True):
        wanted = case.meaning.outputs[name][:3]
        if value.shape != wanted.shape or not np.allclose(value, wanted, RELATIVE, ABSOLUTE):
            _sensitive(case)
            raise Failure("onnx-evaluator value", f"{name} differs by {_gap(value, wanted)}")


def knob_of(node: Knob) -> Array:
    return np.array(node.default).reshape(()).astype("float32")


def _torch(case: Case, model: bytes) -> TorchBackend:
    nodes = [node for _, node in case.graph.nodes()]
    ports = [node for node in nodes if isinstance(node, (Input, Output))]
    states = [
        StatePort(_port(n.state.path, n), n.state.initial, _port(n.state.input, n), _port(n.state.output, n))
        for n in ports
        if isinstance(n, Input) and n.state
    ]
    return TorchBackend(
        model, class_name(case.program.name), weight_bytes(case.weights.by_key(), {}),
        [n.name for n in ports if isinstance(n, Input) and n.state is None],
        [n.name for n in ports if isinstance(n, Output) and n.state is None],
        knobs=[n.name for n in nodes if isinstance(n, Knob)], states=states,
    )  # fmt: skip


def _port(name: str, node: Input) -> Port:
    return Port(name, node.type.dtype, node.type.names, tuple(str(size) for size in node.type.shape))


def _guarded(kind: str, act: Callable[[], Any]) -> Any:
    """What `act` gives; whatever it raises is a failure of that kind."""
    try:
        return act()
    except Failure:
        raise
    except UserError as error:
        raise Failure(f"{kind} refused", str(error)[:600]) from error
    except Exception as error:
        raise Failure(f"{kind} {type(error).__name__}", str(error)[:600]) from error


def _reference(case: Case, graph: Graph, kind: str) -> Result:
    """The meaning of a rewritten graph, compared."""
    kept = graph.weights()
    arrays = {path: array for path, array in case.weights.arrays.items() if path in kept}
    found: Result = _guarded(f"{kind} reference", lambda: Reference(graph, arrays).run(case.inputs, {}))
    for name, wanted in case.meaning.outputs.items():
        value = found.outputs[name]
        if value.shape != wanted.shape or not np.allclose(value, wanted, 1e-6, 1e-8):
            raise Failure(f"{kind} value", f"{name} differs by {_gap(value, wanted)}")
    return found


def _compare(case: Case, executor: Executor, start: int, stop: int, seen: Counter[str]) -> None:
    label = executor.name
    raw: Raw = _guarded(f"{label} run", lambda: executor.backend.run(case.rows(start, stop), executor.knobs, True))
    for name, whole in case.meaning.outputs.items():
        wanted, value = whole[start:stop], raw.outputs[name]
        if value.shape != wanted.shape:
            raise Failure(f"{label} shape", f"{name} of rows {start}:{stop} has {value.shape}, not {wanted.shape}")
        if not np.allclose(value, wanted, RELATIVE, ABSOLUTE):
            _sensitive(case)
            raise Failure(f"{label} value", f"{name} of rows {start}:{stop} differs by {_gap(value, wanted)}")
    _decisions(case, executor, raw, start, stop)
    given = case.rows(start, stop)
    spaces = RowPlan.of(executor.plan, executor.single)
    predicted = predict_rows(spaces, raw.trace, stop - start, bind_sizes(case.graph, given))
    for name, text in compare_rows(raw.rows, predicted):
        raise Failure(f"{label} rows", f"{name} {text} (rows {start}:{stop})")
    if predicted and not raw.rows:
        raise Failure(f"{label} rows", "no rows are counted")
    way = label.split()[1]
    for count in raw.rows.values():
        seen[
            f"{way}: part {'skipped' if not count else 'of some rows' if count < stop - start else 'of all rows'}"
        ] += 1
    seen[f"batch of {stop - start}"] += 1


def _decisions(case: Case, executor: Executor, raw: Raw, start: int, stop: int) -> None:
    """Equal decisions wherever one was made; made wherever an output depends on one, and nowhere behind a closed gate."""
    expected = {gate.name for plan in executor.plan.nested() for gate in plan.gates}
    if set(raw.trace) != expected:
        raise Failure(f"{executor.name} trace", f"traces {sorted(raw.trace)}, not {sorted(expected)}")
    deciders, result = executor.meaning.deciders, executor.result
    for name, found in raw.trace.items():
        decider = deciders[name]
        axis, many = (
            decider.node.type.batch if isinstance(decider.node, Gate) else 0,
            kind_of(decider.node) is GateKind.MANY,
        )
        if axis is None and start == stop:
            continue
        parts = [_rows(a, axis, start, stop) for a in (result.trace[name], result.own[name], result.demanded[name])]
        wanted, own, needed = (_turns(a, found, len(decider.loops), axis) for a in parts)
        if found.shape[: found.ndim - many] != wanted.shape[: wanted.ndim - many]:
            raise Failure(f"{executor.name} trace shape", f"{name} has {found.shape}, not {wanted.shape}")
        wrong = compare_decisions(
            decider.node, found, own, np.full(own.shape[: own.ndim - many], np.inf), 0.0, len(decider.loops)
        )
        if wrong:
            raise Failure(f"{executor.name} decision", f"{name} of rows {start}:{stop} {wrong}")
        if axis is None and stop - start < ROWS:
            continue  # whether a decision of the whole batch was reached may depend on which rows there are
        lost = compare_reach(decider.node, found, own, needed)
        beyond = not decider.loops and (_made(found, many) & ~_made(wanted, many)).any()  # loops may run for more rows
        if lost or beyond:
            text = lost or f"is {found.ravel()[:32].tolist()}, its guards say {wanted.ravel()[:32].tolist()}"
            raise Failure(f"{executor.name} reach", f"{name} of rows {start}:{stop} {text}")


def _rows(array: Array, axis: int | None, start: int, stop: int) -> Array:
    return array if axis is None else np.moveaxis(np.moveaxis(array, axis, 0)[start:stop], 0, axis)


def _turns(array: Array, found: Array, loops: int, axis: int | None) -> Array:
    """Only so many turns as these rows took: the whole batch may have taken more."""
    first = 0 if axis is None else 1
    for place in range(first, first + loops):
        array = np.moveaxis(np.moveaxis(array, place, 0)[: found.shape[place]], 0, place)
    return array


def _made(trace: Array, many: bool) -> Array:
    return np.asarray((trace >= 0).any(axis=-1) if many else trace >= 0)


def _sensitive(case: Case) -> None:
    """Drops a program in which a relative change of 1e-6 of the inputs and weights is seen in the outputs."""
    rng = np.random.default_rng(0)

    def near(array: Array) -> Array:
        if array.dtype.kind != "f":
            return array
        return (array.astype("float64") * (1 + 1e-6 * rng.standard_normal(array.shape))).astype("float32")

    arrays = {path: near(a) for path, a in case.weights.arrays.items()}
    found = Reference(case.graph, arrays).run({n: near(a) for n, a in case.inputs.items()}, {})
    for name, wanted in case.meaning.outputs.items():
        if not np.allclose(found.outputs[name], wanted, RELATIVE / 10, ABSOLUTE / 10):
            raise Dropped(f"the output {name} amplifies rounding")


def _gap(value: Array, wanted: Array) -> str:
    if value.shape != wanted.shape:
        return f"shape {value.shape}, not {wanted.shape}"
    gap = np.abs(value.astype("float64") - wanted)
    at = np.unravel_index(int(np.nanargmax(np.where(np.isnan(gap), np.inf, gap))), gap.shape)
    return f"{gap[at]:.3g} at {[int(i) for i in at]} ({value[at]:.6g}, not {wanted[at]:.6g})"


__all__ = ["BATCHES", "ROWS", "Case", "Dropped", "Executor", "Failure", "case_of", "check"]
