"""Which channels of a value gates make zero, and what is computed for some channels only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cogseedc.analysis.channels import Channels, Layer, channel_regions, narrow_layers
from cogseedc.analysis.demand import narrowed
from cogseedc.analysis.kept import Kept, channel_axis, kept_channels
from cogseedc.driver.program import load
from cogseedc.interp import Reference, initial_weights
from cogseedc.ir import (
    Call,
    Gate,
    GateKind,
    Graph,
    Input,
    Literals,
    NodeId,
    Output,
    Value,
    guardable,
    guards,
    placeable,
)
from cogseedc.ops import OPS
from cogseedc.passes import Context, EliminateDeadSeeds

NET = """
export seed Net {{
    in  x: f32[N, C=6, H=4, W=4]
    in  u: f32[N, C=6, H=4, W=4]
    in  s: f32[N, C=6]
    in  t: f32[N, C=6]
    in  k: i64[N, C=6]
    in  w: f32[C=6]
    in  e: f32[N, C=6, D=6]
    in  f: f32[H=4, C=6, D=6]
    in  d: f32[N, C=6, 1, 3, 3]
    out y: f32[{type}]
    gate on over N, C = s > 0
    gate more over N, C = t > 0
    gate all over C = w > 0
    gate way over N, C = k
    gate high over N, H = mean[over=(C, W)](x) > 0
    gate one over N, C = argmax[over=E](stack[axis=2, into=E](s))
    gate kind over N = k[C=0]
    gate pick over N, C = top[2](stack[axis=2, into=E](s, t, s + t))
    gate row over N = s[C=0] > 0.5
    h = when on {{ x }} else {{ 0 }}
    g = when more {{ x }} else {{ 0 }}
    a = when all {{ x }} else {{ 0 }}
    v = when on {{ s }} else {{ 0 }}
    y = {value}
}}
"""
SAME = "N, C=6, H=4, W=4"
"""The type of `x`."""
KEPT = [
    # ---- joins
    ("h", SAME, "6 on"),
    ("when on { 0 } else { x }", SAME, "6 not on"),
    ("when all { x } else { 0 }", SAME, "6 all"),
    ("when on { 0.5 } else { x }", SAME, None),
    ("when on { h } else { g }", SAME, None),
    ("when row { x } else { 0 }", SAME, None),
    ("when row { h } else { 0 }", SAME, "6 on"),
    ("when row { 0 } else { h }", SAME, "6 on"),
    ("when row { h } else { g }", SAME, "6 more | on"),
    ("when row { h } else { x }", SAME, None),
    ("when row { h } else { when on { 0 } else { x } }", SAME, None),
    ("route way { 0 => x  1 => h  else => 0 }", SAME, "6 way[0] | way[1]"),
    ("route way { 0 => 0  1 => h  else => x }", SAME, "6 way[1] | way[2]"),
    ("route way { 0 => 0  1 => h  else => g }", SAME, "6 way[1] | way[2]"),
    ("route way { 0 => x  else => when more { 0 } else { h } }", SAME, None),
    ("route way { 0 => x  1 => 0  else => when more { 0 } else { h } }", SAME, "6 way[0] | way[2]"),
    ("route way { 0 => x  1 => when more { 0 } else { x }  else => 0 }", SAME, "6 way[0] | way[1]"),
    ("route kind { 0 => 0  else => h }", SAME, "6 on"),
    ("route kind { 0 => 0  1 => 0  2 => 0  else => h }", SAME, "6 on"),
    ("route kind { 0 => 0  1 => x  else => h }", SAME, None),
    ("route pick merge sum { 0 => h  1 => h  2 => h }", SAME, None),
    # ---- what is zero where all operands are
    ("h + g", SAME, "6 more | on"),
    ("h - a", SAME, "6 all | on"),
    ("maximum(h, v)", SAME, "6 on"),
    ("h + x", SAME, None),
    ("h + 1", SAME, None),
    ("h + mean[over=N](g)", SAME, None),
    # ---- where one of them is
    ("h * x", SAME, "6 on"),
    ("x * h", SAME, "6 on"),
    ("x * v", SAME, "6 on"),
    ("h / (x + 2)", SAME, None),
    # ---- where the first is
    ("relu(h)", SAME, "6 on"),
    ("sigmoid(h)", SAME, None),
    ("mean[over=(H, W)](h)", "N, C=6", "6 on"),
    ("mean[over=C](h)", "N, H=4, W=4", None),
    ("permute[(N, H, C, W)](h)", "N, H=4, C=6, W=4", "6 on"),
    ("permute[(C, N, H, W)](h)", "C=6, N, H=4, W=4", None),
    ("conv2d[C=6, kernel=3, padding=1, groups=6, bias=false](h)", SAME, "6 on"),
    ("conv2d[C=6, kernel=3, padding=1, groups=6](h)", SAME, None),
    ("conv2d[C=6, kernel=3, padding=1, bias=false](h)", SAME, None),
    ("conv1d[C=6, kernel=3, padding=1, groups=6, bias=false](h[W=0])", "N, C=6, H=4", "6 on"),
    ("conv1d[C=6, kernel=3, padding=1, groups=6](h[W=0])", "N, C=6, H=4", None),
    ("instance_norm(h)", SAME, "6 on"),
    ("instance_norm[affine=true](h)", SAME, None),
    ("batch_norm(h)", SAME, None),
    # ---- side by side
    ("concat[over=C](h, x, g)", "N, C=18, H=4, W=4", "6 on, 6 any, 6 more"),
    ("concat[over=H](h, g)", "N, C=6, H=8, W=4", "6 more | on"),
    ("concat[over=H](h, x)", "N, C=6, H=8, W=4", None),
    ("concat[over=C](h, x) + concat[over=C](g, a)", "N, C=12, H=4, W=4", "6 more | on, 6 any"),
    ("concat[over=C](h, x) + concat[over=C](x, g)", "N, C=12, H=4, W=4", None),
]
"""Values, their types, and per part of their channels the decisions that make it differ from zero; None: any may."""


def graph_of(value: str, type: str) -> Graph:
    graph = load(NET.format(value=value, type=type)).elaborated.graph.copy()
    EliminateDeadSeeds().run(graph, Context(OPS))
    return graph


def kept_of(graph: Graph) -> Kept | None:
    """Of what the program gives."""
    ((output, _),) = graph.of(Output)
    wiring = graph.wiring()
    source = wiring.operand(output, 0)
    assert source is not None
    return kept_channels(graph, wiring.order, OPS).get(source)


def said(graph: Graph, kept: Kept) -> str:
    """Per part: how many channels, and which decisions make them other than zero."""
    parts = [(str(p.size), p.taken and sorted(arm_of(graph, *choice) for choice in p.taken)) for p in kept.parts]
    return ", ".join(f"{size} {'any' if taken is None else ' | '.join(taken) or 'none'}" for size, taken in parts)


def arm_of(graph: Graph, id: NodeId, arm: int) -> str:
    gate = graph[id]
    assert isinstance(gate, Gate)
    return f"{'not ' * (not arm)}{gate.name}" if gate.kind is GateKind.BOOL else f"{gate.name}[{arm}]"


@pytest.mark.parametrize(("value", "type", "expected"), KEPT)
def test_which_channels_differ_from_zero(value: str, type: str, expected: str | None) -> None:
    graph = graph_of(value, type)
    found = kept_of(graph)
    assert (None if found is None else said(graph, found)) == expected


def given(graph: Graph) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    shapes = {node.name: [size.evaluate({"N": 5}) for size in node.type.shape] for _, node in graph.of(Input)}
    return {
        n: rng.integers(0, 3, shape) if n == "k" else rng.normal(size=shape).astype("f") for n, shape in shapes.items()
    }


@pytest.mark.parametrize(("value", "type"), [(value, type) for value, type, expected in KEPT if expected])
def test_all_other_channels_are_zero(value: str, type: str) -> None:
    graph = graph_of(value, type)
    inputs = given(graph)
    decided = {"on": inputs["s"] > 0, "more": inputs["t"] > 0, "all": [inputs["w"] > 0] * 5, "way": inputs["k"]}
    y = Reference(graph, initial_weights(graph, 0)).run(inputs).outputs["y"]
    found = kept_of(graph)
    at = 0
    y = np.moveaxis(y, found.axis, 1)
    for part in found.parts:
        size = part.size.evaluate({})
        differs = (y[:, at : at + size] != 0).reshape(5, size, -1).any(2)
        at += size
        if part.taken is not None:
            allowed = [np.asarray(decided[graph[gate].name]) == arm for gate, arm in part.taken]
            assert (differs <= np.any(allowed, 0)).all()
    assert at == y.shape[1]


def test_which_gates_are_over_channels() -> None:
    joined = "route pick merge sum { 0 => h  1 => a  2 => when row { g } else { 0 } }"
    graph = graph_of(f"{joined} + route way {{ 0 => x  else => 0 }}", SAME)
    found = {gate.name: channel_axis(graph, id) for id, gate in graph.of(Gate)}
    assert found == {"on": 1, "more": 1, "all": 0, "way": 1, "row": None, "pick": None}


INNER = "when row { gate inner over N, C = s > 1  yield when inner { x } else { 0 } } else { 0 }"
"""Its gate decides for some samples only."""
REGIONS = [
    # ---- of a join
    ("when on { conv2d[C=6, kernel=1](x) } else { 0 }", SAME, ["on: conv2d; else expand"]),
    ("when on { x } else { conv2d[C=6, kernel=1](x) }", SAME, ["not on: conv2d; else x"]),
    ("when on { tanh(x) } else { 0 }", SAME, []),
    ("when row { conv2d[C=6, kernel=1](x) } else { 0 }", SAME, []),
    ("when all { conv2d[C=6, kernel=1](x) } else { 0 }", SAME, ["all: conv2d; else expand"]),
    ("when all { linear[C=6](w) } else { 0 }", "C=6", []),
    (
        "when on { conv2d[C=6, kernel=1](x) } else { conv2d[C=6, kernel=3, padding=1](x) }",
        SAME,
        ["not on: conv2d; else conv2d"],
    ),
    (
        "when on { conv2d[C=6, kernel=3, padding=1](x) } else { conv2d[C=6, kernel=1](x) }",
        SAME,
        ["on: conv2d; else conv2d"],
    ),
    ("route way { 0 => conv2d[C=6, kernel=1](x)  else => x }", SAME, ["way[0]: conv2d; else x"]),
    ("route way { 0 => u  1 => conv2d[C=6, kernel=1](x)  else => x }", SAME, ["way[1]: conv2d; else u at way[0], x"]),
    (
        "route way { 0 => u  1 => conv2d[C=6, kernel=1](x)  2 => u  else => x }",
        SAME,
        ["way[1]: conv2d; else u at way[0], u at way[2], x"],
    ),
    ("route one { 0 => conv2d[C=6, kernel=1](x) }", SAME, []),
    # ---- its layers
    (
        "when on { relu(batch_norm(conv2d[C=6, kernel=1](x))) } else { 0 }",
        SAME,
        ["on: conv2d, batch_norm, relu; else expand"],
    ),
    (
        "when on { max_pool2d[3, stride=1, padding=1](conv2d[C=6, kernel=1](x)) } else { 0 }",
        SAME,
        ["on: conv2d, max_pool2d; else expand"],
    ),
    ("when on { conv2d[C=6, kernel=1](conv2d[C=6, kernel=1](x)) } else { 0 }", SAME, ["on: conv2d; else expand"]),
    ("when on { conv2d[C=6, kernel=1](x) * s + w } else { 0 }", SAME, ["on: conv2d, mul, add; else expand"]),
    (
        "when on { conv2d[C=6, kernel=1](x) + mean[over=C, keep=true](x) } else { 0 }",
        SAME,
        ["on: conv2d, add; else expand"],
    ),
    (
        "when on { conv2d[C=6, kernel=1](x) + conv2d[C=1, kernel=1](x) } else { 0 }",
        SAME,
        ["on: conv2d, add; else expand"],
    ),
    ("when on { softmax[over=C](conv2d[C=6, kernel=1](x)) } else { 0 }", SAME, []),
    ("when on { group_norm[2](conv2d[C=6, kernel=1](x)) } else { 0 }", SAME, []),
    ("when on { permute[(N, C, W, H)](conv2d[C=6, kernel=1](x)) } else { 0 }", SAME, []),
    ("when on { linear[C=6](s) } else { 0 }", "N, C=6", ["on: linear; else expand"]),
    ("when on { linear[C=6, bias=false](s) } else { 0 }", "N, C=6", ["on: linear; else expand"]),
    ("when on { linear(s, weight=e) } else { 0 }", "N, C=6", []),
    ("when high { conv2d[C=6, kernel=3, padding=1](x) } else { 0 }", SAME, []),
    # ---- filters of one channel each
    (
        "when on { conv2d[C=6, kernel=3, padding=1, groups=6](conv2d[C=6, kernel=1](x)) } else { 0 }",
        SAME,
        ["on: conv2d, conv2d in full; else expand"],
    ),
    (
        "when on { conv2d[C=6, kernel=3, padding=1, groups=6, bias=false](conv2d[C=6, kernel=1](x)) } else { 0 }",
        SAME,
        ["on: conv2d, conv2d in full; else expand"],
    ),
    ("when on { conv2d[C=6, kernel=3, padding=1, groups=6](x) } else { 0 }", SAME, []),
    ("when on { conv2d[padding=1, groups=6](conv2d[C=6, kernel=1](x), weight=d) } else { 0 }", SAME, []),
    ("when on { conv2d[C=6, kernel=3, padding=1, groups=3](conv2d[C=6, kernel=1](x)) } else { 0 }", SAME, []),
    # ---- what a layer reads
    ("conv2d[C=6, kernel=1](h)", SAME, ["conv2d of 6 on"]),
    ("conv2d[C=6, kernel=1, bias=false](concat[over=C](x, h))", SAME, ["conv2d of 6 any, 6 on"]),
    ("conv2d[C=6, kernel=1](h + x)", SAME, []),
    ("conv2d[C=6, kernel=1, groups=2](h)", SAME, []),
    ("conv2d[C=6, kernel=1](permute[(N, H, C, W)](h))", "N, C=6, H=6, W=4", []),
    ("conv1d[C=6, kernel=1](h[W=0])", "N, C=6, H=4", ["conv1d of 6 on"]),
    ("tanh(h)", SAME, []),
    ("linear[over=C, C=5](h)", "N, C=5, H=4, W=4", ["linear of 6 on"]),
    ("linear[over=H, H=5](h)", "N, C=6, H=5, W=4", []),
    ("linear[C=5, bias=false](v)", "N, C=5", ["linear of 6 on"]),
    ("linear[over=C](permute[(N, H, W, C)](h), weight=f)", "N, H=4, W=4, C=6", []),
    ("linear(v, weight=e)", "N, C=6", []),
    ("linear[C=5](when all { w } else { 0 })", "C=5", []),
    ("when on { conv2d[C=6, kernel=1](g) } else { 0 }", SAME, ["on: conv2d of 6 more; else expand"]),
    ("when row { conv2d[C=6, kernel=1](h) } else { x }", SAME, ["conv2d of 6 on"]),
    (f"conv2d[C=6, kernel=1]({INNER})", SAME, []),
    (f"when row {{ conv2d[C=6, kernel=1]({INNER}) }} else {{ 0 }}", SAME, ["conv2d of 6 then.then.inner"]),
    (f"when on {{ conv2d[C=6, kernel=1]({INNER}) }} else {{ 0 }}", SAME, ["on: conv2d; else expand"]),
    (
        "when high { linear[over=C, C=6](permute[(N, H, W, C)](h)) } else { 0 }",
        "N, H=4, W=4, C=6",
        ["high: linear of 6 on; else expand"],
    ),
]
"""Values, their types, and what is computed for some channels: the decision, the layers with what each reads of its operand,
and what other channels have."""


def regions_of(graph: Graph) -> list[str]:
    literals = Literals.over([(id, g) for id, g in graph.of(Gate) if guardable(g) or placeable(g)], project=True)
    found, _ = narrowed(graph, OPS, literals, guards(graph, literals), training=False)
    order = graph.wiring().order
    kept = kept_channels(graph, order, OPS)
    regions = [*channel_regions(graph, order, found, literals, OPS, kept)]
    inside = {layer.node for region in regions for layer in region.layers}
    narrow = [region for region in narrow_layers(graph, order, found, literals, kept) if region.node not in inside]
    return [told(graph, region) for region in (*regions, *narrow)]


def told(graph: Graph, region: Channels) -> str:
    layers = ", ".join(layer_of(graph, layer) for layer in region.layers)
    if region.choice is None:
        return layers
    further = "".join(f"{name_of(graph, value)} at {arm_of(graph, *choice)}, " for choice, value in region.further)
    assert region.base is not None
    return f"{arm_of(graph, *region.choice)}: {layers}; else {further}{name_of(graph, region.base)}"


def layer_of(graph: Graph, layer: Layer) -> str:
    of = f" of {said(graph, layer.kept)}" if layer.kept is not None else ""
    return f"{name_of(graph, Value(layer.node))}{' in full' * layer.whole}{of}"


def name_of(graph: Graph, value: Value) -> str:
    node = graph[value.node]
    return node.op if isinstance(node, Call) else node.name if isinstance(node, Input) else type(node).__name__.lower()


@pytest.mark.parametrize(("value", "type", "expected"), REGIONS)
def test_what_is_computed_for_some_channels(value: str, type: str, expected: list[str]) -> None:
    assert regions_of(graph_of(value, type)) == expected


def test_two_gates_one_after_the_other_choose_for_a_join() -> None:
    graph = load("""
export seed Net {
    category ir
    in  x: f32[N, C=6]
    in  s: f32[N, C=6]
    in  t: f32[N, C=6]
    out y: f32[N, C=6]
    @path("w") param p1: f32[6, 6] = kaiming(6)
    c1 = constant[dtype=f32, shape=(_,), values=(0.0,)]()
    v1 = gt(s, c1)
    @name("on")
    gate g1 over N, C = v1
    v2 = gt(t, c1)
    @name("more")
    gate g2 over N, C = v2
    v3 = linear[bias=false, over=1, size=("C", 6)](x, weight=p1)
    v4 = expand[sizes=(N, 6)](c1)
    v5 = when g1 { x } else { when g2 { v3 } else { v4 } }
    y = v5
}
""").elaborated.graph
    found = kept_of(graph)
    assert found is not None
    assert said(graph, found) == "6 more | on"
    assert regions_of(graph) == [], "what a gate leaves to another one is not computed for some channels"
