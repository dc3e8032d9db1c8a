"""Real programs through passes, plan and ONNX: equal to the reference, with free and with forced decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from cogseedc import interp
from cogseedc import target as targets
from cogseedc.backends.names import names
from cogseedc.backends.onnx import emit
from cogseedc.backends.onnx.forcing import with_forced_decisions
from cogseedc.backends.plan import plan
from cogseedc.driver.program import load
from cogseedc.ir import Dtype, Graph, Input, Weight
from cogseedc.ops import OPS
from cogseedc.passes import PIPELINES, Context, run_pipeline
from cogseedc.runtime.checks import NUMPY
from cogseedc.runtime.onnx_session import OnnxBackend

EXITS = """
seed Head { in x: f32[N, D]
    out logits: f32[N, K]
    logits = x |> linear[K=5] }
export seed Net { in x: f32[N, D=8]
    out logits: f32[N, K=5]
    knob tau = 0.3 in 0 .. 1
    a = x |> linear[16] |> relu
    exit easy { logits = Head(a) } when confidence(logits) >= tau
    b = a |> linear[16] |> relu
    exit medium { logits = Head(b) } when confidence(logits) >= tau
    logits = b |> linear[16] |> relu |> linear[K] }
"""
EXPERTS = """
seed Expert { in x: f32[N, D]
    out y: f32[N, D]
    y = x |> linear[32] |> relu |> linear[D] }
export seed Moe { in x: f32[N, D=8]
    out y: f32[N, D]
    out z: f32[N, D]
    gate pick over N = top[2](softmax[over=E](linear[E=4](x)))
    gate hard over N = argmax(linear[3](x))
    h = route pick { e in 0 .. 4 => Expert(x) }
    s = route pick merge sum { e in 0 .. 4 => Expert(x)  else => x }
    y = route hard { 0 => h  1 => { t = Expert(s)  yield t + h }  else => x }
    keep = mean(x) > 0
    z = when keep { Expert(y) } else { x } }
"""
NESTED = """
seed Block { in x: f32[N, C, H, W]
    out y: f32[N, C, H, W]
    y = x |> conv2d[C, kernel=3, padding=1] |> batch_norm |> relu }
export seed Net { in image: f32[N, C=2, H=6, W=6]
    out y: f32[N, C, H, W]
    knob wide = 1 in 0 .. 4
    gate outer over N = linear[1](mean[over=(H, W)](image)) > 0
    a = when outer {
        b = Block(image)
        gate inner over N = linear[1](mean[over=(H, W)](b)) > 0
        c = when inner { Block(b) } else { image + b }
        yield c + b
    } else { image }
    y = when wide > 1 { Block(a) } else { a } }
"""
PROGRAMS = {"exits": EXITS, "experts": EXPERTS, "nested": NESTED}
WAYS = [("onnx-cpu", "compact"), ("onnx-cpu", "dense"), ("onnx-cuda", "compact"), ("onnx-edge", "branch")]


def arrays(graph: Graph, rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(rows)
    found = {}
    for _, node in graph.nodes():
        if isinstance(node, Input):
            shape = [s.evaluate({"N": rows}) for s in node.type.shape]
            assert node.type.dtype is Dtype.F32
            found[node.name] = rng.standard_normal(shape).astype(NUMPY[node.type.dtype])
    return found


def forces(kinds: dict[str, tuple[str, int]], mode: int | None) -> dict[str, Any]:
    """Inputs that make every gate take arm `mode`, or (None) its arms in turn."""
    found: dict[str, Any] = {}
    for name, (kind, arms) in kinds.items():
        if mode is None:
            found[f"force.{name}.turn"] = np.array(True)
        elif kind == "many":
            found[f"force.{name}.keep"] = np.zeros(arms, bool)
            found[f"force.{name}.value"] = np.arange(arms) == mode
        else:
            element = np.int64 if kind == "one" else np.bool_
            found[f"force.{name}.keep"] = np.array(0, element)
            found[f"force.{name}.value"] = np.array(mode, element)
    return found


@pytest.mark.parametrize("program", sorted(PROGRAMS))
@pytest.mark.parametrize(("target", "strategy"), WAYS)
def test_equals_the_reference(tmp_path: Path, program: str, target: str, strategy: Any) -> None:
    source = tmp_path / "net.seed"
    source.write_text(PROGRAMS[program])
    meaning = load(str(source)).elaborated.graph
    weights = interp.initial_weights(meaning, 0)
    machine = targets.load(target)
    graph = meaning.copy()
    run_pipeline(graph, PIPELINES["stored"], Context(OPS, target=machine), verify_each=True)
    planned = plan(graph, machine, strategy)
    keys = names([node.path for _, node in meaning.nodes() if isinstance(node, Weight)])
    model = emit(planned, weights, machine, keys, {"name": "net"})
    kinds = {r.name: (graph[r.gate].kind.value, graph[r.gate].arms) for r in planned.gates}  # type: ignore[union-attr]
    forced = with_forced_decisions(model, list(kinds))
    for content in (model, forced):
        onnx.checker.check_model(onnx.ModelProto.FromString(content), full_check=True)
    free, steered = OnnxBackend(model, threads=1), OnnxBackend(forced, threads=1)
    reference = interp.Reference(meaning, weights)
    for rows in (1,) if machine.batch_one else (0, 1, 2, 7, 16):
        inputs = arrays(meaning, rows)
        compare(free.run(inputs, {}, True), reference.run(inputs, {}))
        one_way = all(kind != "many" for kind, _ in kinds.values())
        for mode in (None, 0, 1):
            raw = steered.run({**inputs, **forces(kinds, mode)}, {}, True)
            if one_way and rows:  # the reference forces nothing on an empty batch
                compare(raw, reference.run(inputs, {}, dict(raw.trace)))


def compare(raw: Any, wanted: Any) -> None:
    for name, value in wanted.outputs.items():
        assert raw.outputs[name].shape == value.shape
        np.testing.assert_allclose(raw.outputs[name], value, rtol=1e-3, atol=1e-4)
    for name, decision in raw.trace.items():
        reached = decision >= 0
        np.testing.assert_array_equal(decision[reached], np.asarray(wanted.trace[name])[reached], name)
