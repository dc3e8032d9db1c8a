"""What a skipped turn leaves as it was is not computed again; nothing else changes."""

import pytest

from cogseedc.ir import Merge, Output
from cogseedc.passes import CarryFeatures
from tests.passes.loops import calls, loops, same_meaning, through

HEAD = (
    "export seed Net {\n    in  xs: f32[N, T=4, D=8]\n    out y: f32[N, D]\n    knob pace = 0.7 in 0 .. 9\n"
    "    share want = linear[1]\n    share work = linear[8]\n"
)
STATED = HEAD + (
    "    y, u = scan x in xs over T with y = xs[T=0], u = ones[N, 1]() {\n        gate on over N = u > 1\n"
    "        h = when on { tanh(work(y + x)) } else { y }\n        d = pace * sigmoid(want(h))\n"
    "        next y = h\n        next u = when on { d } else { u + d }\n    }\n}\n"
)


def test_a_feature_of_the_state_becomes_a_carry():
    graph = through(STATED, CarryFeatures)
    loop = loops(graph)["scan"]
    assert loop.carries == 3
    merges = [id for id, node in loop.body.nodes() if isinstance(node, Merge)]
    readers = [loop.body[edge.dst] for id in merges for edge in loop.body.wiring().outs[id]]
    assert all(isinstance(node, Output) for node in readers), "who reads one arm only reads no join"
    assert calls(loop.body).count("linear") == 2, "of the new state and of nothing else"
    assert calls(graph).count("linear") == 1, "of the first state, before the loop"
    same_meaning(STATED, graph, 4)


@pytest.mark.parametrize(
    ("what", "old", "new"),
    [
        ("moves at every turn", "next y = h\n", "next y = h + 1\n"),
        ("reads the element too", "want(h)", "want(h + x)"),
        (
            "is asked for in some turns only",
            "next u = when on { d } else { u + d }",
            "next u = when on { d } else { u }",
        ),
        ("is another carry's", "want(h)", "want(x)"),
        ("is new in every arm", "else { y }", "else { relu(y) }"),
        ("is new in some of its channels", "when on { tanh", "when y > u { tanh"),
        ("is as large as the state", "want(h)", "want(tanh(h) + x)"),
    ],
)
def test_what_is_not_carried(what, old, new):
    text = STATED.replace(old, new)
    assert text != STATED
    graph = through(text, CarryFeatures)
    assert loops(graph)["scan"].carries == 2, what
    same_meaning(text, graph, 4)


@pytest.mark.parametrize("new", ["softmax[over=N](want(h))", "sigmoid(want(h) + ones[N, 1]())"])
def test_a_chain_ends_before_what_reads_other_rows(new):
    """Those of the batch, or some that are made of nothing."""
    text = STATED.replace("sigmoid(want(h))", new)
    graph = through(text, CarryFeatures)
    assert loops(graph)["scan"].carries == 3
    assert calls(graph) == ["select", "ones", "linear"]
    same_meaning(text, graph, 4)


def test_of_several_arms_each_that_is_new_is_computed():
    text = STATED.replace("gate on over N = u > 1", "gate on over N = argmax(linear[3](y) + u)").replace(
        "when on { tanh(work(y + x)) } else { y }", "route on { 0 => tanh(work(y + x))  1 => y  2 => x }"
    )
    text = text.replace("when on { d } else { u + d }", "u + d")
    graph = through(text, CarryFeatures)
    body = loops(graph)["scan"].body
    assert calls(body).count("linear") == 4, "the decision, the work, and the feature of two arms"
    same_meaning(text, graph, 4)


def test_a_yield_reads_the_carried_feature():
    text = STATED.replace("out y: f32[N, D]", "out y: f32[N, D]\n    out ds: f32[N, T, 1]").replace(
        "    y, u = scan", "    ds, y, u = scan"
    )
    text = text.replace("else { u + d }\n", "else { u + d }\n        yield d\n")
    graph = through(text, CarryFeatures)
    assert loops(graph)["scan"].carries == 3
    same_meaning(text, graph, 4)
