"""Inference has no estimators, and nothing that only they read."""

from __future__ import annotations

import cogseedc
from cogseedc.ir import Call, Gate, Weight
from cogseedc.ops import OPS
from cogseedc.passes import PIPELINES, Context, DropEstimators, run_pipeline

TEXT = """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    knob tau = 1.0 in 0.1 .. 5.0
    gate g over N = linear[1](x) > 0 via reinforce(baseline=linear[1](x) * tau)
    gate p over N = top[1](linear[E=2](x)) via gumbel(temperature=tau)
    h = when g { relu(x) } else { x }
    y = route p { e in 0 .. 2 => linear[D](h) }
}
"""


def test_gates_keep_their_decisions_and_nothing_else() -> None:
    graph = cogseedc.load(TEXT).elaborated.graph.copy()
    run_pipeline(graph, [DropEstimators()], Context(OPS), verify_each=True)
    gates = {node.name: len(graph.feeds(id)) for id, node in graph.nodes() if isinstance(node, Gate)}
    assert gates == {"g": 1, "p": 2}
    assert not DropEstimators().run(graph, Context(OPS))


def test_what_only_estimators_read_is_not_built() -> None:
    program = cogseedc.load(TEXT)
    graph = program.elaborated.graph.copy()
    run_pipeline(graph, PIPELINES["inference"], Context(OPS), verify_each=True)
    assert "g.linear_2.weight" not in {node.path for _, node in graph.nodes() if isinstance(node, Weight)}
    assert not any(isinstance(node, Call) and node.op == "mul" for _, node in graph.nodes())
    assert "g.linear_2.weight" in cogseedc.build(program, rng=0).state_dict()
