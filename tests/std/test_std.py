"""The standard library: every seed is documented, has a level above all that it uses, compiles, and is verified."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import cogseedc
from cogseedc.driver.catalogue import seeds_of
from cogseedc.limits import Limits
from cogseedc.verify import Settings, verify_artifact
from tests import whole

FOLDER = Path(cogseedc.__file__).parent / "seeds" / "std"
PACKAGES = sorted(path.stem for path in FOLDER.glob("*.seed"))
LEVELS = ("atomic", "molecular", "cellular", "tissue")
MAP = "f32[N, C=3, H=8, W=8]"
SEQUENCE = "f32[N, T=5, D=8]"
LOGITS = "f32[N, K=5]"
USES: dict[str, tuple[str, str | tuple[str, ...], str]] = {
    "vision.ConvBlock": ("[4]", MAP, "y"),
    "vision.ResidualBlock": ("[4, stride=2]", MAP, "y"),
    "vision.ResidualStack": ("[2, 3]", MAP, "y"),
    "vision.Head": ("[4]", MAP, "logits"),
    "atomic.Projection": ("[6]", SEQUENCE, "y"),
    "atomic.GatedUnit": ("[6]", SEQUENCE, "y"),
    "atomic.Halting": ("", SEQUENCE, "p"),
    "molecular.PatternCompleter": ("[8, patterns=6]", SEQUENCE, "y"),
    "molecular.SelfAttention": ("[2]", SEQUENCE, "y"),
    "molecular.Transition": ("", SEQUENCE, "y"),
    "cellular.AttentionBlock": ("[2]", SEQUENCE, "y"),
    "cellular.WorkingMemory": ("[6]", SEQUENCE, "y"),
    "tissue.StrategicPlanner": ("[8, patterns=6]", SEQUENCE, "y"),
    "losses.CrossEntropy": ("", (LOGITS, "i64[N]"), "each"),
    "losses.Distillation": ("[temperature=2.0]", (LOGITS, LOGITS.replace("K", "J")), "each"),
    "tissue.EpisodicRecall": ("[6, patterns=5]", SEQUENCE, "y"),
}
"""By seed: static arguments, the input or inputs, and the output to look at."""


def program(name: str, folder: Path, arguments: str | None = None) -> Path:
    """A program that is one seed of the library."""
    given, types, out = USES[name]
    types = (types,) if isinstance(types, str) else types
    inputs = [f"x{i or ''}" for i in range(len(types))]
    ports = "".join(f"    in  {name}: {type}\n" for name, type in zip(inputs, types, strict=True))
    package, seed = name.split(".")
    text = f"import std.{package} as package\nexport seed Use {{\n{ports}"
    result = re.search(rf"seed {seed}\b.*?out {out}: (.*?)$", (FOLDER / f"{package}.seed").read_text(), re.S | re.M)
    assert result is not None
    rank = result[1].count(",")
    axes = "".join(f", A{i}" for i in range(rank))
    text += f"    out {out}: f32[N{axes}]\n    {out} = package.{seed}{given if arguments is None else arguments}({', '.join(inputs)})\n}}\n"
    source = folder / "use.seed"
    source.write_text(text)
    return source


def test_every_seed_is_used_here_and_documented() -> None:
    found = seeds_of((), Limits())
    assert {f"{record['from'].removeprefix('std.')}.{record['name']}" for record in found} == set(USES)
    for record in found:
        assert record["doc"], record["name"]
        assert record["level"] in LEVELS
        assert re.fullmatch(r"1\.\d+\.\d+", record["version"])


def test_packages_use_lower_levels_only() -> None:
    for package in LEVELS:
        text = (FOLDER / f"{package}.seed").read_text()
        used = re.findall(r"^from std\.(\w+) @\^1\.0\.0 import", text, re.M)
        assert all(LEVELS.index(other) < LEVELS.index(package) for other in used)
        assert set(re.findall(r"^    level (\w+)$", text, re.M)) == {package}
    assert {"atomic", "cellular", "molecular"} == set(re.findall(r"std\.(\w+) @", (FOLDER / "tissue.seed").read_text()))


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_laid_out(package: str) -> None:
    whole.is_laid_out(FOLDER / f"{package}.seed")


@pytest.mark.parametrize("target", ["torch-cpu", "onnx-cpu"])
@pytest.mark.parametrize("name", sorted(USES))
def test_every_seed_is_verified(name: str, target: str, tmp_path: Path) -> None:
    art = cogseedc.compile(program(name, tmp_path), target, tmp_path / "art", rng=0, verify_each=True)
    report = verify_artifact(art, Settings(batches=(0, 1, 3)))
    assert report.ok, report.to_text()


def test_dependencies_come_before_what_uses_them(tmp_path: Path) -> None:
    """The files that an artifact keeps, and the instances inside one another."""
    art = cogseedc.compile(program("tissue.StrategicPlanner", tmp_path), "torch-cpu", tmp_path / "art", rng=0)
    program_kept = whole.of(art)
    assert {"std/tissue.seed", "std/cellular.seed", "std/molecular.seed", "std/atomic.seed"} <= set(program_kept.files)
    paths = {node.origin.seeds for g, _ in program_kept.elaborated.graph.nested() for _, node in g.nodes()}
    assert ("Use", "StrategicPlanner", "AttentionBlock", "Transition", "GatedUnit") in paths
    assert ("Use", "StrategicPlanner", "PatternCompleter", "Projection") in paths


def test_a_sharp_completer_gives_a_stored_pattern(tmp_path: Path) -> None:
    source = program("molecular.PatternCompleter", tmp_path, "[8, patterns=6, sharpness=400.0]")
    module = cogseedc.build(source, rng=1).eval()
    stored = module.state_dict()["PatternCompleter.stored"].numpy()
    x = np.random.default_rng(0).standard_normal((4, 5, 8)).astype("float32")
    found = module(torch.from_numpy(x)).y.detach().numpy()
    gap = np.abs(found[:, :, None] - stored).max(-1).min(-1)
    assert gap.max() < 1e-3


def test_a_sure_planner_thinks_once(tmp_path: Path) -> None:
    source = program("tissue.StrategicPlanner", tmp_path)
    session = cogseedc.open(cogseedc.compile(source, "torch-cpu", tmp_path / "art", rng=0))
    x = np.random.default_rng(0).standard_normal((4, 5, 8)).astype("float32")
    turns = {}
    for sure in (0.0, 0.7, 1.0):
        result = session.run({"x": x}, {session.knobs[0].name: sure}, trace=True)
        name = next(name for name in result.trace if name.endswith("until") and "Completer" not in name)
        turns[sure] = (result.trace[name] >= 0).sum(1).tolist()
    assert turns[0.0] == [1] * 4
    assert 1 < max(turns[0.7]) <= max(turns[1.0]) <= 6


def test_losses_are_those_of_torch(tmp_path: Path) -> None:
    logits, teacher = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    target = torch.arange(7) % 5
    entropy = cogseedc.build(program("losses.CrossEntropy", tmp_path)).eval()(logits, target).each
    torch.testing.assert_close(entropy, torch.nn.functional.cross_entropy(logits, target, reduction="none"))
    logits.requires_grad_()
    teacher.requires_grad_()
    found = cogseedc.build(program("losses.Distillation", tmp_path))(logits, teacher).each
    softened = torch.log_softmax(logits / 2, -1), torch.softmax(teacher / 2, -1)
    expected = 4 * torch.nn.functional.kl_div(*softened, reduction="none").sum(-1)
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found.sum(), logits, retain_graph=True)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), logits)[0])
    assert torch.autograd.grad(found.sum(), teacher, allow_unused=True) == (None,)
