"""Arms that are alike but for their weights: of one row by itself one is computed, with weights that are picked. That
values and decisions stay the same is asked in `test_groups`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import cogseedc
from cogseedc.backends.plan import Gates, Plan, plan
from cogseedc.bench.compiled import compiled
from cogseedc.driver.compile import Request, explain_plan, lowered, prepared
from cogseedc.driver.timing import Timing
from cogseedc.ir import MergeMode, Value
from cogseedc.source import Source
from cogseedc.target import Profile, Target
from cogseedc.target import load as target
from tests.backends.programs import Builder
from tests.backends.test_groups import SWITCH

WIDE = SWITCH.replace("linear[6]", "linear[64]")


OTHERS = """\
    in  x: f32[N, D=8]
    in  z: f32[N, D]
    knob a = 1.0 in 0 .. 9
    knob b = 2.0 in 0 .. 9
    param w: f32[D] = ones()
    param v: f32[] = ones()
"""
"""What arms may read that differs."""


def planned(source: str, name: str = "onnx-cpu", profile: Profile | None = None, gates: Gates = "auto") -> Plan:
    return made(source, replace(target(name), profile=profile), gates)


def made(source: str, target: Target, gates: Gates = "auto") -> Plan:
    program, weights = prepared(cogseedc.load(Source("net.seed", source)), Request(), Timing())
    return lowered(program, weights, target, Request(gates=gates), Timing()).plan


def bodies(model: onnx.ModelProto) -> tuple[onnx.GraphProto, onnx.GraphProto]:
    """What is run for one row by itself, and for others."""
    (chosen,) = [n for n in model.graph.node if n.op_type == "If" and not n.name.startswith("/trace")]
    by = {attribute.name: attribute.g for attribute in chosen.attribute}
    return by["then_branch"], by["else_branch"]


@pytest.mark.parametrize("choice", ["argmax", "top[1]"])
def test_one_row_runs_one_arm(choice: str) -> None:
    model = onnx.ModelProto.FromString(compiled(WIDE.replace("CHOICE", choice), "onnx-cpu").payload)
    one, others = ([node.op_type for node in body.node] for body in bodies(model))
    assert (one.count("Gemm"), others.count("Gemm")) == (2, 10)
    assert not {"Split", "ScatterND", "Compress"} & {*one}


def test_weights_are_stored_once() -> None:
    model = onnx.ModelProto.FromString(compiled(WIDE.replace("CHOICE", "argmax"), "onnx-cpu").payload)
    keys = [weight.name for weight in model.graph.initializer if weight.name.endswith("weight")]
    assert len(keys) == 11
    assert not any(weight.name.endswith("weight") for body in bodies(model) for weight in body.initializer)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("e in 0 .. 5 => Expert(x)", "e in 0 .. 4 => Expert(x)  4 => tanh(x)"), "an arm is another one"),
        (
            ("e in 0 .. 5 => Expert(x)", "e in 0 .. 4 => Expert(x)  4 => x |> linear[64] |> tanh |> linear[D]"),
            "it has another operation",
        ),
        (
            ("e in 0 .. 5 => Expert(x)", "e in 0 .. 4 => Expert(x)  4 => x |> linear[63] |> relu |> linear[D]"),
            "it is narrower",
        ),
        (
            (
                "e in 0 .. 5 => Expert(x)",
                "e in 0 .. 4 => Expert(x)  4 => x |> linear[64, bias=false] |> relu |> linear[D]",
            ),
            "it has no bias",
        ),
        (("e in 0 .. 5 => Expert(x)", "e in 0 .. 4 => Expert(x)  4 => Expert(tanh(x))"), "it reads another value"),
        (("e in 0 .. 5 => Expert(x)", "e in 0 .. 4 => Expert(x)  else => Expert(x)"), ""),
        (("e in 0 .. 5 => Expert(x)", "e in 0 .. 4 => Expert(x)  else => x"), "an arm takes nothing of its own"),
        (("e in 0 .. 5 => Expert(x)", "e in 1 .. 5 => Expert(x)  0 => Expert(x)"), ""),
        (("e in 0 .. 5 => Expert(x)", "e in 0 .. 5 => Expert(x + 0.5 * (e + 1))"), ""),
        (("linear[64]", "linear[65536]"), "what is picked is large"),
        (("linear[E=5]", "linear[E=3]"), "there are few arms"),
    ],
)
def test_only_small_arms_that_are_alike(change: tuple[str, str], why: str) -> None:
    source = WIDE.replace("CHOICE", "argmax").replace(*change)
    source = source.replace("0 .. 5", "0 .. 3") if "E=3" in source else source
    assert bool(planned(source).singles) == (not why), why


@pytest.mark.parametrize(
    ("arms", "why"),
    [
        ("e in 0 .. 5 => w * Expert(x)", ""),
        ("e in 0 .. 4 => Expert(x)  4 => Expert(x=z)", "an arm reads another value"),
        ("e in 0 .. 4 => Expert(x)  4 => tanh(Expert(x))", "it goes on"),
        ("e in 0 .. 4 => w * Expert(x)  4 => v * Expert(x)", "its weight has another shape"),
        ("e in 0 .. 4 => a * Expert(x)  4 => b * Expert(x)", "what differs is no weight"),
        (
            "0 => { share l = linear[D] yield l(relu(l(x))) } e in 1 .. 5 => x |> linear[D] |> relu |> linear[D]",
            "the first has one weight where the others have two",
        ),
        ("e in 0 .. 5 => x |> linear[64] |> cast[i64] |> cast[f32] |> linear[D]", "they compute integers"),
        (
            "e in 0 .. 5 => repeat 9 with h = Expert(x) until mean(h) > 0.5 { next h = tanh(w * h) }",
            "they repeat something",
        ),
    ],
)
def test_what_arms_that_are_alike_may_read_and_compute(arms: str, why: str) -> None:
    source = WIDE.replace("CHOICE", "argmax").replace("e in 0 .. 5 => Expert(x)", arms)
    above, here, below = source.partition("export seed")
    source = above + here + below.replace("    in  x: f32[N, D=8]\n", OTHERS)
    assert bool(planned(source, gates="compact").singles) == (not why), why


def summed(decisions: int, weigh: Callable[[Builder, Value], Value] | None = None) -> Plan:
    """The sum of four arms, each of which is chosen by one of some decisions that take one arm of each row."""
    b = Builder()
    x = b.input("x", "N", 8)
    gates = [b.many(f"pick{i}", b.layer(x, f"score{i}"), 1)[0] for i in range(decisions)]
    arms = [(gates[i * decisions // 4], i, b.layer(b.layer(x, f"in{i}", 16), f"out{i}", 8)) for i in range(4)]
    weights = None if weigh is None else weigh(b, x)
    b.output(b.merge(arms, mode=MergeMode.SUM if weights is None else MergeMode.WEIGHTED_SUM, weights=weights))
    return plan(b.ready(), target("onnx-cpu"), "compact")


def test_arms_of_one_decision_with_weights_of_each_row() -> None:
    assert summed(1).singles
    assert not summed(2).singles, "each decides of some arms only"
    assert summed(1, lambda b, x: b.call("softmax", b.layer(x, "weigh"))).singles
    assert not summed(1, lambda b, x: b.weight("weights", 4)).singles, "no arm takes weights of its rows"


def test_one_arm_is_computed_where_that_saves_twice_what_it_takes() -> None:
    """Saved are what it takes to sort rows and the other arms' operations on no row; four operations pick weights."""
    saved = 70 * (8 + 4 * 3)
    picked = 4 * 10 + (64 * 8 + 64 + 8 * 64 + 8) * 125 / 1000
    costs = replace(target("onnx-cpu").costs, empty_us=70, op_us=10, take_ns=125)
    for least, pays in ((0, False), (1, True)):
        cpu = replace(target("onnx-cpu"), costs=replace(costs, wrap_us=saved / 2 - picked - least))
        assert bool(made(WIDE.replace("CHOICE", "argmax"), cpu, "compact").singles) is pays


def test_other_targets_and_large_batches_have_none() -> None:
    source = WIDE.replace("CHOICE", "argmax")
    assert not planned(source, "onnx-edge").singles
    assert not planned(source, "onnx-cuda").singles
    found = [planned(source, profile=Profile(rows, ()), gates="compact").singles for rows in (1, 2, 64)]
    assert list(map(bool, found)) == [True, False, False]


def test_more_arms_than_one_are_computed_apart(tmp_path: Path) -> None:
    """Where a decision takes no arm, or two, of one row, it is not picked."""
    assert not planned(WIDE.replace("CHOICE", "top[2]")).singles
    text = WIDE.replace("CHOICE(softmax", "capacity[1, over=N](top[1](softmax").replace("(x)))", "(x))))")
    assert planned(text).singles
    built = cogseedc.compile(cogseedc.load(Source("net.seed", text)), "onnx-cpu", tmp_path / "built", rng=0)
    session, x = cogseedc.open(built), np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)
    one_by_one = np.concatenate([session(x=x[i : i + 1])["y"] for i in range(6)])
    together = session(x=np.concatenate([x, x]))["y"]
    dropped = ~together.any(1)
    assert dropped[6:].all(), "each arm has room for one row"
    np.testing.assert_allclose(together[:6][~dropped[:6]], one_by_one[~dropped[:6]], rtol=1e-5, atol=1e-6)


def test_explain_says_so(tmp_path: Path) -> None:
    place = tmp_path / "net.seed"
    place.write_text(WIDE.replace("CHOICE", "argmax"))
    (row,) = explain_plan(str(place), "onnx-cpu", Request())
    assert "weights that are picked" in str(row["why"])


def test_arms_that_two_joins_read_are_computed_for_all() -> None:
    text = WIDE.replace("CHOICE", "argmax").replace("    gate", "    out z: f32[N, D]\n    gate")
    text = text.replace("    y = route", "    z = route pick { e in 0 .. 5 => Expert(x) }\n    y = route")
    assert text.count("route") == 2
    assert not planned(text).singles
