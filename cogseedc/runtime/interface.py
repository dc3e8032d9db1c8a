"""What an artifact takes and gives, as its manifest says it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cogseedc.ir import BATCH, Dtype
from cogseedc.runtime.artifact import Artifact, Json, damaged, integer, record, records, text


@dataclass(frozen=True, slots=True)
class Port:
    """A value that goes in or comes out: its axes are labels (or None), its sizes texts such as `N`, `3`, `T / 2`."""

    name: str
    dtype: Dtype
    axes: tuple[str | None, ...]
    sizes: tuple[str, ...]

    @property
    def rank(self) -> int:
        return len(self.sizes)

    @property
    def batch(self) -> int | None:
        """Position of the batch axis."""
        return self.sizes.index(BATCH) if BATCH in self.sizes else None

    def shape(self, symbols: Mapping[str, int]) -> tuple[int, ...]:
        """The sizes as integers."""
        return tuple(evaluate(size, symbols) for size in self.sizes)

    def __str__(self) -> str:
        named = zip(self.axes, self.sizes, strict=True)
        return f"{self.dtype.value}[{', '.join(s if a in (None, s) else f'{a}={s}' for a, s in named)}]"


@dataclass(frozen=True, slots=True)
class KnobPort:
    """A knob: `default` in row-major order, both bounds inclusive."""

    port: Port
    default: tuple[float, ...]
    low: float
    high: float

    @property
    def name(self) -> str:
        return self.port.name


@dataclass(frozen=True, slots=True)
class StatePort:
    """A value that is kept between calls: an input and an output of the model. `initial` fills it before the first."""

    port: Port
    initial: bool | int | float
    before: Port
    """The input of the model."""
    after: Port
    """Its output."""

    @property
    def name(self) -> str:
        return self.port.name


@dataclass(frozen=True, slots=True)
class GatePort:
    """A decision, the key of the trace. `exit` is the exit that it decides."""

    port: Port
    kind: str
    arms: int
    over: tuple[str, ...]
    exit: str | None
    strategy: str | None

    @property
    def name(self) -> str:
        return self.port.name


@dataclass(frozen=True)
class Interface:
    """Everything that a caller may name."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    states: tuple[StatePort, ...]
    knobs: tuple[KnobPort, ...]
    gates: tuple[GatePort, ...]
    exits: tuple[tuple[str, str], ...]
    """Exit and gate, in order."""
    requirements: tuple[tuple[str, str], ...]
    """Sizes that must be equal, as texts without fractions."""
    coupled: bool
    """Whether an output or a decision depends on other samples of the batch."""

    @property
    def taken(self) -> tuple[Port, ...]:
        """Inputs of the model but for knobs: the states before the call are among them."""
        return (*self.inputs, *(state.before for state in self.states))

    @property
    def given(self) -> tuple[Port, ...]:
        """Outputs of the model: the states after the call are among them."""
        return (*self.outputs, *(state.after for state in self.states))


def read_interface(artifact: Artifact) -> Interface:
    """The interface in a manifest. Raises UserError CS0831."""
    return interface_of(record(artifact.manifest, "interface"), artifact.manifest)


def interface_of(described: Mapping[str, Json], manifest: Mapping[str, Json]) -> Interface:
    """An interface as a manifest describes it; `manifest` has what lies beside it. Raises UserError CS0831."""
    needed: Mapping[str, Json] = {"requirements": [], **manifest}
    kept: Mapping[str, Json] = {"states": [], **described}
    return Interface(
        tuple(_port(r) for r in records(described, "inputs")),
        tuple(_port(r) for r in records(described, "outputs")),
        tuple(_state(r) for r in records(kept, "states")),
        tuple(_knob(r) for r in records(described, "knobs")),
        tuple(_gate(r) for r in records(described, "gates")),
        tuple((text(r, "name"), text(r, "gate")) for r in records(described, "exits")),
        tuple((text(r, "left"), text(r, "right")) for r in records(needed, "requirements")),
        manifest.get("batch_coupled") is True,
    )


def evaluate(size: str, symbols: Mapping[str, int]) -> int:
    """A size as an integer; `/` rounds down.

    Raises UserError CS0831 for what is no size, KeyError for an unknown symbol.
    """
    try:
        tree = ast.parse(size, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise damaged(f"{size!r} is no size") from None
    return _evaluate(tree, size, symbols)


def _evaluate(tree: ast.expr, size: str, symbols: Mapping[str, int]) -> int:
    """Post-order over an explicit stack."""
    order: list[ast.expr] = []
    stack = [tree]
    while stack:
        node = stack.pop()
        order.append(node)
        if isinstance(node, ast.BinOp):
            stack += [node.left, node.right]
        elif isinstance(node, ast.UnaryOp):
            stack.append(node.operand)
    values: dict[ast.expr, int] = {}
    for node in reversed(order):
        match node:
            case ast.Constant(value=int(value)):
                values[node] = value
            case ast.Name(id=name):
                values[node] = symbols[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                values[node] = -values[operand]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                values[node] = values[left] + values[right]
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                values[node] = values[left] - values[right]
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                values[node] = values[left] * values[right]
            case ast.BinOp(left=left, op=ast.Div() | ast.FloorDiv(), right=right) if values[right]:
                values[node] = values[left] // values[right]
            case _:
                raise damaged(f"{size!r} is no size")
    return values[tree]


def _port(value: Mapping[str, Json]) -> Port:
    axes = records(value, "axes")
    try:
        dtype = Dtype(text(value, "dtype"))
    except ValueError:
        raise damaged(f"there is no element type {value['dtype']!r}") from None
    return Port(
        text(value, "name"), dtype, tuple(_optional(a, "name") for a in axes), tuple(text(a, "size") for a in axes)
    )


def _state(value: Mapping[str, Json]) -> StatePort:
    port, initial = _port(value), value.get("initial")
    if not isinstance(initial, bool | int | float):
        raise damaged("a state has no initial value")
    before, after = replace(port, name=text(value, "input")), replace(port, name=text(value, "output"))
    return StatePort(port, initial, before, after)


def _knob(value: Mapping[str, Json]) -> KnobPort:
    default = value.get("default")
    if not isinstance(default, list):
        raise damaged("a knob has no default")
    return KnobPort(
        _port(value), tuple(_number(v) for v in default), _number(value.get("low")), _number(value.get("high"))
    )


def _gate(value: Mapping[str, Json]) -> GatePort:
    over = value.get("over")
    if not isinstance(over, list):
        raise damaged("a gate does not say what it is over")
    names = tuple(str(name) for name in over)
    kind, arms = text(value, "kind"), integer(value, "arms")
    return GatePort(_port(value), kind, arms, names, _optional(value, "exit"), _optional(value, "strategy"))


def _number(value: Json) -> float:
    if not isinstance(value, int | float):
        raise damaged(f"{value!r} is no number")
    return value


def _optional(value: Mapping[str, Json], key: str) -> str | None:
    return None if value.get(key) is None else text(value, key)
