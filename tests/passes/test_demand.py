"""Demand against brute force on random programs of joins, and by hand."""

from hypothesis import given, settings

from cogseedc.analysis import demand, demand_at
from cogseedc.ir import FALSE, TRUE, Constant, Input, Literals, Loss, MergeMode, Output, Weight
from tests.passes.programs import programs, satisfied, worlds
from tests.passes.toy import OPS, UNIFORM, Toy, needed

LEAVES = (Input, Weight, Constant)


@settings(max_examples=150, deadline=None)
@given(programs())
def test_what_is_needed_is_demanded(graph):
    literals = Literals.of(graph)
    found = demand(graph, OPS, literals)
    exact = all(len(g.terms) < 3 for g in found.values())
    for decisions in worlds(graph, 200):
        read = needed(graph, decisions)
        for id, node in graph.nodes():
            held = satisfied(literals, found[id], decisions)
            assert held or id not in read
            if exact and not isinstance(node, LEAVES) and not literals.mask(id):
                assert found[id].always or not held or id in read


@settings(max_examples=100, deadline=None)
@given(programs())
def test_guards_are_closed(graph):
    literals = Literals.of(graph)
    found = demand(graph, OPS, literals)
    for guard in found.values():
        for term in guard.terms:
            for gate in literals.owners_of(term):
                assert literals.implies(type(guard)((term,)), found[gate])


def early_exit(count=2):
    """Exits in a row, as `insert-exit-points` makes them."""
    toy = Toy()
    x = toy.input()
    exits, layers = [], []
    for i in range(count):
        x = toy.layer(x, f"l{i}")
        layers.append(x)
        exits.append((toy.gate(f"e{i}", x, exit=f"e{i}"), 1, toy.layer(x, f"head{i}", macs=10)))
    end = toy.layer(x, "end")
    toy.output(toy.merge(exits, end))
    return toy, layers, exits, end


def test_exits_guard_what_follows():
    toy, layers, exits, end = early_exit()
    literals = Literals.of(toy.graph)
    found = demand(toy.graph, OPS, literals)
    (easy, _, easy_head), (medium, _, _) = exits
    not_easy = literals.not_taken(easy.node, 1)
    assert found[layers[0].node] == TRUE
    assert found[layers[1].node] == not_easy
    assert found[medium.node] == not_easy
    assert found[easy_head.node] == literals.taken(easy.node, 1)
    assert found[end.node] == literals.and_(not_easy, literals.not_taken(medium.node, 1))


def test_mixing_the_batch_needs_all_rows():
    toy = Toy()
    x = toy.input()
    gate = toy.gate("keep", x)
    inner = toy.layer(x, "inner")
    mixed = toy.call("mix", inner)
    toy.output(toy.when(gate, mixed, x))
    found = demand(toy.graph, OPS, Literals.of(toy.graph))
    assert not found[mixed.node].always
    assert found[inner.node] == TRUE


def test_a_uniform_gate_passes_through_mixing():
    toy = Toy()
    x = toy.input()
    gate = toy.gate("all", x, type=UNIFORM)
    inner = toy.layer(x, "inner")
    toy.output(toy.when(gate, toy.call("mix", inner), x, axes=()))
    literals = Literals.of(toy.graph)
    assert demand(toy.graph, OPS, literals)[inner.node] == literals.taken(gate.node, 1)


def test_a_value_without_rows_is_needed_in_whole():
    toy = Toy()
    x = toy.input()
    gate = toy.gate("keep", x)
    scale = toy.call("f", toy.constant(1.0), type=UNIFORM)
    toy.output(toy.when(gate, toy.call("g", x, scale), x))
    assert demand(toy.graph, OPS, Literals.of(toy.graph))[scale.node] == TRUE


def test_losses_count_in_training_only():
    toy = Toy()
    x = toy.input()
    toy.output(x)
    y = toy.layer(x, "aside")
    loss = toy.loss(y)
    literals = Literals.of(toy.graph)
    assert isinstance(toy.graph[loss], Loss)
    assert demand(toy.graph, OPS, literals)[y.node] == FALSE
    assert demand(toy.graph, OPS, literals, training=True)[y.node] == TRUE
    assert demand_at(toy.graph, OPS, literals)[0][y.node] == FALSE
    assert demand_at(toy.graph, OPS, literals, training=True)[0][y.node] == TRUE


def test_a_dense_gate_guards_nothing():
    toy, _, exits, end = early_exit()
    dense = frozenset([exits[0][0].node])
    literals = Literals.of(toy.graph, dense)
    found = demand(toy.graph, OPS, literals)
    assert found[exits[0][2].node] == TRUE
    assert found[end.node] == literals.not_taken(exits[1][0].node, 1)


def test_experts_shared_input_is_not_guarded():
    toy = Toy()
    x = toy.input()
    gate = toy.many("pick", x, 8, 2)
    shared = toy.layer(x, "shared")
    arms = [(gate, e, toy.layer(shared, f"e{e}")) for e in range(8)]
    toy.output(toy.merge(arms, mode=MergeMode.SUM))
    literals = Literals.of(toy.graph)
    found = demand(toy.graph, OPS, literals)
    assert found[shared.node] == TRUE
    assert [found[v.node] for _, _, v in arms] == [literals.taken(gate.node, e) for e in range(8)]


def test_two_hundred_exits():
    toy, layers, _, end = early_exit(200)
    literals = Literals.of(toy.graph)
    found = demand(toy.graph, OPS, literals)
    assert len(literals.owners_of(found[end.node].terms[0])) == 200
    assert len(literals.owners_of(found[layers[100].node].terms[0])) == 100
    assert any(isinstance(n, Output) for _, n in toy.graph.nodes())
