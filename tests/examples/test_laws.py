"""Laws of every compiled network that need no reference: what skips equals what computes all, rows do not depend on
their neighbours, decisions are all that is decided, thresholds are monotone, open gates are the static network.

Programs with states take a session: `tests/runtimes`."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import cogseedc
from cogseedc.driver.program import Program
from cogseedc.ir import Input
from cogseedc.verify.inputs import choose_sizes, random_inputs
from tests.examples.plain import FOLDER, weights_of
from tests.examples.test_examples import EXAMPLES, small

ROWS = 6
Decide = Callable[[str, Tensor], Tensor]


@dataclass(frozen=True)
class Net:
    """One example, small, as the module that skips and as the one that computes everything."""

    program: Program
    compact: torch.nn.Module
    dense: torch.nn.Module
    inputs: Mapping[str, Tensor]

    def run(self, module: torch.nn.Module, inputs: Mapping[str, Tensor] | None = None, **knobs: Any) -> Any:
        with torch.no_grad():
            return module(*(inputs or self.inputs).values(), **knobs, trace=True)


@lru_cache(maxsize=2)
def net(stem: str) -> Net:
    source = FOLDER / f"{stem}.seed"
    how = small(source)
    with TemporaryDirectory() as folder:
        place = how.path(source, Path(folder))
        program = cogseedc.load(place, set=how.set)
        weights = weights_of(place, how.set)
    modules = [cogseedc.build(program, gates=gates, weights=weights).eval() for gates in ("compact", "dense")]
    graph = program.elaborated.graph
    equal = tuple((r.left, r.right) for r in program.elaborated.requirements)
    (sizes, *_) = choose_sizes(graph, {}, equal)
    inputs = {name: torch.from_numpy(value) for name, value in random_inputs(graph, ROWS, sizes, 7).items()}
    return Net(program, modules[0], modules[1], inputs)


def deciding(module: torch.nn.Module, decide: Decide) -> torch.nn.Module:
    """The same module, that asks for its decisions."""
    twin = copy.copy(module)
    own = {"decide": lambda self, name, decision: decide(name, decision)}
    twin.__class__ = type(type(module).__name__, (type(module),), own)
    return twin


def fields(result: Any) -> dict[str, Tensor]:
    return dict(zip(result._fields, result, strict=True))


def same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> None:
    assert set(left) == set(right)
    for name, value in left.items():
        torch.testing.assert_close(value, right[name], atol=1e-4, rtol=1e-3, equal_nan=True, msg=name)


def dense_is_sparse(net: Net) -> None:
    one, other = net.run(net.compact), net.run(net.dense)
    same(fields(one), fields(other))
    for name, trace in one.trace.items():
        assert torch.equal(trace, other.trace[name]), name


def rows_are_alone(net: Net) -> None:
    """Split and permuted batches give split and permuted results and decisions."""
    order = torch.from_numpy(np.random.default_rng(1).permutation(ROWS))
    axes = {n.name: n.type.batch for _, n in net.program.elaborated.graph.nodes() if isinstance(n, Input)}
    whole = net.run(net.compact)
    moved = {k: v if axes[k] is None else v.index_select(axes[k], order) for k, v in net.inputs.items()}
    mixed = net.run(net.compact, moved)
    halves = [
        net.run(
            net.compact, {k: v if axes[k] is None else v.split(ROWS // 2, axes[k])[i] for k, v in net.inputs.items()}
        )
        for i in range(2)
    ]
    gates = {name: value for name, value in whole.trace.items() if value.ndim and value.shape[0] == ROWS}
    same({k: v[order] for k, v in fields(whole).items()}, fields(mixed))
    same(fields(whole), {k: torch.cat([fields(h)[k] for h in halves]) for k in fields(whole)})
    for name, value in gates.items():
        assert torch.equal(value[order], mixed.trace[name]), name
        assert torch.equal(value, torch.cat([half.trace[name] for half in halves])), name


def replay_repeats(net: Net) -> None:
    """With its decisions given back, and the scores they were made from ignored, the network gives the same."""
    kept: dict[str, list[Tensor]] = {}

    def record(name: str, decision: Tensor) -> Tensor:
        kept.setdefault(name, []).append(decision)
        return decision

    first = net.run(deciding(net.compact, record))
    again = net.run(deciding(net.compact, lambda name, decision: kept[name].pop(0)))
    same(fields(first), fields(again))
    assert not any(kept.values()), "not every decision was asked for again"


LAWS = (dense_is_sparse, rows_are_alone, replay_repeats)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("stem", [path.stem for path in EXAMPLES if not re.search("^ +state ", path.read_text(), re.M)])
def test_law(stem: str, law: Callable[[Net], None]) -> None:
    subject = net(stem)
    assert not subject.program.elaborated.coupled
    law(subject)


THRESHOLDS = {
    "02_early_exit": ("tau", 0, 1, ("easy", "medium")),
    "05_cascade": ("tau", 0, 1, ("CascadeOf.model.0", "CascadeOf.model.1")),
    "06_multi_scale": ("tau", 0, 1, ("head.0",)),
    "20_patience": ("patience", 1, 8, ("agreed.1", "agreed.2", "agreed.3")),
    "34_encoder_exits": ("most", 2, 0, ("ramp.0", "ramp.1", "ramp.2")),
    "38_resolution_cascade": ("tau", 0, 1, ("sure.0", "sure.1", "sure.2")),
    "39_two_outputs": ("tau", 0, 1, ("early.0", "early.1")),
    "41_msdnet": ("tau", 0, 1, ("head.0", "head.1")),
    "46_glance_and_focus": ("tau", 0, 1, ("certain.0", "certain.1", "certain.2")),
    "49_width_stages": ("tau", 0, 1, ("stage.0", "stage.1")),
    "51_boosted_exits": ("tau", 0, 1, ("boosted.0", "boosted.1")),
}
"""A knob, the end of its range at which all leave as early as can be and the one at which none does, the exits."""


@pytest.mark.parametrize("stem", THRESHOLDS)
def test_a_threshold_that_rises_lets_nobody_leave_earlier(stem: str) -> None:
    subject = net(stem)
    knob, early, late, exits = THRESHOLDS[stem]
    integer = stem == "20_patience"
    places, before = list[Tensor](), torch.zeros(ROWS)
    for value in np.linspace(early, late, 9):
        result = subject.run(subject.compact, **{knob: shaped(subject, knob, int(value) if integer else float(value))})
        left = torch.stack([result.trace[name] == 1 for name in exits] + [torch.ones(ROWS, dtype=torch.bool)])
        places.append(left.int().argmax(0))
        assert (places[-1] >= before).all(), f"{knob} = {value}"
        before = places[-1]
    assert (places[-1] == len(exits)).all(), "somebody leaves at the strictest threshold"
    assert (places[0] < len(exits)).any(), "nobody leaves at the loosest threshold"


def shaped(subject: Net, knob: str, value: float) -> Any:
    sizes = {k.name: k.type.shape for _, k in subject.program.elaborated.graph.nodes() if type(k).__name__ == "Knob"}
    return torch.full([s.value for s in sizes[knob]], value) if sizes[knob] else value


RESNET = {"depth": (2, 2), "widths": (4, 8), "size": 16}


def resnet(skip: str, weights: Mapping[str, Any]) -> torch.nn.Module:
    return cogseedc.build(
        FOLDER / "42_resnet.seed", set={**RESNET, "skip": skip}, weights=weights, gates="compact"
    ).eval()


def test_open_gates_are_the_static_network_and_closed_ones_its_shortcuts() -> None:
    gated = weights_of(FOLDER / "42_resnet.seed", {**RESNET, "skip": "skipnet"})
    static = {name.replace(".x.1.then.", ".x.0."): value for name, value in gated.items() if ".keep." not in name}
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((5, 3, 16, 16)).astype(np.float32))
    module = resnet("skipnet", gated)
    with torch.no_grad():
        opened = deciding(module, lambda name, decision: torch.ones_like(decision))(x).logits
        torch.testing.assert_close(opened, resnet("none", static)(x).logits, atol=1e-5, rtol=1e-5)
        closed = deciding(module, lambda name, decision: torch.zeros_like(decision))
        first = closed(x).logits
        for name, value in module.state_dict().items():
            if ".then.Residual" in name:
                value.fill_(torch.nan)
        torch.testing.assert_close(closed(x).logits, first, atol=0, rtol=0)


def test_the_widest_slice_is_the_whole_network() -> None:
    weights = weights_of(FOLDER / "43_slimmable_mobilenet.seed", {"size": 32, "classes": 5})
    module = cogseedc.build(
        FOLDER / "43_slimmable_mobilenet.seed", set={"size": 32, "classes": 5}, weights=weights
    ).eval()
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32))
    w = {name: torch.from_numpy(value) for name, value in weights.items()}
    norms = iter(
        [
            n.removesuffix(".weight")
            for n in w
            if ".batch_norm" in f".{n}" and n.startswith("0.") and n.endswith("weight")
        ]
    )

    def norm(y: Tensor) -> Tensor:
        path = next(norms)
        return F.relu(F.batch_norm(y, *(w[f"{path}.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))))

    y = norm(F.conv2d(x, w["stem"], stride=2, padding=1))
    for i, stride in enumerate((1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)):
        deep, mix = (
            w[next(n for n in w if n.endswith(f".{i}.{k}") or n == f"{i}.{k}")] for k in ("depthwise", "pointwise")
        )
        y = norm(F.conv2d(norm(F.conv2d(y, deep, stride=stride, padding=1, groups=y.shape[1])), mix))
    wanted = F.linear(y.mean((2, 3)), w["last"], w["bias"])
    with torch.no_grad():
        torch.testing.assert_close(module(x, width=0).logits, wanted, atol=1e-4, rtol=1e-4)


PLAIN = """\
seed Trunk[d: int] {
    in  x: f32[N, D]
    out y: f32[N, d]
    y = x |> linear[d] |> relu |> linear[d] |> relu
}
export seed Plain {
    in  x: f32[N, D=128]
    out y: f32[N, K=10]
    share f = Trunk[256]
    @bits(PRECISION)
    h = f(x)
    y = h |> linear[10]
}
"""


@pytest.mark.parametrize(("hard", "precision"), [(True, "fp16"), (False, "int8")])
def test_one_seed_has_a_precision_in_each_arm(hard: bool, precision: str) -> None:
    source = FOLDER / "18_dynamic_precision.seed"
    weights = weights_of(source, {})
    shared = {name: value for name, value in weights.items() if not name.startswith("hard.")}
    alone = cogseedc.build(PLAIN.replace("PRECISION", precision), weights=shared).eval()
    exact = cogseedc.build(PLAIN.replace("    @bits(PRECISION)\n", ""), weights=shared).eval()
    module = cogseedc.build(source, weights=weights).eval()
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((5, 128)).astype(np.float32))
    with torch.no_grad():
        forced = deciding(module, lambda name, decision: torch.full_like(decision, hard))(x).y
        torch.testing.assert_close(forced, alone(x).y, atol=1e-5, rtol=1e-5)
        assert (alone(x).y - exact(x).y).abs().max() > 1e-4, "nothing was rounded"
