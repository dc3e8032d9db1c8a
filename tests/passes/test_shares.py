"""At which share of the positions gates take their arms, against what they decide; and what costs make of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import cogseedc
from cogseedc.analysis.cost import Costs, costs
from cogseedc.analysis.shares import counted, shares
from cogseedc.diagnostics import UserError
from cogseedc.driver.compile import Request, explain_plan
from cogseedc.driver.costs import measured
from cogseedc.ir import Gate, GateKind, Graph, Loss
from cogseedc.ops import OPS
from cogseedc.runtime import read
from cogseedc.runtime.spending import read_work
from cogseedc.verify.inputs import random_inputs

SIZES = {"N": 5, "T": 8, "H": 2, "W": 4}
GATES = {
    "in_top[2, over=T](s)": ("N, T", 2, 8, 2, 8),
    "in_top[T / 4, over=T](s)": ("N, T", 2, 8, 2, 8),
    "not in_top[3, over=T](s)": ("N, T", 5, 8, 5, 8),
    "in_top[3, over=T](s) and s > 0": ("N, T", 0, 8, 3, 8),
    "in_top[3, over=T](s) or s > 0": ("N, T", 0, 1, 1, 1),  # NaN is not taken
    "in_top[6, over=T](s) and in_top[5, over=T](-s)": ("N, T", 3, 8, 5, 8),
    "in_top[3, over=T](s) or in_top[3, over=T](-s)": ("N, T", 3, 8, 6, 8),
    "in_top[2, over=T](s) and mean[over=T](s) > 0": ("N, T", 0, 8, 2, 8),
    "split[over=P, into=(H, W), H=2](in_top[3, over=P](join[(H, W), P](m)))": ("N, H, W", 3, 8, 3, 8),
    "in_top[1, over=W](m)": ("N, H, W", 1, 4, 1, 4),
    "in_top[2, over=T](e)[E=1]": ("N, T", 2, 8, 2, 8),
    "in_top[1](e)[E=1]": ("N, T", 0, 1, 1, 1),
    "s > top_values[4, over=T](s)[T=2]": ("N, T", 0, 8, 2, 8),
    "top_values[4, over=T](s)[T=3] < s": ("N, T", 0, 8, 3, 8),
    "s > top_values[4, over=T](-s)[T=2]": ("N, T", 0, 1, 1, 1),
    "s > 0": ("N, T", 0, 1, 1, 1),
    "range[C=16]() < width": ("C", 4, 16, 12, 16),
    "width < range[C=16]()": ("C", 3, 16, 11, 16),
    "top[1](e)": ("N, T", 0, 1, 1, 1),
    "capacity[3, over=T](top[1](e))": ("N, T", 0, 8, 3, 8),
    "in_top[2, over=T](s) or b": ("N, T", 2, 8, 1, 1),
    "in_top[2, over=T](s) and true": ("N, T", 2, 8, 2, 8),
    "in_top[2, over=W](m)[H=0]": ("N, W", 2, 4, 2, 4),
    "in_top[3, over=C](v) and v > 0": ("C", 0, 16, 3, 16),
    "split[over=C, into=(P, Q), P=2](in_top[3, over=C](v))": ("P, Q", 3, 16, 3, 16),
    "split[over=Q, into=(Q, R), Q=2](split[over=T, into=(P, Q), P=2](in_top[3, over=T](s)))": (
        "N, P, Q, R",
        3,
        8,
        3,
        8,
    ),
    "split[over=T, into=(P, Q), P=2](in_top[3, over=T](s))[P=0]": ("N, Q", 0, 1, 1, 1),
    "s > e[E=1]": ("N, T", 0, 1, 1, 1),
    "s > softmax(e)[E=1]": ("N, T", 0, 1, 1, 1),
    "m > top_values[2, over=H](m)[H=1]": ("N, H, W", 0, 1, 1, 2),
    "v > top_values[4, over=C](v)[C=3]": ("C", 0, 1, 3, 16),
    "r > top_values[4, over=A](r)[A=3]": ("A, B", 0, 1, 3, 4),
    "range[C=16]() < limit": ("C", 0, 16, 2, 16),
    'top_mask[classes=("W", 4)](top_indices[1](m))': ("N, H, W", 1, 4, 1, 4),
    'top_mask[classes=("E", 3)](at)': ("N, E", 0, 3, 2, 3),
    "capacity_mask[c=2, over=T](e > 0)[E=0]": ("N, T", 0, 8, 2, 8),
}
SHAPES = {
    "N, T": "s",
    "N, H, W": "m",
    "N, W": "m[H=0]",
    "C": "v",
    "A, B": "r",
    "P, Q": "split[over=C, into=(P, Q), P=2](v)",
    "N, P, Q, R": "split[over=Q, into=(Q, R), Q=2](split[over=T, into=(P, Q), P=2](s))",
    "N, Q": "split[over=T, into=(P, Q), P=2](s)[P=0]",
    "N, E": "e[T=0]",
}
TEXT = """\
export seed Net {{
    in  s: f32[N, T=8]
    in  m: f32[N, H=2, W=4]
    in  e: f32[N, T, E=3]
    in  b: bool[N, T]
    in  v: f32[C=16]
    in  r: f32[A=4, B=6]
    in  at: i64[N, K=2]
    out y: f32{shape}
    knob width = 6 in 4 .. 12
    knob limit = 1.5 in 0.0 .. 2.0
    gate g over {over} = {decision}
    y = {result}
}}
"""
BLOCKS = """\
export seed Depths[keep: int = 2, depth: int = 3] {
    in  x: f32[N, T=8, D=6]
    out y: f32[N, T, D]
    y = for i in 0 .. depth with y = x {
        gate pass over N, T = in_top[keep, over=T](squeeze(linear[1](y)))
        next y = when pass { y + linear[D](relu(linear[24](y))) } else { linear[D](y) }
    }
}
"""
CHANNELS = """\
export seed Channels {
    in  x: f32[N, C=8, H=4, W=4]
    out y: f32[N, C, H, W]
    gate some over N, C = in_top[2, over=C](mean[over=(H, W)](x))
    h = when some { conv2d[8, kernel=1, bias=false](x) } else { 0 }
    gate more over N, C = in_top[4, over=C](mean[over=(H, W)](h))
    y = when more { conv2d[8, kernel=1, bias=false](h) } else { 0 }
}
"""
BOUNDED = """\
export seed Bounded {
    in  x: f32[N, T=8, D=6]
    out y: f32[N, T, D]
    gate rich over N = mean[over=(T, D)](x) > 0
    s = squeeze(linear[1](x))
    gate pass over N, T = in_top[4, over=T](s) and s > 0
    gate twice over N, T = s > 0.1
    a = when rich and pass { linear[D](relu(linear[12](x))) } else { x }
    y = when pass { when twice { linear[D](a) } else { linear[D](linear[D](a)) } } else { linear[D](x) }
}
"""
POLICY = """\
export seed Policy {
    in  x: f32[N, D=8]
    out y: f32[N, D]
    gate use over N, L = in_top[2, over=L](linear[L=4](x))
    y = for i in 0 .. 4 with h = x { next h = when use[L=i] { h + linear[D](h) } else { h } }
}
"""
CAPACITY = """\
export seed Switch[expert: int = 24] {
    in  x: f32[N, T=8, D=6]
    out y: f32[N, T, D]
    gate pick over N, T = capacity[3, over=T](top[1](softmax(linear[E=2](x))))
    y = route pick { e in 0 .. 2 => linear[D](relu(linear[expert](x))) }
}
"""


def load(text: str, folder: Path) -> cogseedc.Program:
    source = folder / "net.seed"
    source.write_text(text)
    return cogseedc.load(source)


def traced(folder: Path, count: int) -> dict[str, Any]:
    art = cogseedc.compile(folder / "net.seed", "torch-cpu", folder / "art", rng=3)
    inputs = random_inputs(load_again(folder), count, SIZES, 4)
    return cogseedc.open(art).run(inputs, {}, trace=True).trace


def load_again(folder: Path) -> Graph:
    return cogseedc.load(folder / "net.seed").elaborated.graph


def reckoned(program: cogseedc.Program) -> Costs:
    return costs(program.structure, OPS, dict(SIZES))


@pytest.mark.parametrize("decision", GATES)
def test_a_gate_keeps_its_share(decision: str, tmp_path: Path) -> None:
    over, low, of_low, high, of_high = GATES[decision]
    many = decision.startswith(("top[", "capacity["))
    result = "route g { e in 0 .. 3 => s * 2 }" if many else f"when g {{ {SHAPES[over]} }} else {{ 0 }}"
    program = load(TEXT.format(shape=f"[{over}]", over=over, decision=decision, result=result), tmp_path)
    graph = program.structure
    (id,) = (id for id, node in graph.of(Gate) if node.name == "g")
    gate, share = graph[id], shares(graph, counted(graph, OPS, lambda size: size.evaluate(SIZES)))[id][-1]
    assert isinstance(gate, Gate)
    assert (share.low, share.high) == (Fraction(low, of_low), Fraction(high, of_high))
    assert share.low <= share.even <= share.high
    taken = traced(tmp_path, 5)["g"]
    if gate.kind is GateKind.MANY:
        each = [(taken == e).any(-1).mean(1) for e in range(3)]
    else:
        each = [taken.reshape(len(taken) if gate.type.batch is not None else 1, -1).mean(1)]
    assert all(share.low <= part <= share.high for found in each for part in found)


SPENT = {
    "when few or b { L(x) } else { x }": (2, 5, 8),
    "when few { L(x) } else { L(L(x)) }": (14, 14, 14),
    "when few { L(x) } else { x } + when b { L(x) } else { L(L(x)) }": (2 + 8, 2 + 12, 2 + 16),
    "when room.mask[E=0] and b { L(x) } else { x }": (0, 1, 2),
    "when room.mask[E=0] or room.mask[E=1] { L(x) } else { x }": (0, 3.5, 4),
    "when few.mask and pick.mask[E=2] { L(x) } else { x }": (0, 0.5, 2),
    "when b { L(x) } else { x }": (0, 4, 8),
    "when b { h } else { x } + when few { h } else { x }": (2, 5, 8),
    "repeat 4 with y = x until range[T=8]() < 3 { next y = L(y) }": (8, 15, 32),
    "when b { x + L(mean[over=T](x)) } else { x }": (0, 1, 1),
    "route pick merge sum { 0 => x else => L(x) }": (0, 6, 8),
    "route room merge sum { 0 => x 1 => x else => L(x) }": (4, 4.5, 8),
    "repeat 2 with y = x { next y = route pick merge sum { 0 => L(y) else => y } }": (0, 4, 16),
    "repeat 4 with y = x until few and b { next y = L(y) }": (8, 15, 32),
}
"""MACs of a sample in layers of a position."""
TOKENS = """\
export seed Tokens {{
    in  x: f32[N, T=8, D=4]
    in  e: f32[N, T, E=4]
    in  b: bool[N, T]
    out y: f32[N, T, D]
    share L = linear[D]
    gate few over N, T = in_top[2, over=T](x[D=0])
    gate pick over N, T = top[1](e)
    gate room over N, T = capacity[2, over=T](pick)
    h = L(x)
    y = {result}
}}
"""


@pytest.mark.parametrize("result", SPENT)
def test_what_a_share_of_positions_costs(result: str, tmp_path: Path) -> None:
    macs = measured(reckoned(load(TOKENS.format(result=result), tmp_path)))["macs"]
    assert tuple(macs[what] / 16 for what in ("least", "expected", "worst")) == SPENT[result]


def test_what_no_position_asks_for_costs_nothing(tmp_path: Path) -> None:
    text = TOKENS.format(result="when some { x + L(mean[over=T](x)) } else { x }")
    found = reckoned(load(text.replace("    y =", "    gate some over N, T = b\n    y ="), tmp_path))
    assert measured(found, {"some": 0.0})["macs"]["expected"] == 0
    assert measured(found, {"some": 0.25})["macs"]["expected"] == 16


SAMPLES = """\
export seed Samples {
    in  x: f32[N, C=4, H=4, W=4]
    in  b: bool[N, C]
    in  p: bool[N, H, W]
    out y: f32[N, C, H, W]
    gate some over N, C = b
    gate here over N, H, W = p
    h = when some { conv2d[4, kernel=3, padding=1](x) } else { 0 }
    y = when here { conv2d[4, kernel=5, padding=2](h) } else { x }
}
"""


def test_channels_are_computed_in_all_samples_and_read_where_asked(tmp_path: Path) -> None:
    found, first, second = reckoned(load(SAMPLES, tmp_path)), 9 * 4 * 4 * 16, 25 * 4 * 4 * 16
    assert measured(found, {"some": 0.25, "here": 0.0})["macs"]["expected"] == first / 4
    assert measured(found, {"some": 0.25, "here": 0.1})["macs"]["expected"] == first / 4 + second / 4


def test_a_loop_that_ends_without_a_batch_falls_evenly(tmp_path: Path) -> None:
    text = """\
export seed Turns {
    in  x: f32[H=2, W=4, D=4]
    out y: f32[H, W, D]
    y = repeat 4 with y = x until mean[over=D](y) > 0 { next y = linear[D](y) }
}
"""
    macs = measured(reckoned(load(text, tmp_path)))["macs"]
    assert [macs[what] / 16 for what in ("least", "expected", "worst")] == [8, 15, 32]


def test_what_only_training_asks_for_costs_nothing(tmp_path: Path) -> None:
    text = TOKENS.format(result="when few { h } else { x }")
    text = text.removesuffix("}\n") + "    loss large = mean[over=N](mean[over=(T, D)](h))\n}\n"
    graph = load(text, tmp_path).elaborated.graph
    assert any(isinstance(node, Loss) for _, node in graph.nodes())
    assert measured(costs(graph, OPS, SIZES))["macs"]["worst"] == 2 * 16


def test_a_mixture_of_depths_costs_its_capacity(tmp_path: Path) -> None:
    record = measured(reckoned(load(BLOCKS, tmp_path)))
    each = 8 * 6 + 2 * (2 * 24 * 6) + 6 * 6 * 6
    assert record["macs"] == {"least": 3 * each, "expected": 3 * each, "worst": 3 * each}
    assert record["rates"]["0.pass"] == [0.75, 0.25]
    assert reckoned(load(BLOCKS, tmp_path)).macs.worst.exact


def test_channels_cost_the_product_of_both_shares(tmp_path: Path) -> None:
    record = measured(reckoned(load(CHANNELS, tmp_path)))
    dense = 8 * 8 * 16
    assert record["macs"] == dict.fromkeys(("least", "expected", "worst"), dense // 4 + dense // 8)


def test_a_policy_that_takes_some_of_the_blocks(tmp_path: Path) -> None:
    record = measured(reckoned(load(POLICY, tmp_path)))
    assert record["macs"] == dict.fromkeys(("least", "expected", "worst"), 8 * 4 + 2 * 8 * 8)
    assert record["rates"]["use.0"] == [0.5, 0.5]
    assert reckoned(load(POLICY, tmp_path)).macs.worst.exact
    many = POLICY.replace("0 .. 4", "0 .. 40").replace("[L=4]", "[L=40]").replace("in_top[2", "in_top[15")
    many = many.replace("linear[D](h)", "linear[D](relu(linear[i + 1](h)))")
    found = reckoned(load(many, tmp_path)).macs
    each = [2 * 8 * (i + 1) for i in range(40)]
    assert (found.least.value, found.worst.value) == (8 * 40 + sum(each[:15]), 8 * 40 + sum(each[25:]))
    assert found.least.exact
    assert found.worst.exact
    fewer = measured(reckoned(load(POLICY.replace("0 .. 4", "0 .. 3"), tmp_path)))
    assert (fewer["macs"]["least"], fewer["macs"]["worst"]) == (8 * 4 + 8 * 8, 8 * 4 + 2 * 8 * 8)
    apart = reckoned(load(POLICY.replace("in_top[2, over=L](linear[L=4](x))", "isnan(linear[L=4](x))"), tmp_path))
    assert not apart.picks


def test_a_policy_of_classes(tmp_path: Path) -> None:
    """So many blocks as classes are chosen: exactly two, or up to as many as each has room for."""
    two = POLICY.replace(
        "gate use over N, L = in_top[2, over=L](linear[L=4](x))", "gate use over N = top[2](linear[L=4](x))"
    )
    exact = two.replace("use[L=i]", "use.mask[L=i]")
    assert measured(reckoned(load(exact, tmp_path)))["macs"] == dict.fromkeys(
        ("least", "expected", "worst"), 8 * 4 + 2 * 8 * 8
    )
    room = exact.replace("top[2](linear[L=4](x))", "capacity[3, over=N](top[2](linear[L=4](x)))")
    found = measured(reckoned(load(room, tmp_path)))["macs"]
    assert (found["least"], found["worst"]) == (8 * 4, 8 * 4 + 2 * 8 * 8)


def test_no_more_are_taken_than_there_are(tmp_path: Path) -> None:
    """Of an axis whose length is not known, 32 positions are reckoned."""
    text = POLICY.replace("D=8", "T, D=8").replace("N, D", "N, T, D")
    text = text.replace("over N, L = in_top[2, over=L](linear[L=4](x))", "over N, T = in_top[40, over=T](x[D=0])")
    text = text.replace("N, D]\n    y =", "N, T, D]\n    y =").replace("use[L=i]", "use")
    found = costs(load(text, tmp_path).structure, OPS)
    assert measured(found)["macs"] == dict.fromkeys(("least", "expected", "worst"), 4 * 32 * 8 * 8)


def test_a_router_costs_no_more_than_its_capacities(tmp_path: Path) -> None:
    expert = 6 * 24 + 24 * 6
    record = measured(reckoned(load(CAPACITY, tmp_path)))
    assert record["macs"]["worst"] == 8 * 6 * 2 + 2 * 3 * expert
    assert record["rates"]["pick"] == [3 / 8, 3 / 8]


def test_a_share_that_a_gate_cannot_have(tmp_path: Path) -> None:
    found = reckoned(load(BLOCKS, tmp_path))
    assert measured(found, {"0.pass": 0.25}) == {**measured(found), "rates_given": ["0.pass"]}
    with pytest.raises(UserError, match=r"`0.pass` is taken at a share of 0.25 of its positions"):
        measured(found, {"0.pass": 0.5})


@pytest.mark.parametrize("text", [BLOCKS, CHANNELS, BOUNDED, POLICY, CAPACITY])
def test_what_samples_spend_lies_between(text: str, tmp_path: Path) -> None:
    """Counted from their own decisions, of any inputs."""
    found = reckoned(load(text, tmp_path))
    trace = traced(tmp_path, 64)
    spent = read_work(read(tmp_path / "art")).macs(trace, 64)
    assert found.macs.least.value <= spent.min()
    assert spent.max() <= found.macs.worst.value
    assert found.macs.least.value <= measured(found)["macs"]["expected"] <= found.macs.worst.value


def test_the_profile_of_a_plan_is_not_needed(tmp_path: Path) -> None:
    load(BLOCKS, tmp_path)
    (row, *_) = explain_plan(tmp_path / "net.seed", "torch-cpu", Request())
    assert (row["shares"], row["profiled"]) == ([0.75, 0.25], False)
