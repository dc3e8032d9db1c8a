"""Joins of many small arms that are alike but for their weights: for one row by itself the weights of its arm are
picked and one arm is computed, instead of sorting the row among arms of which all but one have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cogseedc.backends.plan.model import (
    ROOT,
    Accumulate,
    Block,
    Join,
    Run,
    Single,
    Slot,
    Space,
    SpaceId,
    Step,
    Strategy,
    Take,
    Wrap,
)
from cogseedc.backends.plan.schedule import reads, writes
from cogseedc.backends.plan.wraps import MARGIN, parts
from cogseedc.ir import Call, Constant, Dtype, Gate, GateKind, Graph, Merge, NodeId, Weight, reckoned
from cogseedc.target import Target

LEAST = 4
"""Arms from which rows are sorted."""

SORTED = 8
"""About how many operations it takes more to sort rows by arm than to pick an arm."""


def singles(
    blocks: Sequence[Block], spaces: Sequence[Space], target: Target, graph: Graph, kept: Sequence[Slot]
) -> tuple[Single, ...]:
    """The joins for which that is predicted to pay, in order; `kept` are slots that are read after the last block."""
    if target.batch_one or target.device != "cpu" or (target.profile is not None and target.profile.rows > 1):
        return ()
    homes: dict[SpaceId, list[Block]] = {}
    for block in blocks:
        homes.setdefault(block.space, []).append(block)
    readers = _readers(blocks, kept)
    found: list[Single] = []
    for step in (step for block in homes.get(ROOT, ()) for step in block.steps):
        if isinstance(step, Join | Accumulate) and len(step.writes) >= LEAST:
            single = _single(step, homes, spaces, graph, readers)
            if single is not None and _pays(single, blocks, target, graph):
                found.append(single)
    return tuple(found)


def _readers(blocks: Sequence[Block], kept: Sequence[Slot]) -> Mapping[Slot, set[int]]:
    """The steps that read each slot, by identity; 0: something after the last block."""
    found: dict[Slot, set[int]] = {slot: {0} for slot in kept}
    for step in (step for block in blocks for step in block.steps):
        for slot in reads(step):
            found.setdefault(slot, set()).add(id(step))
    return found


def _single(
    step: Join | Accumulate,
    homes: Mapping[SpaceId, Sequence[Block]],
    spaces: Sequence[Space],
    graph: Graph,
    readers: Mapping[Slot, set[int]],
) -> Single | None:
    """The arms of a join, if they are those of one decision, of which each row takes one, and are alike."""
    arms: dict[int, Block] = {}
    decisions: set[Slot] = set()
    for write in step.writes:
        space, own = spaces[write.value.space], homes.get(write.value.space, ())
        choices = [choice for term in space.terms for choice in term]
        if space.parent != ROOT or space.strategy is not Strategy.COMPACT or len(choices) != 1 or len(own) != 1:
            return None
        (choice,), (block,) = choices, own
        if len(choice.arms) != 1 or choice.negated or choice.anywhere or not _private(block, step, readers):
            return None
        arms[choice.arms[0]] = block
        decisions.add(choice.decision)
    gate = graph[next(iter(decisions)).node]
    if len(decisions) != 1 or not isinstance(gate, Gate) or sorted(arms) != [*range(gate.arms)]:
        return None
    if len(step.writes) != gate.arms or not _one_of(graph, next(iter(decisions)).node, gate):
        return None
    if not _joined(step, graph, [arms[arm] for arm in range(gate.arms)]):
        return None
    weights = _aligned(graph, [arms[arm] for arm in range(gate.arms)])
    if weights is None:
        return None
    return Single(step.output, next(iter(decisions)), tuple(arms[arm].id for arm in range(gate.arms)), weights)


def _private(block: Block, join: Step, readers: Mapping[Slot, set[int]]) -> bool:
    """Whether a block takes values and calls operations, and only a join reads what it gives."""
    mine = {id(join), *map(id, block.steps)}
    made = (slot for step in block.steps for slot in writes(step))
    return block.wrap is Wrap.NONE and all(readers.get(slot, set()) <= mine for slot in made)


def _one_of(graph: Graph, id: NodeId, gate: Gate) -> bool:
    """Whether a gate over the batch takes one arm of each row."""
    if gate.kind is GateKind.ONE:
        return gate.type.rank == 1 and gate.type.batch == 0
    indices = graph.wiring().operands(id)[1] if gate.kind is GateKind.MANY else None
    one = indices is not None and graph.type(indices).axes[-1].size.value == 1
    return one and gate.type.rank == 2 and gate.type.batch == 0


def _joined(step: Join | Accumulate, graph: Graph, arms: Sequence[Block]) -> bool:
    """Whether a join takes the arms as they are, or each times its own of the weights that lie beside each other."""
    node, type = graph[step.node], step.output.type(graph)
    assert isinstance(node, Merge)
    if step.lay or type.batch != 0 or any(w.value.type(graph).shape != type.shape for w in step.writes):
        return False
    weights = [write.weight for write in step.writes if write.weight is not None]
    if not weights:
        return True
    whole = Slot(weights[0].node, weights[0].port, ROOT)
    taken = all(any(isinstance(s, Take) and s.source == whole for s in block.steps) for block in arms)
    return taken and len({(w.node, w.port) for w in weights}) == 1 and all(axes == (0,) for axes in node.axes)


def _aligned(graph: Graph, arms: Sequence[Block]) -> tuple[tuple[Slot, ...], ...] | None:
    """The weights that differ, each of all arms; None: the arms differ in something else."""
    found: dict[Slot, tuple[Slot, ...]] = {}
    same: list[dict[Slot, Slot]] = [{} for _ in arms]
    """What each slot of an arm is in the first one."""
    if len({len(block.steps) for block in arms}) > 1:
        return None
    for steps in zip(*(block.steps for block in arms), strict=True):
        first = steps[0]
        if isinstance(first, Take):
            if not all(isinstance(s, Take) and s.source == first.source for s in steps):
                return None
        elif not isinstance(first, Run) or not _alike(graph, steps):
            return None
        else:
            for slots in zip(*(s.inputs for s in steps if isinstance(s, Run)), strict=True):
                if not _fed(graph, slots, same, found):
                    return None
        for own, step in zip(same, steps, strict=True):
            own.update(zip(writes(step), writes(first), strict=True))
    return tuple(found.values())


def _alike(graph: Graph, steps: Sequence[Step]) -> bool:
    """Whether they are the same call of real numbers. A convolution wants weights that are there before it runs."""
    runs = [step for step in steps if isinstance(step, Run)]
    calls = [call for run in runs if isinstance(call := graph[run.node], Call)]
    if len(calls) < len(steps):
        return False
    first = calls[0]
    real = all(type.dtype is Dtype.F32 and type.batch == 0 for type in first.types)
    alike = all((c.op, c.attrs, c.types) == (first.op, first.attrs, first.types) for c in calls)
    return real and alike and not first.op.startswith("conv") and len({len(run.inputs) for run in runs}) == 1


def _fed(
    graph: Graph, slots: Sequence[Slot | None], same: Sequence[Mapping[Slot, Slot]], found: dict[Slot, tuple[Slot, ...]]
) -> bool:
    """Whether the operands of a step are one value, or the same one of each arm, or a weight of each."""
    given = [slot for slot in slots if slot is not None]
    if len(given) < len(slots):
        return not given
    first = [own.get(slot, slot) for own, slot in zip(same, given, strict=True)]
    if len({*first}) == 1:
        return True
    sources = all(isinstance(graph[slot.node], Weight | Constant) for slot in given)
    if not sources or len({slot.type(graph) for slot in given}) > 1:
        return False
    return found.setdefault(given[0], tuple(given)) == tuple(given)


def _pays(single: Single, blocks: Sequence[Block], target: Target, graph: Graph) -> bool:
    costs = target.costs
    others = [step for id in single.blocks[1:] for step in blocks[id].steps if isinstance(step, Run)]
    saved = costs.empty_us * (SORTED + sum(parts(step, graph) for step in others))
    elements = sum(reckoned(slots[0].type(graph).elements) for slots in single.weights)
    picked = costs.op_us * len(single.weights) + elements * costs.take_ns / 1e3
    return saved > MARGIN * (costs.wrap_us + picked)
