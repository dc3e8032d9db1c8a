"""Runs examples of the catalogue in its three spellings: float64 reference, PyTorch, ONNX Runtime.

An input named `positive...` is positive, `unit...` lies in 0 .. 1, and integers lie in 0 .. 2, so that every
example is legal. This is no backend: one example becomes one straight list of calls.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any
from zlib import crc32

import numpy as np
import onnx
import onnxruntime as ort
import torch

from cogseedc.ir import Attrs, Axis, AxisArg, Dtype, Example, InitKind, OpSpec, Resolution, Size, Static, TensorType
from cogseedc.ops import OPS, bind, resolve

Array = np.ndarray[Any, np.dtype[Any]]
SYMBOLS = {"T": 4, "H": 6, "W": 5, "S": 5}
"""Sizes of symbols other than N; others have 3."""
_DTYPES = {d.value: d for d in Dtype}
_TOKENS = re.compile(r'\s*(?:(\d+\.\d*(?:e-?\d+)?|\d+)|([A-Za-z_]\w*)|"([^"]*)"|(\S))')


@dataclass(frozen=True)
class Port:
    """An input or a weight of a case."""

    name: str
    type: TensorType
    init: InitKind | None = None
    trainable: bool = True


@dataclass(frozen=True)
class Step:
    """One call; `args` are names of values (None: absent)."""

    spec: OpSpec
    resolution: Resolution
    args: tuple[str | None, ...]
    inputs: tuple[TensorType | None, ...]
    result: str


@dataclass
class Case:
    """An example, resolved."""

    spec: OpSpec
    example: Example
    ports: list[Port] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    constants: dict[str, tuple[TensorType, float]] = field(default_factory=dict)

    @property
    def types(self) -> tuple[TensorType, ...]:
        return self.steps[-1].resolution.types

    def sizes(self, batch: int) -> dict[str, int]:
        found = {s for p in self.ports for a in p.type.axes for s in a.size.symbols()}
        return {s: SYMBOLS.get(s, 3) for s in sorted(found)} | {"N": batch}


class _Reader:
    """Reads the text of an example; nothing but what examples use."""

    def __init__(self, text: str):
        self.tokens = [m.groups() for m in _TOKENS.finditer(text) if m.group().strip()]
        self.at = 0

    def peek(self, mark: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at][3] == mark

    def take(self, mark: str) -> None:
        assert self.peek(mark), f"expected {mark} at {self.tokens[self.at :]}"
        self.at += 1

    def name(self) -> str:
        found = self.tokens[self.at][1]
        assert found is not None, self.tokens[self.at :]
        self.at += 1
        return str(found)

    def listed(self, opened: str, closed: str, item: Callable[[], None]) -> None:
        self.take(opened)
        while not self.peek(closed):
            item()
            if self.peek(","):
                self.take(",")
        self.take(closed)


def ports(text: str) -> list[Port]:
    reader, ports = _Reader(text), []
    while reader.at < len(reader.tokens):
        name = reader.name()
        reader.take(":")
        dtype = _DTYPES[reader.name()]
        axes: list[Axis] = []

        def axis(axes: list[Axis] = axes) -> None:
            value = _static(reader, {})
            if isinstance(value, AxisArg):
                axes.append(Axis(value.name, value.size or Size.symbol(value.name)))
            else:
                assert isinstance(value, int)
                axes.append(Axis(None, Size.of(value)))

        if reader.peek("["):
            reader.listed("[", "]", axis)
        ports.append(Port(name, TensorType(dtype, tuple(axes))))
        if reader.peek(","):
            reader.take(",")
    return ports


def _static(reader: _Reader, scope: Mapping[str, Size]) -> Static:
    number, name, string, mark = reader.tokens[reader.at]
    reader.at += 1
    if number is not None:
        return float(number) if "." in number else int(number)
    if string is not None:
        return str(string)
    if mark == "-":
        value = _static(reader, scope)
        assert isinstance(value, int | float)
        return -value
    if mark == "(":
        items: list[Static] = []
        reader.at -= 1
        reader.listed("(", ")", lambda: items.append(_static(reader, scope)))
        return tuple(items)
    assert name is not None, mark
    if name in ("true", "false"):
        return bool(name == "true")
    if name in _DTYPES:
        return _DTYPES[name]
    if reader.peek("="):
        reader.take("=")
        value = _static(reader, scope)
        assert isinstance(value, int | AxisArg)
        return AxisArg(name, value.size if isinstance(value, AxisArg) else Size.of(value))
    return AxisArg(name, scope.get(name))


def _statics(reader: _Reader, spec: OpSpec, scope: Mapping[str, Size]) -> dict[str, Static]:
    positional: list[Static] = []
    keywords: dict[str, Static] = {}
    named: list[AxisArg] = []

    def item() -> None:
        name, following = reader.tokens[reader.at][1], reader.tokens[reader.at + 1][3]
        if name is not None and following == "=" and name[0].islower():
            reader.at += 2
            keywords[name] = _static(reader, scope)
            return
        value = _static(reader, scope)
        if isinstance(value, AxisArg) and following == "=":
            named.append(value)
        else:
            positional.append(value)

    if reader.peek("["):
        reader.listed("[", "]", item)
    return bind(spec, positional, keywords, named)


def case_of(spec: OpSpec, example: Example) -> Case:
    """The example as a list of resolved calls."""
    case = Case(spec, example, ports(example.inputs))
    reader = _Reader(example.call)
    types = {p.name: p.type for p in case.ports}
    scope = {"N": Size.symbol("N")} | {a.name: a.size for p in case.ports for a in p.type.axes if a.name}
    _expression(case, reader, types, scope)
    assert reader.at == len(reader.tokens), example.call
    return case


def _expression(case: Case, reader: _Reader, types: dict[str, TensorType], scope: Mapping[str, Size]) -> str:
    number, name, _, mark = reader.tokens[reader.at]
    if number is not None or mark == "-" or name in ("true", "false"):
        value = _static(reader, {})
        assert isinstance(value, int | float)
        like = next((p.type.dtype for p in case.ports), Dtype.F32)
        dtype = (
            Dtype.BOOL if isinstance(value, bool) else like if like.floating or isinstance(value, int) else Dtype.F32
        )
        label = f"c{len(case.constants)}"
        case.constants[label] = (TensorType(dtype), float(value))
        types[label] = TensorType(dtype)
        return label
    called = reader.name()
    if not reader.peek("[") and not reader.peek("("):
        return called
    spec = OPS[called]
    statics = _statics(reader, spec, scope)
    args = _operands(case, reader, spec, types, scope)
    inputs = [None if a is None else types[a] for a in args]
    resolution = resolve(spec, inputs, statics, scope)
    label = f"v{len(case.steps)}"
    for weight in resolution.weights:
        port = Port(f"w{len(case.ports)}", weight.type, weight.init.kind, weight.trainable)
        case.ports.append(port)
        while len(args) <= weight.operand:
            args.append(None)
            inputs.append(None)
        args[weight.operand], inputs[weight.operand] = port.name, port.type
        types[port.name] = port.type
    types[label] = resolution.types[0]
    case.steps.append(Step(spec, resolution, tuple(args), tuple(inputs), label))
    return label


def _operands(
    case: Case, reader: _Reader, spec: OpSpec, types: dict[str, TensorType], scope: Mapping[str, Size]
) -> list[str | None]:
    plain = [i for i, o in enumerate(spec.operands) if not o.weight]
    slots: dict[int, str] = {}
    given = 0

    def item() -> None:
        nonlocal given
        name, following = reader.tokens[reader.at][1], reader.tokens[reader.at + 1][3]
        if name is not None and following == "=":
            reader.at += 2
            place = next(i for i, o in enumerate(spec.operands) if o.name == name)
        else:
            place = plain[given] if given < len(plain) else plain[-1] + given - len(plain) + 1
            given += 1
        slots[place] = _expression(case, reader, types, scope)

    reader.listed("(", ")", item)
    return [slots.get(i) for i in range(max(slots, default=-1) + 1)]


# Data


def data(case: Case, batch: int) -> dict[str, Array]:
    """Values of all ports; f32 ones are exact in f32."""
    rng = np.random.default_rng(crc32(f"{case.example}".encode()))
    return {p.name: _value(rng, p, tuple(s.evaluate(case.sizes(batch)) for s in p.type.shape)) for p in case.ports}


def _value(rng: np.random.Generator, port: Port, shape: tuple[int, ...]) -> Array:
    if port.type.dtype is Dtype.BOOL:
        return np.asarray(rng.random(shape) > 0.4)
    if not port.type.dtype.floating:
        return np.asarray(rng.integers(0, 3, shape), dtype=_NUMPY[port.type.dtype])
    if port.init in (InitKind.ONES,) or port.name.startswith("positive"):
        value = rng.uniform(0.5, 2.0, shape)
    elif port.name.startswith("unit"):
        value = rng.uniform(0.05, 0.95, shape)
    else:
        value = rng.standard_normal(shape) * (0.3 if port.init is not None else 1.0)
    return np.asarray(value, dtype=np.float32)


_NUMPY: dict[Dtype, Any] = {
    Dtype.F32: np.float32, Dtype.F16: np.float16, Dtype.I64: np.int64, Dtype.I32: np.int32,
    Dtype.I8: np.int8, Dtype.U8: np.uint8, Dtype.BOOL: np.bool_,
}  # fmt: skip
_TORCH = {
    Dtype.F32: torch.float32, Dtype.F16: torch.float16, Dtype.BF16: torch.bfloat16, Dtype.I64: torch.int64,
    Dtype.I32: torch.int32, Dtype.I8: torch.int8, Dtype.U8: torch.uint8, Dtype.BOOL: torch.bool,
}  # fmt: skip
_ONNX = {
    Dtype.F32: 1, Dtype.U8: 2, Dtype.I8: 3, Dtype.I32: 6, Dtype.I64: 7, Dtype.BOOL: 9, Dtype.F16: 10, Dtype.BF16: 16,
}  # fmt: skip


def _tuple(value: Any, count: int) -> tuple[Any, ...]:
    return tuple(value) if (isinstance(value, tuple) and count > 1) or isinstance(value, list | tuple) else (value,)


# Reference


@dataclass
class _Reference:
    attrs: Attrs
    args: Sequence[Array | None]
    inputs: Sequence[TensorType | None]
    types: tuple[TensorType, ...]
    symbols: Mapping[str, int]

    def size(self, size: Size) -> int:
        return size.evaluate(self.symbols)

    def sizes(self, sizes: Sequence[Size]) -> tuple[int, ...]:
        return tuple(map(self.size, sizes))


def _held(value: Array) -> Array:
    """As the reference holds it: float64, int64 or bool."""
    kind = value.dtype.kind
    return value.astype(np.float64) if kind == "f" else value.astype(bool) if kind == "b" else value.astype(np.int64)


def reference(case: Case, values: Mapping[str, Array], batch: int) -> tuple[Array, ...]:
    """Results of the reference."""
    known: dict[str, Array] = {k: _held(v) for k, v in values.items()}
    known |= {k: _held(np.array(v, dtype=_NUMPY[t.dtype])) for k, (t, v) in case.constants.items()}
    found: tuple[Any, ...] = ()
    for step in case.steps:
        args = [None if a is None else known[a] for a in step.args]
        r = step.resolution
        found = _tuple(
            step.spec.reference(_Reference(r.attrs, args, step.inputs, r.types, case.sizes(batch))), len(r.types)
        )
        known[step.result] = np.asarray(found[0])
    return tuple(np.asarray(f) for f in found)


# PyTorch


@dataclass
class _Torch:
    attrs: Attrs
    args: Sequence[str | None]
    inputs: Sequence[TensorType | None]
    types: tuple[TensorType, ...]

    def size(self, size: Size) -> str:
        return size.spell(str, "//")

    def sizes(self, sizes: Sequence[Size]) -> str:
        return "(" + "".join(f"{self.size(s)}, " for s in sizes) + ")"

    def support(self, function: str) -> str:
        return function

    def device(self) -> str:
        return '"cpu"'


@lru_cache
def support() -> dict[str, Any]:
    """All functions that spellings may ask for."""
    found: dict[str, Any] = {}
    for name in ("tensor", "neural", "estimation"):
        module: ModuleType = import_module(f"cogseedc.backends.support.{name}")
        found |= {k: v for k, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__}
    return found


def torch_source(case: Case) -> str:
    """The body of the generated function, one line for each call."""
    lines = []
    for step in case.steps:
        text = step.spec.torch(_Torch(step.resolution.attrs, step.args, step.inputs, step.resolution.types))
        several = len(step.resolution.types) > 1
        lines.append(
            f"{step.result} = {text}"
            if not several
            else f"all_{step.result} = {text}\n{step.result} = all_{step.result}[0]"
        )
    return "\n".join(lines)


class _Evaluation:
    training = False


def torch_results(case: Case, tensors: Mapping[str, torch.Tensor], batch: int) -> tuple[torch.Tensor, ...]:
    """Results of the PyTorch spelling."""
    scope: dict[str, Any] = {
        "torch": torch,
        "F": torch.nn.functional,
        "self": _Evaluation(),
        **support(),
        **case.sizes(batch),
    }
    scope |= tensors
    scope |= {k: torch.tensor(v, dtype=_TORCH[t.dtype]) for k, (t, v) in case.constants.items()}
    exec(compile(torch_source(case), case.example.call, "exec"), scope)
    last = case.steps[-1]
    return _tuple(scope[f"all_{last.result}"], 2) if len(case.types) > 1 else (scope[last.result],)


def tensors(values: Mapping[str, Array]) -> dict[str, torch.Tensor]:
    return {k: torch.from_numpy(np.array(v)) for k, v in values.items()}


# ONNX


@dataclass
class _Onnx:
    attrs: Attrs
    args: Sequence[str]
    inputs: Sequence[TensorType | None]
    types: tuple[TensorType, ...]
    graph: _Graph

    def node(self, op_type: str, inputs: Sequence[str], /, **attributes: Any) -> str:
        return self.nodes(op_type, inputs, 1, **attributes)[0]

    def nodes(self, op_type: str, inputs: Sequence[str], outputs: int, /, **attributes: Any) -> tuple[str, ...]:
        return self.graph.add(op_type, inputs, outputs, attributes)

    def constant(self, value: Array) -> str:
        return self.graph.constant(value)

    def size(self, size: Size) -> str:
        return self.graph.size(size)

    def sizes(self, sizes: Sequence[Size]) -> str:
        if all(s.value is not None for s in sizes):
            return self.constant(np.array([s.value for s in sizes], dtype=np.int64))
        axis = self.constant(np.array([0], dtype=np.int64))
        return self.node("Concat", [self.node("Unsqueeze", [self.size(s), axis]) for s in sizes], axis=0)


@dataclass
class _Graph:
    case: Case
    nodes: list[Any] = field(default_factory=list)
    initialisers: list[Any] = field(default_factory=list)

    def add(self, op_type: str, inputs: Sequence[str], outputs: int, attributes: Mapping[str, Any]) -> tuple[str, ...]:
        names = tuple(f"n{len(self.nodes)}_{i}" for i in range(outputs))
        self.nodes.append(onnx.helper.make_node(op_type, list(inputs), list(names), **attributes))
        return names

    def constant(self, value: Array) -> str:
        name = f"k{len(self.initialisers)}"
        self.initialisers.append(onnx.numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name))
        return name

    def symbol(self, name: str) -> str:
        for port in self.case.ports:
            for i, axis in enumerate(port.type.axes):
                if axis.size == Size.symbol(name):
                    shape = self.add("Shape", [port.name], 1, {})[0]
                    return self.add("Gather", [shape, self.constant(np.array(i, dtype=np.int64))], 1, {"axis": 0})[0]
        raise AssertionError(f"no input has {name}")

    def size(self, size: Size) -> str:
        if size.value is not None:
            return self.constant(np.array(size.value, dtype=np.int64))
        scale, total = size.denominator, ""
        for monomial, c in (size * scale).terms:
            term = self.constant(np.array(int(c), dtype=np.int64))
            for atom in monomial:
                factor = self.symbol(atom) if isinstance(atom, str) else self.size(atom.of)
                term = self.add("Mul", [term, factor], 1, {})[0]
            total = self.add("Add", [total, term], 1, {})[0] if total else term
        return (
            self.add("Div", [total, self.constant(np.array(scale, dtype=np.int64))], 1, {})[0] if scale > 1 else total
        )


def onnx_model(case: Case) -> bytes:
    """The ONNX spelling as a model: opset 21, IR 10."""
    graph = _Graph(case)
    made: dict[str, str] = {}
    for name, (type, value) in case.constants.items():
        made[name] = graph.constant(np.array(value, dtype=_NUMPY[type.dtype]))
    found: tuple[str, ...] = ()
    for step in case.steps:
        args = ["" if a is None else made.get(a, a) for a in step.args]
        r = step.resolution
        found = _tuple(step.spec.onnx(_Onnx(r.attrs, args, step.inputs, r.types, graph)), len(r.types))
        made[step.result] = found[0]
    outputs = []
    for i, (name, type) in enumerate(zip(found, case.types, strict=True)):
        graph.nodes.append(onnx.helper.make_node("Identity", [name], [f"out{i}"]))
        outputs.append(onnx.helper.make_tensor_value_info(f"out{i}", _ONNX[type.dtype], _dims(type)))
    inputs = [onnx.helper.make_tensor_value_info(p.name, _ONNX[p.type.dtype], _dims(p.type)) for p in case.ports]
    body = onnx.helper.make_graph(graph.nodes, "example", inputs, outputs, graph.initialisers)
    model = onnx.helper.make_model(body, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 21)])
    return bytes(model.SerializeToString())


def _dims(type: TensorType) -> list[int | str]:
    return [s.value if s.value is not None else re.sub(r"\W+", "_", str(s)) for s in type.shape]


@cache
def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


class OnnxRun:
    """A session of one example."""

    def __init__(self, case: Case):
        self.names = [p.name for p in case.ports]
        self.session = ort.InferenceSession(onnx_model(case), _options(), providers=["CPUExecutionProvider"])

    def __call__(self, values: Mapping[str, Array]) -> list[Array]:
        return list(self.session.run(None, {n: values[n] for n in self.names}))


def cases() -> list[Case]:
    """All examples of the catalogue."""
    return [case_of(spec, example) for spec in OPS.values() for example in spec.examples]
