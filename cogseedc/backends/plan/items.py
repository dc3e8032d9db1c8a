"""What has to be done, and after what: one item per step, each in a space, before any order is chosen.

Values that are wanted outside the space of their node get a Spread here; Takes are left to the schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from cogseedc.analysis.channels import Channels
from cogseedc.analysis.kept import is_zero
from cogseedc.backends.plan.model import (
    ROOT,
    Choice,
    Enter,
    Picked,
    Run,
    Slot,
    Space,
    SpaceId,
    Spread,
    Step,
    Take,
    Tiled,
)
from cogseedc.backends.plan.spaces import Draft, Spaces
from cogseedc.backends.plan.tiles import TILE_OPS, Region, pixel_cost
from cogseedc.ir import (
    UNKNOWN,
    WHOLE,
    Constant,
    Gate,
    GateKind,
    Graph,
    Input,
    Knob,
    Lay,
    NodeId,
    Ops,
    Value,
    Weight,
    decider,
    laid,
    reckoned,
)
from cogseedc.target import Costs

SOURCES = (Input, Weight, Knob, Constant)
"""Nodes that are there before the first block."""


@dataclass(slots=True)
class Item:
    """One step. `slots` must be there, in its space, before it; the schedule takes those that are not."""

    space: SpaceId
    priority: tuple[int, int]
    """Place in the topological order of what it belongs to."""
    step: Step | None = None
    """None: only moves its slots."""
    after: list[int] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)


class Items:
    """The items of one plan, made while nodes are added in topological order."""

    def __init__(self, graph: Graph, spaces: Spaces, order: Sequence[NodeId], ops: Ops) -> None:
        self.graph, self.spaces, self._ops = graph, spaces, ops
        self.list: list[Item] = []
        self.home: dict[NodeId, SpaceId] = {}
        self.lay: dict[NodeId, Lay] = {}
        """For nodes at home in a space of positions: where their axes lie in the results."""
        self.place = {node: i for i, node in enumerate(order)}
        self._producer: dict[NodeId, int] = {}
        self._enter: dict[SpaceId, int] = {}
        self._spread: dict[Slot, int] = {}
        self._moved: dict[Slot, int] = {}
        self._terms: dict[SpaceId, tuple[tuple[Choice, ...], ...]] = {}

    def batched(self, value: Value) -> bool:
        """Whether a value has a batch axis, so that its rows can be moved."""
        return self.graph.type(value).batch is not None

    def slot(self, value: Value, space: SpaceId, lay: Lay) -> Slot:
        """The slot of a value in a space. Where the axes of positions lie counts in spaces of positions only."""
        return Slot(value.node, value.port, space, lay if self.spaces.drafts[space].grid else ())

    def add(self, node: NodeId, space: SpaceId, lay: Lay = ()) -> Item:
        """The item of a node at home in `space`, still without step. Sources have none: they are there."""
        item = self._new(space, (self.place[node], 0))
        self.home[node] = space
        if self.spaces.drafts[space].grid:
            self.lay[node] = lay
        self._producer[node] = len(self.list) - 1
        return item

    def run(self, node: NodeId, space: SpaceId, operands: Sequence[Value | None], outputs: int, lay: Lay = ()) -> None:
        """Adds a node that computes its outputs from operands in its own space."""
        item = self.add(node, space, lay)
        lays = self.lays(node, space, lay, len(operands))
        inputs = tuple(
            None if v is None else self._whole(item, v) if lays[i] == WHOLE else self.want(item, v, lays[i])
            for i, v in enumerate(operands)
        )
        item.step = Run(node, inputs, tuple(self.slot(Value(node, port), space, lay) for port in range(outputs)))

    def tiled(self, region: Region, space: SpaceId, costs: Costs, forced: bool) -> None:
        """Adds a join whose one arm is computed on tiles: of four pixels whatever it costs, if it is `forced`."""
        item = self.add(region.merge, space)
        inside = {layer.node for layer in region.layers}
        runs: list[Run] = []
        for id in (*(layer.node for layer in region.layers), region.merge):
            operands = self.graph.wiring().operands(id)
            inputs = [None if v is None else self._within(item, v, inside) for v in operands]
            runs.append(Run(id, tuple(inputs), (Slot(id, 0, space),)))
        read = [self.graph.type(value).shape[1] for value, _ in region.images]
        channels = sum(reckoned(size, UNKNOWN) for size in read)
        item.step = Tiled(
            region.merge,
            region,
            self.want(item, Value(region.gate)),
            self.want(item, region.base),
            tuple(runs),
            Slot(region.merge, 0, space),
            tuple(pixel_cost(self.graph, self._ops, layer, costs.mac_ns, costs.take_ns) for layer in region.layers),
            channels * (costs.take_ns + costs.put_ns + costs.select_ns),
            -inf if forced else 1e3 * costs.op_us * (TILE_OPS + len(region.layers)),
        )

    def picked(self, region: Channels, space: SpaceId) -> None:
        """Adds a join whose one arm is computed for some channels, or a layer that reads some."""
        item = self.add(region.node, space)
        inside = {layer.node for layer in region.layers} - ({region.node} if region.choice is None else set())
        wiring = self.graph.wiring()
        operands = tuple(
            tuple(None if v is None else self._within(item, v, inside) for v in wiring.operands(layer.node))
            for layer in region.layers
        )
        given = region.base is not None and not is_zero(self.graph, region.base)
        base = self.want(item, region.base) if given and region.base is not None else None
        decisions = tuple(self.want(item, Value(gate)) for gate in region.gates())
        further = tuple(self.want(item, value) for _, value in region.further)
        item.step = Picked(region.node, region, base, decisions, operands, Slot(region.node, 0, space), further)

    def _within(self, item: Item, value: Value, inside: set[NodeId]) -> Slot:
        return Slot(value.node, value.port, item.space) if value.node in inside else self.want(item, value)

    def _whole(self, item: Item, value: Value) -> Slot:
        """The slot of a value of which all positions are read: in the nearest space of rows above an item's."""
        rows = next(space for space in self.spaces.up(item.space) if not self.spaces.drafts[space].grid)
        move = self._new(rows, (self.place[value.node], 1))
        self._wait(item, len(self.list) - 1)
        return self.want(move, value)

    def lays(self, node: NodeId, space: SpaceId, lay: Lay, count: int) -> Sequence[Lay]:
        """Where the axes of positions lie in each of `count` operands of a node in a space."""
        if not self.spaces.drafts[space].grid:
            return [()] * count
        found = laid(self.graph, self._ops, node, lay)
        assert found is not None, "a node that mixes positions is in a space of them"
        return found

    def movable(self, node: NodeId, lay: Lay) -> Sequence[Lay] | None:
        """The same for single positions along `lay`, wherever the node is; None: it cannot be computed for them."""
        return laid(self.graph, self._ops, node, lay)

    def want(self, item: Item, value: Value, lay: Lay = ()) -> Slot:
        """The slot of a value in an item's space; makes what has to be done before."""
        home = self.home.get(value.node, ROOT)
        if not self.batched(value):
            self._wait(item, self._producer.get(value.node))
            return Slot(value.node, value.port, home)
        slot = self.slot(value, item.space, lay)
        shared = ROOT if home == ROOT else self.spaces.common(home, item.space)
        if shared == home:
            self._wait(item, self._producer.get(value.node))
        else:
            self._wait(item, self._spread_to(value, shared))
        if item.space != home:
            item.slots.append(slot)
        return slot

    def below(self, item: Item, value: Value, space: SpaceId, lay: Lay = ()) -> Slot:
        """The slot of a value in a space below an item's; the item waits for it."""
        slot = self.slot(value, space, lay if self.batched(value) else ())
        if self.home.get(value.node, ROOT) == space:
            self._wait(item, self._producer.get(value.node))
            return slot
        if slot not in self._moved:
            move = self._new(space, (self.place[value.node], 1))
            self._moved[slot] = len(self.list) - 1
            source = self.want(move, value, lay)
            if not self.batched(value):
                move.step = Take(source, slot)
        self._wait(item, self._moved[slot])
        return slot

    def choice(self, item: Item, gate: NodeId, arms: tuple[int, ...], negated: bool) -> Choice:
        """A choice whose decision is read in an item's space; of a projection that of the gate, anywhere in a row."""
        node = self.graph[decider(gate)]
        assert isinstance(node, Gate)
        if gate < 0:
            return Choice(self.want(item, Value(decider(gate))), arms, negated, anywhere=True)
        axes = node.type.rank - (node.kind is GateKind.MANY)
        width = 1 + len(self.spaces.drafts[item.space].grid)
        lay = tuple(i if i < axes else -1 for i in range(width))
        return Choice(self.want(item, Value(gate), lay), arms, negated)

    def finish(self, names: Sequence[str]) -> tuple[Space, ...]:
        """All spaces, with the slots of their decisions."""
        for draft in self.spaces.drafts[1:]:
            self._enter_of(draft.id)
        return tuple(
            Space(d.id, d.parent, d.strategy, self._terms.get(d.id, ()), name, d.grid)
            for d, name in zip(self.spaces.drafts, names, strict=True)
        )

    def _new(self, space: SpaceId, priority: tuple[int, int]) -> Item:
        entered = self._enter_of(space)
        item = Item(space, priority, after=[] if entered is None else [entered])
        self.list.append(item)
        return item

    def _wait(self, item: Item, other: int | None) -> None:
        if other is not None:
            item.after.append(other)

    def _enter_of(self, space: SpaceId) -> int | None:
        """The item that enters a space, made with those of its ancestors, outermost first."""
        missing: list[Draft] = []
        for at in self.spaces.up(space):
            if at == ROOT or at in self._enter:
                break
            missing.append(self.spaces.drafts[at])
        for draft in reversed(missing):
            self._make_enter(draft)
        return self._enter.get(space)

    def _make_enter(self, draft: Draft) -> None:
        assert draft.parent is not None
        last = max(self.place[decider(gate)] for term in draft.terms for gate, _, _ in term)
        above = self._enter.get(draft.parent)
        item = Item(draft.parent, (last, 2), Enter(draft.id), [] if above is None else [above])
        self.list.append(item)
        self._enter[draft.id] = len(self.list) - 1
        self._terms[draft.id] = tuple(tuple(self.choice(item, *literal) for literal in term) for term in draft.terms)

    def _spread_to(self, value: Value, space: SpaceId) -> int:
        lay = self.lay.get(value.node, ())
        target = self.slot(value, space, lay)
        if target not in self._spread:
            item = self._new(space, (self.place[value.node], 1))
            self._spread[target] = len(self.list) - 1
            item.step = Spread(self.slot(value, self.home[value.node], lay), target)
            self._wait(item, self._producer[value.node])
        return self._spread[target]
