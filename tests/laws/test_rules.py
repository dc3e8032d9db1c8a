"""What type rules share, at its boundaries: sizes, bounds, axes by name and place, broadcasting, and how demand passes."""

from __future__ import annotations

from fractions import Fraction

import pytest

from cogseedc.ir import Attrs, Axis, AxisArg, Dtype, Mixing, Pointwise, Size, Static
from cogseedc.ops import rules
from tests.laws.asking import N, Refused, T, refused, site, typed

K = AxisArg("K")
HALF = Size.of(Fraction(1, 2))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (5, Axis(None, Size.of(5))), (0, Axis(None, Size.of(0))), (T - 1, Axis(None, T - 1)),
        (AxisArg("K", Size.of(5)), Axis("K", Size.of(5))), (K, Axis("K", Size.of(7))),
    ],
)  # fmt: skip
def test_an_axis_is_made(value: Static, wanted: Axis) -> None:
    assert rules.new_axis(site(axes={"K": Size.of(7)}), value, "size") is wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (K, ("CS0315", "axis K has no size that `op` could use", "give it one: `K=8`", None, "size")),
        (-1, ("CS0322", "`size` of `op` is -1, which is no size", "sizes are 0 or more", None, "size")),
        (HALF, ("CS0322", "`size` of `op` is (1) / 2, which is no size", "sizes are 0 or more", None, "size")),
    ],
)
def test_an_axis_is_refused(value: Static, wanted: Refused) -> None:
    assert refused(lambda: rules.new_axis(site(), value, "size")) == wanted


def test_sizes_become_attributes() -> None:
    """Numbers where they are known, so that they print as such."""
    axes = rules.new_axes(site(sizes=(3, T, AxisArg("K", T), AxisArg("E", Size.of(2)))), "sizes")
    assert [rules.axis_attr(axis) for axis in axes] == [3, T, ("K", T), ("E", 2)]


def test_texts() -> None:
    assert rules.text(site(mode="sum"), "mode", ("max", "sum")) == "sum"
    wanted = "CS0310", '`mode` of `op` cannot be "summ"', 'did you mean "sum"?', None, "mode"
    assert refused(lambda: rules.text(site(mode="summ"), "mode", ("sun", "max", "sum"))) == wanted
    help = refused(lambda: rules.text(site(mode="q"), "mode", ("max", "sum")))[2]
    assert help == 'it takes "max", "sum"'


@pytest.mark.parametrize(
    ("low", "high", "fine", "wrong", "help"),
    [
        (None, None, (-9, 9), (), ""), (1, None, (1, 9), (0,), "it must be at least 1"),
        (-2, 3, (-2, 3), (-3, 4), "it must be in -2 .. 3"), (0, 0, (0,), (-1, 1), "it must be in 0 .. 0"),
    ],
)  # fmt: skip
def test_numbers_have_bounds(low: int | None, high: int | None, fine: tuple[int], wrong: tuple[int], help: str) -> None:
    for value in fine:
        assert rules.integer(site(p=value), "p", low, high) == value
        number = rules.number(site(p=value), "p", low, high)
        assert (number, type(number)) == (value, float)
    for value in wrong:
        wanted = "CS0310", f"`p` of `op` is {value}", help, None, "p"
        assert refused(lambda value=value: rules.integer(site(p=value), "p", low, high)) == wanted
        assert refused(lambda value=value: rules.number(site(p=value), "p", low, high)) == wanted


@pytest.mark.parametrize(
    ("type", "value", "wanted"),
    [
        ("f32[N, T, 3]", None, 2), ("f32[N, T, 3]", 0, 0), ("f32[N, T, 3]", 2, 2), ("f32[N, T, 3]", -3, 0),
        ("f32[N, T, 3]", -1, 2), ("f32[N, T, 3]", AxisArg("T"), 1), ("f32[N, 3, C=3]", AxisArg("K", Size.of(3)), 1),
        ("f32[3, K=4, 4]", AxisArg("K", Size.of(3)), 1), ("f32[3, 5, 2]", K, 1), ("f32[3, 5]", AxisArg("K", Size.of(3)), 0),
    ],
)  # fmt: skip
def test_an_axis_is_found(type: str, value: Static, wanted: int) -> None:
    """By name, by place, or as the one without a name of its size; a size that is written counts before the name's."""
    assert rules.axis_position(site(axes={"K": Size.of(5)}), typed(type), value) == wanted


@pytest.mark.parametrize(
    ("type", "value", "wanted"),
    [
        ("f32[N, T]", 2, ("CS0303", "`op` has no axis 2", "the value is f32[N, T]", 0, "over")),
        ("f32[N, T]", -3, ("CS0303", "`op` has no axis -3", "the value is f32[N, T]", 0, "over")),
        ("f32[]", None, ("CS0303", "`op` has no axis -1", "the value has no axes", 0, "over")),
        ("f32[N, T, 3]", K,
         ("CS0302", "`op` finds no axis K in f32[N, T, 3]", "name the axis where it is made, or give its position", 0, "over")),
        ("f32[N, Kind]", AxisArg("Kin", N), ("CS0302", "`op` finds no axis Kin in f32[N, Kind]", "did you mean Kind?", 0, "over")),
        ("f32[3, N, 3, C=3]", AxisArg("K", Size.of(3)),
         ("CS0311", "`over=K` of `op` fits 2 unnamed axes of f32[3, N, 3, C=3]", "say which by position: `over=2`", 0, "over")),
    ],
)  # fmt: skip
def test_an_axis_is_not_found(type: str, value: Static, wanted: Refused) -> None:
    assert refused(lambda: rules.axis_position(site(), typed(type), value)) == wanted


def test_several_axes() -> None:
    type = typed("f32[N, T, 3]")
    found = [rules.axis_positions(site(), type, value) for value in (None, 0, (2, 0))]
    assert found == [(2,), (0,), (0, 2)]
    wanted = "CS0312", "`over` of `op` has an axis twice", "the value is f32[N, T, 3]", 0, "over"
    assert refused(lambda: rules.axis_positions(site(), type, (1, AxisArg("T")))) == wanted


def test_axes_are_replaced() -> None:
    type, label = typed("f32[N, 3, C=2]"), AxisArg("K")
    assert [str(rules.named(type, *asked)) for asked in ((1, label), (2, label), (1, 1), (1, None))] == [
        "f32[N, K=3, C=2]", *["f32[N, 3, C=2]"] * 3
    ]  # fmt: skip
    assert str(rules.replace_axis(type, 1, Axis("K", T), Axis(None, T))) == "f32[N, K=T, T, C=2]"
    assert str(rules.replace_axis(type, 2)) == "f32[N, 3]"
    assert [str(rules.drop_axes(type, (0, 2), *keep)) for keep in ((), (False,), (True,))] == [
        "f32[3]", "f32[3]", "f32[N=1, 3, C=1]"
    ]  # fmt: skip


def test_names_are_distinct() -> None:
    fine = typed("f32[N, C=3, 3, 3]")
    assert rules.distinct(site(), fine) is fine
    wanted = "CS0312", "the result of `op` would have two axes C", "use another name for the new axis", None, "into"
    assert refused(lambda: rules.distinct(site(), typed("f32[N, C=3, C=3]"), "into")) == wanted


def test_what_an_operand_has_to_be() -> None:
    call = site("f32[N]", "bool[N, 3]")
    assert rules.require(call, 0, rules.FLOATS, "floats") is typed("f32[N]")
    assert rules.require_rank(call, 1, 2, "rows") is typed("bool[N, 3]")
    cases = [
        (lambda: rules.require(call, 1, rules.FLOATS, "floats"), ("CS0305", "floats, not bool[N, 3]", "cast it: `cast[f32](x)`", 1)),
        (lambda: rules.require(call, 0, (Dtype.BOOL,), "bools"), ("CS0305", "bools, not f32[N]", "compare it first: `x > 0`", 0)),
        (lambda: rules.require_rank(call, 1, 3, "images"), ("CS0316", "images, not bool[N, 3]", "", 1)),
    ]  # fmt: skip
    for ask, (code, message, help, operand) in cases:
        assert refused(ask) == (code, f"`op` takes {message}", help, operand, None)
    assert [rules.float_of(dtype) for dtype in (Dtype.F16, Dtype.I8)] == [Dtype.F16, Dtype.F32]


@pytest.mark.parametrize(
    ("total", "by", "wanted"),
    [
        (Size.of(6), Size.of(2), Size.of(3)), (Size.of(7), Size.of(2), None), (6 * N * T, 2 * T, 3 * N), (N, T, None), (N, 2 * N, None),
        (T, T * T, None), (T * T, T, T), (N * T + 2 * T, T, N + 2), (N * T + 2, T, None), (N * T + T * T, T, N + T),
        (N + 1, N + 1, Size.of(1)), (2 * N + 2, N + 1, None), (Size.of(0), Size.of(3), Size.of(0)), (Size.of(0), Size.of(0), Size.of(1)),
        (T // 2 * N, T // 2, N), (T // 2 * N, N, T // 2),
    ],
)  # fmt: skip
def test_quotients(total: Size, by: Size, wanted: Size | None) -> None:
    assert rules.quotient(total, by) is wanted


@pytest.mark.parametrize(
    ("operands", "wanted"),
    [
        (("f32[N, T]", "f32[N, T]"), "N, T"), (("f32[N, T]", None), "N, T"), (("f32[N, T]", "f32[T]"), "N, T"),
        (("f32[T]", "f32[N, T]"), "N, T"), (("f32[N, 3]", "f32[N, C=3]"), "N, C=3"), (("f32[N, C=3]", "f32[N, 3]"), "N, C=3"),
        (("f32[N, C=1]", "f32[N, 3]"), "N, C=3"), (("f32[N, C=1]", "f32[N, D=3]"), "N, D=3"), (("f32[N, D=3]", "f32[N, C=1]"), "N, D=3"),
        (("f32[N, 1]", "f32[3]"), "N, 3"), (("f32[]", "f32[N, 3]", "f32[]"), "N, 3"), (("f32[1, T]", "f32[N, 1]", "f32[T]"), "N, T"),
        (("f32[C=2, 1, E=4]", "f32[3, 1]", "f32[2, D=3, 4]"), "C=2, D=3, E=4"),
    ],
)  # fmt: skip
def test_operands_are_broadcast(operands: tuple[str | None, ...], wanted: str) -> None:
    assert ", ".join(map(str, rules.broadcast(site(*operands)))) == wanted


@pytest.mark.parametrize(
    ("operands", "message", "operand"),
    [
        (("f32[N, C=3]", "f32[N, 4]"), "f32[N, C=3] and f32[N, 4] do not fit: C=3 against 4", 1),
        (("f32[3]", "f32[N, 3]", "f32[4]"), "f32[N, 3] and f32[4] do not fit: 3 against 4", 2),
        (("f32[N, 3]", "f32[3]", "f32[4]"), "f32[N, 3] and f32[4] do not fit: 3 against 4", 2),
        ((None, "f32[2, 3]", "f32[5, 3]"), "f32[2, 3] and f32[5, 3] do not fit: 2 against 5", 2),
    ],
)
def test_operands_do_not_fit(operands: tuple[str | None, ...], message: str, operand: int) -> None:
    wanted = "CS0304", f"`op`: {message}", "sizes must be equal, or one of them 1", operand, None
    assert refused(lambda: rules.broadcast(site(*operands))) == wanted


def test_some_operands_alone() -> None:
    call = site("bool[N]", "f32[T]", None, "f16[T]")
    assert rules.broadcast(call, (1, 2, 3)) == typed("f32[T]").axes
    assert [rules.promoted(call, ports) for ports in ((0,), (0, 3), (2, 3, 0), (3, 0, 1), None)] == [
        Dtype.BOOL, Dtype.F16, Dtype.F16, Dtype.F32, Dtype.F32
    ]  # fmt: skip


def flow(*axes: int | None) -> tuple[Pointwise | Mixing, ...]:
    return tuple(Mixing() if axis is None else Pointwise(axis) for axis in axes)


def test_demand_passes() -> None:
    """Which axis of the result each axis of each operand is read for; None: for all of it."""
    x, row, column, result = (
        typed("f32[N, C=3, H=4]"),
        typed("f32[C=3, H=4]"),
        typed("f32[C=3, 1]"),
        typed("f32[N, C=3, H=4]"),
    )
    inputs = [x, None, row, column]
    assert rules.flow_aligned(Attrs(), inputs, (result,)) == (flow(0, 1, 2), (), flow(1, 2), flow(1, None))
    assert rules.flow_mixing(Attrs(), inputs, (result,)) == (
        flow(None, None, None),
        (),
        flow(None, None),
        flow(None, None),
    )
    assert rules.flow_last(Attrs(), inputs, (result,)) == (flow(0, 1, None), (), flow(0, None), flow(0, None))
    assert rules.flow_over(Attrs.of(over=1), [x, None, x], (result,)) == (flow(0, None, 2), (), flow(0, None, 2))
    assert rules.flow_over(Attrs.of(over=(0, 2)), [x], (result,)) == (flow(None, 1, None),)
    assert rules.flow_chosen(Attrs.of(over=1), [x], (typed("f32[N, H=4]"),)) == (flow(0, None, 1),)
    assert rules.flow_dropped(x, (0,)) == flow(None, 0, 1)
    assert rules.flow_dropped(x, (0,), True) == flow(None, 1, 2)


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ("f32[N, 6]", "f32[N, 2, 3]", (0, None)), ("f32[N, 2, 3]", "f32[N, 6]", (0, None, None)),
        ("f32[N, 2, 3, T]", "f32[N, 6, T]", (0, None, None, 2)), ("f32[N, 6, T]", "f32[N, 2, 3, T]", (0, None, 3)),
        ("f32[N, T]", "f32[N, T]", (0, 1)), ("f32[2, 2]", "f32[2, 2, 1]", (0, 1)), ("f32[2, 2, 1]", "f32[2, 2]", (0, 1, None)),
        ("f32[2, 1, 2]", "f32[2, 2]", (0, None, 1)), ("f32[3, N]", "f32[N, 3]", (None, None)), ("f32[1]", "f32[]", (None,)),
        ("f32[2, 3, N]", "f32[6, N]", (None, None, 1)), ("f32[2, 3, N, T]", "f32[6, N, T]", (None, None, 1, 2)),
    ],
)  # fmt: skip
def test_demand_passes_a_reshape(before: str, after: str, wanted: tuple[int | None, ...]) -> None:
    assert rules.flow_reshaped(typed(before), typed(after)) == flow(*wanted)


def test_axes_that_are_named_for_the_result() -> None:
    asked = (None, (), (AxisArg("A"), AxisArg("B", Size.of(2))))
    assert [rules.into_axes(site(into=into)) for into in asked] == [(), (), asked[2]]
