"""The guard algebra against truth tables over small gates."""

from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cogseedc.ir import FALSE, TRUE, Axis, Dtype, Gate, GateKind, Guard, Literals, NodeId, Size, TensorType
from tests.passes.toy import CLASS, UNIFORM, YES, N

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


def _all(guards):
    result = TRUE
    for guard in guards:
        result = LITERALS.and_(result, guard)
    return result


terms = st.lists(literals, min_size=1, max_size=4).map(_all)
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
