"""Laws of dead-seed elimination, and what it leaves of small programs."""

import pytest
from hypothesis import given, settings

from cogseedc.analysis import demand, guards
from cogseedc.ir import (
    Call,
    Constant,
    ControlEdge,
    Input,
    Literals,
    Merge,
    MergeMode,
    Phase,
    Weight,
    phase,
    print_graph,
    verify,
)
from cogseedc.ops import OPS as REAL
from cogseedc.passes import Context, EliminateDeadSeeds, InsertExitPoints, run_pipeline
from tests.passes.joins import Joins, told
from tests.passes.programs import programs, satisfied, worlds
from tests.passes.toy import OPS, Toy, needed

CONTEXT = Context(OPS)


def eliminate(graph, **more):
    return EliminateDeadSeeds().run(graph, Context(OPS, **more))


@settings(max_examples=120, deadline=None)
@given(programs())
def test_twice_is_once_and_guards_are_sound(graph):
    before = graph.copy()
    eliminate(graph)
    verify(graph, OPS)
    text = print_graph(graph)
    assert not eliminate(graph)
    assert print_graph(graph) == text
    literals = Literals.of(graph)
    found = guards(graph, literals)
    for decisions in worlds(before, 100):
        for id in needed(before, decisions):
            assert isinstance(before[id], (Input, Weight, Constant)) or id in graph
            assert id not in graph or satisfied(literals, found[id], decisions)


@settings(max_examples=60, deadline=None)
@given(programs())
def test_edges_say_what_demand_found(graph):
    eliminate(graph)
    literals = Literals.of(graph)
    found, read = demand(graph, OPS, literals), guards(graph, literals)
    for id, guard in found.items():
        assert literals.implies(guard, read[id])
        assert literals.implies(read[id], guard)


def test_exits_get_one_edge_each():
    toy = Toy()
    x = toy.input()
    a = toy.layer(x, "a")
    toy.exit("easy", a, a, 0)
    b = toy.layer(a, "b")
    toy.exit("medium", b, b, 1)
    c = toy.layer(b, "c")
    toy.output(toy.returned(c))
    run_pipeline(toy.graph, [InsertExitPoints(), EliminateDeadSeeds()], CONTEXT, verify_each=True)
    names = {id: n.name for id, n in toy.graph.nodes() if hasattr(n, "name")}
    controls = toy.graph.wiring().controls
    said = {v: [(names[e.src], e.arm) for e in controls[v.node]] for v in (a, b, c)}
    assert said == {a: [], b: [("easy", 0)], c: [("medium", 0)]}
    assert phase(toy.graph) is Phase.SUNK


def test_dead_nodes_go_with_their_weights_but_the_state_dict_stays_whole_in_training():
    toy = Toy()
    x = toy.input()
    toy.layer(x, "dead")
    toy.loss(toy.layer(x, "training"))
    toy.output(toy.layer(x, "live"))
    trained = toy.graph.copy()
    assert eliminate(toy.graph)
    assert [n.path for _, n in toy.graph.nodes() if isinstance(n, Weight)] == ["live.weight"]
    assert eliminate(trained, training=True)
    assert [n.path for _, n in trained.nodes() if isinstance(n, Weight)] == [
        "dead.weight",
        "training.weight",
        "live.weight",
    ]
    assert sum(isinstance(n, Call) for _, n in trained.nodes()) == 2


def test_a_route_of_experts():
    toy = Toy()
    x = toy.input()
    gate = toy.many("pick", x, 3, 2)
    toy.output(toy.merge([(gate, e, toy.layer(x, f"e{e}")) for e in range(3)], toy.layer(x, "none"), MergeMode.SUM))
    eliminate(toy.graph)
    edges = sorted((e.dst, e.arm) for e in toy.graph.edges() if isinstance(e, ControlEdge))
    assert [arm for _, arm in edges] == [0, 1, 2, -3, -2, -1]


def test_guards_are_taken_away_before_another_rewrite():
    toy = Toy()
    x = toy.input()
    toy.output(toy.when(toy.gate("keep", x), toy.layer(x, "a"), x))
    run_pipeline(toy.graph, [EliminateDeadSeeds()], CONTEXT)
    assert phase(toy.graph) is Phase.SUNK
    run_pipeline(toy.graph, [InsertExitPoints()], CONTEXT, verify_each=True)
    assert phase(toy.graph) is Phase.JOINED
    assert any(isinstance(n, Merge) for _, n in toy.graph.nodes())


def left(joins, value):
    """What is left of a value that is given out, by the pass alone."""
    out = joins.toy.output(value)
    assert EliminateDeadSeeds().run(joins.toy.graph, Context({**REAL, **OPS}))
    return told(joins.toy.graph, joins.toy.graph.wiring().operand(out, 0))


SELECT, SUM, WEIGHTED = MergeMode.SELECT, MergeMode.SUM, MergeMode.WEIGHTED_SUM


@pytest.mark.parametrize(
    ("mode", "inner", "wanted"),
    [
        (SELECT, "a if q, b if p0, c if r else d", "a if q, c if r else d"),
        (SELECT, "a if q, b if p0, c if p else d", "a if q else c"),
        (SELECT, "a if p, b if p0, a if q", "a"),
        (SELECT, "a if q, b if r, c if s else d", "a if q, b if r, c if s else d"),
        (SUM, "a if p, b if q, c if p0 else d", "a if p, b if q"),
        (SUM, "a if q, b if p0, c if r else d", "a if q, c if r else d"),
        (SUM, "a if p0, b if p0, c if p0 else d", "d"),
        (SUM, "a if p0, b if p0, c if p0", "zeros"),
        (WEIGHTED, "a if q, b if p0, c if r else d", "a if q, c if r else d"),
    ],
)
def test_arms_that_are_never_asked_for_go(mode, inner, wanted):
    joins = Joins()
    weights = [joins.values["w"]] if mode is WEIGHTED else []
    joins.values["i"] = joins.join(inner, mode, *weights)
    found = left(joins, joins.join("i if p else x"))
    assert found == f"({wanted}) if p else x" if " " in wanted else f"{wanted} if p else x"


def test_a_join_of_which_an_arm_is_used_elsewhere_loses_it_too():
    joins = Joins()
    joins.values["i"] = joins.join("a if p, b if p0, a if q")
    joins.toy.output(joins.values["i"], "z")
    assert left(joins, joins.join("i if s else x")) == "(a if p else b) if s else x"


def test_what_is_shared_with_something_alive_stays():
    toy = Toy()
    x = toy.input()
    weight, number = toy.layer(x, "w"), toy.constant(1.0)
    shared = toy.graph.feeds(weight.node)[1]
    dead = toy.call("g", toy.call("layer", x, shared), number, toy.constant(2.0))
    toy.output(toy.call("g", weight, number))
    assert eliminate(toy.graph)
    assert [n.values for _, n in toy.graph.of(Constant)] == [(1.0,)]
    assert (shared.node in toy.graph, dead.node in toy.graph) == (True, False)


def test_edges_that_say_too_much_go():
    joins = Joins()
    joins.toy.output(joins.join("a if p else b"))
    eliminate(joins.toy.graph)
    right = {edge for edge in joins.toy.graph.edges() if isinstance(edge, ControlEdge)}
    assert len(right) == 2
    joins.toy.graph.connect(ControlEdge(joins.values["p"].node, next(iter(joins.toy.graph.of(Merge)))[0], 1, 0))
    assert eliminate(joins.toy.graph)
    assert {edge for edge in joins.toy.graph.edges() if isinstance(edge, ControlEdge)} == right
    [ran] = run_pipeline(joins.toy.graph, [EliminateDeadSeeds()], CONTEXT)
    assert not ran.changed, "it finds the guards that it left"
