"""What an expression of the language can be while a program is elaborated, and where it is evaluated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from cogseedc.diagnostics import Diagnostic, Label
from cogseedc.frontend import ast
from cogseedc.ir import (
    AxisArg,
    Dtype,
    Estimator,
    GateKind,
    Graph,
    NodeId,
    OpSpec,
    Origin,
    Size,
    State,
    TensorType,
    Value,
)
from cogseedc.record import record
from cogseedc.source import Span

Arms = tuple[tuple[NodeId, int], ...]
"""Pairs of a gate and an arm of it."""
Decisions = tuple[Arms, tuple[NodeId, ...]]
"""What must be decided so that something runs: arms that are taken, and exits that are not."""


class BuildError(Exception):
    """One mistake in the program; caught at the statement, which goes on with broken names."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def mistake(code: str, message: str, span: Span, *more: Label, help: str = "", label: str = "") -> BuildError:
    """A BuildError at `span`; `more` are other places that matter."""
    return BuildError(Diagnostic(code, message, (Label(span, label), *more), help))


class Broken(Enum):
    """A value that could not be made; what reads it is silently broken too, so one mistake gives one error."""

    BROKEN = "broken"


BROKEN = Broken.BROKEN


class BrokenUse(Exception):  # noqa: N818  # the error was reported where the value broke
    """A broken value was read."""


class Enough(Exception):  # noqa: N818  # not an error itself
    """There are more messages than are shown; to look for others would take time for nothing."""


@record
class Tensor:
    """A value of the graph as seen in one scope: `type` has the axis names of that scope."""

    value: Value
    type: TensorType
    geometry: str = "euclidean"

    def seen_as(self, type: TensorType) -> Tensor:
        """The same value with other names of axes, or with sizes that are known to be equal."""
        return Tensor(self.value, type, self.geometry)


@record
class Top:
    """The answer of `top[k]`: a k-of-n decision that is not yet a gate. Its last axis is the classes."""

    indices: Tensor
    mask: Tensor
    weights: Tensor
    scores: Tensor
    classes: int
    renormalize: bool


@record
class Via:
    """`via gumbel(temperature=tau)`: an estimator, and the values among its arguments."""

    estimator: Estimator
    values: tuple[Tensor, ...]
    span: Span = field(compare=False)


@record
class GateRef:
    """A gate. `decision` is the output of its node."""

    node: NodeId
    name: str
    kind: GateKind
    arms: int
    decision: Tensor
    over: tuple[str, ...]
    top: Top | None = None


@record
class OpRef:
    """An operation of the catalogue, by name."""

    spec: OpSpec


@record
class Builtin:
    """A name that the language itself gives a meaning to: `len`, `cost`, `top`, `capacity`, ..."""

    name: str


@record
class SeedRef:
    """A seed, unapplied."""

    declaration: ast.SeedDeclaration
    module: Module


@record
class Configured:
    """An operation or a seed with static arguments: `Block[16]`."""

    target: OpRef | SeedRef | Builtin
    positional: tuple[Item, ...]
    keywords: tuple[tuple[str, Item], ...]
    named: tuple[AxisArg, ...]
    span: Span = field(compare=False)


@record
class Shared:
    """One instance with weights of its own (`share`); calls use them. `prefix` is its weight path."""

    target: OpRef | SeedRef | Configured
    prefix: str
    name: str
    origin: Origin = field(compare=False)
    """Where it was declared: the instance lies there, wherever it is called."""


@record
class Bundle:
    """Several outputs of one call, by name."""

    names: tuple[str, ...]
    items: tuple[Item, ...]


@dataclass(frozen=True, eq=False)
class Module:
    """One file with its names resolved."""

    name: str
    names: dict[str, Item]
    spans: dict[str, Span]


Item = (
    bool
    | int
    | float
    | str
    | Size
    | Dtype
    | AxisArg
    | Tensor
    | Top
    | GateRef
    | OpRef
    | Builtin
    | SeedRef
    | Configured
    | Shared
    | Bundle
    | Module
    | Broken
    | tuple["Item", ...]
)
"""Everything that an expression can be. A Python tuple is a tuple of the language."""


@dataclass(eq=False)
class Scope:
    """The names of one block; inner blocks may shadow."""

    parent: Scope | None = None
    names: dict[str, Item] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    axes: dict[str, Size] = field(default_factory=dict)
    labels: dict[str, Size | None] = field(default_factory=dict)
    """Sizes of the axes that bound values name; None where several have the name and differ."""
    regions: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Node-id range [first, last) that computes a bound name; for `cost`."""
    states: dict[str, Kept] = field(default_factory=dict)
    """The states that this block declares, which its `next` may set."""

    def find(self, name: str) -> Item | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return None

    def axis(self, name: str) -> Size | None:
        """The size of an axis: as a type declares it, else as values that are bound have it."""
        label: Size | None = None
        labelled, scope = False, self
        while True:
            if name in scope.axes:
                return scope.axes[name]
            if not labelled and name in scope.labels:
                label, labelled = scope.labels[name], True
            if scope.parent is None:
                return label
            scope = scope.parent

    def all_axes(self) -> dict[str, Size]:
        """The sizes of all axes that have one here."""
        found: dict[str, Size] = {}
        labels: dict[str, Size | None] = {}
        scope: Scope | None = self
        while scope is not None:
            found, labels = {**scope.axes, **found}, {**scope.labels, **labels}
            scope = scope.parent
        return {name: size for name, size in labels.items() if size is not None} | found

    def state(self, name: str) -> Kept | None:
        """The state of a name, if no other value hides it."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.states.get(name)
            scope = scope.parent
        return None

    def region(self, name: str) -> tuple[int, int] | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.regions:
                return scope.regions[name]
            scope = scope.parent
        return None

    @property
    def unread(self) -> frozenset[str]:
        """Names in statements of the file that could not be read, which are broken in all of it."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return frozenset(name for name, item in scope.names.items() if item is BROKEN)

    def visible(self) -> list[str]:
        """All names that can be read here, for did-you-mean."""
        found: list[str] = []
        scope: Scope | None = self
        while scope is not None:
            found += scope.names
            scope = scope.parent
        return found

    def bind(self, name: str, item: Item, span: Span, again: bool = False) -> None:
        """Binds a name of this block. Raises BuildError when it is bound already and may not be bound `again`."""
        if not again and name in self.names and name in self.spans:
            raise mistake(
                "CS0202",
                f"`{name}` is bound twice in one block",
                span,
                Label(self.spans[name], "first bound here"),
                help="give the second value a name of its own",
            )
        self.names[name] = item
        self.spans[name] = span
        self.label(item)

    def label(self, item: Item) -> None:
        """Takes the names that a value gives to its axes as sizes."""
        if isinstance(item, Tensor):
            for axis in item.type.axes:
                if axis.name is not None and self.labels.setdefault(axis.name, axis.size) != axis.size:
                    self.labels[axis.name] = None


@record
class ArmOf:
    """Inside this arm of a region: where the gate took it. `taken` is the boolean per index."""

    gate: GateRef
    arm: int
    taken: Tensor


@dataclass(eq=False)
class Instance:
    """One seed instance while its body runs."""

    declaration: ast.SeedDeclaration
    path: str
    """Call path; empty for the exported seed."""
    outputs: tuple[str, ...]
    level: int | None
    highest: int = 0
    """Highest level among the seeds that it uses."""
    exits: list[NodeId] = field(default_factory=list)
    blocks: dict[NodeId, Scope] = field(default_factory=dict)
    """Of each exit."""
    exit_scopes: list[ExitSite] = field(default_factory=list)
    declared: int | None = None
    """The level that its declaration says."""
    arms: int = 0
    """How many arms stand around its call. Its exits do not ask them: they return from this seed alone."""
    caller: Instance | None = None
    called: Span | None = None
    """Where it is called; None of the exported seed."""


@dataclass(eq=False)
class Kept:
    """A state while its program is elaborated."""

    state: State
    before: Tensor
    """What it is before the call; after it too, where `next` was not reached."""
    after: Tensor
    """What it is after the call, as far as the elaborated part of the program says."""
    span: Span
    instance: Instance
    """The seed instance that declares it."""
    set_at: Span | None = None
    exits: dict[Instance, int] = field(default_factory=dict)
    """For each seed instance around `next`: how many of its exits stand before it."""
    left: dict[Scope, tuple[Tensor, Span]] = field(default_factory=dict)
    """By the block of an exit: what `next` in it sets the state to, and where."""


@record
class Frame:
    """Where an expression is evaluated."""

    scope: Scope
    instance: Instance
    weights: str
    """Prefix of weight paths."""
    calls: str
    """Prefix of call paths."""
    counts: dict[str, int]
    """How often a weight path was used; a new one for each call of a shared instance."""
    origin: Origin
    arms: tuple[ArmOf, ...] = ()
    turn: tuple[str, ...] = ()
    """Turns of the `for`s around, inside the seed."""
    carries: dict[str, Item] | None = None
    """Set inside a loop body: what `next` has set so far."""
    leaving: Scope | None = None
    """The block of the exit that it is in."""

    def inside(self, scope: Scope, weights: str, calls: str) -> Frame:
        """The frame of a part. Every statement has one, and `replace` would take thrice as long."""
        return Frame(
            scope, self.instance, weights, calls, self.counts, self.origin,
            self.arms, self.turn, self.carries, self.leaving,
        )  # fmt: skip


@dataclass(frozen=True)
class ExitSite:
    """`exits n at x {..} when c`, to be placed by `insert-exit-points`."""

    count: int
    scope: str
    span: Span
    insert: Callable[[Value, int], NodeId]
    """Builds exit number i of the site at a value of the graph; its Exit node. Raises BuildError."""
    fits: Callable[[Value], bool]
    """Whether the block type-checks for that value."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """Two sizes that must be equal, but are known only when inputs come."""

    left: Size
    right: Size
    span: Span


@dataclass(frozen=True, slots=True)
class BudgetBound:
    """`budget macs mean <= 2M`."""

    quantity: str
    measure: str
    operator: str
    value: float
    span: Span


Types = dict[Span, dict[TensorType, None]]
"""By the place where a name is bound: the types that it has there, one or more where its seed is called more often."""


@dataclass(frozen=True)
class Options:
    """What the command line may set for the exported seed."""

    seed: str | None = None
    statics: tuple[tuple[str, ast.Expr], ...] = ()
    """`--set name=value`, parsed."""
    sizes: tuple[tuple[str, int], ...] = ()
    """`--size D=32`."""
    weight_shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Shapes in the weights file: they give sizes that a weight needs."""
    types: Types | None = field(default=None, compare=False)
    """Filled while elaborating, mistakes or not."""


@dataclass(frozen=True)
class Elaborated:
    """A program as one flat graph, before any pass."""

    graph: Graph
    name: str
    doc: str
    version: str | None
    sites: tuple[ExitSite, ...]
    budgets: tuple[BudgetBound, ...]
    requirements: tuple[Requirement, ...]
    statics: tuple[tuple[str, str], ...]
    """Static parameters of the exported seed, as text."""
    coupled: bool = False
    """Whether an output or an exit depends on other samples of the batch."""
    positional: bool = False
    """Whether it was IR text (`category ir`)."""


class Imports(Protocol):
    """Finds what an import names. Implemented by `cogseedc.seeds` over the parser."""

    def module(self, item: ast.Import, importer: str) -> tuple[str, ast.File]:
        """Key and syntax tree of the imported file. Raises UserError."""
        ...
