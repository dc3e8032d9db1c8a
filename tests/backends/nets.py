"""Small programs with hand-made plans, and their dense meaning in numpy, for tests of the emitters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cogseedc.backends.onnx.fusion import outputs_of
from cogseedc.backends.plan.model import (
    ROOT,
    Block,
    Choice,
    GateReport,
    Plan,
    Run,
    Slot,
    Space,
    SpaceId,
    Step,
    Strategy,
    Wrap,
)
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
    Merge,
    MergeMode,
    NodeId,
    OpSpec,
    Origin,
    Output,
    Size,
    TensorType,
    Value,
    Weight,
)
from cogseedc.source import Source, Span

SOURCE = Source("net.seed", "\n" * 50)


def spec(name: str, reference: Callable[..., Any], onnx: Callable[..., Any]) -> OpSpec:
    return OpSpec(
        name=name,
        summary=name,
        operands=(),
        parameters=(),
        rule=lambda site: site.fail("CS0300", "not called"),
        flow=lambda attrs, inputs, types: (),
        reference=lambda c: reference(*c.args),
        torch=lambda c: "",
        onnx=onnx,
        examples=(),
    )


def conv(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, w) + b[:, None, None]


def node(op_type: str, **attributes: Any) -> Callable[..., Any]:
    return lambda c: c.node(op_type, c.args, **attributes)


def top1(x: np.ndarray) -> np.ndarray:
    return np.argmax(x, -1)


def argmax(c: Any) -> str:
    """By TopK: ONNX Runtime's ArgMax gives a wrong shape for no rows."""
    best = c.nodes("TopK", [c.args[0], c.constant(np.array([1]))], 2, axis=-1)[1]
    return c.node("Squeeze", [best, c.constant(np.array([-1]))])


OPS: Mapping[str, OpSpec] = {
    s.name: s
    for s in (
        spec("linear", lambda x, w, b: x @ w.T + b, lambda c: c.node("Gemm", c.args, transB=1)),
        spec("conv2d", conv, lambda c: c.node("Conv", c.args, pads=[1, 1, 1, 1])),
        spec("relu", lambda x: np.maximum(x, 0), node("Relu")),
        spec("add", np.add, node("Add")),
        spec("mul", np.multiply, node("Mul")),
        spec("gt", np.greater, node("Greater")),
        spec("ge", np.greater_equal, node("GreaterOrEqual")),
        spec("any", np.logical_and, node("And")),
        spec(
            "pool",
            lambda x: x.mean((2, 3)),
            lambda c: c.node("ReduceMean", [c.args[0], c.constant(np.array([2, 3]))], keepdims=0),
        ),
        spec("last", lambda x: x[..., -1], lambda c: c.node("Gather", [c.args[0], c.constant(np.array(-1))], axis=-1)),
        spec("argmax", top1, argmax),
        spec(
            "order",
            lambda x: np.argsort(-x, -1, kind="stable")[..., :2],
            lambda c: c.nodes("TopK", [c.args[0], c.constant(np.array([2]))], 2, axis=-1)[1],
        ),
        spec("mean_all", lambda x: np.float64(x.mean()), lambda c: c.node("ReduceMean", c.args, keepdims=0)),
        spec(
            "flat",
            lambda x: x.reshape(x.shape[0], -1),
            lambda c: c.node("Reshape", [c.args[0], c.sizes(c.types[0].shape)]),
        ),
    )
}


def sizes(*axes: int | str | Size) -> TensorType:
    return TensorType(
        Dtype.F32,
        tuple(Axis(a, Size.symbol(a)) if isinstance(a, str) else Axis(None, Size.of(a)) for a in axes),
    )


class Net:
    """A graph, its weights, and the plan that a test spells out."""

    def __init__(self, seed: int = 0) -> None:
        self.graph = Graph()
        self.weights: dict[str, np.ndarray] = {}
        self.rng = np.random.default_rng(seed)
        self.spaces: list[Space] = [Space(ROOT, None, Strategy.COMPACT, (), "all")]
        self.blocks: list[tuple[SpaceId, Wrap, list[Step]]] = []
        self.gates: list[tuple[NodeId, SpaceId, str, Value | None]] = []
        self.results: list[tuple[NodeId, Value]] = []

    def origin(self, path: str) -> Origin:
        return Origin(path=path, span=Span(SOURCE, 3, 4))

    def input(self, name: str, *axes: int | str) -> Value:
        return Value(self.graph.add(Input(name, sizes(*axes))))

    def knob(self, name: str, default: float) -> Value:
        return Value(self.graph.add(Knob(name, TensorType(Dtype.F32), (default,), -10.0, 10.0)))

    def constant(self, value: float) -> Value:
        return Value(self.graph.add(Constant(TensorType(Dtype.F32), (value,))))

    def weight(self, path: str, *shape: int, scale: float = 0.4) -> Value:
        self.weights[path] = (self.rng.standard_normal(shape) * scale).astype(np.float32)
        return Value(self.graph.add(Weight(path, sizes(*shape), Init(InitKind.ZEROS))))

    def call(self, op: str, operands: Sequence[Value], type: TensorType, path: str = "") -> Value:
        origin = self.origin(path or op)
        return Value(self.graph.add(Call(op, Attrs(), (type,), origin), operands))

    def linear(self, x: Value, path: str, width: int) -> Value:
        have = self.graph.type(x)
        inner = have.shape[-1].value
        assert inner
        operands = [x, self.weight(f"{path}.weight", width, inner), self.weight(f"{path}.bias", width)]
        return self.call("linear", operands, have.with_axes((*have.axes[:-1], Axis(None, Size.of(width)))), path)

    def conv(self, x: Value, path: str, width: int) -> Value:
        have = self.graph.type(x)
        inner = have.shape[1].value
        assert inner
        operands = [
            x,
            self.weight(f"{path}.weight", width, inner, 3, 3, scale=(2 / (9 * inner)) ** 0.5),
            self.weight(f"{path}.bias", width, scale=0.1),
        ]
        return self.call(
            "conv2d", operands, have.with_axes((have.axes[0], Axis("C", Size.of(width)), *have.axes[2:])), path
        )

    def unary(self, op: str, x: Value, path: str = "") -> Value:
        have = self.graph.type(x)
        rank = {"pool": 2, "last": have.rank - 1, "argmax": have.rank - 1, "mean_all": 0}.get(op, have.rank)
        type = have.with_axes(have.axes[:rank])
        return self.call(op, [x], type.with_dtype(Dtype.I64) if op == "argmax" else type, path)

    def above(self, x: Value, threshold: Value, op: str = "gt") -> Value:
        return self.call(op, [x, threshold], self.graph.type(x).with_dtype(Dtype.BOOL))

    def gate(
        self, name: str, operand: Value, kind: GateKind = GateKind.BOOL, arms: int = 2, second: Value | None = None
    ) -> Value:
        type = self.graph.type(operand)
        over = ("N",) if type.batch is not None else ()
        operands = [operand] + ([second] if second else [])
        return Value(self.graph.add(Gate(name, kind, arms, over, type, origin=self.origin(name)), operands))

    def merge(
        self,
        arms: Sequence[tuple[Value, Value, int]],
        otherwise: Value | None = None,
        mode: MergeMode = MergeMode.SELECT,
        weights: Value | None = None,
    ) -> Value:
        type = self.graph.type(arms[0][0])
        batch = type.batch
        axes = tuple(() if self.graph.type(g).batch is None else (batch or 0,) for _, g, _ in arms)
        payload = Merge(mode, tuple(a for _, _, a in arms), otherwise is not None, axes, type, self.origin("y"))
        operands = [v for v, _, _ in arms] + [g for _, g, _ in arms]
        operands += [v for v in (otherwise, weights) if v]
        return Value(self.graph.add(payload, operands))

    def output(self, name: str, value: Value) -> None:
        self.results.append((self.graph.add(Output(name, self.graph.type(value)), [value]), value))

    def space(self, name: str, strategy: Strategy, *terms: Sequence[Choice], parent: SpaceId = ROOT) -> SpaceId:
        id = SpaceId(len(self.spaces))
        self.spaces.append(Space(id, parent, strategy, tuple(tuple(t) for t in terms), name))
        return id

    def run(self, value: Value, space: SpaceId) -> Run:
        operands = self.graph.wiring().operands(value.node)
        inputs = tuple(Slot(o.node, o.port, space) if o else None for o in operands)
        return Run(value.node, inputs, (Slot(value.node, 0, space),))

    def block(self, space: SpaceId, wrap: Wrap, *steps: Step | Value) -> None:
        self.blocks.append((space, wrap, [self.run(s, space) if isinstance(s, Value) else s for s in steps]))

    def report(self, gate: Value, space: SpaceId = ROOT, indices: Value | None = None) -> None:
        payload = self.graph[gate.node]
        assert isinstance(payload, Gate)
        self.gates.append((gate.node, space, payload.name, indices))

    def plan(self) -> Plan:
        draft = tuple(
            Block(i, space, wrap, tuple(steps), (), tuple(s for step in steps for s in outputs_of(step)))
            for i, (space, wrap, steps) in enumerate(self.blocks)
        )
        pick = [(id, n) for id, n in self.graph.nodes()]
        reports = tuple(
            GateReport(id, name, "test", Slot(id, 0, s), Slot(v.node, v.port, s) if v else None)
            for id, s, name, v in self.gates
        )
        return Plan(
            self.graph,
            tuple(self.spaces),
            draft,
            tuple(i for i, n in pick if isinstance(n, Input)),
            tuple(i for i, n in pick if isinstance(n, Knob)),
            tuple(i for i, n in pick if isinstance(n, Weight)),
            tuple((id, Slot(v.node, v.port, ROOT)) for id, v in self.results),
            reports,
        )


class Meaning:
    """The dense float64 meaning of a net at given inputs, and which rows each space of its plan holds."""

    def __init__(self, net: Net, plan: Plan, inputs: Mapping[str, np.ndarray], rows: int) -> None:
        self.net, self.plan, self.rows = net, plan, rows
        self.values: dict[NodeId, Any] = {}
        for id in net.graph.wiring().order:
            self.values[id] = self._value(id, inputs)
        self.masks: dict[SpaceId, np.ndarray] = {ROOT: np.ones(rows, bool)}
        for space in plan.spaces[1:]:
            assert space.parent is not None
            terms = [np.logical_and.reduce([self._choice(c) for c in t]) for t in space.terms]
            self.masks[space.id] = self.masks[space.parent] & np.logical_or.reduce(terms)

    def outputs(self) -> dict[str, np.ndarray]:
        found = {}
        for id, value in self.net.results:
            payload = self.net.graph[id]
            assert isinstance(payload, Output)
            found[payload.name] = self.values[value.node]
        return found

    def trace(self) -> dict[str, np.ndarray]:
        found = {}
        for report in self.plan.gates:
            slot = report.indices or report.decision
            value = np.asarray(self.values[slot.node]).astype(np.int64)
            mask = self.masks[slot.space]
            if value.ndim:
                found[report.name] = np.where(mask.reshape(-1, *[1] * (value.ndim - 1)), value, -1)
            else:
                found[report.name] = value
        return found

    def _choice(self, choice: Choice) -> np.ndarray:
        decision = np.asarray(self.values[choice.decision.node])
        gate = self.net.graph[choice.decision.node]
        assert isinstance(gate, Gate)
        if gate.kind is GateKind.MANY:
            mask = decision[..., choice.arms[0]]
        else:
            mask = np.isin(decision.astype(int), choice.arms)
        mask = ~mask if choice.negated else mask
        return np.broadcast_to(mask, (self.rows,))

    def _value(self, id: NodeId, inputs: Mapping[str, np.ndarray]) -> Any:
        payload = self.net.graph[id]
        args = [self.values[v.node] for v in self.net.graph.wiring().operands(id) if v]
        match payload:
            case Input(name=name):
                return inputs[name].astype(np.float64)
            case Knob():
                return inputs.get(payload.name, np.array(payload.default[0], np.float32)).astype(np.float64)
            case Constant():
                return np.array(payload.values[0], np.float64)
            case Weight():
                return self.net.weights[payload.path].astype(np.float64)
            case Call():
                with np.errstate(all="ignore"):
                    return OPS[payload.op].reference(type("C", (), {"args": args}))
            case Gate():
                return args[0]
            case Merge():
                return self._merge(payload, id, args)
        return None

    def _merge(self, merge: Merge, id: NodeId, args: list[Any]) -> Any:
        n = len(merge.arms)
        values, decisions, rest = args[:n], args[n : 2 * n], args[2 * n :]
        otherwise = rest.pop(0) if merge.otherwise else None
        operands = self.net.graph.wiring().operands(id)
        chosen = []
        for i, arm in enumerate(merge.arms):
            source = operands[n + i]
            assert source
            gate = self.net.graph[source.node]
            assert isinstance(gate, Gate)
            mask = decisions[i][..., arm] if gate.kind is GateKind.MANY else np.asarray(decisions[i]).astype(int) == arm
            rank = np.ndim(values[0])
            chosen.append(mask.reshape([*mask.shape, *[1] * (rank - 1)]) if mask.ndim else mask)
        if merge.mode is MergeMode.SELECT:
            result = values[-1] if otherwise is None else otherwise
            for mask, value in reversed(list(zip(chosen, values, strict=True))):
                result = np.where(mask, value, result)
            return result
        if merge.mode is MergeMode.WEIGHTED_SUM:
            w = rest[-1]
            values = [v * w[..., a].reshape(-1, *[1] * (v.ndim - 1)) for v, a in zip(values, merge.arms, strict=True)]
        if merge.mode is MergeMode.MAX:
            total = np.max([np.where(m, v, -np.inf) for m, v in zip(chosen, values, strict=True)], 0)
        else:
            total = np.sum([np.where(m, v, 0) for m, v in zip(chosen, values, strict=True)], 0)
        if merge.mode is MergeMode.MEAN:
            total = total / np.maximum(np.sum(chosen, 0), 1)
        return np.where(np.logical_or.reduce(chosen), total, 0 if otherwise is None else otherwise)
