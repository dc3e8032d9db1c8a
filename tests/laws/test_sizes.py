"""Sizes are integers with names: all that is done with symbols agrees with what is done with the numbers in their places."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import FrozenInstanceError, fields
from fractions import Fraction
from math import ceil, floor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cogseedc.ir import Axis, Dtype, Size, TensorType, promote
from cogseedc.ir.types import reckoned
from cogseedc.runtime.interface import evaluate

NAMES = ("N", "T", "S")
N, T = Size.symbol("N"), Size.symbol("T")
WHOLE = st.integers(-4, 9)
VALUES = st.fixed_dictionaries({name: st.integers(0, 7) for name in NAMES})

Formula = tuple[object, ...] | int | str


def number(formula: Formula, values: dict[str, int]) -> int:
    """What a formula is of numbers, by Python's own arithmetic."""
    match formula:
        case int():
            return formula
        case str():
            return values[formula]
        case (left, "+", right):
            return number(left, values) + number(right, values)
        case (left, "-", right):
            return number(left, values) - number(right, values)
        case (left, "*", right):
            return number(left, values) * number(right, values)
        case (left, "//", by):
            return number(left, values) // by
        case (left, "^", by):
            return -(-number(left, values) // by)
    raise AssertionError(formula)


def size(formula: Formula) -> Size:
    match formula:
        case int():
            return Size.of(formula)
        case str():
            return Size.symbol(formula)
        case (left, "+", right):
            return size(left) + size(right)
        case (left, "-", right):
            return size(left) - size(right)
        case (left, "*", right):
            return size(left) * size(right)
        case (left, "//", by):
            return size(left) // by
        case (left, "^", by):
            return size(left).divided(by).ceil()
    raise AssertionError(formula)


FORMULAS = st.recursive(
    st.one_of(WHOLE, st.sampled_from(NAMES)),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner), st.tuples(inner, st.sampled_from(("//", "^")), st.integers(1, 4))
    ),
    max_leaves=6,
)  # fmt: skip


@given(FORMULAS, VALUES)
@settings(max_examples=150, deadline=None)
def test_a_size_is_what_its_formula_is(formula: Formula, values: dict[str, int]) -> None:
    found, wanted = size(formula), number(formula, values)
    assert found.evaluate(values) == wanted
    assert found.substitute({name: Size.of(value) for name, value in values.items()}).value == wanted
    assert evaluate(str(found), values) == wanted
    assert evaluate(found.spell(str.lower, "//"), {name.lower(): value for name, value in values.items()}) == wanted
    assert found.symbols() <= set(NAMES)
    assert (found.value is not None) == (not found.symbols())
    assert pickle.loads(pickle.dumps(found)) is found


@given(FORMULAS, FORMULAS, FORMULAS)
@settings(max_examples=60, deadline=None)
def test_equal_sizes_are_one_object(a: Formula, b: Formula, c: Formula) -> None:
    x, y, z = size(a), size(b), size(c)
    assert x + y is y + x
    assert x * y is y * x
    assert (x + y) * z is x * z + y * z
    assert x - x is Size.of(0)
    assert x - 1 is x + -1
    assert 1 - x is -(x - 1)
    assert x.divided(2) * 2 is x
    assert (x * 6) // 3 is 2 * x
    assert x.substitute({"N": Size.symbol("M")}).substitute({"M": N}) is x


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Size.of(0), "0"), (Size.of(-3), "-3"), (N, "N"), (-N, "-N"), (N - N, "0"), (2 * N * T - N + 1, "2 * N * T - N + 1"),
        (1 - N, "-N + 1"), (N * N, "N * N"), (T + N, "N + T"), (3 - T * N, "-N * T + 3"), (T // 2 * N, "N * ((T) / 2)"),
        ((T - 2) // 2 + 1, "((T) / 2)"), ((T + 1) // 2, "((T + 1) / 2)"), (N.divided(2), "(N) / 2"),
        (((T + 1) // 2 * 3) // 2, "((((T + 1) / 2)) / 2) + ((T + 1) / 2)"),
    ],
)  # fmt: skip
def test_spelling(found: Size, text: str) -> None:
    assert str(found) == text


def test_what_is_known() -> None:
    assert (Size.of(3).known, Size.of(3).value, Size.of(0).known, N.known, (N + 1).known) == (3, 3, 0, None, None)
    half = Size.of(Fraction(7, 2))
    assert (half.known, half.value, half.floor().value, half.ceil().value) == (
        Fraction(7, 2),
        None,
        floor(3.5),
        ceil(3.5),
    )
    assert ((N.divided(2) + T.divided(3)).denominator, N.denominator) == (6, 1)
    assert ((T + 1) // 2 + N).symbols() == {"N", "T"}
    assert Size.of(N) is N
    with pytest.raises(KeyError):
        N.evaluate({})


TORCH = {
    Dtype.F32: torch.float32, Dtype.F16: torch.float16, Dtype.BF16: torch.bfloat16, Dtype.I64: torch.int64,
    Dtype.I32: torch.int32, Dtype.I8: torch.int8, Dtype.U8: torch.uint8, Dtype.BOOL: torch.bool,
}  # fmt: skip


def test_dtypes_are_promoted_as_torch_promotes() -> None:
    for a, b in itertools.product(Dtype, Dtype):
        wanted = torch.promote_types(TORCH[a], TORCH[b])
        assert TORCH[promote(a, b)] is (torch.int32 if wanted is torch.int16 else wanted), f"{a} and {b}"


def test_dtypes_are_those_of_torch() -> None:
    assert [d for d in Dtype if d.floating != TORCH[d].is_floating_point] == []
    assert [d for d in Dtype if d.bits != 8 * TORCH[d].itemsize] == []


def test_types() -> None:
    batch, long, plain = Axis("N", N), Axis("T", T), Axis(None, Size.of(3))
    one, scalar = TensorType(Dtype.F32, (long, batch, plain)), TensorType(Dtype.BOOL)
    assert (str(one), str(scalar), str(Axis("T", T + 1))) == ("f32[T, N, 3]", "bool[]", "T=T + 1")
    assert (one.rank, one.names, one.batch, scalar.batch) == (3, ("T", "N", None), 1, None)
    assert one.shape == (T, N, Size.of(3))
    assert one.elements is 3 * N * T
    assert scalar.elements is Size.of(1)
    assert (one.position("N"), one.position("S")) == (1, None)
    turns = [str(t.with_turns(Size.of(5))) for t in (one, scalar, one.with_axes((plain,)))]
    assert turns == ["f32[T, N, 5, 3]", "bool[5]", "f32[5, 3]"]
    assert TensorType(Dtype.F32, (long, batch, plain)) is one is pickle.loads(pickle.dumps(one))
    assert one.with_dtype(Dtype.BOOL).with_axes(()) is scalar
    assert (reckoned(2 * N + T), reckoned(2 * N + T, 3)) == (2 + 64, 6 + 64)


@pytest.mark.parametrize("value", [N, Axis("N", N), TensorType(Dtype.BOOL)], ids=["size", "axis", "type"])
def test_there_is_one_object_of_each(value: Size | Axis | TensorType) -> None:
    """So that it is compared by identity, made once, and never changed."""
    kind = type(value)
    assert kind.__eq__ is object.__eq__
    assert kind.__hash__ is object.__hash__
    assert kind is Size or kind.__init__ is object.__init__
    for field in fields(kind):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, getattr(value, field.name))
