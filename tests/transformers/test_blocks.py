"""Sparse blocks of `transformers`, with the same weights: each NAME.seed against the class that it is written after."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cogseedc

Array = np.ndarray[Any, np.dtype[Any]]
Weights = dict[str, Array]
FOLDER = Path(__file__).parent
BATCHES = (1, 2, 7, 16)
TOKENS = 9
D, HIDDEN, EXPERTS = 8, 12, 4


@pytest.fixture(scope="module", autouse=True)
def offline() -> Iterator[None]:
    """Nothing is downloaded; what the package says while it is imported is its own matter."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
        warnings.simplefilter("ignore")
        pytest.importorskip("transformers", reason="transformers is not installed (pip install '.[dev]')")
        yield


def model(name: str, block: str, config: str, **settings: Any) -> torch.nn.Module:
    """A block with random weights, of the size that makes decisions differ."""
    module = import_module(f"transformers.models.{name}.modeling_{name}")
    configuration = getattr(module, config)(**settings)
    configuration._experts_implementation = "eager"
    made: torch.nn.Module = getattr(module, block)(configuration).eval()
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for path, value in made.state_dict().items():
            scale = 0.2 if path.endswith("bias") else 0.5
            value.copy_(scale * torch.randn(value.shape, generator=random))
    return made


def mlp(path: str, gate: torch.Tensor, up: torch.Tensor, down: torch.Tensor) -> Weights:
    names = ("linear", "linear_2", "linear_3")
    return {f"{path}.{n}.weight": w.detach().numpy() for n, w in zip(names, (gate, up, down), strict=True)}


def stacked(w: dict[str, torch.Tensor], experts: int = EXPERTS) -> Weights:
    """Experts as one tensor each for the first two maps, side by side, and for the last."""
    found: Weights = {}
    for e in range(experts):
        gate, up = w["experts.gate_up_proj"][e].chunk(2, 0)
        found |= mlp(f"{e}.Expert", gate, up, w["experts.down_proj"][e])
    return found


def plain(w: dict[str, torch.Tensor], path: str, name: str) -> Weights:
    return mlp(path, *(w[f"{name}.{part}_proj.weight"] for part in ("gate", "up", "down")))


def mixtral() -> tuple[torch.nn.Module, Weights]:
    sizes = {"hidden_size": D, "intermediate_size": HIDDEN, "num_local_experts": EXPERTS, "num_experts_per_tok": 2}
    block = model("mixtral", "MixtralSparseMoeBlock", "MixtralConfig", **sizes)
    w = block.state_dict()
    return block, {"pick.linear.weight": w["gate.weight"].numpy(), **stacked(w)}


def switch() -> tuple[torch.nn.Module, Weights]:
    sizes = {"d_model": D, "d_ff": HIDDEN, "num_experts": EXPERTS, "expert_capacity": 2, "dropout_rate": 0.0}
    block = model("switch_transformers", "SwitchTransformersSparseMLP", "SwitchTransformersConfig", **sizes)
    w = {name: value.numpy() for name, value in block.state_dict().items()}
    found = {"pick.linear.weight": w["router.classifier.weight"]}
    for e in range(EXPERTS):
        for ours, theirs in (("linear", "wi"), ("linear_2", "wo")):
            found[f"{e}.Expert.{ours}.weight"] = w[f"experts.expert_{e}.{theirs}.weight"]
    return block, found


def deepseek() -> tuple[torch.nn.Module, Weights]:
    sizes = {"hidden_size": D, "moe_intermediate_size": HIDDEN, "n_routed_experts": 8, "n_shared_experts": 2}
    choice = {"n_group": 4, "topk_group": 2, "num_experts_per_tok": 3, "norm_topk_prob": True}
    block = model("deepseek_v3", "DeepseekV3MoE", "DeepseekV3Config", **sizes, **choice, routed_scaling_factor=2.5)
    w = block.state_dict()
    router = {"s.linear.weight": w["gate.weight"].numpy(), "bias": w["gate.e_score_correction_bias"].numpy()}
    return block, {**router, **stacked(w, 8), **plain(w, "Expert", "shared_experts")}


def llama4() -> tuple[torch.nn.Module, Weights]:
    sizes = {"hidden_size": D, "intermediate_size": HIDDEN, "num_local_experts": EXPERTS, "num_experts_per_tok": 1}
    block = model("llama4", "Llama4TextMoe", "Llama4TextConfig", **sizes)
    w = block.state_dict()
    turned = {name: value.transpose(1, 2) for name, value in w.items() if value.ndim == 3}
    return block, {
        "z.linear.weight": w["router.weight"].numpy(),
        **stacked(turned),
        **plain(w, "Expert", "shared_expert"),
    }


def qwen2() -> tuple[torch.nn.Module, Weights]:
    sizes = {"hidden_size": D, "moe_intermediate_size": HIDDEN, "shared_expert_intermediate_size": 20}
    choice = {"num_experts": EXPERTS, "num_experts_per_tok": 2, "norm_topk_prob": False}
    block = model("qwen2_moe", "Qwen2MoeSparseMoeBlock", "Qwen2MoeConfig", **sizes, **choice)
    w = block.state_dict()
    own = {"pick.linear.weight": w["gate.weight"], "always.linear.weight": w["shared_expert_gate.weight"]}
    found = {name: value.numpy() for name, value in own.items()}
    return block, {**found, **stacked(w), **plain(w, "always.Expert", "shared_expert")}


def longcat() -> tuple[torch.nn.Module, Weights]:
    sizes = {"hidden_size": D, "expert_ffn_hidden_size": HIDDEN, "n_routed_experts": EXPERTS, "zero_expert_num": 2}
    choice = {"moe_topk": 3, "num_experts_per_tok": 3, "routed_scaling_factor": 1.5}
    block = model("longcat_flash", "LongcatFlashMoE", "LongcatFlashConfig", **sizes, **choice)
    w = block.state_dict()
    bias = w["router.e_score_correction_bias"].numpy()
    return block, {"s.linear.weight": w["router.classifier.weight"].numpy(), "bias": bias, **stacked(w)}


def gpt_oss() -> tuple[torch.nn.Module, Weights]:
    sizes = {"hidden_size": D, "intermediate_size": HIDDEN, "num_local_experts": EXPERTS, "num_experts_per_tok": 2}
    block = model("gpt_oss", "GptOssMLP", "GptOssConfig", **sizes)
    w = {name: value.numpy() for name, value in block.state_dict().items()}
    found = {"z.linear.weight": w["router.weight"], "z.linear.bias": w["router.bias"]}
    for e in range(EXPERTS):
        both, bias = w["experts.gate_up_proj"][e], w["experts.gate_up_proj_bias"][e]
        for name, first in (("gate_", 0), ("up", 1)):
            found[f"{e}.Expert.{name}.linear.weight"] = both[:, first::2].T.copy()
            found[f"{e}.Expert.{name}.linear.bias"] = bias[first::2].copy()
        found[f"{e}.Expert.linear.weight"] = w["experts.down_proj"][e].T.copy()
        found[f"{e}.Expert.linear.bias"] = w["experts.down_proj_bias"][e]
    return block, found


BLOCKS: tuple[Callable[[], tuple[torch.nn.Module, Weights]], ...] = (
    mixtral,
    switch,
    deepseek,
    llama4,
    qwen2,
    longcat,
    gpt_oss,
)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.__name__)
def test_block(block: Callable[[], tuple[torch.nn.Module, Weights]], tmp_path: Path) -> None:
    theirs, weights = block()
    source = FOLDER / f"{block.__name__}.seed"
    contiguous = {name: np.ascontiguousarray(value) for name, value in weights.items()}
    chosen, dropped = set[bytes](), 0
    for target in ("torch-cpu", "onnx-cpu"):
        session = cogseedc.open(cogseedc.compile(source, target, tmp_path / target, weights=contiguous))
        for batch in BATCHES:
            x = np.random.default_rng(batch).normal(0, 1, (batch, TOKENS, D)).astype(np.float32)
            with torch.no_grad():
                expected = theirs(torch.from_numpy(x))
            expected = (expected[0] if isinstance(expected, tuple) else expected).reshape(x.shape).numpy()
            result = session.run({"x": x}, {}, True)
            np.testing.assert_allclose(result["y"], expected, atol=1e-5, rtol=1e-5)
            picks = result.trace["pick"]
            chosen |= {row.tobytes() for row in picks.reshape(-1, picks.shape[-1])}
            over = (picks == -1).all(-1)
            dropped += int(over.sum())
            assert not over.any() or not result["y"][over].any(), "what overflows is zero"
    assert len(chosen) > 2, "the tokens decided alike"
    assert (dropped > 0) == (block is switch)
