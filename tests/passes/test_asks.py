"""What a node demands of each of its operands, where something is demanded of it: guards in words, by the operand's name."""

from __future__ import annotations

import pytest

from cogseedc.ir import (
    TRUE,
    Attrs,
    Axis,
    Call,
    Dtype,
    Gate,
    GateKind,
    Lay,
    Literals,
    Merge,
    MergeMode,
    NodeId,
    Size,
    TensorType,
    Value,
)
from cogseedc.ir.transfer import asks
from tests.passes.joins import SCALAR, TURNED, Joins, said
from tests.passes.toy import OPS, ROW, YES, N, Toy

NONE = Attrs()


def asked(joins: Joins, id: NodeId, under: str) -> str:
    """What a node asks for where it is needed under gates, the operands by their names."""
    literals = Literals.of(joins.toy.graph)
    guard = TRUE
    for gate in under.split():
        guard = literals.and_(guard, literals.taken(joins.values[gate].node, 1))
    names = {value: name for name, value in joins.values.items()}
    found = list(asks(joins.toy.graph, OPS, literals, id, guard))
    assert not any(lay for _, _, lay in found)
    return ", ".join(f"{names[value]}: {said(literals, part)}" for value, part, _ in found)


def fed(joins: Joins, operands: str) -> list[Value | None]:
    return [None if name == "-" else joins.values[name] for name in operands.split()]


CHAIN = "a if p, b if q, c if r"
SELECT, SUM, WEIGHTED = MergeMode.SELECT, MergeMode.SUM, MergeMode.WEIGHTED_SUM


@pytest.mark.parametrize(
    ("mode", "text", "rest", "shares", "under", "wanted"),
    [
        (SELECT, f"{CHAIN} else d", "", False, "", "p: always, a: p, q: !p, b: !p & q, r: !p & !q, c: !p & !q & r, d: !p & !q & !r"),
        (SELECT, CHAIN, "", False, "s", "p: s, a: p & s, q: !p & s, b: !p & q & s, r: !p & !q & s, c: !p & !q & r & s"),
        (SELECT, "a if o0, b if o2, c if p else d", "", False, "", "o: always, a: o0, o: !o0, b: o2, p: o1, c: p & o1, d: !p & o1"),
        (SELECT, "a if u, b if p, c if q else d", "", False, "s",
         "u: always, a: s & u, p: s & !u, b: p & s & !u, q: !p & s & !u, c: !p & q & s & !u, d: !p & !q & s & !u"),
        (SELECT, "one if p, b if u, turned if q else one", "", False, "s",
         "p: s, one: always, u: always, b: !p & s & u, q: !p & s & !u, turned: !u, one: !u"),
        (SUM, "a if e0, b if e1, c if e2 else d", "", False, "",
         "e: always, a: e0, e: always, b: e1, e: always, c: e2, d: !e0 & !e1 & !e2"),
        (SUM, "a if e0, b if e1, c if e2", "", False, "s", "e: s, a: s & e0, e: s, b: s & e1, e: s, c: s & e2"),
        (WEIGHTED, "a if e0, b if e1, c if e2 else d", "w", False, "s",
         "e: s, a: s & e0, e: s, b: s & e1, e: s, c: s & e2, d: s & !e0 & !e1 & !e2, w: s"),
        (WEIGHTED, "a if e0, b if e1, c if e2", "one", False, "s", "e: s, a: s & e0, e: s, b: s & e1, e: s, c: s & e2, one: always"),
        (SELECT, f"{CHAIN} else d", "w - w", True, "",
         "p: always, w: always, a: p, q: !p, b: !p & q, r: !p & !q, w: !p & !q, c: !p & !q & r, d: !p & !q & !r"),
        (SELECT, f"{CHAIN} else d", "- one", True, "s",
         "p: s, a: p & s, q: !p & s, one: always, b: !p & q & s, r: !p & !q & s, c: !p & !q & r & s, d: !p & !q & !r & s"),
        (WEIGHTED, f"{CHAIN} else d", "w - - one", True, "s",
         "p: s, a: p & s, q: s, b: q & s, r: s, one: always, c: r & s, d: !p & !q & !r & s, w: s"),
    ],
)  # fmt: skip
def test_a_join_asks(mode: MergeMode, text: str, rest: str, shares: bool, under: str, wanted: str) -> None:
    joins = Joins()
    assert asked(joins, joins.join(text, mode, *fed(joins, rest), shares=shares).node, under) == wanted


@pytest.mark.parametrize(
    ("op", "operands", "types", "under", "wanted"),
    [
        ("g", "a b", (ROW,), "", "a: always, b: always"), ("g", "a b", (ROW,), "s", "a: s, b: s"),
        ("g", "a - one b", (ROW,), "s u", "a: s & u, one: u, b: s & u"),
        ("mix", "a", (ROW,), "s u", "a: u"),
        ("mix", "a", (ROW,), "u", "a: u"), ("f", "a", (TURNED,), "s", "a: always"), ("f", "turned", (TURNED,), "s", "turned: s"),
        ("f", "turned", (ROW,), "s", "turned: always"), ("f", "a", (ROW, ROW), "s", "a: s"),
        ("f", "a", (ROW, TURNED), "s", "a: always"), ("f", "a", (SCALAR,), "u", "a: u"),
    ],
)  # fmt: skip
def test_a_call_asks(op: str, operands: str, types: tuple[TensorType, ...], under: str, wanted: str) -> None:
    joins = Joins()
    assert asked(joins, joins.toy.graph.add(Call(op, NONE, types), fed(joins, operands)), under) == wanted


def test_a_gate_asks() -> None:
    joins = Joins()
    for operands, wanted in (("a -", "a: s & u"), ("one", "one: u"), ("- a one", "a: s & u, one: u")):
        gate = joins.toy.graph.add(Gate("t", GateKind.BOOL, 2, ("N",), YES), fed(joins, operands))
        assert asked(joins, gate, "s u") == wanted


T = Axis("T", Size.of(3))
WIDE, PLACES = TensorType(Dtype.F32, (N, T, Axis("C", Size.of(4)))), TensorType(Dtype.BOOL, (N, T))
FORMS = {
    "wide": WIDE, "flat": ROW, "rows": WIDE.with_axes((N, Axis(None, Size.of(1)), WIDE.axes[2])), "low": WIDE.with_axes(WIDE.axes[2:]),
    "places": WIDE.with_axes(WIDE.axes[:2]), "batchless": WIDE.with_axes(WIDE.axes[1:]),
}  # fmt: skip


class Placed:
    """Values of several forms, a gate `t` over positions and a gate `s` over the batch."""

    def __init__(self) -> None:
        self.toy = Toy()
        self.values = {name: self.toy.input(name, type) for name, type in FORMS.items()}
        self.values["t"] = self.toy.gate("t", self.values["wide"], type=PLACES)
        self.values["v"] = self.toy.gate("v", self.values["wide"], type=PLACES)
        self.values["s"] = self.toy.gate("s", self.values["wide"])
        self.literals = Literals.over(self.toy.graph.of(Gate), project=True)

    def of(self, node: Call | Merge | Gate, operands: str, under: str = "", lay: Lay = ()) -> str:
        guard = TRUE
        for gate in under.split():
            guard = self.literals.and_(guard, self.literals.taken(self.values[gate].node, 1))
        names = {value: name for name, value in self.values.items()}
        id = self.toy.graph.add(node, [None if name == "-" else self.values[name] for name in operands.split()])
        found = asks(self.toy.graph, OPS, self.literals, id, guard, lay)
        return ", ".join(
            f"{names[v]}: {said(self.literals, part)}{' at ' * bool(at)}{','.join(map(str, at))}"
            for v, part, at in found
        )


JOIN = Merge(SELECT, (1,), True, ((0, 1),), WIDE)
TWO = Merge(SELECT, (1, 1), True, ((0,), (0, 1)), WIDE)
THREE = Merge(SELECT, (1, 1, 1), True, ((0, 1), (0, 1), (0,)), WIDE, shares=True)
PICK = Merge(WEIGHTED, (1,), True, ((0, 1),), WIDE)


@pytest.mark.parametrize(
    ("node", "operands", "under", "lay", "wanted"),
    [
        (Call("f", NONE, (WIDE,)), "wide", "t", (0, 1), "wide: t at 0,1"),
        (Call("f", NONE, (WIDE,)), "wide", "s", (0, 1), "wide: s"),
        (Call("f", NONE, (WIDE,)), "wide", "t", (), "wide: some t1"),
        (Call("g", NONE, (WIDE,)), "wide rows", "t s", (0, 1), "wide: some t1 & s, rows: some t1 & s"),
        (Call("mix", NONE, (WIDE,)), "wide", "t", (0, 1), "wide: always"),
        (JOIN, "wide t rows", "", (), "t: always, wide: t at 0,1, rows: some t0"),
        (JOIN, "flat t low", "", (), "t: always, flat: some t1, low: always"),
        (JOIN, "wide t batchless", "s", (), "t: s, wide: t & s at 0,1, batchless: always"),
        (JOIN, "wide t wide", "t", (0, 2), "t: some t1, wide: t at 0,2, wide: t at 0,2"),
        (TWO, "wide wide s t rows", "", (), "s: always, wide: s, t: !s, wide: t & !s at 0,1, rows: some t0 & !s"),
        (PICK, "wide t wide places", "", (), "t: always, wide: t at 0,1, wide: !t at 0,1, places: always"),
        (THREE, "wide wide wide t v s rows - places", "", (),
         ("t: always, wide: t at 0,1, v: !t at 0,1, places: !t at 0,1, wide: !t & v at 0,1, s: some t0 & some v0, "
          "wide: !t & !v & s at 0,1, rows: some t0 & some v0 & !s")),
        (PICK, "wide t rows places", "t", (0, 1), "t: t at 0,1, wide: t at 0,1, rows: never, places: t at 0,1"),
        (Gate("z", GateKind.BOOL, 2, ("N", "T"), PLACES), "places", "t", (0, 1), "places: t at 0,1"),
        (Gate("z", GateKind.BOOL, 2, ("N", "T"), PLACES), "places", "t", (1, 0), "places: some t1"),
    ],
)  # fmt: skip
def test_what_is_asked_at_positions(
    node: Call | Merge | Gate, operands: str, under: str, lay: Lay, wanted: str
) -> None:
    assert Placed().of(node, operands, under, lay) == wanted
