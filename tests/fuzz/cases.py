"""A random program with its weights, inputs and meaning, and what can go wrong with it.

A program whose decisions are too near to their thresholds, or that amplifies rounding, is dropped: see `Dropped`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np

from cogseedc.backends.names import names
from cogseedc.diagnostics import UserError
from cogseedc.driver.program import Program
from cogseedc.driver.weights import Weights, weight_paths
from cogseedc.interp import Reference, Result
from cogseedc.interp.evaluate import Evaluator
from cogseedc.ir import Graph, Knob
from tests.fuzz.placing import inputs_of, read, weights_of

Array = np.ndarray[Any, np.dtype[Any]]
NEAR = 1e-3
ABSOLUTE, RELATIVE = 1e-4, 1e-3
CLOSE = 1e-5, 1e-6
"""Relative and absolute, of a rewritten graph: what is folded into constants is rounded to f32."""


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
    seed: int

    @property
    def graph(self) -> Graph:
        return self.program.elaborated.graph

    @property
    def knobs(self) -> dict[str, Array]:
        """Their defaults, as a backend takes them."""
        nodes = [node for _, node in self.graph.nodes() if isinstance(node, Knob)]
        return {node.name: np.array(node.default).reshape(()).astype("float32") for node in nodes}

    @property
    def reduced(self) -> bool:
        """Whether it asks for reduced precisions."""
        nodes = (node for graph, _ in self.graph.nested() for _, node in graph.nodes())
        return any(node.origin.forced_bits for node in nodes)

    @property
    def unit(self) -> float:
        """Relative error of what an int8 layer may read: that of fp16 if the program asks for both, else of sums in fp32."""
        asked = {node.origin.forced_bits for graph, _ in self.graph.nested() for _, node in graph.nodes()}
        return 2.0**-11 if asked >= {"fp16", "int8"} else 1e-6

    def rows(self, start: int, stop: int) -> dict[str, Array]:
        return {name: np.ascontiguousarray(a[start:stop]) for name, a in self.inputs.items()}

    def run(self, graph: Graph, rounding: bool = False, together: bool = True) -> Result:
        """What a rewritten graph gives with the weights that it still reads; `together`: for all samples at once."""
        kept = graph.weights()
        arrays = {path: array for path, array in self.weights.arrays.items() if path in kept}
        return Reference(graph, arrays, rounding, together).run(self.inputs, {})

    def means(self, graph: Graph, kind: str) -> Result:
        """The same, compared with what the program means. Raises Failure."""
        found: Result = guarded(f"{kind} reference", lambda: self.run(graph))
        for name, wanted in self.meaning.outputs.items():
            value = found.outputs[name]
            if value.shape != wanted.shape or not np.allclose(value, wanted, *CLOSE):
                sensitive(self, self.graph, self.meaning, False, (ABSOLUTE, RELATIVE))
                raise Failure(f"{kind} value", f"{name} differs by {gap(value, wanted)}")
        return found


def case_of(text: str, seed: int) -> Case:
    """The meaning of a text on random inputs. Raises UserError, Dropped."""
    program = read(text)
    graph = program.elaborated.graph
    arrays = weights_of(graph, seed)
    inputs = inputs_of(graph, seed)
    meaning = Reference(graph, arrays).run(inputs, {})
    certain(meaning)
    for name, value in meaning.outputs.items():
        if not np.isfinite(value).all() or np.abs(value).max(initial=0) > 1e4:
            raise Dropped(f"the output {name} is huge")
    return Case(program, Weights(arrays, names(weight_paths(graph)), seed, True), inputs, meaning, seed)


def certain(meaning: Result, near: float = NEAR) -> None:
    """Drops a program with a decision that is near to being another."""
    for name, margin in meaning.margins.items():
        if margin.size and not margin.min() > near:
            raise Dropped(f"the gate {name} is near its threshold")


def guarded(kind: str, act: Callable[[], Any]) -> Any:
    """What `act` gives; whatever it raises is a failure of that kind."""
    try:
        return act()
    except Failure:
        raise
    except UserError as error:
        raise Failure(f"{kind} refused", str(error)[:600]) from error
    except Exception as error:
        raise Failure(f"{kind} {type(error).__name__}", str(error)[:600]) from error


FP32 = 1e-7
"""About the relative error of a result in fp32."""
TRIES = 8
"""Changes that are tried: one that is the other way round shows nothing of two values that are nearly equal."""


def sensitive(case: Case, graph: Graph, wanted: Result, rounding: bool, tolerance: tuple[float, float]) -> None:
    """Drops a program in which a relative change of the inputs and weights by a layer's own error, and of all results by
    that of fp32, is seen in the outputs.

    Behind a layer in fp16 another in int8 may round to another step for the last bit of an operand.
    """
    rng = np.random.default_rng(0)
    unit = case.unit if rounding else 1e-6

    def near(array: Array) -> Array:
        if array.dtype.kind != "f":
            return array
        return (array.astype("float64") * (1 + unit * rng.standard_normal(array.shape))).astype("float32")

    for _ in range(TRIES):
        arrays = {path: near(a) for path, a in case.weights.arrays.items() if path in graph.weights()}
        with patch.object(Evaluator, "_call", _jittered(rng)):
            reference = Reference(graph, arrays, rounding, together=True)
            found = reference.run({n: near(a) for n, a in case.inputs.items()}, {})
        for name, value in wanted.outputs.items():
            if not np.allclose(found.outputs[name], value, tolerance[1] / 10, tolerance[0] / 10):
                raise Dropped(f"the output {name} amplifies rounding")


def _jittered(rng: np.random.Generator) -> Callable[..., tuple[Array, ...]]:
    """The evaluation of a call, its results changed as arithmetic in fp32 may change them."""
    exact = Evaluator._call

    def call(*given: Any) -> tuple[Array, ...]:
        found = exact(*given)
        return tuple(v * (1 + FP32 * rng.standard_normal(v.shape)) if v.dtype.kind == "f" else v for v in found)

    return call


def gap(value: Array, wanted: Array) -> str:
    """The largest difference, and where it is."""
    if value.shape != wanted.shape:
        return f"shape {value.shape}, not {wanted.shape}"
    found = np.abs(value.astype("float64") - wanted)
    at = np.unravel_index(int(np.nanargmax(np.where(np.isnan(found), np.inf, found))), found.shape)
    return f"{found[at]:.3g} at {[int(i) for i in at]} ({value[at]:.6g}, not {wanted[at]:.6g})"
