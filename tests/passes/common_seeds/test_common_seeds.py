"""Equal work is done once; weights, gates and dropout stay apart."""

from dataclasses import replace

from cogseedc.ir import Call, Gate, Origin
from cogseedc.passes import CommonSeeds, Context
from tests.passes.toy import OPS, Toy


def run(toy):
    return CommonSeeds().run(toy.graph, Context(OPS))


def calls(toy, op):
    return [id for id, n in toy.graph.nodes() if isinstance(n, Call) and n.op == op]


def test_equal_calls_become_the_first():
    toy = Toy()
    x = toy.input()
    a, b = (toy.call("f", toy.call("f", x, path=p), k=1) for p in ("a", "b"))
    toy.output(toy.call("g", a, b))
    assert run(toy)
    assert len(calls(toy, "f")) == 2
    assert toy.graph[calls(toy, "f")[0]].origin.path == "a"
    assert not run(toy)


def test_weights_keep_calls_apart():
    toy = Toy()
    x = toy.input()
    toy.output(toy.call("g", toy.layer(x, "a"), toy.layer(x, "b")))
    assert not run(toy)


def test_attributes_and_training_keep_calls_apart():
    toy = Toy()
    x = toy.input()
    toy.output(toy.call("g", toy.call("f", x, k=1), toy.call("f", x, k=2), toy.call("drop", x), toy.call("drop", x)))
    assert not run(toy)
    assert len(calls(toy, "drop")) == 2


def test_forced_precisions_keep_calls_apart():
    toy = Toy()
    x = toy.input()
    a, b = toy.call("f", x), toy.call("f", x)
    toy.graph.update(b.node, replace(toy.graph[b.node], origin=Origin(forced_bits="int8")))
    toy.output(toy.call("g", a, b))
    assert not run(toy)


def test_gates_keep_their_names():
    toy = Toy()
    x = toy.input()
    a, b = toy.gate("a", x), toy.gate("b", x)
    toy.output(toy.call("g", toy.when(a, x, x), toy.when(b, x, x)))
    assert run(toy)
    assert [n.name for _, n in toy.graph.nodes() if isinstance(n, Gate)] == ["a", "b"]
    assert len(calls(toy, "decide")) == 1
