"""What does not read a carry is computed ahead; what a later turn may never ask for is not."""

from cogseedc.passes import HoistLoops
from tests.passes.loops import calls, loops, same_meaning, through

HEAD = "export seed Net {\n    in  xs: f32[N, T, D=4]\n    in  c: f32[N, D]\n    out y: f32[N, D]\n"


def test_invariants_are_computed_before_the_loop():
    text = HEAD + "    y = repeat 3 with y = c { next y = tanh(y + linear[D](sin(c))) }\n}\n"
    graph = through(text, HoistLoops)
    assert calls(graph).count("linear") == 1
    assert "linear" not in calls(loops(graph)["repeat"].body)
    same_meaning(text, graph)


def test_work_on_elements_becomes_a_scan_of_its_own():
    text = HEAD + "    y = scan x in xs over T with y = c { next y = tanh(linear[D](y) + linear[D](x)) }\n}\n"
    graph = through(text, HoistLoops)
    ahead = loops(graph)["scan.ahead"]
    assert (ahead.carries, calls(ahead.body)) == (0, ["linear"])
    assert calls(loops(graph)["scan"].body).count("linear") == 1
    same_meaning(text, graph)


def test_a_gate_that_the_rest_asks_stays_and_its_score_moves():
    text = HEAD + (
        "    y = scan x in xs over T with y = c {\n"
        "        gate on over N = mean(linear[D](x)) > 0\n"
        "        next y = when on { tanh(y + x) } else { relu(y) }\n    }\n}\n"
    )
    graph = through(text, HoistLoops)
    assert "linear" in calls(loops(graph)["scan.ahead"].body)
    assert "linear" not in calls(loops(graph)["scan"].body)
    same_meaning(text, graph)


def test_a_whole_gated_part_moves_with_its_gate():
    text = HEAD + (
        "    y = scan x in xs over T with y = c {\n"
        "        gate close over N = mean(x) > 0\n"
        "        e = when close { linear[D](x) } else { x }\n        next y = tanh(y + e)\n    }\n}\n"
    )
    graph = through(text, HoistLoops)
    assert calls(loops(graph)["scan"].body) == ["add", "tanh"]
    same_meaning(text, graph)


def test_what_a_decision_on_the_carry_may_skip_stays():
    text = HEAD + (
        "    y = scan x in xs over T with y = c {\n"
        "        next y = when mean(y) > 0 { tanh(y + linear[D](x)) } else { y }\n    }\n}\n"
    )
    graph = through(text, HoistLoops)
    assert "linear" in calls(loops(graph)["scan"].body)
    same_meaning(text, graph)


def test_nothing_of_later_turns_is_computed_for_a_loop_that_may_stop():
    text = HEAD + "    y = scan x in xs over T with y = c until mean(y) > 0.5 { next y = tanh(y + linear[D](x)) }\n}\n"
    graph = through(text, HoistLoops)
    assert list(loops(graph)) == ["scan"]
    same_meaning(text, graph)
