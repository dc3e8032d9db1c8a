"""The nodes and edges of a program graph: a closed union of frozen dataclasses.

Positional throughout: axes are positions, operands are ports. Names in types and origins are labels
for people. What feeds a node is said by its edges, never by its payload.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NewType

from cogseedc.ir.size import Size
from cogseedc.ir.types import Dtype, TensorType
from cogseedc.record import record
from cogseedc.source import Span

if TYPE_CHECKING:
    from cogseedc.ir.graph import Graph

NodeId = NewType("NodeId", int)

Attr = None | bool | int | float | str | Size | Dtype | tuple["Attr", ...]  # value of a static parameter


@record
class Attrs:
    """Static arguments of an operation: canonical, positional, sorted by name."""

    items: tuple[tuple[str, Attr], ...] = ()

    @staticmethod
    def of(**values: Attr) -> Attrs:
        return Attrs(tuple(sorted(values.items())))

    def __getitem__(self, name: str) -> Attr:
        for key, value in self.items:
            if key == name:
                return value
        raise KeyError(name)

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.items)

    def number(self, name: str) -> int | float:
        value = self[name]
        assert isinstance(value, (int, float)), (name, value)
        return value

    def integer(self, name: str) -> int:
        value = self[name]
        assert isinstance(value, int), (name, value)
        return value

    def integers(self, name: str) -> tuple[int, ...]:
        value = self[name]
        assert isinstance(value, tuple), (name, value)
        return tuple(v for v in value if isinstance(v, int))

    def text(self, name: str) -> str:
        value = self[name]
        assert isinstance(value, str), (name, value)
        return value

    def flag(self, name: str) -> bool:
        value = self[name]
        assert isinstance(value, bool), (name, value)
        return value

    def sizes(self, name: str) -> tuple[Size, ...]:
        value = self[name]
        assert isinstance(value, tuple), (name, value)
        return tuple(Size.of(v) for v in value if isinstance(v, (int, Size)))

    def flat(self) -> list[Attr]:
        """All values, out of their tuples."""
        found, left = list[Attr](), [value for _, value in self.items]
        while left:
            value = left.pop()
            if isinstance(value, tuple):
                left += value
            else:
                found.append(value)
        return found


@record
class Origin:
    """Where a node comes from."""

    path: str = ""
    """Instance path: `a.Stage.conv2d`. For people; never used to look something up."""
    seeds: tuple[str, ...] = ()
    """Names of the seeds around it, outermost first (one per seed instance on the path)."""
    scope: tuple[str, ...] = ()
    """Instance paths of the seed calls around it, outermost first; `scope[i]` is an instance of `seeds[i]`."""
    span: Span | None = None
    """Where it is written."""
    bits: tuple[Dtype | str, ...] = ()
    """Reduced precisions that the innermost seed tolerates, from its `bits`: `int8`, `fp8`, `fp16`, `bf16`."""
    forced_bits: str | None = None
    """Precision that an attribute `@bits(...)` asks for here."""
    level: int | None = None
    """Level of the innermost seed: 0 atomic .. 3 tissue."""


class InitKind(Enum):
    """How a weight starts."""

    KAIMING = "kaiming"  # uniform, bound sqrt(1 / fan_in), as torch's linear and convolution layers
    NORMAL = "normal"  # normal(std)
    UNIFORM = "uniform"  # uniform(low, high)
    ZEROS = "zeros"
    ONES = "ones"
    FULL = "full"  # full(value)


@record
class Init:
    """Initial values of a weight; `fan_in` is for `kaiming`."""

    kind: InitKind
    arguments: tuple[float, ...] = ()
    fan_in: int = 0


@record
class State:
    """A value that is kept between calls: an input and an output of the program, of one type."""

    path: str
    """Call path of its declaration, unique in the program."""
    initial: bool | int | float
    """All its elements before the first call."""

    @property
    def input(self) -> str:
        """Name of the input: no identifier of the language has a dot."""
        return f"state.{self.path}"

    @property
    def output(self) -> str:
        return f"next.{self.path}"


@record
class Input:
    """An input of the exported seed, or what a state is before the call."""

    name: str
    type: TensorType
    origin: Origin = field(default=Origin(), compare=False)
    state: State | None = None


@record
class Weight:
    """A parameter (or, not trainable, a buffer) of the state dict. One node per instance path."""

    path: str
    type: TensorType
    init: Init
    trainable: bool = True
    origin: Origin = field(default=Origin(), compare=False)


@record
class Knob:
    """A value that is adjustable at run time; `default` has one entry per element."""

    name: str
    type: TensorType
    default: tuple[float, ...]
    low: float
    high: float
    origin: Origin = field(default=Origin(), compare=False)


@record
class Constant:
    """A small literal: values in row-major order; one value stands for all elements."""

    type: TensorType
    values: tuple[float | int | bool, ...]
    origin: Origin = field(default=Origin(), compare=False)


@record
class Call:
    """One operation of the catalogue. Operand i comes in on port i; an absent optional operand has no edge."""

    op: str
    attrs: Attrs
    types: tuple[TensorType, ...]
    origin: Origin = field(default=Origin(), compare=False)

    @property
    def type(self) -> TensorType:
        return self.types[0]


class GateKind(Enum):
    """What one decision is."""

    BOOL = "bool"  # arms: 0 not taken, 1 taken
    ONE = "one"  # one of n arms, an i64 index
    MANY = "many"  # k of n arms, a bool mask along its last axis; not exclusive


@record
class Estimator:
    """How a gradient passes a decision in training (`via`)."""

    name: str  # gumbel | straight_through | soft | reinforce
    arguments: tuple[tuple[str, float], ...] = ()
    inputs: tuple[str, ...] = ()
    """Arguments that are values: they come in on the ports after those of the decision, in this order."""


@record
class Gate:
    """A decision. Port 0: bool | i64 | (MANY) bool mask. Port 1 (MANY): i64 indices, best first. Then what
    the estimator reads.

    Output 0 is the decision itself, of `type`: the one tensor from which both sides are made.
    """

    name: str
    """Call path of the gate, unique in the program; the key of the trace."""
    kind: GateKind
    arms: int
    over: tuple[str, ...]
    """Names of the axes that it is over."""
    type: TensorType
    estimator: Estimator | None = None
    exit: str | None = None
    """Path of the exit that this gate decides, for gates made by `insert-exit-points`."""
    aliases: tuple[str, ...] = ()
    """Names of equal gates that `simplify-gates` replaced by this one: they decide alike."""
    origin: Origin = field(default=Origin(), compare=False)


class MergeMode(Enum):
    """How arms are brought together."""

    SELECT = "select"
    WEIGHTED_SUM = "weighted_sum"
    SUM = "sum"
    MEAN = "mean"
    MAX = "max"


@record
class Merge:
    """A join. With n = len(arms), ports: 0..n-1 the arms' values, n..2n-1 the gates that choose them,
    then (if `otherwise`) the value for indices with no arm, then (WEIGHTED_SUM) the dense weights [.., E], then
    (if `shares`) for each arm what stands for its gate's decision in training.

    SELECT takes the first arm, in order, whose gate took `arms[i]`; without `otherwise` the arms cover
    everything. Other modes combine all selected arms; without `otherwise`, none gives zero.
    """

    mode: MergeMode
    arms: tuple[int, ...]
    otherwise: bool
    axes: tuple[tuple[int, ...], ...]
    """For each arm: positions, in the value, of the axes of its gate's decision (without E of MANY)."""
    type: TensorType
    origin: Origin = field(default=Origin(), compare=False)
    shares: bool = False
    """In training, after `lower-estimators`. A share is f32 over the axes of the gate, with the classes of a gate that
    is not BOOL as a last axis; the port of an arm whose gate has none is open."""


@record
class Exit:
    """A declared exit, before `insert-exit-points`. Port 0: condition; ports 1..: its values for the outputs."""

    name: str
    scope: str
    """Instance path of the seed that it returns from."""
    order: int
    """Place among the exits of its scope."""
    over: tuple[str, ...]
    condition: TensorType
    origin: Origin = field(default=Origin(), compare=False)


@record
class Return:
    """Outputs of a seed instance that has exits, before `insert-exit-points`: ports in = ports out."""

    scope: str
    types: tuple[TensorType, ...]
    names: tuple[str, ...]
    origin: Origin = field(default=Origin(), compare=False)


@record
class Output:
    """An output of the exported seed, or what a state is after the call."""

    name: str
    type: TensorType
    origin: Origin = field(default=Origin(), compare=False)
    state: State | None = None


@record
class Loss:
    """A named loss term: computed in training only."""

    name: str
    type: TensorType
    origin: Origin = field(default=Origin(), compare=False)
    drawn: bool = False
    """Not a loss, but the log-probability of the decisions that the gate of this name drew: port 0. Port 1: the
    baseline of its reward."""


class LoopKind(Enum):
    """What a loop goes over."""

    REPEAT = "repeat"  # turns, until its indices have stopped
    SCAN = "scan"  # positions of an axis, in order


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """A run-time loop. Its body is a program graph of its own, evaluated once per turn; no edge crosses.

    Ports: initial carries, sequences, captures. The body's `Input`s, by id, are the carries before the turn, the
    elements of the sequences at it, and the captures. Its `Output`s, by id, are the carries after the turn, the yields
    and, if it `halts`, one boolean: which indices stop after this turn. Weights and constants are the body's own nodes.

    Outputs: the yields (SCAN: stacked; REPEAT: those of the last turn), then the last carries. An index that stopped
    holds its carries and yields; when all have, no turn follows.
    """

    name: str
    """Call path, unique in the program; traces of the gates inside have an axis of its turns."""
    kind: LoopKind
    steps: Size
    """REPEAT: the most turns, at least one. SCAN: the length of the axis."""
    body: Graph
    carries: int
    scanned: tuple[int, ...]
    """For each sequence the position of the axis that is scanned."""
    stacked: tuple[int, ...]
    """For each yield the position that the scanned axis has in the output (REPEAT: none has one)."""
    halts: bool
    held: tuple[tuple[int, ...], ...]
    """For each carry, then each yield: positions, in the body's value, of the axes of the boolean that stops."""
    types: tuple[TensorType, ...]
    active: int | None = None
    """SCAN that is packed: the last operand, which the body does not see, is a boolean over rows and the scanned axis,
    which stands there. A row runs only the turns where it is true, and holds its carries at the others."""
    echoes: tuple[int, ...] = ()
    """If packed, for each yield the carry that it is: the body has no outputs for yields then."""
    origin: Origin = field(default=Origin())

    @property
    def yields(self) -> int:
        return len(self.types) - self.carries

    @property
    def until(self) -> Gate | None:
        """The gate that says which indices stop; None where none stops, or where no gate of the body says so."""
        if not self.halts:
            return None
        last = max(id for id, node in self.body.of(Output))
        (edge,) = self.body.wiring().ins[last]
        node = self.body[edge.src]
        return node if isinstance(node, Gate) else None

    @property
    def type(self) -> TensorType:
        return self.types[0]


Node = Input | Weight | Knob | Constant | Call | Gate | Merge | Exit | Return | Output | Loss | Loop


@record
class DataEdge:
    """A value flows from an output port to an operand port."""

    src: NodeId
    src_port: int
    dst: NodeId
    dst_port: int


@record
class ControlEdge:
    """`dst` runs only for indices where gate `src` took `arm`; a negative `arm` is `~a`: did not take arm `a`.

    The guard of `src` itself is implied, so edges say only what it does not. Edges of one `term`
    hold together (and); terms of a node are alternatives (or). A node without control edges runs
    for all indices.
    """

    src: NodeId
    dst: NodeId
    arm: int
    term: int = 0


Edge = DataEdge | ControlEdge


@record
class Value:
    """One output of a node."""

    node: NodeId
    port: int = 0


def output_types(node: Node) -> tuple[TensorType, ...]:
    """Types of a node's outputs."""
    match node:
        case Call(types=types) | Return(types=types) | Loop(types=types):
            return types
        case Input() | Weight() | Knob() | Constant() | Gate() | Merge():
            return (node.type,)
        case Exit() | Output() | Loss():
            return ()
