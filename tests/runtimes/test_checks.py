"""What a caller gives, before a runtime sees it, and what a manifest may say: each rule at its border."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cogseedc.diagnostics import UserError
from cogseedc.ir import Dtype
from cogseedc.runtime.artifact import Artifact
from cogseedc.runtime.checks import check_inputs, check_knobs, check_requirements, check_state_names, check_states
from cogseedc.runtime.interface import GatePort, Interface, KnobPort, Port, StatePort, evaluate, interface_of

ROWS = Port("x", Dtype.F32, ("N", "T", "D"), ("N", "T", "2"))
TWICE = Port("z", Dtype.F32, ("N", None), ("N", "2 * T"))
MEAN = StatePort(Port("mean", Dtype.F32, ("N", "D"), ("N", "2")), 0.5, *(Port(n, Dtype.F32, (), ()) for n in "ba"))
CALLS = StatePort(Port("calls", Dtype.I64, (), ()), 3, *(Port(n, Dtype.I64, (), ()) for n in "dc"))
TAU = KnobPort(Port("tau", Dtype.F32, (), ()), (0.5,), -1.0, 1.0)
WIDTHS = KnobPort(Port("widths", Dtype.I64, (None,), ("2",)), (1, 2), 1, 4)

X, Z, KEPT = np.zeros((3, 4, 2), np.float32), np.zeros((3, 8), np.float32), np.ones((3, 2), np.float32)


def said(call: Callable[[], object]) -> str:
    """The code, the message and the help of what is refused; nothing where it is not."""
    try:
        call()
    except UserError as error:
        [found] = error.diagnostics
        return f"{found.code}: {found.message}; {found.help}"
    return ""


def inputs(**given: object) -> str:
    return said(lambda: check_inputs([ROWS, TWICE], given))


def test_inputs_come_in_declared_order_with_the_sizes_of_symbols() -> None:
    arrays, symbols = check_inputs([ROWS, TWICE], {"z": Z, "x": X.astype(">f4")[:, ::-1]})
    assert np.shares_memory(arrays["z"], Z), "what is as it should be is not copied"
    assert list(arrays) == ["x", "z"]
    assert symbols == {"N": 3, "T": 4}, "a size that is no symbol is none"
    assert arrays["x"].dtype.isnative
    assert arrays["x"].flags.c_contiguous


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"x": X, "z": Z}, ""),
        ({"z": Z}, "CS0843: missing input `x`: f32[N, T, D=2]; call session(x=array)"),
        ({"x": X, "z": Z, "zz": Z}, "CS0843: there is no input `zz`; did you mean `z`? inputs: x, z"),
        ({"x": X, "z": Z, "image": Z}, "CS0843: there is no input `image`; inputs: x, z"),
        ({"x": X[0], "z": Z}, "of rank 2; f32[N, T, D=2] has rank 3; the first axis is the batch"),
        ({"x": X[:, :, :1], "z": Z}, "CS0844: input `x` has the shape (3, 4, 1): axis 2 is 1"),
        ({"x": X, "z": Z[:2]}, "CS0844: inputs disagree on N: it is 3 in `x` and 2 in `z`"),
        ({"x": X.astype(np.float16), "z": Z}, "CS0845: input `x` is float16"),
        ({"x": 1.0, "z": Z}, "CS0845: input `x` is float, not an array"),
        (
            {"x": SimpleNamespace(dtype=X.dtype, shape=X.shape), "z": Z},
            "CS0845: input `x` is SimpleNamespace, not an array",
        ),
    ],
)
def test_inputs(given: dict[str, object], wanted: str) -> None:
    found = inputs(**given)
    assert wanted in found if wanted else not found


def test_a_knob_among_the_inputs_is_told_where_it_goes() -> None:
    found = said(lambda: check_inputs([ROWS, TWICE], {"x": X, "z": Z, "tau": 0.5}, [TAU]))
    assert found == "CS0843: `tau` is no input but a knob; call session(..., knobs={'tau': value})"


def test_an_input_without_a_batch_is_not_told_of_one() -> None:
    found = said(lambda: check_inputs([Port("a", Dtype.F32, ("T",), ("T",))], {"a": X}))
    assert found.endswith("; ")


@pytest.mark.parametrize(
    ("knobs", "wanted"),
    [
        ({}, ""),
        ({"tau": 1.0, "widths": [1, 4]}, ""),
        ({"tau": -1}, ""),
        ({"tau": 1.01}, "CS0846: knob `tau` is 1.01, out of its range -1 .. 1"),
        ({"tau": float("nan")}, "CS0846: knob `tau` is nan, out of its range"),
        ({"widths": [1, 5]}, "CS0846: knob `widths` is 5, out of its range 1 .. 4"),
        ({"widths": [1.5, 2]}, "CS0846: knob `widths` takes whole numbers only"),
        ({"widths": 2}, "CS0846: knob `widths` has the shape ()"),
        ({"tau": "much"}, "CS0846: knob `tau` is no number"),
        ({"tou": 0.1}, "CS0846: there is no knob `tou`; did you mean `tau`? knobs: tau, widths"),
    ],
)
def test_knobs(knobs: dict[str, object], wanted: str) -> None:
    found = said(lambda: check_knobs([TAU, WIDTHS], knobs))
    assert wanted in found if wanted else not found


def test_knobs_that_are_given_are_arrays_of_their_type() -> None:
    found = check_knobs([TAU, WIDTHS], {"widths": [1, 4]})
    assert {name: (array.dtype.name, array.tolist()) for name, array in found.items()} == {"widths": ("int64", [1, 4])}


def test_states_are_initial_until_one_is_given() -> None:
    for none in (None, {}):
        found = check_states([MEAN, CALLS], none, {"N": 3})
        assert {n: (a.dtype.name, a.tolist()) for n, a in found.items()} == {
            "b": ("float32", [[0.5, 0.5]] * 3), "d": ("int64", 3)
        }  # fmt: skip
    assert check_states([MEAN], None, {})["b"].shape == (1, 2), "of a program without a batch there is one"
    kept = check_states([MEAN, CALLS], {"mean": KEPT, "calls": np.array(7)}, {"N": 3})
    assert {n: a.tolist() for n, a in kept.items()} == {"b": KEPT.tolist(), "d": 7}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"mean": KEPT}, "CS0860: the state `calls` is missing"),
        ({"mean": KEPT, "calls": np.array(7), "more": KEPT}, "CS0860: there is no state `more`"),
        ({"mean": KEPT, "calls": np.array(7.0)}, "CS0860: the state `calls` is float64 of rank 0, but i64[]"),
        ({"mean": KEPT[0], "calls": np.array(7)}, "CS0860: the state `mean` is float32 of rank 1"),
        ({"mean": KEPT[:2], "calls": np.array(7)}, "CS0860: the state `mean` is kept with the shape (2, 2)"),
    ],
)
def test_states(given: dict[str, Any], wanted: str) -> None:
    assert wanted in said(lambda: check_states([MEAN, CALLS], given, {"N": 3}))


def test_states_are_checked_without_a_batch_too() -> None:
    assert not said(lambda: check_state_names([MEAN], {"mean": KEPT[:2]}))
    assert "is missing" in said(lambda: check_state_names([MEAN], {}))


def test_sizes_that_a_program_needs_equal() -> None:
    assert not said(lambda: check_requirements([("T", "2 * S")], {"T": 6, "S": 3}))
    found = said(lambda: check_requirements([("T", "2 * S")], {"T": 6, "S": 2}))
    assert found.startswith("CS0844: the program needs `T` = `2 * S`, but for T=6, S=2 these are 6 and 4")


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ("T", 7),
        ("-3", -3),
        ("T + S", 9),
        ("T - S", 5),
        ("T * S", 14),
        ("(T + 1) / 3 * S", 4),
        ("(T - 8) // 2", -1),
        ("-(S - T)", 5),
    ],
)
def test_sizes(size: str, wanted: int) -> None:
    assert evaluate(size, {"T": 7, "S": 2}) == wanted


@pytest.mark.parametrize("size", ["T ** 2", "T / 0", "T +", "T.x", "2.5", "+T", "f(T)", "T < 3", "T\0", "(" * 300])
def test_what_is_no_size_is_damage(size: str) -> None:
    assert said(lambda: evaluate(size, {"T": 7})).startswith("CS0831")


@pytest.mark.parametrize("kind", [Artifact, Port, StatePort, KnobPort, GatePort, Interface])
def test_what_was_read_stays(kind: type) -> None:
    """Sessions of many threads share it."""
    with pytest.raises(FrozenInstanceError):
        kind.__setattr__(kind.__new__(kind), fields(kind)[0].name, None)


def described(**changes: Any) -> dict[str, Any]:
    axis = {"name": "N", "size": "N"}
    port = {"name": "v", "dtype": "f32", "axes": [axis]}
    return {
        "inputs": [port], "outputs": [port],
        "states": [port | {"initial": 0, "input": "before", "output": "after"}],
        "knobs": [port | {"default": [0.5, 1], "low": 0, "high": 1}],
        "gates": [port | {"kind": "bool", "arms": 2, "over": ["N"], "exit": "early", "strategy": None}],
        "exits": [{"name": "early", "gate": "v"}],
    } | {kind: [port | more] for kind, more in changes.items()}  # fmt: skip


def test_an_interface_as_it_is_described() -> None:
    found = interface_of(described(), {"requirements": [{"left": "N", "right": "2"}], "batch_coupled": True})
    [state], [knob], [gate] = found.states, found.knobs, found.gates
    assert [port.name for port in (*found.taken, *found.given)] == ["v", "before", "v", "after"]
    assert (state.initial, knob.default, knob.low, knob.high) == (0, (0.5, 1), 0, 1)
    assert (gate.kind, gate.arms, gate.over, gate.exit, gate.strategy) == ("bool", 2, ("N",), "early", None)
    assert (found.exits, found.requirements, found.coupled) == ((("early", "v"),), (("N", "2"),), True)
    older = {kind: ports for kind, ports in described().items() if kind != "states"}
    assert (interface_of(older, {}).states, interface_of(older, {}).coupled) == ((), False)
    assert (ROWS.batch, Port("a", Dtype.F32, (), ()).batch, ROWS.rank) == (0, None, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": {"dtype": "f31"}},
        {"inputs": {"axes": [{"name": 1, "size": "N"}]}},
        {"inputs": {"axes": ["N"]}},
        {"states": {"initial": "much", "input": "b", "output": "a"}},
        {"knobs": {"default": 0.5, "low": 0, "high": 1}},
        {"knobs": {"default": ["x"], "low": 0, "high": 1}},
        {"gates": {"kind": "bool", "arms": 2, "over": "N"}},
        {"gates": {"kind": "bool", "arms": True, "over": ["N"]}},
    ],
)
def test_an_interface_that_says_something_else_is_damage(changes: dict[str, Any]) -> None:
    assert said(lambda: interface_of(described(**changes), {})).startswith("CS0831")
