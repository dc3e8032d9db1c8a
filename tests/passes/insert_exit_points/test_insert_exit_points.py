"""Exits become gates and joins, in source order; placed exits stand at balanced cuts."""

import pytest

from cogseedc.analysis import Trunk
from cogseedc.diagnostics import Diagnostics, UserError
from cogseedc.ir import (
    BATCH_SIZE,
    Axis,
    Dtype,
    Exit,
    Gate,
    GateKind,
    Merge,
    Phase,
    Return,
    Size,
    TensorType,
    Value,
    phase,
)
from cogseedc.passes import Context, EliminateDeadSeeds, InsertExitPoints, place_exits, run_pipeline
from tests.passes.joins import told
from tests.passes.toy import OPS, ROW, YES, N, Toy


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


def test_each_output_of_a_scope_is_joined():
    toy = Toy()
    x = toy.input()
    names = {toy.layer(x, name): name for name in ("a", "b", "own a", "own b")}
    values = list(names)
    leaves = toy.call("decide", x, type=YES)
    toy.graph.add(Exit("e", "", 0, ("N",), YES), [leaves, *values[:2]])
    returned = toy.graph.add(Return("", (ROW, ROW), ("y", "z")), values[2:])
    outputs = [toy.output(Value(returned, port), name) for port, name in enumerate("yz")]
    assert InsertExitPoints().run(toy.graph, Context(OPS))
    [(gate, node)] = toy.graph.of(Gate)
    assert (toy.graph.feeds(gate), node.kind, node.arms, node.over) == ((leaves,), GateKind.BOOL, 2, ("N",))
    for output, wanted in zip(outputs, ("a if e else own a", "b if e else own b"), strict=True):
        assert told(toy.graph, toy.graph.wiring().operand(output, 0)) == wanted


def test_without_exits_a_return_is_what_comes_in():
    toy = Toy()
    x = toy.input()
    y = toy.layer(x, "y")
    output = toy.output(toy.returned(y))
    assert InsertExitPoints().run(toy.graph, Context(OPS))
    assert toy.graph.wiring().operand(output, 0) == y


T, D, SIX = Axis("T", Size.of(6)), Axis("D", Size.of(4)), Axis(None, Size.of(6))


@pytest.mark.parametrize(
    ("condition", "value", "wanted"),
    [
        ((N, T), (N, T, D), (0, 1)),
        ((N, T), (T, D, N), (2, 0)),
        ((N, T), (SIX, N, T), (1, 2)),
        ((N, T), (N, D, SIX), (0, 2)),
        ((N, SIX), (N, D, T), (0, 2)),
        ((Axis("B", BATCH_SIZE),), (D, N), (1,)),
        ((Axis("D", BATCH_SIZE),), (D, N), (1,)),
        ((T,), (N, T), (1,)),
        ((Axis(None, Size.of(4)),), (N, SIX, D), (2,)),
        ((Axis(None, Size.of(4)),), (N, T, D), (2,)),
        ((), (N, D), ()),
    ],
)
def test_where_the_axes_of_a_condition_lie(condition, value, wanted):
    """The batch by what it is, others by name, else by size."""
    toy = Toy()
    decided, type = TensorType(Dtype.BOOL, condition), TensorType(Dtype.F32, value)
    x = toy.input(type=type)
    toy.graph.add(Exit("e", "", 0, tuple(a.name or "_" for a in condition), decided), [toy.input("c", decided), x])
    toy.output(Value(toy.graph.add(Return("", (type,), ("y",)), [x])), type=type)
    InsertExitPoints().run(toy.graph, Context(OPS))
    [(_, merge)] = toy.graph.of(Merge)
    assert merge.axes == (wanted,)
