"""Chooses a precision for each call so that the modelled time is least, and which values are rounded for it.

The choice is data (`Widths`): the pass writes it into a graph, an artifact keeps it, the reference is given it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from struct import pack, unpack
from typing import TYPE_CHECKING

from cogseedc.analysis.cost import ASSUMED, node_cost
from cogseedc.analysis.elimination import Pair, Table, cheapest
from cogseedc.analysis.tolerance import (
    ABSORBED,
    CARRIED,
    FP32,
    INT8,
    LAYERS,
    activations,
    candidates,
    weights_alone,
)
from cogseedc.diagnostics import Diagnostics
from cogseedc.ir import BATCH, Call, Graph, NodeId, Ops, Size, Value, Wiring
from cogseedc.record import record

if TYPE_CHECKING:
    from cogseedc.target import Target

Located = tuple[str, Value]
"""A value of the program (name ""), or of the body of the loop of that name."""
Ranges = Mapping[Located, tuple[float, float]]
"""Least and largest element of values, as measured; in a loop, over all its turns."""
LEVELS = 255
"""Steps of the range of a value, whose integers are 0 .. 255; weights are signed."""


@record
class Rounding:
    """How a value becomes an integer: x / scale + zero."""

    scale: float
    zero: int


@record
class Widths:
    """Precisions of the calls of one graph and of the bodies of its loops; scales of the values rounded to int8."""

    nodes: Mapping[NodeId, str] = field(default_factory=dict)
    """Reduced precisions, by call; a call that is not here has fp32."""
    rounded: Mapping[Value, Rounding] = field(default_factory=dict)
    """Values with a fixed scale. That of an int8 call is rounded for all its readers, any other for int8 calls."""
    static: bool = False
    """Whether the scales were measured before; if not, each int8 call measures its operand's, sample by sample."""
    weight_limit: int = 127
    """Largest magnitude of an int8 weight."""
    exact: bool = True
    """Whether nothing is modelled to be cheaper."""
    bodies: Mapping[str, Widths] = field(default_factory=dict)
    """Those of the bodies of all loops that have any, at any depth, by the name of the loop."""

    @property
    def precisions(self) -> frozenset[str]:
        return frozenset(self.nodes.values()).union(*(body.precisions for body in self.bodies.values()))

    def of(self, loop: str) -> Widths:
        """Those of the body of a loop; of no loop (""): the program's own."""
        return self.bodies.get(loop, Widths(static=self.static)) if loop else self


@record
class Model:
    """The modelled cost, in nanoseconds per sample: one variable per call that has a choice."""

    domains: Mapping[NodeId, tuple[str, ...]]
    singles: Mapping[int, Sequence[float]]
    pairs: Mapping[Pair, Table]


def choose(
    graph: Graph, ops: Ops, target: Target, bits: str, ranges: Ranges | None, diagnostics: Diagnostics
) -> Widths:
    """The precisions of least modelled cost among those that `candidates` allows.

    With `ranges` (of all values in `wanted_ranges`) scales are fixed. What goes into a loop, from turn to turn and out
    of it is in fp32, so that its body is chosen for by itself.
    """
    own = _chosen(graph, ops, target, bits, ranges, "", diagnostics)
    bodies = {name: _chosen(body, ops, target, bits, ranges, name, diagnostics) for name, body in _bodies(graph)}
    return replace(own, bodies={name: widths for name, widths in bodies.items() if widths.nodes})


def _bodies(graph: Graph) -> Iterator[tuple[str, Graph]]:
    return ((around[-1].name, body) for body, around in graph.nested() if around)


def _chosen(
    graph: Graph, ops: Ops, target: Target, bits: str, ranges: Ranges | None, loop: str, diagnostics: Diagnostics
) -> Widths:
    """The precisions of one graph: the program's, or that of the body of a loop."""
    static = ranges is not None
    domains = candidates(graph, ops, target, bits, static, diagnostics)
    if diagnostics.failed:
        return Widths(static=static, weight_limit=target.int8_weight)
    model = model_of(graph, ops, target, domains, static)
    choice = cheapest(model.singles, model.pairs)
    nodes = {id: domain[choice.values[id]] for id, domain in domains.items()}
    nodes = {id: precision for id, precision in nodes.items() if precision != FP32}
    measured = {value: range for (name, value), range in ranges.items() if name == loop} if ranges is not None else {}
    rounded = _rounded(graph, target, nodes, measured) if static else {}
    return Widths(nodes, rounded, static, target.int8_weight, choice.exact)


def wanted_ranges(graph: Graph, ops: Ops, target: Target, bits: str, diagnostics: Diagnostics) -> tuple[Located, ...]:
    """The values whose ranges int8 calls may need: their operands and results."""
    return tuple(
        (name, value)
        for name, inner in (("", graph), *_bodies(graph))
        for value in _wanted(inner, candidates(inner, ops, target, bits, True, diagnostics))
    )


def _wanted(graph: Graph, domains: Mapping[NodeId, tuple[str, ...]]) -> list[Value]:
    wiring = graph.wiring()
    fixed = weights_alone(graph, wiring)
    found: dict[Value, None] = {}
    for id, domain in domains.items():
        if INT8 in domain:
            found[Value(id)] = None
            found.update(dict.fromkeys(activations(graph, wiring, id, fixed).values()))
    return sorted(found, key=lambda v: (v.node, v.port))


def model_of(graph: Graph, ops: Ops, target: Target, domains: Mapping[NodeId, tuple[str, ...]], static: bool) -> Model:
    """Costs of the calls in `domains`; all others are in fp32.

    A call costs its multiply-accumulates and the elements that it writes, each at its precision; an edge whose ends
    have different precisions costs the conversion of its elements. Starting an operation costs nothing here, and what
    a guard skips is reckoned as if it ran.
    """
    wiring = graph.wiring()
    fixed = weights_alone(graph, wiring)
    singles: dict[int, list[float]] = {}
    pairs: dict[Pair, list[list[float]]] = {}
    for id, domain in domains.items():
        cost = node_cost(graph, ops, id)
        call = graph[id]
        assert isinstance(call, Call)
        macs, written = _number(cost.macs), sum(_number(t.elements) for t in call.types)
        singles[id] = [
            macs * target.width(_layer_row(target, call, p, static)).mac_ns
            + written * target.width(_row(p, static)).element_ns
            for p in domain
        ]
    for id, domain in domains.items():
        for value in activations(graph, wiring, id, fixed).values():
            count, source = _number(graph.type(value).elements), domains.get(value.node)
            table = [[count * _conversion(target, a, b, static) for b in domain] for a in (source or (FP32,))]
            if source is None:
                singles[id] = [a + b for a, b in zip(singles[id], table[0], strict=True)]
            else:
                _add(pairs, value.node, id, table)
        for edge in wiring.outs[id]:  # to readers that have no choice; the value is converted for each
            if edge.dst not in domains:
                count = _number(graph.type(Value(id, edge.src_port)).elements)
                singles[id] = [
                    c + count * _conversion(target, p, FP32, static) for c, p in zip(singles[id], domain, strict=True)
                ]
    return Model(domains, singles, pairs)


def _add(pairs: dict[Pair, list[list[float]]], a: int, b: int, table: list[list[float]]) -> None:
    """Adds a table of (a, b); a graph has no cycle, so the two stand in one order only."""
    old = pairs.get((a, b))
    if old is not None:
        table = [[x + y for x, y in zip(*rows, strict=True)] for rows in zip(old, table, strict=True)]
    pairs[a, b] = table


def _row(precision: str, static: bool) -> str:
    """The name of a precision in a target's table."""
    return "int8_rows" if precision == INT8 and not static else precision


def _layer_row(target: Target, call: Call, precision: str, static: bool) -> str:
    """The same for products: without a kernel for scales that are measured per sample they are computed in fp32."""
    row = _row(precision, static)
    return FP32 if row == "int8_rows" and call.op not in target.row_layers else row


def _conversion(target: Target, a: str, b: str, static: bool) -> float:
    return 0.0 if a == b else sum(target.width(_row(p, static)).convert_ns for p in (a, b))


def _number(size: Size) -> float:
    return float(size.evaluate({**dict.fromkeys(size.symbols(), ASSUMED), BATCH: 1}))


def _rounded(
    graph: Graph, target: Target, nodes: Mapping[NodeId, str], ranges: Mapping[Value, tuple[float, float]]
) -> dict[Value, Rounding]:
    """The values that are rounded, with their scales, in topological order.

    A layer's result is rounded where another int8 call reads it, or where the target's kernel gives integers; an
    activation that alone reads it is done before that. What gives elements of its operand keeps the operand's scale.
    """
    wiring = graph.wiring()
    fixed = weights_alone(graph, wiring)
    inside = {id for id in nodes if nodes[id] == INT8 and _absorber(graph, wiring, nodes, id) is not None}
    found: dict[Value, Rounding] = {}
    for id in wiring.order:
        if nodes.get(id) != INT8:
            continue
        for value in activations(graph, wiring, id, fixed).values():
            if value.node not in inside:
                found.setdefault(value, rounding(*ranges[value]))
        call, here = graph[id], Value(id)
        assert isinstance(call, Call)
        read = any(nodes.get(edge.dst) == INT8 for edge in wiring.outs[id])
        if id in inside or not (read or (target.int8_layers and _gives_integers(graph, wiring, id, inside))):
            continue
        source = wiring.operand(id, 0)
        kept = found.get(source) if source is not None and call.op in CARRIED else None
        found[here] = kept or rounding(*ranges[here])
    return found


def _absorber(graph: Graph, wiring: Wiring, nodes: Mapping[NodeId, str], id: NodeId) -> NodeId | None:
    """The int8 activation that is the only reader of an int8 layer."""
    call, outs = graph[id], wiring.outs[id]
    if not isinstance(call, Call) or call.op not in LAYERS or len(outs) != 1 or nodes.get(outs[0].dst) != INT8:
        return None
    reader = graph[outs[0].dst]
    return outs[0].dst if isinstance(reader, Call) and reader.op in ABSORBED else None


def _gives_integers(graph: Graph, wiring: Wiring, id: NodeId, inside: set[NodeId]) -> bool:
    """Whether a convolution ends here. (A linear layer has a kernel with integers in and real numbers out.)"""
    source = wiring.operand(id, 0)
    end = source.node if source is not None and source.node in inside else id
    call = graph[end]
    return isinstance(call, Call) and call.op.startswith("conv")


def rounding(low: float, high: float) -> Rounding:
    """The finest scale of 8 bits that reaches from `low` to `high` and has zero on it exactly, as f32."""
    low, high = min(low, 0.0), max(high, 0.0)
    if not high > low:
        return Rounding(1.0, 128)
    scale = _f32((high - low) / LEVELS)
    return Rounding(scale, max(0, min(LEVELS, round(-low / scale))))


def _f32(value: float) -> float:
    number: float = unpack("<f", pack("<f", value))[0]
    return max(number, 1e-30)
