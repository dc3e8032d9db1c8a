"""What a gate pools from rows that a skipped block did not change is not pooled again; everything else stays."""

import numpy as np
import pytest

from cogseedc.driver.program import load
from cogseedc.driver.structure import passed
from cogseedc.driver.timing import Timing
from cogseedc.interp import initial_weights, run
from cogseedc.ir import Call, Merge
from cogseedc.limits import Limits
from cogseedc.passes import PIPELINES, ReuseFeatures

SKIPS = """
export seed Skips {
    in  x: f32[N, C=8, H=4, W=4]
    out y: f32[N, K=3]
    a = when linear[1](pool(x)) > 0 { relu(x + conv2d[8, kernel=3, padding=1](x)) } else { x }
    b = when linear[1](pool(a)) > 0 { relu(a + conv2d[8, kernel=3, padding=1](a)) } else { a }
    c = when linear[1](pool(b)) > 0 { relu(b + conv2d[8, kernel=3, padding=1](b)) } else { b }
    y = linear[3](pool(c))
}
""".replace("pool(", "mean[over=(H, W)](")


def graphs(text):
    """The program with and without the pass, the rest of the pipeline being the same."""
    program = load(text)
    without = tuple(step for step in PIPELINES["inference"] if not isinstance(step, ReuseFeatures))
    return [
        passed(program.elaborated.graph, Limits(), steps, None, True, Timing())
        for steps in (without, PIPELINES["inference"])
    ]


def always(graph, op):
    """How many calls run for all rows."""
    wiring = graph.wiring()
    return sum(isinstance(n, Call) and n.op == op and not wiring.controls[i] for i, n in graph.nodes())


def test_along_skipped_blocks_each_row_is_pooled_where_it_changed():
    before, after = graphs(SKIPS)
    assert (always(before, "mean"), always(after, "mean")) == (4, 1)
    assert sum(isinstance(n, Call) and n.op == "mean" for _, n in after.nodes()) == 4
    assert always(after, "conv2d") == always(before, "conv2d") == 0


def test_the_same_numbers_come_out():
    before, after = graphs(SKIPS)
    x = np.random.default_rng(0).standard_normal((9, 8, 4, 4), np.float32)
    weights = initial_weights(before, 1)
    one, two = (run(graph, {"x": x}, weights) for graph in (before, after))
    np.testing.assert_allclose(one.outputs["y"], two.outputs["y"], rtol=1e-9)
    assert {n: a.tolist() for n, a in one.trace.items()} == {n: a.tolist() for n, a in two.trace.items()}


@pytest.mark.parametrize(
    ("what", "old", "new"),
    [
        ("is nowhere yet on an arm", "pool(x)", "(max[over=(H, W)](x))"),
        ("mixes the rows", "linear[3](pool(c))", "expand[N](linear[3](mean[over=(N, H, W)](c)))"),
        ("is as large as the join", "linear[3](pool(c))", "linear[3](pool(relu(c)))"),
    ],
)
def test_what_is_left_alone(what, old, new):
    pool = "mean[over=(H, W)]("
    text = SKIPS.replace(old.replace("pool(", pool), new.replace("pool(", pool))
    if what == "is nowhere yet on an arm":
        text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("b =", "c =")))
        text = text.replace(f"linear[3]({pool}c", f"linear[3]({pool}a")
    before, after = graphs(text)
    joins = [sum(isinstance(n, Merge) for _, n in g.nodes()) for g in (before, after)]
    added = {"is nowhere yet on an arm": 0, "mixes the rows": 2, "is as large as the join": 2}[what]
    assert joins[1] - joins[0] == added
