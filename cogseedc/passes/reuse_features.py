"""Does not compute again what is known of rows that a skipped block has not changed. Decides no order and no rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cogseedc.ir import Attrs, Call, Graph, Merge, MergeMode, Phase, Pointwise, Value, reckoned
from cogseedc.passes.base import Context, Pass

SMALLER = 4
"""How many times smaller than its operand a feature must be: then choosing between features costs next to nothing."""

_Key = tuple[str, Attrs, Value]


@dataclass(frozen=True)
class ReuseFeatures(Pass):
    """A call that sums a join up (a gate's pooled features, say) becomes the join of that call on each arm, when the
    call on one of the arms exists: `mean(when g { f(x) } else { x })` is `when g { mean(f(x)) } else { mean(x) }`.

    For calls of one operand without weights that read each row by itself and give a quarter of its elements or less,
    on joins by gates over the batch whose arms have the join's type. Along a chain of skipped blocks each block's gate
    then looks only at rows that the block before has changed (incremental features). The same numbers come out.
    """

    name: ClassVar[str] = "reuse-features"
    requires: ClassVar[Phase] = Phase.JOINED

    def run(self, graph: Graph, context: Context) -> bool:
        wiring = graph.wiring()
        known: dict[_Key, Value] = {}
        changed = False
        for id in wiring.order:
            node = graph[id]
            if not isinstance(node, Call) or context.ops[node.op].training or len(node.types) != 1:
                continue
            feeds = graph.feeds(id)
            if len(feeds) != 1 or feeds[0] is None:
                continue
            result = Value(id)
            if _sums_up(graph, context, node, feeds[0]):
                joined = _joined(graph, node, feeds[0], known)
                if joined is not None:
                    graph.redirect(result, joined)
                    graph.remove([id])
                    result, changed = joined, True
            known.setdefault((node.op, node.attrs, feeds[0]), result)
        return changed


def _sums_up(graph: Graph, context: Context, node: Call, value: Value) -> bool:
    """Whether a call gives a small feature of each row of a join over the batch."""
    merge, type = graph[value.node], graph.type(value)
    if not isinstance(merge, Merge) or merge.mode is not MergeMode.SELECT or type.batch is None:
        return False
    if any(axes != (type.batch,) for axes in merge.axes) or node.type.batch is None:
        return False
    flow = context.ops[node.op].flow(node.attrs, (type,), node.types)[0][type.batch]
    return flow == Pointwise(node.type.batch) and SMALLER * reckoned(node.type.elements) <= reckoned(type.elements)


def _joined(graph: Graph, node: Call, value: Value, known: dict[_Key, Value]) -> Value | None:
    """The join of the call on each arm; None when it is there on none, or when an arm has another type."""
    merge = graph[value.node]
    assert isinstance(merge, Merge)
    fed = list(graph.feeds(value.node))
    count = len(merge.arms)
    places = [*range(count), *range(2 * count, 2 * count + merge.otherwise)]
    arms = {place: arm for place in places if (arm := fed[place]) is not None}
    whole = all(graph.type(arm).shape == merge.type.shape for arm in arms.values())
    if not whole or not any((node.op, node.attrs, arm) in known for arm in arms.values()):
        return None
    for place, arm in arms.items():
        key = (node.op, node.attrs, arm)
        if key not in known:
            known[key] = Value(graph.add(node, [arm]))
        fed[place] = known[key]
    assert node.type.batch is not None
    axes = ((node.type.batch,),) * count
    return Value(graph.add(Merge(merge.mode, merge.arms, merge.otherwise, axes, node.type, node.origin), fed))
