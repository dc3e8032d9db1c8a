"""How a merge is lowered: as a dense select, by overwriting rows in order, or by adding rows.

Decides from guards only; values and rows are moved by `Items`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cogseedc.backends.plan.items import Item, Items
from cogseedc.backends.plan.model import ROOT, Accumulate, Join, Slot, SpaceId, Write
from cogseedc.ir import FALSE, Guard, Lay, Literals, Merge, MergeMode, NodeId, Value, follows, lay_of

_ADDED = (MergeMode.SUM, MergeMode.WEIGHTED_SUM)


@dataclass(frozen=True, slots=True)
class Arm:
    """A value that a SELECT merge may take, and when: `chosen` in the space of the merge."""

    index: int
    value: Value
    space: SpaceId
    """Where its rows come from; the merge's own space when it is, or can be had, there."""
    chosen: int
    earlier: int
    """That no earlier arm is chosen; a part of `chosen`."""


def merge(
    items: Items,
    literals: Literals,
    id: NodeId,
    node: Merge,
    operands: tuple[Value | None, ...],
    at: SpaceId,
    lay: Lay = (),
) -> None:
    """Adds the item of a merge at home in the space `at`; in a space of positions, their axes lie at `lay`."""
    count = len(node.arms)
    given = [v for v in operands if v is not None]
    along = lay or lay_of(literals, node, operands)
    lays = items.movable(id, along) if along else ((),) * len(operands)
    decided = lays is not None and all(
        v.node in literals.gates and follows(literals, node, i, v.node, along)
        for i, v in enumerate(given[count : 2 * count])
    )
    sparse = decided and any(_space(items, node, v, at, along) != at for v in given[:count] + given[2 * count :])
    if lays is not None and sparse and node.mode is MergeMode.SELECT:
        _Join(items, literals, id, node, given, at, along, lays).select()
    elif lays is not None and sparse and node.mode in _ADDED and _reachable(items, literals, node, given, at):
        _Join(items, literals, id, node, given, at, along, lays).accumulate()
    else:
        items.run(id, at, operands, 1, lay)


def _space(items: Items, node: Merge, value: Value, at: SpaceId, along: Lay) -> SpaceId:
    """Where a value's rows are taken from: its home, if that lies below `at`. A merge of rows takes no positions.

    What has no batch axis is there for every row; only a merge without one has to ask whether it was computed.
    """
    home = items.home.get(value.node, ROOT)
    if items.spaces.drafts[home].grid and not along:
        return at
    if not items.batched(value) and node.type.batch is not None:
        return at
    return home if items.spaces.common(home, at) == at else at


@dataclass(frozen=True, slots=True)
class _Join:
    """A merge whose arms are brought together row by row."""

    items: Items
    literals: Literals
    id: NodeId
    node: Merge
    given: list[Value]
    at: SpaceId
    lay: Lay
    """Where the axes of positions lie in the result; (): rows of the batch."""
    lays: Sequence[Lay]
    """The same for each operand."""

    def select(self) -> None:
        items, at = self.items, self.at
        arms = _arms(items, self.literals, self.node, self.given, at, self.lay)
        arms.sort(key=lambda a: items.spaces.drafts[a.space].depth)
        base: Arm | None = None
        kept: list[Arm] = []
        moved: list[Arm] = []
        whole: Arm | None = None
        for i, arm in enumerate(arms):
            if whole is not None and (whole.value, whole.space) == (arm.value, arm.space):
                continue  # the arm before it wrote the same value for all rows
            whole = arm
            if i == 0 and arm.space == at:
                base = arm
            elif _covered(items, self.literals, arm, arms[:i]):
                kept.append(arm)
            else:
                exact = items.spaces.below(at, arm.chosen)
                moved.append(replace(arm, space=exact))
                whole = None
        item = items.add(self.id, at, self.lay)
        start = None if base is None else items.want(item, base.value, self.lays[self._port(base)])
        writes = tuple(
            Write(items.below(item, arm.value, arm.space, self.lays[self._port(arm)])) for arm in (*kept, *moved)
        )
        item.step = Join(self.id, start, writes, self._output(), self.lay)

    def accumulate(self) -> None:
        items, node, at, lays = self.items, self.node, self.at, self.lays
        count = len(node.arms)
        weights = self.given[-1] if node.mode is MergeMode.WEIGHTED_SUM else None
        gates = [v.node for v in self.given[count : 2 * count]]
        exact = [items.spaces.below(at, _taken(self.literals, g, a)) for g, a in zip(gates, node.arms, strict=True)]
        item = items.add(self.id, at, self.lay)
        writes = tuple(
            Write(
                items.below(item, value, space, lays[i]),
                None if weights is None else self._weight(item, weights, space),
            )
            for i, (value, space) in enumerate(zip(self.given[:count], exact, strict=True))
        )
        otherwise = items.want(item, self.given[2 * count], lays[2 * count]) if node.otherwise else None
        taken = tuple(items.choice(item, g, (a,), False) for g, a in zip(gates, node.arms, strict=True))
        item.step = Accumulate(self.id, writes, otherwise, taken, self._output(), self.lay)

    def _port(self, arm: Arm) -> int:
        return arm.index if arm.index < len(self.node.arms) else 2 * len(self.node.arms)

    def _output(self) -> Slot:
        return self.items.slot(Value(self.id), self.at, self.lay)

    def _weight(self, item: Item, weights: Value, space: SpaceId) -> Slot:
        lay = self.lays[len(self.given) - 1]
        batched = self.items.batched(weights)
        return self.items.below(item, weights, space, lay) if batched else self.items.want(item, weights)


def _arms(items: Items, literals: Literals, node: Merge, given: list[Value], at: SpaceId, along: Lay) -> list[Arm]:
    """The arms that can be chosen, the last one for the rows that no other has; `otherwise` counts as an arm."""
    count = len(node.arms)
    guard = items.spaces.guard(at)
    found: list[Arm] = []
    earlier = 0
    for i, arm in enumerate(node.arms):
        gate = given[count + i].node
        chosen = earlier | _taken(literals, gate, arm)
        if _possible(literals, guard, chosen):
            found.append(Arm(i, given[i], _space(items, node, given[i], at, along), chosen, earlier))
        rest = literals.not_taken(gate, arm)
        if rest == FALSE:
            return found
        earlier |= rest.terms[0]
    if node.otherwise and _possible(literals, guard, earlier):
        value = given[2 * count]
        found.append(Arm(count, value, _space(items, node, value, at, along), earlier, earlier))
    return found


def _possible(literals: Literals, guard: Guard, bits: int) -> bool:
    return any(not literals.contradictory(term, bits) for term in guard.terms)


def _taken(literals: Literals, gate: NodeId, arm: int) -> int:
    return literals.taken(gate, arm).terms[0]


def _covered(items: Items, literals: Literals, arm: Arm, before: list[Arm]) -> bool:
    """Whether writing all rows of the arm's space spoils no row of those written before."""
    guard = items.spaces.guard(arm.space)
    if all(a.index < arm.index for a in before) and all(not arm.earlier & ~term for term in guard.terms):
        return True
    return not any(_possible(literals, guard, a.chosen) for a in before)


def _reachable(items: Items, literals: Literals, node: Merge, given: list[Value], at: SpaceId) -> bool:
    guard = items.spaces.guard(at)
    gates = given[len(node.arms) : 2 * len(node.arms)]
    return all(_possible(literals, guard, _taken(literals, g.node, a)) for g, a in zip(gates, node.arms, strict=True))
