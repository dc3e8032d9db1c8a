"""Single-value cuts and the placing of exits against exhaustive search."""

from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from cogseedc.analysis import Trunk, balanced, cuts, place
from tests.passes.toy import OPS, Toy


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
