"""What gate simplification takes away, and that no output sees it."""

from hypothesis import given, settings

import cogseedc
from cogseedc.driver.structure import passed
from cogseedc.driver.timing import Timing
from cogseedc.ir import Call, Constant, Dtype, Gate, GateKind, Merge, Output, Value, Weight, verify
from cogseedc.limits import Limits
from cogseedc.passes import PIPELINES, Context, EliminateDeadSeeds, SimplifyGates, run_pipeline
from cogseedc.source import Source
from tests.passes.programs import programs, worlds
from tests.passes.toy import OPS, YES, Toy, took

CONTEXT = Context(OPS)


def simplify(toy):
    return SimplifyGates().run(toy.graph, CONTEXT)


def output(toy):
    id = next(id for id, n in toy.graph.nodes() if isinstance(n, Output))
    return toy.graph.wiring().operand(id, 0)


def meaning(graph, decisions):
    """The outputs at one index, as terms over calls; a join stands for the arm that is taken."""
    wiring = graph.wiring()
    terms = {}
    for id in wiring.order:
        node, operands = graph[id], wiring.operands(id)
        if isinstance(node, Merge) and node.mode.value == "select":
            count = len(node.arms)
            picked = [operands[i] for i, a in enumerate(node.arms) if took(decisions, operands[count + i].node, a)]
            terms[id] = terms[(picked or [operands[-1]])[0].node]
        else:
            terms[id] = (id, *(terms[v.node] for v in operands if v is not None and not isinstance(node, Gate)))
    return [terms[id] for id, n in graph.nodes() if isinstance(n, Output)]


@settings(max_examples=150, deadline=None)
@given(programs())
def test_outputs_stay_for_all_decisions(graph):
    before = graph.copy()
    changed = SimplifyGates().run(graph, CONTEXT)
    verify(graph, OPS)
    assert not SimplifyGates().run(graph, CONTEXT)
    if not changed:
        return
    for decisions in worlds(before, 60):
        assert _flat(meaning(before, decisions)) == _flat(meaning(graph, decisions))


def _flat(terms):
    """Terms without what a weighted or summed join lists besides its arms."""
    return repr(terms)


def test_equal_gates_become_one():
    toy = Toy()
    x = toy.input()
    c = toy.call("decide", x, type=YES)
    gates = [Value(toy.graph.add(Gate(n, GateKind.BOOL, 2, ("N",), YES), [c])) for n in "ab"]
    y = toy.when(gates[0], toy.layer(x, "p"), x)
    toy.output(toy.when(gates[1], y, toy.layer(x, "q")))
    assert simplify(toy)
    gate = toy.graph[gates[0].node]
    assert gate.aliases == ("b",)
    assert gates[1].node not in toy.graph


def test_an_implied_gate_goes():
    toy = Toy()
    x = toy.input()
    gate = toy.gate("g", x)
    p = toy.layer(x, "p")
    inner = toy.when(gate, p, toy.layer(x, "never"))
    toy.output(toy.when(gate, inner, x))
    assert simplify(toy)
    run_pipeline(toy.graph, [EliminateDeadSeeds()], CONTEXT, verify_each=True)
    assert inner.node not in toy.graph
    assert [n.path for _, n in toy.graph.nodes() if isinstance(n, Weight)] == ["p.weight"]


def test_a_constant_decision_is_taken():
    toy = Toy()
    x = toy.input()
    for value, kept in ((True, "p0"), (False, "q1")):
        i = int(kept[1])
        yes = toy.graph.add(Constant(YES.with_axes(()), (value,)))
        gate = toy.graph.add(
            Gate(f"g{i}", toy.graph[toy.gate(f"t{i}", x).node].kind, 2, (), YES.with_axes(())), [Value(yes)]
        )
        join = toy.when(Value(gate), toy.layer(x, f"p{i}"), toy.layer(x, f"q{i}"), axes=())
        toy.output(join, f"y{i}")
    assert simplify(toy)
    run_pipeline(toy.graph, [EliminateDeadSeeds()], CONTEXT, verify_each=True)
    assert [n.path for _, n in toy.graph.nodes() if isinstance(n, Weight)] == ["p0.weight", "q1.weight"]
    assert not any(isinstance(n, (Gate, Merge)) for _, n in toy.graph.nodes())


CHAIN = """\
export seed Net {
    in  x: f32[N, D=4]
    in  last: bool[N]
    out y: f32[N, D]
    h = for i in 0 .. 4 with h = x {
        exit sure { y = h } when confidence(h) > 0.5 and i > 0
        exit end { y = -h } when last or i == 2
        next h = linear[D](h)
    }
    y = h
}
"""


def test_a_constant_decides_an_and_and_an_or():
    """`sure` is never taken in the first turn, and `end` always in the third, so no layer is left behind it."""
    built = cogseedc.load(Source("net.seed", CHAIN)).elaborated.graph
    graph = passed(built, Limits(), PIPELINES["inference"], None, True, Timing())
    assert [gate.name for _, gate in graph.of(Gate)] == ["end.0", "sure.1", "end.1", "sure.2"]
    assert sum(call.op == "linear" for _, call in graph.of(Call)) == 2


def test_not_exchanges_the_arms():
    toy = Toy()
    x = toy.input()
    gate = toy.gate("g", x)
    no = toy.call("logical_not", gate, type=YES)
    other = Value(toy.graph.add(Gate("when", GateKind.BOOL, 2, ("N",), YES), [no]))
    y = toy.when(other, toy.layer(x, "p"), x)
    toy.output(y)
    assert simplify(toy)
    assert toy.graph[y.node].arms == (0,)
    assert toy.graph.wiring().operand(y.node, 1) == gate


def test_equal_arms_are_no_join():
    toy = Toy()
    x = toy.input()
    y = toy.when(toy.gate("g", x), x, x)
    toy.output(y)
    assert simplify(toy)
    assert output(toy) == x


def test_the_last_arm_like_the_rest_goes():
    toy = Toy()
    x = toy.input()
    a = toy.layer(x, "a")
    y = toy.merge([(toy.gate("g", x), 1, a), (toy.gate("h", x), 1, x)], x)
    toy.output(y)
    assert simplify(toy)
    assert toy.graph[y.node].arms == (1,)
    assert x.node in toy.graph
    assert toy.graph.type(x).dtype is Dtype.F32
