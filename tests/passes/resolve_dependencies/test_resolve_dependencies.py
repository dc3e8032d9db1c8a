"""The record of instances is proved, and what nothing uses goes."""

from dataclasses import replace

import pytest

from cogseedc.diagnostics import InternalError
from cogseedc.ir import Dtype, Knob, Origin, TensorType, Weight
from cogseedc.passes import Context, ResolveDependencies
from tests.passes.toy import OPS, Toy


def run(toy):
    return ResolveDependencies().run(toy.graph, Context(OPS))


def origins(*of):
    toy = Toy()
    x = toy.input()
    for i, origin in enumerate(of):
        x = toy.call("f", x)
        toy.graph.update(x.node, replace(toy.graph[x.node], origin=replace(origin, path=f"p{i}")))
    toy.output(x)
    return toy


def test_unused_instances_go_and_the_interface_stays():
    toy = Toy()
    x = toy.input()
    toy.graph.add(Knob("tau", TensorType(Dtype.F32), (0.5,), 0.0, 1.0))
    toy.input("unused")
    toy.layer(toy.layer(x, "dead"), "deader")
    toy.loss(toy.layer(x, "loss"))
    toy.output(toy.layer(x, "live"))
    assert run(toy)
    assert [n.path for _, n in toy.graph.nodes() if isinstance(n, Weight)] == ["loss.weight", "live.weight"]
    assert {n.name for _, n in toy.graph.nodes() if isinstance(n, Knob)} == {"tau"}
    assert not run(toy)


def test_a_consistent_record():
    outer = Origin(seeds=("A",), scope=("a",), level=2)
    inner = Origin(seeds=("A", "B"), scope=("a", "a.B"), level=1)
    assert not run(origins(outer, inner, inner, Origin(level=1), Origin(seeds=("C",), scope=("c",))))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Origin(seeds=("B",), scope=("a",)), "is of A and of B"),
        (Origin(seeds=("A", "B"), scope=("a",)), "1 instances of 2 seeds"),
        (Origin(seeds=("B", "A"), scope=("b", "a")), "lies in '' and in 'b'"),
        (Origin(seeds=("A", "B"), scope=("a", "a.B"), level=3), "level 3 is used at level 2"),
    ],
)
def test_an_inconsistent_record(wrong, message):
    with pytest.raises(InternalError, match=message):
        run(origins(Origin(seeds=("A",), scope=("a",), level=2), wrong))
