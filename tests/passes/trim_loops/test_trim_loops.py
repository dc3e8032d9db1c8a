"""Carries, yields, sequences and captures that nobody needs go; everything else stays."""

from cogseedc.passes import EliminateDeadSeeds, TrimLoops
from tests.passes.loops import calls, loops, same_meaning, through

HEAD = "export seed Net {\n    in  xs: f32[N, T, D=4]\n    in  c: f32[N, D]\n    out y: f32[N, D]\n"


def test_a_carry_that_only_feeds_itself_goes_with_what_computes_it():
    text = HEAD + (
        "    y, dead = scan x in xs over T with y = c, dead = zeros[N, D]() {\n"
        "        next y = tanh(y + x)\n        next dead = dead + linear[D](x)\n    }\n}\n"
    )
    graph = through(text, TrimLoops)
    assert loops(graph)["scan"].carries == 1
    assert "linear" not in calls(loops(graph)["scan"].body)
    same_meaning(text, graph)


def test_a_carry_that_a_living_one_reads_stays():
    text = HEAD + (
        "    y, other = scan x in xs over T with y = c, other = c {\n"
        "        next y = tanh(other + x)\n        next other = relu(y)\n    }\n}\n"
    )
    graph = through(text, TrimLoops)
    assert loops(graph)["scan"].carries == 2
    same_meaning(text, graph)


def test_yields_sequences_and_captures_that_are_not_read_go():
    text = HEAD + (
        "    ys, y = scan x, z in (xs, sin(xs)) over T with y = c {\n"
        "        next y = tanh(y + x)\n        yield z * c\n    }\n}\n"
    )
    graph = through(text, TrimLoops)
    loop = loops(graph)["ys.scan"]
    assert (loop.yields, loop.scanned) == (0, (1,))
    assert "sin" not in calls(through(text, EliminateDeadSeeds))
    same_meaning(text, graph)


def test_a_loop_that_nobody_reads_goes():
    text = HEAD + "    h = scan x in xs over T with h = c { next h = tanh(h + x) }\n    y = relu(c)\n}\n"
    assert not loops(through(text, TrimLoops))


def test_the_rest_of_two_turns_in_one_is_unchanged_by_a_second_run():
    text = HEAD + "    y = repeat 3 with y = c until mean(y) > 1 { next y = tanh(y) + c }\n}\n"
    graph = through(text, TrimLoops)
    assert loops(graph)["repeat"].halts
    same_meaning(text, graph)
