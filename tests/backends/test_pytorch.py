"""Generated PyTorch: equal to the reference under every strategy, the right rows run, readable and harmless."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cogseedc.backends.plan import Gates
from cogseedc.backends.pytorch.check import check
from cogseedc.backends.pytorch.literal import literal
from cogseedc.diagnostics import InternalError
from cogseedc.ir import Dtype, GateKind, MergeMode, Value

from .programs import CPU, EDGE, Builder, meaning, module_of, text_of

BATCHES = (0, 1, 2, 7, 16)


def exits(thresholds: tuple[float, ...] = (0.2, 0.2)) -> Builder:
    b = Builder()
    x = b.input()
    arms = []
    for i, threshold in enumerate(thresholds):
        x = b.layer(x, f"stage{i}")
        z = b.layer(x, f"head{i}")
        arms.append((b.above(f"exit{i}", z, threshold, exit=True), 1, z))
    b.output(b.merge(arms, b.layer(x, "last"), path="logits"))
    b.loss(b.call("mean", b.score(x), over=0), "balance")
    return b


def images() -> Builder:
    """Convolutions, layers that are skipped, a threshold that is a knob."""
    b = Builder()
    x = b.input("image", "N", 3, 6, 6)
    tau = b.knob("tau", 0.0)
    for i in range(3):
        weight, bias = b.weight(f"h.{i}.conv.weight", 3, 3, 3, 3), b.weight(f"h.{i}.conv.bias", 3)
        keep = b.gate(f"h.{i}.keep", b.call("gt", b.score(b.call("mean", x, over=(2, 3))), tau))
        body = b.call("tanh", b.call("conv2d", x, weight, bias, kernel=3, padding=1))
        x = b.when(keep, b.call("add", x, body), x, path=f"h.{i}.x")
    b.output(b.call("mean", x, over=(2, 3)))
    return b


def route() -> Builder:
    b = Builder()
    x = b.input()
    pick = b.one("pick", b.layer(x, "scores", 3))
    b.output(b.merge([(pick, 0, b.layer(x, "fast")), (pick, 2, b.layer(b.layer(x, "deep"), "slow"))], x))
    return b


def experts(mode: MergeMode = MergeMode.WEIGHTED_SUM) -> Builder:
    b = Builder()
    x = b.input()
    pick, weights = b.many("pick", b.layer(x, "scores", 5), 2)
    arms = [(pick, i, b.layer(x, f"expert.{i}")) for i in range(5)]
    b.output(b.merge(arms, None, mode, weights if mode is MergeMode.WEIGHTED_SUM else None))
    b.output(b.merge(arms[:3], x, mode, weights if mode is MergeMode.WEIGHTED_SUM else None), "some")
    return b


def nested() -> Builder:
    b = Builder()
    x = b.input()
    outer = b.above("outer", b.layer(x, "o"))
    y = b.layer(x, "y")
    inner = b.above("inner", b.layer(y, "i"))
    z = b.when(inner, b.layer(y, "then"), b.layer(y, "else"))
    b.output(b.when(outer, b.call("add", z, y), x))
    return b


def shared() -> Builder:
    """A value that two arms of two gates read: its guard is a union."""
    b = Builder()
    x = b.input()
    g, h = b.above("g", b.layer(x, "g")), b.above("h", b.layer(x, "h"), column=1)
    both = b.layer(x, "both")
    b.output(b.when(g, b.layer(both, "one"), x), "first")
    b.output(b.when(h, b.layer(both, "two"), x), "second")
    k = b.above("k", both)
    b.output(b.when(g, b.when(k, both, b.layer(both, "k")), b.when(h, b.when(k, b.layer(both, "k2"), x), x)), "third")
    return b


def uniform() -> Builder:
    """A gate without axes, beside and under one over the batch."""
    b = Builder()
    x = b.input()
    width = b.knob("width", 0.5)
    wide = b.gate("wide", b.call("gt", width, b.constant(0.2)))
    g = b.above("g", b.layer(x, "g"))
    deep = b.gate("deep", b.call("gt", width, b.constant(0.9)))
    y = b.when(deep, b.layer(x, "deep"), b.layer(x, "flat"))
    y = b.when(wide, b.when(g, y, x), b.layer(x, "narrow"))
    b.output(b.when(g, b.when(wide, b.layer(y, "last"), x), y))
    return b


def narrow_arm() -> Builder:
    """An arm without batch axis, and arms that are all shared."""
    b = Builder()
    x = b.input()
    g = b.above("g", b.layer(x, "g"))
    bias = b.weight("bias", 4)
    y = b.when(g, b.layer(x, "then"), bias)
    z = b.merge([(g, 1, bias)], b.layer(y, "else"))
    b.output(b.when(g, y, z))
    return b


CASES: dict[str, Callable[[], Builder]] = {
    "exits": exits,
    "none_leave": lambda: exits((2.0, 2.0)),
    "all_leave": lambda: exits((-2.0, 0.0)),
    "middle": lambda: exits((2.0, -2.0)),
    "images": images,
    "route": route,
    "experts": experts,
    "experts_sum": lambda: experts(MergeMode.SUM),
    "experts_mean": lambda: experts(MergeMode.MEAN),
    "experts_max": lambda: experts(MergeMode.MAX),
    "nested": nested,
    "shared": shared,
    "uniform": uniform,
    "narrow_arm": narrow_arm,
}


def inputs(rows: int, *shape: int) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(rows).standard_normal((rows, *(shape or (4,)))).astype(np.float32)}


def shape_of(case: str) -> tuple[int, ...]:
    return (3, 6, 6) if case == "images" else (4,)


def agrees(builder: Builder, net: torch.nn.Module, given: dict[str, np.ndarray], rng: int = 0) -> None:
    """Outputs and reached decisions are the reference's, in evaluation and in training mode."""
    want = meaning(builder, given, rng)
    tensors = [torch.from_numpy(a) for a in given.values()]
    traces = []
    for training in (False, True):
        net.train(training)
        with torch.no_grad():
            got = net(*tensors, trace=True)
        for name, value in want.outputs.items():
            assert tuple(getattr(got, name).shape) == value.shape
            np.testing.assert_allclose(getattr(got, name).detach().numpy(), value, rtol=1e-3, atol=1e-4)
        for name, arms in got.trace.items():
            reached = arms.numpy() != -1
            assert np.array_equal(arms.numpy()[reached], want.trace[name][reached]), name
        traces.append(got.trace)
    net.eval()
    assert list(traces[0]) == list(traces[1])
    for name in traces[0]:
        assert torch.equal(traces[0][name], traces[1][name]), name


@pytest.mark.parametrize("gates", ["compact", "dense", "auto"])
@pytest.mark.parametrize("case", CASES)
def test_equals_the_reference(case: str, gates: Gates, tmp_path: Path) -> None:
    builder = CASES[case]()
    net = module_of(builder, tmp_path, gates)
    for rows in BATCHES:
        agrees(builder, net, inputs(rows, *shape_of(case)))


@pytest.mark.parametrize("case", CASES)
def test_branches_at_batch_one(case: str, tmp_path: Path) -> None:
    builder = CASES[case]()
    net = module_of(builder, tmp_path, "branch", EDGE)
    for seed in range(8):
        image = np.random.default_rng(seed).standard_normal((1, *shape_of(case))).astype(np.float32)
        agrees(builder, net, {"image": image})


def random_program(seed: int) -> Builder:
    rng = np.random.default_rng(seed)
    b = Builder()
    values = [b.input()]
    gates: list[tuple[Value, GateKind, int]] = []

    def value() -> Value:
        return values[int(rng.integers(len(values)))]

    def gate(i: object) -> tuple[Value, GateKind, int]:
        if gates and rng.random() < 0.4:
            return gates[int(rng.integers(len(gates)))]
        kind = rng.random()
        if kind < 0.6:
            gates.append((b.above(f"g{i}", b.layer(value(), f"s{i}"), float(rng.normal() * 0.3)), GateKind.BOOL, 2))
        elif kind < 0.85:
            gates.append((b.one(f"g{i}", b.layer(value(), f"s{i}", 3)), GateKind.ONE, 3))
        else:
            flag = b.gate(f"g{i}", b.call("gt", b.constant(float(rng.normal())), b.constant(0.0)))
            gates.append((flag, GateKind.BOOL, 2))
        return gates[-1]

    for i in range(int(rng.integers(4, 14))):
        kind = rng.random()
        if kind < 0.3:
            values.append(b.layer(value(), f"l{i}"))
        elif kind < 0.4:
            values.append(b.call("add", value(), value()))
        elif kind < 0.75:
            chosen, _, arms = gate(i)
            order = [int(a) for a in rng.permutation(arms)]
            covered = rng.random() < 0.5
            listed = order if covered else order[:-1]
            parts = [(chosen, a, b.layer(value(), f"m{i}") if rng.random() < 0.6 else value()) for a in listed]
            values.append(b.merge(parts, None if covered else value()))
        elif kind < 0.9:
            picked = [gate(f"{i}_{j}") for j in range(3)]
            parts = [(g, int(rng.integers(n)), b.layer(value(), f"e{i}")) for g, _, n in picked]
            values.append(b.merge(parts, value()))
        else:
            pick, weights = b.many(f"k{i}", b.layer(value(), f"ks{i}", 3), 2)
            mode = [MergeMode.SUM, MergeMode.WEIGHTED_SUM, MergeMode.MEAN, MergeMode.MAX, MergeMode.SELECT]
            which = mode[int(rng.integers(5))]
            parts = [(pick, a, b.layer(value(), f"k{i}.{a}")) for a in range(3)]
            rest = value() if which is MergeMode.SELECT or rng.random() < 0.5 else None
            values.append(b.merge(parts, rest, which, weights if which is MergeMode.WEIGHTED_SUM else None))
    b.output(values[-1])
    if rng.random() < 0.5:
        b.output(value(), "other")
    return b


@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed: int, tmp_path: Path) -> None:
    builder = random_program(seed)
    for gates, target in (("compact", CPU), ("auto", CPU), ("branch", EDGE)):
        net = module_of(builder, tmp_path, gates, target, rng=seed)  # type: ignore[arg-type]
        for rows in (1,) if target is EDGE else (0, 1, 6):
            agrees(builder, net, inputs(rows), seed)


def test_rows_that_leave_are_computed_no_further(tmp_path: Path) -> None:
    builder = exits((0.1, 0.1))
    net = module_of(builder, tmp_path)
    given = inputs(16)
    result = net(torch.from_numpy(given["image"]), trace=True)
    left = [int((result.trace[f"exit{i}"] == 0).sum()) for i in (0, 1)]
    assert 0 < left[1] < left[0] < 16
    assert list(result.rows.values()) == left
    assert list(result.rows) == ["not_exit0", "not_exit1"]


def test_training_gives_exits_and_losses(tmp_path: Path) -> None:
    net = module_of(exits(), tmp_path).train()
    image = torch.randn(5, 4)
    result = net(image)
    assert list(result.exits) == ["exit0", "exit1"]
    assert result.exits["exit0"].logits.shape == (5, 4)
    (result.losses["balance"] + result.logits.sum() + result.exits["exit1"].logits.sum()).backward()
    assert all(p.grad is not None for p in net.parameters())
    assert not hasattr(net.eval()(image), "exits")


def test_state_dict_has_instance_paths(tmp_path: Path) -> None:
    net = module_of(images(), tmp_path)
    assert sorted(net.state_dict()) == sorted(f"h.{i}.conv.{w}" for i in range(3) for w in ("weight", "bias"))
    assert torch.equal(net.h[1].conv.weight, net.state_dict()["h.1.conv.weight"])


def test_knobs_are_keywords_with_defaults(tmp_path: Path) -> None:
    net = module_of(images(), tmp_path)
    image = torch.randn(4, 3, 6, 6)
    assert torch.equal(net(image).logits, net(image, tau=0.0).logits)
    assert (net(image, tau=9.0, trace=True).trace["h.0.keep"] == 0).all()
    with pytest.raises(TypeError):
        net(image, 0.5)


def test_decisions_can_be_forced(tmp_path: Path) -> None:
    net = module_of(exits(), tmp_path)
    asked: list[str] = []

    def decide(name: str, decision: torch.Tensor) -> torch.Tensor:
        asked.append(name)
        return torch.zeros_like(decision) if name == "exit0" else torch.ones_like(decision)

    net.decide = decide
    result = net(torch.randn(6, 4), trace=True)
    assert asked == ["exit0", "exit1"]
    assert result.trace["exit0"].tolist() == [0] * 6
    assert result.trace["exit1"].tolist() == [1] * 6
    assert result.rows["not_exit1"] == 0


def test_branch_plans_take_one_sample(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one sample"):
        module_of(exits(), tmp_path, "branch", EDGE)(torch.randn(2, 4))


def test_text_is_the_same_twice_and_clean(tmp_path: Path) -> None:
    for case in CASES.values():
        text = text_of(case())
        assert text == text_of(case())
        assert "# net.seed:" in text
        assert "some/where" not in text
        (tmp_path / f"m{len(list(tmp_path.iterdir()))}.py").write_text(text)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "160", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.timeout(120)
def test_two_hundred_exits(tmp_path: Path) -> None:
    builder = exits(tuple(0.9 for _ in range(200)))
    net = module_of(builder, tmp_path)
    agrees(builder, net, inputs(3))
    agrees(builder, module_of(builder, tmp_path, "branch", EDGE), inputs(1))


def test_forty_nested_gates(tmp_path: Path) -> None:
    b = Builder()
    x = b.input()
    stack = []
    y = x
    for i in range(40):
        g = b.above(f"g{i}", b.layer(y, f"s{i}"), -0.9)
        stack.append((g, y))
        y = b.layer(y, f"l{i}")
    for g, before in reversed(stack):
        y = b.when(g, y, before)
    b.output(y)
    agrees(b, module_of(b, tmp_path), inputs(5))
    agrees(b, module_of(b, tmp_path, "branch", EDGE), inputs(1))


def test_symbols_are_sizes_of_inputs(tmp_path: Path) -> None:
    b = Builder()
    x = b.input("image", "N", "T", 4)
    g = b.gate("g", b.call("gt", b.score(b.call("mean", x, over=1)), b.constant(0.0)))
    y = b.layer(x, "l")
    flat = b.call("flatten", y, over=(1, 2))
    b.output(b.when(g, flat, b.call("flatten", x, over=(1, 2))))
    net = module_of(b, tmp_path)
    for rows, length in ((0, 3), (5, 1), (6, 4)):
        agrees(b, net, inputs(rows, length, 4))


def test_a_batch_axis_that_is_not_first(tmp_path: Path) -> None:
    b = Builder()
    x = b.input("image", 3, "N", 4)
    g = b.gate("g", b.call("gt", b.score(b.call("mean", x, over=0)), b.constant(0.0)))
    b.output(b.when(g, b.layer(x, "l"), x))
    net = module_of(b, tmp_path)
    image = np.random.default_rng(0).standard_normal((3, 6, 4)).astype(np.float32)
    agrees(b, net, {"image": image})


def test_integers_in_gates(tmp_path: Path) -> None:
    b = Builder()
    x = b.input()
    token = b.input("token", "N", dtype=Dtype.I64)
    pick = b.gate("pick", token, GateKind.ONE, 3)
    b.output(b.merge([(pick, i, b.layer(x, f"l{i}")) for i in range(3)]))
    net = module_of(b, tmp_path)
    agrees(b, net, inputs(6) | {"token": np.array([0, 1, 2, 2, 1, 1])})


@pytest.mark.parametrize(
    "text",
    ["import os\n", "x = eval('1')\n", "y = x.__class__\n", "def f(:\n", "global x\n", "while x:\n    x = 1\n"],
)
def test_harmful_text_is_refused(text: str) -> None:
    with pytest.raises(InternalError):
        check(text)


def test_literals_are_exact() -> None:
    assert literal('a"\n\u00e9') == "'a\"\\n\\xe9'"
    assert literal(float("inf")) == 'float("inf")'
    assert eval(literal(0.1)) == 0.1  # noqa: S307
    assert literal("easy") == '"easy"'
    assert literal(True) == "True"
