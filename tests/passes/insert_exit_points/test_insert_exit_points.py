"""Exits become gates and joins, in source order; placed exits stand at balanced cuts."""

import pytest

from cogseedc.analysis import Trunk
from cogseedc.diagnostics import Diagnostics, UserError
from cogseedc.ir import Exit, Gate, Merge, Phase, Return, phase
from cogseedc.passes import Context, EliminateDeadSeeds, InsertExitPoints, place_exits, run_pipeline
from tests.passes.toy import OPS, Toy


def test_source_order_wins():
    toy = Toy()
    x = toy.input()
    late, early = toy.layer(x, "late"), toy.layer(x, "early")
    toy.exit("second", x, late, order=1)
    toy.exit("first", x, early, order=0)
    toy.output(toy.returned(toy.layer(x, "own")))
    run_pipeline(toy.graph, [InsertExitPoints()], Context(OPS), verify_each=True)
    gates = {id: n for id, n in toy.graph.nodes() if isinstance(n, Gate)}
    assert [(g.name, g.exit) for g in gates.values()] == [("first", "first"), ("second", "second")]
    [(merge, node)] = [(id, n) for id, n in toy.graph.nodes() if isinstance(n, Merge)]
    operands = toy.graph.wiring().operands(merge)
    assert operands[:2] == (early, late)
    assert [gates[v.node].name for v in operands[2:4]] == ["first", "second"]
    assert (node.arms, node.otherwise, node.axes) == ((1, 1), True, ((0,), (0,)))
    assert phase(toy.graph) is Phase.JOINED


def test_scopes_are_their_own():
    toy = Toy()
    x = toy.input()
    toy.exit("a.exits.e", x, toy.layer(x, "a.head"), scope="a")
    inner = toy.returned(toy.layer(x, "a.own"), scope="a")
    toy.exit("exits.e", inner, inner)
    toy.output(toy.returned(toy.layer(inner, "own")))
    run_pipeline(toy.graph, [InsertExitPoints()], Context(OPS), verify_each=True)
    assert not any(isinstance(n, (Exit, Return)) for _, n in toy.graph.nodes())
    assert [len(n.arms) for _, n in toy.graph.nodes() if isinstance(n, Merge)] == [1, 1]
    assert not InsertExitPoints().run(toy.graph, Context(OPS))


def test_a_pass_that_comes_too_early_is_refused():
    toy = Toy()
    x = toy.input()
    toy.output(toy.returned(x))
    with pytest.raises(UserError, match="CS0702"):
        run_pipeline(toy.graph, [EliminateDeadSeeds()], Context(OPS))


def chain(count):
    toy = Toy()
    x = toy.input()
    values = [x]
    for i in range(count):
        values.append(toy.layer(values[-1], f"l{i}"))
    toy.output(toy.returned(values[-1]))
    return toy, Trunk((x,), (values[-1],)), values


def test_placed_exits():
    toy, trunk, values = chain(6)
    chosen = []
    assert place_exits(toy.graph, OPS, trunk, 2, lambda i, v: chosen.append((i, v)), Diagnostics())
    assert chosen == [(0, values[2]), (1, values[4])]


def test_too_few_places():
    toy, trunk, _ = chain(3)
    diagnostics = Diagnostics()
    assert not place_exits(toy.graph, OPS, trunk, 3, lambda i, v: None, diagnostics)
    assert [d.code for d in diagnostics] == ["CS0703"]
