"""What leaves early costs nothing further: rows by ONNX Runtime's own profile and by the counter of the torch module.

Also: very many exits and deeply nested choices still load at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import cogseedc
from cogseedc.interp import Reference, initial_weights

EXITS = """\
export seed Early {
    in  image: f32[N, C=1, H=8, W=8]
    out y: f32[N, K=3]
    knob tau = 0.5 in 0 .. 1
    a = image |> conv2d[16, kernel=3, padding=1] |> relu
    exit first { y = a |> mean[over=(H, W)] |> linear[K=3] } when confidence(y) > tau
    b = a |> conv2d[32, kernel=3, padding=1] |> relu
    exit second { y = b |> mean[over=(H, W)] |> linear[K=3] } when confidence(y) > 0.9999
    c = b |> conv2d[48, kernel=3, padding=1] |> relu
    exit third { y = c |> mean[over=(H, W)] |> linear[K=3] } when confidence(y) > 0.9999
    y = c |> conv2d[64, kernel=3, padding=1] |> relu |> mean[over=(H, W)] |> linear[K=3]
}
"""
BATCH = 32


@pytest.fixture
def halved(tmp_path: Path) -> tuple[Path, Any, float]:
    """The program, a batch, and the threshold at which half of it leaves at the first exit."""
    source = tmp_path / "early.seed"
    source.write_text(EXITS)
    image = np.random.default_rng(0).standard_normal((BATCH, 1, 8, 8)).astype(np.float32)
    module = cogseedc.build(source).train()
    with torch.no_grad():
        logits = module(torch.from_numpy(image)).exits["first"][0]
    confidence = np.sort(torch.softmax(logits, -1).amax(-1).numpy())
    tau = float((confidence[BATCH // 2 - 1] + confidence[BATCH // 2]) / 2)
    return source, image, tau


def test_torch_runs_later_blocks_on_survivors(halved: tuple[Path, Any, float]) -> None:
    source, image, tau = halved
    module = cogseedc.build(source).eval()
    seen: dict[int, int] = {}

    def watch(function: Any) -> Any:
        def call(value: torch.Tensor, weight: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
            seen[weight.shape[0]] = value.shape[0]
            result: torch.Tensor = function(value, weight, *rest, **options)
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "conv2d", watch(torch.nn.functional.conv2d))
        result = module(torch.from_numpy(image), tau=tau, trace=True)
    assert int((result.trace["first"] == 1).sum()) == BATCH // 2
    counts = [rows for name, rows in result.rows.items() if "not_" in name]
    assert counts == [BATCH // 2] * 3, "one space behind each exit, and nobody leaves at the later ones"
    assert seen == {16: BATCH, 32: BATCH // 2, 48: BATCH // 2, 64: BATCH // 2}


def test_onnx_runs_later_blocks_on_survivors(halved: tuple[Path, Any, float], tmp_path: Path) -> None:
    source, image, tau = halved
    model = next(cogseedc.compile(source, "onnx-cpu", tmp_path / "art").rglob("model.onnx"))
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.log_severity_level = 3
    options.profile_file_prefix = str(tmp_path / "profile")
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    session.run(["y"], {"image": image, "tau": np.array(tau, np.float32)})
    events = json.loads(Path(session.end_profiling()).read_text())
    rows = {}
    for event in events:
        arguments = event.get("args", {})
        if arguments.get("op_name") in ("Conv", "FusedConv") and event["name"].endswith("kernel_time"):
            value, weight = (next(iter(entry.values())) for entry in arguments["input_type_shape"][:2])
            rows[weight[0]] = value[0]
    assert rows == {16: BATCH, 32: BATCH // 2, 48: BATCH // 2, 64: BATCH // 2}


EXPERTS = """\
seed Expert[d: int, hidden: int] {
    in  x: f32[N, T, D]
    out y: f32[N, T, D]
    y = x |> linear[hidden] |> relu |> linear[d]
}
export seed Tokens {
    in  x: f32[N, T, D=4]
    out y: f32[N, T, D]
    gate run over N = linear[1](mean[over=T](x)) > 0
    gate pick over N, T = top[2](linear[E=3](x))
    y = when run { x + route pick { 0 => Expert[D, 5](x)  1 => Expert[D, 6](x)  2 => Expert[D, 7](x) } } else { x }
}
"""


@pytest.mark.parametrize("target", ["torch-cpu", "onnx-cpu"])
def test_experts_run_on_their_tokens(target: str, tmp_path: Path) -> None:
    """In the samples that run, each expert computes the tokens that chose it, and nothing else is computed for it."""
    source = tmp_path / "tokens.seed"
    source.write_text(EXPERTS)
    artifact = cogseedc.compile(source, target, tmp_path / "art", rng=0, gates="compact")
    x = np.random.default_rng(0).standard_normal((8, 5, 4)).astype(np.float32)
    session = cogseedc.open(artifact)
    result = session.run({"x": x}, {}, True)
    run, pick = result.trace["run"] == 1, result.trace["pick"]
    assert 0 < run.sum() < len(run)
    assert (pick[~run] == -1).all()
    assert (pick[run] >= 0).all()
    wanted = {f"pick_{arm}": int((pick == arm).sum()) for arm in range(3)}
    assert result.rows == {"run": int(run.sum()), **wanted}
    assert sum(wanted.values()) == 2 * 5 * run.sum()
    seen = _linear_rows(artifact, x, tmp_path)
    assert {5: wanted["pick_0"], 6: wanted["pick_1"], 7: wanted["pick_2"]}.items() <= seen.items()


def test_a_width_is_computed_with_its_part_of_the_weights() -> None:
    """A route over widths: the arm that is taken slices the shared weights, and nothing else is computed."""
    source = Path(__file__).parents[1] / "examples" / "13_slimmable.seed"
    for target, gates in (("torch-cpu", "auto"), ("torch-cpu", "compact")):
        module = cogseedc.build(
            source, target=target, rng=0, gates=gates, set={"widths": (2, 4, 6, 8), "full": 8}
        ).eval()
        for width, channels in enumerate((2, 4, 6, 8)):
            seen: list[tuple[int, ...]] = []
            conv = torch.nn.functional.conv2d

            def watch(
                value: torch.Tensor, weight: torch.Tensor, *rest: Any, to: list[Any] = seen, by: Any = conv, **more: Any
            ) -> torch.Tensor:
                to.append(tuple(weight.shape[:2]))
                found: torch.Tensor = by(value, weight, *rest, **more)
                return found

            with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
                patch.setattr(torch.nn.functional, "conv2d", watch)
                module(torch.zeros(2, 3, 32, 32), width=width)
            assert seen == [(channels, 3), (channels, channels)]


ATTENTION = """\
export seed Queries {
    in  x: f32[N, T, D=8]
    out y: f32[N, T, D]
    gate on over N, T = mean[over=D](x) > 0.2
    y = when on { x + attend(linear[D](x), x, x) } else { x }
}
"""


def test_attention_is_asked_by_the_selected_tokens(tmp_path: Path) -> None:
    """Each sample has as many queries as the one with most needs; keys and values are all tokens."""
    source = tmp_path / "queries.seed"
    source.write_text(ATTENTION)
    module = cogseedc.build(source, rng=0, gates="compact").eval()
    x = torch.randn(3, 9, 8, generator=torch.Generator().manual_seed(1))
    most = int((x.mean(2) > 0.2).sum(1).max())
    assert 0 < most < 9
    seen: list[tuple[int, ...]] = []
    code = type(module).forward.__globals__
    attend = code["attend"]

    def watch(q: torch.Tensor, k: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:
        seen.append((*q.shape, *k.shape))
        found: torch.Tensor = attend(q, k, *rest, **more)
        return found

    code["attend"] = watch
    with torch.inference_mode():
        result = module(x, trace=True)
    assert seen == [(3, most, 8, 3, 9, 8)]
    assert result.rows == {"on": int((result.trace["on"] == 1).sum())}


def _linear_rows(artifact: Path, x: Any, folder: Path) -> dict[int, int]:
    """For each number of results of a linear layer: of how many rows it was asked."""
    seen: dict[int, int] = {}
    models = list(artifact.rglob("model.onnx"))
    if not models:
        linear = torch.nn.functional.linear

        def watch(value: torch.Tensor, weight: torch.Tensor, *rest: Any) -> torch.Tensor:
            seen[weight.shape[0]] = value.numel() // value.shape[-1]
            return linear(value, weight, *rest)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.nn.functional, "linear", watch)
            cogseedc.open(artifact).run({"x": x}, {})
        return seen
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.log_severity_level = 3
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(str(models[0]), options, providers=["CPUExecutionProvider"])
    session.run(["y"], {"x": x})
    for event in json.loads(Path(session.end_profiling()).read_text()):
        arguments = event.get("args", {})
        if arguments.get("op_name") in ("MatMul", "Gemm") and event["name"].endswith("kernel_time"):
            shape = next(iter(arguments["output_type_shape"][0].values()))
            seen[shape[-1]] = int(np.prod(shape[:-1]))
    return seen


PONDER = """\
export seed Ponder {
    in  x: f32[N, D=16]
    out y: f32[N, D]
    out turns: i64[N]
    y, turns = repeat 6 with h = x, turns = 0 until norm(h) < 2.2 {
        wide = relu(linear[40](h))
        next h = 0.8 * h + 0.01 * linear[D](wide)
        next turns = turns + 1
    }
}
"""
"""A layer of 40 units, which nothing else has, in each turn."""


@pytest.fixture
def pondered(tmp_path: Path) -> tuple[Path, Any, list[int]]:
    """The program, a batch, and how many rows run each turn by the meaning of the program."""
    source = tmp_path / "ponder.seed"
    source.write_text(PONDER)
    program = cogseedc.load(source)
    x = np.random.default_rng(0).standard_normal((BATCH, 16)).astype(np.float32)
    graph = program.elaborated.graph
    turns = np.asarray(Reference(graph, initial_weights(graph, 0)).run({"x": x}).outputs["turns"])
    rows = [int((turns > turn).sum()) for turn in range(int(turns.max()))]
    assert rows[0] == BATCH > rows[1] > rows[-1], "rows stop in different turns"
    return source, x, rows


def test_torch_runs_turns_on_the_rows_that_go_on(pondered: tuple[Path, Any, list[int]]) -> None:
    source, x, rows = pondered
    module = cogseedc.build(source, rng=0).eval()
    seen: list[int] = []

    def watch(function: Any) -> Any:
        def call(value: torch.Tensor, weight: torch.Tensor, *rest: Any) -> torch.Tensor:
            if weight.shape[0] == 40:
                seen.append(value.shape[0])
            result: torch.Tensor = function(value, weight, *rest)
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "linear", watch(torch.nn.functional.linear))
        result = module(torch.from_numpy(x), trace=True)
    assert seen == rows
    assert result.rows == {"repeat.turns": sum(rows)}


def test_onnx_runs_turns_on_the_rows_that_go_on(pondered: tuple[Path, Any, list[int]], tmp_path: Path) -> None:
    source, x, rows = pondered
    model = next(cogseedc.compile(source, "onnx-cpu", tmp_path / "art", rng=0).rglob("model.onnx"))
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.log_severity_level = 3
    options.profile_file_prefix = str(tmp_path / "profile")
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    session.run(["y"], {"x": x})
    seen = []
    for event in json.loads(Path(session.end_profiling()).read_text()):
        shapes = event.get("args", {}).get("output_type_shape", [])
        given = [next(iter(shape.values())) for shape in shapes]
        product = event.get("args", {}).get("op_name") in ("Gemm", "MatMul", "FusedGemm", "FusedMatMul")
        if product and event["name"].endswith("kernel_time") and given and given[0][-1:] == [40]:
            seen.append(given[0][0])
    assert seen == rows


def many_exits(count: int) -> str:
    steps = "".join(
        f"    h{i + 1} = relu(linear[8](h{i}))\n    exit e{i} {{ y = h{i + 1} }} when confidence(h{i + 1}) > 0.9\n"
        for i in range(count)
    )
    return (
        f"export seed Net {{\n    in  x: f32[N, D=8]\n    out y: f32[N, D]\n    h0 = x\n{steps}    y = h{count}\n}}\n"
    )


def nested(depth: int) -> str:
    text = "relu(linear[8](x))"
    for level in range(1, depth + 1):
        text = f"when mean(linear[1](x)) > {level / 100} {{ {text} }} else {{ x + {level} }}"
    return f"export seed Net {{\n    in  x: f32[N, D=8]\n    out y: f32[N, D]\n    y = {text}\n}}\n"


@pytest.mark.parametrize("target", ["onnx-cpu", "onnx-cuda", "onnx-edge"])
@pytest.mark.parametrize("name", ["200 exits", "40 nested"])
def test_large_structures_load(name: str, target: str, tmp_path: Path) -> None:
    source = tmp_path / "net.seed"
    source.write_text(many_exits(200) if name == "200 exits" else nested(40))
    model = next(cogseedc.compile(source, target, tmp_path / "art").rglob("model.onnx"))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    (y,) = session.run(["y"], {"x": np.ones((1, 8), np.float32)})
    assert np.all(np.isfinite(y))
