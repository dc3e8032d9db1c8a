"""The builder: adds typed nodes to the graph, makes weights and paths, and turns items into tensors.

How each form of the language is elaborated is in the tables that `build/__init__` hands in.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cogseedc.diagnostics import Diagnostics, Label
from cogseedc.frontend import ast
from cogseedc.frontend.build.bounds import Bounds, Made
from cogseedc.frontend.build.declared import Declared, declared
from cogseedc.frontend.build.expansion import Expansion
from cogseedc.frontend.build.model import (
    BROKEN,
    Broken,
    BrokenUse,
    BuildError,
    Configured,
    Decisions,
    Enough,
    Frame,
    GateRef,
    Instance,
    Item,
    Kept,
    OpRef,
    Requirement,
    SeedRef,
    Shared,
    Tensor,
    Top,
    Types,
    mistake,
)
from cogseedc.frontend.build.names import described
from cogseedc.ir import (
    BATCH,
    Attrs,
    Axis,
    AxisArg,
    Call,
    Constant,
    Dtype,
    GateKind,
    Graph,
    Init,
    InitKind,
    Input,
    Node,
    NodeId,
    Operand,
    OpSpec,
    Origin,
    Pointwise,
    RuleError,
    Site,
    Size,
    Static,
    TensorType,
    Value,
    Weight,
    WeightSpec,
)
from cogseedc.limits import Limits
from cogseedc.ops import OPS, bind
from cogseedc.ops.rules import flow_aligned
from cogseedc.source import Span

_GEOMETRIES = {
    "exp_map": "hyperbolic",
    "log_map": "euclidean",
    "to_sphere": "spherical",
    "to_euclidean": "euclidean",
}
"""Operations whose result has a geometry of its own."""

_REGROUPING = frozenset(("join", "split", "flatten", "reshape"))
"""Operations that lay elements in other axes; where these have the sizes that there were, all they do is to name."""

Evaluator = Callable[["Builder", Frame, Any], Item]
Runner = Callable[["Builder", Frame, Any], None]


@dataclass(eq=False)
class Builder:
    """State of one elaboration."""

    diagnostics: Diagnostics
    limits: Limits
    evaluators: Mapping[type, Evaluator]
    runners: Mapping[type, Runner]
    sizes: Mapping[str, Size]
    """Of open axes of the inputs, by name."""
    weight_shapes: Mapping[str, tuple[int, ...]]
    types: Types | None = None
    """Filled with the types of names where it is there."""
    graph: Graph = field(default_factory=Graph)
    weights: dict[str, NodeId] = field(default_factory=dict)
    call_names: dict[str, int] = field(default_factory=dict)
    open_axes: dict[str, None] = field(default_factory=dict)
    """Names of axes whose size the inputs leave open, and which `sizes` may so have."""
    requirements: list[Requirement] = field(default_factory=list)
    stack: list[tuple[ast.SeedDeclaration, tuple[Item, ...]]] = field(default_factory=list)
    """Seeds being elaborated, with their static arguments."""
    arms: dict[NodeId, tuple[tuple[NodeId, int], ...]] = field(default_factory=dict)
    """For nodes inside arms: the (gate, arm) pairs around them."""
    spent: dict[NodeId, tuple[tuple[Decisions, Size], ...]] = field(default_factory=dict)
    """For run-time loops: MACs per sample of all turns, by the decisions that they hang on."""
    frames: dict[NodeId, Frame] = field(default_factory=dict)
    gates: dict[Value, GateRef] = field(default_factory=dict)
    """Anonymous gates, by the boolean that they decide on."""
    gate_refs: dict[NodeId, GateRef] = field(default_factory=dict)
    taken: dict[tuple[NodeId, int], Tensor] = field(default_factory=dict)
    cases: dict[NodeId, dict[int, None]] = field(default_factory=dict)
    """By gate the arms that regions name, those in loops too."""
    bounded: dict[tuple[Value, int], GateRef] = field(default_factory=dict)
    """Gates of integers of unknown range, by the integer and the number of classes."""
    coupled: set[NodeId] = field(default_factory=set)
    """Nodes whose values may depend on other samples of the batch."""
    states: list[Kept] = field(default_factory=list)
    """All states, in order of declaration."""
    placing: Span | None = None
    """The `exits` whose block is being elaborated for a value that the compiler chose."""
    expansion: Expansion = field(default_factory=Expansion)
    loops: list[tuple[ast.Repeat | ast.Scan, Instance]] = field(default_factory=list)
    """The run-time loops whose bodies are being elaborated, outermost first, each with the seed that it stands in."""
    moved: int = 0
    """How many nodes were moved into bodies of loops."""
    built: set[int] = field(default_factory=set)
    """Ids of the seed declarations that were instantiated."""
    mixing: dict[tuple[str, Attrs, tuple[TensorType | None, ...], tuple[TensorType, ...]], bool] = field(
        default_factory=dict
    )
    """By operation, attributes and types of a call, whether a result may depend on other samples."""
    parts: dict[int, Declared] = field(default_factory=dict)
    """By id of a seed declaration."""
    made: dict[Hashable, Made] = field(default_factory=dict)
    """By what decides how a seed expands: what one call of it made."""
    counting: bool = False
    """Whether calls that are known are counted, not made (see `survey`)."""
    many: int = 1 << 10
    """A program with so many calls is surveyed before it goes on; 0: it has been."""
    bounds: Bounds = field(init=False)

    def __post_init__(self) -> None:
        self.bounds = Bounds(self.limits)

    # Evaluation

    def evaluate(self, frame: Frame, expr: ast.Expr) -> Item:
        """What an expression is. Raises BuildError, or BrokenUse when it reads a broken value."""
        item = self.evaluators[type(expr)](self, frame, expr)
        if item is BROKEN:
            raise BrokenUse
        return item

    def run(self, frame: Frame, statement: ast.Statement) -> None:
        self.runners[type(statement)](self, frame, statement)

    def report(self, error: BuildError) -> None:
        """Records a mistake, once per code and place. Raises Enough when no more are shown."""
        new = error.diagnostic
        for known in self.diagnostics:
            if known.code == new.code and known.labels[:1] == new.labels[:1]:
                return
            if known.code == new.code and known.labels and new.labels and known.labels[0].span == new.labels[0].span:
                return
        self.diagnostics.add(new)
        if self.diagnostics.dropped:
            raise Enough

    # Nodes

    def add(self, node: Node, operands: Sequence[Value | None], frame: Frame) -> NodeId:
        """Adds a node made in `frame`. Raises BuildError past the limit of nodes."""
        self.bounds.node(len(self.graph) + self.moved, node.origin.span or frame.instance.declaration.span)
        id = self.graph.add(node, operands)
        if frame.arms:
            self.arms[id] = tuple((a.gate.node, a.arm) for a in frame.arms)
        return id

    def declared(self, declaration: ast.SeedDeclaration) -> Declared:
        """The parts of a declaration."""
        found = self.parts.get(id(declaration))
        if found is None:
            found = self.parts[id(declaration)] = declared(declaration)
        return found

    def origin(self, frame: Frame, span: Span, name: str = "") -> Origin:
        return _placed(frame.origin, join(frame.calls, name), span)

    def constant(self, frame: Frame, value: bool | int | float, dtype: Dtype, span: Span) -> Tensor:
        """A literal without axes."""
        if dtype is Dtype.BOOL:
            value = bool(value)
        type_ = TensorType(dtype)
        shown = float(value) if dtype.floating else value
        id = self.add(Constant(type_, (shown,), self.origin(frame, span, "constant")), (), frame)
        return Tensor(Value(id), type_)

    def call(
        self,
        frame: Frame,
        name: str,
        operands: Sequence[Tensor | None],
        span: Span,
        statics: Mapping[str, Static] | None = None,
        spans: Sequence[Span] = (),
    ) -> tuple[Tensor, ...]:
        """Calls an operation with aligned operands and bound static arguments; its outputs."""
        spec = OPS[name]
        given = statics if statics is not None else {}
        while True:
            try:
                resolution = spec.rule(
                    Site(name, tuple(t.type if t else None for t in operands), given, frame.scope.all_axes())
                )
                break
            except RuleError as error:
                equal = None if error.sizes is None else self._made_equal(operands, *error.sizes, span)
                if equal is None:
                    raise self.refused(error, span, spans) from None
                operands = equal
        if name in _REGROUPING and operands[0] and resolution.types[0].shape == operands[0].type.shape:
            return (operands[0].seen_as(resolution.types[0]),)  # other names, and no work
        self.bounds.types(resolution.types, span)
        values: list[Value | None] = [t.value if t else None for t in operands]
        if resolution.weights:
            path = self.weight_path(frame, name)
            for weight in resolution.weights:
                values += [None] * (weight.operand + 1 - len(values))
                values[weight.operand] = self.weight(
                    frame, f"{path}.{spec.operands[weight.operand].name}", weight, span
                )
        node = Call(name, resolution.attrs, resolution.types, self.origin(frame, span, name))
        geometry = self._geometry(spec, operands, span)
        mixing = self._mixes_batch(spec, values, node)
        if mixing:
            self._no_batch_region(frame, name, span)
        id = self.add(node, values, frame)
        if mixing or any(v is not None and v.node in self.coupled for v in values):
            self.coupled.add(id)
        return tuple(
            Tensor(Value(id, port), t, geometry if t.dtype.floating else "euclidean")
            for port, t in enumerate(resolution.types)
        )

    def _made_equal(
        self, operands: Sequence[Tensor | None], left: Size, right: Size, span: Span
    ) -> Sequence[Tensor | None] | None:
        """The operands with one size for both, which is then required; None where they never are equal.

        An open size of the inputs becomes a known one, or one that an earlier input has: raises SizeFound.
        """
        sizes = {size for t in operands if t for size in t.type.shape}
        if right not in sizes or BATCH in left.symbols() | right.symbols() or (left - right).known is not None:
            return None
        found = self._solved(left, right)
        if found is not None:
            raise found
        self.require_equal(left, right, span)
        return [t and t.seen_as(t.type.with_axes(_with_size(t.type.axes, right, left))) for t in operands]

    def _solved(self, left: Size, right: Size) -> SizeFound | None:
        """What makes two sizes equal, where one of them is an open size of the inputs by itself."""
        sizes = [size for _, node in self.graph.of(Input) for size in node.type.shape]
        open_ = [size for size in dict.fromkeys(sizes) if any(size == Size.symbol(s) for s in size.symbols() - {BATCH})]
        for one, other in ((left, right), (right, left)):
            if one in open_ and (other.value or other in open_[: open_.index(one)]):
                return SizeFound(str(one), other)
        return None

    def bind(self, frame: Frame, name: ast.Name, item: Item, again: bool = False) -> None:
        """Binds a name of a block; see `Scope.bind`."""
        frame.scope.bind(name.text, item, name.span, again)
        if self.types is not None:
            value = item.decision if isinstance(item, GateRef) else item
            if isinstance(value, Tensor):
                self.types.setdefault(name.span, {})[value.type] = None

    def one(self, frame: Frame, name: str, *operands: Tensor, span: Span, **statics: Static) -> Tensor:
        """A call with one output and the given static arguments; the rest are defaults."""
        bound = bind(OPS[name], (), statics, ())
        return self.call(frame, name, operands, span, bound)[0]

    def _mixes_batch(self, spec: OpSpec, values: Sequence[Value | None], node: Call) -> bool:
        """Whether a result of the call may depend on other samples."""
        if spec.flow is flow_aligned:  # of single elements: the rule has matched the batch axes
            return False
        inputs = tuple(self.graph.type(v) if v is not None else None for v in values)
        key = spec.name, node.attrs, inputs, node.types
        if key not in self.mixing:
            self.mixing[key] = _mixes(spec, node, inputs)
        return self.mixing[key]

    def _no_batch_region(self, frame: Frame, name: str, span: Span) -> None:
        outer = next((a.gate for a in frame.arms if a.gate.decision.type.batch is not None), None)
        if outer is not None:
            where = self.graph[outer.node].origin.span
            raise mistake(
                "CS0404",
                f"`{name}` mixes samples of the batch inside a region gated per sample",
                span,
                *([Label(where, "this gate is over N")] if where else []),
                help="compute it before the region",
            )

    def refused(self, error: RuleError, span: Span, spans: Sequence[Span]) -> BuildError:
        """A type rule's refusal, with spans."""
        where = span
        if error.operand is not None and error.operand < len(spans):
            where = spans[error.operand]
        return mistake(
            error.code, error.message, where, *([Label(span, "in this call")] if where != span else []), help=error.help
        )

    def _geometry(self, spec: OpSpec, operands: Sequence[Tensor | None], span: Span) -> str:
        if spec.name in _GEOMETRIES:
            return _GEOMETRIES[spec.name]
        if all(t is None or t.geometry == "euclidean" for t in operands):
            return "euclidean"
        found = [
            t.geometry
            for t, o in zip(operands, _ports(spec, len(operands)), strict=True)
            if t and not o.weight and t.type.dtype.floating and t.type.rank
        ]
        for geometry in found[1:]:
            if geometry != found[0]:
                raise mistake(
                    "CS0238",
                    f"`{spec.name}` mixes a {found[0]} value with a {geometry} one",
                    span,
                    help="convert one first: `exp_map`, `log_map`, `to_sphere`, `to_euclidean`",
                )
        return found[0] if found else "euclidean"

    # Weights and paths

    def weight_path(self, frame: Frame, name: str) -> str:
        """The next free instance path for a call of `name`: repeats get `_2`, `_3`."""
        path = join(frame.weights, name)
        count = frame.counts.get(path, 0) + 1
        frame.counts[path] = count
        return path if count == 1 else f"{path}_{count}"

    def call_path(self, frame: Frame, name: str) -> str:
        """The next free call path."""
        path = join(frame.calls, name)
        count = self.call_names.get(path, 0) + 1
        self.call_names[path] = count
        return path if count == 1 else f"{path}_{count}"

    def weight(self, frame: Frame, path: str, spec: WeightSpec, span: Span) -> Value:
        """The weight at a path: made once, or, for a shared instance, found again."""
        type_ = self._known_shape(path, spec.type, span)
        if path in self.weights:
            first = self.graph[self.weights[path]]
            assert isinstance(first, Weight)
            if first.type.shape != type_.shape:
                raise mistake(
                    "CS0240",
                    f"the shared weight `{path}` is {first.type}, but this call needs {type_}",
                    span,
                    *([Label(first.origin.span, "its sizes come from the first call")] if first.origin.span else []),
                    help="call a shared instance with the same sizes, or give this call weights of its own",
                )
            return Value(self.weights[path])
        self.bounds.types((type_,), span)
        known = spec.init.fan_in or spec.init.kind is not InitKind.KAIMING
        init = spec.init if known else Init(spec.init.kind, spec.init.arguments, fan_in(type_))
        node = Weight(path, type_, init, spec.trainable, _placed(frame.origin, path, span))
        self.weights[path] = self.add(node, (), replace(frame, arms=()) if frame.arms else frame)
        return Value(self.weights[path])

    def _known_shape(self, path: str, type_: TensorType, span: Span) -> TensorType:
        given = self.weight_shapes.get(path)
        for i, axis in enumerate(type_.axes):
            if axis.size.value is not None:
                continue
            symbols = sorted(axis.size.symbols())
            if given is not None and i < len(given) and axis.size == Size.symbol(symbols[0]):
                raise SizeFound(symbols[0], Size.of(given[i]))
            help = f"give it: `--size {symbols[0]}=32`, or write it in the port's type: `{symbols[0]}=32`"
            if BATCH in symbols:
                help = (
                    "no weight depends on the number of samples: say another axis with `over=`, or read another value"
                )
            raise mistake(
                "CS0239", f"the weight `{path}` needs the size `{axis.size}`, which is not known", span, help=help
            )
        return type_

    # Tensors from items

    def tensor(self, frame: Frame, item: Item, span: Span, dtype: Dtype | None = None) -> Tensor:
        """An item as a value. A literal takes `dtype`; a fraction is no integer. Raises BrokenUse for a broken one."""
        match item:
            case Tensor():
                return item
            case Broken():
                raise BrokenUse
            case GateRef(kind=GateKind.BOOL) if dtype is Dtype.BOOL:
                return item.decision
            case GateRef():
                return self.gate_value(frame, item, span)
            case bool():
                return self.constant(frame, item, Dtype.BOOL if dtype is None else dtype, span)
            case int():
                return self.constant(frame, item, dtype or Dtype.I64, span)
            case float():
                return self.constant(frame, item, dtype if dtype is not None and dtype.floating else Dtype.F32, span)
            case Size():
                return self._size_value(frame, item, span)
            case AxisArg(size=Size() as size):
                return self._size_value(frame, size, span)
            case AxisArg(name=name):
                raise mistake("CS0201", f"`{name}` is not known here", span, help="an axis without a size is no value")
            case Top():
                raise mistake(
                    "CS0402",
                    "`top` is a decision, not a value",
                    span,
                    help="name it with `gate g over ... = top[k](...)` and read `g.weights` or `g.mask`",
                )
            case tuple():
                raise mistake(
                    "CS0231", "one value is expected here, not a tuple", span, help="select an element: `xs[0]`"
                )
        called = "call it: `f(x)`, and without operands `ones[4]()`"
        help = called if isinstance(item, (OpRef, SeedRef, Configured, Shared)) else ""
        raise mistake("CS0231", f"a value is expected here, not {described(item)}", span, help=help)

    def _size_value(self, frame: Frame, size: Size, span: Span) -> Tensor:
        if size.value is not None:
            return self.constant(frame, size.value, Dtype.I64, span)
        return self.one(frame, "size_value", span=span, size=size)

    def gate_value(self, frame: Frame, gate: GateRef, span: Span) -> Tensor:
        """A gate in arithmetic: 0/1 in f32 for bool, the index for one-of-n."""
        if gate.kind is GateKind.MANY:
            raise mistake(
                "CS0402",
                f"the gate `{gate.name}` takes several of {gate.arms}; it has no one value",
                span,
                help="read `.weights`, `.mask` or `.scores` of it",
            )
        if gate.kind is GateKind.ONE:
            return gate.decision
        return self.cast(frame, gate.decision, Dtype.F32, span)

    def boolean(self, frame: Frame, item: Item, span: Span) -> Tensor:
        """An item as a boolean value: a bool gate is its decision. Raises BuildError for another type."""
        if isinstance(item, GateRef) and item.kind is GateKind.BOOL:
            return item.decision
        tensor = self.tensor(frame, item, span)
        if tensor.type.dtype is not Dtype.BOOL:
            raise mistake(
                "CS0232", f"a condition must be bool, but this is {tensor.type}", span, help="compare it: `... > 0`"
            )
        return tensor

    def cast(self, frame: Frame, tensor: Tensor, dtype: Dtype, span: Span) -> Tensor:
        if tensor.type.dtype is dtype:
            return tensor
        result = self.one(frame, "cast", tensor, span=span, dtype=dtype)
        return replace(result, type=tensor.type.with_dtype(dtype), geometry=tensor.geometry)

    def require_equal(self, left: Size, right: Size, span: Span) -> bool:
        """Whether two sizes are, or at run time must be, equal. False when they never are."""
        difference = (left - right).known
        if difference is not None:
            return difference == 0
        self.requirements.append(Requirement(left, right, span))
        return True


def _mixes(spec: OpSpec, node: Call, inputs: Sequence[TensorType | None]) -> bool:
    batches = [None if t is None else t.batch for t in inputs]
    if not any(at is not None for at in batches):
        return False
    return any(
        at is not None and at < len(flow) and not isinstance(flow[at], Pointwise)
        for at, flow in zip(batches, spec.flow(node.attrs, inputs, node.types), strict=False)
    )


def _with_size(axes: tuple[Axis, ...], old: Size, new: Size) -> tuple[Axis, ...]:
    return tuple(Axis(a.name, new) if a.size == old else a for a in axes)


def _ports(spec: OpSpec, count: int) -> list[Operand]:
    """The declared operand of each given one; a variadic one is that of all that follow it."""
    return [spec.operands[min(i, len(spec.operands) - 1)] for i in range(count)]


class ManyCalls(Exception):  # noqa: N818  # no error: elaboration starts again when they have been counted
    """A program has many calls of seeds."""


class SizeFound(Exception):  # noqa: N818  # no error: elaboration starts again
    """The weights file, or a call, gives a size that the source leaves open; elaboration starts again with it."""

    def __init__(self, symbol: str, size: Size) -> None:
        super().__init__(symbol)
        self.symbol, self.size = symbol, size


def join(prefix: str, name: str) -> str:
    """A dotted path."""
    return f"{prefix}.{name}" if prefix and name else prefix or name


def _placed(origin: Origin, path: str, span: Span) -> Origin:
    """The origin of a node in an instance. Every node needs one, and `replace` would take thrice as long."""
    return Origin(path, origin.seeds, origin.scope, span, origin.bits, origin.forced_bits, origin.level)


def fan_in(type_: TensorType) -> int:
    """Inputs that one output reads: I*k*k of a (.., O, I, k, k) weight, the last axis of a smaller one."""
    shape = [s.value or 1 for s in type_.shape]
    if not shape:
        return 1
    count = shape[-1]
    for size in shape[-3:-1] if len(shape) >= 4 else shape[1:-1] if len(shape) == 3 else ():
        count *= size
    return max(count, 1)
