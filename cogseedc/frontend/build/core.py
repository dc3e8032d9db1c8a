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
from cogseedc.frontend.build.geometry import geometry_of
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
from cogseedc.frontend.build.paths import join, numbered, placed
from cogseedc.frontend.build.restarts import SizeFound
from cogseedc.frontend.build.weights import init_for, known_shape, shared_shape
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
    Input,
    Node,
    NodeId,
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
        return placed(frame.origin, join(frame.calls, name), span)

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
        geometry = geometry_of(spec, operands, span)
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

    # Weights and paths

    def weight_path(self, frame: Frame, name: str) -> str:
        """The next free instance path for a call of `name`."""
        return numbered(frame.counts, join(frame.weights, name))

    def call_path(self, frame: Frame, name: str) -> str:
        """The next free call path."""
        return numbered(self.call_names, join(frame.calls, name))

    def weight(self, frame: Frame, path: str, spec: WeightSpec, span: Span) -> Value:
        """The weight at a path: made once, or, for a shared instance, found again."""
        type_ = known_shape(path, spec.type, self.weight_shapes.get(path), span)
        if path in self.weights:
            first = self.graph[self.weights[path]]
            assert isinstance(first, Weight)
            shared_shape(first, type_, span)
        else:
            self.bounds.types((type_,), span)
            node = Weight(path, type_, init_for(spec.init, type_), spec.trainable, placed(frame.origin, path, span))
            self.weights[path] = self.add(node, (), replace(frame, arms=()) if frame.arms else frame)
        return Value(self.weights[path])

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
