"""The verifier's rules at their borders: each case is one step past what is legal."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cogseedc.diagnostics import InternalError
from cogseedc.ir import (
    Attrs,
    Axis,
    Call,
    ControlEdge,
    DataEdge,
    Dtype,
    Exit,
    Gate,
    GateKind,
    Graph,
    Input,
    Knob,
    Loop,
    LoopKind,
    Loss,
    Merge,
    MergeMode,
    Output,
    Return,
    Size,
    State,
    TensorType,
    Value,
    verify,
)
from tests.passes.toy import CLASS, OPS, ROW, YES, N, Toy

LONG = TensorType(Dtype.F32, (N, Axis("T", Size.of(3)), Axis("C", Size.of(4))))
DRAWN = TensorType(Dtype.BOOL, (N, Axis("T", Size.of(3))))
STATE = State("kept", 0)


def whole() -> tuple[Toy, Value, Value, Value]:
    """A gate, a join of two arms, an output."""
    toy = Toy()
    x = toy.input()
    gate = toy.gate("keep", x)
    y = toy.when(gate, toy.layer(x, "a"), x)
    toy.output(y)
    return toy, x, gate, y


def merge(toy: Toy, y: Value, **changes: Any) -> None:
    node = toy.graph[y.node]
    assert isinstance(node, Merge)
    toy.graph.update(y.node, replace(node, **changes))


def join(toy: Toy, x: Value, gate: Value, arm: Value) -> None:
    """A join of its own, which no output reads."""
    toy.graph.add(Merge(MergeMode.SELECT, (1,), True, ((0,),), ROW), [arm, gate, x])


def shared(toy: Toy, x: Value, gate: Value, shares: int) -> None:
    """A join of one arm with so many stand-ins for its decision."""
    node = Merge(MergeMode.SELECT, (1,), True, ((0,),), ROW, shares=True)
    toy.graph.add(node, [x, gate, x, *[toy.call("f", x, type=TensorType(Dtype.F32, (N,)))] * shares])


def loop(toy: Toy, x: Value, **changes: Any) -> None:
    """A scan over T with one carry, one sequence, one capture and one yield, that halts; `changes` break it."""
    body = Graph()
    inputs = changes.pop("inputs", (ROW, ROW, ROW))
    outputs = changes.pop("outputs", (ROW, ROW, YES))
    given = changes.pop("given", (ROW, LONG, ROW))
    values = [Value(body.add(Input(f"i{i}", type))) for i, type in enumerate(inputs)]
    for i, type in enumerate(outputs):
        made = Value(body.add(Call("f", Attrs(), (type,)), [values[0]]))
        body.add(Output(f"o{i}", type), [made])
    operands = [toy.call("f", x, type=type) for type in given]
    plain = Loop("loop", LoopKind.SCAN, Size.of(3), body, 1, (1,), (1,), True, ((0,), (0,)), (LONG, ROW))
    toy.graph.add(replace(plain, **changes), operands)


def packed(toy: Toy, x: Value, **changes: Any) -> None:
    plain: dict[str, Any] = {"halts": False, "active": 1, "echoes": (0,), "outputs": (ROW,)}
    loop(toy, x, **{**plain, "given": (ROW, LONG, ROW, DRAWN), **changes})


def states(toy: Toy, x: Value, before: TensorType | None, after: TensorType | None, other: State = STATE) -> None:
    if before is not None:
        toy.graph.add(Input(STATE.input, before, state=STATE))
    if after is not None:
        toy.graph.add(Output(STATE.output, after, state=other), [toy.call("f", x, type=after)])


def exits(toy: Toy, x: Value, gate: Value, orders: tuple[int, ...], values: int) -> None:
    yes = toy.call("f", x, type=YES)
    for order in orders:
        toy.graph.add(Exit(f"e{order}", "s", order, ("N",), YES), [yes, *[x] * values])
    toy.graph.add(Return("s", (ROW,), ("y",)), [x])


def wide(rank: int) -> TensorType:
    return TensorType(Dtype.F32, (Axis(None, Size.of(1)),) * rank)


def decided(toy: Toy, kind: GateKind, arms: int, type: TensorType, ports: int = 1) -> None:
    operand = toy.call("f", toy.input("more"), type=type)
    toy.graph.add(Gate("other", kind, arms, ("N",), type), [operand] * ports)


def scores(arms: int) -> TensorType:
    return TensorType(Dtype.BOOL, (N, Axis("E", Size.of(arms))))


Case = Callable[[Toy, Value, Value, Value], object]
LEGAL: dict[str, Case] = {
    "eight axes": lambda t, x, g, y: t.call("f", x, type=wide(8)),
    "a class": lambda t, x, g, y: decided(t, GateKind.ONE, 3, CLASS),
    "some of three": lambda t, x, g, y: decided(t, GateKind.MANY, 3, scores(3), 2),
    "a loss": lambda t, x, g, y: t.graph.add(Loss("l", ROW), [x]),
    "what was drawn": lambda t, x, g, y: t.graph.add(Loss("l", ROW, drawn=True), [x, x]),
    "a loss and what was drawn have one name": lambda t, x, g, y: (
        t.graph.add(Loss("l", ROW), [x]),
        t.graph.add(Loss("l", ROW, drawn=True), [x, x]),
    ),
    "a share for each arm": lambda t, x, g, y: shared(t, x, g, 1),
    "a state": lambda t, x, g, y: states(t, x, ROW, ROW),
    "exits": lambda t, x, g, y: exits(t, x, g, (0, 1), 1),
    "a loop": lambda t, x, g, y: loop(t, x),
    "a loop without captures": lambda t, x, g, y: loop(t, x, inputs=(ROW, ROW), given=(ROW, LONG)),
    "a sequence along the first axis": lambda t, x, g, y: loop(t, x, scanned=(0,)),
    "arms of some of three": lambda t, x, g, y: (
        m := t.many("some", x, 3, 2),
        t.merge([(m, arm, x) for arm in range(3)], mode=MergeMode.SUM),
    ),
    "both arms": lambda t, x, g, y: t.merge([(g, 1, x), (g, 0, x)]),
    "a packed loop": lambda t, x, g, y: packed(t, x),
    "an arm of a lower rank": lambda t, x, g, y: join(t, x, g, t.call("f", x, type=TensorType(Dtype.F32, (N,)))),
    "not taken": lambda t, x, g, y: t.graph.connect(
        ControlEdge(g.node, t.graph.add(Call("f", Attrs(), (ROW,)), [x]), -2)
    ),
}
BROKEN: dict[str, tuple[str, Case]] = {
    "nine axes": ("types", lambda t, x, g, y: t.call("f", x, type=wide(9))),
    "no result": ("types", lambda t, x, g, y: t.graph.add(Call("f", Attrs(), ()), [x])),
    "an output of another rank": ("types", lambda t, x, g, y: t.graph.add(Output("z", YES.with_dtype(Dtype.F32)), [x])),
    "more shares than arms": ("fed", lambda t, x, g, y: shared(t, x, g, 2)),
    "a loss of another dtype": ("types", lambda t, x, g, y: t.graph.add(Loss("l", YES), [x])),
    "a class that is a boolean": ("gates", lambda t, x, g, y: decided(t, GateKind.ONE, 3, YES)),
    "a boolean that is a class": ("gates", lambda t, x, g, y: decided(t, GateKind.BOOL, 2, CLASS)),
    "a boolean of three": ("gates", lambda t, x, g, y: decided(t, GateKind.BOOL, 3, YES)),
    "some of four, of three": ("gates", lambda t, x, g, y: decided(t, GateKind.MANY, 4, scores(3), 2)),
    "some of no axis": ("gates", lambda t, x, g, y: decided(t, GateKind.MANY, 3, TensorType(Dtype.BOOL), 2)),
    "some without their indices": ("fed", lambda t, x, g, y: decided(t, GateKind.MANY, 3, scores(3), 1)),
    "a loss of two": ("fed", lambda t, x, g, y: t.graph.add(Loss("l", ROW), [x, x])),
    "drawn without a baseline": ("fed", lambda t, x, g, y: t.graph.add(Loss("l", ROW, drawn=True), [x])),
    "an output of nothing": ("fed", lambda t, x, g, y: t.graph.add(Output("z", ROW), [])),
    "a knob that is fed": ("fed", lambda t, x, g, y: t.graph.add(Knob("k", ROW, (0.0,), 0.0, 1.0), [x])),
    "no arms": ("merges", lambda t, x, g, y: t.graph.add(Merge(MergeMode.SUM, (), False, (), ROW), [])),
    "axes for one arm more": ("merges", lambda t, x, g, y: merge(t, y, axes=((0,), (0,)))),
    "a third arm": ("merges", lambda t, x, g, y: merge(t, y, arms=(2,))),
    "an arm below the first": ("merges", lambda t, x, g, y: merge(t, y, arms=(-1,))),
    "an axis past the last": ("merges", lambda t, x, g, y: merge(t, y, axes=((2,),))),
    "an axis before the first": ("merges", lambda t, x, g, y: merge(t, y, axes=((-1,),))),
    "two axes for one": ("merges", lambda t, x, g, y: merge(t, y, axes=((0, 1),))),
    "an arm of another dtype": (
        "merges",
        lambda t, x, g, y: join(t, x, g, t.call("f", x, type=ROW.with_dtype(Dtype.F16))),
    ),
    "an arm of a higher rank": ("merges", lambda t, x, g, y: join(t, x, g, t.call("f", x, type=LONG))),
    "a second arm that is chosen by a value": (
        "merges",
        lambda t, x, g, y: t.merge([(g, 1, x), (t.call("decide", x, type=YES), 0, x)]),
    ),
    "a second arm that is not there": ("merges", lambda t, x, g, y: t.merge([(g, 1, x), (g, 2, x)])),
    "chosen by a value": (
        "merges",
        lambda t, x, g, y: (
            t.graph.disconnect(DataEdge(g.node, 0, y.node, 1)),
            t.graph.connect(DataEdge(x.node, 0, y.node, 1)),
        ),
    ),
    "a state that is not written": ("states", lambda t, x, g, y: states(t, x, ROW, None)),
    "a state that is not read": ("states", lambda t, x, g, y: states(t, x, None, ROW)),
    "a state of two dtypes": ("states", lambda t, x, g, y: states(t, x, ROW, ROW.with_dtype(Dtype.F16))),
    "a state of two shapes": ("states", lambda t, x, g, y: states(t, x, ROW, LONG)),
    "two beginnings of a state": ("states", lambda t, x, g, y: states(t, x, ROW, ROW, State("kept", 1))),
    "an exit without values": ("exits", lambda t, x, g, y: exits(t, x, g, (0,), 0)),
    "an exit with a value more": ("exits", lambda t, x, g, y: exits(t, x, g, (0,), 2)),
    "two first exits": ("exits", lambda t, x, g, y: exits(t, x, g, (0, 0), 1)),
    "control of an input": ("edges", lambda t, x, g, y: t.graph.connect(ControlEdge(g.node, t.input("z").node, 1))),
    "an arm that is not there": ("edges", lambda t, x, g, y: t.graph.connect(ControlEdge(g.node, y.node, 2))),
    "the same, not taken": ("edges", lambda t, x, g, y: t.graph.connect(ControlEdge(g.node, y.node, -3))),
    "an operand more": ("operands", lambda t, x, g, y: t.call("f", x, x)),
    "a body with too few inputs": ("loops", lambda t, x, g, y: loop(t, x, inputs=(ROW,), given=(ROW,))),
    "a body with too few outputs": ("loops", lambda t, x, g, y: loop(t, x, outputs=(ROW, ROW))),
    "a body with a value more": ("loops", lambda t, x, g, y: loop(t, x, outputs=(ROW, ROW, YES, YES))),
    "nothing held": ("loops", lambda t, x, g, y: loop(t, x, held=((0,),))),
    "a carry that starts otherwise": ("loops", lambda t, x, g, y: loop(t, x, given=(LONG, LONG, ROW))),
    "a carry that becomes another": ("loops", lambda t, x, g, y: loop(t, x, outputs=(LONG, ROW, YES))),
    "a carry that ends as another": ("loops", lambda t, x, g, y: loop(t, x, types=(LONG, LONG))),
    "a sequence of other elements": ("loops", lambda t, x, g, y: loop(t, x, given=(ROW, ROW, ROW))),
    "a sequence along no axis": ("loops", lambda t, x, g, y: loop(t, x, scanned=(3,))),
    "a sequence along less than no axis": ("loops", lambda t, x, g, y: loop(t, x, scanned=(-1,))),
    "a capture of another type": ("loops", lambda t, x, g, y: loop(t, x, given=(ROW, LONG, LONG))),
    "stopped by a number": ("loops", lambda t, x, g, y: loop(t, x, outputs=(ROW, ROW, ROW))),
    "turns by number": ("loops", lambda t, x, g, y: packed(t, x, given=(ROW, LONG, ROW, LONG))),
    "no echo": ("loops", lambda t, x, g, y: packed(t, x, echoes=())),
    "a packed body with a yield": ("loops", lambda t, x, g, y: packed(t, x, outputs=(ROW, ROW))),
}


@pytest.mark.parametrize("name", LEGAL)
def test_is_legal(name: str) -> None:
    toy, *parts = whole()
    LEGAL[name](toy, *parts)
    verify(toy.graph, OPS)


@pytest.mark.parametrize("name", BROKEN)
def test_is_refused(name: str) -> None:
    rule, harm = BROKEN[name]
    toy, *parts = whole()
    harm(toy, *parts)
    with pytest.raises(InternalError, match=f"graph rule `{rule}` is broken"):
        verify(toy.graph, OPS)


SAYS = {
    "an exit with a value more": "2 values for 1 outputs",
    "an exit without values": "0 values for 1 outputs",
    "some without their indices": "it has 2 ports, fed are [0]",
    "axes for one arm more": "1 arms, axes for 2",
    "two axes for one": "gate keep is over 1 axes, placed are (0, 1)",
    "an operand more": "2 operands for 1 ports",
    "some of four, of three": "is not its 4 arms",
    "no echo": "1 yields are 0 carries",
    "stopped by a number": f"it is stopped by {ROW}, which is no boolean",
    "a body with a value more": "its body gives 4 values for 2 results",
    "a second arm that is chosen by a value": "which is no gate",
}


@pytest.mark.parametrize("name", SAYS)
def test_says_what_is_there(name: str) -> None:
    toy, *parts = whole()
    BROKEN[name][1](toy, *parts)
    with pytest.raises(InternalError, match=f"{re.escape(SAYS[name])}$"):
        verify(toy.graph, OPS)


def test_says_where_it_is() -> None:
    for path, where in (("", "(f)"), ("h.0.f", "(f h.0.f)")):
        toy = Toy()
        x = toy.input()
        node = toy.call("f", x, x, path=path).node
        with pytest.raises(InternalError, match=re.escape(f"at node {node} {where}: ")):
            verify(toy.graph, OPS)
