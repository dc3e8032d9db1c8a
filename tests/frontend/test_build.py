"""What elaboration makes of the language's rules: axes, paths, static values, gates, exits."""

from __future__ import annotations

from pathlib import Path

import pytest

from cogseedc.frontend.build import Options
from cogseedc.ir import Exit, Gate, GateKind, Input, Knob, Merge, MergeMode, Return
from cogseedc.limits import Limits
from tests.frontend.building import body, calls, codes, elaborated, graph_of, output_type, weights

# Axes and alignment

ALIGNED = [
    ("y = x + z", "x: f32[N, C=2, H=3]\n in z: f32[N, C=2]", "f32[N, C=2, H=3]"),
    ("y = z + x", "x: f32[N, C=2, H=3]\n in z: f32[N, C=2]", "f32[N, C=2, H=3]"),
    ("y = x * sigmoid(linear[C](mean[over=H](x)))", "x: f32[N, C=2, H=3]", "f32[N, C=2, H=3]"),
    ("y = x + permute[(1, 0)](x)", "x: f32[N, C=2]", "f32[N, C=2]"),
    ("y = x + linear[4](x)", "x: f32[N, D=4]", "f32[N, D=4]"),
    ("y = x - 1", "x: f32[N, D=4]", "f32[N, D=4]"),
    ("y = x / 2", "x: i64[N, D=4]", "f32[N, D=4]"),
    ("y = 2 * x", "x: i64[N, D=4]", "i64[N, D=4]"),
    ("y = 0.5 * x", "x: i64[N, D=4]", "f32[N, D=4]"),
    ("y = x + D", "x: f32[N, D=4]", "f32[N, D=4]"),
    ("y = x > 0 and x < 1", "x: f32[N, D=4]", "bool[N, D=4]"),
]


@pytest.mark.parametrize(("statement", "inputs", "expected"), ALIGNED, ids=[a[0] for a in ALIGNED])
def test_elementwise_operands_align_by_name(statement: str, inputs: str, expected: str) -> None:
    assert str(output_type(body(statement, inputs, f"y: {expected}"))) == expected


def test_no_silent_outer_product() -> None:
    assert codes(body("y = x + linear[E=3](x)")) == ["CS0233"]


def test_a_callees_names_come_back_as_the_callers() -> None:
    head = "seed F { in x: f32[N, Q]\n out y: f32[N, Q]\n y = relu(x) }"
    assert codes(body("y = x + F(x)", head=head)) == []


OPEN = {
    "matmul": ("adj: f32[N, V, U]", "N, A, B", "y = matmul(adj, x)"),
    "einsum": ("adj: f32[N, V, U]", "N, A, B", 'y = einsum["nvu,nud->nvd"](adj, x)'),
    "concat": ("z: f32[N, U, D]", "N, A, 8", "y = concat(x, z)"),
    "stack": ("z: f32[N, U, D]", "N, A, 4, 2", "y = stack(x, z)"),
    "attend": ("k: f32[N, V, E]", "N, A, 4", "y = attend(x, k, x)"),
    "take": ("j: i64[N, U]", "N, A", "y = take[over=D, shared=(0, 1)](x, j)"),
    "a number": ("z: f32[N, E, 3]", "N, A, 3", "y = matmul(x, z)"),
    "three": ("z: f32[N, U, D]\n in w: f32[N, P, D]", "N, A, 12", "y = concat(concat(x, z), w)"),
    "in a loop": ("adj: f32[N, V, U]", "N, A, 4", "y = repeat 3 with h = x { next h = matmul(adj, h) }"),
}


@pytest.mark.parametrize(("inputs", "outputs", "statement"), OPEN.values(), ids=list(OPEN))
def test_open_sizes_that_an_operation_needs_equal_are_one(inputs: str, outputs: str, statement: str) -> None:
    text = body(statement, f"x: f32[N, V, D=4]\n in {inputs}", f"y: f32[{outputs}]")
    found, diagnostics = elaborated(text)
    assert found is not None, [d.message for d in diagnostics]
    symbols = {s for _, node in found.graph.of(Input) for size in node.type.shape for s in size.symbols()}
    assert len(symbols - {"N"}) == 1


REQUIRED = {
    "concat": ("x: f32[N, C=3, H, W=8]", "y: f32[N, 6, H, W]", "concat[over=C](x, resize[scale=2](max_pool2d[2](x)))"),
    "stack": ("x: f32[N, C=3, H, W=8]", "y: f32[N, C, H, W, 2]", "stack(x, resize[scale=2](max_pool2d[2](x)))"),
    "einsum": ("x: f32[N, H]", "y: f32[N]", 'einsum["nh,nh->n"](x, repeat_interleave[2](max_pool1d[2](x)))'),
    "windows": ("x: f32[N, H]", "y: f32[N, B, S]", "split[over=H, into=(B, S), S=2](x)"),
    "pixels": ("x: f32[N, C=3, H, W=8]", "y: f32[N, 12, A, 4]", "space_to_depth[2](x)"),
}


@pytest.mark.parametrize(("inputs", "outputs", "value"), REQUIRED.values(), ids=list(REQUIRED))
def test_sizes_that_an_operation_needs_equal_are_required(inputs: str, outputs: str, value: str) -> None:
    found, diagnostics = elaborated(body(f"y = {value}", inputs, outputs))
    assert found is not None, [d.message for d in diagnostics]
    assert found.requirements
    for size in (6, 7):
        holds = all(r.left.evaluate({"H": size}) == r.right.evaluate({"H": size}) for r in found.requirements)
        assert holds is (size == 6)


def test_sizes_that_never_are_equal_are_refused() -> None:
    wrong = body("y = concat(x, pad[1, over=T](x))", "x: f32[N, T, D=4]", "y: f32[N, T, 8]")
    assert codes(wrong) == ["CS0304"]
    assert codes(body("y = split[over=T, into=(B, S), S=4](x)", "x: f32[N, T=6]", "y: f32[N, B, 4]")) == ["CS0314"]


def test_a_batch_is_no_other_size() -> None:
    assert codes(body("y = matmul(x, z)", "x: f32[V, D=4, N]\n in z: f32[V, U, 3]", "y: f32[V, A, B]")) == ["CS0352"]


def test_an_axis_that_only_the_out_port_names_is_inferred() -> None:
    head = "seed F { in x: f32[N, C, H]\n out y: f32[N, C, H2]\n y = max_pool1d[2](x) }"
    assert codes(body("y = mean[over=H](F(x))", "x: f32[N, C=2, H=8]", "y: f32[N, C]", head)) == []


def test_a_tuple_port_binds_each_value_anew() -> None:
    head = "seed F { in xs: f32[N, C] * 2\n out y: f32[N, 3]\n y = linear[3](xs[0]) + linear[3](xs[1]) }"
    assert codes(body("y = F((x, linear[7](x)))", outputs="y: f32[N, 3]", head=head)) == []


def test_unknown_sizes_become_requirements() -> None:
    text = body("y = x + join[over=(A, B), into=T](z)", "x: f32[N, T]\n in z: f32[N, A, B]", "y: f32[N, T]")
    found, diagnostics = elaborated(text)
    assert found is not None and not len(diagnostics)
    (required,) = found.requirements
    assert (required.left - required.right).evaluate({"T": 6, "A": 2, "B": 3}) == 0


# Weights and paths


def test_paths_name_weights() -> None:
    head = """
seed Stage[w: int] { in x: f32[N, D]
 out y: f32[N, w]
 y = linear[w](x) |> relu |> linear[w] }"""
    text = body(
        """
    a = Stage[4](x)
    share f = Stage[4]
    h = for i in 0 .. 2 with h = f(f(a)) { next h = when mean[over=D](h) > 0 { Stage[4](h) } else { h } }
    exit easy { y = linear[D](h) } when confidence(y) > 0.5
    y = linear[D](h)""",
        head=head,
    )
    found = [w.removesuffix(".weight") for w in weights(graph_of(text)) if w.endswith(".weight")]
    assert found == [
        "a.Stage.linear",
        "a.Stage.linear_2",
        "f.Stage.linear",
        "f.Stage.linear_2",
        "h.0.then.Stage.linear",
        "h.0.then.Stage.linear_2",
        "h.1.then.Stage.linear",
        "h.1.then.Stage.linear_2",
        "exits.easy.linear",
        "linear",
    ]


def test_a_shared_instance_has_one_set_of_weights_and_decides_twice() -> None:
    head = "seed F { in x: f32[N, D]\n out y: f32[N, D]\n gate g over N = linear[1](x) > 0\n y = when g { relu(x) } else { x } }"
    graph = graph_of(body("share f = F\n y = f(f(x))", head=head))
    assert len(weights(graph)) == 2
    assert [n.name for _, n in graph.nodes() if isinstance(n, Gate)] == ["f.F.g", "f.F.g_2"] or len(
        {n.name for _, n in graph.nodes() if isinstance(n, Gate)}
    ) == 2


def test_the_weights_file_gives_an_open_size() -> None:
    text = body("y = linear[3](x)", "x: f32[N, D]", "y: f32[N, 3]")
    assert codes(text) == ["CS0239"]
    found, diagnostics = elaborated(text, options=Options(weight_shapes=(("linear.weight", (3, 7)),)))
    assert found is not None and not len(diagnostics)
    found, diagnostics = elaborated(text, options=Options(sizes=(("D", 7),)))
    assert found is not None and not len(diagnostics)


# Static values


def test_a_static_choice_checks_one_arm_only() -> None:
    assert codes(body("y = when 1 == 1 { x } else { nonsense(x) }")) == []


def test_recursion_on_a_static_parameter() -> None:
    head = (
        "seed F[d: int] { in x: f32[N, D]\n out y: f32[N, D]\n y = when d == 0 { x } else { F[d - 1](linear[D](x)) } }"
    )
    assert len(weights(graph_of(body("y = F[5](x)", head=head)))) == 10
    assert codes(body("y = F[65](x)", head=head)) == ["CS0605"]


def test_division_of_static_integers_rounds_down() -> None:
    assert str(output_type(body("y = linear[7 / 2](x)", outputs="y: f32[N, 3]"))) == "f32[N, 3]"


def test_sizes_are_rational_until_they_are_rounded() -> None:
    found, diagnostics = elaborated(
        body("y = relu(zeros[N, ceil(1.25 * T / 8)]() + sum[over=T](x))", "x: f32[N, T]", "y: f32[N, 5]")
    )
    assert found is not None and not len(diagnostics)
    ((left, right),) = [(r.left, r.right) for r in found.requirements]
    assert {left.evaluate({"T": 30}), right.evaluate({"T": 30})} == {5}
    assert codes(body("y = x |> linear[ceil(1.25 * D / 2)]", outputs="y: f32[N, 3]")) == []


# Gates


def test_a_gate_of_a_float_is_refused_with_advice() -> None:
    _, diagnostics = elaborated(body("gate g over N = mean[over=D](x)\n y = when g { relu(x) } else { x }"))
    (only,) = diagnostics
    assert only.code == "CS0401" and "> 0" in only.help


def test_nan_costs_nothing_for_a_plain_comparison_and_is_tracked_through_not() -> None:
    plain = body("gate g over N = mean[over=D](x) > 0\n y = when g { relu(x) } else { x }")
    assert "isnan" not in calls(graph_of(plain))
    negated = body("c = mean[over=D](x) > 0\n gate g over N = not c\n y = when g { relu(x) } else { x }")
    assert calls(graph_of(negated)).count("isnan") == 1
    unequal = body("gate g over N = mean[over=D](x) != 0\n y = when g { relu(x) } else { x }")
    assert calls(graph_of(unequal)).count("isnan") == 1


def test_k_of_n_defaults_to_a_weighted_sum() -> None:
    graph = graph_of(body("gate g over N = top[2](linear[E=3](x))\n y = route g { e in 0 .. 3 => linear[D](x) }"))
    (merge,) = [n for _, n in graph.nodes() if isinstance(n, Merge)]
    assert merge.mode is MergeMode.WEIGHTED_SUM and merge.arms == (0, 1, 2) and not merge.otherwise
    (gate,) = [n for _, n in graph.nodes() if isinstance(n, Gate)]
    assert gate.kind is GateKind.MANY and gate.arms == 3


def test_an_integer_knob_routes_with_its_range() -> None:
    text = body("knob w = 1 in 0 .. 2\n y = route w { i in 0 .. 3 => linear[D](x) }")
    graph = graph_of(text)
    (gate,) = [n for _, n in graph.nodes() if isinstance(n, Gate)]
    assert gate.kind is GateKind.ONE and gate.arms == 3 and gate.over == ()
    (knob,) = [n for _, n in graph.nodes() if isinstance(n, Knob)]
    assert knob.type.dtype.value == "i64"


def test_one_policy_tensor_gives_all_gates() -> None:
    graph = graph_of(
        body(
            "gate use over N, L = linear[L=2](x) > 0\n y = for i in 0 .. 2 with h = x { next h = when use[L=i] { relu(h) } else { h } }"
        )
    )
    assert [n.name for _, n in graph.nodes() if isinstance(n, Gate)] == ["use", "use.0", "use.1"]


def test_a_batch_wide_gate_inside_a_region_per_sample() -> None:
    assert codes(
        body("s = mean[over=D](x)\n y = when s > 0 { when s > mean[over=N](s) { relu(x) } else { x } } else { x }")
    ) == ["CS0404"]
    assert codes(body("s = mean[over=D](x)\n y = when s > mean[over=N](s) { relu(x) } else { x }")) == ["CS0424"]


# Exits


def test_an_exit_in_a_loop_is_one_for_each_turn() -> None:
    graph = graph_of(
        body(
            "y = for i in 0 .. 3 with h = x { next h = relu(h)\n exit e { y = linear[D](h) } when confidence(y) > 0.5 }"
        )
    )
    exits = [n for _, n in graph.nodes() if isinstance(n, Exit)]
    assert [(e.name, e.order) for e in exits] == [("e.0", 0), ("e.1", 1), ("e.2", 2)]
    assert sum(isinstance(n, Return) for _, n in graph.nodes()) == 1


def test_an_exit_in_an_arm_holds_where_the_arm_was_taken() -> None:
    graph = graph_of(
        body(
            "y = when mean[over=D](x) > 0 { h = relu(x)\n exit e { y = h } when confidence(h) > 0.5\n yield h } else { x }"
        )
    )
    assert "logical_and" in calls(graph)


def test_placed_exits_are_recorded_as_sites() -> None:
    found, _ = elaborated(
        body(
            "exits 2 at h { y = h |> linear[D] } when confidence(y) > 0.5\n y = x |> relu |> linear[D] |> relu |> linear[D]"
        )
    )
    assert found is not None and [s.count for s in found.sites] == [2]


# Mistakes


def test_three_independent_mistakes_are_three_errors() -> None:
    assert codes(body("a = rellu(x)\n b = x + linear[E=3](x)\n c = linear[4](x, wieght=x)\n y = a + b + c")) == [
        "CS0201",
        "CS0233",
        "CS0215",
    ]


def test_what_reads_a_broken_value_is_silent() -> None:
    assert codes(body("a = nothing\n b = relu(a)\n y = when b > 0 { a } else { x }")) == ["CS0201"]


def test_seeds_that_nothing_uses_are_checked_too() -> None:
    assert codes(body("y = x", head="seed Unused { in x: f32[N, D]\n out y: f32[N, D]\n y = rellu(x) }")) == ["CS0201"]


def test_expansion_stops_at_the_limit() -> None:
    text = body("y = for i in 0 .. 100000 with h = x { next h = relu(relu(h)) }")
    assert codes(text, limits=Limits(nodes=1000)) == ["CS0606"]


# Imports


def test_imports_between_files(tmp_path: Path) -> None:
    (tmp_path / "blocks.seed").write_text(
        "const W = 4\nseed F { in x: f32[N, D]\n out y: f32[N, W]\n y = linear[W](x) }\n"
    )
    head = 'import "./blocks.seed" as blocks\nfrom "./blocks.seed" import F, W'
    assert codes(body("y = F(x) + blocks.F(x) + linear[W](x)", head=head), tmp_path) == []


def test_imports_reach_nothing_outside(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.seed").write_text("const W = 4\n")
    (inside / "link.seed").symlink_to(tmp_path / "secret.seed")
    assert codes(body("y = x", head='import "../secret.seed" as s'), inside) == ["CS0508"]
    assert codes(body("y = x", head='import "./link.seed" as s'), inside) == ["CS0509"]


def test_a_syntax_mistake_spoils_its_statement_only() -> None:
    assert codes(body("a = rellu(x)\n b = x + |> x\n c = x + linear[E=3](x)\n y = a + b + c")) == [
        "CS0201",
        "CS0101",
        "CS0233",
    ]
    assert codes(body("b = x + |> x\n y = b + x")) == ["CS0101"], "what reads it is no second mistake"
