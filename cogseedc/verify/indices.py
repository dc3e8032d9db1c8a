"""What an integer input may be: the smallest of the tables, axes and classes that it, or a copy of it, indexes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cogseedc.ir import Call, Graph, Input, Loop, Merge, NodeId, Output, Return, Size, Value

_PASS_ON: Mapping[str, tuple[int, ...] | None] = {
    **dict.fromkeys(("permute", "unsqueeze", "squeeze", "expand", "reshape", "flatten", "split", "join", "select")),
    **dict.fromkeys(("slice", "cast", "concat", "stack", "identity", "detach", "flip", "roll", "tile")),
    **dict.fromkeys(("take", "gather"), (0,)),
    **dict.fromkeys(("put", "scatter"), (0, 2)),
    "where": (1, 2),
}
"""Operations behind which an integer is still the same number, with the operands of which that holds: None is all."""


def index_limit(graph: Graph, id: NodeId, sizes: Mapping[str, int]) -> int:
    """One more than the largest index that every use of an integer input allows; 4 when nothing limits it.

    Follows it through what only moves it, also into loops and through their turns.
    """
    limits: list[int] = []
    _follow(graph, [Value(id)], sizes, limits)
    return min(limits, default=4)


def _follow(graph: Graph, starts: Iterable[Value], sizes: Mapping[str, int], limits: list[int]) -> set[NodeId]:
    """Adds the limits of all uses of some values; the outputs of the graph that have their numbers."""
    wiring = graph.wiring()
    stack, seen, outputs = [*starts], set[Value](), set[NodeId]()
    while stack:
        value = stack.pop()
        if value in seen:
            continue
        seen.add(value)
        for edge in wiring.outs[value.node]:
            node, port = graph[edge.dst], edge.dst_port
            if edge.src_port != value.port:
                continue
            if isinstance(node, Output):
                outputs.add(edge.dst)
            elif isinstance(node, Loop):
                stack += [Value(edge.dst, out) for out in _through(node, port, sizes, limits)]
            elif isinstance(node, Return):
                stack.append(Value(edge.dst, port))
            elif isinstance(node, Merge):
                arms = len(node.arms)
                stack += [Value(edge.dst)] if port < arms or (node.otherwise and port == 2 * arms) else []
            elif isinstance(node, Call):
                limits += _limits_of(graph, node, edge.dst, port, sizes)
                if node.op in _PASS_ON and port in (_PASS_ON[node.op] or (port,)):
                    stack.append(Value(edge.dst))
    return outputs


def _through(loop: Loop, port: int, sizes: Mapping[str, int], limits: list[int]) -> set[int]:
    """The outputs of a loop that have the numbers of an operand. A carry that got them has them in the next turn."""
    inputs = [id for id, node in loop.body.nodes() if isinstance(node, Input)]
    ends = {id: i for i, id in enumerate(id for id, node in loop.body.nodes() if isinstance(node, Output))}
    inside, reached = {port}, set[int]()
    while True:
        starts = [Value(inputs[p]) for p in inside if p < len(inputs)]
        reached = {ends[id] for id in _follow(loop.body, starts, sizes, limits)}
        carried = {end for end in reached if end < loop.carries}
        if carried <= inside:
            break
        inside |= carried
    given = {loop.yields + carry for carry in inside | reached if carry < loop.carries}
    return given | {end - loop.carries for end in reached if loop.carries <= end < loop.carries + loop.yields}


def _limits_of(graph: Graph, node: Call, id: NodeId, port: int, sizes: Mapping[str, int]) -> Iterator[int]:
    """Sizes of the axis that operand `port` indexes: of an embedding's rows, of what is taken from, of its classes."""
    types = [None if v is None else graph.type(v) for v in graph.wiring().operands(id)]
    if node.op == "one_hot":
        for name, value in node.attrs.items:
            if name in ("classes", "size") and isinstance(value, (int, Size)):
                yield Size.of(value).evaluate(sizes)
    elif node.op == "embedding" and port == 0:
        table = types[1] if len(types) > 1 else None
        if table is not None:
            yield table.shape[-2].evaluate(sizes)
    elif node.op in ("take", "put", "gather", "scatter") and port == 1 and types[0] is not None:
        over = dict(node.attrs.items).get("over", -1)
        axis = over[0] if isinstance(over, tuple) and over else over
        yield types[0].shape[axis if isinstance(axis, int) else -1].evaluate(sizes)
