"""What estimators become: a graph that keeps its rules and, without noise, its meaning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cogseedc
from cogseedc.interp import initial_weights
from cogseedc.interp import run as interpret
from cogseedc.ir import Call, Gate, Graph, Input, Loss, Merge
from cogseedc.ops import OPS
from cogseedc.passes import PIPELINES, Context, LowerEstimators, run_pipeline

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.seed"))
TRAINED = [path for path in EXAMPLES if " via " in path.read_text(encoding="utf-8")]
ALL = """\
export seed Net {
    in  x: f32[N, D=6]
    in  t: i64[N]
    out y: f32[N, D]
    knob tau = 1.0 in 0.1 .. 5.0
    gate a over N = linear[1](x) > 0 and (not linear[1](x) < -1 or t == 1) via gumbel(temperature=tau)
    gate b over N, L = sigmoid(linear[L=2](x)) >= 0.4 via reinforce(baseline=mean[over=D](x))
    gate c over N = argmax(linear[R=3](x)) via straight_through
    gate d over N = capacity[2, over=N](top[2, renormalize=true](softmax[over=E](linear[E=4](x)))) via reinforce
    gate e over N, D = in_top[2, over=D](x) via gumbel
    gate f over N = not a and b[L=0]
    u = when a { relu(x) } else { when b[L=1] { x } else { -x } }
    v = route c { 0 => u  1 => linear[D](u)  else => 2 * u }
    w = route d merge mean { i in 0 .. 4 => linear[D](v)  else => v }
    z = when e and f { w } else { 0.5 * w }
    y = z * a + c.mask[R=1] * b[L=0]
    loss spent = cost()
    loss seen = mean[over=N](a.logp + c.logp + d.logp)
}
"""


def lowered(program: cogseedc.Program) -> tuple[Graph, Graph]:
    """The graph before and after the pass."""
    graph = program.elaborated.graph.copy()
    context = Context(OPS, training=True)
    run_pipeline(graph, PIPELINES["training"][:-1], context, verify_each=True)
    before = graph.copy()
    run_pipeline(graph, [LowerEstimators()], context, verify_each=True)
    return before, graph


def agree(program: cogseedc.Program) -> None:
    before, after = lowered(program)
    random = np.random.default_rng(0)
    given = {}
    for _, node in before.nodes():
        if isinstance(node, Input):
            shape = [axis.size.value or 5 for axis in node.type.axes]
            given[node.name] = (
                random.normal(size=shape).astype(np.float32)
                if node.type.dtype.floating
                else random.integers(0, 3, shape)
            )
    weights = initial_weights(before, 0)
    wanted, found = interpret(before, given, weights, {}), interpret(after, given, weights, {})
    for name, value in wanted.outputs.items():
        np.testing.assert_allclose(found.outputs[name], value, rtol=1e-9, atol=1e-12)
    for name, trace in wanted.trace.items():
        np.testing.assert_array_equal(found.trace[name], trace)


@pytest.mark.parametrize("path", TRAINED, ids=lambda p: p.stem)
def test_examples_keep_their_meaning(path: Path) -> None:
    agree(cogseedc.load(path))


def test_every_form_keeps_its_meaning() -> None:
    agree(cogseedc.load(ALL))


def test_draws_are_given_out_and_joins_of_them_have_no_shares() -> None:
    _, graph = lowered(cogseedc.load(ALL))
    assert {node.name for _, node in graph.nodes() if isinstance(node, Loss) and node.drawn} == {"b", "d"}
    assert all(node.estimator is None for _, node in graph.nodes() if isinstance(node, Gate))
    drawn = {id for id, node in graph.nodes() if isinstance(node, Gate) and node.name in ("b", "b.0", "b.1", "d")}
    joins = [(id, node) for id, node in graph.nodes() if isinstance(node, Merge)]
    assert {node.shares for _, node in joins} == {True, False}
    for id, node in joins:
        asked = {v.node for v in graph.feeds(id)[len(node.arms) : 2 * len(node.arms)] if v is not None}
        assert node.shares == (not asked <= drawn)


def test_only_what_draws_has_noise() -> None:
    for via, count in (("gumbel", 1), ("reinforce", 1), ("soft", 0), ("straight_through", 0)):
        text = f"export seed A {{\n in x: f32[N]\n out y: f32[N]\n gate g over N = x > 0 via {via}\n y = x * g\n}}\n"
        _, graph = lowered(cogseedc.load(text))
        assert sum(isinstance(node, Call) and node.op == "perturb" for _, node in graph.nodes()) == count


def test_without_training_nothing_changes() -> None:
    graph = cogseedc.load(ALL).elaborated.graph.copy()
    assert not run_pipeline(graph, PIPELINES["training"], Context(OPS))[-1].changed
