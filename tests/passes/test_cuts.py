"""Single-value cuts and the placing of exits against exhaustive search."""

from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from cogseedc.analysis import Trunk, balanced, cuts, place
from cogseedc.ir import Attrs, Call, Origin, Value
from tests.passes.toy import OPS, ROW, Toy


@st.composite
def networks(draw):
    """A random acyclic network of layers; later ones read one or two earlier ones, mostly the last."""
    toy = Toy()
    x = toy.input()
    values = [x]
    for i in range(draw(st.integers(1, 9))):
        near = values[-draw(st.sampled_from([1, 1, 1, 2, 3])) :][0]
        y = toy.layer(near, f"l{i}", macs=draw(st.integers(0, 5)))
        values.append(toy.call("g", y, draw(st.sampled_from(values))) if draw(st.booleans()) else y)
    toy.output(values[-1])
    return toy.graph, Trunk((x,), (values[-1],))


def paths(graph, trunk):
    """All paths from source to sink, as tuples of values."""
    outs, (source,), (sink,) = graph.wiring().outs, trunk.sources, trunk.sinks
    found, todo = [], [(source,)]
    while todo:
        path = todo.pop()
        if path[-1] == sink:
            found.append(path)
            continue
        for edge in outs[path[-1].node]:
            todo.append((*path, type(sink)(edge.dst)))
    return [p for p in found if p[-1] == sink]


@settings(max_examples=150, deadline=None)
@given(networks())
def test_cuts_are_what_every_path_goes_through(network):
    graph, trunk = network
    if trunk.sources == trunk.sinks:
        return
    every = [set(p) for p in paths(graph, trunk)]
    shared = set.intersection(*every) - {*trunk.sources, *trunk.sinks}
    found, _ = cuts(graph, OPS, trunk)
    assert {cut.value for cut in found} == shared
    assert [c.macs for c in found] == sorted(c.macs for c in found)


def _largest(before, total, chosen):
    ends = [0, *(before[i] for i in chosen), total]
    return max(b - a for a, b in pairwise(ends))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=9), st.integers(0, 20), st.integers(1, 5))
def test_balance_is_optimal(steps, tail, count):
    before = [sum(steps[: i + 1]) for i in range(len(steps))]
    total = before[-1] + tail
    if count > len(before):
        return
    chosen = balanced(before, total, count)
    assert len(set(chosen)) == count
    assert list(chosen) == sorted(chosen)
    best = min(_largest(before, total, c) for c in combinations(range(len(before)), count))
    assert _largest(before, total, chosen) == best


@settings(max_examples=150, deadline=None)
@given(networks(), st.integers(1, 3))
def test_places_are_optimal(network, count):
    graph, trunk = network
    found, total = cuts(graph, OPS, trunk)
    chosen = place(graph, OPS, trunk, count)
    if len(found) < count:
        assert chosen is None
        return
    macs = {cut.value: cut.macs for cut in found}
    best = min(_largest(c, total, range(count)) for c in combinations([x.macs for x in found], count))
    assert _largest([macs[v] for v in chosen], total, range(count)) == best


def test_the_last_of_equal_places_is_taken():
    toy = Toy()
    x = toy.input()
    a = toy.layer(x, "a")
    act = toy.call("f", a)
    b = toy.layer(act, "b")
    toy.output(b)
    assert place(toy.graph, OPS, Trunk((x,), (b,)), 1) == (act,)


def test_a_long_chain_is_fast():
    toy = Toy()
    x = source = toy.input()
    for i in range(3000):
        x = toy.layer(x, f"l{i}")
    toy.output(x)
    chosen = place(toy.graph, OPS, Trunk((source,), (x,)), 3)
    assert [c.node for c in chosen] == [1500, 3000, 4500]


def told(graph, trunk):
    """Paths of the cuts with the work up to each, and all of it."""
    found, total = cuts(graph, OPS, trunk)
    return [(graph[cut.value.node].origin.path, cut.macs) for cut in found], total


def test_work_is_that_of_the_trunk():
    """What comes from elsewhere, lies behind or leads elsewhere is none of it."""
    toy = Toy()
    x, other = toy.input(), toy.input("other")
    a = toy.layer(x, "a", macs=1)
    b = toy.layer(a, "b", macs=2)
    c = toy.call("g", b, toy.layer(other, "other", macs=100), path="c")
    d = toy.layer(c, "d", macs=4)
    e = toy.layer(d, "e", macs=8)
    toy.output(toy.layer(e, "f", macs=100))
    toy.output(toy.layer(c, "aside", macs=100), "z")
    assert told(toy.graph, Trunk((x,), (e,))) == ([("a", 1), ("b", 3), ("c", 3), ("d", 7)], 15)
    assert told(toy.graph, Trunk((a,), (d,))) == ([("b", 2), ("c", 2)], 6)
    assert told(toy.graph, Trunk((x, a), (d,))) == ([("b", 2), ("c", 2)], 6)
    assert told(toy.graph, Trunk((x, other), (e,))) == ([("c", 103), ("d", 107)], 115)
    assert told(toy.graph, Trunk((c,), (e, d))) == ([], 12)


def test_outputs_of_one_node_are_values_of_their_own():
    toy = Toy()
    x = toy.input()
    two = Value(toy.graph.add(Call("f", Attrs(), (ROW, ROW), Origin("two")), [x]))
    second = Value(two.node, 1)
    a = toy.layer(two, "a", macs=1)
    toy.output(a)
    toy.output(toy.layer(second, "b", macs=4), "z")
    assert told(toy.graph, Trunk((x,), (a,))) == ([("two", 0)], 1)
    both = toy.call("g", toy.layer(a, "c", macs=2), second, path="both")
    assert told(toy.graph, Trunk((x,), (toy.layer(both, "d"),))) == ([("both", 3)], 103)
    assert told(toy.graph, Trunk((second,), (both,))) == ([], 0)


def test_places_that_are_not_legal_are_left_out():
    toy = Toy()
    x = source = toy.input()
    values = [x := toy.layer(x, f"l{i}") for i in range(4)]
    trunk = Trunk((source,), (values[-1],))
    assert place(toy.graph, OPS, trunk, 1) == (values[1],)
    assert place(toy.graph, OPS, trunk, 1, lambda value: value != values[1]) == (values[0],)
    assert place(toy.graph, OPS, trunk, 2, lambda value: value != values[1]) == (values[0], values[2])
    assert place(toy.graph, OPS, trunk, 3, lambda value: value != values[1]) is None
    assert place(toy.graph, OPS, trunk, 0) == ()
