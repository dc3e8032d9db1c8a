"""The graph finds nodes by kind after any edit; sizes are the same where they are equal."""

from __future__ import annotations

import copy
import pickle

from cogseedc.ir import Call, Constant, Dtype, Gate, Graph, Node, NodeId, Output, Size, TensorType, Value
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
