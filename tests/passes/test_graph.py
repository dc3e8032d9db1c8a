"""The graph finds nodes by kind and edges after any edit; sizes and types are the same where they are equal."""

from __future__ import annotations

import copy
import pickle
import random

from cogseedc.ir import (
    Axis,
    Call,
    Constant,
    ControlEdge,
    Dtype,
    Gate,
    Graph,
    Node,
    NodeId,
    Output,
    Size,
    TensorType,
    Value,
)
from cogseedc.ir.nodes import Attrs, Input

ROW = TensorType(Dtype.F32)


def call(op: str) -> Call:
    return Call(op, Attrs(), (ROW,))


def kinds(graph: Graph) -> dict[type[Node], list[tuple[NodeId, Node]]]:
    return {kind: list(graph.of(kind)) for kind in (Input, Call, Constant, Gate, Output)}


def scanned(graph: Graph) -> dict[type[Node], list[tuple[NodeId, Node]]]:
    return {kind: [(id, n) for id, n in graph.nodes() if isinstance(n, kind)] for kind in kinds(graph)}


def test_nodes_of_a_kind_are_those_of_a_scan_after_every_edit() -> None:
    graph = Graph()
    x = graph.add(Input("x", ROW))
    a = graph.add(call("relu"), [Value(x)])
    b = graph.add(call("neg"), [Value(a)])
    graph.add(Output("y", ROW), [Value(b)])
    assert kinds(graph) == scanned(graph)
    before = graph.copy()
    graph.update(a, Constant(ROW, (1.0,)))
    assert [id for id, _ in graph.of(Constant)] == [a]
    assert kinds(graph) == scanned(graph)
    graph.update(b, Constant(ROW, (2.0,)))
    graph.update(a, call("exp"))
    assert kinds(graph) == scanned(graph), "in order of ids, whatever was edited last"
    graph.remove([b, b])
    assert kinds(graph) == scanned(graph)
    assert [id for id, _ in before.of(Call)] == [a, b], "a copy is its own"


def test_equal_sizes_are_one_object() -> None:
    n = Size.symbol("N")
    assert (n + 1) * 2 is 2 * n + 2
    assert n // 2 is (n + 0) // 2
    assert Size.of(3) + 0 is Size.of(1) * 3
    assert pickle.loads(pickle.dumps(n // 2)) is copy.deepcopy(n // 2) is n // 2


def edited(graph: Graph, choose: random.Random) -> None:
    """One edit of any kind."""
    ids = [id for id, _ in graph.nodes()]
    a, b = sorted(choose.sample(ids, 2))
    edges = list(graph.edges())
    match choose.randrange(6):
        case 0:
            graph.connect(ControlEdge(a, b, choose.randrange(2), choose.randrange(2)))
        case 1 if edges:
            graph.disconnect(choose.choice(edges))
        case 2:
            new = graph.add(call("neg"), [Value(a)])
            graph.redirect(Value(a), Value(new), frozenset([new]))
        case 3 if len(ids) > 4:
            graph.remove([b])
        case _:
            graph.add(call("add"), [Value(a), None, Value(b)])


def test_the_wiring_after_some_edits_is_that_of_the_same_graph_made_anew() -> None:
    choose = random.Random(5)
    graph = Graph()
    for i in range(4):
        graph.add(Input(f"x{i}", ROW))
    for _ in range(300):
        for _ in range(choose.randrange(1, 4)):
            edited(graph, choose)
        anew = Graph()
        for id in range(graph.next_id):
            anew.add(graph[NodeId(id)] if id in graph else call("neg"))
        for edge in graph.edges():
            anew.connect(edge)
        anew.remove([id for id, _ in anew.nodes() if id not in graph])
        made, found = anew.wiring(), graph.copy().wiring()
        assert found == graph.wiring()
        assert (found.ins, found.outs, found.controls, found.controlled) == (
            made.ins,
            made.outs,
            made.controls,
            made.controlled,
        )
        assert list(found.ins) == list(made.ins)
        assert found.order == made.order
        assert all(found.operands(id) == graph.feeds(id) for id in found.order)


def test_equal_types_are_one_object() -> None:
    row = TensorType(Dtype.F32, (Axis("N", Size.symbol("N")), Axis(None, Size.of(4))))
    assert row is TensorType(Dtype.F32, (Axis("N", Size.symbol("N")), Axis(None, Size.of(2) + 2)))
    assert row is not row.with_dtype(Dtype.F16)
    assert row is row.with_dtype(Dtype.F16).with_dtype(Dtype.F32)
    assert pickle.loads(pickle.dumps(row)) is copy.deepcopy(row) is row
