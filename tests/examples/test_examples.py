"""Each `examples/NN_name.seed`: laid out, documented, compiled for every target, verified and run."""

from __future__ import annotations

from pathlib import Path

import pytest

import cogseedc
from cogseedc.diagnostics import UserError
from tests import whole
from tests.whole import Small

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("[0-9][0-9]_*.seed"))
ALL = sorted(FOLDER.glob("*.seed"))
MSDNET = {"blocks": 3, "step": 1, "base": 1, "channels": 4, "growth": 4, "classes": 5, "size": 32, "stem": "cifar"}
SMALL = {
    "01_digits": Small({"width": 4}),
    "02_early_exit": Small({"width": 4}),
    "03_layer_skip": Small({"depth": 3}),
    "04_one_shot_policy": Small({"blocks": 3}),
    "06_multi_scale": Small({"blocks": 2, "base": 1, "step": 1, "channels": 4, "growth": 4}, replace=(("128", "16"),)),
    "13_slimmable": Small({"widths": (4, 8, 12, 16), "full": 16}),
    "14_channel_gating": Small(replace=(("H=32, W=32", "H=12, W=12"),)),
    "16_spatial_act": Small({"units": 3}),
    "17_placed_exits": Small(replace=(("width=32, depth=18", "width=8, depth=9"),)),
    "21_resolution_adaptive": Small(
        {"channels": 4, "growth": 4, "step": 2, "blocks": 1, "block_step": 1, "classes": 5},
        replace=(("(1, 2, 3, 3)", "(1, 2)"), ("(4, 2, 1, 1)", "(2, 1)"), ('"cifar" => 128', '"cifar" => 8')),
    ),
    "41_msdnet": Small({**MSDNET, "growth_factors": (1, 2, 4), "bottleneck_factors": (1, 2, 4)}),
    "42_resnet": Small({"depth": (2, 1), "widths": (4, 8), "skip": "skipnet", "size": 12}),
    "43_slimmable_mobilenet": Small(
        {"widths": (100, 50), "size": 32, "classes": 5},
        replace=(
            ("(64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)", "(8, 16, 16)"),
            ("(1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)", "(1, 2, 1)"),
        ),
    ),
    "61_token_exit_caches": Small({"layers": 3, "d": 8, "length": 6}),
    "63_draft_and_verify": Small({"drafts": 2, "late": 1, "d": 8, "length": 10}),
}
EDGE = (
    "02_early_exit",
    "03_layer_skip",
    "05_cascade",
    "09_group_limited_router",
    "10_neural_tree",
    "13_slimmable",
    "62_frame_skipping_held",
    "65_adaptive_computation_time",
    "68_jumping_reader",
    "72_resolution_per_frame",
)


def small(source: Path) -> Small:
    return SMALL.get(source.stem, Small())


@pytest.mark.parametrize("source", ALL, ids=lambda p: p.stem)
def test_reads_prints_and_is_laid_out(source: Path, tmp_path: Path) -> None:
    whole.is_laid_out(source)
    program = whole.read(source, "Digits" if source.stem == "demo" else None)
    whole.prints_and_reads_again(program, tmp_path)


@pytest.mark.parametrize("source", EXAMPLES, ids=lambda p: p.stem)
def test_is_documented_and_numbered(source: Path) -> None:
    assert source.read_text(encoding="utf-8").startswith("#")
    assert [path.stem[:2] for path in EXAMPLES].count(source.stem[:2]) == 1


@pytest.mark.parametrize("target", ["torch-cpu", "onnx-cpu"])
@pytest.mark.parametrize("source", EXAMPLES, ids=lambda p: p.stem)
def test_compiles_verifies_and_runs(source: Path, target: str, tmp_path: Path) -> None:
    artifact = whole.compiled(source, target, tmp_path, small(source))
    whole.verifies_and_runs(artifact, whole.of(artifact))


@pytest.mark.parametrize("source", EXAMPLES, ids=lambda p: p.stem)
def test_builds_for_cuda(source: Path, tmp_path: Path) -> None:
    for target in ("torch-cuda", "onnx-cuda"):
        whole.builds(whole.compiled(source, target, tmp_path, small(source)))


@pytest.mark.parametrize("name", EDGE)
def test_compiles_for_one_sample_at_a_time(name: str, tmp_path: Path) -> None:
    source = FOLDER / f"{name}.seed"
    artifact = whole.compiled(source, "onnx-edge", tmp_path, small(source))
    whole.verifies_and_runs(artifact, whole.of(artifact))


@pytest.mark.parametrize("name", ["growth_factors", "bottleneck_factors"])
def test_msdnet_wants_two_lists_of_one_length(name: str) -> None:
    with pytest.raises(UserError, match="each scale has a factor of growth and one of bottlenecks"):
        cogseedc.load(FOLDER / "41_msdnet.seed", set={**MSDNET, name: (1, 2, 4)})
