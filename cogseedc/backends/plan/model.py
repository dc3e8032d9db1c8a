"""The plan: what an emitter spells. All decisions are already made.

A plan is a flat list of blocks. Each block runs in one row space: a subset of the batch rows, or of the positions in
the batch and further axes (tokens, pixels). Spaces form a tree; the root has all rows. Nothing here computes; see
`schedule`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import Enum
from typing import NewType

from cogseedc.analysis.channels import Channels
from cogseedc.backends.plan.tiles import Region
from cogseedc.ir import BATCH_SIZE, Axis, Graph, Lay, NodeId, Size, TensorType, Value
from cogseedc.record import record

SpaceId = NewType("SpaceId", int)
ROOT = SpaceId(0)


class Strategy(Enum):
    """How a space is entered."""

    COMPACT = "compact"  # gather the rows that it holds
    BRANCH = "branch"  # a real `if`: the space holds all rows of its parent, or is not run


@record
class Slot:
    """Output `port` of `node`, at the rows of `space`.

    A value without batch axis (a weight, a knob, a constant, ...) is the same in every space: it is never moved, and
    its slots always name the space where it is computed (inputs, weights, knobs and constants: ROOT), in whichever
    block they are read.
    """

    node: NodeId
    port: int
    space: SpaceId
    lay: Lay = ()
    """In a space of positions: where their axes lie in the value. It keeps its rank: the batch axis counts the
    positions, the others have size one."""

    def type(self, graph: Graph) -> TensorType:
        """The type of what the slot holds, N being the rows of its space."""
        return at_positions(self.whole(graph), self.lay)

    def whole(self, graph: Graph) -> TensorType:
        """The type of the value at all positions."""
        return graph.type(Value(self.node, self.port))


def at_positions(type: TensorType, lay: Lay) -> TensorType:
    """The type of a value of which single positions along the axes at `lay` are held."""
    if not lay:
        return type
    sizes = {p: Size.of(1) if i else BATCH_SIZE for i, p in enumerate(lay) if p >= 0}
    return type.with_axes(tuple(Axis(a.name, sizes.get(p, a.size)) for p, a in enumerate(type.axes)))


@record
class Choice:
    """True where a gate's decision is one of `arms` (MANY: where arm `arms[0]` is selected, or is not: `negated`)."""

    decision: Slot
    arms: tuple[int, ...]
    negated: bool = False
    anywhere: bool = False
    """Of a decision over more than the batch: true of a row where it holds at any of its positions."""


@record
class Space:
    """Rows of `parent` where, in one of `terms`, all choices hold. The root has no parent.

    With a `grid`, rows are positions: in the flattened axes of the parent's batch and the grid or, if the parent has
    the same grid, in the parent's positions.
    """

    id: SpaceId
    parent: SpaceId | None
    strategy: Strategy
    terms: tuple[tuple[Choice, ...], ...]
    """Decisions are slots at rows of `parent`."""
    name: str
    """For people and for emitted names: `not_easy`. Unique, an identifier."""
    grid: tuple[Size, ...] = ()
    """Sizes of the axes, beside the batch, whose positions it holds."""


@record
class Run:
    """Computes a node. `inputs[i]` feeds port i (None: absent); slots with a batch axis are in the block's space."""

    node: NodeId
    inputs: tuple[Slot | None, ...]
    outputs: tuple[Slot, ...]


@record
class Enter:
    """Computes which rows a COMPACT space holds (its row index within its parent), or a BRANCH's scalar condition.

    Stands in a block of the parent space.
    """

    space: SpaceId


@record
class Take:
    """Moves a value down: the rows of `target.space` from `source`, whose space is an ancestor.

    Stands in a block of `target.space`. Where all spaces between the two are BRANCH, it is the value itself.
    """

    source: Slot
    target: Slot


@record
class Spread:
    """Moves a value up: `target` has zeros (false) at rows that `source.space` does not hold.

    Stands in a block of `target.space`, an ancestor of `source.space`.
    """

    source: Slot
    target: Slot


@record
class Write:
    """One arm of a join: `value` overwrites (or is added at) the rows of its own space."""

    value: Slot
    weight: Slot | None = None
    """For WEIGHTED_SUM: the merge's dense weights [.., E] at the rows of the same space; the i-th write of an
    Accumulate is arm i of its merge, so it is weighted by weights[..., arms[i]]."""


@record
class Join:
    """A SELECT merge by overwriting: `base` (all rows of the block's space; None: zeros) then `writes` in order.

    The space of each written value is a descendant of the block's space.
    """

    node: NodeId
    base: Slot | None
    writes: tuple[Write, ...]
    output: Slot
    lay: Lay = ()
    """Where the axes of written positions lie in the output."""


@record
class Accumulate:
    """A SUM | WEIGHTED_SUM merge by adding each arm's rows to zeros; `otherwise` at rows that no arm took.

    `inputs` are the merge's gate decisions and otherwise, as its ports name them, in the block's space.
    """

    node: NodeId
    writes: tuple[Write, ...]
    otherwise: Slot | None
    taken: tuple[Choice, ...]
    """Where any of these holds, an arm was selected; in the block's space."""
    output: Slot
    lay: Lay = ()
    """Where the axes of written positions lie in the output."""


@record
class Tiled:
    """A SELECT merge by pixels whose one arm is computed on tiles that have a chosen pixel; or, where at run time that
    would cost more, by `dense`: the same nodes everywhere, the merge last."""

    node: NodeId
    region: Region
    decision: Slot
    base: Slot
    """The other arm's value."""
    dense: tuple[Run, ...]
    output: Slot
    costs: tuple[float, ...]
    """Nanoseconds per pixel of each layer."""
    moved: float
    """Nanoseconds for moving one pixel to a tile and back."""
    least: float
    """Nanoseconds that any tiling costs; minus infinity: tiles of four pixels, whatever they cost."""
    spent: bool = False
    """Whether nothing else holds or reads the base from here on."""

    def reads(self) -> tuple[Slot, ...]:
        """What comes from outside."""
        own = {slot for run in self.dense for slot in run.outputs}
        given = [slot for run in self.dense for slot in run.inputs if slot is not None and slot not in own]
        return tuple(dict.fromkeys([self.decision, self.base, *given]))


@record
class Picked:
    """A SELECT merge by channels whose one arm is computed for the channels that take it, or a layer that reads some
    channels of its operand; sample by sample, if samples choose by themselves."""

    node: NodeId
    region: Channels
    base: Slot | None
    """The other arm's value; None: zero, or there is no other arm."""
    decisions: tuple[Slot, ...]
    """Of the region's gates, in their order."""
    operands: tuple[tuple[Slot | None, ...], ...]
    """Of each layer of the region."""
    output: Slot
    further: tuple[Slot, ...] = ()
    """The values of the region's further arms."""

    def reads(self) -> tuple[Slot, ...]:
        """What comes from outside."""
        own = {layer.node for layer in self.region.layers}
        given = [slot for slots in self.operands for slot in slots if slot is not None and slot.node not in own]
        others = [*([] if self.base is None else [self.base]), *self.further]
        return tuple(dict.fromkeys([*self.decisions, *others, *given]))


Step = Run | Enter | Take | Spread | Join | Accumulate | Tiled | Picked
"""A merge that is computed densely (every arm at all rows of the block's space) is a `Run` of its node."""


class Wrap(Enum):
    """What stands around a block."""

    NONE = "none"  # runs also with zero rows
    ANY = "any"  # skipped when its COMPACT space holds no row; its results are then empty
    CONDITION = "condition"  # skipped when its BRANCH space's condition is false; its results are then empty


@record
class Block:
    """Consecutive steps of one space. `reads` come from other blocks, `gives` are read by others."""

    id: int
    space: SpaceId
    wrap: Wrap
    steps: tuple[Step, ...]
    reads: tuple[Slot, ...]
    gives: tuple[Slot, ...]
    otherwise: bool = False
    """Whether it is the other side of the `if` around the block before it: run exactly where that one is not, and reads
    nothing that it gives."""


@record
class Nest:
    """Consecutive blocks, all of a space or below it, in one more `if`: none is run when the space holds no row (of
    BRANCH: is not run). Another nest may lie inside, of a space further below."""

    first: int
    stop: int
    """The block behind the last one."""
    space: SpaceId


@record
class Single:
    """A join of arms that are alike but for their weights: of one row by itself only its arm is computed, with weights
    that its decision picks."""

    output: Slot
    decision: Slot
    blocks: tuple[int, ...]
    """By arm: nothing but the join reads what it gives."""
    weights: tuple[tuple[Slot, ...], ...]
    """Those that differ, each by arm."""


@record
class GateReport:
    """How the plan treats one gate, for `explain --plan` and the trace."""

    gate: NodeId
    name: str
    strategy: str  # dense | branch | compact | tiles
    decision: Slot
    """Where the decision is computed: rows outside that space were not reached."""
    indices: Slot | None
    """MANY: the indices, best first."""
    reached: tuple[tuple[tuple[NodeId, tuple[int, ...], bool], ...], ...] = ((),)
    """Which rows of that space count as reached, where it is computed for more than was asked: those where, in one of
    the terms, every (gate, arms, negated) holds of the traces of those gates (-1 is no arm). They come before it."""
    predicted: tuple[tuple[str, float], ...] = ()
    """Predicted cost of each strategy, in microseconds."""


@record
class LoopPlan:
    """How the turns of one loop are run: `body` once per turn, its root space being the rows that run it."""

    body: Plan
    compact: bool
    """Whether rows that have stopped leave the batch. If not, all rows run until all have stopped."""
    holds: bool
    """Whether an index that has stopped may be computed on, so that its carries must be kept by a select."""
    reached: tuple[tuple[tuple[NodeId, tuple[int, ...], bool], ...], ...] = ((),)
    """Which rows count as having run it, where it is run for more than was asked; see `GateReport`."""
    folded: bool = False
    """Whether all turns are run at once: none reads what another gave, so each row and turn is a row of the body."""


@record
class Plan:
    """One program, scheduled for one target. `graph` is sealed: no pass runs after planning."""

    graph: Graph
    spaces: tuple[Space, ...]
    """By id; a parent comes before its children."""
    blocks: tuple[Block, ...]
    """In execution order. `Enter` of a space precedes its blocks."""
    inputs: tuple[NodeId, ...]
    knobs: tuple[NodeId, ...]
    weights: tuple[NodeId, ...]
    outputs: tuple[tuple[NodeId, Slot], ...]
    """Output nodes with the root slots that they give."""
    gates: tuple[GateReport, ...]
    loops: Mapping[NodeId, LoopPlan] = field(default_factory=dict)
    """For each loop that is run, a plan of its body."""
    nests: tuple[Nest, ...] = ()
    """In order of their first blocks; two lie apart, or one in the other. Blocks are right without them, too."""
    singles: tuple[Single, ...] = ()
    exits: tuple[tuple[str, tuple[tuple[str, Slot], ...]], ...] = field(default=())
    """For training: each exit's path with its outputs (name, slot); only in a dense plan."""

    def nested(self) -> Iterator[Plan]:
        """This plan, and those of the bodies of its loops, at any depth."""
        yield self
        for loop in self.loops.values():
            yield from loop.body.nested()
