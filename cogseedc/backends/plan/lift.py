"""Lets what shrinks a value run before the value's rows are taken, where moving the smaller result is cheaper.

`max_pool2d` behind an exit is the usual case: on the rows that leave it is computed for nothing, but a quarter of the
elements is moved, and what a convolution wrote is read in the layout that it has. It is always right to compute more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from cogseedc.ir import TRUE, Call, Dtype, Graph, Guard, NodeId, Ops, TensorType, reckoned
from cogseedc.target import Target

RATE = 0.5
"""Share of the rows that stay, without a profile."""


def lift(
    graph: Graph,
    order: Sequence[NodeId],
    guards: Mapping[NodeId, Guard],
    target: Target,
    ops: Ops,
    placed: Collection[NodeId] = (),
) -> dict[NodeId, Guard]:
    """The guards, with those of shrinking calls replaced by their operand's where that pays; not of operands that are
    `placed`, that is, computed for single positions."""
    found = dict(guards)
    wiring = graph.wiring()
    wanted = set(order)
    for id in order:
        node = graph[id]
        values = [v for v in wiring.operands(id) if v is not None]
        if not isinstance(node, Call) or len(values) != 1 or ops[node.op].macs is not None:
            continue
        source = graph[values[0].node]
        above = found.get(values[0].node, TRUE)
        if not isinstance(source, Call) or found.get(id, TRUE) == above or node.type.batch is None:
            continue
        if values[0].node in placed:
            continue
        readers = {e.dst for e in wiring.outs[values[0].node] if e.src_port == values[0].port and e.dst in wanted}
        alone = all(r == id or found.get(r, TRUE) == above for r in readers)
        if alone and graph.type(values[0]).batch is not None and _saved(graph.type(values[0]), node, target) > 0:
            found[id] = above
    return found


def _saved(type: TensorType, node: Call, target: Target) -> float:
    """Nanoseconds for each row of an operand that are saved, less those of the rows that were not to be computed."""
    before, after = reckoned(type.elements), reckoned(node.type.elements)
    costs = target.costs
    image = type.rank == 4 and type.dtype is Dtype.F32
    moved = RATE * costs.take_ns + (1 + RATE) * costs.layout_ns * image
    return (before - after) * moved - (1 - RATE) * before * costs.pass_ns
