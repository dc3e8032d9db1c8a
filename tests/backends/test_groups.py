"""Arms of one decision that are entered together in ONNX: the same values, decisions and rows as one by one."""

from __future__ import annotations

from collections import Counter
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
PROGRAMS = {"mixed": MIXED, "summed": SUMMED, "one": ONE, "tokens": TOKENS, "below": BELOW}


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
