"""Demand against brute force on random programs of joins, and by hand."""

import pytest
from hypothesis import given, settings

from cogseedc.analysis import demand, demand_at
from cogseedc.analysis.demand import Demands, _cyclic, _open
from cogseedc.ir import FALSE, TRUE, Constant, ControlEdge, Input, Literals, Loss, MergeMode, Output, Weight
from tests.passes.joins import said
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


def chain_of_gates():
    """`a` decides `p`, `b` decides `q`, `c` decides `r`, and nothing says when any of them runs; `d` decides nothing."""
    toy = Toy()
    x = toy.input()
    values = {name: toy.layer(x, name) for name in "abcd"}
    gates = {name: toy.gate(name, values[value]) for name, value in zip("pqr", "abc", strict=True)}
    literals = Literals.of(toy.graph)
    ids = {name: value.node for name, value in (values | gates).items()}
    bits = {name: literals.mask(gate.node) for name, gate in gates.items()}
    return toy.graph, literals, ids, bits


def guarded(graph, literals, ids, said):
    """Guards in words, of nodes by name: `a: p & q | r`; all others run always."""
    found = dict.fromkeys((id for id, _ in graph.nodes()), TRUE)
    for text in said.split(", ") if said else ():
        name, guard = text.split(": ")
        union = FALSE
        for term in guard.split(" | "):
            every = TRUE
            for gate in term.split(" & "):
                every = literals.and_(every, literals.taken(ids[gate], 1))
            union = literals.or_(union, every)
        found[ids[name]] = union
    return found


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("", {}), ("a: q, d: p & q", {}), ("q: p, d: q", {"d": "q"}), ("q: p, d: q & p", {}), ("q: p, r: q & p, d: r", {"d": "r"}),
        ("q: p, r: p, d: q | r", {"d": "qr"}), ("q: p, r: p, d: q & p | r", {"d": "r"}),
        ("q: p | r, d: q & p | r", {}), ("q: r, b: q, d: q & r", {"b": "q"}),
    ],
)  # fmt: skip
def test_what_is_asked_where_a_gate_has_not_decided(said, wanted):
    graph, literals, ids, bits = chain_of_gates()
    found = _open(literals, guarded(graph, literals, ids, said))
    assert found == {ids[name]: sum(bits[gate] for gate in gates) for name, gates in wanted.items()}


def test_a_cover_gives_up_what_is_not_decided_wherever_it_holds():
    """`n` is needed in five cases, of which `s` and `h` are common; but `h` decides only where `a` or `b` was taken."""
    toy = Toy()
    x = toy.input()
    s, a, b, h = (toy.gate(name, x) for name in ("s", "a", "b", "h"))
    n = toy.layer(x, "n")
    cases = [toy.when(toy.gate(f"k{i}", x), n, x) for i in range(5)]
    first, second = (toy.when(h, toy.call("g", *part), x) for part in (cases[:2], cases[2:]))
    either = toy.call("g", toy.when(a, first, x), toy.when(b, second, x))
    toy.output(toy.when(s, either, x))
    literals = Literals.of(toy.graph)
    found = demand(toy.graph, OPS, literals)
    assert said(literals, found[cases[0].node]) == "s & a & h"
    assert said(literals, found[h.node]) == "s & a | s & b"
    assert said(literals, found[n.node]) == "s"


def test_a_gate_does_not_wait_for_its_own_decision():
    graph, literals, ids, _ = chain_of_gates()
    assert _open(literals, guarded(graph, literals, ids, "p: p")) == {ids["p"]: literals.taken(ids["p"], 1).terms[0]}


@pytest.mark.parametrize(
    ("said", "edges", "wanted"),
    [
        ("", "", {}), ("b: p, c: q, d: r", "", {}), ("a: q", "", {}), ("a: q, b: r, d: p", "", {}), ("a: p", "", {"a": "p"}), ("p: p", "", {"p": "p"}),
        ("a: p & q", "", {"a": "p"}), ("a: q, b: p", "", {"a": "q", "b": "p"}), ("a: q & r, b: p, d: p & q", "", {"a": "q", "b": "p", "d": "pq"}),
        ("a: q, b: r, c: p", "", {"a": "q", "b": "r", "c": "p"}), ("a: q", "p>b", {"a": "q"}), ("a: q", "p>d", {}),
        ("a: q | r, b: p", "", {"a": "q", "b": "p"}), ("a: q & p, b: p", "", {"a": "p"}), ("p: q", "", {}), ("p: q, b: p", "", {"p": "q", "b": "p"}),
    ],
)  # fmt: skip
def test_gates_that_would_wait_for_what_they_guard(said, edges, wanted):
    """Given up are literals of what decides by the node itself, or else of all gates that wait for each other."""
    graph, literals, ids, bits = chain_of_gates()
    for edge in edges.split():
        gate, node = edge.split(">")
        graph.connect(ControlEdge(ids[gate], ids[node], 1))
    found = _cyclic(graph, literals, guarded(graph, literals, ids, said))
    assert found == {ids[name]: sum(bits[gate] for gate in gates) for name, gates in wanted.items()}


def test_demand_is_found_once_for_a_graph_that_nobody_edits():
    toy, layers, _, end = early_exit()
    demands = Demands()
    _, found = demands.of(toy.graph, OPS, False)
    assert demands.of(toy.graph, OPS, False)[1] is found
    assert demands.of(toy.graph, OPS, True)[1] is not found
    toy.output(end, "z")
    again = demands.of(toy.graph, OPS, False)[1]
    assert (found[layers[1].node] == TRUE, again[layers[1].node] == TRUE) == (False, True)
