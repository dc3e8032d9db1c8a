"""The precisions of a build: chosen before the other passes run, kept in the artifact, read back for verification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from cogseedc.analysis.tolerance import FP32, hold_written
from cogseedc.analysis.widths import Rounding, Widths, choose, wanted_ranges
from cogseedc.diagnostics import Diagnostics
from cogseedc.driver.manifest import Json
from cogseedc.driver.program import Program
from cogseedc.interp import ranges_of
from cogseedc.ir import Call, Graph, Loop, NodeId, Output, Value
from cogseedc.ops import OPS
from cogseedc.passes import PIPELINES, AssignBitwidths, Context, Pass, run_pipeline
from cogseedc.runtime.artifact import damaged
from cogseedc.target import Target

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

PAYLOAD = "precisions.json"


def chosen_widths(
    program: Program,
    target: Target,
    bits: str,
    weights: Mapping[str, Array] | None = None,
    calibration: Mapping[str, Array] | None = None,
) -> Widths:
    """The precisions of a program's calls on a target, with fixed scales when there are samples to calibrate with.

    Raises UserError CS0706 .. CS0708, and CS0843 .. CS0845 for samples that do not fit the program.
    """
    found = Diagnostics()
    hold_written(program.elaborated.graph, target, found)
    found.check()
    graphs = [graph for graph, _ in program.elaborated.graph.nested()]
    if bits == FP32 and not any(node.origin.forced_bits for graph in graphs for _, node in graph.nodes()):
        return Widths()
    graph = rounded_graph(program, target, Widths())
    ranges = None
    if calibration is not None and weights is not None:
        wanted = wanted_ranges(graph, OPS, target, bits, found)
        found.check()
        if wanted:
            read = graph.weights()  # not those of what no output needs
            ranges = ranges_of(graph, {p: a for p, a in weights.items() if p in read}, calibration, wanted)
    widths = choose(graph, OPS, target, bits, ranges, found)
    found.check()
    return widths


def rounded_graph(program: Program, target: Target, widths: Widths) -> Graph:
    """The program with exits as gates, norms folded as the target folds them, and its roundings written out.

    Nothing else is done to it: this is what an artifact in these precisions means.
    """
    graph = program.elaborated.graph.copy()
    context = Context(OPS, target=target, limits=program.settings.limits)
    run_pipeline(graph, with_widths(PIPELINES[rounding_pipeline(target)], widths, emulated=True), context)
    return graph


def rounding_pipeline(target: Target) -> str:
    """Name of the passes, the first of a build, that change values."""
    return "rounded" if target.backend == "torch" else "stored-rounded"


def with_widths(pipeline: tuple[Pass, ...], widths: Widths, emulated: bool = False) -> tuple[Pass, ...]:
    """A pipeline that writes precisions that were chosen before."""
    return tuple(
        replace(step, widths=widths, emulated=emulated) if isinstance(step, AssignBitwidths) else step
        for step in pipeline
    )


def last_step(graph: Graph) -> float:
    """The largest fixed scale of a value that reaches an output with no layer, mean or the like behind it.

    A number near the middle of two integers may be rounded either way, since runtimes add up in other orders: such an
    output may differ by so much.
    """
    wiring = graph.wiring()
    stack = [edge.src for id, node in graph.of(Output) for edge in wiring.ins[id]]
    seen, largest = set(stack), 0.0
    while stack:
        id = stack.pop()
        node = graph[id]
        if isinstance(node, Loop):
            largest = max(largest, last_step(node.body))
        if isinstance(node, Call) and node.op == "dequantize":
            scale = graph[wiring.ins[id][1].src]
            largest = max(largest, float(getattr(scale, "values", (0.0,))[0]))
        if isinstance(node, Call) and (OPS[node.op].macs is not None or OPS[node.op].group == "reduction"):
            continue
        for edge in wiring.ins[id]:
            if edge.src not in seen:
                seen.add(edge.src)
                stack.append(edge.src)
    return largest


def record_of(widths: Widths, graph: Graph) -> Json:
    """Precisions as data; `graph` is the one that they were chosen for."""
    bodies = {around[-1].name: body for body, around in graph.nested() if around}
    return {
        "nodes": [
            {"node": id, "op": _op(graph, id), "path": graph[id].origin.path, "precision": precision}
            for id, precision in sorted(widths.nodes.items())
        ],
        "rounded": [
            {"node": v.node, "port": v.port, "scale": r.scale, "zero": r.zero}
            for v, r in sorted(widths.rounded.items(), key=lambda item: (item[0].node, item[0].port))
        ],
        "scales": "calibrated" if widths.static else "measured per sample",
        "weight_limit": widths.weight_limit,
        "exact": widths.exact,
        **({"loops": {n: record_of(w, bodies[n]) for n, w in widths.bodies.items()}} if widths.bodies else {}),
    }


def widths_of(record: Json, graph: Graph) -> Widths:
    """What `record_of` wrote. Raises UserError CS0831 when it does not fit the program."""
    try:
        table = cast(dict[str, Any], record)
        nodes = {NodeId(int(r["node"])): str(r["precision"]) for r in table["nodes"]}
        fits = all(NodeId(r["node"]) in graph and _op(graph, NodeId(r["node"])) == r["op"] for r in table["nodes"])
        rounded = {
            Value(NodeId(int(r["node"])), int(r["port"])): Rounding(float(r["scale"]), int(r["zero"]))
            for r in table["rounded"]
        }
        fits = fits and all(value.node in graph for value in rounded)
        static, limit, exact = table["scales"] == "calibrated", int(table["weight_limit"]), bool(table["exact"])
        loops = {around[-1].name: body for body, around in graph.nested() if around}
        bodies = {str(name): widths_of(inner, loops[name]) for name, inner in table.get("loops", {}).items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise damaged(f"{PAYLOAD} does not fit the program that the artifact keeps")
    return Widths(nodes, rounded, static, limit, exact, bodies)


def _op(graph: Graph, id: NodeId) -> str:
    node = graph[id]
    return node.op if isinstance(node, Call) else type(node).__name__.lower()
