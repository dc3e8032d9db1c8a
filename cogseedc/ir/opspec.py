"""What the catalogue says of one operation, and the interfaces that its functions are called with.

An entry is the one place of an operation: signature, type rule, demand, cost and the three spellings
(float64 reference, PyTorch, ONNX). The tables are in `cogseedc.ops`; nothing here imports torch or onnx.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from cogseedc.ir.nodes import Attrs, Init
from cogseedc.ir.size import Size
from cogseedc.ir.types import Dtype, TensorType
from cogseedc.record import record

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


@record
class AxisArg:
    """A static argument that is an axis: `K`, `K=10`. `size` is None for a name that has no size yet."""

    name: str
    size: Size | None = None


Static = None | bool | int | float | str | Size | Dtype | AxisArg | tuple["Static", ...]


class RuleError(Exception):
    """A type rule refuses a call. The caller adds spans; `operand` or `static` says which argument is at fault, `sizes`
    which two would have to be equal."""

    def __init__(
        self,
        code: str,
        message: str,
        help: str = "",
        operand: int | None = None,
        static: str | None = None,
        sizes: tuple[Size, Size] | None = None,
    ):
        super().__init__(message)
        self.code, self.message, self.help = code, message, help
        self.operand, self.static, self.sizes = operand, static, sizes


class Kind(Enum):
    """What a static parameter takes."""

    SIZE = "size"  # int, size, or axis (new axis with that name and size); bound as Size | AxisArg
    INT = "int"  # a known integer
    FLOAT = "float"
    BOOL = "bool"
    STR = "str"
    DTYPE = "dtype"
    AXIS = "axis"  # one existing axis, by name or position; bound as AxisArg | int
    AXES = "axes"  # a tuple of them, or one
    NEW_AXES = "new axes"  # a tuple of names for new axes; bound as tuple[AxisArg, ...]
    SIZES = "sizes"  # one or more sizes or axes, as one tuple or as all positional arguments left
    INTS = "ints"  # an int, or a tuple of ints (one per spatial axis)
    NAMED = "named sizes"  # collects every `Axis=size` keyword; bound as tuple[AxisArg, ...]


REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Parameter:
    """A static parameter, given in `[...]`; positional in order of declaration, or by name."""

    name: str
    kind: Kind
    default: Any = REQUIRED


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor operand, given in `(...)`. Its port is its place in the signature (variadic: that and all after)."""

    name: str
    optional: bool = False
    variadic: bool = False
    """Takes any number of operands (a tuple given there is its elements); only the last may be."""
    weight: bool = False
    """When absent, the type rule may ask for a weight of its own. A weight operand is given by name."""


@record
class WeightSpec:
    """A weight that a call owns, because its operand was not given."""

    operand: int
    type: TensorType
    init: Init
    trainable: bool = True


@record
class Resolution:
    """What a type rule answers: canonical positional attributes, result types, weights to create."""

    attrs: Attrs
    types: tuple[TensorType, ...]
    weights: tuple[WeightSpec, ...] = ()


@record
class Site:
    """One call as its type rule sees it: operand types (None: absent) and bound static arguments."""

    op: str
    operands: tuple[TensorType | None, ...]
    statics: Mapping[str, Static]
    axes: Mapping[str, Size] = field(default_factory=dict)
    """Sizes of the axis names in scope, for a name that no operand has."""

    def type(self, operand: int) -> TensorType:
        """Type of an operand that must be there."""
        found = self.operands[operand] if operand < len(self.operands) else None
        if found is None:
            self.fail("CS0301", f"{self.op} needs an operand {operand + 1}")
        return found

    def given(self, operand: int) -> bool:
        return operand < len(self.operands) and self.operands[operand] is not None

    def fail(
        self,
        code: str,
        message: str,
        help: str = "",
        operand: int | None = None,
        static: str | None = None,
        sizes: tuple[Size, Size] | None = None,
    ) -> NoReturn:
        """Refuses the call; where it would do with two equal sizes, they are `sizes`."""
        raise RuleError(code, message, help, operand, static, sizes)


@record
class Pointwise:
    """Index i of this operand axis is read only for index i of output axis `to` (of every output)."""

    to: int


@record
class Window:
    """Output index o of axis `to` reads o*stride - before + dilation*[0, size)."""

    to: int
    size: int
    stride: int = 1
    before: int = 0
    dilation: int = 1


@record
class Mixing:
    """Every index may be read for any output index; also for an axis that the output does not have."""


Flow = Pointwise | Window | Mixing


class ReferenceCall(Protocol):
    """Operands as numpy arrays: float64 for every floating dtype, int64, bool. One sample (N=1) or a whole batch."""

    attrs: Attrs
    args: Sequence[Array | None]
    inputs: Sequence[TensorType | None]
    types: tuple[TensorType, ...]

    def size(self, size: Size) -> int: ...
    def sizes(self, sizes: Sequence[Size]) -> tuple[int, ...]: ...


class TorchCall(Protocol):
    """Operands as Python expressions (each an atom: a name or an attribute chain)."""

    attrs: Attrs
    args: Sequence[str | None]
    inputs: Sequence[TensorType | None]
    types: tuple[TensorType, ...]

    def size(self, size: Size) -> str:
        """An int expression; N is the number of rows of the block."""
        ...

    def sizes(self, sizes: Sequence[Size]) -> str:
        """A tuple expression of ints."""
        ...

    def device(self) -> str:
        """An expression of the device that the module computes on, for values made from nothing."""
        ...

    def support(self, function: str) -> str:
        """Name of a function of `cogseedc/backends/support.py`, whose source is copied into the file."""
        ...


class OnnxCall(Protocol):
    """Operands as ONNX value names ("" for an absent optional one)."""

    attrs: Attrs
    args: Sequence[str]
    inputs: Sequence[TensorType | None]
    types: tuple[TensorType, ...]

    def node(self, op_type: str, inputs: Sequence[str], /, **attributes: Any) -> str:
        """Adds a node of opset 21 with one output; its name."""
        ...

    def nodes(self, op_type: str, inputs: Sequence[str], outputs: int, /, **attributes: Any) -> tuple[str, ...]:
        """Adds a node with several outputs."""
        ...

    def constant(self, value: Array) -> str:
        """A local initialiser; equal ones are shared within the region."""
        ...

    def size(self, size: Size) -> str:
        """A scalar i64; N is the number of rows of the region."""
        ...

    def sizes(self, sizes: Sequence[Size]) -> str:
        """A 1-D i64 of all sizes."""
        ...


@dataclass(frozen=True, slots=True)
class Example:
    """A legal call, for documentation and for the laws: `inputs` declares ports, `call` is an expression."""

    inputs: str
    call: str


@dataclass(frozen=True)
class OpSpec:
    """One operation."""

    name: str
    summary: str
    operands: tuple[Operand, ...]
    parameters: tuple[Parameter, ...]
    rule: Callable[[Site], Resolution]
    flow: Callable[[Attrs, Sequence[TensorType | None], tuple[TensorType, ...]], tuple[tuple[Flow, ...], ...]]
    """For each operand, for each of its axes: how demand on the outputs passes on to it."""
    reference: Callable[[ReferenceCall], Any]
    torch: Callable[[TorchCall], str]
    """An expression; for several outputs a tuple expression."""
    onnx: Callable[[OnnxCall], Any]
    """Name of the output; for several outputs a tuple of names."""
    examples: tuple[Example, ...]
    macs: Callable[[Attrs, Sequence[TensorType | None], tuple[TensorType, ...]], Size] | None = None
    """Multiply-accumulates of one call; None: none."""
    differentiable: bool = True
    zero_rows: bool = True
    """Whether ONNX Runtime computes it rightly for an empty batch; if not, a region with it is guarded."""
    parts: int = 1
    """About how many operations of a runtime it is made of."""
    widths: frozenset[str] = frozenset()
    """Reduced precisions that have a real kernel or a lossless rewrite: of int8, fp8, fp16, bf16."""
    queries: Callable[[Attrs], bool] | None = None
    """Whether positions along one axis of its results may be any number of them, in any order, where it is pointwise in
    that axis: of operands that have it only these are read, the others in full."""
    aligned: bool = False
    """Elementwise: operands are aligned by axis names and cast to one dtype before the rule sees them."""
    training: bool = False
    """Whether it behaves differently in training (dropout, batch_norm)."""
    source: str = ""
    """Paper or definition, where there is one."""
    group: str = ""
    """Family, set by the table that holds it."""

    @cached_property
    def plain(self) -> tuple[int, ...]:
        """Ports of the operands that are no weights."""
        return tuple(i for i, operand in enumerate(self.operands) if not operand.weight)

    @cached_property
    def variadic(self) -> int | None:
        """The port from which on an operand is any number of them."""
        return next((i for i, operand in enumerate(self.operands) if operand.variadic), None)
