"""Where the axes of a decision over positions lie in the operands of a node, by where they lie in its results.

The law that what is computed for some positions is right is in `tests/laws/test_positions.py`; this is what is not given up.
"""

from __future__ import annotations

import pytest

from cogseedc.analysis import demand_at
from cogseedc.ir import (
    WHOLE,
    Axis,
    Call,
    Dtype,
    Gate,
    Graph,
    Lay,
    Literals,
    Merge,
    MergeMode,
    NodeId,
    Size,
    TensorType,
    laid,
)
from cogseedc.ir.transfer import follows, lay_of
from cogseedc.ops import OPS
from tests.frontend.building import body, graph_of
from tests.passes.toy import OPS as toy_ops
from tests.passes.toy import N, Toy

TOKENS, PIXELS = "x: f32[N, T=6, D=4]", "x: f32[N, C=3, H=6, W=6]"
GATE = "gate g over N, T = x[D=0] > 0\n y = when g { relu(x) } else { x }"
ROUTE = "gate g over N, T = top[2](linear[E=3](x))\n y = route g { e in 0 .. 3 => linear[4](x) }"
LAST = "gate g over N, D = mean[over=T](x) > 0\n y = when g { relu(x) } else { x }"
SCALE = "gate g over N, T = x[D=0] > 0\n y = when g { relu(x) } else { 0.5 }"


def node(graph: Graph, kind: str) -> NodeId:
    found = [id for id, n in graph.nodes() if (n.op if isinstance(n, Call) else type(n).__name__) == kind]
    return found[-1]


CASES: list[tuple[str, str, str, str, Lay, tuple[Lay, ...] | None]] = [
    ("relu", "y = relu(x)", TOKENS, "N, T, D", (0, 1), ((0, 1),)),
    ("relu", "y = relu(x)", TOKENS, "N, T, D", (0, 2, 1), ((0, 2, 1),)),
    ("relu", "y = relu(x)", TOKENS, "N, T, D", (0, 3), None),
    ("relu", "y = relu(x)", TOKENS, "N, T, D", (1, 2), None),
    ("add", "y = add(x, s)", f"{TOKENS}\n in s: f32[N, D]", "N, T, D", (0, 1), ((0, 1), (0, -1))),
    ("add", "y = add(x, s)", f"{TOKENS}\n in s: f32[N, D]", "N, T, D", (0, 1, 2), ((0, 1, 2), (0, -1, 2))),
    ("add", "y = add(x, w)", f"{TOKENS}\n in w: f32[T, D]", "N, T, D", (0, 1), None),  # of w all samples have the same rows
    ("add", "y = add(x, w)", f"{TOKENS}\n in w: f32[D]", "N, T, D", (0, 1), ((0, 1), ())),
    ("linear", "y = linear[8](x)", TOKENS, "N, T, D=8", (0, 1), ((0, 1), (), ())),
    ("linear", "y = linear[8](x)", TOKENS, "N, T, D=8", (0, 2), None),
    ("softmax", "y = softmax[over=D](x)", TOKENS, "N, T, D", (0, 1), ((0, 1),)),
    ("softmax", "y = softmax[over=D](x)", TOKENS, "N, T, D", (0, 1, 2), None),
    ("permute", "y = permute[(N, D, T)](x)", TOKENS, "N, D, T", (0, 2), ((0, 1),)),
    ("permute", "y = permute[(N, D, T)](x)", TOKENS, "N, D, T", (0, 1, 2), ((0, 2, 1),)),
    ("mean", "y = mean[over=T](x)", TOKENS, "N, D", (0, 1), ((0, 2),)),
    ("cumsum", "y = cumsum[over=T](x)", TOKENS, "N, T, D", (0, 1), None),
    ("cumsum", "y = cumsum[over=T](x)", TOKENS, "N, T, D", (0, 2), ((0, 2),)),
    ("expand", "y = expand[T=6](x)", "x: f32[N, D=4]", "N, T, D", (0, 1), None),
    ("matmul", "y = matmul(x, z)", f"{TOKENS}\n in z: f32[N, D, E=5]", "N, T, E", (0, 1), None),
    ("embedding", "y = embedding[10, D=4](x)", "x: i64[N, T=6]", "N, T, D", (0, 1), ((0, 1), ())),
    ("conv2d", "y = conv2d[8, kernel=1](x)", PIXELS, "N, C=8, H, W", (0, 2, 3), ((0, 2, 3), (), ())),
    ("conv2d", "y = conv2d[8, kernel=3, padding=1](x)", PIXELS, "N, C=8, H, W", (0, 2, 3), None),
    ("max_pool2d", "y = max_pool2d[1](x)", PIXELS, "N, C, H, W", (0, 2, 3), ((0, 2, 3),)),
    ("max_pool2d", "y = max_pool2d[1, stride=2](x)", PIXELS, "N, C, H2=3, W2=3", (0, 2, 3), None),
    ("attend", "y = attend(x, z, z)", f"{TOKENS}\n in z: f32[N, S=5, D]", "N, T, D", (0, 1), ((0, 1), WHOLE, WHOLE)),
    ("attend", "y = attend(x, z, z)", f"{TOKENS}\n in z: f32[N, S=5, D]", "N, T, D", (0, 2), None),
    ("Gate", GATE, TOKENS, "N, T, D", (0, 1), ((0, 1),)),
    ("Gate", GATE, TOKENS, "N, T, D", (1, 0), None),
    ("Merge", GATE, TOKENS, "N, T, D", (0, 1), ((0, 1), (0, 1), (0, 1))),
    ("Merge", GATE, TOKENS, "N, T, D", (0, 2), ((0, 2), (0, -1), (0, 2))),
    ("Merge", LAST, TOKENS, "N, T, D", (0, 1), ((0, 1), (0, -1), (0, 1))),
    ("Merge", LAST, TOKENS, "N, T, D", (0, 1, 2), ((0, 1, 2), (0, -1, 1), (0, 1, 2))),
    ("Merge", SCALE, TOKENS, "N, T, D", (0, 1), ((0, 1), (0, 1), (0, 1))),
    ("Merge", ROUTE, TOKENS, "N, T, D", (0, 1), ((0, 1),) * 7),
    ("Merge", ROUTE, TOKENS, "N, T, D", (0, 2), ((0, 2),) * 3 + ((0, -1),) * 4),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "statements", "inputs", "output", "lay", "wanted"), CASES)
def test_lays(kind: str, statements: str, inputs: str, output: str, lay: Lay, wanted: tuple[Lay, ...] | None) -> None:
    graph = graph_of(body(statements, inputs, f"y: f32[{output}]"))
    assert laid(graph, OPS, node(graph, kind), lay) == wanted


WHOLE_ROW = (N, Axis("T", Size.of(3)), Axis("C", Size.of(4)))
DECIDED = TensorType(Dtype.BOOL, WHOLE_ROW[:2])


@pytest.mark.parametrize(
    ("axes", "lay", "wanted"),
    [
        (WHOLE_ROW[2:], (0, 1), ()),
        (WHOLE_ROW[2:], (0, 2), None),  # it has the axis, but no rows
        (WHOLE_ROW[1:], (0, 1), None),
        ((Axis(None, Size.of(1)), *WHOLE_ROW[2:]), (0, 1), ()),
        ((N, Axis(None, Size.of(1)), *WHOLE_ROW[2:]), (0, 1), (0, -1)),
        (WHOLE_ROW, (0, 1), (0, 1)),
    ],
)
def test_an_arm_of_a_lower_rank(axes: tuple[Axis, ...], lay: Lay, wanted: Lay | None) -> None:
    toy = Toy()
    x = toy.input(type=TensorType(Dtype.F32, WHOLE_ROW))
    low = toy.input("low", type=TensorType(Dtype.F32, axes))
    gate = toy.gate("g", x, type=DECIDED)
    join = Merge(MergeMode.SELECT, (1,), True, ((0, 1),), toy.graph.type(x))
    id = toy.graph.add(join, [x, gate, low])
    found = laid(toy.graph, toy_ops, id, lay)
    assert (None if found is None else found[2]) == wanted


def test_which_decisions_of_a_join_are_followed() -> None:
    graph = graph_of(body(GATE, TOKENS, "y: f32[N, T, D]"))
    id = node(graph, "Merge")
    merge, gate, literals = graph[id], node(graph, "Gate"), Literals.over(graph.of(Gate))
    assert isinstance(merge, Merge)
    assert lay_of(literals, merge, graph.wiring().operands(id)) == (0, 1)
    assert follows(literals, merge, 0, gate, (0, 1))
    assert not follows(literals, merge, 0, gate, (0, 2))
    assert not follows(Literals.over([]), merge, 0, gate, (0, 1))
    assert lay_of(Literals.over([]), merge, graph.wiring().operands(id)) == ()


TWO = """gate g over N, T = x[D=0] > 0
 a = linear[4](x)
 b = tanh(a)
 c = sigmoid(b + mean[over=T](exp(a)))
 y = when g { c } else { relu(x) }"""


def test_what_is_needed_at_which_positions() -> None:
    graph = graph_of(body(TWO, TOKENS, "y: f32[N, T, D]"))
    literals = Literals.over(graph.of(Gate))
    found, lays = demand_at(graph, OPS, literals)
    gate = node(graph, "Gate")
    taken, not_taken = literals.taken(gate, 1), literals.not_taken(gate, 1)
    for kind in ("sigmoid", "add", "tanh"):
        assert (found[node(graph, kind)], lays[node(graph, kind)]) == (taken, (0, 1)), kind
    assert (found[node(graph, "relu")], lays[node(graph, "relu")]) == (not_taken, (0, 1))
    for kind in ("linear", "exp", "mean"):
        assert found[node(graph, kind)].always, f"{kind} is read at all positions"
        assert node(graph, kind) not in lays
