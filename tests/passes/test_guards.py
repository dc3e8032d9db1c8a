"""The guard algebra against truth tables over small gates."""

from dataclasses import FrozenInstanceError
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cogseedc.ir import (
    FALSE,
    TRUE,
    Axis,
    Dtype,
    Gate,
    GateKind,
    Guard,
    Literals,
    NodeId,
    Size,
    TensorType,
    decider,
    guardable,
    placeable,
)
from tests.passes.toy import CLASS, ROW, UNIFORM, YES, N, Toy

MASK = TensorType(Dtype.BOOL, (N, Axis("E", Size.of(2))))
GATES = {
    NodeId(3): Gate("a", GateKind.BOOL, 2, ("N",), YES),
    NodeId(5): Gate("b", GateKind.ONE, 3, ("N",), CLASS),
    NodeId(6): Gate("c", GateKind.MANY, 2, ("N",), MASK),
    NodeId(9): Gate("d", GateKind.BOOL, 2, (), UNIFORM),
}
LITERALS = Literals.over(GATES.items())


def _worlds():
    """All decisions, as masks of the bits that each excludes."""
    groups = sorted({(g & -g, g) for g in LITERALS.groups})
    for bits in product(*[[1 << i for i in range(g.bit_length()) if g >> i & 1] for _, g in groups]):
        decided = sum(bits)
        yield sum(g for _, g in groups) & ~decided


WORLDS = list(_worlds())
assert len(WORLDS) == 2 * 3 * 2 * 2 * 2


def holds(guard, world):
    return any(not term & ~world for term in guard.terms)


def table(guard):
    return frozenset(w for w in WORLDS if holds(guard, w))


literals = st.sampled_from(
    [f(g, arm) for g, gate in GATES.items() for arm in range(gate.arms) for f in (LITERALS.taken, LITERALS.not_taken)]
)


def _every(literals, guards):
    result = TRUE
    for guard in guards:
        result = literals.and_(result, guard)
    return result


terms = st.lists(literals, min_size=1, max_size=4).map(lambda guards: _every(LITERALS, guards))
unions = st.lists(terms, max_size=5).map(LITERALS.union)
anything = st.one_of(terms, unions, st.just(TRUE), st.just(FALSE))


@settings(max_examples=400, deadline=None)
@given(anything, anything)
def test_union_and_conjunction_contain_their_meaning(a, b):
    either, both = LITERALS.or_(a, b), LITERALS.and_(a, b)
    assert table(either) >= table(a) | table(b)
    assert table(both) >= table(a) & table(b)
    assert len(either.terms) <= 4
    assert len(both.terms) <= 4
    assert LITERALS.implies(a, either)
    assert LITERALS.implies(b, either)
    if len(a.terms) + len(b.terms) <= 4:
        assert table(either) == table(a) | table(b)
    if len(a.terms) * len(b.terms) <= 4:
        assert table(both) == table(a) & table(b)
    assert both.never == (not table(both))
    assert either == LITERALS.or_(b, a)


@settings(max_examples=400, deadline=None)
@given(anything, anything)
def test_implication_and_exclusion_are_exact_on_small_guards(a, b):
    assert LITERALS.implies(a, b) == (table(a) <= table(b))
    assert LITERALS.exclusive(a, b) == (not table(a) & table(b))


@settings(max_examples=200, deadline=None)
@given(anything, st.sampled_from(sorted(GATES)))
def test_dropping_a_gate_weakens(a, gate):
    dropped = LITERALS.drop(a, LITERALS.mask(gate))
    assert table(dropped) >= table(a)
    assert all(not term & LITERALS.mask(gate) for term in dropped.terms)


@settings(max_examples=200, deadline=None)
@given(anything)
def test_control_edges_say_the_guard(a):
    always = dict.fromkeys(GATES, TRUE)
    found: dict[int, Guard] = {}
    for edge in LITERALS.edges({**always, NodeId(20): a}):
        found[edge.term] = LITERALS.and_(found.get(edge.term, TRUE), LITERALS.literal(edge))
    if not a.always and not a.never:
        assert table(LITERALS.union(found.values())) == table(a)


@pytest.mark.parametrize("gate", sorted(GATES))
def test_arms_cover_everything(gate):
    arms = range(GATES[gate].arms)
    for arm in arms:
        taken, left = LITERALS.taken(gate, arm), LITERALS.not_taken(gate, arm)
        assert LITERALS.or_(taken, left).always
        assert LITERALS.and_(taken, left).never
    if GATES[gate].kind is not GateKind.MANY:
        assert LITERALS.union(LITERALS.taken(gate, arm) for arm in arms).always
        for a, b in combinations(arms, 2):
            assert LITERALS.exclusive(LITERALS.taken(gate, a), LITERALS.taken(gate, b))


def test_complements_join():
    a, b = LITERALS.taken(NodeId(3), 1), LITERALS.taken(NodeId(5), 2)
    both = LITERALS.and_(a, b)
    other = LITERALS.and_(LITERALS.not_taken(NodeId(3), 1), b)
    assert LITERALS.or_(both, other) == b


LAID_OUT = {
    NodeId(0): Gate("a", GateKind.BOOL, 2, (), UNIFORM),
    NodeId(3): Gate("b", GateKind.ONE, 3, ("N",), CLASS),
    NodeId(4): Gate("c", GateKind.MANY, 3, ("N",), MASK),
    NodeId(5): Gate("d", GateKind.BOOL, 2, ("N",), YES),
    NodeId(7): Gate("t", GateKind.BOOL, 2, ("N", "T"), YES.with_axes((N, Axis("T", Size.of(4)))), exit="e"),
    NodeId(8): Gate("m", GateKind.MANY, 3, ("N", "T"), MASK.with_axes((N, Axis("T", Size.of(4)), MASK.axes[1]))),
    NodeId(9): Gate("e", GateKind.ONE, 1, ("N",), CLASS),
}


def bits(first, count):
    return sum(1 << i for i in range(first, first + count))


def test_the_bits_of_gates():
    """Two for each arm of several, the projection of a gate before its own; what is over nothing is not of the batch."""
    found = Literals.over(LAID_OUT.items(), project=True)
    places = {0: (0, 2), 3: (2, 3), 4: (5, 6), 5: (11, 2), ~7: (13, 4), 7: (17, 2), ~8: (19, 6), 8: (25, 6), 9: (31, 1)}
    assert found.first == {id: first for id, (first, _) in places.items()}
    assert {id: found.mask(id) for id in places} == {id: bits(*place) for id, place in places.items()}
    assert found.owners == tuple(id for id, (_, count) in places.items() for _ in range(count))
    wide = {0: 2, 3: 3, 5: 2, 7: 2, 9: 1}
    groups = [
        (at, wide.get(id, 2))
        for id, (first, count) in places.items()
        for at in range(first, first + count, wide.get(id, 2))
    ]
    assert found.groups == tuple(bits(*group) for group in groups for _ in range(group[1]))
    assert found.pairs == sum(1 << first for first, width in groups if width == 2)
    assert found.batch == bits(2, 30)
    assert found.placed == bits(17, 2) | bits(25, 6)
    assert found.projections == {7: ~7, 8: ~8}
    assert found.projected == bits(13, 4) | bits(19, 6)
    assert [found.own(id) for id in (0, 7)] == [bits(0, 2), bits(13, 6)]
    assert found.mask(NodeId(77)) == found.own(NodeId(77)) == 0
    projection = found.gates[NodeId(~7)]
    assert (projection.kind, projection.arms, projection.over, projection.exit) == (GateKind.MANY, 2, ("N",), None)
    assert str(projection.type) == "bool[N, arm=2]"
    assert [decider(NodeId(id)) for id in (0, 5, ~0, ~5)] == [0, 5, 0, 5]
    with pytest.raises(FrozenInstanceError):
        found.batch = 0
    alone = Literals.over(LAID_OUT.items())
    assert (alone.projections, alone.projected, len(alone.owners)) == ({}, 0, 22)


def test_gates_that_guard_and_gates_that_choose_positions():
    T, E = Axis("T", Size.of(4)), MASK.axes[1]
    axes = [(), (N,), (T,), (N, T), (T, N), (T, T)]
    plain = [Gate("g", GateKind.BOOL, 2, (), YES.with_axes(a)) for a in axes]
    many = [Gate("g", GateKind.MANY, 2, (), YES.with_axes((*a, E))) for a in axes]
    for gates in (plain, many):
        assert [guardable(gate) for gate in gates] == [True, True, False, False, False, False]
        assert [placeable(gate) for gate in gates] == [False, False, False, True, False, False]
    toy = Toy()
    x = toy.input(type=ROW.with_axes((N, T)))
    a, b, _ = toy.gate("a", x), toy.gate("b", x), toy.gate("t", x, type=YES.with_axes((N, T)))
    assert list(Literals.of(toy.graph).gates) == [a.node, b.node]
    assert list(Literals.of(toy.graph, frozenset([a.node])).gates) == [b.node]


def test_what_changes_nothing_comes_back_as_it_is():
    """Programs have thousands of equal guards, which are told apart by identity first."""
    a, b = LITERALS.taken(NodeId(3), 1), LITERALS.taken(NodeId(5), 2)
    same = Guard(a.terms)
    for found, wanted in (
        (LITERALS.and_(TRUE, a), a), (LITERALS.and_(a, TRUE), a), (LITERALS.and_(FALSE, a), FALSE), (LITERALS.and_(a, FALSE), FALSE),
        (LITERALS.or_(TRUE, a), TRUE), (LITERALS.or_(a, TRUE), TRUE), (LITERALS.or_(FALSE, a), a), (LITERALS.or_(a, FALSE), a),
        (LITERALS.or_(a, same), a), (LITERALS.drop(a, LITERALS.mask(NodeId(5))), a), (LITERALS.alike(a), a),
    ):  # fmt: skip
        assert found is wanted
    literals = Literals.over(LAID_OUT.items(), project=True)
    t, some = literals.taken(NodeId(7), 1), literals.taken(NodeId(~7), 1)
    row = literals.and_(literals.taken(NodeId(0), 1), some)
    assert literals.project(row, literals.placed) is row
    assert literals.project(t, literals.mask(NodeId(8))) is t
    assert literals.alike(t) is t
    uniform = literals.taken(NodeId(0), 1)
    assert literals.nested(uniform, literals.projected) is uniform
    assert Literals.over(LAID_OUT.items()).nested(t, 0) is t
    assert literals.or_(a, b) is not a


def test_what_cannot_be():
    for gate in GATES:
        mask = LITERALS.mask(gate)
        group = LITERALS.groups[LITERALS.first[gate]]
        for bit in range(mask.bit_length()):
            if group >> bit & 1:
                assert LITERALS.contradictory(group)
                assert not LITERALS.contradictory(group & ~(1 << bit))
                assert LITERALS.contradictory(group & ~(1 << bit), 1 << bit)
                assert LITERALS.contradictory(1 << bit, group & ~(1 << bit))
    assert not LITERALS.contradictory(0)


MANY_GATES = {NodeId(i): Gate(f"g{i}", GateKind.BOOL, 2, ("N",), YES) for i in range(40)}


def test_a_union_of_more_than_four_is_what_covers_them():
    literals = Literals.over(MANY_GATES.items())
    p, *others = (literals.taken(id, 1) for id in MANY_GATES)
    parts = [literals.and_(p, other) for other in others]
    four = literals.union(parts[:4])
    assert four == Guard(tuple(sorted(part.terms[0] for part in parts[:4])))
    assert literals.union(parts[:5]) == p
    less = _every(literals, [parts[0], *others[9:12]])
    assert literals.or_(four, less) == literals.or_(less, four) == four, "a term that another covers is none"


def test_what_lies_in_the_last_term_is_found_at_once():
    """Cutting away the others first would take a thousand steps, and the patience is 256."""
    literals = Literals.over(MANY_GATES.items())
    taken = [literals.taken(id, 1) for id in MANY_GATES]
    union = literals.union([*(_every(literals, taken[i : i + 10]) for i in (0, 10, 20)), taken[39]])
    assert len(union.terms) == 4
    assert literals.implies(literals.and_(taken[39], taken[38]), union)
    assert not literals.implies(taken[38], union)


def test_an_unknown_gate_counts_as_true():
    assert LITERALS.taken(NodeId(77), 0).always
    assert LITERALS.not_taken(NodeId(77), 0).always


PLACES = TensorType(Dtype.BOOL, (N, Axis("T", Size.of(4))))
PLACED = {
    NodeId(2): Gate("a", GateKind.BOOL, 2, ("N",), YES),
    NodeId(4): Gate("t", GateKind.BOOL, 2, ("N", "T"), PLACES),
}


def test_what_is_said_of_positions_is_said_of_rows_that_have_one() -> None:
    literals = Literals.over(PLACED.items(), project=True)
    taken, left, row = (literals.taken(NodeId(id), arm) for id, arm in ((4, 1), (4, 0), (2, 1)))
    some, other = (literals.project(guard, literals.placed) for guard in (taken, left))
    assert not literals.places(some)
    assert literals.places(taken)
    assert literals.owners_of(some.terms[0]) == (literals.projections[NodeId(4)],)
    assert literals.implies(taken, some)
    assert not literals.implies(some, taken)
    assert not literals.exclusive(some, other), "a row has positions of both kinds"
    assert literals.or_(some, other) == TRUE, "any position is of one kind"
    assert literals.or_(literals.and_(some, row), literals.and_(other, row)) == row
    assert literals.or_(taken, some) == some
    assert literals.rows(literals.and_(taken, row)) == literals.rows(literals.and_(some, row)) == row
    assert literals.alike(some) == taken
    both = literals.and_(taken, some)
    assert literals.nested(taken, literals.projected) == literals.nested(both, literals.projected) == both
    assert literals.nested(taken, 0) == taken


def test_without_projections_positions_are_forgotten() -> None:
    literals = Literals.over(PLACED.items())
    assert literals.project(literals.taken(NodeId(4), 1), literals.placed) == TRUE
