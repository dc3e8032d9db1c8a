"""What it is predicted to cost to compute some channels, beside all."""

from __future__ import annotations

from collections.abc import Callable

from cogseedc.analysis.channels import Channels
from cogseedc.analysis.kept import Choice, Kept
from cogseedc.ir import BATCH_SIZE, Call, Graph, Ops, Size
from cogseedc.target import Costs

CALL_OPS = 5
"""Operations that it takes to find the channels of all samples, and to copy the base."""
TURN = 4
"""Branches that a turn of the loop over samples costs like."""


def channel_costs(
    graph: Graph,
    region: Channels,
    ops: Ops,
    costs: Costs,
    share: Callable[[Choice], float],
    number: Callable[[Size], float],
) -> tuple[float, float]:
    """Microseconds of a region for all channels, and for those that are chosen: a `share` by each decision. `number`
    says how much a size is reckoned as."""
    turns = number(BATCH_SIZE) if region.apart(graph) else 1.0
    chosen = 1.0 if region.choice is None else share(region.choice)
    dense = picked = 0.0
    operations = 0
    for layer in region.layers:
        node = graph[layer.node]
        assert isinstance(node, Call)
        types = [None if v is None else graph.type(v) for v in graph.wiring().operands(layer.node)]
        macs = ops[node.op].macs
        work = number(macs(node.attrs, types, node.types)) * costs.mac_ns if macs else 0.0
        made = number(node.type.elements) * costs.take_ns
        read = 1.0 if layer.kept is None else _share(layer.kept, share, number)
        parts = [t for t, axis in zip(types, layer.axes, strict=True) if t is not None and axis is not None]
        if layer.kept is not None and types[0] is not None:
            picked += read * number(types[0].elements) * costs.take_ns
        weights = sum(number(t.elements) for t in parts if t.batch is None)
        if layer.kept is not None and layer.axes[1] is None and types[1] is not None:
            weights += number(types[1].elements)
        dense += work + made
        part = 1.0 if layer.whole else chosen * read
        picked += part * work + chosen * made + turns * chosen * read * weights * (costs.take_ns + costs.weight_ns)
        picked += layer.whole * made
        operations += 1 + len(parts) + (2 if layer.kept is not None else 0) + 2 * layer.whole
    elements = number(graph.type(region.result).elements)
    copied = elements * costs.select_ns if region.base is not None else 0.0
    picked += chosen * elements * costs.put_ns + copied
    dense_us = (dense + copied) / 1e3 + (len(region.layers) + 1) * costs.op_us
    loop = turns * TURN * costs.branch_us if turns > 1 else 0.0
    return dense_us, picked / 1e3 + loop + (turns * (operations + 1) + CALL_OPS) * costs.op_us


def _share(kept: Kept, share: Callable[[Choice], float], number: Callable[[Size], float]) -> float:
    """The share of channels that may differ from zero, decisions being independent."""
    total = some = 0.0
    for part in kept.parts:
        size, none = number(part.size), 1.0
        for choice in part.taken or ():
            none *= 1.0 - share(choice)
        total += size
        some += size * (1.0 if part.taken is None else 1.0 - none)
    return some / total if total else 1.0
