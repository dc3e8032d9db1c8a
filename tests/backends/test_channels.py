"""Gates over channels: the filters that were chosen, and no others, are computed, and read no channels that a gate made
zero; values and decisions are those of the dense meaning, on all targets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

import cogseedc
from cogseedc.backends.plan import Picked, Plan, Run, plan
from cogseedc.backends.support.channels import among_channels, listed_channels, put_channels, samples_alike
from cogseedc.diagnostics.model import UserError
from cogseedc.driver.compile import Request, explain_plan
from cogseedc.driver.program import load
from cogseedc.driver.structure import passed
from cogseedc.driver.timing import Timing
from cogseedc.ir import Call
from cogseedc.limits import Limits
from cogseedc.ops import OPS
from cogseedc.ops.rules import flow_aligned
from cogseedc.passes import PIPELINES
from cogseedc.target import load as target
from cogseedc.verify import Settings, verify_artifact

FOLDERS = Path(__file__).parents[2] / "examples", Path(__file__).parents[1] / "tour"
PROGRAMS = sorted((Path(__file__).parent / "channels").glob("*.seed"))
"""A program for each place that a gate over channels can stand in."""
TARGETS = ("torch-cpu", "onnx-cpu", "onnx-edge")
WIDE = """\
export seed Wide {
    in  x: f32[N, 6, H=7, W=7]
    in  s: f32[N, C=12]
    out y: f32[N, C=12, H, W]
    gate on over N, C = s > 0
    y = when on { relu(batch_norm(conv2d[C=12, kernel=3, padding=1](x))) } else { 0 }
}
"""
READ = """\
export seed Read {
    in  x: f32[N, 6, H=7, W=7]
    in  s: f32[N, C=12]
    in  t: f32[N, C=12]
    out y: f32[N, C=12, H, W]
    out z: f32[N, 5, H2, W2]
    gate on over N, C = s > 0
    gate more over N, C = t > 0
    h = when on { relu(conv2d[C=12, kernel=3, padding=1](x)) } else { 0 }
    y = when more { conv2d[C=12, kernel=3, padding=1](h) } else { 1 }
    z = conv2d[5, kernel=3](max_pool2d[2](h))
}
"""
ONE = """\
export seed One {
    in  x: f32[N, 3, H=5, W=4]
    in  b: f32[N, C=6]
    out y: f32[N, C=6, H, W]
    gate on over N, C = b > 0
    y = when on { %s } else { 0.5 }
}
"""


def planned(source: str, name: str, gates: Any = "auto") -> Plan:
    graph = load(source).elaborated.graph
    return plan(passed(graph, Limits(), PIPELINES["inference"], target(name), True, Timing()), target(name), gates)


def picked(found: Plan) -> list[Picked]:
    return [
        step for each in found.nested() for block in each.blocks for step in block.steps if isinstance(step, Picked)
    ]


def verified(source: Path, name: str, folder: Path, gates: Any) -> None:
    artifact = cogseedc.compile(source, name, folder / f"{name}-{gates}", rng=0, gates=gates)
    report = verify_artifact(artifact, Settings(batches=(0, 1, 7)))
    assert report.ok, report.to_text()


def watched(patch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Sizes of operand and weight of each convolution from here on."""
    seen: list[tuple[int, ...]] = []
    conv2d: Callable[..., torch.Tensor] = F.conv2d

    def watch(value: torch.Tensor, weight: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:
        seen.append((*value.shape[:2], *weight.shape[:2]))
        return conv2d(value, weight, *rest, **more)

    patch.setattr(F, "conv2d", watch)
    return seen


def profiled(source: str, folder: Path, gates: Any, **inputs: np.ndarray[Any, Any]) -> list[tuple[int, ...]]:
    """The same of one run of the ONNX model, as ONNX Runtime's profiler saw it."""
    path = folder / "net.seed"
    path.write_text(source)
    artifact = cogseedc.compile(path, "onnx-cpu", folder / gates, rng=0, gates=gates)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "profile")
    model = next(artifact.rglob("model.onnx"))
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    session.run(None, inputs)
    events = json.loads(Path(session.end_profiling()).read_text())
    return [*_convolutions(events)]


def _convolutions(events: list[dict[str, Any]]) -> Iterator[tuple[int, ...]]:
    for event in events:
        args = event.get("args", {})
        if args.get("op_name") in ("Conv", "FusedConv") and event["name"].endswith("_kernel_time"):
            x, weight = (next(iter(shape.values())) for shape in args["input_type_shape"][:2])
            yield (*x[:2], *weight[:2])


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("source", PROGRAMS, ids=lambda path: path.stem)
def test_all_places_verify(source: Path, name: str, tmp_path: Path) -> None:
    assert picked(planned(source.read_text(), name, "compact")), "something is computed for some channels"
    verified(source, name, tmp_path, "compact")


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("example", ["14_channel_gating", "50_gater", "54_universally_slimmable", "fbs"])
def test_examples_verify(example: str, name: str, tmp_path: Path) -> None:
    source = next(path for folder in FOLDERS if (path := folder / f"{example}.seed").exists())
    steps = picked(planned(source.read_text(), name, "compact"))
    assert all(any(layer.kept for layer in step.region.layers) for step in steps[1:]), "all but the first read less"
    verified(source, name, tmp_path, "compact")


def test_as_many_filters_are_computed_as_are_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Samples that chose alike are computed together on torch; ONNX Runtime takes one of a sample that chose none."""
    generator = torch.Generator().manual_seed(0)
    x, s = torch.randn(5, 6, 7, 7, generator=generator), torch.randn(5, 12, generator=generator)
    s[2], s[4] = -1, s[1]
    counts = [int(count) for count in (s > 0).sum(1)]
    module = cogseedc.build(load(WIDE), rng=0, gates="compact").eval()
    seen = watched(monkeypatch)
    with torch.inference_mode():
        result = module(x, s, trace=True)
    assert sorted(seen) == sorted([(1, 6, counts[0], 6), (2, 6, counts[1], 6), (1, 6, counts[3], 6)])
    assert result.rows == {"on": sum(counts)}
    found = profiled(WIDE, tmp_path, "compact", x=x.numpy(), s=s.numpy())
    assert found == [(1, 6, max(1, count), 6) for count in counts]
    assert profiled(WIDE, tmp_path, "dense", x=x.numpy(), s=s.numpy()) == [(5, 6, 12, 6)]


def test_what_a_gate_left_out_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A filter reads the channels that its operand's gate kept, if the others are zero; one, which is zero, if it kept
    none. So does a layer under no gate, behind a pooling."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 6, 7, 7, generator=generator)
    s, t = torch.randn(4, 12, generator=generator), torch.randn(4, 12, generator=generator)
    s[2], t[1] = -1, -1
    kept, chosen = [max(1, int(c)) for c in (s > 0).sum(1)], [int(c) for c in (t > 0).sum(1)]
    under = [(1, k, c, k) for k, c in zip(kept, chosen, strict=True) if c]
    plain = [(1, k, 5, k) for k in kept]
    for text, narrow in ((READ, True), (READ.replace("else { 0 }", "else { 0.5 }"), False)):
        module = cogseedc.build(load(text), rng=0, gates="compact").eval()
        dense = cogseedc.build(load(text), rng=0, gates="dense").eval()
        with torch.inference_mode(), monkeypatch.context() as patch:
            expected = dense(x, s, t)
            seen = watched(patch)
            found = module(x, s, t)
        torch.testing.assert_close((found.y, found.z), (expected.y, expected.z))
        whole = [(1, 12, c, 12) for c in chosen if c] + [(4, 12, 5, 12)]
        assert sorted(seen[3:]) == sorted(under + plain if narrow else whole)
    shapes = profiled(READ, tmp_path, "compact", x=x.numpy(), s=s.numpy(), t=t.numpy())
    assert sorted(shapes[4:]) == sorted([(1, k, max(1, c), k) for k, c in zip(kept, chosen, strict=True)] + plain)


def test_each_channel_by_itself_is_normalised() -> None:
    """Instance norm is computed for the chosen channels; without weights it leaves zero as it is."""
    (source,) = (path for path in PROGRAMS if path.stem == "norms")
    for name in TARGETS:
        steps = picked(planned(source.read_text(), name, "compact"))
        assert sorted(len(step.region.layers) for step in steps) == [1, 2, 3, 3]
        assert [layer.kept is not None for step in steps for layer in step.region.layers if layer.kept] == [True] * 2
    text = READ.replace("max_pool2d[2](h)", "instance_norm(h)")
    assert [len(step.region.layers) for step in picked(planned(text, "torch-cpu", "compact"))] == [2, 1, 1]
    text = READ.replace("max_pool2d[2](h)", "instance_norm[affine=true](h)")
    assert [len(step.region.layers) for step in picked(planned(text, "torch-cpu", "compact"))] == [2, 1]


SEVERAL = """\
export seed Several {
    in  x: f32[N, 6, H=7, W=7]
    in  how: i64[N, C=12]
    in  old: f32[N, C=12, H, W]
    out y: f32[N, C=12, H, W]
    out z: f32[N, 5, H, W]
    gate way over N, C = how % 3
    y = route way { 0 => relu(conv2d[C=12, kernel=3, padding=1](x))  1 => old  else => 0 }
    z = conv2d[5, kernel=1](y)
}
"""


def test_one_of_several_is_computed_for_its_channels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And what comes behind reads those that any arm but zero gives."""
    generator = torch.Generator().manual_seed(0)
    x, old = torch.randn(4, 6, 7, 7, generator=generator), torch.randn(4, 12, 7, 7, generator=generator)
    how = torch.randint(0, 3, (4, 12), generator=generator)
    chosen, read = [int(c) for c in (how == 0).sum(1)], [int(c) for c in (how < 2).sum(1)]
    module = cogseedc.build(load(SEVERAL), rng=0, gates="compact").eval()
    dense = cogseedc.build(load(SEVERAL), rng=0, gates="dense").eval()
    with torch.inference_mode():
        expected = dense(x, how, old)
        seen = watched(monkeypatch)
        found = module(x, how, old)
    torch.testing.assert_close((found.y, found.z), (expected.y, expected.z))
    wanted = [(1, 6, c, 6) for c in chosen] + [(1, c, 5, c) for c in read]
    assert sorted(seen) == sorted(wanted)
    shapes = profiled(SEVERAL, tmp_path, "compact", x=x.numpy(), how=how.numpy(), old=old.numpy())
    assert sorted(shapes) == sorted(wanted)


def test_a_gate_over_channels_alone_is_one_choice_for_all_samples(tmp_path: Path) -> None:
    source = """\
export seed Any {
    in  x: f32[N, 6, H=7, W=7]
    in  width: i64[]
    out y: f32[N, 4, H2, W2]
    gate on over C = range[C=12]() < width
    h = when on { relu(batch_norm(conv2d[C=12, kernel=3, padding=1](x))) } else { 0 }
    y = conv2d[4, kernel=3](h)
}
"""
    x = np.random.default_rng(0).standard_normal((3, 6, 7, 7)).astype("f")
    for width in (1, 5, 12):
        found = profiled(source, tmp_path, "compact", x=x, width=np.array(width))
        assert found == [(3, 6, width, 6), (3, width, 4, width)]


def test_every_elementwise_operation_is_computed_for_some_channels(tmp_path: Path) -> None:
    source, value = tmp_path / "one.seed", "conv2d[C=6, kernel=3, padding=1](x)"
    names = [name for name, spec in OPS.items() if spec.flow is flow_aligned and name != "straight_through"]
    lines = [text for name in (*names, "cast") if (text := _called(name, value)) is not None]
    assert len(lines) == len(names) + 1
    body = "\n".join(f"    y{i} = when on {{ {text} }} else {{ 0.5 }}" for i, text in enumerate(lines))
    outputs = "".join(f"    out y{i}: f32[N, C=6, H, W]\n" for i in range(len(lines)))
    source.write_text(
        ONE.replace("    out y: f32[N, C=6, H, W]\n", outputs).replace("    y = when on { %s } else { 0.5 }", body)
    )
    for name in ("torch-cpu", "onnx-cpu"):
        assert len(picked(planned(source.read_text(), name, "compact"))) == len(lines)
        verified(source, name, tmp_path, "compact")


def _called(name: str, value: str) -> str | None:
    """A call of an operation on what a convolution gives, as a number."""
    forms = [f"{name}({value})", f"{name}({value}, abs(b) + 0.1)", f"{name}({value} > 0)", f"{name}[f32]({value} > 0)"]
    forms += [f"{name}(cast[i64]({value} > 0), cast[i64](b > 0) + 1)"]
    forms += [f"{name}({value} > 0, {value} > 0.1)", f"{name}({value} > 0, {value}, b)"]
    for form in forms:
        for text in (form, f"where(cast[bool]({form}), b, conv2d[C=6, kernel=1](x))"):
            try:
                load(ONE % text)
            except UserError:
                continue
            return text
    return None


def test_filters_are_picked_where_that_pays() -> None:
    wide = WIDE.replace("6, H=7, W=7", "128, H=28, W=28").replace("C=12", "C=128")
    for name in TARGETS:
        assert [len(picked(planned(source, name))) for source in (wide, WIDE)] == [1, 0], name
        assert not picked(planned(wide, name, "dense"))


def test_one_gate_has_one_strategy() -> None:
    """What it costs beside to take positions by it may be more than is saved by a part that pays by itself."""
    text = """
        in  x: f32[N, C=8, H=16, W=16]
        in  u: f32[N, C, S=20000]
        out y: f32[N, C, H, W]
        out z: f32[N, C, S]
        gate g over N, C = linear[C=8](mean[over=(H, W)](x)) > 0
        y = when g { conv2d[8, kernel=3, padding=1](x) } else { 0 }
        z = ELSEWHERE"""
    costs = replace(target("onnx-edge").costs, mac_ns=1, op_us=1, take_ns=0.5, put_ns=3, select_ns=0.1, select_us=0.1)
    costs = replace(costs, branch_us=1, weight_ns=0.125)
    for elsewhere, strategy in (("tanh(u)", "compact"), ("when g { tanh(u) } else { u }", "dense")):
        graph = load(f"export seed Net {{{text.replace('ELSEWHERE', elsewhere)}\n}}").elaborated.graph
        found = plan(graph, replace(target("onnx-edge"), costs=costs))
        assert [gate.strategy for gate in found.gates] == [strategy]
        assert len(picked(found)) == (strategy == "compact")


def test_zeros_are_computed_where_something_else_reads_them() -> None:
    """Chosen channels are written into zeros anyway."""
    text = ONE.replace("0.5", "0") % "conv2d[C=6, kernel=1](x)"
    other = text.replace("    out y", "    in  u: f32[N, C=6, H, W]\n    out z: f32[N, C=6, H, W]\n    out y").replace(
        "    y = when", "    z = when mean[over=(C, H, W)](u) > 0 { tanh(u) } else { 0 }\n    y = when"
    )
    for source, filled in ((text, False), (other, True)):
        found = planned(source, "onnx-cpu", "compact")
        nodes = [found.graph[step.node] for block in found.blocks for step in block.steps if isinstance(step, Run)]
        assert len(picked(found)) == 1
        assert ("expand" in {node.op for node in nodes if isinstance(node, Call)}) is filled


def test_what_is_not_read_channel_by_channel_is_dense() -> None:
    """Filters in groups, what somebody else reads, what is read for all channels, norms over groups of channels."""
    grouped = WIDE.replace("padding=1]", "padding=1, groups=3]")
    read = WIDE.replace("    y = when", "    c = conv2d[C=12, kernel=3, padding=1](x)\n    y = when").replace(
        "{ 0 }", "{ c * 2 }"
    )
    read = read.replace("relu(batch_norm(conv2d[C=12, kernel=3, padding=1](x)))", "relu(c)")
    norm = WIDE.replace("batch_norm(", "group_norm[3](")
    for source in (grouped, read, norm):
        assert not picked(planned(source, "torch-cpu", "compact"))


def test_the_plan_says_what_is_computed_for_some_channels(tmp_path: Path) -> None:
    source = tmp_path / "read.seed"
    source.write_text(READ)
    rows = explain_plan(str(source), "onnx-cpu", Request(gates="compact"))
    assert [str(row["why"]).split("; ")[1:] for row in rows] == [
        ["chosen channels of h.then.conv2d", "only these are read by conv2d, then.conv2d"],
        ["chosen channels of then.conv2d"],
    ]


def test_groups_of_samples() -> None:
    a = torch.tensor([[1, 0], [0, 0], [1, 0], [1, 1]], dtype=torch.bool)
    b = torch.tensor([1, 0, 1], dtype=torch.bool)
    found = [(where, [m.tolist() for m in masks]) for where, masks in samples_alike(4, [a, b])]
    assert [masks for _, masks in found] == [[row, b.tolist()] for row in ([1, 0], [0, 0], [1, 1])]
    apart = found[0][0]
    assert (found[1][0], found[2][0]) == (slice(1, 2), slice(3, 4))
    assert isinstance(apart, torch.Tensor)
    assert apart.tolist() == [0, 2]
    assert samples_alike(0, [a[:0]]) == []
    assert (listed_channels(b).tolist(), listed_channels(~b & b).tolist()) == ([0, 2], [0])
    x, value = torch.zeros(4, 3), torch.ones(2, 1)
    put_channels(x, apart, 1, torch.tensor([2]), value)
    put_channels(x, slice(1, 2), 1, torch.tensor([0]), value[:1])
    assert x.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert among_channels(value, 1, torch.tensor([1]), 3).tolist() == [[0, 1, 0], [0, 1, 0]]


def test_of_reduced_precision_under_autocast() -> None:
    module = cogseedc.build(load(READ), rng=0, gates="compact").eval()
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(shape, generator=generator) for shape in ((3, 6, 7, 7), (3, 12), (3, 12))]
    with torch.inference_mode():
        expected = module(*inputs)
        with torch.autocast("cpu", torch.bfloat16):
            found = module(*inputs)
    torch.testing.assert_close((found.y.float(), found.z.float()), (expected.y, expected.z), atol=0.1, rtol=0.1)


def test_one_sample_branches_before_its_channels_are_chosen(tmp_path: Path) -> None:
    source = tmp_path / "both.seed"
    source.write_text("""\
export seed Both {
    in  x: f32[N, C=8, H=6, W=6]
    in  d: f32[N, D=5]
    out y: f32[N, C=8, H, W]
    out z: f32[N, C=8, H, W]
    gate on over N, C = linear[C=8](tanh(d)) > -0.4
    y = when on { relu(conv2d[C=8, kernel=1](x)) } else { 0.5 }
    gate keep over N = linear[1](d) > 0
    z = when keep { when on { tanh(conv2d[C=8, kernel=1](x)) } else { 0 } } else { x }
}
""")
    verified(source, "onnx-edge", tmp_path, "auto")
