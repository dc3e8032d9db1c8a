"""Where the axes of a decision over positions lie in the operands of a node, by where they lie in its results.

The law that what is computed for some positions is right is in `tests/laws/test_positions.py`; this is what is not given up.
"""

from __future__ import annotations

import pytest

from cogseedc.analysis import demand_at, guards
from cogseedc.analysis.demand import narrowed
from cogseedc.ir import (
    WHOLE,
    Axis,
    Call,
    Dtype,
    Gate,
    Graph,
    Guard,
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
from cogseedc.passes import Context, EliminateDeadSeeds
from tests.frontend.building import body, graph_of
from tests.passes.joins import said
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
    ("conv2d", "y = conv2d[8, kernel=(1, 3), padding=(0, 1)](x)", PIXELS, "N, C=8, H, W", (0, 2), ((0, 2), (), ())),
    ("conv2d", "y = conv2d[8, kernel=(1, 3), padding=(0, 1)](x)", PIXELS, "N, C=8, H, W", (0, 3), None),
    ("max_pool2d", "y = max_pool2d[1](x)", PIXELS, "N, C, H, W", (0, 2, 3), ((0, 2, 3),)),
    ("max_pool2d", "y = max_pool2d[1, stride=2](x)", PIXELS, "N, C, H2=3, W2=3", (0, 2, 3), None),
    ("attend", "y = attend(x, z, z)", f"{TOKENS}\n in z: f32[N, S=5, D]", "N, T, D", (0, 1), ((0, 1), WHOLE, WHOLE)),
    ("attend", "y = attend(x, z, z)", f"{TOKENS}\n in z: f32[N, S=5, D]", "N, T, D", (0, 2), None),
    ("attend", "y = attend(x, z, z, mask=m)", f"{TOKENS}\n in z: f32[N, S=5, D]\n in m: bool[N, T, S]", "N, T, D", (0, 1),
     ((0, 1), WHOLE, WHOLE, (0, 1))),
    ("attend", "y = attend(x, z, z, mask=m)", f"{TOKENS}\n in z: f32[N, S=5, D]\n in m: bool[T, S]", "N, T, D", (0, 1), None),
    ("attend", "y = attend(x, z, z, mask=m)", f"{TOKENS}\n in z: f32[N, S=5, D]\n in m: bool[S]", "N, T, D", (0, 1),
     ((0, 1), WHOLE, WHOLE, ())),
    ("attend", "y = attend(x, z, z, length=l)", f"{TOKENS}\n in z: f32[N, S=5, D]\n in l: i64[N]", "N, T, D", (0, 1),
     ((0, 1), WHOLE, WHOLE, (), WHOLE)),
    ("clamp", "y = clamp(x, high=x)", TOKENS, "N, T, D", (0, 1), ((0, 1), (), (0, 1))),
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


def test_an_arm_of_a_lower_rank_where_the_batch_is_not_first() -> None:
    toy, type = Toy(), TensorType(Dtype.F32, (Axis("K", Size.of(2)), *WHOLE_ROW))
    x, low = toy.input(type=type), toy.input("low", type=type.with_axes(WHOLE_ROW))
    gate = toy.gate("g", x, type=DECIDED)
    id = toy.graph.add(Merge(MergeMode.SELECT, (1,), True, ((1, 2),), type), [x, gate, low])
    assert laid(toy.graph, toy_ops, id, (1, 2)) == ((1, 2), (0, 1), (0, 1))
    assert laid(toy.graph, toy_ops, id, (1, 3)) == ((1, 3), (0, -1), (0, 2))


def test_which_decisions_of_a_join_are_followed() -> None:
    graph = graph_of(body(GATE, TOKENS, "y: f32[N, T, D]"))
    id = node(graph, "Merge")
    merge, gate, literals = graph[id], node(graph, "Gate"), Literals.over(graph.of(Gate))
    assert isinstance(merge, Merge)
    assert lay_of(literals, merge, graph.wiring().operands(id)) == (0, 1)
    assert follows(literals, merge, 0, gate, (0, 1))
    assert not follows(literals, merge, 0, gate, (0, 2))
    for literals in (Literals.over([]), Literals.over([(NodeId(99), graph[gate])])):
        assert not follows(literals, merge, 0, gate, (0, 1))
        assert lay_of(literals, merge, graph.wiring().operands(id)) == ()


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


G, S = "gate g over N, T = x[D=0] > 0\n ", "gate s over N = mean[over=D](x[T=0]) > 0\n "
H = "gate h over N, D = x[T=0] > 0\n "
NEEDED = [
    (G + "a = tanh(x)\n b = exp(a)\n y = when g { b } else { a }", "tanh: always, exp: g at 0,1"),
    (G + "a = tanh(x)\n y = when g { sigmoid(softmax[over=T](a)) } else { x }", "tanh: some g1, softmax: some g1, sigmoid: g at 0,1"),
    (G + "a = tanh(x)\n y = when g { a + softmax[over=T](a) } else { x }", "tanh: some g1, softmax: some g1, add: g at 0,1"),
    (G + "a = tanh(x)\n y = when g { permute[(N, T, D)](exp(permute[(N, D, T)](a))) } else { x }",
     "tanh: g at 0,1, permute: g at 0,2, exp: g at 0,2, permute: g at 0,1"),
    (G + H + "a = tanh(x)\n y = (when g { exp(a) } else { x }) + (when h { sin(a) } else { x })",
     "tanh: some g1 | some h1, exp: g at 0,1, sin: h at 0,2, add: always"),
    (G + "a = tanh(mean[over=N](x))\n y = when g { x + a } else { x }", "tanh: always, add: some g1"),
    (G + S + "a = tanh(x)\n y = when s { when g { exp(a) } else { sin(a) } } else { x }",
     "tanh: s, exp: g & s at 0,1, sin: !g & s at 0,1"),
    (G + S + "a = tanh(x)\n y = when g { when s { exp(a) } else { x } } else { x }", "tanh: g & s at 0,1, exp: g & s at 0,1"),
    (G + "a = tanh(x)\n b = exp(a)\n gate k over N, T = b[D=0] > 0\n y = when g { when k { sin(b) } else { x } } else { x }",
     "tanh: g at 0,1, exp: g at 0,1, select: g at 0,1, gt: g at 0,1, sin: g & k at 0,1"),
]  # fmt: skip


@pytest.mark.parametrize(("statements", "wanted"), NEEDED)
def test_where_each_call_is_needed(statements: str, wanted: str) -> None:
    """Of all that is computed behind the gates; and the same where control edges say what they can."""
    graph = graph_of(body(statements, TOKENS, "y: f32[N, T, D]"))
    first = next(id for id, call in graph.of(Call) if call.op == "tanh")
    literals = Literals.over(graph.of(Gate), project=True)
    assert placed(graph, literals, first, *demand_at(graph, OPS, literals)) == wanted
    EliminateDeadSeeds().run(graph, Context(OPS))
    assert (
        placed(graph, literals, first, *narrowed(graph, OPS, literals, guards(graph, literals), training=False))
        == wanted
    )


def placed(graph: Graph, literals: Literals, first: NodeId, found: dict[NodeId, Guard], lays: dict[NodeId, Lay]) -> str:
    calls = [(id, call.op) for id, call in graph.of(Call) if id >= first]
    at = {id: f" at {','.join(map(str, lay))}" for id, lay in lays.items()}
    return ", ".join(f"{op}: {said(literals, found[id])}{at.get(id, '')}" for id, op in calls if not found[id].never)
