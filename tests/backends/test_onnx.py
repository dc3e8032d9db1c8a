"""The ONNX emitter on hand-made plans: equal to the dense meaning in numpy, with and without optimisation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest

from cogseedc.backends.names import Names
from cogseedc.backends.onnx import emit
from cogseedc.backends.onnx.forcing import with_forced_decisions
from cogseedc.backends.onnx.trace import TRACED
from cogseedc.backends.plan.model import (
    ROOT,
    Accumulate,
    Choice,
    Enter,
    Join,
    Slot,
    SpaceId,
    Spread,
    Strategy,
    Take,
    Wrap,
    Write,
)
from cogseedc.ir import Axis, Dtype, GateKind, MergeMode, Size, Value
from cogseedc.target import Costs, Target

from .nets import OPS, Meaning, Net

CPU = Target(
    "onnx-cpu", "", "onnx", "cpu", ("CPUExecutionProvider",), False, "needed", ("compact",), ("fp32",), "fp32",
    Costs(1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1),
)  # fmt: skip
EDGE = Target(
    "onnx-edge", "", "onnx", "cpu", ("CPUExecutionProvider",), True, "needed", ("branch",), ("fp32",), "fp32",
    Costs(1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1),
)  # fmt: skip
ON = {"cogseed.trace": np.array(True)}
WAYS = [(Strategy.COMPACT, Wrap.NONE), (Strategy.COMPACT, Wrap.ANY), (Strategy.BRANCH, Wrap.CONDITION)]
BATCHES = (0, 1, 2, 7, 16)


def session(model: bytes, optimised: bool = True) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def model_of(net: Net, target: Target, trace: bool = False) -> bytes:
    return emit(net.plan(), net.weights, target, Names({}), {"name": "net"}, trace=trace, ops=OPS)


def check(
    net: Net, inputs: Callable[[int], dict[str, np.ndarray]], target: Target = CPU, batches: tuple[int, ...] = BATCHES
) -> onnx.ModelProto:
    """The model equals the net's meaning: outputs, decisions, rows."""
    plan = net.plan()
    content = model_of(net, target, trace=True)
    assert content == model_of(net, target, trace=True)
    model = onnx.ModelProto.FromString(content)
    onnx.checker.check_model(model, full_check=True)
    plain = onnx.ModelProto.FromString(model_of(net, target))
    onnx.checker.check_model(plain, full_check=True)
    assert not any(o.name == TRACED for o in plain.graph.output)
    for optimised in (False, True):
        runner = session(content, optimised)
        for rows in batches:
            feed = inputs(rows)
            meaning = Meaning(net, plan, feed, rows)
            found = everything(runner, feed | (ON if plan.gates else {}))
            for name, value in meaning.outputs().items():
                assert found[name].shape == value.shape, name
                np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-4)
            for name, decisions in meaning.trace().items():
                np.testing.assert_array_equal(found[f"trace.{name}"], decisions, name)
            for space in plan.spaces[1:]:
                assert found[f"rows.{space.name}"] == meaning.masks[space.id].sum(), space.name
    return model


def everything(runner: onnxruntime.InferenceSession, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs by name, and what the trace holds."""
    names = [o.name for o in runner.get_outputs()]
    found = dict(zip(names, runner.run(names, feed), strict=True))
    traced = runner.get_modelmeta().custom_metadata_map.get(TRACED, "").split()
    return found | dict(zip(traced, found.pop(TRACED, []), strict=True))


def images(rows: int) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(rows).standard_normal((rows, 3, 8, 8)).astype(np.float32)}


def vectors(rows: int) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(rows).standard_normal((rows, 6)).astype(np.float32)}


def head(net: Net, x: Value, path: str) -> Value:
    return net.linear(net.unary("pool", x, f"{path}.pool"), f"{path}.linear", 10)


def stage(net: Net, x: Value, path: str, width: int) -> list[Value]:
    c = net.conv(x, f"{path}.conv2d", width)
    return [c, net.unary("relu", c, f"{path}.relu")]


def early_exit(strategy: Strategy, wrap: Wrap, size: int = 8, width: int = 4, stages: int = 3) -> Net:
    """Stages with an exit after each but the last; sticky compaction or a chain of ifs."""
    net = Net()
    image = net.input("image", "N", 3, size, size)
    tau = net.knob("tau", 0.1)
    space, x = ROOT, image
    exits: list[Slot] = []
    gates: list[tuple[Value, SpaceId]] = []
    for i in range(stages):
        steps: list[object] = []
        if gates:
            last = gates[-1][0]
            term = [Choice(Slot(last.node, 0, space), (0,))]
            inner = net.space(f"stage{i}", strategy, term, parent=space)
            net.blocks[-1][2].append(Enter(inner))
            steps.append(Take(Slot(x.node, 0, space), Slot(x.node, 0, inner)))
            space = inner
        conv, x = stage(net, x, f"stage{i}", width * 2**i)
        logits = head(net, x, f"exits.e{i}")
        pool = net.graph.wiring().operand(logits.node, 0)
        assert pool
        steps += [conv, x, pool, logits]
        exits.append(Slot(logits.node, 0, space))
        if i < stages - 1:
            score = net.unary("last", logits)
            above = net.above(score, tau)
            gate = net.gate(f"exits.e{i}", above)
            net.report(gate, space)
            gates.append((gate, space))
            steps += [score, above, gate]
        net.block(space, Wrap.NONE if i == 0 else wrap, *steps)
    values = [Value(s.node) for s in exits]
    y = net.merge([(v, g, 1) for v, (g, _) in zip(values[:-1], gates, strict=True)], values[-1])
    net.block(ROOT, Wrap.NONE, Join(y.node, exits[0], tuple(Write(s) for s in exits[1:]), Slot(y.node, 0, ROOT)))
    net.output("logits", y)
    return net


def ifs(graph: onnx.GraphProto) -> int:
    return sum(n.op_type == "If" for n in graph.node)


def depth(graph: onnx.GraphProto) -> int:
    bodies = [a.g for n in graph.node for a in n.attribute if a.type == onnx.AttributeProto.GRAPH]
    return 1 + max(map(depth, bodies), default=-1)


@pytest.mark.parametrize("wrap", [Wrap.NONE, Wrap.ANY])
def test_early_exit_compact(wrap: Wrap) -> None:
    model = check(early_exit(Strategy.COMPACT, wrap), images)
    assert ifs(model.graph) == (3 if wrap is Wrap.ANY else 1)


def test_early_exit_batch_one_is_one_if_for_each_exit() -> None:
    net = early_exit(Strategy.BRANCH, Wrap.CONDITION)
    model = onnx.ModelProto.FromString(model_of(net, EDGE))
    assert ifs(model.graph) == 2
    assert depth(model.graph) == 1
    for seed in range(6):
        net = early_exit(Strategy.BRANCH, Wrap.CONDITION)
        check(net, lambda rows, seed=seed: {"image": images(seed + 20)["image"][:1]}, EDGE, (1,))


def test_convolution_weights_live_in_their_body() -> None:
    model = onnx.ModelProto.FromString(model_of(early_exit(Strategy.COMPACT, Wrap.ANY), CPU))
    root = {i.name for i in model.graph.initializer}
    assert "stage0.conv2d.weight" in root
    assert "stage1.conv2d.weight" not in root
    [body] = [
        a.g
        for n in model.graph.node
        for a in n.attribute
        if a.name == "then_branch" and any(i.name == "stage1.conv2d.weight" for i in a.g.initializer)
    ]
    assert body


def test_names_and_metadata() -> None:
    model = onnx.ModelProto.FromString(model_of(early_exit(Strategy.COMPACT, Wrap.NONE), CPU))
    assert (model.opset_import[0].version, model.ir_version, model.producer_name) == (21, 10, "cogseedc")
    names = [n.name for n in model.graph.node]
    assert len(names) == len(set(names))
    [conv] = [n for n in model.graph.node if n.name == "/stage0/conv2d/Conv"]
    assert {p.key: p.value for p in conv.metadata_props} == {"cogseed.source": "net.seed:4", "namespace": "stage0"}
    assert [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == ["N", 3, 8, 8]
    edge = onnx.ModelProto.FromString(model_of(early_exit(Strategy.BRANCH, Wrap.CONDITION), EDGE))
    assert edge.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1


@pytest.mark.parametrize("tau", [-10.0, 10.0])
def test_knob_is_an_input_with_a_default(tau: float) -> None:
    net = early_exit(Strategy.COMPACT, Wrap.NONE)
    check(net, lambda rows: images(rows) | {"tau": np.array(tau, np.float32)})


@pytest.mark.parametrize(("strategy", "wrap"), WAYS)
def test_layer_skip(strategy: Strategy, wrap: Wrap) -> None:
    net = Net(3)
    x = net.input("image", "N", 3, 8, 8)
    zero = net.constant(0.0)
    for i in range(4):
        pool = net.unary("pool", x)
        score = net.unary("last", net.linear(pool, f"gate{i}", 1))
        linear = net.graph.wiring().operand(score.node, 0)
        assert linear
        above = net.above(score, zero)
        gate = net.gate(f"keep{i}", above)
        net.report(gate)
        space = net.space(f"keep{i}", strategy, [Choice(Slot(gate.node, 0, ROOT), (1,))])
        net.block(ROOT, Wrap.NONE, pool, linear, score, above, gate, Enter(space))
        conv = net.conv(x, f"block{i}.conv2d", 3)
        add = net.call("add", [x, conv], net.graph.type(x))
        y = net.merge([(add, gate, 1)], x)
        net.block(space, wrap, Take(Slot(x.node, 0, ROOT), Slot(x.node, 0, space)), conv, add)
        write = Write(Slot(add.node, 0, space))
        net.block(ROOT, Wrap.NONE, Join(y.node, Slot(x.node, 0, ROOT), (write,), Slot(y.node, 0, ROOT)))
        x = y
    net.output("y", x)
    if strategy is Strategy.BRANCH:
        model = check(net, lambda rows: {"image": images(rows)["image"][:1]}, EDGE, (1,))
        assert ifs(onnx.ModelProto.FromString(model_of(net, EDGE)).graph) == 4
    else:
        model = check(net, images)
    assert depth(model.graph) <= 2


@pytest.mark.parametrize(("strategy", "wrap"), [(Strategy.COMPACT, Wrap.NONE), (Strategy.BRANCH, Wrap.CONDITION)])
def test_route_with_arms_that_cover(strategy: Strategy, wrap: Wrap) -> None:
    """No base: three arms, each in its own space, one of them asked again inside an arm."""
    net = Net(5)
    x = net.input("x", "N", 6)
    scores = net.linear(x, "arm.linear", 3)
    best = net.unary("argmax", scores)
    gate = net.gate("arm", best, GateKind.ONE, 3)
    net.report(gate)
    spaces = [net.space(f"arm{i}", strategy, [Choice(Slot(gate.node, 0, ROOT), (i,))]) for i in range(3)]
    net.block(ROOT, Wrap.NONE, scores, best, gate, *(Enter(s) for s in spaces))
    arms = [net.linear(x, f"y.{i}.linear", 4) for i in range(3)]
    for arm, space in zip(arms, spaces, strict=True):
        net.block(space, wrap, Take(Slot(x.node, 0, ROOT), Slot(x.node, 0, space)), arm)
    y = net.merge([(a, gate, i) for i, a in enumerate(arms)])
    writes = tuple(Write(Slot(a.node, 0, s)) for a, s in zip(arms, spaces, strict=True))
    net.block(ROOT, Wrap.NONE, Join(y.node, None, writes, Slot(y.node, 0, ROOT)))
    net.output("y", y)
    if strategy is Strategy.BRANCH:
        for seed in range(5):
            check(net, lambda rows, seed=seed: {"x": vectors(seed + 30)["x"][:1]}, EDGE, (1,))
    else:
        check(net, vectors)


@pytest.mark.parametrize("mode", [MergeMode.SUM, MergeMode.WEIGHTED_SUM])
@pytest.mark.parametrize("wrap", [Wrap.NONE, Wrap.ANY])
@pytest.mark.parametrize("otherwise", [False, True])
def test_experts(mode: MergeMode, wrap: Wrap, otherwise: bool) -> None:
    net = Net(7)
    x = net.input("x", "N", 6)
    scores = net.linear(x, "pick.linear", 4)
    have = net.graph.type(scores)
    two = have.with_dtype(Dtype.I64).with_axes((have.axes[0], Axis(None, Size.of(2))))
    best = net.call("order", [scores], two)
    mask = net.above(scores, net.constant(0.6))
    gate = net.gate("pick", mask, GateKind.MANY, 4, second=best)
    net.report(gate)
    choices = [Choice(Slot(gate.node, 0, ROOT), (i,)) for i in range(4)]
    spaces = [net.space(f"expert{i}", Strategy.COMPACT, [c]) for i, c in enumerate(choices)]
    net.block(ROOT, Wrap.NONE, scores, best, mask, gate, *(Enter(s) for s in spaces))
    arms = [net.linear(x, f"y.{i}.linear", 6) for i in range(4)]
    weights = mode is MergeMode.WEIGHTED_SUM
    y = net.merge(
        [(a, gate, i) for i, a in enumerate(arms)], x if otherwise else None, mode, scores if weights else None
    )
    writes = []
    for arm, space in zip(arms, spaces, strict=True):
        steps: list[object] = [Take(Slot(x.node, 0, ROOT), Slot(x.node, 0, space)), arm]
        weight = None
        if weights:
            weight = Slot(scores.node, 0, space)
            steps.append(Take(Slot(scores.node, 0, ROOT), weight))
        net.block(space, wrap, *steps)
        writes.append(Write(Slot(arm.node, 0, space), weight))
    base = Slot(x.node, 0, ROOT) if otherwise else None
    net.block(ROOT, Wrap.NONE, Accumulate(y.node, tuple(writes), base, tuple(choices), Slot(y.node, 0, ROOT)))
    net.output("y", y)
    check(net, vectors)


@pytest.mark.parametrize("mode", list(MergeMode))
@pytest.mark.parametrize("otherwise", [False, True])
def test_dense_merges(mode: MergeMode, otherwise: bool) -> None:
    net = Net(9)
    x = net.input("x", "N", 6)
    scores = net.linear(x, "pick.linear", 4)
    if mode is MergeMode.SELECT:
        decision = net.unary("argmax", scores)
        gate = net.gate("pick", decision, GateKind.ONE, 4)
    else:
        decision = net.above(scores, net.constant(0.3))
        gate = net.gate("pick", decision, GateKind.MANY, 4)
    net.report(gate)
    arms = [net.linear(x, f"y.{i}.linear", 6) for i in range(3 if mode is MergeMode.SELECT and otherwise else 4)]
    weights = scores if mode is MergeMode.WEIGHTED_SUM else None
    y = net.merge([(a, gate, i) for i, a in enumerate(arms)], x if otherwise else None, mode, weights)
    net.block(ROOT, Wrap.NONE, scores, decision, gate, *arms, y)
    net.output("y", y)
    check(net, vectors)


def test_gate_without_axes_is_a_branch_at_any_batch() -> None:
    net = Net(11)
    x = net.input("x", "N", 6)
    tau = net.knob("tau", 0.5)
    level = net.constant(0.3)
    above = net.above(tau, level)
    gate = net.gate("on", above)
    net.report(gate)
    on = net.space("on", Strategy.BRANCH, [Choice(Slot(gate.node, 0, ROOT), (1,))])
    first = net.linear(x, "first", 6)
    net.block(ROOT, Wrap.NONE, above, gate, Enter(on), first)
    # inside the branch, rows are compacted, and what is computed there is read outside
    score = net.unary("last", first)
    inner = net.above(score, level)
    keep = net.gate("keep", inner)
    net.report(keep, on)
    rows = net.space("kept", Strategy.COMPACT, [Choice(Slot(keep.node, 0, on), (1,))], parent=on)
    net.block(
        on, Wrap.CONDITION, Take(Slot(first.node, 0, ROOT), Slot(first.node, 0, on)), score, inner, keep, Enter(rows)
    )
    second = net.linear(first, "second", 6)
    net.block(rows, Wrap.NONE, Take(Slot(first.node, 0, on), Slot(first.node, 0, rows)), second)
    y = net.merge([(second, keep, 1)], first)
    z = net.merge([(y, gate, 1)], first)
    net.block(
        on,
        Wrap.CONDITION,
        Join(y.node, Slot(first.node, 0, on), (Write(Slot(second.node, 0, rows)),), Slot(y.node, 0, on)),
    )
    net.block(
        ROOT, Wrap.NONE, Join(z.node, Slot(first.node, 0, ROOT), (Write(Slot(y.node, 0, on)),), Slot(z.node, 0, ROOT))
    )
    net.output("z", z)
    for value in (0.5, 0.1):
        feed = {"tau": np.array(value, np.float32)}
        expected = np.isclose(value, 0.5)
        plan = net.plan()
        for optimised in (False, True):
            runner = session(model_of(net, CPU, True), optimised)
            for batch in BATCHES:
                inputs = vectors(batch) | feed
                meaning = Meaning(net, plan, inputs, batch)
                found = everything(runner, inputs | ON)
                np.testing.assert_allclose(found["z"], meaning.outputs()["z"], rtol=1e-3, atol=1e-4)
                np.testing.assert_array_equal(found["trace.keep"], meaning.trace()["keep"])
                assert found["rows.on"] == (batch if expected else 0)


def test_spread() -> None:
    net = Net(13)
    x = net.input("x", "N", 6)
    score = net.unary("last", x)
    above = net.above(score, net.constant(0.0))
    gate = net.gate("g", above)
    net.report(gate)
    space = net.space("on", Strategy.COMPACT, [Choice(Slot(gate.node, 0, ROOT), (1,))])
    net.block(ROOT, Wrap.NONE, score, above, gate, Enter(space))
    inner = net.linear(x, "inner", 6)
    net.block(space, Wrap.ANY, Take(Slot(x.node, 0, ROOT), Slot(x.node, 0, space)), inner)
    net.block(ROOT, Wrap.NONE, Spread(Slot(inner.node, 0, space), Slot(inner.node, 0, ROOT)))
    net.output("y", inner)
    runner = session(model_of(net, CPU))
    for batch in BATCHES:
        feed = vectors(batch)
        meaning = Meaning(net, net.plan(), feed, batch)
        expected = np.where(meaning.masks[space][:, None], meaning.values[inner.node], 0)
        np.testing.assert_allclose(runner.run(["y"], feed)[0], expected, rtol=1e-3, atol=1e-4)


def test_batch_axis_that_is_not_first() -> None:
    net = Net(15)
    steps = net.input("x", 3, "N", 6)
    keep = net.input("s", "N", 2)
    score = net.unary("last", keep)
    above = net.above(score, net.constant(0.0))
    gate = net.gate("g", above)
    net.report(gate)
    space = net.space("on", Strategy.COMPACT, [Choice(Slot(gate.node, 0, ROOT), (1,))])
    net.block(ROOT, Wrap.NONE, score, above, gate, Enter(space))
    relu = net.unary("relu", steps)
    net.block(space, Wrap.NONE, Take(Slot(steps.node, 0, ROOT), Slot(steps.node, 0, space)), relu)
    y = net.merge([(relu, gate, 1)], steps)
    join = Join(y.node, Slot(steps.node, 0, ROOT), (Write(Slot(relu.node, 0, space)),), Slot(y.node, 0, ROOT))
    net.block(ROOT, Wrap.NONE, join)
    net.output("y", y)
    runner = session(model_of(net, CPU))
    for batch in BATCHES:
        rng = np.random.default_rng(batch)
        feed = {n: rng.standard_normal(s).astype(np.float32) for n, s in (("x", (3, batch, 6)), ("s", (batch, 2)))}
        expected = np.where(feed["s"][:, -1][None, :, None] > 0, np.maximum(feed["x"], 0), feed["x"])
        np.testing.assert_allclose(runner.run(["y"], feed)[0], expected, rtol=1e-5)


def test_symbolic_sizes() -> None:
    """A reshape inside a compacted, guarded space whose other axis is a symbol: empties have its size."""
    net = Net(17)
    x = net.input("x", "N", "T", 4)
    flat_type = net.graph.type(x)
    flat_type = flat_type.with_axes((flat_type.axes[0], Axis(None, Size.symbol("T") * 4)))
    score = net.input("s", "N", 2)
    last = net.unary("last", score)
    above = net.above(last, net.constant(0.0))
    gate = net.gate("g", above)
    net.report(gate)
    space = net.space("on", Strategy.COMPACT, [Choice(Slot(gate.node, 0, ROOT), (1,))])
    base = net.call("flat", [x], flat_type)
    net.block(ROOT, Wrap.NONE, last, above, gate, Enter(space), base)
    inner = net.call("flat", [x], flat_type, "inner")
    relu = net.unary("relu", inner)
    net.block(space, Wrap.ANY, Take(Slot(x.node, 0, ROOT), Slot(x.node, 0, space)), inner, relu)
    y = net.merge([(relu, gate, 1)], base)
    net.block(
        ROOT,
        Wrap.NONE,
        Join(y.node, Slot(base.node, 0, ROOT), (Write(Slot(relu.node, 0, space)),), Slot(y.node, 0, ROOT)),
    )
    net.block(ROOT, Wrap.NONE, Spread(Slot(relu.node, 0, space), Slot(relu.node, 0, ROOT)))
    net.output("y", y)
    net.output("z", relu)
    runner = session(model_of(net, CPU))
    for batch in BATCHES:
        for low in (-5.0, 0.0):
            rng = np.random.default_rng(batch)
            feed = {n: rng.standard_normal(s).astype(np.float32) for n, s in (("x", (batch, 3, 4)), ("s", (batch, 2)))}
            feed["s"] += np.float32(low)
            flat = feed["x"].reshape(batch, 12)
            on = feed["s"][:, -1:] > 0
            y_found, z_found = runner.run(["y", "z"], feed)
            np.testing.assert_allclose(y_found, np.where(on, np.maximum(flat, 0), flat))
            np.testing.assert_allclose(z_found, np.where(on, np.maximum(flat, 0), 0))


def test_values_of_weights_only_are_folded() -> None:
    net = Net(19)
    x = net.input("x", "N", 6)
    w = net.weight("a.weight", 6)
    scale = net.weight("a.scale", 6)
    product = net.call("mul", [w, scale], net.graph.type(w))
    squared = net.call("mul", [product, scale], net.graph.type(w))
    y = net.call("mul", [x, squared], net.graph.type(x))
    net.block(ROOT, Wrap.NONE, product, squared, y)
    net.output("y", y)
    model = check(net, vectors)
    assert [n.op_type for n in model.graph.node] == ["Mul", "Identity"]
    assert [i.name for i in model.graph.initializer] == ["a.weight.folded"]


@pytest.mark.parametrize(("strategy", "wrap"), WAYS)
@pytest.mark.timeout(60)  # a planner of the runtime is quadratic in nested branches
def test_two_hundred_exits(strategy: Strategy, wrap: Wrap) -> None:
    net = Net(21)
    x = net.input("x", "N", 6)
    zero = net.constant(1.2)
    space, value = ROOT, x
    slots: list[Slot] = []
    gates = []
    for i in range(200):
        steps: list[object] = []
        if gates:
            inner = net.space(f"s{i}", strategy, [Choice(Slot(gates[-1].node, 0, space), (0,))], parent=space)
            net.blocks[-1][2].append(Enter(inner))
            steps.append(Take(Slot(value.node, 0, space), Slot(value.node, 0, inner)))
            space = inner
        value = net.linear(value, f"l{i}", 6)
        score = net.unary("last", value)
        above = net.above(score, zero)
        gate = net.gate(f"e{i}", above)
        net.report(gate, space)
        gates.append(gate)
        slots.append(Slot(value.node, 0, space))
        net.block(space, wrap if i else Wrap.NONE, *steps, value, score, above, gate)
    y = net.merge([(Value(s.node), g, 1) for s, g in zip(slots, gates, strict=True)], value)
    net.block(ROOT, Wrap.NONE, Join(y.node, slots[0], tuple(map(Write, slots[1:])), Slot(y.node, 0, ROOT)))
    net.output("y", y)
    target = EDGE if strategy is Strategy.BRANCH else CPU
    model = model_of(net, target)
    assert depth(onnx.ModelProto.FromString(model).graph) <= 1
    runner = session(model)
    batch = 1 if strategy is Strategy.BRANCH else 16
    feed = vectors(batch)
    expected = Meaning(net, net.plan(), feed, batch).outputs()["y"]
    np.testing.assert_allclose(runner.run(["y"], feed)[0], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("strategy", "wrap"), WAYS)
def test_forced_decisions(strategy: Strategy, wrap: Wrap) -> None:
    net = early_exit(strategy, wrap)
    edge = strategy is Strategy.BRANCH
    gates = ["exits.e0", "exits.e1"]
    model = with_forced_decisions(model_of(net, EDGE if edge else CPU, True), gates)
    onnx.checker.check_model(onnx.ModelProto.FromString(model), full_check=True)
    feed = images(1 if edge else 7)
    plan = net.plan()
    for optimised in (False, True):
        runner = session(model, optimised)
        free = Meaning(net, plan, feed, len(feed["image"]))
        np.testing.assert_allclose(runner.run(["logits"], feed)[0], free.outputs()["logits"], rtol=1e-3, atol=1e-4)
        for first in (False, True):
            for second in (False, True):
                force = {
                    f"force.{g}.{side}": np.array(value)
                    for g, on in zip(gates, (first, second), strict=True)
                    for side, value in (("keep", False), ("value", on))
                }
                found = everything(runner, feed | force | ON)
                chosen = 0 if first else 1 if second else 2
                merge = next(n for n in net.graph.nodes() if type(n[1]).__name__ == "Merge")[0]
                arm = net.graph.wiring().operand(merge, chosen if chosen < 2 else 4)
                assert arm
                np.testing.assert_allclose(found["logits"], free.values[arm.node], rtol=1e-3, atol=1e-4)
                assert found["rows.stage2"] == (len(feed["image"]) if chosen == 2 else 0)
