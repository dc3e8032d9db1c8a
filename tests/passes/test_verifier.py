"""Each rule of the verifier refuses a graph that breaks it."""

from dataclasses import replace

import pytest

from cogseedc.diagnostics import InternalError
from cogseedc.ir import ControlEdge, DataEdge, Dtype, Exit, TensorType, Value, verify
from cogseedc.passes import Context, EliminateDeadSeeds
from tests.passes.toy import OPS, ROW, YES, Toy


def skip():
    toy = Toy()
    x = toy.input()
    gate = toy.gate("keep", x)
    a = toy.layer(x, "a")
    y = toy.when(gate, a, x)
    toy.output(y)
    return toy, x, gate, a, y


def unfed(toy, x, gate, a, y):
    toy.graph.disconnect(DataEdge(gate.node, 0, y.node, 1))


def cycle(toy, x, gate, a, y):
    toy.graph.connect(DataEdge(y.node, 0, a.node, 5))


def twice(toy, x, gate, a, y):
    toy.graph.connect(DataEdge(a.node, 0, y.node, 2))


def no_gate(toy, x, gate, a, y):
    toy.graph.connect(ControlEdge(a.node, y.node, 1))


def no_arm(toy, x, gate, a, y):
    toy.graph.connect(ControlEdge(gate.node, a.node, 2))


def open_join(toy, x, gate, a, y):
    toy.graph.disconnect(DataEdge(x.node, 0, y.node, 2))
    toy.graph.update(y.node, replace(toy.graph[y.node], otherwise=False))


def merge_arm(toy, x, gate, a, y):
    toy.graph.update(y.node, replace(toy.graph[y.node], arms=(4,)))


def gate_axes(toy, x, gate, a, y):
    toy.graph.update(y.node, replace(toy.graph[y.node], axes=((1,),)))


def not_run(toy, x, gate, a, y):
    toy.graph.connect(ControlEdge(gate.node, toy.call("f", a).node, 0))
    EliminateDeadSeeds().run(toy.graph, Context(OPS))
    other = toy.call("f", a)
    toy.output(other, "z")


def other_op(toy, x, gate, a, y):
    toy.call("unheard", x)


def no_operand(toy, x, gate, a, y):
    toy.call("f")


def same_name(toy, x, gate, a, y):
    toy.gate("keep", a)


def result_type(toy, x, gate, a, y):
    toy.output(y, "z", TensorType(Dtype.I64))


def stray_exit(toy, x, gate, a, y):
    toy.graph.add(Exit("e", "nowhere", 0, ("N",), YES), [gate, x])


def arm_type(toy, x, gate, a, y):
    half = toy.call("f", a, type=ROW.with_dtype(Dtype.F16))
    toy.graph.disconnect(DataEdge(a.node, 0, y.node, 0))
    toy.graph.connect(DataEdge(half.node, 0, y.node, 0))


BROKEN = {
    "fed": [unfed],
    "acyclic": [cycle],
    "edges": [twice, no_gate, no_arm],
    "merges": [open_join, merge_arm, gate_axes, arm_type],
    "guards": [not_run],
    "operands": [other_op, no_operand],
    "names": [same_name],
    "types": [result_type],
    "exits": [stray_exit],
}


@pytest.mark.parametrize(("rule", "harm"), [(rule, harm) for rule, harms in BROKEN.items() for harm in harms])
def test_refuses(rule, harm):
    toy, *parts = skip()
    verify(toy.graph, OPS)
    harm(toy, *parts)
    with pytest.raises(InternalError, match=f"graph rule `{rule}` is broken"):
        verify(toy.graph, OPS)


def test_a_cycle_shows_its_path():
    toy, x, gate, a, y = skip()
    cycle(toy, x, gate, a, y)
    with pytest.raises(InternalError, match=f"{y.node} -> {a.node} -> {y.node}"):
        verify(toy.graph)


def test_a_cycle_shows_its_path_from_the_first_node_on():
    toy = Toy()
    a = toy.call("f")
    b = toy.call("f", a)
    toy.graph.connect(DataEdge(b.node, 0, a.node, 0))
    with pytest.raises(InternalError, match=f": {a.node} -> {b.node} -> {a.node}$"):
        verify(toy.graph)


def test_a_missing_output():
    toy, x, *_ = skip()
    toy.call("f", Value(x.node, 3))
    with pytest.raises(InternalError, match="reads output 3"):
        verify(toy.graph)
