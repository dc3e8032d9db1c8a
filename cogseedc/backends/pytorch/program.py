"""What all emitted methods of one class share: the plan, its spaces, the spelling of values, sizes and decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cogseedc.backends.names import Names, variable
from cogseedc.backends.plan.model import (
    ROOT,
    Accumulate,
    Block,
    Join,
    Plan,
    Run,
    Slot,
    Space,
    SpaceId,
    Spread,
    Strategy,
    Take,
)
from cogseedc.backends.plan.sides import opposites
from cogseedc.backends.pytorch.body import Body, Device, Key, Rows, Symbol, Taken
from cogseedc.backends.pytorch.literal import DTYPES, items
from cogseedc.ir import (
    BATCH,
    Call,
    Constant,
    Dtype,
    Gate,
    GateKind,
    Graph,
    Input,
    Knob,
    Lay,
    Loop,
    Merge,
    NodeId,
    OpSpec,
    Origin,
    Output,
    Size,
    TensorType,
    Weight,
)


@dataclass
class Shared:
    """What the whole file needs, collected while methods are written."""

    names: Names
    ops: Mapping[str, OpSpec]
    support: set[str] = field(default_factory=set)
    constants: dict[Constant, str] = field(default_factory=dict)

    def constant(self, node: Constant) -> str:
        """The attribute that holds a constant; equal ones share it."""
        name = self.constants.setdefault(node, f"c{len(self.constants)}")
        return f"self.constants.{name}"


@dataclass(frozen=True)
class LoopMethod:
    """How a loop is run."""

    name: str
    parameters: tuple[Key, ...]
    """What the method takes beside the operands; the last argument is the record of its turns."""
    body: Program


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows are written: those of `lower` in a value of `type` at the rows of `upper`."""

    lower: SpaceId
    upper: SpaceId
    type: TensorType
    lay: Lay
    """For positions: where their axes lie in the value."""


class Program:
    """One plan that is being spelled."""

    def __init__(self, plan: Plan, shared: Shared, prefix: str = "") -> None:
        self.plan, self.shared = plan, shared
        self.prefix = prefix
        """What the names of its methods begin with."""
        self.graph: Graph = plan.graph
        self.loops: dict[NodeId, LoopMethod] = {}
        self.wanted: dict[Key, str] = {}
        self.composed = self._composed()
        self.opposites = opposites(plan.spaces, plan.graph)
        self.uniform = frozenset(
            choice.decision
            for space in plan.spaces
            if space.strategy is Strategy.COMPACT
            for term in space.terms
            for choice in term
            if self.type(choice.decision).batch is None
        )
        """Decisions without batch axis that COMPACT spaces ask."""
        self._label_states()

    def space(self, id: SpaceId) -> Space:
        return self.plan.spaces[id]

    def compact(self, id: SpaceId) -> SpaceId:
        """The nearest space, from this one up, that has rows of its own: COMPACT, or the root."""
        while id != ROOT and self.space(id).strategy is Strategy.BRANCH:
            id = self._parent(id)
        return id

    def rows(self, lower: SpaceId, upper: SpaceId) -> Rows | None:
        """The index of a space's rows within an ancestor; None where it has all of them."""
        inner, outer = self.compact(lower), self.compact(upper)
        return None if inner == outer else Rows(inner, outer)

    def above(self, id: SpaceId) -> SpaceId:
        """The nearest space with rows of its own above a COMPACT space."""
        return self.compact(self._parent(id))

    def runs(self, body: Body, lower: SpaceId, upper: SpaceId) -> str:
        """A condition: whether a space below `upper` is run."""
        if self.space(lower).strategy is Strategy.BRANCH:
            return body.read(Taken(lower))
        rows = self.rows(lower, upper)
        assert rows is not None
        return f"{body.read(rows)}.numel()"

    def placed(self, lower: SpaceId, upper: SpaceId) -> bool:
        """Whether the index between them is of positions in the batch and further axes."""
        return bool(self.space(self.compact(lower)).grid) and not self.space(self.compact(upper)).grid

    def taken(self, body: Body, value: str, source: Slot, target: Slot) -> str | None:
        """The rows of `target`, which is below; None where it has all of them."""
        rows = self.rows(target.space, source.space)
        if rows is None or self.type(source).batch is None:
            return None
        index = body.read(rows)
        if not self.placed(target.space, source.space):
            return f"{value}.index_select({self.type(source).batch}, {index})"
        return self._moved(body, "take_places", [value, index], target.space, source.space, target.lay)

    def put(self, body: Body, name: str, value: str, write: Target, add: bool = False) -> str:
        """`name`, at the rows of a space, with a value at the rows of one below written or added."""
        rows = self.rows(write.lower, write.upper)
        if rows is None:
            return f"{name} + {value}" if add else value
        index = body.read(rows)
        if not self.placed(write.lower, write.upper):
            return f"{name}.index_{'add' if add else 'copy'}({write.type.batch}, {index}, {value})"
        function = "add_places" if add else "put_places"
        return self._moved(body, function, [name, index], write.lower, write.upper, write.lay, value)

    def _moved(
        self, body: Body, function: str, start: list[str], lower: SpaceId, upper: SpaceId, lay: Lay, *end: str
    ) -> str:
        self.shared.support.add(function)
        sizes = self.sizes(body, self.space(self.compact(lower)).grid, upper)
        return f"{function}({', '.join([*start, sizes, items([str(p) for p in lay]), *end])})"

    def type(self, slot: Slot) -> TensorType:
        return slot.type(self.graph)

    def origin(self, node: NodeId) -> Origin:
        return self.graph[node].origin

    def body(self) -> Body:
        """An empty method."""
        return Body(self.wanted, tuple(sorted(self.shared.support)))

    def value(self, body: Body, slot: Slot) -> str:
        """An atom that holds a slot's value."""
        node = self.graph[slot.node]
        if isinstance(node, Weight):
            return self.shared.names.attribute(node.path)
        if isinstance(node, Constant) and all(s.value is not None for s in node.type.shape):
            return self.shared.constant(node)
        self.want(slot)
        return body.read(slot)

    def want(self, slot: Slot) -> None:
        """Says what a person would call a value, before its variable is made."""
        if slot in self.wanted:
            return
        node = self.graph[slot.node]
        if isinstance(node, Input) and node.state is not None:
            self.wanted[slot] = variable(node.state.path, "kept")
        elif isinstance(node, (Input, Knob)):
            self.wanted[slot] = node.name
        elif isinstance(node, Gate):
            self.wanted[slot] = variable(node.name, "gate")
        else:
            self.wanted[slot] = variable(node.origin.path, node.op if isinstance(node, Call) else "x")

    def _label_states(self) -> None:
        """What a call makes of a state is called so, wherever it is computed."""
        for id, slot in self.plan.outputs:
            node = self.graph[id]
            if isinstance(node, Output) and node.state is not None and isinstance(self.graph[slot.node], (Call, Merge)):
                self.wanted.setdefault(slot, f"next_{variable(node.state.path, 'kept')}")

    def define(self, body: Body, slot: Slot) -> str:
        self.want(slot)
        return body.define(slot)

    def size(self, body: Body, size: Size, space: SpaceId) -> str:
        """An int expression; N is the number of rows of the space."""
        if size.value is not None:
            return str(size.value)
        return size.spell(lambda s: self._symbol(body, s, space), "//")

    def atom(self, body: Body, size: Size, space: SpaceId) -> str:
        text = self.size(body, size, space)
        return f"({text})" if " " in text else text

    def sizes(self, body: Body, sizes: Sequence[Size], space: SpaceId) -> str:
        return items([self.size(body, s, space) for s in sizes])

    def filled(self, body: Body, type: TensorType, space: SpaceId, value: str) -> str:
        """A tensor of one value at all rows of a space."""
        shape = self.sizes(body, type.shape, space)
        start = "torch.zeros(" + shape if value == "0" else f"torch.full({shape}, {value}"
        return f"{start}, dtype={DTYPES[type.dtype]}, device={body.read(Device())})"

    def mask(self, gate: NodeId, decision: str, arm: int) -> str:
        """A bool tensor over the gate's axes: where a decision is `arm` (MANY: where the arm is selected)."""
        node = self.graph[gate]
        assert isinstance(node, Gate)
        if node.kind is GateKind.BOOL:
            return decision if arm else f"~{decision}"
        return f"({decision} == {arm})" if node.kind is GateKind.ONE else f"{decision}[..., {arm}]"

    def _symbol(self, body: Body, symbol: str, space: SpaceId) -> str:
        inner = self.compact(space)
        if symbol != BATCH or inner == ROOT:
            return body.read(Symbol(symbol))
        if inner not in body.counts:
            rows = body.read(Rows(inner, self.above(inner)))
            name = body.counts[inner] = body.scope.free("n")
            body.say(f"{name} = {rows}.shape[0]")
        return body.counts[inner]

    def _parent(self, id: SpaceId) -> SpaceId:
        above = self.space(id).parent
        assert above is not None
        return above

    def _composed(self) -> dict[SpaceId, list[Rows]]:
        """For each COMPACT space, the indices within further ancestors that some step needs."""
        found: dict[SpaceId, list[Rows]] = {}
        pending = [self.rows(lower, upper) for lower, upper in self._moves()]
        while pending:
            rows = pending.pop()
            if rows is None or rows.above == self.above(rows.space):
                continue
            known = found.setdefault(rows.space, [])
            if rows not in known:
                known.append(rows)
                pending.append(Rows(self.above(rows.space), rows.above))
        self._label(found)
        return {space: sorted(rows, key=lambda r: r.above) for space, rows in found.items()}

    def _label(self, found: Mapping[SpaceId, Sequence[Rows]]) -> None:
        self.wanted[Symbol(BATCH)] = "n"
        for space in self.plan.spaces:
            if space.strategy is Strategy.COMPACT and space.id != ROOT:
                self.wanted[Rows(space.id, self.above(space.id))] = f"rows_{space.id}"
                if Rows(space.id, ROOT) in found.get(space.id, ()):
                    self.wanted[Rows(space.id, ROOT)] = f"at_{space.id}"

    def _above(self, slot: Slot, block: Block) -> bool:
        """Whether all positions of a value are read in a block that is run for some."""
        return bool(self.space(block.space).grid) and not slot.lay and self.type(slot).batch is not None

    def _moves(self) -> list[tuple[SpaceId, SpaceId]]:
        """Pairs of a space and an ancestor between which rows are moved, the trace included."""
        found = [(report.decision.space, ROOT) for report in self.plan.gates]
        for block in self.plan.blocks:
            for step in block.steps:
                match step:
                    case Run(node=node) if node in self.plan.loops:
                        found.append((block.space, ROOT))
                    case Run(inputs=inputs):
                        found += [(block.space, s.space) for s in inputs if s is not None and self._above(s, block)]
                    case Take(source=source, target=target):
                        if self.type(source).batch is not None:
                            found.append((target.space, source.space))
                    case Spread(source=source, target=target):
                        found.append((source.space, target.space))
                    case Join(writes=writes) | Accumulate(writes=writes):
                        found += [(write.value.space, block.space) for write in writes]
        return found


def traced_types(program: Program) -> list[tuple[str, TensorType]]:
    """The gates of a plan, those in loops behind the others, with what their traces are."""
    found = [(r.name, (r.indices or r.decision).whole(program.graph).with_dtype(Dtype.I64)) for r in program.plan.gates]
    for id, method in program.loops.items():
        node = program.graph[id]
        assert isinstance(node, Loop)
        for name, type in traced_types(method.body):
            found.append((name, type.with_turns(node.steps)))
    return found


def aligned(merge: Merge, arm: int, mask: str) -> str:
    """A tensor over a gate's axes, laid along the axes of the value that it selects."""
    axes = merge.axes[arm]
    if list(axes) != sorted(axes):
        mask = f"{mask}.permute({', '.join(str(axes.index(a)) for a in sorted(axes))})"
    places = range(min(axes, default=merge.type.rank), merge.type.rank)
    index = [":" if p in axes else "None" for p in places]
    return mask if all(i == ":" for i in index) else f"{mask}[{', '.join(index)}]"
