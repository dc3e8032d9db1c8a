"""Random inputs: integers stay within what they index, however they get there."""

from __future__ import annotations

from pathlib import Path

import pytest

import cogseedc
from cogseedc.ir import Input
from cogseedc.verify.indices import index_limit

HEAD = """\
export seed Net {
    in  id: i64[N]
    in  other: i64[N]
    in  x: f32[N, S=5, D=3]
    out y: f32[N, D]
    share embed = embedding[7, D=3]
"""
USES = {
    "unused": ("y = mean[over=S](x) * id", 4),
    "embedded": ("y = embed(id)", 7),
    "least": ("y = embed(id) + take[over=S](x, id)", 5),
    "an index of put": ("y = mean[over=S](embed(put[over=S](zeros[N, S=9, dtype=i64](), id, other)))", 9),
    "a value of put": ("y = mean[over=S](embed(put[over=S](zeros[N, S=9, dtype=i64](), other, id)))", 7),
    "a choice": ("y = embed(where(other > 2, id, 0))", 7),
    "an arm": ("y = embed(when other > 2 { 0 } else { id })", 7),
    "what is chosen from": ("y = embed(take[over=S](stack[into=S](id, other), other))", 7),
    "a condition": ("y = embed(where(id > 2, other, 0))", 4),
    "a carry": ("i, y = repeat 3 with i = id, y = zeros[N, D]() { next y = y + embed(i)  next i = 0 * i }", 7),
    "a carry of a later turn": (
        "i, j, y = repeat 3 with i = id, j = 0 * id, y = zeros[N, D]() { next y = y + embed(j)  next j = i  next i = 0 * i }",
        7,
    ),
    "captured": ("y = repeat 3 with y = zeros[N, D]() { next y = y + embed(id) }", 7),
    "behind a loop": (
        "i, y2 = repeat 3 with i = id, y2 = zeros[N, D]() { next y2 = y2 + 1 }\n    y = y2 + embed(i)",
        7,
    ),
    "yielded": ("i, c = repeat 2 with c = 0 { next c = c + 1  yield id }\n    y = embed(i)", 7),
    "an exit's": ("exit early { y = embed(id) } when other > 2\n    y = mean[over=S](x)", 7),
}


@pytest.mark.parametrize("use", USES)
def test_limit_of_an_index(use: str, tmp_path: Path) -> None:
    body, expected = USES[use]
    source = tmp_path / "net.seed"
    source.write_text(f"{HEAD}    {body}\n}}\n")
    graph = cogseedc.load(source).elaborated.graph
    id = next(id for id, node in graph.nodes() if isinstance(node, Input) and node.name == "id")
    assert index_limit(graph, id, {"N": 16}) == expected
