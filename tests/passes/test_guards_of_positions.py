"""Guards that speak of positions, and of rows that have such positions, against truth tables of rows with two positions."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from cogseedc.ir import FALSE, TRUE, Axis, Dtype, Gate, GateKind, Guard, Literals, NodeId, Size, TensorType
from tests.passes.toy import YES, N

PLACES = TensorType(Dtype.BOOL, (N, Axis("T", Size.of(2))))
A, P, Q, R = NodeId(2), NodeId(4), NodeId(6), NodeId(8)
GATES = {
    A: Gate("a", GateKind.BOOL, 2, ("N",), YES),
    P: Gate("p", GateKind.BOOL, 2, ("N", "T"), PLACES),
    Q: Gate("q", GateKind.ONE, 3, ("N", "T"), PLACES.with_dtype(Dtype.I64)),
    R: Gate("r", GateKind.MANY, 2, ("N", "T"), PLACES.with_axes((*PLACES.axes, Axis("E", Size.of(2))))),
}
LITERALS = Literals.over(GATES.items(), project=True)
SOME = {gate: LITERALS.projections[gate] for gate in (P, Q, R)}


def excluded(gate: NodeId, decided: set[int]) -> int:
    """The bits of what the decisions exclude: one of an arm; of several, and of a projection, one of two for each arm."""
    first, arms = LITERALS.first[gate], range(GATES[gate if gate >= 0 else NodeId(~gate)].arms)
    if LITERALS.gates[gate].kind is not GateKind.MANY:
        return sum(1 << (first + arm) for arm in arms if arm not in decided)
    return sum((2 if arm in decided else 1) << (first + 2 * arm) for arm in arms)


SETS = [frozenset(found) for found in ((), (0,), (1,), (0, 1))]
EVERY = product(range(2), product(range(2), repeat=2), product(range(3), repeat=2), product(SETS, repeat=2))
ROWS = list(EVERY)[::5]
"""Some of them: all pairs of decisions are among them."""
POINTS = {
    (row, at): excluded(A, {row[0]})
    | excluded(P, {row[1][at]})
    | excluded(Q, {row[2][at]})
    | excluded(SOME[P], {*row[1]})
    | excluded(R, {*row[3][at]})
    | excluded(SOME[Q], {*row[2]})
    | excluded(SOME[R], {*row[3][0], *row[3][1]})
    for row in ROWS
    for at in range(2)
}
ALIKE = {(row, at) for row, at in POINTS if len({*row[1]}) == len({*row[2]}) == len({*row[3]}) == 1}


def table(guard: Guard) -> set[object]:
    """The rows and positions in which a guard holds."""
    return {point for point, world in POINTS.items() if any(not term & ~world for term in guard.terms)}


def whole(points: set[object]) -> set[object]:
    """All positions of rows that have one of the points."""
    rows = {row for row, _ in points}  # type: ignore[misc]
    return {(row, at) for row, at in POINTS if row in rows}


LITERAL = st.sampled_from(
    [
        say(id, arm)
        for id in (A, P, Q, R, SOME[P], SOME[Q], SOME[R])
        for arm in range(GATES[id if id >= 0 else NodeId(~id)].arms)
        for say in (LITERALS.taken, LITERALS.not_taken)
    ]
)


def conjunction(guards: list[Guard]) -> Guard:
    found = TRUE
    for guard in guards:
        found = LITERALS.and_(found, guard)
    return found


TERMS = st.lists(LITERAL, min_size=1, max_size=4).map(conjunction)
ANY = st.one_of(TERMS, st.lists(TERMS, max_size=4).map(LITERALS.union), st.just(TRUE), st.just(FALSE))


@given(ANY, ANY)
@settings(max_examples=60, deadline=None)
def test_answers_are_at_least_what_they_mean(a: Guard, b: Guard) -> None:
    assert table(LITERALS.or_(a, b)) >= table(a) | table(b)
    assert table(LITERALS.and_(a, b)) >= table(a) & table(b)
    assert not LITERALS.implies(a, b) or table(a) <= table(b)
    assert not LITERALS.exclusive(a, b) or not table(a) & table(b)


@given(ANY)
@settings(max_examples=60, deadline=None)
def test_guards_of_rows(a: Guard) -> None:
    projected, rows = LITERALS.project(a, LITERALS.placed), LITERALS.rows(a)
    for weaker in (projected, rows):
        assert not LITERALS.places(weaker)
        assert table(weaker) >= whole(table(a))
    assert not any(term & LITERALS.projected for term in rows.terms)
    alike = LITERALS.alike(a)
    assert not any(term & LITERALS.projected for term in alike.terms)
    assert table(alike) & ALIKE >= table(a) & ALIKE


@given(ANY)
@settings(max_examples=60, deadline=None)
def test_guards_with_what_they_say_of_rows(a: Guard) -> None:
    for projected in (0, LITERALS.projected, LITERALS.mask(SOME[P])):
        found = LITERALS.nested(a, projected)
        assert table(found) >= table(a)
        assert LITERALS.nested(found, projected) == found
        behind = [term for term in found.terms if term & LITERALS.placed]
        assert not any(
            term & LITERALS.projected & -(term & LITERALS.placed & -(term & LITERALS.placed)) for term in behind
        )


def test_what_is_said_of_rows_before_positions_are_chosen_stays() -> None:
    literals = Literals.over([(P, GATES[P])], project=True)
    some, taken = literals.projections[P], literals.taken(P, 1)
    said = literals.and_(literals.not_taken(some, 0), taken)
    assert literals.nested(said, literals.projected) == literals.and_(said, literals.taken(some, 1))


def test_literals_of_positions_are_those_of_their_rows() -> None:
    for gate in (P, Q, R):
        for arm in range(GATES[gate].arms):
            taken = LITERALS.taken(gate, arm)
            some = LITERALS.taken(SOME[gate], arm)
            assert LITERALS.project(taken, LITERALS.placed) == some
            assert LITERALS.project(taken, LITERALS.mask(A)) == taken
            assert LITERALS.nested(taken, LITERALS.projected) == LITERALS.and_(taken, some)
            assert LITERALS.alike(some) == taken
            assert LITERALS.implies(taken, some)
            assert table(some) == whole(table(taken))
            assert LITERALS.own(gate) == LITERALS.mask(gate) | LITERALS.mask(SOME[gate])
        if gate is R:
            continue  # at a position there may be none
        assert LITERALS.union(LITERALS.taken(SOME[gate], arm) for arm in range(GATES[gate].arms)) == TRUE
    assert not LITERALS.union(LITERALS.taken(SOME[R], arm) for arm in range(2)).always
    here, there, other = (LITERALS.taken(id, 1) for id in (A, SOME[P], SOME[Q]))
    either = [LITERALS.and_(here, LITERALS.taken(SOME[P], arm)) for arm in range(2)]
    assert LITERALS.union([*either, other]) == LITERALS.union([other, *either]) == LITERALS.or_(here, other)
    assert LITERALS.alike(LITERALS.and_(there, LITERALS.taken(Q, 2))) == LITERALS.and_(
        LITERALS.taken(P, 1), LITERALS.taken(Q, 2)
    )
    both = LITERALS.and_(LITERALS.taken(SOME[P], 1), LITERALS.taken(SOME[Q], 2))
    assert LITERALS.alike(both) == LITERALS.and_(LITERALS.taken(P, 1), LITERALS.taken(Q, 2))
    two = LITERALS.union([LITERALS.taken(SOME[Q], arm) for arm in (0, 1)])
    assert not two.always
    assert LITERALS.project(LITERALS.not_taken(Q, 2), LITERALS.placed) == TRUE
