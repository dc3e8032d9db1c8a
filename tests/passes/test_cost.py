"""Costs over all paths against brute force."""

import pytest
from hypothesis import given, settings

from cogseedc.analysis import Budget, check_budgets, costs, even_rates, expected, guards
from cogseedc.diagnostics import Diagnostics
from cogseedc.ir import Gate, GateKind, Literals, MergeMode
from cogseedc.passes import Context, EliminateDeadSeeds
from tests.passes.programs import programs, satisfied, worlds
from tests.passes.test_demand import early_exit
from tests.passes.toy import OPS, Toy


def sealed(graph):
    EliminateDeadSeeds().run(graph, Context(OPS))
    return graph


@settings(max_examples=120, deadline=None)
@given(programs())
def test_extremes_are_those_of_all_paths(graph):
    sealed(graph)
    literals = Literals.of(graph)
    found, cost = guards(graph, literals), costs(graph, OPS)
    every = list(worlds(graph, 5000))
    if len(every) == 5000:
        return
    spent = [
        sum(cost.nodes[id].macs.value for id, _ in graph.nodes() if satisfied(literals, found[id], d)) for d in every
    ]
    assert cost.macs.worst.exact
    assert cost.macs.worst.value == max(spent)
    assert cost.macs.least.value == min(spent)


def test_exits():
    toy, *_ = early_exit()
    cost = costs(sealed(toy.graph), OPS)
    assert [(e.path, e.macs.least.value, e.macs.worst.value) for e in cost.exits] == [
        ("e0", 110, 110),
        ("e1", 210, 210),
        (None, 300, 300),
    ]
    assert (cost.macs.least.value, cost.macs.worst.value) == (110, 300)
    rates = {"e0": (0.5, 0.5), "e1": (0.25, 0.75)}
    assert expected(cost, rates) == pytest.approx(0.5 * 110 + 0.375 * 210 + 0.125 * 300)
    assert cost.params == 5 * 4
    assert cost.weight_bytes == 5 * 16


def test_two_hundred_exits_are_exact():
    toy, *_ = early_exit(200)
    cost = costs(sealed(toy.graph), OPS)
    assert cost.macs.worst.exact
    assert cost.macs.worst.value == 200 * 100 + 100
    assert cost.macs.least.value == 110
    assert len(cost.exits) == 201


def test_forty_independent_skips_are_exact():
    toy = Toy()
    x = toy.input()
    for i in range(40):
        x = toy.when(toy.gate(f"g{i}", x), toy.layer(x, f"l{i}"), x)
    toy.output(x)
    cost = costs(sealed(toy.graph), OPS)
    assert (cost.macs.least.value, cost.macs.worst.value) == (0, 4000)
    assert cost.macs.worst.exact
    assert expected(cost, even_rates(cost)) == pytest.approx(2000)
    assert [(a.gate, a.arm, a.macs) for a in cost.arms[:2]] == [("g0", 0, 0), ("g0", 1, 100)]


def test_only_k_experts_count():
    toy = Toy()
    x = toy.input()
    gate = toy.many("pick", x, 16, 2)
    toy.output(toy.merge([(gate, e, toy.layer(x, f"e{e}", macs=e)) for e in range(16)], mode=MergeMode.SUM))
    cost = costs(sealed(toy.graph), OPS)
    assert (cost.macs.worst.value, cost.macs.worst.exact) == (15 + 14, True)
    assert expected(cost, even_rates(cost)) == pytest.approx(2 * 7.5)
    assert isinstance(toy.graph[gate.node], Gate)
    assert toy.graph[gate.node].kind is GateKind.MANY


def test_budgets():
    toy, *_ = early_exit()
    cost = costs(sealed(toy.graph), OPS)
    diagnostics = Diagnostics()
    budgets = [
        Budget("macs", "worst", 299),
        Budget("macs", "worst", 300),
        Budget("macs", "worst", 300, strict=True),
        Budget("macs", "mean", 100),
        Budget("params", "worst", 20),
        Budget("latency_ms", "worst", 1),
    ]
    open = check_budgets(cost, budgets, diagnostics)
    assert [(b.quantity, b.measure) for b in open] == [("macs", "mean"), ("latency_ms", "worst")]
    assert [d.code for d in diagnostics] == ["CS0704", "CS0704"]
    check_budgets(cost, budgets[3:4], diagnostics, {"macs": 200.0})
    assert [d.code for d in diagnostics][-1] == "CS0705"
