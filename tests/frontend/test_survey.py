"""Programs with many calls are counted before they are expanded, and mean what they meant."""

from __future__ import annotations

import cogseedc

PART = "seed Part {\nin x: f32[N, D]\nout y: f32[N, D]\ny = relu(x)\n}\n"
LOOP = """\
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    y = repeat 2 with h = 0.0 {
        first = Part(h)
        v0 = Part(x)
%s
        next h = v1499
    }
}
"""


def test_what_a_trial_of_types_told_is_forgotten() -> None:
    """The carry begins as a number: until its type is known, its first reader is wrong."""
    text = PART + LOOP % "\n".join(f"v{i} = Part(v{i - 1})" for i in range(1, 1500))
    (loop,) = (node for _, node in cogseedc.load(text).elaborated.graph.loops())
    assert sum(getattr(node, "op", "") == "relu" for _, node in loop.body.nodes()) == 1501
