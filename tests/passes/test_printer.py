"""IR text: each form, determinism, and that the grammar takes it."""

from cogseedc.diagnostics import Diagnostics
from cogseedc.frontend.parser import parse
from cogseedc.ir import Axis, Dtype, Gate, GateKind, Knob, MergeMode, Size, TensorType, Value, print_graph
from cogseedc.limits import Limits
from cogseedc.passes import Context, EliminateDeadSeeds
from cogseedc.source import Source
from tests.passes.test_demand import early_exit
from tests.passes.toy import CLASS, OPS, Toy


def parses(text):
    diagnostics = Diagnostics()
    file = parse(Source("<ir>", text), diagnostics, Limits(nesting=300))
    assert not list(diagnostics), list(diagnostics)
    return file is not None


def test_early_exit():
    toy, *_ = early_exit()
    EliminateDeadSeeds().run(toy.graph, Context(OPS))
    text = print_graph(toy.graph, "Early", OPS)
    assert (
        text
        == """\
export seed Early {
    category ir
    in  x: f32[N, C=4]
    out y: f32[N, C=4]
    @path("l0.weight") param p1: f32[4] = kaiming(4)
    @path("head0.weight") param p2: f32[4] = kaiming(4)
    @path("l1.weight") param p3: f32[4] = kaiming(4)
    @path("head1.weight") param p4: f32[4] = kaiming(4)
    @path("end.weight") param p5: f32[4] = kaiming(4)
    @path("l0")
    v1 = layer[macs=100](x, weight=p1)
    v2 = decide(v1)
    @name("e0") @leaves("e0")
    gate g1 over N = v2
    @path("head0") @under(g1)
    v3 = layer[macs=10](v1, weight=p2)
    @path("l1") @under(not g1)
    v4 = layer[macs=100](v1, weight=p3)
    @under(not g1)
    v5 = decide(v4)
    @name("e1") @leaves("e1") @under(not g1)
    gate g2 over N = v5
    @path("head1") @under(g2)
    v6 = layer[macs=10](v4, weight=p4)
    @path("end") @under(not g2)
    v7 = layer[macs=100](v4, weight=p5)
    v8 = when g1 { v3 } else { when g2 { v6 } else { v7 } }
    y = v8
}
"""
    )
    assert text == print_graph(toy.graph.copy(), "Early", OPS)
    assert parses(text)


def everything():
    toy = Toy()
    x = toy.input()
    g = toy.graph
    seq = TensorType(Dtype.I64, (Axis(None, Size.symbol("T")), Axis("S", Size.symbol("T") * 2 - 1)))
    toy.input("v1", seq)
    tau = Value(g.add(Knob("tau", TensorType(Dtype.F32), (0.5,), 0.0, 1.0)))
    g.add(Knob("a.taus", TensorType(Dtype.F32, (Axis("L", Size.of(2)),)), (0.5, 0.25), 0.0, 1.0))
    c = toy.constant(1, -2, dtype=Dtype.I64, shape=(2,))
    toy.constant(float("inf"))
    one = toy.one("arm", x, 3)
    many = toy.many("pick", x, 3, 2)
    free = toy.gate("all", x, type=TensorType(Dtype.BOOL))
    a = toy.call("f", x, sizes=(Size.symbol("T"), 2), mode="same", keep=True, none=None, empty=(), pair=("E", 5))
    route = toy.merge([(one, 0, a), (one, 1, x)], a)
    summed = toy.merge([(many, e, a) for e in range(3)], mode=MergeMode.SUM)
    odd = toy.merge([(many, 0, a), (one, 2, x)], x)
    both = toy.when(free, toy.call("g", route, summed, odd, tau, c), x, axes=())
    toy.output(both)
    toy.loss(summed)
    return toy


def test_every_form():
    toy = everything()
    toy.exit("a.exits.early", toy.input("z"), toy.input("w"), scope="a")
    toy.output(Value(toy.returned(Value(0), scope="a").node), "u")
    text = print_graph(toy.graph, "All", OPS)
    for line in (
        "in  v1: i64[0 + T, S=2 * T - 1]",
        "knob tau: f32[] = 0.5 in 0.0 .. 1.0",
        '@name("a.taus") @range(0.0, 1.0) param k1: f32[L=2] = (0.5, 0.25)',
        "c1 = constant[dtype=i64, shape=(2,), values=(1, -2)]()",
        'c2 = constant[dtype=f32, shape=(_,), values=("inf",)]()',
        '@name("arm") @arms(3)',
        "gate g3 over Once = v5",
        'v6 = f[empty=(_,), keep=true, mode="same", pair=("E", 5), sizes=(T, 2)](x)',
        "v7 = route g1 { 0 => v6  1 => x  else => v6 }",
        "v8 = route g2 merge sum { 0 => v6  1 => v6  2 => v6 }",
        'v9 = merged[mode="select", arms=(0, 2), otherwise=true](v6, x, g2, g1, x)',
        "loss l = v8",
        '@scope("a") @order(0) @name("a.exits.early") @over(N)',
        "exit e1 { y = w } when",
        'returned[scope="a", names=("y",)](x)',
    ):
        assert line in text, text
    assert parses(text)


def test_guards_of_every_kind():
    toy = everything()
    EliminateDeadSeeds().run(toy.graph, Context(OPS))
    gates = {n.kind for _, n in toy.graph.nodes() if isinstance(n, Gate)}
    assert gates == set(GateKind)
    text = print_graph(toy.graph)
    assert "@under(g1)" in text
    assert parses(text)
    assert CLASS.dtype is Dtype.I64


def test_a_long_chain_is_flat():
    toy, *_ = early_exit(200)
    text = print_graph(toy.graph)
    assert 'merged[mode="select"' in text
    assert "when" not in text
    assert parses(text)
