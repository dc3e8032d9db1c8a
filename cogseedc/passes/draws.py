"""Log-probabilities of decisions that are drawn in the turns of a loop, summed over the turns. Training only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cogseedc.ir import Call, Constant, ControlEdge, Dtype, Graph, Loop, Loss, NodeId, TensorType, Value
from cogseedc.passes.base import Context
from cogseedc.passes.bodies import Carry, add_carries, behind, ports
from cogseedc.passes.rewrite import call


def sum_draws(graph: Graph, id: NodeId, controls: tuple[ControlEdge, ...], context: Context) -> None:
    """What the body of a loop draws is given out beside the loop: for each index the sum over the turns that it took.

    A sum of log-probabilities is what the gradient of an expected reward needs (Williams 1992). A baseline is the same
    in all turns, so it is what it was in the last. `controls` are those of the loop; in its body nothing that is summed
    is computed for some decisions only.
    """
    loop = graph[id]
    assert isinstance(loop, Loop)
    body = loop.body
    losses = {node: loss for node, loss in body.nodes() if isinstance(loss, Loss) and loss.drawn}
    if not losses:
        return
    drawn = [_Drawn.of(graph, body, context, node, loss) for node, loss in losses.items()]
    for node in behind(body, list(losses)):
        for edge in body.wiring().controls[node]:
            body.disconnect(edge)
    stop = _stopping(loop)
    totals = iter(add_carries(graph, id, [carry for one in drawn for carry in one.carries(stop)]))
    body.remove(losses)
    for one in drawn:
        made = graph.add(one.loss, (next(totals), one.number or next(totals)))
        for edge in controls:
            graph.connect(replace(edge, dst=made))


def _stopping(loop: Loop) -> TensorType:
    """The boolean that stops an index; without axes where none stops."""
    stop = ports(loop).stop
    value = None if stop is None else loop.body.feeds(stop)[0]
    return TensorType(Dtype.BOOL) if value is None else loop.body.type(value)


@dataclass(frozen=True)
class _Drawn:
    """One draw of a body: its log-probability and the baseline of its reward."""

    graph: Graph
    body: Graph
    context: Context
    node: NodeId
    loss: Loss
    number: Value | None
    """A baseline that is a number, in the graph around."""

    @staticmethod
    def of(graph: Graph, body: Graph, context: Context, node: NodeId, loss: Loss) -> _Drawn:
        baseline = body.feeds(node)[1]
        number = None if baseline is None else body[baseline.node]
        outside = Value(graph.add(number)) if isinstance(number, Constant) else None
        return _Drawn(graph, body, context, node, loss, outside)

    def carries(self, stop: TensorType) -> Iterator[Carry]:
        """The sum, then the baseline if it is no number; both over the axes of the decision."""
        held = tuple(p for a in stop.axes if (p := self.loss.type.position(a.name or "")) is not None)
        assert len(held) == stop.rank, "a decision that is drawn is over the axes of what stops the loop"
        yield Carry(self._zeros(), self.loss.type, held, self._sum)
        if self.number is None:
            yield Carry(self._zeros(), self.loss.type, held, self._baseline)

    def _zeros(self) -> Value:
        sizes = tuple(axis.size for axis in self.loss.type.axes)
        made = call(self.graph, self.context, "zeros", (), self.loss.origin, sizes=sizes)
        node = self.graph[made.node]
        assert isinstance(node, Call)
        self.graph.update(made.node, replace(node, types=(self.loss.type,)))
        return made

    def _sum(self, before: Value) -> Value:
        return self._call("add", before, self._fed(0))

    def _baseline(self, before: Value) -> Value:
        """Along the axes of the decision."""
        none = Value(self.body.add(Constant(TensorType(Dtype.F32), (0.0,), self.loss.origin)))
        return self._call("add", self._call("mul", before, none), self._fed(1))

    def _fed(self, port: int) -> Value:
        """The log-probability, or the baseline, which a new carry may have moved."""
        value = self.body.feeds(self.node)[port]
        assert value is not None, "a built loss has its operands"
        return value

    def _call(self, op: str, *operands: Value) -> Value:
        return call(self.body, self.context, op, operands, self.loss.origin)
