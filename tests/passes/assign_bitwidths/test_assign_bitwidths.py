"""Which precisions are chosen, and how casts and roundings are written."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cogseedc import target as targets
from cogseedc.analysis.elimination import cost_of
from cogseedc.analysis.tolerance import candidates, tolerated
from cogseedc.analysis.widths import Rounding, Widths, choose, model_of, rounding, wanted_ranges
from cogseedc.diagnostics import Diagnostics, UserError
from cogseedc.driver.precisions import chosen_widths, record_of, rounded_graph, widths_of
from cogseedc.driver.program import load
from cogseedc.interp import Reference, initial_weights
from cogseedc.ir import (
    Attrs,
    Axis,
    Call,
    Dtype,
    Gate,
    Graph,
    Init,
    InitKind,
    Input,
    Merge,
    Origin,
    Output,
    Size,
    TensorType,
    Value,
    Weight,
)
from cogseedc.ir.printer import print_graph
from cogseedc.ir.verifier import verify
from cogseedc.ops import OPS
from cogseedc.passes import AssignBitwidths, Context
from cogseedc.passes.rewrite import call
from cogseedc.target import Width
from tests.passes.toy import N

EDGE, CPU, TORCH = (targets.load(name) for name in ("onnx-edge", "onnx-cpu", "torch-cpu"))
SEED = """
seed Layer[k: int] {{
    {meta}
    in  x: f32[N, D]
    out y: f32[N, k]
    y = x |> linear[k]
}}
export seed Net {{
    in  x: f32[N, D=64]
    out y: f32[N, K=64]
    {mark} y = x |> Layer[64]
}}
"""


def chosen(meta="", mark="", target=EDGE, bits="auto"):
    """Precisions of a program with one layer."""
    return sorted(chosen_widths(load(SEED.format(meta=meta, mark=mark)), target, bits).precisions)


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ("", []),
        ("level atomic", ["int8"]),
        ("level molecular", ["int8"]),
        ("level cellular", []),  # fp16 and bf16 are no faster on this target
        ("bits fp16 | int8", ["int8"]),
        ("level atomic\n    bits fp16", []),
    ],
)
def test_the_seed_or_its_level_says_what_it_tolerates(meta, expected):
    assert chosen(meta) == expected


def test_bits_force_where_it_is_tolerated():
    assert chosen("level atomic", bits="fp32") == []
    assert chosen("bits fp16", bits="fp16") == ["fp16"]
    assert chosen("bits fp16", bits="int8") == []
    assert chosen("level atomic", "@bits(fp16)", bits="fp32") == ["fp16"]
    assert chosen("level atomic", "@bits(fp32)") == []


@pytest.mark.parametrize(
    ("meta", "mark", "target", "code"),
    [
        ("", "@bits(bf16)", CPU, "CS0706"),
        ("", "@bits(fp8)", TORCH, "CS0706"),
        ("bits fp16", "@bits(int8)", TORCH, "CS0707"),
    ],
)
def test_what_cannot_be_is_an_error_at_its_place(meta, mark, target, code):
    with pytest.raises(UserError) as caught:
        chosen(meta, mark, target)
    (found,) = caught.value.diagnostics
    assert found.code == code
    assert found.labels


def test_a_precision_that_the_target_lacks_cannot_be_asked_for():
    with pytest.raises(UserError, match="CS0706"):
        chosen("level atomic", target=CPU, bits="bf16")


ABLE = [
    ("in x: f32[N, D=8] out y: f32[N, K=6] y = linear[K](x)", "int8", [("linear", "int8")]),
    ("in x: f32[N, C=8, H=4, W=4] out y: f32[N, K=6, H, W] y = conv2d[K, kernel=1](x)", "int8", [("conv2d", "int8")]),
    ("in x: f32[N] out y: f32[N] y = relu(x)", "int8", [("relu", "int8")]),
    ("in x: f32[N, D=8, T=4] out y: f32[N, K=6, T] y = linear[K, over=D](x)", "int8", []),
    ("in x: f32[N, D=8] in w: f32[K=6, D] out y: f32[N, K] y = linear(x, weight=w)", "int8", []),
    ("in x: f32[N, D=8] in b: f32[K=6] out y: f32[N, K] param w: f32[K, D] = zeros() y = linear(x, weight=w, bias=b)",
     "int8", []),
    ("in x: f32[N, G=2, D=8] out y: f32[N, G, K=6] param w: f32[G, K, D] = zeros() y = linear(x, weight=w)", "int8", []),
    ("in x: f32[N, D=8] in s: f32[] out y: f32[N, D] y = relu(s) * relu(x)", "int8", [("relu", "int8")]),
    ("in x: f32[N, D=8] in n: i64[N, D] out y: f32[N, D] out z: i64[N, D] y = x + x z = n * n", "fp16", [("add", "fp16")]),
    ("in x: f32[N, D=8] out y: f32[N, D] exit first { y = linear[D](x) } when tanh(x)[D=0] > 0 y = x", "int8",
     [("linear", "int8")]),
    ("in x: f32[N, D=8] out y: f32[N, D] exit first { y = x } when linear[D](x)[D=0] > 0 y = x", "int8", []),
]  # fmt: skip
"""Of integer layers the weight is known, of reals nothing but the layer's output, and no scalar has a scale."""


@pytest.mark.parametrize(("body", "bits", "able"), ABLE)
def test_which_calls_can_have_a_precision(body, bits, able):
    graph = load(f"export seed Net {{ bits {bits} {body} }}").elaborated.graph
    found = candidates(graph, OPS, TORCH, bits, True, Diagnostics())
    assert [(graph[id].op, *precisions) for id, precisions in found.items()] == able


def test_values_of_a_precision_that_the_target_lacks_are_refused():
    text = "export seed Net {{ in x: {dtype}[N, D=8] out y: {dtype}[N, D] y = x + x }}"
    with pytest.raises(UserError, match="CS0706: target `onnx-cpu` has no values of bf16"):
        chosen_widths(load(text.format(dtype="bf16")), CPU, "fp32")
    assert not chosen_widths(load(text.format(dtype="f16")), CPU, "fp32").nodes


def test_the_innermost_seed_says_what_it_does_not_tolerate():
    text = SEED.format(meta="bits fp16", mark="").replace(
        "    y = x |> linear[k]", "    @bits(int8)\n    y = linear[k](x)"
    )
    with pytest.raises(UserError, match="CS0707: `Layer` does not tolerate int8"):
        chosen_widths(load(text), TORCH, "auto")


# ---- the model


def test_levels_tolerate():
    by_level = {None: (), 0: ("int8",), 1: ("int8", "fp8"), 2: ("fp16", "bf16"), 3: ("fp16",)}
    for level, wanted in by_level.items():
        assert tolerated(Call("relu", Attrs(), (), Origin("x", level=level))) == wanted
        assert tolerated(Call("relu", Attrs(), (), Origin("x", level=level, bits=("bf16",)))) == ("bf16",)


COSTED = """
export seed Net {{
    bits int8 | fp16
    in  x: f32[N, D=8]
    out y: f32[N, D]
    out z: f32[N, D]
    a = linear[4](x)
    b = linear[D](a + a)
    z = softmax(relu(b))
    c = linear[D](a)
    y = softmax(c)
}}
"""


def test_where_nothing_is_chosen_all_is_as_it_was():
    assert Widths() == Widths({}, {}, static=False, weight_limit=127, exact=True)
    assert Widths(static=True).of("h").static
    assert not Widths().of("h").static


SINGLES = {
    "a.linear": {
        "fp32": 32 + 400,
        "int8": 96 + 1200 + 8 * 0.04,
        "int8_rows": 128 + 1600 + 8 * 0.05,
        "fp16": 64 + 800 + 8 * 0.03,
    },
    "b.add": {"fp32": 400, "fp16": 800},
    "b.linear": {"fp32": 32 + 800, "int8": 96 + 2400, "int8_rows": 128 + 3200, "fp16": 64 + 1600},
    "relu": {"fp32": 800, "int8": 2400 + 8 * 0.04, "fp16": 1600 + 8 * 0.03},
    "c.linear": {
        "fp32": 32 + 800,
        "int8": 96 + 2400 + 8 * 0.04,
        "int8_rows": 128 + 3200 + 8 * 0.05,
        "fp16": 64 + 1600 + 8 * 0.03,
    },
}
"""Work, written elements, and conversions of what is read from, and given to, those who have no choice."""
READ = {("a.linear", "b.add"): 2 * 4, ("b.add", "b.linear"): 4, ("b.linear", "relu"): 8, ("a.linear", "c.linear"): 4}
"""Elements between neighbours."""


@pytest.mark.parametrize("static", [True, False])
def test_what_precisions_cost(static):
    numbers = {"fp32": (1, 100, 0.01), "fp16": (2, 200, 0.02), "int8": (3, 300, 0.03), "int8_rows": (4, 400, 0.04)}
    widths = tuple((name, Width(*costs)) for name, costs in numbers.items())
    target = replace(EDGE, widths=widths, precisions=("fp32", "fp16", "int8"), row_layers=("linear",))
    graph = load(COSTED.format()).elaborated.graph
    domains = candidates(graph, OPS, target, "auto", static, Diagnostics())
    model = model_of(graph, OPS, target, domains, static)
    path = {id: graph[id].origin.path for id in domains}
    rows = {id: ["int8_rows" if p == "int8" and not static else p for p in domain] for id, domain in domains.items()}
    assert [*path.values()] == [*SINGLES]
    for id, costs in model.singles.items():
        assert costs == [pytest.approx(SINGLES[path[id]][row]) for row in rows[id]]
    assert {(path[a], path[b]) for a, b in model.pairs} == {*READ}
    for (a, b), table in model.pairs.items():
        for one, costs in zip(rows[a], table, strict=True):
            for other, cost in zip(rows[b], costs, strict=True):
                each = 0 if one == other else numbers[one][2] + numbers[other][2]
                assert cost == pytest.approx(READ[path[a], path[b]] * each)


@st.composite
def graphs(draw):
    """Layers, activations and sums; each tolerates something else."""
    graph = Graph()
    context = Context(OPS, target=EDGE)
    width = Size.of(8)
    values = [Value(graph.add(Input("x", TensorType(Dtype.F32, (N, Axis("D", width))))))]
    for i in range(draw(st.integers(1, 6))):
        bits = tuple(draw(st.sets(st.sampled_from(["int8", "fp16"]))))
        origin = Origin(f"c{i}", bits=tuple(sorted(bits)))
        x = draw(st.sampled_from(values))
        match draw(st.sampled_from(["linear", "relu", "add"])):
            case "linear":
                type = TensorType(Dtype.F32, (Axis(None, width), Axis(None, width)))
                weight = Value(graph.add(Weight(f"w{i}", type, Init(InitKind.KAIMING, fan_in=8))))
                values.append(call(graph, context, "linear", [x, weight], origin))
            case "relu":
                values.append(call(graph, context, "relu", [x], origin))
            case _:
                values.append(call(graph, context, "add", [x, draw(st.sampled_from(values))], origin))
    graph.add(Output("y", graph.type(values[-1])), [values[-1]])
    return graph


@settings(max_examples=60, deadline=None)
@given(graphs(), st.sampled_from([EDGE, TORCH, targets.load("onnx-cuda")]), st.booleans())
def test_the_choice_costs_as_little_as_any(graph, target, static):
    ranges = (
        {("", Value(id)): (-1.0, 2.0) for id, node in graph.nodes() if not isinstance(node, Output)} if static else None
    )
    found = choose(graph, OPS, target, "auto", ranges, Diagnostics())
    domains = candidates(graph, OPS, target, "auto", static, Diagnostics())
    model = model_of(graph, OPS, target, domains, static)
    ids = list(domains)
    costs = [
        cost_of(model.singles, model.pairs, dict(zip(ids, values, strict=True)))
        for values in product(*(range(len(domains[id])) for id in ids))
    ]
    mine = {id: domains[id].index(found.nodes.get(id, "fp32")) for id in ids}
    assert found.exact
    assert cost_of(model.singles, model.pairs, mine) == pytest.approx(min(costs))


@settings(max_examples=60, deadline=None)
@given(graphs(), st.sampled_from(["int8", "fp16"]), st.booleans(), st.booleans())
def test_what_is_written_is_a_graph_and_means_nearly_the_same(graph, bits, static, emulated):
    ranges = (
        {("", Value(id)): (-6.0, 6.0) for id, node in graph.nodes() if not isinstance(node, Output)} if static else None
    )
    weights = initial_weights(graph, 0)
    x = np.random.default_rng(0).uniform(-1, 1, (3, 8)).astype("float32")
    before = Reference(graph, weights).run({"x": x}).outputs["y"]
    context = Context(OPS, target=EDGE)
    changed = AssignBitwidths(bits, ranges, emulated=emulated).run(graph, context)
    verify(graph, OPS)
    after = Reference(graph, weights, rounding=True).run({"x": x}).outputs["y"]
    assert np.allclose(after, before, atol=0.5 if static else 0.2)
    if not changed:
        assert np.array_equal(after, before)


@settings(max_examples=30, deadline=None)
@given(graphs())
def test_integers_and_rounded_reals_are_the_same_values(graph):
    twin = graph.copy()
    AssignBitwidths("int8").run(graph, Context(OPS, target=EDGE))
    AssignBitwidths("int8", emulated=True).run(twin, Context(OPS, target=EDGE))
    weights = initial_weights(graph, 0)
    x = np.random.default_rng(1).normal(size=(4, 8)).astype("float32")
    a, b = (Reference(g, weights).run({"x": x}).outputs["y"] for g in (graph, twin))
    assert np.allclose(a, b, rtol=1e-6, atol=1e-7)


CONV, POOL = "conv2d[C=4, kernel=1]", "max_pool2d[2]"


@pytest.mark.parametrize(
    ("layers", "scaled"),
    [
        (CONV, ["x", "conv2d"]),  # gives integers
        ("linear[W=4]", ["x"]),  # gives real numbers
        (f"{CONV} |> relu", ["x", "relu"]),  # which is done while the layer rounds
        ("linear[W=4] |> relu", ["x"]),
        (f"linear[W=4] |> {CONV}", ["x", "linear", "conv2d"]),  # its reader wants integers
        (f"{CONV} |> {POOL} |> {CONV}", ["x", "conv2d", "max_pool2d", "conv2d"]),
        (f"{POOL} |> relu", ["x", "max_pool2d"]),
    ],
)
def test_what_is_rounded(layers, scaled):
    text = f"""
export seed Net {{
    level atomic
    in  x: f32[N, C=4, H=4, W=4]
    out y: f32[N, C=4, H2, W2]
    y = x |> {layers}
}}
"""
    graph = load(text).elaborated.graph
    ranges = {
        place: (-1.0 - i, 1.0 + i) for i, place in enumerate(wanted_ranges(graph, OPS, EDGE, "int8", Diagnostics()))
    }
    found = choose(graph, OPS, EDGE, "int8", ranges, Diagnostics()).rounded
    names = {id: node.op if isinstance(node, Call) else "x" for id, node in graph.nodes()}
    assert [names[value.node] for value in found] == scaled
    for value, scale in found.items():
        source = graph.wiring().operand(value.node, 0)
        assert (source in found and scale == found[source]) == (names[value.node] == "max_pool2d")


# ---- what is written

SCORED = """
export seed Net {
    level atomic
    in  x: f32[N, D=64]
    out y: f32[N, K=64]
    gate hard over N = linear[1](x) > 0
    y = when hard { z = linear[64](x)  yield z } else { x }
}
"""


def ops_of(graph):
    return [node.op for _, node in graph.nodes() if isinstance(node, Call)]


@pytest.mark.parametrize("bits", ["int8"])
def test_a_score_stays_and_a_join_is_fed_f32(bits):
    program = load(SCORED)
    widths = chosen_widths(program, EDGE, bits)
    graph = rounded_graph(program, EDGE, widths)
    wiring = graph.wiring()
    (gate,) = [id for id, node in graph.nodes() if isinstance(node, Gate)]
    score = wiring.ins[wiring.ins[gate][0].src][0].src
    assert score not in widths.nodes
    assert list(widths.nodes.values()) == ["int8"]
    for id, node in graph.nodes():
        if isinstance(node, Merge):
            assert graph.type(wiring.operands(id)[0]).dtype is Dtype.F32


def test_scales_are_one_per_sample():
    graph = rounded_graph(load(SCORED), EDGE, chosen_widths(load(SCORED), EDGE, "int8"))
    scales = [node.type for _, node in graph.nodes() if isinstance(node, Call) and node.op == "scale_of"]
    assert sorted(str(type) for type in scales) == ["f32[64]", "f32[N]"]


def test_sixteen_bits_between_neighbours_are_not_cast_back():
    text = SEED.format(meta="bits fp16", mark="").replace("linear[k]", "linear[k] |> relu |> linear[k]")
    program = load(text)
    graph = rounded_graph(program, CPU, chosen_widths(program, CPU, "fp16"))
    casts = [n for _, n in graph.nodes() if isinstance(n, Call) and n.op == "cast"]
    assert sum(c.type.dtype is Dtype.F32 for c in casts) == 1
    assert sum(c.type.dtype is Dtype.F16 for c in casts) == 5  # the input, two weights, two biases


def test_the_text_reads_back_as_the_same_text():
    program = load(Path("examples/02_early_exit.seed"))
    graph = rounded_graph(program, EDGE, chosen_widths(program, EDGE, "int8"))
    text = print_graph(graph, "Net", OPS)
    assert "quantize" in text
    assert print_graph(load(text).elaborated.graph, "Net", OPS) == text


def test_training_is_in_fp32():
    graph = load(SEED.format(meta="level atomic", mark="")).elaborated.graph.copy()
    assert not AssignBitwidths("int8").run(graph, Context(OPS, target=EDGE, training=True))


def test_ranges_become_scales_with_an_exact_zero():
    assert rounding(0.0, 2.55) == Rounding(pytest.approx(0.01), 0)
    assert rounding(-1.0, 1.0).zero in (127, 128)
    assert rounding(0.0, 0.0) == Rounding(1.0, 128)
    low, high, found = 0.5, 2.0, rounding(0.5, 2.0)
    assert found.zero == 0
    assert found.scale * 255 >= high - low


def test_a_record_gives_the_widths_again_and_refuses_another_program():
    program = load(SCORED)
    graph = rounded_graph(program, EDGE, Widths())
    inputs = {"x": np.random.default_rng(0).normal(size=(5, 64)).astype("float32")}
    weights = initial_weights(program.elaborated.graph, 0)
    widths = chosen_widths(program, EDGE, "int8", weights, inputs)
    assert widths.static
    assert widths.rounded
    record = record_of(widths, graph)
    assert widths_of(record, graph) == widths
    other = load(SEED.format(meta="", mark=""))
    with pytest.raises(UserError, match="CS0831"):
        widths_of(record, rounded_graph(other, EDGE, Widths()))
    for broken in ({}, [], {"nodes": 3}):
        with pytest.raises(UserError, match="CS0831"):
            widths_of(broken, graph)
