"""Choices that are no gates cannot be replayed: what hangs on one that could as well go the other way is no mismatch."""

from __future__ import annotations

import pytest

from cogseedc.verify import verify
from tests.frontend.building import graph_of
from tests.verify.fake import Artifact

CHOICES = {
    "index": "take[over=T](x, argmax({scores}))",
    "order": "take[over=T](x, select[1, 0](argsort[descending=true]({scores})))",
    "comparison": "where(max({scores}) > 4 + {shift}, max(x), min(x))",
    "rounding": "round(floor(2 * x[T=0]) / 2 + {shift})",
    "crop": "max(crop[2, over=T](x, unsqueeze[1](floor(2 * x[T=0]) / 5 - {shift})))",
    "in a loop": "z = scan e in x over T with z = zeros[N]() {{ next z = z + where(floor(e) > 1 - {shift}, e, -e) }}",
}


def program(choice: str, shift: str) -> str:
    """`shift` moves the choice."""
    text = CHOICES[choice].format(scores=f"(floor(4 * x) + {shift} * range[T]())", shift=shift)
    body = f"{text}\n    y = z" if text.startswith("z = ") else f"y = {text}"
    return f"export seed Net {{\n    in  x: f32[N, T=5]\n    out y: f32[N]\n    {body}\n}}\n"


@pytest.mark.parametrize("choice", CHOICES)
def test_a_choice_between_equals_may_go_either_way(choice: str) -> None:
    meaning = graph_of(program(choice, "0.0"))
    near, far = (verify(meaning, {}, Artifact(graph_of(program(choice, by)), {})) for by in ("0.000001", "1.6"))
    assert near.ok, near.to_text()
    assert "no gate" in near.to_text()
    assert {m.kind for m in far.mismatches} == {"value"}
