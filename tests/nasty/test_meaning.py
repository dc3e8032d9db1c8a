"""Nasty inputs and shapes of programs: same outputs and same decisions in the reference and in every CPU artifact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cogseedc
from cogseedc import interp

NAN, INF = float("nan"), float("inf")
WAYS = (
    ("torch-cpu", "auto"),
    ("torch-cpu", "compact"),
    ("onnx-cpu", "auto"),
    ("onnx-cpu", "compact"),
    ("onnx-edge", "branch"),
)


@dataclass(frozen=True)
class Nasty:
    """A program's body, its input, and what its gates must decide."""

    body: str
    x: Any
    decisions: Mapping[str, Any] = field(default_factory=dict)
    knobs: Mapping[str, float] = field(default_factory=dict)
    axes: str = "N, D=4"
    out: str = "N, D"


def rows(*values: float) -> Any:
    """One sample of four equal numbers for each value: their mean is the value, exactly."""
    return np.repeat(np.array(values, np.float32)[:, None], 4, axis=1)


def mean_gate(comparison: str) -> str:
    return f"""\
    gate g over N = x[D=0] {comparison}
    y = when g {{ linear[4](x) |> tanh }} else {{ x * 2 }}"""


LSTM = """\
    gate g over N = mean[over=(T, D)](x) > 0
    y = when g { all, last, cell = lstm[4](x)  yield all } else { x }"""
SEQUENCE_FIRST = """\
    gate g over N = mean[over=(T, D)](x) > 0
    y = when g { relu(linear[4](x)) } else { x }"""
ONE_TENTH = float(np.float32(0.1))
TAU = np.nextafter(np.float32(0.5), np.float32(1))
NOISE = np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32)
ALTERNATING = np.abs(NOISE) * np.where(np.arange(64) % 2, 1, -1)[:, None].astype(np.float32)

CASES = {
    "gate_all_false": Nasty(mean_gate("> 0"), rows(-1, -2, -3), {"g": [0, 0, 0]}),
    "gate_all_true": Nasty(mean_gate("> 0"), rows(1, 2, 3), {"g": [1, 1, 1]}),
    "empty_batch_input": Nasty(mean_gate("> 0"), rows(), {"g": []}),
    "batch_of_one": Nasty(mean_gate("> 0"), rows(1), {"g": [1]}),
    "nan_score": Nasty(mean_gate("> 0"), rows(NAN, 1, NAN), {"g": [0, 1, 0]}),
    "nan_score_below": Nasty(mean_gate("< 0"), rows(NAN, -1, NAN), {"g": [0, 1, 0]}),
    "nan_score_unequal": Nasty(mean_gate("!= 0"), rows(NAN, 1, 0), {"g": [0, 1, 0]}),
    "nan_score_not": Nasty("    gate g over N = not (x[D=0] > 0)\n    y = when g { tanh(x) } else { x * 2 }",
                           rows(NAN, 1, -1), {"g": [0, 0, 1]}),
    "nan_logits_argmax": Nasty(
        "    gate g over N = argmax(x)\n    y = route g { 0 => tanh(x)  1 => x + 1  else => x * 2 }",
        np.array([[NAN, 1, 2, 0], [NAN, NAN, NAN, 1], [3, NAN, 1, 1]], np.float32), {"g": [2, 3, 0]},
    ),
    "maxpool_nan": Nasty(
        "    gate g over N = max[over=D](x) > 0\n    y = when g { tanh(x) } else { x * 2 }",
        np.array([[NAN, 1, 2, 0], [1, 2, 3, 4], [-1, -1, -1, NAN]], np.float32), {"g": [0, 1, 0]},
    ),
    "inf_score": Nasty(mean_gate("> 0"), rows(INF, -INF, 1), {"g": [1, 0, 1]}),
    "tie_at_threshold": Nasty(mean_gate("> 0.5"), rows(0.5, 0.25, 0.75), {"g": [0, 0, 1]}),
    "tie_at_threshold_or_equal": Nasty(mean_gate(">= 0.5"), rows(0.5, 0.25, 0.75), {"g": [1, 0, 1]}),
    "score_one_ulp_above": Nasty(mean_gate("> 0.5"), rows(TAU, 0.5), {"g": [1, 0]}),
    "tau_float32_rounding": Nasty(mean_gate("> 0.1"), rows(ONE_TENTH, np.nextafter(np.float32(0.1), np.float32(1))),
                                  {"g": [0, 1]}),
    "knob_float32_rounding": Nasty("    knob tau = 0.1 in 0 .. 1\n" + mean_gate(">= tau"), rows(ONE_TENTH, 0.05),
                                   {"g": [1, 0]}),
    "lstm_in_gate_none_taken": Nasty(LSTM, -np.ones((3, 5, 4), np.float32), {"g": [0, 0, 0]}, axes="N, T, D=4",
                                     out="N, T, D"),
    "lstm_in_gate_some_taken": Nasty(LSTM, NOISE[:15].reshape(3, 5, 4), axes="N, T, D=4", out="N, T, D"),
    "batch_axis_one": Nasty(SEQUENCE_FIRST, NOISE[:15].reshape(5, 3, 4), axes="T, N, D=4", out="T, N, D"),
    "exit_on_first_layer_all": Nasty(
        "    exit e { y = tanh(x) } when x[D=0] > -100\n    y = linear[4](relu(linear[4](x)))",
        rows(1, 2, 3), {"e": [1] * 3},
    ),
    "row_order_alternating": Nasty(mean_gate("> 0"), ALTERNATING, {"g": np.arange(64) % 2}),
    "row_order_alternating_other": Nasty(mean_gate("> 0"), -ALTERNATING, {"g": 1 - np.arange(64) % 2}),
    "row_order_random": Nasty(mean_gate("> 0"), NOISE, {"g": (NOISE[:, 0] > 0).astype(int)}),
    "names_of_python_and_torch": Nasty(
        "    forward = linear[4](x)\n    training = linear[4](forward)\n    _modules = relu(training)\n"
        "    self = linear[4](_modules)\n    None = self + 1\n    type = linear[4](None)\n    class = linear[4](type)\n"
        "    gate lambda over N = mean(class) > 0\n    state_dict = when lambda { linear[4](class) } else { class }\n"
        "    y = linear[4](state_dict)", NOISE[:3],
    ),
    "float16_arm": Nasty(
        "    gate g over N = x[D=0] > 0\n    y = when g { cast[f16](x) } else { x * 2 }",
        ALTERNATING[:6], {"g": [0, 1] * 3},
    ),
    "batch_norm_in_arm": Nasty("    gate g over N = x[D=0] > 0\n    y = when g { batch_norm(linear[4](x)) } else { x }",
                               ALTERNATING[:6], {"g": [0, 1] * 3}),
}  # fmt: skip


def program(case: Nasty) -> str:
    return f"export seed Net {{\n    in  x: f32[{case.axes}]\n    out y: f32[{case.out}]\n{case.body}\n}}\n"


@pytest.mark.parametrize("name", CASES)
def test_means_the_same_everywhere(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    source = tmp_path / "net.seed"
    source.write_text(program(case))
    graph = cogseedc.load(source).elaborated.graph
    meaning = interp.run(graph, {"x": case.x}, interp.initial_weights(graph, 0), dict(case.knobs))
    for gate, decision in case.decisions.items():
        np.testing.assert_array_equal(meaning.trace[gate], np.asarray(decision, np.int64))
    for target, gates in WAYS:
        artifact = cogseedc.compile(source, target, tmp_path / f"{target}-{gates}", rng=0, gates=gates, bits="fp32")
        result = cogseedc.open(artifact)(x=case.x, knobs=dict(case.knobs), trace=True)
        where = f"{target} {gates}"
        np.testing.assert_allclose(result["y"], meaning.outputs["y"], 1e-3, 1e-4, err_msg=where)
        for gate, decision in result.trace.items():
            np.testing.assert_array_equal(decision, meaning.trace[gate], err_msg=f"{gate} of {where}")
    assert set(case.decisions) <= set(meaning.trace)


@pytest.mark.parametrize("target", ["torch-cpu", "onnx-cpu"])
def test_all_leave_at_the_first_exit_and_nothing_follows(target: str, tmp_path: Path) -> None:
    source = tmp_path / "net.seed"
    source.write_text(program(CASES["exit_on_first_layer_all"]))
    artifact = cogseedc.compile(source, target, tmp_path / "art", gates="compact")
    result = cogseedc.open(artifact)(x=rows(1, 2, 3), trace=True)
    assert [count for name, count in result.rows.items() if "not_e" in name] == [0]


@pytest.mark.parametrize("target", ["torch-cpu", "onnx-cpu"])
def test_huge_batch(target: str, tmp_path: Path) -> None:
    """100,000 rows give what each gives alone."""
    source = tmp_path / "net.seed"
    source.write_text(program(CASES["row_order_random"]))
    session = cogseedc.open(cogseedc.compile(source, target, tmp_path / "art", gates="compact"))
    x = np.random.default_rng(1).standard_normal((100_000, 4)).astype(np.float32)
    whole = session(x=x)["y"]
    assert whole.shape == x.shape
    for i in (0, 1, 49_999, 99_999):
        np.testing.assert_allclose(session(x=x[i : i + 1])["y"][0], whole[i], 1e-4, 1e-5)


def test_batch_norm_in_an_arm_trains(tmp_path: Path) -> None:
    """In training everything is dense, so the statistics are those of the whole batch."""
    import torch

    source = tmp_path / "net.seed"
    source.write_text(program(CASES["batch_norm_in_arm"]))
    module = cogseedc.build(source).train()
    module(torch.from_numpy(ALTERNATING)).y.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())
    module.eval()(torch.from_numpy(ALTERNATING[:1]))


def test_names_stay_loadable(tmp_path: Path) -> None:
    source = tmp_path / "net.seed"
    source.write_text(program(CASES["names_of_python_and_torch"]))
    module = cogseedc.build(source)
    again = cogseedc.build(source, weights=module.state_dict())
    assert module.state_dict().keys() == again.state_dict().keys()
    assert module.load_state_dict(again.state_dict(), strict=True)
