"""Runs one program everywhere and compares: the reference, after each pass, generated PyTorch, ONNX Runtime.

A program whose decisions are too near to their thresholds, or that amplifies rounding, is dropped: see `Dropped`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime

from cogseedc import target as targets
from cogseedc.backends.names import class_name, names
from cogseedc.backends.plan import Plan, plan
from cogseedc.diagnostics import UserError
from cogseedc.driver.emit import onnx_model, torch_model
from cogseedc.driver.lower import Lowering, lower
from cogseedc.driver.program import Program
from cogseedc.driver.weights import Weights, weight_bytes, weight_paths
from cogseedc.interp import Reference, Result, bind_sizes
from cogseedc.ir import Gate, GateKind, Graph, Knob, Output, Weight
from cogseedc.ir.printer import print_graph
from cogseedc.ir.verifier import verify
from cogseedc.ops import OPS
from cogseedc.passes import PASSES, PIPELINES, Context, run_pipeline
from cogseedc.runtime.onnx_session import OnnxBackend
from cogseedc.runtime.session import Backend, Raw
from cogseedc.runtime.torch_session import TorchBackend
from cogseedc.verify.compare import compare_rows
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
    trace: Mapping[str, Array]
    """What it must trace on the whole batch."""
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


def check(text: str, seed: int, thorough: bool = True) -> Case:
    """Everything about one program. Raises Failure, Dropped, UserError (not a legal program)."""
    case = case_of(text, seed)
    traces = {name: check_passes(case, name) for name in ("inference", "stored")}
    check_orders(case, seed, 3 if thorough else 1)
    check_printing(case.graph, case)
    for executor in executors(case, traces, seed, thorough):
        if executor.single:
            for i in range(SINGLES):
                _compare(case, executor, i, i + 1)
        else:
            for batch in BATCHES:
                _compare(case, executor, 0, batch)
    return case


def check_passes(case: Case, pipeline: str) -> Mapping[str, Array]:
    """The same values after each pass; the trace after the last."""
    graph, found = case.graph.copy(), case.meaning
    for step in PIPELINES[pipeline]:
        changed = _guarded(
            f"pass {step.name}",
            lambda step=step: run_pipeline(graph, (step,), Context(OPS), verify_each=True)[0].changed,
        )
        if changed or step is PIPELINES[pipeline][-1]:
            found = _reference(case, graph, f"pass {step.name}")
    _guarded("print", lambda: check_printing(graph, case))
    return found.trace


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


def executors(case: Case, traces: Mapping[str, Mapping[str, Array]], seed: int, thorough: bool) -> Iterator[Executor]:
    """All ways to run it; without `thorough`, some of them."""
    ways = [("torch-cpu", gates) for gates in ("auto", "compact", "dense")]
    ways += [("onnx-cpu", gates) for gates in ("auto", "compact", "dense")]
    ways += [("onnx-cuda", "compact"), ("onnx-edge", "branch"), ("onnx-edge", "auto"), ("onnx-edge", "dense")]
    if not thorough:
        rng = random.Random(seed)
        ways = [*rng.sample(ways[:3], 2), ("onnx-cpu", "compact"), rng.choice(ways[3:6:2]), rng.choice(ways[6:])]
    knobs = {
        n.name: np.array(n.default).reshape(()).astype("float32") for _, n in case.graph.nodes() if isinstance(n, Knob)
    }
    for name, gates in ways:
        label = f"{name} {gates}"
        target = targets.load(name)
        lowering: Lowering = _guarded(
            f"{label} lower", lambda t=target, g=gates: lower(case.program, t, case.weights, g, "fp32")
        )
        trace = traces["inference" if target.backend == "torch" else "stored"]
        emit = torch_model if target.backend == "torch" else onnx_model
        model, _ = _guarded(f"{label} emit", lambda e=emit, low=lowering: e(low, case.program, case.weights))
        if target.backend == "torch":
            backend = _guarded(f"{label} open", lambda m=model: _torch(case, m))
            yield Executor(label, backend, lowering.plan, trace, target.batch_one, knobs)
            continue
        _guarded(
            f"{label} check", lambda m=model: onnx.checker.check_model(onnx.ModelProto.FromString(m), full_check=True)
        )
        for level in ("plain", "optimised"):
            backend = _guarded(f"{label} {level} open", lambda m=model, v=level: Onnx(m, v == "optimised"))
            yield Executor(f"{label} {level}", backend, lowering.plan, trace, target.batch_one, knobs)


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


def _torch(case: Case, model: bytes) -> TorchBackend:
    nodes = [node for _, node in case.graph.nodes()]
    return TorchBackend(
        model, class_name(case.program.name), weight_bytes(case.weights.by_key(), {}),
        list(case.inputs), [n.name for n in nodes if isinstance(n, Output)],
        knobs=[n.name for n in nodes if isinstance(n, Knob)],
    )  # fmt: skip


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
    kept = {node.path for _, node in graph.nodes() if isinstance(node, Weight)}
    arrays = {path: array for path, array in case.weights.arrays.items() if path in kept}
    found: Result = _guarded(f"{kind} reference", lambda: Reference(graph, arrays).run(case.inputs, {}))
    for name, wanted in case.meaning.outputs.items():
        value = found.outputs[name]
        if value.shape != wanted.shape or not np.allclose(value, wanted, 1e-6, 1e-8):
            raise Failure(f"{kind} value", f"{name} differs by {_gap(value, wanted)}")
    return found


def _compare(case: Case, executor: Executor, start: int, stop: int) -> None:
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


def _decisions(case: Case, executor: Executor, raw: Raw, start: int, stop: int) -> None:
    """Equal traces, -1 where nothing was asked included."""
    gates = {g.name: executor.plan.graph[g.gate] for g in executor.plan.gates}
    if set(raw.trace) != set(gates):
        raise Failure(f"{executor.name} trace", f"traces {sorted(raw.trace)}, not {sorted(gates)}")
    for name, gate in gates.items():
        assert isinstance(gate, Gate)
        found, wanted = raw.trace[name], executor.trace[name]
        if gate.type.batch is not None:
            wanted = np.moveaxis(np.moveaxis(wanted, gate.type.batch, 0)[start:stop], 0, gate.type.batch)
        elif start == stop:
            continue
        if found.shape != wanted.shape:
            raise Failure(f"{executor.name} trace shape", f"{name} has {found.shape}, not {wanted.shape}")
        if gate.kind is GateKind.MANY:
            found, wanted = np.sort(found, -1), np.sort(wanted, -1)
        if not gate.type.axes and ((found == -1) != (wanted == -1)).any():
            continue  # whether a decision of the whole batch was reached may depend on which rows there are
        if (found != wanted).any():
            text = f"{name} of rows {start}:{stop} is {found.ravel()[:32].tolist()}, not {wanted.ravel()[:32].tolist()}"
            reach = ((found == -1) != (wanted == -1)).any()
            raise Failure(f"{executor.name} {'reach' if reach else 'decision'}", text)


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
