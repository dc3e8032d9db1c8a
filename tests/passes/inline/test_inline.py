"""Returns without exits are cleared; those with exits wait for their join."""

from cogseedc.ir import Return
from cogseedc.passes import Context, Inline
from tests.passes.toy import OPS, Toy


def test_only_returns_without_exits_go():
    toy = Toy()
    x = toy.input()
    a = toy.layer(x, "a.own")
    inner = toy.returned(a, scope="a")
    b = toy.layer(inner, "b")
    toy.exit("e", x, b)
    toy.output(toy.returned(b))
    assert Inline().run(toy.graph, Context(OPS))
    assert [n.scope for _, n in toy.graph.nodes() if isinstance(n, Return)] == [""]
    assert toy.graph.wiring().operand(b.node, 0) == a
    assert not Inline().run(toy.graph, Context(OPS))
