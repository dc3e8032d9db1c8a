"""What gate simplification takes away, and that no output sees it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

import cogseedc
from cogseedc.driver.structure import passed
from cogseedc.driver.timing import Timing
from cogseedc.ir import (
    Call,
    Constant,
    Dtype,
    Estimator,
    Gate,
    GateKind,
    Merge,
    MergeMode,
    Output,
    TensorType,
    Value,
    Weight,
    verify,
)
from cogseedc.limits import Limits
from cogseedc.passes import PIPELINES, Context, EliminateDeadSeeds, SimplifyGates, run_pipeline
from cogseedc.source import Source
from tests.passes.joins import Joins, told
from tests.passes.programs import programs, worlds
from tests.passes.toy import OPS, ROW, YES, N, Toy, took

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


def simplified(joins, value):
    """What is left of a value that is given out."""
    out = joins.toy.output(value)
    before = told(joins.toy.graph, value)
    changed = SimplifyGates().run(joins.toy.graph, CONTEXT)
    verify(joins.toy.graph, OPS)
    after = told(joins.toy.graph, joins.toy.graph.wiring().operand(out, 0))
    assert changed is (before != after)
    return after


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a if p, b if q, c if r else d", None),
        ("a if p, b if no, c if q else d", "a if p, c if q else d"),
        ("a if no, b if no0, c if q else d", "b"),
        ("a if p, b if yes, c if q else d", "a if p else b"),
        ("a if p, b if q, c if yes else d", "a if p, b if q else c"),
        ("a if p, b if no, c if yes", "a if p else c"),
        ("a if p, b if yes, c if yes", "a if p else b"),
        ("a if yes, b if p, c if q", "a"),
        ("a if no else d", "d"),
        ("a if no, b if no, c if no else d", "d"),
        ("a if o0, b if o1, c if o2", None),
        ("a if o0, b if o1, c if o2 else d", "a if o0, b if o1 else c"),
        ("a if o0, b if o0, c if o1 else d", "a if o0, c if o1 else d"),
        ("a if p, b if p, c if q else d", "a if p, c if q else d"),
        ("a if p, b if p0, c if q else d", "a if p else b"),
        ("a if p, b if p0, c if q", "a if p else b"),
        ("a if u, b if p, c if u0", None),
        ("a if p, b if q, b if r else b", "a if p else b"),
        ("a if p, a if q, a if r else a", "a"),
        ("one if p else one", None),
        ("one if p, one if q, one if r else one", "one if p else one"),
        ("a if p, b if q, b if p", "a if p else b"),
        ("a if p, b if q, c if q0 else d", "a if p, b if q else c"),
    ],
)
def test_arms_that_are_never_or_always_taken(text, wanted):
    joins = Joins()
    assert simplified(joins, joins.join(text)) == (wanted or text)


@pytest.mark.parametrize(
    ("inner", "outer", "wanted"),
    [
        ("a if p else b", "i if p else c", "a if p else c"),
        ("a if p else b", "c if p else i", "c if p else b"),
        ("a if q, b if p else c", "i if p else d", "(a if q else b) if p else d"),
        ("a if o0, b if o1 else c", "d if o1 else i", "d if o1 else (a if o0 else c)"),
        ("a if u else b", "i if u else c", "a if u else c"),
        ("a if q else b", "i if p else c", None),
    ],
)
def test_what_an_outer_join_says(inner, outer, wanted):
    joins = Joins()
    joins.values["i"] = joins.join(inner)
    made = joins.join(outer)
    assert simplified(joins, made) == (
        wanted or outer.replace("i if", f"({inner}) if").replace("else i", f"else ({inner})")
    )


@pytest.mark.parametrize(
    ("text", "mode"), [("a if e0, b if no, c if e0 else d", MergeMode.SUM), ("a if e0, a if e1 else a", MergeMode.MAX)]
)
def test_only_what_chooses_one_arm_is_pruned(text, mode):
    joins = Joins()
    assert simplified(joins, joins.join(text, mode)) == text


@pytest.mark.parametrize(
    ("op", "operands", "wanted"),
    [
        ("logical_and", "p no", "b"),
        ("logical_and", "no p", "b"),
        ("logical_and", "p yes", None),
        ("logical_or", "p yes", "a"),
        ("logical_or", "no p", None),
        ("decide", "no", None),
    ],
)
def test_what_a_constant_decides(op, operands, wanted):
    joins, given = Joins(), []
    for name in operands.split():
        gate = joins.values[name]
        given.append(joins.toy.graph.feeds(gate.node)[0] if name in ("yes", "no") else gate)
    joins.gate("g", joins.toy.call(op, *given, type=YES))
    assert simplified(joins, joins.join("a if g else b")) == (wanted or "a if g else b")


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ((2, 2, 2, 2), "c"),
        ((1, 1, 1, 1), "b"),
        ((0, 2, 0, 2), "a if g0 else c"),
        ((0, 1, 0, 1), None),
    ],
)
def test_decisions_that_are_constants(values, wanted):
    """Along the features: `a if g0, b if g1 else c`."""
    joins = Joins()
    decided = joins.toy.constant(*values, dtype=Dtype.I64, shape=(4,))
    gate = Gate("g", GateKind.ONE, 3, ("C",), joins.toy.graph.type(decided))
    joins.values["g"] = Value(joins.toy.graph.add(gate, [decided]))
    made = joins.join("a if g0, b if g1 else c")
    joins.toy.graph.update(made.node, replace(joins.toy.graph[made.node], axes=((1,), (1,))))
    assert simplified(joins, made) == (wanted or "a if g0, b if g1 else c")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a if p, b if n, c if q else d", "a if p, b if g0, c if q else d"),
        ("a if p, b if q, c if n else d", "a if p, b if q, c if g0 else d"),
        ("a if n, b if n0, c if q else d", "a if g0 else b"),
        ("a if left else b", None),
        ("a if learned else b", None),
        ("a if wide else b", None),
        ("a if class else b", None),
        ("a if same else b", None),
    ],
)
def test_gates_that_say_not(text, wanted):
    joins = Joins()
    toy, g = joins.toy, joins.toy.gate("g", joins.values["x"])
    joins.values["g"] = g
    no = toy.call("logical_not", g, type=YES)
    for name, more in (("n", {}), ("left", {"exit": "left"}), ("learned", {"estimator": Estimator("soft")})):
        joins.values[name] = Value(toy.graph.add(Gate(name, GateKind.BOOL, 2, ("N",), YES, **more), [no]))
    joins.gate("wide", toy.call("logical_not", joins.values["u"], type=YES))
    joins.gate("class", toy.call("logical_not", joins.values["o"], type=YES))
    joins.gate("same", toy.call("f", g, type=YES))
    assert simplified(joins, joins.join(text)) == (wanted or text)


def test_a_gate_along_other_axes_says_nothing_of_rows():
    """Neither that arms cover each other, nor what an outer join has said of the rows."""
    joins = Joins()
    joins.values["t"] = joins.toy.gate("t", joins.values["x"], type=TensorType(Dtype.BOOL, ROW.axes[1:]))
    made = joins.join("a if t, b if t0")
    joins.toy.graph.update(made.node, replace(joins.toy.graph[made.node], axes=((1,), (1,))))
    assert simplified(joins, made) == "a if t, b if t0"

    toy, square = Toy(), TensorType(Dtype.F32, (N, N))
    x = toy.input(type=square)
    a, b, c = (toy.call("f", x, type=square, path=name) for name in "abc")
    gate = toy.gate("p", x)
    inner = toy.when(gate, a, b, type=square, axes=(1,))
    output = toy.output(toy.when(gate, inner, c, type=square), type=square)
    assert not simplify(toy)
    assert told(toy.graph, toy.graph.wiring().operand(output, 0)) == "(a if p else b) if p else c"


def test_equal_gates_take_all_names_but_not_those_of_exits():
    joins = Joins()
    decided = joins.toy.call("decide", joins.values["x"], type=YES)
    for name in ("g", "h", "i"):
        joins.gate(name, decided)
    joins.values["out"] = Value(joins.toy.graph.add(Gate("out", GateKind.BOOL, 2, ("N",), YES, exit="out"), [decided]))
    joins.toy.graph.update(joins.values["h"].node, replace(joins.toy.graph[joins.values["h"].node], aliases=("hh",)))
    assert simplified(joins, joins.join("a if g, b if h, c if i, d if out else x")) == "a if g, d if out else x"
    gates = [gate for _, gate in joins.toy.graph.of(Gate) if gate.name in ("g", "h", "i", "out")]
    assert [(gate.name, gate.aliases) for gate in gates] == [("g", ("h", "hh", "i")), ("out", ())]


def test_users_of_a_gate_that_are_no_joins_keep_it():
    joins = Joins()
    n = joins.gate("n", joins.toy.call("logical_not", joins.values["p"], type=YES))
    number = joins.toy.call("g", n, joins.values["a"])
    joins.toy.output(number, "z")
    assert simplified(joins, joins.join("a if n else b")) == "a if p0 else b"
    assert joins.toy.graph.wiring().operand(number.node, 0) == n
