"""Graphs of real operations with gates and joins, ready to be planned; the reference gives their meaning."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cogseedc.backends.plan import Gates, Plan, plan
from cogseedc.backends.pytorch import emit, names_of, weights_of
from cogseedc.interp import initial_weights
from cogseedc.interp import run as interpret
from cogseedc.ir import (
    Attrs,
    Axis,
    Call,
    Constant,
    Dtype,
    Gate,
    GateKind,
    Graph,
    Init,
    InitKind,
    Input,
    Knob,
    Loss,
    Merge,
    MergeMode,
    Origin,
    Output,
    Size,
    Static,
    TensorType,
    Value,
    Weight,
)
from cogseedc.ir.verifier import verify
from cogseedc.ops import OPS, bind, resolve
from cogseedc.passes import Context, EliminateDeadSeeds, SimplifyGates, run
from cogseedc.source import Source, Span
from cogseedc.target import Target, load

SOURCE = Source("some/where/net.seed", "\n" * 50)


def typed(*axes: int | str, dtype: Dtype = Dtype.F32) -> TensorType:
    return TensorType(
        dtype,
        tuple(Axis(a, Size.symbol(a)) if isinstance(a, str) else Axis(None, Size.of(a)) for a in axes),
    )


class Builder:
    """Adds nodes by name, types inferred by the catalogue."""

    def __init__(self) -> None:
        self.graph = Graph()
        self._line = 0
        self.paths: dict[str, int] = {}

    def origin(self, path: str) -> Origin:
        self._line += 1
        return Origin(path=path, span=Span(SOURCE, self._line % 50, self._line % 50))

    def input(self, name: str = "image", *axes: int | str, dtype: Dtype = Dtype.F32) -> Value:
        return Value(self.graph.add(Input(name, typed(*(axes or ("N", 4)), dtype=dtype))))

    def knob(self, name: str, default: float) -> Value:
        return Value(self.graph.add(Knob(name, TensorType(Dtype.F32), (default,), -10.0, 10.0)))

    def constant(self, value: float, *axes: int) -> Value:
        return Value(self.graph.add(Constant(typed(*axes), (value,))))

    def weight(self, path: str, *shape: int) -> Value:
        init = Init(InitKind.NORMAL, (0.7,))
        return Value(self.graph.add(Weight(path, typed(*shape), init)))

    def call(self, op: str, *operands: Value | None, path: str = "", **statics: Static) -> Value:
        types = [None if v is None else self.graph.type(v) for v in operands]
        found = resolve(OPS[op], types, bind(OPS[op], keywords=statics))
        node = Call(op, Attrs.of(**dict(found.attrs.items)), found.types, self.origin(path or op))
        return Value(self.graph.add(node, operands))

    def layer(self, x: Value, path: str, width: int = 4) -> Value:
        """linear, then tanh, so that values stay small."""
        self.paths[path] = self.paths.get(path, 0) + 1
        path = path if self.paths[path] == 1 else f"{path}_{self.paths[path]}"
        inner = self.graph.type(x).shape[-1].value
        assert inner
        weight, bias = self.weight(f"{path}.linear.weight", width, inner), self.weight(f"{path}.linear.bias", width)
        return self.call("tanh", self.call("linear", x, weight, bias, path=f"{path}.linear"), path=f"{path}.tanh")

    def score(self, x: Value, column: int = 0) -> Value:
        """One number per row."""
        rank = self.graph.type(x).rank
        return self.call("select", x, axis=rank - 1, index=column)

    def gate(
        self, name: str, operand: Value, kind: GateKind = GateKind.BOOL, arms: int = 2, *more: Value, exit: bool = False
    ) -> Value:
        type = self.graph.type(operand)
        over = tuple(a.name for a in type.axes if a.name is not None)
        node = Gate(name, kind, arms, over, type, exit=name if exit else None, origin=self.origin(name))
        return Value(self.graph.add(node, [operand, *more]))

    def above(self, name: str, x: Value, threshold: Value | float = 0.0, column: int = 0, exit: bool = False) -> Value:
        """A bool gate: whether a column is greater than a threshold."""
        limit = threshold if isinstance(threshold, Value) else self.constant(threshold)
        return self.gate(name, self.call("gt", self.score(x, column), limit), exit=exit)

    def one(self, name: str, x: Value) -> Value:
        """A one-of-n gate: the largest column."""
        width = self.graph.type(x).shape[-1].value
        assert width
        return self.gate(name, self.call("argmax", x), GateKind.ONE, width)

    def many(self, name: str, x: Value, k: int) -> tuple[Value, Value]:
        """A k-of-n gate over the columns, and its weights."""
        width = self.graph.type(x).shape[-1].value
        assert width
        indices = self.call("top_indices", x, k=k)
        mask = self.call("top_mask", indices, classes=width)
        weights = self.call("top_weights", mask, x)
        return self.gate(name, mask, GateKind.MANY, width, indices), weights

    def merge(
        self,
        arms: Sequence[tuple[Value, int, Value]],
        otherwise: Value | None = None,
        mode: MergeMode = MergeMode.SELECT,
        weights: Value | None = None,
        path: str = "y",
    ) -> Value:
        values = [v for _, _, v in arms] + ([otherwise] if otherwise is not None else [])
        type = max((self.graph.type(v) for v in values), key=lambda t: t.rank)
        axes = tuple(() if self.graph.type(g).batch is None else (type.batch or 0,) for g, _, _ in arms)
        node = Merge(mode, tuple(a for _, a, _ in arms), otherwise is not None, axes, type, self.origin(path))
        operands = [v for _, _, v in arms] + [g for g, _, _ in arms]
        return Value(self.graph.add(node, operands + [v for v in (otherwise, weights) if v is not None]))

    def when(self, gate: Value, then: Value, other: Value, path: str = "y") -> Value:
        return self.merge([(gate, 1, then), (gate, 0, other)], path=path)

    def output(self, value: Value, name: str = "logits") -> None:
        self.graph.add(Output(name, self.graph.type(value)), [value])

    def loss(self, value: Value, name: str) -> None:
        self.graph.add(Loss(name, self.graph.type(value)), [value])

    def ready(self, training: bool = False) -> Graph:
        """A copy with guards."""
        graph = self.graph.copy()
        run(graph, [SimplifyGates(), EliminateDeadSeeds()], Context(OPS, training=training))
        verify(graph, OPS)
        return graph


CPU: Target = load("torch-cpu")
EDGE: Target = load("onnx-edge")


def planned(builder: Builder, gates: Gates = "compact", target: Target = CPU) -> Plan:
    return plan(builder.ready(), target, gates)


def text_of(builder: Builder, gates: Gates = "compact", target: Target = CPU) -> str:
    """The generated file of a program."""
    return emit(planned(builder, gates, target), plan(builder.ready(True), CPU, training=True), "Net")


def module_of(builder: Builder, folder: Path, gates: Gates = "compact", target: Target = CPU, rng: int = 0) -> Any:
    """The generated module, with initial weights, in evaluation mode."""
    import torch

    file = folder / f"net_{len(list(folder.iterdir()))}.py"
    file.write_text(text_of(builder, gates, target), encoding="ascii")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net = module.Net()
    evaluated, trained = planned(builder, gates, target), plan(builder.ready(True), CPU, training=True)
    names, weights = names_of(evaluated, trained), weights_of(evaluated, trained)
    values = initial_weights(builder.graph, rng)
    net.load_state_dict({names.key(w.path): torch.from_numpy(np.array(values[w.path])) for w in weights}, strict=True)
    return net.eval()


def meaning(builder: Builder, inputs: dict[str, np.ndarray], rng: int = 0) -> Any:
    """What the reference says of the program without guards."""
    return interpret(builder.graph, inputs, initial_weights(builder.graph, rng), {})
