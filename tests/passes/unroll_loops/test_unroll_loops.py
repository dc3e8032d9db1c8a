"""Small loops that run all their turns are written out; the others stay loops."""

import pytest

from cogseedc.passes import UnrollLoops
from tests.passes.loops import calls, loops, same_meaning, through

HEAD = "export seed Net {\n    in  xs: f32[N, T=3, D=4]\n    in  c: f32[N, D]\n    out y: f32[N, D]\n"


def test_a_repeat_becomes_its_turns_with_one_set_of_weights():
    text = HEAD + "    share f = linear[D]\n    y = repeat 3 with y = c { next y = tanh(f(y)) }\n}\n"
    graph = through(text, UnrollLoops)
    assert not loops(graph)
    assert calls(graph).count("linear") == 3
    same_meaning(text, graph, turns=3)


def test_a_scan_of_known_length_becomes_its_turns():
    text = (
        HEAD
        + "    ys, h = scan x in xs over T with h = c { next h = tanh(h + x)  yield h * 2 }\n    y = h + mean[over=T](ys)\n}\n"
    )
    graph = through(text, UnrollLoops)
    assert not loops(graph)
    same_meaning(text, graph, turns=3)


@pytest.mark.parametrize(
    "loop",
    [
        "repeat 3 with y = c until mean(y) > 1 { next y = tanh(y) + c }",
        "repeat 3 with y = c { next y = when mean(y) > 0 { tanh(y) } else { y + c } }",
        "repeat 40 with y = c { next y = tanh(y) * y + c }",
        "repeat 13 with y = c { next y = tanh(y) * y + c * sin(y) }",
    ],
)
def test_a_loop_stays_that_may_stop_decides_or_is_long(loop):
    text = HEAD + f"    y = {loop}\n}}\n"
    assert len(loops(through(text, UnrollLoops))) == 1


def test_sixty_four_calls_are_written_out():
    graph = through(HEAD + "    y = repeat 16 with y = c { next y = cos(tanh(y) * y + c) }\n}\n", UnrollLoops)
    assert not loops(graph)
    assert len(calls(graph)) == 64
