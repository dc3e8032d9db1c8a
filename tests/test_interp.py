"""The reference: what graphs mean, before and after passes, and what it says of decisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from cogseedc.diagnostics import UserError
from cogseedc.driver.program import load
from cogseedc.interp import Reference, initial_weights, load_weights, run
from cogseedc.ir import ControlEdge, Dtype, Gate, GateKind, Graph, Init, InitKind, MergeMode, Value, Weight

from .verify.nets import Net, exit_net, f32, nested_net, route_net, skip_net, tensor

Array = np.ndarray[Any, np.dtype[Any]]


def batch(rows: int, width: int = 4, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((rows, width)).astype("float32")


def test_skip_is_where() -> None:
    graph = skip_net()
    weights = initial_weights(graph, 0)
    x = batch(6)
    result = run(graph, {"x": x}, weights)
    keep = x.astype("float64").mean(axis=1) > 0
    np.testing.assert_allclose(result.outputs["y"], np.where(keep[:, None], x * weights["w"].astype("float64"), x))
    np.testing.assert_array_equal(result.trace["keep"], keep)
    np.testing.assert_allclose(result.margins["keep"], abs(x.astype("float64").mean(axis=1)))
    assert result.outputs["y"].dtype == "float64"


def test_exits_take_the_first_that_holds() -> None:
    graph = exit_net()
    weights = initial_weights(graph, 0)
    x = batch(4)
    decisions = {"easy": np.array([1, 0, 0, 1]), "medium": np.array([1, 1, 0, 0])}
    result = run(graph, {"x": x}, weights, decisions=decisions)
    a = x * weights["a"].astype("float64")
    b = a * weights["b"]
    c = b * weights["c"]
    np.testing.assert_allclose(result.outputs["y"], np.stack([a[0], b[1], c[2], a[3]]))
    np.testing.assert_array_equal(result.exits["easy"], [True, False, False, True])
    np.testing.assert_array_equal(result.exits["medium"], [False, True, False, False])
    np.testing.assert_array_equal(result.demanded["medium"], [False, True, True, False])
    np.testing.assert_array_equal(result.trace["medium"], [1, 1, 0, 0])


HALO = """\
seed Window {
    in  x: f32[N, C, H, W]
    out y: f32[N, C, P, Q]
    y = conv2d[C, kernel=(3, 2), stride=(2, 1), padding=(1, 0), dilation=(2, 1)](x)
}
export seed Halo {
    in  x: f32[N, C=1, H=9, W=7]
    in  m: f32[N, C, H, W]
    out y: f32[N, C, P, Q]
    gate inner over N, H, W = squeeze[over=C](x) > 0
    t = when inner { relu(x) } else { x }
    gate busy over N, H, W = squeeze[over=C](Window(m)) > 1
    y = when busy { Window(t) } else { 0 }
}
"""


def test_demand_is_by_position_with_the_halo_of_windows() -> None:
    """A decision behind a convolution matters where a demanded window reads: found with the gradient of the window."""
    graph = load(HALO).elaborated.graph
    rng = np.random.default_rng(0)
    inputs = {name: rng.standard_normal((3, 1, 9, 7)) for name in "xm"}
    result = run(graph, {k: v.astype("float32") for k, v in inputs.items()}, initial_weights(graph, 0))
    busy = result.trace["busy"] == 1
    np.testing.assert_array_equal(result.demanded["busy"], np.ones_like(busy))
    x = torch.zeros(3, 1, 9, 7, requires_grad=True)
    window = torch.ones(1, 1, 3, 2)
    conv2d(x, window, stride=(2, 1), padding=(1, 0), dilation=(2, 1)).backward(torch.from_numpy(busy[:, None]).float())
    assert x.grad is not None
    wanted = x.grad.numpy()[:, 0] > 0
    assert 0 < wanted.sum() < wanted.size
    np.testing.assert_array_equal(result.demanded["inner"], wanted)


def test_knobs_have_defaults_and_ranges() -> None:
    graph = exit_net()
    weights = initial_weights(graph, 0)
    x = batch(4)
    always = run(graph, {"x": x}, weights, {"tau": 0.0}).trace["easy"]
    assert always.sum() >= run(graph, {"x": x}, weights).trace["easy"].sum()
    with pytest.raises(UserError, match="CS0846"):
        run(graph, {"x": x}, weights, {"tau": 2.0})
    with pytest.raises(UserError, match="CS0846"):
        run(graph, {"x": x}, weights, {"tua": 0.5})


@pytest.mark.parametrize("net", [skip_net, nested_net, exit_net, route_net])
def test_rows_do_not_depend_on_their_batch(net: Any) -> None:
    graph = net()
    weights = initial_weights(graph, 1)
    x = batch(5)
    whole = run(graph, {"x": x}, weights)
    for i in range(5):
        alone = run(graph, {"x": x[i : i + 1]}, weights)
        for name, value in whole.outputs.items():
            np.testing.assert_array_equal(value[i : i + 1], alone.outputs[name])
    empty = run(graph, {"x": x[:0]}, weights)
    assert all(v.shape == (0, 4) for v in empty.outputs.values())
    assert all(len(t) == 0 for t in empty.trace.values())
    assert all(len(t) == 0 for t in empty.demanded.values())


def test_repeated_runs_evaluate_what_changed() -> None:
    graph = nested_net()
    weights = initial_weights(graph, 0)
    reference = Reference(graph, weights)
    for rows, decisions in [
        (3, {}),
        (3, {"outer": np.ones(3, "int64")}),
        (5, {"inner": np.zeros(5, "int64")}),
        (3, {}),
    ]:
        x = {"x": batch(rows, seed=rows)}
        again = reference.run(x, decisions=decisions)
        fresh = run(graph, x, weights, decisions=decisions)
        np.testing.assert_array_equal(again.outputs["y"], fresh.outputs["y"])
        assert {n: t.tolist() for n, t in again.trace.items()} == {n: t.tolist() for n, t in fresh.trace.items()}


def test_weighted_sum_of_two_of_three() -> None:
    graph = route_net()
    weights = initial_weights(graph, 0)
    x = batch(5).astype("float64")
    result = run(graph, {"x": x.astype("float32")}, weights)
    scores = np.exp(x[:, :3]) / np.exp(x[:, :3]).sum(axis=1, keepdims=True)
    best = np.argsort(-scores, axis=1)[:, :2]
    np.testing.assert_array_equal(result.trace["pick"], best)
    chosen = np.zeros_like(scores)
    np.put_along_axis(chosen, best, np.take_along_axis(scores, best, 1), 1)
    chosen /= chosen.sum(axis=1, keepdims=True)
    expected = sum(chosen[:, i : i + 1] * x * weights[f"w{i}"] for i in range(3))
    np.testing.assert_allclose(result.outputs["y"], expected, rtol=1e-12)
    ordered = -np.sort(-scores, axis=1)
    np.testing.assert_allclose(result.margins["pick"], ordered[:, 1] - ordered[:, 2])
    np.testing.assert_allclose(result.margins["one"], ordered[:, 0] - ordered[:, 1])


@pytest.mark.parametrize("mode", [MergeMode.SUM, MergeMode.MEAN, MergeMode.MAX])
def test_merges_of_no_arm_give_otherwise_or_zero(mode: MergeMode) -> None:
    for otherwise in (False, True):
        net = Net()
        x = net.input("x", f32("N", 2))
        mask = net.input("m", tensor(Dtype.BOOL, "N", 3))
        pick = net.gate("pick", mask, GateKind.MANY, 3)
        arms = [(net.call("mul", x, net.constant(float(i + 1))), pick, i) for i in range(3)]
        net.output("y", net.merge(arms, x if otherwise else None, mode))
        given = {"x": np.array([[1.0, -1.0]] * 3, "float32"), "m": np.array([[0, 0, 0], [1, 0, 1], [0, 1, 0]], "bool")}
        y = run(net.graph, given, {}).outputs["y"]
        np.testing.assert_allclose(y[0], [1, -1] if otherwise else [0, 0])
        both = {MergeMode.SUM: [4, -4], MergeMode.MEAN: [2, -2], MergeMode.MAX: [3, -1]}[mode]
        np.testing.assert_allclose(y[1], both)
        np.testing.assert_allclose(y[2], [2, -2])


def guarded() -> tuple[Graph, Value]:
    """`inner` runs only where `outer` was taken, as after passes."""
    graph = nested_net()
    gates = {n.name: id for id, n in graph.nodes() if isinstance(n, Gate)}
    graph.connect(ControlEdge(gates["outer"], gates["inner"], 1))
    return graph, Value(gates["inner"])


def test_guards_hide_decisions_and_change_no_value() -> None:
    graph, _ = guarded()
    weights = initial_weights(graph, 0)
    x = {"x": batch(3)}
    outer = {"outer": np.array([1, 0, 1])}
    dense = run(nested_net(), x, weights, decisions=outer)
    result = run(graph, x, weights, decisions=outer)
    np.testing.assert_array_equal(result.outputs["y"], dense.outputs["y"])
    np.testing.assert_array_equal(result.trace["inner"] == -1, [False, True, False])
    np.testing.assert_array_equal(result.demanded["inner"], [True, False, True])
    assert (dense.trace["inner"] >= 0).all()


def test_gates_before_and_after_insertion_of_exits_mean_the_same() -> None:
    markers = exit_net()
    weights = initial_weights(markers, 0)
    net = Net()
    x = net.input("x", f32("N", 4))
    tau = net.knob("tau", 0.5)
    a = net.call("mul", x, net.weight("a", 4))
    b = net.call("mul", a, net.weight("b", 4))
    c = net.call("mul", b, net.weight("c", 4))
    gates = []
    for name, value in (("easy", a), ("medium", b)):
        gates.append(net.gate(name, net.call("ge", net.over("max", value, 1), tau)))
        node = net.graph[gates[-1].node]
        assert isinstance(node, Gate)
        net.graph.update(gates[-1].node, Gate(name, GateKind.BOOL, 2, ("N",), node.type, exit=name))
    net.output("y", net.merge([(a, gates[0], 1), (b, gates[1], 1)], otherwise=c))
    for decisions in ({}, {"easy": np.array([1, 0, 0])}, {"medium": np.array([1, 1, 0])}):
        first, second = (run(g, {"x": batch(3)}, weights, decisions=decisions) for g in (markers, net.graph))
        np.testing.assert_array_equal(first.outputs["y"], second.outputs["y"])
        for table in ("trace", "exits", "demanded", "margins"):
            for name, value in getattr(first, table).items():
                np.testing.assert_array_equal(value, getattr(second, table)[name])


def test_nan_is_not_taken_and_certain() -> None:
    graph = skip_net()
    x = np.full((1, 4), np.nan, "float32")
    result = run(graph, {"x": x}, initial_weights(graph, 0))
    assert result.trace["keep"].tolist() == [0]
    assert result.margins["keep"].tolist() == [float("inf")]


def test_batch_coupled_programs_run_on_their_whole_batch() -> None:
    net = Net()
    x = net.input("x", f32("N", 4))
    score = net.over("mean", x, 1)
    keep = net.gate("keep", net.call("gt", score, net.over("mean", score, 0, keep=True)))
    net.output("y", net.merge([(net.call("neg", x), keep, 1), (x, keep, 0)]))
    reference = Reference(net.graph, {})
    assert reference.plan.batch_coupled
    means = batch(5).astype("float64").mean(axis=1)
    result = reference.run({"x": batch(5)})
    np.testing.assert_array_equal(result.trace["keep"], means > means.mean())
    assert result.demanded["keep"].all()


def test_inputs_are_checked() -> None:
    graph = skip_net()
    weights = initial_weights(graph, 0)
    for given, code in (
        ({}, "CS0843"),
        ({"x": batch(2), "z": batch(2)}, "CS0843"),
        ({"x": batch(2).astype("float64")}, "CS0845"),
        ({"x": batch(2, 5)}, "CS0844"),
        ({"x": batch(2)[0]}, "CS0844"),
    ):
        with pytest.raises(UserError, match=code):
            run(graph, given, weights)
    for wrong in ({"kept": np.ones(2)}, {"keep": np.ones(3, "int64")}):
        with pytest.raises(UserError, match="CS0847"):
            run(graph, {"x": batch(2)}, weights, decisions=wrong)


def weight(path: str, kind: InitKind, arguments: tuple[float, ...] = (), fan_in: int = 0) -> Weight:
    return Weight(path, f32(100, 50), Init(kind, arguments, fan_in))


def weights_of(*nodes: Weight) -> dict[str, Array]:
    graph = Graph()
    for node in nodes:
        graph.add(node)
    return initial_weights(graph, 7)


def test_initial_weights_follow_their_initialisers() -> None:
    found = weights_of(
        weight("k", InitKind.KAIMING, fan_in=16),
        weight("n", InitKind.NORMAL, (0.5,)),
        weight("u", InitKind.UNIFORM, (2.0, 3.0)),
        weight("z", InitKind.ZEROS),
        weight("o", InitKind.ONES),
        weight("f", InitKind.FULL, (4.0,)),
    )
    assert all(a.dtype == "float32" and a.shape == (100, 50) for a in found.values())
    assert 0.24 < abs(found["k"]).max() <= 0.25
    assert abs(found["n"].std() - 0.5) < 0.02
    assert 2.0 <= found["u"].min() < found["u"].max() < 3.0
    assert (found["z"] == 0).all()
    assert (found["o"] == 1).all()
    assert (found["f"] == 4).all()


def test_a_weight_depends_on_no_other() -> None:
    a, b = weight("a", InitKind.NORMAL, (1.0,)), weight("b", InitKind.NORMAL, (1.0,))
    alone, both = weights_of(a), weights_of(b, a)
    np.testing.assert_array_equal(alone["a"], both["a"])
    assert (both["a"] != both["b"]).any()
    assert alone["a"].ravel()[:2].tolist() == weights_of(a)["a"].ravel()[:2].tolist()


def test_weights_load_strictly() -> None:
    graph = exit_net()
    weights = initial_weights(graph, 0)
    assert load_weights(graph, weights) == weights
    short = {n: w for n, w in weights.items() if n != "a"}
    for wrong, codes in (
        (short, "CS0840"),
        ({**weights, "d": weights["a"]}, "CS0840"),
        ({**weights, "a": weights["a"][:2]}, "CS0841"),
        ({**weights, "a": weights["a"].astype("float64")}, "CS0842"),
        ({**short, "b": weights["a"][:2].astype("float64")}, "CS0840.*CS0841.*CS0842"),
    ):
        with pytest.raises(UserError, match=codes):
            load_weights(graph, wrong)
