"""Training values of decisions that the body of a loop reads: further captures and sequences. Knows no estimator."""

from __future__ import annotations

from collections.abc import Iterator

from cogseedc.ir import Constant, Input, Loop, NodeId, Value
from cogseedc.passes.bodies import ports
from cogseedc.passes.hoist_loops import add_elements
from cogseedc.passes.mirroring import Mirror
from cogseedc.passes.rewrite import feed


def inside(mirror: Mirror, id: NodeId, loop: Loop) -> Mirror:
    """The mirror of a loop's body, which has what stands for the decisions that come in."""
    _elements(mirror, id, loop)
    body = loop.body
    again = mirror.graph[id]
    assert isinstance(again, Loop)
    found = Mirror(body, mirror.context, dict(body.wiring().controls))
    at, given = ports(again), mirror.graph.feeds(id)
    known = {value: Value(node) for node, value in zip(at.inputs, given, strict=True) if value is not None}
    operands = [value for value in given if value is not None]
    for node, value in zip(at.inputs[again.carries :], given[again.carries :], strict=True):
        for mine, theirs in ((mirror.values, found.values), (mirror.shares, found.shares)):
            share = None if value is None else mine.get(value)
            if share is None:
                continue
            if share not in known:
                assert node in at.captures, "sequences are there already"
                payload = Input(f"share_{body.next_id}", mirror.graph.type(share))
                known[share] = Value(body.add(payload))
                operands.append(share)
            theirs[Value(node)] = known[share]
            if share in mirror.soft:
                found.soft.add(known[share])
    feed(mirror.graph, id, operands)
    found.controls.update({value.node: () for value in known.values()})
    return found


def _elements(mirror: Mirror, id: NodeId, loop: Loop) -> None:
    """Has the loop scan what stands for the decisions that it scans."""
    body = loop.body
    added: list[tuple[Value, Value, int]] = []
    for share, place in dict(_scanned(mirror, id, loop)).items():
        whole = mirror.graph.type(share)
        type = whole.with_axes((*whole.axes[:place], *whole.axes[place + 1 :]))
        added.append((Value(body.add(Constant(type, (0.0,)))), share, place))
    if added:
        add_elements(mirror.graph, id, loop, added)
        body.remove([value.node for value, _, _ in added])


def _scanned(mirror: Mirror, id: NodeId, loop: Loop) -> Iterator[tuple[Value, int]]:
    given = mirror.graph.feeds(id)
    for value, place in zip(given[loop.carries : loop.carries + len(loop.scanned)], loop.scanned, strict=True):
        for table in (mirror.values, mirror.shares):
            share = None if value is None else table.get(value)
            if share is not None:
                yield share, place
