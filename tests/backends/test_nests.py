"""Far down a chain of exits, what finds rows and asks whether there are any is skipped together."""

from __future__ import annotations

import sys
from dataclasses import replace
from math import inf
from pathlib import Path

import numpy as np
import onnx
import pytest

import cogseedc
from cogseedc.backends.plan import ROOT, Gates, Join, Nest, Plan, Wrap
from cogseedc.backends.plan.nests import DEPTH, nests
from cogseedc.driver.compile import Request, lowered, prepared
from cogseedc.driver.timing import Timing
from cogseedc.source import Source
from cogseedc.target import Profile, Target, load
from tests.fuzz.checks import Extent, check
from tests.fuzz.executors import EVERY

CHAIN = """\
export seed Chain[steps: int = 12] {
    in  x: f32[N, C=8]
    in  last: i64[N]
    out y: f32[N, K=3]
    h, z = for i in 0 .. steps with h = x, z = zeros[N, K]() {
        s = tanh(linear[8](h))
        z = linear[K](s)
        exit over { y = z } when last <= i
        exit sure { y = z } when confidence(z) >= 0.9
        next h = s
        next z = z
    }
    y = z
}
"""

FIRST = {
    (12, "onnx-cpu"): [1, 2, 3, 4, 6, 9, 15],
    (40, "onnx-cpu"): [1, 2, 3, 6, 11, 21, 41],
    (40, "onnx-cuda"): [1, 2, 4, 7, 12, 22, 42],
    (100, "onnx-edge"): [1, 3, 7, 14, 27, 52, 102],
}
"""Where the nests of a chain of so many steps begin."""


def chain(steps: int, name: str = "onnx-cpu", profile: Profile | None = None) -> Plan:
    return planned(CHAIN, replace(load(name), profile=profile), "auto", steps=steps)


def planned(source: str, target: Target, gates: Gates | None = None, **settings: int) -> Plan:
    """The plan of a program: of rows that are taken, if `gates` says nothing else, or of real branches."""
    ways = gates or ("branch" if target.batch_one else "compact")
    program, weights = prepared(cogseedc.load(Source("net.seed", source), set=settings), Request(), Timing())
    return lowered(program, weights, target, Request(gates=ways), Timing()).plan


@pytest.mark.parametrize("name", ["onnx-cpu", "onnx-edge"])
def test_blocks_of_a_nest_are_in_its_space(name: str) -> None:
    found = chain(40, name)
    assert 3 < len(found.nests) <= DEPTH
    around = Nest(-1, len(found.blocks), ROOT)
    for nest in found.nests:
        assert around.first < nest.first < nest.stop - 1 < around.stop
        assert nest.space != around.space
        around = nest
        for block in found.blocks[nest.first : nest.stop]:
            above = block.space
            while above != nest.space:
                parent = found.spaces[above].parent
                assert parent is not None
                above = parent


@pytest.mark.parametrize(("steps", "name"), FIRST)
def test_stretches_grow_by_two(steps: int, name: str) -> None:
    plan = chain(steps, name)
    assert [nest.first for nest in plan.nests] == FIRST[steps, name]
    assert {nest.stop for nest in plan.nests} == {len(plan.blocks) - 1}


def test_a_chain_that_all_samples_go_through_has_none() -> None:
    rates = tuple((f"{kind}.{i}", (1.0, 0.0)) for kind in ("over", "sure") for i in range(40))
    assert not chain(40, profile=Profile(32, rates)).nests


@pytest.mark.parametrize("name", ["onnx-cpu", "onnx-edge"])
def test_who_leaves_at_once_waits_for_few_operations(tmp_path: Path, name: str) -> None:
    """The operations that are run whoever is left do not grow with the chain's length; nor does what its `if` yields,
    though the trace wants all decisions."""
    program = cogseedc.load(Source("chain.seed", CHAIN), set={"steps": 100})
    built = cogseedc.compile(program, name, tmp_path / "built")
    (model,) = tmp_path.glob("built*/**/model.onnx")
    nodes = onnx.load(model).graph.node
    assert len(nodes) < 40
    assert max(len(node.output) for node in nodes) < 4
    batch = 1 if name == "onnx-edge" else 5
    x = np.random.default_rng(0).standard_normal((batch, 8)).astype(np.float32)
    session = cogseedc.open(built)
    for last in (0, 3, 50, 200):
        held = session.run({"x": x, "last": np.full(batch, last)}, trace=True)
        reached = sum(int(np.any(arms >= 0)) for arms in held.trace.values())
        assert reached <= 2 * last + 1 + (last == 0)


def test_arms_of_one_value_are_written_once() -> None:
    """`over` and `sure` give the same logits: who leaves by the second has them from the first."""
    joins = [step for block in chain(12).blocks for step in block.steps if isinstance(step, Join)]
    assert [len(join.writes) for join in joins] == [11]


WRAPPED = """\
export seed Wrapped {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate go over N = x[D=0] > 0
    y = when go { WORK } else { x }
}
"""
LAYER = "tanh(linear[D=4](x))"
LOOP = "repeat 40 with h = x { next h = tanh(linear[D=4](h)) }"


@pytest.mark.parametrize(
    ("work", "name", "wrap_us", "wrap"),
    [
        (LAYER, "onnx-cpu", 6, Wrap.NONE),  # half of the samples save three operations of eight microseconds
        (LAYER, "onnx-cpu", 5.9, Wrap.ANY),
        (LAYER, "onnx-edge", 6, Wrap.NONE),
        (LOOP, "onnx-cpu", 1e9, Wrap.NONE),
        (LOOP, "onnx-edge", 1e9, Wrap.ANY),  # its turns count on the one sample
    ],
)
def test_blocks_that_are_skipped_when_they_have_no_row(work: str, name: str, wrap_us: float, wrap: Wrap) -> None:
    costs = replace(load(name).costs, empty_us=8, wrap_us=wrap_us)
    found = planned(WRAPPED.replace("WORK", work), replace(load(name), costs=costs), "compact")
    assert [block.wrap for block in found.blocks] == [Wrap.NONE, wrap, Wrap.NONE]


LAYERS = """\
        h = for i in 0 .. 3 with h = x {
            gate more over N = h[C=1] > i
            next h = when more { tanh(linear[C=8](h)) } else { h }
        }
        yield tanh(linear[C=8](h))
"""
SIDES = f"""\
export seed Sides {{
    in  x: f32[N, C=8]
    out y: f32[N, C]
    gate big over N = x[C=0] > 0
    y = when big {{
{LAYERS}    }} else {{
{LAYERS}    }}
}}
"""


def test_no_side_of_an_if_with_two_lies_in_a_nest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[nests.__module__], "MARGIN", -inf)
    found = planned(SIDES, load("onnx-edge"))
    assert [block.id for block in found.blocks if block.otherwise] == [11]
    assert [(nest.first, nest.stop) for nest in found.nests] == [(4, 6), (6, 8), (8, 10)]


INNER = """\
export seed Inner {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    gate go over N = x[D=0] > 0
    y = when go {
        a = tanh(linear[D=4](x))
        gate inner over N = a[D=0] > 0
        yield when inner { exp(a) } else { a }
    } else { x }
}
"""


def test_blocks_are_skipped_together_where_that_saves_twice_what_an_if_takes() -> None:
    """Half of the samples leave. On no row: `x` and `a` are taken, five operations run, and rows are found by two."""
    saved = 0.5 * 8 * (2 + 5 + 2)
    for wrap_us, wanted in ((saved / 2, []), (saved / 2 - 0.1, [(1, 4)])):
        costs = replace(load("onnx-cpu").costs, empty_us=8, wrap_us=wrap_us)
        found = planned(INNER, replace(load("onnx-cpu"), costs=costs))
        assert [(nest.first, nest.stop) for nest in found.nests] == wanted


@pytest.mark.parametrize("name", ["rows_behind_a_nest", "small_arms", "011"])
def test_nests_wherever_they_can_be(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether they pay or not, values, decisions and rows are the same."""
    monkeypatch.setattr(sys.modules[nests.__module__], "MARGIN", -inf)
    text = (Path(__file__).parents[1] / "regress" / f"{name}.seed").read_text()
    ways = tuple(way for way in EVERY if way.target.startswith("onnx"))
    check(text, int(text.split("\n", 1)[0].removeprefix("# run: ")), Extent(ways, each=False, orders=0, printing=False))
