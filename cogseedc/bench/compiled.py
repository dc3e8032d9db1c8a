"""A program compiled in memory as `cogseedc build` does, ready to be timed, with the limit of its plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cogseedc.backends.names import class_name
from cogseedc.backends.plan import Plan, plan
from cogseedc.bench.runtimes import Feed, Model, OnnxModel, TorchModel
from cogseedc.bench.segments import Limit, Work, limit_of
from cogseedc.driver.compile import Request, lowered, prepared
from cogseedc.driver.emit import EMITTERS
from cogseedc.driver.lower import Lowering
from cogseedc.driver.program import Program
from cogseedc.driver.timing import Timing, collector_paused
from cogseedc.driver.weights import Weights
from cogseedc.ir import Graph, Input, NodeId, Weight

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Compiled:
    """One program for one target."""

    program: Program
    weights: Weights
    lowering: Lowering
    model: Model
    payload: bytes
    """What was emitted."""
    threads: int

    @property
    def plan(self) -> Plan:
        return self.lowering.plan

    def limit(self, gates: bool = True) -> Limit:
        """The practical limit; without `gates`, without what only decisions need."""
        return limit_of(self.plan, self._segment, gates)

    def work(self, feed: Feed) -> Work:
        """How many rows each space holds for these inputs, in one run."""
        axes = [(n.name, n.type.batch) for _, n in self.plan.graph.nodes() if isinstance(n, Input)]
        batch = next((feed[name].shape[axis] for name, axis in axes if axis is not None), 1)
        return Work(batch, self.model.trace(feed)[1])

    def _segment(self, graph: Graph) -> Callable[[Feed], Callable[[], object]]:
        """A static graph in the same runtime, with the same weights, spelled by the same tables; then one run of it."""
        static = plan(graph, self.lowering.target, "dense")
        lowering = Lowering(self.lowering.target, static, static, "dense", "fp32")
        model, _ = _made(lowering, self.program, self.weights, self.threads)
        return model.bound


def compiled(
    source: str | Program,
    target: str,
    weights: Mapping[str, Any] | None = None,
    *,
    gates: str = "auto",
    bits: str | None = None,
    threads: int = 1,
    request: Request | None = None,
) -> Compiled:
    """Compiles a text or a program. `weights` may hold more than it needs. Raises UserError as a build does."""
    asked = request or Request(gates=gates, bits=bits, rng=0)
    with collector_paused():
        program, drawn = prepared(source, asked, Timing())
        if weights is not None:
            drawn = Weights.of(program, {key: weights[key] for key in drawn.by_key()}, None)
        lowering = lowered(program, drawn, target, asked, Timing())
    model, payload = _made(lowering, program, drawn, threads)
    return Compiled(program, drawn, lowering, model, payload, threads)


def _made(lowering: Lowering, program: Program, weights: Weights, threads: int) -> tuple[Model, bytes]:
    """The emitted model, opened."""
    payload, _ = EMITTERS[lowering.target.backend](lowering, program, weights)
    if lowering.target.backend == "onnx":
        return OnnxModel(payload, threads), payload
    inputs = [node.name for _, node in lowering.plan.graph.nodes() if isinstance(node, Input) and node.state is None]
    held = {_path(plan, id) for plan in (lowering.plan, lowering.training) if plan for id in plan.weights}
    arrays = {weights.names.key(path): weights.arrays[path] for path in sorted(held)}
    return TorchModel(payload, class_name(program.name), arrays, inputs), payload


def _path(plan: Plan, id: NodeId) -> str:
    node = plan.graph[id]
    assert isinstance(node, Weight)
    return node.path
