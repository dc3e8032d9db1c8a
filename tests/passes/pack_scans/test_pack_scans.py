"""Scans are packed where a row does nothing at the turns that it does not take; nowhere else."""

import pytest

from cogseedc.ir import Gate
from cogseedc.passes import PackScans
from tests.passes.loops import loops, same_meaning, through

HEAD = "export seed Net {\n    in  xs: f32[N, T, D=4]\n    in  c: f32[N, D]\n    out y: f32[N, D]\n    out ys: f32[N, T, D]\n"
GATE = "        gate on over N = mean(linear[D](x)) > 0\n"


def gates(graph):
    return {node.name for _, node in graph.nodes() if isinstance(node, Gate)}


def test_a_decision_ahead_packs_the_scan_and_moves_to_where_it_is_made():
    text = HEAD + (
        "    ys, y = scan x in xs over T with y = c {\n"
        + GATE
        + "        h = when on { tanh(y + x) } else { y }\n        next y = h\n        yield h\n    }\n}\n"
    )
    graph = through(text, PackScans)
    found = loops(graph)
    assert (found["scan"].active, found["scan"].echoes) == (1, (0,))
    assert not gates(found["scan"].body)
    assert gates(found["scan.ahead"].body) == {"on"}
    same_meaning(text, graph)


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("the other arm computes", "h = when on { tanh(y + x) } else { relu(y) }\n next y = h\n yield h"),
        ("a yield is no carry", "h = when on { tanh(y + x) } else { y }\n next y = h\n yield h + x"),
        ("a carry moves at every turn", "next y = tanh(y + x)\n yield when on { y } else { y + 1 }"),
        (
            "another gate",
            "h = when on { when mean(y) > 0 { tanh(y + x) } else { x } } else { y }\n next y = h\n yield h",
        ),
    ],
)
def test_other_scans_stay(what, body):
    text = HEAD + "    ys, y = scan x in xs over T with y = c {\n" + GATE + body + "\n    }\n}\n"
    graph = through(text, PackScans)
    assert loops(graph)["scan"].active is None, what
    same_meaning(text, graph)


def test_a_decision_on_the_carry_does_not_pack():
    text = HEAD + (
        "    ys, y = scan x in xs over T with y = c {\n"
        "        h = when mean(y) > 0 { tanh(y + x) } else { y }\n        next y = h\n        yield h\n    }\n}\n"
    )
    assert loops(through(text, PackScans))["scan"].active is None
