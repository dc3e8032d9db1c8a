"""Plans: blocks, spaces, joins and strategies of small programs; linear time on large ones."""

from __future__ import annotations

import cProfile
from pathlib import Path

import pytest

import cogseedc
from cogseedc.backends.plan import (
    ROOT,
    Accumulate,
    Enter,
    Join,
    Plan,
    Run,
    Slot,
    SpaceId,
    Step,
    Strategy,
    Take,
    Wrap,
    plan,
)
from cogseedc.backends.plan.exits import _free
from cogseedc.backends.plan.labels import labels
from cogseedc.backends.plan.model import at_positions
from cogseedc.backends.plan.reach import reach
from cogseedc.backends.plan.schedule import reads, writes
from cogseedc.backends.plan.spaces import Draft
from cogseedc.diagnostics import InternalError
from cogseedc.ir import (
    TRUE,
    Call,
    Constant,
    Exit,
    Gate,
    GateKind,
    Input,
    Knob,
    MergeMode,
    NodeId,
    Value,
    Weight,
)
from cogseedc.ops import OPS
from cogseedc.passes import PIPELINES, Context, run_pipeline
from cogseedc.target import load

from .programs import CPU, EDGE, Builder, planned, typed
from .test_pytorch import CASES, exits, experts, images, nested, random_program, route, uniform


def spaces_of(plan: Plan) -> list[str]:
    return [plan.spaces[b.space].name for b in plan.blocks]


def steps_of(plan: Plan, kind: type[Step]) -> list[Step]:
    return [step for block in plan.blocks for step in block.steps if isinstance(step, kind)]


def well_formed(found: Plan) -> None:
    """Everything is computed before it is read, in the space where it is read."""
    there = {Slot(id, 0, ROOT) for id, node in found.graph.nodes() if isinstance(node, (Input, Weight, Knob, Constant))}
    entered = {ROOT}
    for block in found.blocks:
        before = set(there)
        assert block.space in entered
        for step in block.steps:
            asked = (
                [c.decision for term in found.spaces[step.space].terms for c in term]
                if isinstance(step, Enter)
                else reads(step)
            )
            for slot in asked:
                assert slot in there, (block.id, step, slot)
            if isinstance(step, Enter):
                assert found.spaces[step.space].parent == block.space
                entered.add(step.space)
            if isinstance(step, Run):
                batched = [s for s in step.inputs if s and found.graph.type(Value(s.node, s.port)).batch is not None]
                assert all(s.space == block.space for s in batched)
            for slot in writes(step):
                assert slot not in there
                there.add(slot)
        assert set(block.reads) <= before
    for block in found.blocks:
        for other in found.blocks:
            if other.id != block.id:
                assert not {s for s in other.reads if any(s in writes(t) for t in block.steps)} - set(block.gives)


@pytest.mark.parametrize("case", CASES)
def test_plans_are_well_formed(case: str) -> None:
    for gates, target in (("compact", CPU), ("auto", CPU), ("dense", CPU), ("branch", EDGE)):
        well_formed(planned(CASES[case](), gates, target))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(30))
def test_random_plans_are_well_formed(seed: int) -> None:
    for gates, target in (("compact", CPU), ("branch", EDGE)):
        well_formed(planned(random_program(seed), gates, target))  # type: ignore[arg-type]


def test_exits_give_one_block_each() -> None:
    found = planned(exits())
    assert spaces_of(found) == ["all", "not_exit0", "not_exit1", "all"]
    (join,) = steps_of(found, Join)
    assert isinstance(join, Join)
    assert join.base is not None
    assert join.base.space == ROOT
    assert [found.spaces[w.value.space].name for w in join.writes] == ["not_exit0", "not_exit1"]
    takes = [s for s in steps_of(found, Take) if isinstance(s, Take)]
    assert len(takes) == 2  # only the trunk's value moves down


def test_a_skipped_layer_is_written_over_its_input() -> None:
    found = planned(images())
    joins = steps_of(found, Join)
    assert len(joins) == 3
    assert all(isinstance(j, Join) and j.base is not None and len(j.writes) == 1 for j in joins)


def test_experts_are_added() -> None:
    found = planned(experts())
    assert len(steps_of(found, Accumulate)) == 2
    assert not steps_of(planned(experts(MergeMode.MEAN)), Accumulate)


def test_arms_that_are_chosen_never_wait_for_each_other() -> None:
    found = planned(route())
    assert [spaces_of(found)[0], spaces_of(found)[-1]] == ["all", "all"]
    assert set(spaces_of(found)[1:-1]) == {"pick_0", "pick_2"}


def test_dense_plans_have_one_block() -> None:
    found = planned(nested(), "dense")
    assert (len(found.blocks), len(found.spaces)) == (1, 1)
    trained = plan(exits().ready(True), CPU, training=True)
    assert len(trained.blocks) == 1
    assert [name for name, _ in trained.exits] == ["exit0", "exit1"]
    assert [name for name, _ in trained.exits[0][1]] == ["logits"]


def test_strategies() -> None:
    assert {r.strategy for r in planned(uniform(), "compact").gates} == {"branch", "compact"}
    assert {r.strategy for r in planned(nested(), "branch", EDGE).gates} == {"branch"}
    assert {r.strategy for r in planned(uniform(), "branch").gates} == {"branch", "dense"}  # rows differ: no one branch
    tiny = planned(nested(), "auto")
    assert {r.strategy for r in tiny.gates} == {"dense"}
    assert all(dict(r.predicted)["dense"] < dict(r.predicted)["compact"] for r in tiny.gates)
    assert {r.strategy for r in planned(nested(), "auto", EDGE).gates} == {"branch"}


def test_heavy_arms_are_compacted() -> None:
    b = Builder()
    x = b.input("image", "N", 64, 32, 32)
    g = b.gate("g", b.call("gt", b.score(b.call("mean", x, over=(2, 3))), b.constant(0.0)))
    body = b.call("conv2d", x, b.weight("w", 64, 64, 3, 3), b.weight("b", 64), kernel=3, padding=1)
    b.output(b.when(g, body, x))
    (report,) = planned(b, "auto").gates
    assert report.strategy == "compact"
    assert dict(report.predicted)["compact"] < dict(report.predicted)["dense"]


def test_wraps() -> None:
    cpu, cuda = load("onnx-cpu"), load("onnx-cuda")
    assert {b.wrap for b in planned(exits(), "compact", cpu).blocks} == {Wrap.NONE}
    assert [b.wrap for b in planned(exits(), "compact", cuda).blocks] == [Wrap.NONE, Wrap.ANY, Wrap.ANY, Wrap.NONE]
    branches = planned(exits(), "branch", EDGE)
    assert {s.strategy for s in branches.spaces[1:]} == {Strategy.BRANCH}
    assert [b.wrap for b in branches.blocks] == [Wrap.NONE, Wrap.CONDITION, Wrap.CONDITION, Wrap.NONE]


def test_space_names_are_unique_identifiers() -> None:
    for case in CASES.values():
        names = [s.name for s in planned(case()).spaces]
        assert len(set(names)) == len(names)
        assert all(f"_{n}".isidentifier() for n in names)


def test_exit_markers_are_refused() -> None:
    b = Builder()
    x = b.input()
    b.output(x)
    b.graph.add(Exit("e", "", 0, ("N",), typed("N")))
    with pytest.raises(InternalError):
        plan(b.graph, CPU)


def test_plans_are_equal_for_equal_graphs() -> None:
    assert planned(random_program(3)).blocks == planned(random_program(3)).blocks


def test_long_chains_take_linear_work() -> None:
    def calls(count: int) -> int:
        b = Builder()
        x = b.input()
        for i in range(count):
            x = b.when(b.above(f"g{i}", x), b.layer(x, f"a{i}"), x)
        b.output(x)
        graph = b.ready()
        profile = cProfile.Profile()
        profile.runcall(plan, graph, CPU, "compact")
        return sum(entry.callcount for entry in profile.getstats())

    calls(10)
    assert calls(800) < 10 * calls(100)


def both_arms() -> Builder:
    """Two arms of one decision, and an arm inside of one of them."""
    b = Builder()
    x = b.input("x", "N", 8)
    big = b.above("big", x)
    a, c = b.layer(x, "a", 8), b.layer(x, "c", 8)
    inner = b.above("inner", x, column=1)
    b.output(b.when(big, b.when(inner, b.layer(a, "d", 8), b.layer(a, "e", 8)), c))
    return b


def test_two_arms_are_the_sides_of_one_if() -> None:
    found = planned(both_arms(), "branch", EDGE)
    sides = [found.spaces[b.space].name for b in found.blocks if b.otherwise]
    assert sides == ["big"], "an arm inside may be run by none of both"


def test_a_light_arm_is_computed_for_all_rows() -> None:
    b = Builder()
    x = b.input("x", "N", 256)
    big = b.above("big", x)
    b.output(b.when(big, b.score(b.layer(b.layer(x, "a", 2048), "b", 256)), b.call("neg", b.score(x))))
    plan = planned(b, "auto", load("onnx-cpu"))
    assert [report.strategy for report in plan.gates] == ["compact"]
    assert [space.name for space in plan.spaces] == ["all", "big"]
    assert [space.name for space in planned(b, "compact", load("onnx-cpu")).spaces] == ["all", "big", "not_big"]


def test_what_nobody_reads_is_not_planned() -> None:
    """And losses where it is trained only."""
    b = Builder()
    x = b.input()
    b.loss(b.call("mean", b.call("square", x), over=(0, 1)), "spent")
    b.layer(b.layer(x, "a"), "b")
    b.output(b.call("neg", x))
    assert ran(plan(b.graph, CPU)) == ["neg"]
    assert sorted(ran(plan(b.graph, CPU, training=True))) == ["mean", "neg", "square"]


def ran(found: Plan) -> list[str]:
    """The operations of a plan, in order."""
    nodes = [found.graph[step.node] for step in steps_of(found, Run) if isinstance(step, Run)]
    return [node.op for node in nodes if isinstance(node, Call)]


def test_names_of_spaces() -> None:
    """What is no letter becomes `_`; a name that another space has gets the first number that is free."""
    b = Builder()
    x = b.input("x", "N", 4)
    for name in ("a.b", "a_b", "a_b_2", "a.b.2", "a-b", "?", "a_b_1"):
        b.above(name, x)
    one = b.one("one", x)
    many, _ = b.many("some", x, 2)
    bools = [id for id, node in b.graph.of(Gate) if node.kind is GateKind.BOOL]

    def named(*conditions: tuple[NodeId, tuple[int, ...], bool]) -> list[str]:
        drafts = [Draft(SpaceId(i), ROOT, Strategy.COMPACT, TRUE, ((c,),), 1) for i, c in enumerate(conditions)]
        return labels(b.graph, drafts)

    assert named(*((id, (1,), False) for id in bools)) == [
        "a_b",
        "a_b_2",
        "a_b_2_2",
        "a_b_2_3",
        "a_b_3",
        "gate",
        "a_b_1",
    ]
    assert named(*((id, (1,), False) for id in reversed(bools))) == [
        "a_b_1", "gate", "a_b", "a_b_2", "a_b_2_2", "a_b_3", "a_b_4",
    ]  # fmt: skip
    assert named((bools[1], (0,), False), (one.node, (0, 2), False)) == ["not_a_b", "one_0_2"]
    assert named((many.node, (1,), False), (many.node, (1,), True)) == ["some_1", "not_some_1"]


def test_bits_are_in_the_order_in_which_gates_decide() -> None:
    """Where gates over channels ask what other gates choose, the second sweep has them behind these."""
    program = cogseedc.load(Path(__file__).parents[2] / "examples" / "50_gater.seed")
    graph = program.elaborated.graph.copy()
    run_pipeline(graph, PIPELINES["inference"], Context(OPS))
    first = graph.wiring().order
    found = reach(graph, first, OPS, False, False, True)
    gates = [id for id in found.order if id in found.literals.gates]
    assert gates == [id for id in found.literals.gates if id >= 0]
    assert gates != [id for id in first if id in found.literals.gates]


def test_values_of_one_exit_have_names_of_their_own() -> None:
    slot = Slot(Value(0).node, 0, ROOT)
    assert [_free("y", dict.fromkeys(taken, slot)) for taken in ((), ("x",), ("y",), ("y", "y_2"))] == [
        "y",
        "y",
        "y_2",
        "y_3",
    ]


@pytest.mark.parametrize(
    ("elements", "result", "folded"),
    [
        ("x in xs", "tanh(x * w)", True),
        ("x in xs", "tanh(x * c)", False),  # what it reads beside has rows of its own
        ("x, t in (xs, table)", "tanh(x * t)", False),  # an element without rows
        ("x, t in (xs, xs)", "tanh(x * t)", True),
    ],
)
def test_scans_that_run_all_turns_at_once(elements: str, result: str, folded: bool) -> None:
    text = f"""export seed Net {{
        in xs: f32[N, T=5, D=4]
        in table: f32[T=5, D=4]
        in c: f32[N, D]
        out ys: f32[N, T, D]
        param w: f32[D=4] = ones()
        ys = scan {elements} over T {{ yield {result} }}
    }}"""
    graph = cogseedc.load(text).elaborated.graph
    (loop,) = plan(graph, load("onnx-cpu"), "compact").loops.values()
    assert loop.folded is folded


def test_a_scan_that_carries_something_runs_turn_by_turn() -> None:
    text = """export seed Net {
        in xs: f32[N, T=5, D=4]
        in c: f32[N, D]
        out ys: f32[N, T, D]
        ys, y = scan x in xs over T with y = c { next y = tanh(y + x)  yield y * x }
    }"""
    (loop,) = plan(cogseedc.load(text).elaborated.graph, load("onnx-cpu"), "compact").loops.values()
    assert not loop.folded


@pytest.mark.parametrize(
    ("lay", "wanted"),
    [((), "6 N 4"), ((1,), "6 N 4"), ((1, 0), "1 N 4"), ((1, 2), "6 N 1"), ((1, -1), "6 N 4"), ((1, 0, 2), "1 N 1")],
)
def test_a_value_at_positions_has_one_along_their_axes(lay: tuple[int, ...], wanted: str) -> None:
    type = typed(6, "N", 4)
    assert " ".join(str(size) for size in at_positions(type, lay).shape) == wanted
