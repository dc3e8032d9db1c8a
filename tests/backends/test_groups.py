"""Arms of one decision that are entered together in ONNX: the same values, decisions and rows as one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

import cogseedc
from cogseedc.bench.compiled import compiled
from tests import whole

EXPERT = """
seed Expert {
    in  x: f32[N, D]
    out y: f32[N, D]
    y = x |> linear[6] |> relu |> linear[D]
}
"""
MIXED = f"""{EXPERT}
export seed Mixed {{
    in  x: f32[N, D=8]
    out y: f32[N, D]
    gate pick over N = top[2](softmax(linear[E=5](x)))
    y = route pick {{ e in 0 .. 5 => Expert(x) }}
}}
"""
SUMMED = f"""{EXPERT}
export seed Summed {{
    in  x: f32[N, D=8]
    out y: f32[N, D]
    gate pick over N = capacity[2, over=N](top[1](softmax(linear[E=4](x))))
    y = route pick merge sum {{ e in 0 .. 4 => Expert(x)  else => x }}
}}
"""
ONE = f"""{EXPERT}
export seed One {{
    in  x: f32[N, D=8]
    out y: f32[N, D]
    out z: f32[N, D]
    gate pick over N = argmax(linear[E=5](x))
    z = tanh(x)
    y = route pick {{ 0 => Expert(x)  1 => Expert(x)  2 => x  3 => Expert(z)  4 => Expert(x + 1) }}
}}
"""
TOKENS = """
export seed Tokens {
    in  x: f32[N, T=3, D=8]
    out y: f32[N, T, D]
    gate pick over N, T = top[2](softmax[over=E](linear[E=4](x)))
    y = route pick { e in 0 .. 4 => linear[D](relu(linear[6](x))) }
}
"""
BELOW = f"""{EXPERT}
export seed Below {{
    in  x: f32[N, D=8]
    out y: f32[N, D]
    gate hard over N = mean[over=D](x) > 0
    y = when hard {{
        gate pick over N = argmax(linear[E=4](x))
        r = route pick {{ e in 0 .. 4 => when mean[over=D](x) > 0.1 {{ Expert(x) }} else {{ tanh(linear[D](x)) }} }}
        yield r
    }} else {{ x }}
}}
"""
SWITCH = f"""{EXPERT}
export seed Switch {{
    in  x: f32[N, D=8]
    out y: f32[N, D]
    gate pick over N = CHOICE(softmax(linear[E=5](x)))
    y = route pick {{ e in 0 .. 5 => Expert(x) }}
}}
"""
ONCE = {
    "one weighted": SWITCH.replace("CHOICE", "top[1]"),
    "one": SWITCH.replace("CHOICE", "argmax"),
    "one of those that have room": SWITCH.replace(
        "CHOICE(softmax(linear[E=5](x)))", "capacity[2, over=N](top[1](softmax(linear[E=5](x))))"
    ),
    "an arm that is there for all": SWITCH.replace("CHOICE", "argmax").replace(
        "e in 0 .. 5 => Expert(x)", "e in 0 .. 4 => Expert(x)  4 => x"
    ),
    "images": """
export seed Images {
    in  x: f32[N, C=2, H=4, W=4]
    out y: f32[N, C=3, H, W]
    gate pick over N = top[1](softmax(linear[E=4](mean[over=(H, W)](x))))
    y = route pick { e in 0 .. 4 => conv2d[3, kernel=3, padding=1](x) }
}
""",
}
TWO = SWITCH.replace("CHOICE", "top[2]")
TURNED = f"""{EXPERT}
export seed Turned {{
    in  x: f32[N, D=8]
    out y: f32[N, D]
    out z: f32[D, N]
    gate pick over N = top[1](softmax(linear[E=5](x)))
    y, z = route pick {{ e in 0 .. 5 => {{
        a = Expert(x)
        yield a, permute[(D, N)](tanh(a))
    }} }}
}}
"""  # the first goes back at once, the second arm by arm, with the same weights
PROGRAMS = {
    "mixed": MIXED,
    "summed": SUMMED,
    "one": ONE,
    "tokens": TOKENS,
    "below": BELOW,
    "two": TWO,
    "turned": TURNED,
    **ONCE,
}


@pytest.mark.parametrize("gates", ["auto", "compact"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_values_decisions_and_rows(name: str, gates: str, tmp_path: Path) -> None:
    source = tmp_path / f"{name}.seed"
    source.write_text(PROGRAMS[name])
    artifact = cogseedc.compile(source, "onnx-cpu", tmp_path / "made", rng=0, gates=gates, verify_each=True)
    whole.verifies_and_runs(artifact, whole.of(artifact))


def test_rows_are_sorted_once() -> None:
    model = onnx.ModelProto.FromString(compiled(MIXED, "onnx-cpu", gates="compact").payload)
    found = Counter(node.op_type for node in model.graph.node)
    assert (found["NonZero"], found["Compress"], found["Split"]) == (1, 0, 3), "of the rows, the values, the weights"


def test_what_few_arms_read_is_taken_for_them_alone() -> None:
    model = onnx.ModelProto.FromString(compiled(ONE, "onnx-cpu", gates="compact").payload)
    (source,) = [node.output[0] for node in model.graph.node if node.op_type == "Tanh"]
    assert [node.op_type for node in model.graph.node if source in node.input] == ["Gather", "Identity"]
    assert sum(node.op_type == "Split" for node in model.graph.node) == 1, "places only: no value goes to all five arms"


@pytest.mark.parametrize(("name", "wanted"), [*((name, 1) for name in ONCE), ("two", 5)])
def test_results_of_arms_that_exclude_each_other_go_back_at_once(name: str, wanted: int) -> None:
    model = onnx.ModelProto.FromString(compiled(PROGRAMS[name], "onnx-cpu", gates="compact").payload)
    assert sum(node.op_type == "ScatterND" for node in _of_many_rows(model.graph)) == wanted


def _of_many_rows(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes that are run for more rows than one: of an If that asks for that, those of its other side."""
    for node in graph.node:
        yield node
        if node.op_type == "If" and not node.name.startswith("/trace"):
            (other,) = (a.g for a in node.attribute if a.name == "else_branch")
            yield from _of_many_rows(other)
