"""Joins of all arms of one decision whose rows were sorted by arm: the results lie in that order, one behind the other,
and go back to their rows at once, weighted at once. An arm then costs what it computes, and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cogseedc.backends.onnx.builder import Region
from cogseedc.backends.onnx.fusion import inputs_of
from cogseedc.backends.onnx.groups import Group, Groups
from cogseedc.backends.plan.model import Accumulate, Join, Plan, Slot
from cogseedc.ir import GateKind, Graph, Merge


def together(plan: Plan, groups: Groups, step: Join | Accumulate) -> Group | None:
    """The group whose spaces are those of a join's writes, if each of its rows is in one arm at most."""
    spaces = [write.value.space for write in step.writes]
    group = groups.of(spaces[0]) if spaces else None
    node, type = plan.graph[step.node], step.output.type(plan.graph)
    assert isinstance(node, Merge)
    if group is None or sorted(spaces) != sorted(group.spaces) or step.lay or type.batch != 0:
        return None
    if plan.spaces[spaces[0]].parent != step.output.space or not _alone(plan.graph, group):
        return None
    weights = [write.weight for write in step.writes if write.weight is not None]
    if weights and not (_dense(step, group, groups, weights) and all(axes == (0,) for axes in node.axes)):
        return None
    return group if all(write.value.type(plan.graph).shape == type.shape for write in step.writes) else None


def _dense(step: Join | Accumulate, group: Group, groups: Groups, weights: Sequence[Slot]) -> bool:
    """Whether the weights of all arms lie beside each other at the rows of the join, from where they would be taken."""
    whole = Slot(weights[0].node, weights[0].port, step.output.space)
    alike = all((weight.node, weight.port) == (whole.node, whole.port) for weight in weights)
    every = group.arms == tuple(range(group.gate.arms))
    return alike and every and all(groups.taken(whole, space) for space in group.spaces)


def weights_of(plan: Plan, groups: Groups) -> frozenset[Slot]:
    """Weights of arms that need not be taken to the rows of each, since only joins at once read them; looked up,
    never listed."""
    joint: set[Slot] = set()
    others: set[Slot] = set()
    for step in (step for block in plan.blocks for step in block.steps):
        if isinstance(step, Accumulate) and together(plan, groups, step) is not None:
            joint.update(write.weight for write in step.writes if write.weight is not None)
            others.update(write.value for write in step.writes)
        else:
            others.update(inputs_of(step, plan))
    return frozenset(joint - others)


def emit_together(
    plan: Plan,
    groups: Groups,
    value: Callable[[Region, Slot], str],
    region: Region,
    step: Join | Accumulate,
    group: Group,
    total: str,
) -> str:
    """`total` with the rows of all arms overwritten; `value` names a slot's value as a region sees it."""
    by = {write.value.space: write for write in step.writes}
    values = [value(region, by[space].value) for space in group.spaces]
    sorted_ = region.node("Concat", values, axis=0)
    weight = step.writes[0].weight
    if weight is not None:
        dense = value(region, Slot(weight.node, weight.port, step.output.space))
        rank = step.output.type(plan.graph).rank
        sorted_ = region.node("Mul", [sorted_, groups.chosen(region, group, dense, rank)])
    return region.node("ScatterND", [total, groups.all_places(region, group), sorted_])


def _alone(graph: Graph, group: Group) -> bool:
    """Whether a decision takes one arm at most."""
    if group.gate.kind is GateKind.ONE:
        return True
    indices = graph.wiring().operands(group.decision.node)[1]
    return indices is not None and graph.type(indices).axes[-1].size.value == 1
