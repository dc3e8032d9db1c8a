"""Arms that are alike but for their weights: of one row by itself one is computed, with weights that are picked. That
values and decisions stay the same is asked in `test_groups`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import cogseedc
from cogseedc.backends.plan import Plan
from cogseedc.bench.compiled import compiled
from cogseedc.driver.compile import Request, explain_plan, lowered, prepared
from cogseedc.driver.timing import Timing
from cogseedc.source import Source
from cogseedc.target import Profile
from cogseedc.target import load as target
from tests.backends.test_groups import SWITCH

WIDE = SWITCH.replace("linear[6]", "linear[64]")


def planned(source: str, name: str = "onnx-cpu", profile: Profile | None = None) -> Plan:
    program, weights = prepared(cogseedc.load(Source("net.seed", source)), Request(), Timing())
    return lowered(program, weights, replace(target(name), profile=profile), Request(), Timing()).plan


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


def test_other_targets_and_large_batches_have_none() -> None:
    source = WIDE.replace("CHOICE", "argmax")
    assert not planned(source, "onnx-edge").singles
    assert not planned(source, "onnx-cuda").singles
    assert not planned(source, profile=Profile(64, ())).singles


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
