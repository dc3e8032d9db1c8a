"""What is said of the word at a place, which is marked by `¦`."""

from __future__ import annotations

import pytest

from cogseedc.driver.program import Examined, Settings, examine
from cogseedc.lsp import lookup
from cogseedc.source import Source

TEXT = """\
const WIDE = 8
## A layer and an activation.
seed Part[width: int] {
    in  x: f32[N, D]
    out y: f32[N, width]
    y = x |> linear[width] |> relu
}
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, K=2]
    ## How sure a sample must be.
    knob tau = 0.5 in 0 .. 1
    h = x |> Part[WIDE]
    gate easy over N = mean(h) > tau
    y = when easy { t = Part[3](h)  yield linear[K](t) } else { linear[K](h) }
}
"""


def at(mark: str) -> tuple[Examined, int]:
    assert TEXT.count(mark.replace("¦", "")) >= 1
    offset = TEXT.index(mark.replace("¦", "")) + mark.index("¦")
    return examine(Source("net.seed", TEXT), Settings()), offset


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("h =¦ x", ""),
        ("¦h = x", "```seed\nh: f32[N, 8]\n```"),
        ("mean(h¦)", "```seed\nh: f32[N, 8]\n```"),
        ("linear[K](t¦)", "```seed\nt: f32[N, 3]\n```"),
        ("when ea¦sy", "```seed\neasy: bool[N]\n```"),
        ("y = x |> linear[width] |> rel¦u", "```seed\nrelu(x)\n```\nmax(x, 0)"),
        ("¦y = x |> linear", "```seed\ny: f32[N, 8] | f32[N, 3]\n```"),
        ("> ta¦u", "```seed\nknob tau = 0.5 in 0 .. 1\n```\nHow sure a sample must be."),
        ("Par¦t[WIDE]", "```seed\nPart[width: int](x: f32[N, D]) -> y: f32[N, width]\n```\nA layer and an activation."),
        ("[WI¦DE]", "```seed\nconst WIDE = 8\n```"),
        ("wh¦en", "a choice is written `when condition { value } else { value }`"),
    ],
)
def test_hover(mark: str, said: str) -> None:
    page, offset = at(mark)
    assert lookup.hover(page, offset) == said


@pytest.mark.parametrize(
    ("mark", "line"),
    [
        ("linear[wi¦dth]", 3),
        ("x¦ |> linear", 4),
        ("x¦ |> Part", 9),
        ("easy¦ {", 14),
        ("(t¦)", 15),
        ("Part¦[3]", 3),
        ("WIDE¦]", 1),
        ("relu¦", 0),
    ],
)
def test_declaration(mark: str, line: int) -> None:
    place = lookup.declaration(*at(mark))
    assert (place.name.span.line if place else 0) == line


def test_completions_are_those_of_the_seed() -> None:
    found = lookup.completions(*at("mean(h¦)"))
    assert {
        "h": "value",
        "tau": "knob",
        "easy": "gate",
        "Part": "seed",
        "WIDE": "constant",
        "when": "word",
    }.items() <= found.items()
    assert "conv2d" in found
    assert "width" not in found


def test_what_is_imported_is_known() -> None:
    text = "from std.vision import Head as H\nimport std.vision as vision\n" + TEXT.replace("Part[3](h)", "Part[3](H)")
    page = examine(Source("net.seed", text), Settings())
    place = lookup.declaration(page, text.index("H)"))
    assert place is not None
    assert place.name.span.line == 1
    assert {"H": "import", "vision": "import"}.items() <= lookup.completions(page, text.index("(H)")).items()


def test_a_broken_text_has_what_can_be_read() -> None:
    page = examine(Source("net.seed", TEXT.replace("mean(h) > tau", "mean(h) > tua")), Settings())
    assert page.found.failed
    assert lookup.hover(page, TEXT.index("h = x")) == "```seed\nh: f32[N, 8]\n```"
    unreadable = examine(Source("net.seed", "seed {"), Settings())
    assert (lookup.hover(unreadable, 2), lookup.declaration(unreadable, 2)) == ("", None)
