"""Training mode, sizes that only the inputs say, and settings: what one program and its values do not show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import cogseedc
from cogseedc.diagnostics import UserError
from tests.language.meanings import Weights, softmax, top
from tests.language.test_language import FOLDER, random_weights


def test_training_gives_exits_and_losses() -> None:
    program = cogseedc.load(FOLDER / "training.seed")
    arrays = random_weights(program.elaborated.graph)
    module = cogseedc.build(program, weights=arrays)
    assert module.training
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    result = module(torch.from_numpy(x), trace=True)
    w = Weights({p: a.astype(np.float64) for p, a in arrays.items()})
    scores = softmax(w.linear("pick.linear", x))
    mask = top(scores, 1)
    h = sum((scores * mask)[:, [t]] * w.linear(f"h.{t}.linear", x) for t in range(2))
    assert list(result.exits) == ["easy"]
    np.testing.assert_allclose(result.exits["easy"].y.detach(), w.linear("exits.easy.linear", h), 1e-4, 1e-5)
    keep = (w.linear("keep.linear", x)[:, 0] > 0).mean()
    trunk, arm = 4 * 2 + 4 * 1 + 2 * 4 * 4 / 2 + 4 * 3, 2 * 4 * 4
    wanted = {
        "balance": (mask.mean(0) * scores.mean(0)).sum() * 2,
        "small": (h * h).mean() * 0.1,
        "spent": arm * keep,
        "full": arm,
        "whole": trunk + 12 * float((result.trace["easy"] == 0).float().mean()) + arm * keep,
        "region": arm * keep,
    }
    assert list(result.losses) == list(wanted)
    for name, value in wanted.items():
        assert result.losses[name].shape == ()
        np.testing.assert_allclose(float(result.losses[name].detach()), value, 1e-4, err_msg=name)
    sum(result.losses.values()).backward()
    assert module.get_parameter("h.0.linear.weight").grad.abs().sum() > 0


def test_training_is_the_dense_meaning() -> None:
    for name in ("exits_nested", "exits_arm", "many_else", "gates_nested", "loops_static", "uniform"):
        module = cogseedc.build(FOLDER / f"{name}.seed", rng=3)
        x = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
        trained = module(x)
        with torch.inference_mode():
            evaluated = module.eval()(x)
        for a, b in zip(trained, evaluated, strict=True):
            torch.testing.assert_close(a.detach(), b, msg=name)


@pytest.mark.parametrize("target", ["torch-cpu", "onnx-cpu", "onnx-edge"])
def test_a_requirement_is_checked_on_the_inputs(tmp_path: Path, target: str) -> None:
    session = cogseedc.open(
        cogseedc.compile(FOLDER / "axes_requirement.seed", target, tmp_path / "a", rng=0, bits="fp32")
    )
    x = np.ones((2, 6), np.float32)
    assert session(x=x, z=np.ones((2, 2, 3), np.float32))["y"].shape == (2, 6)
    with pytest.raises(UserError, match="CS0844"):
        session(x=x, z=np.ones((2, 2, 2), np.float32))
    with pytest.raises(UserError, match="CS0844"):
        session(x=x, z=np.ones((2, 6, 2), np.float32))


def test_a_program_that_mixes_the_batch_is_refused_batches_where_samples_come_alone(tmp_path: Path) -> None:
    text = "export seed Net {\n in x: f32[N, D=4]\n out y: f32[N, D]\n y = x - mean[over=N](x)\n}\n"
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    any_batch = cogseedc.open(cogseedc.compile(text, "onnx-cpu", tmp_path / "a", rng=0))
    np.testing.assert_allclose(any_batch(x=x)["y"], x - x.mean(0), 1e-5, 1e-6)
    alone = cogseedc.open(cogseedc.compile(text, "onnx-edge", tmp_path / "b", rng=0))
    assert not alone(x=x[:1])["y"].any()
    with pytest.raises(UserError, match="CS0844"):
        alone(x=x)


def test_sizes_and_settings(tmp_path: Path) -> None:
    text = "export seed Net[w: int = 2, ws: int[] = (1,)] {\n in xs: f32[N, C] * 2\n out y: f32[N, w]\n"
    text += " y = linear[w](concat(linear[ws[0]](xs[0]), linear[3](xs[1])))\n}\n"
    program = cogseedc.load(text, set={"w": 5, "ws": (7, 8)}, size={"C_0": 4, "C_1": 6})
    module = cogseedc.build(program, rng=0)
    assert module(torch.zeros(2, 4), torch.zeros(2, 6)).y.shape == (2, 5)
    shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    assert shapes["linear.weight"] == (7, 4)
    both = cogseedc.load(text, size={"C": 4})
    assert cogseedc.build(both, rng=0)(torch.zeros(2, 4), torch.zeros(2, 4)).y.shape == (2, 2)
    for bad in ({"w": "x"}, {"w": 1.5}, {"v": 1}, {"ws": "x"}, {"w": "1 +"}):
        with pytest.raises(UserError):
            cogseedc.load(text, set=bad, size={"C": 4})


def test_an_unused_seed_is_not_refused_for_the_sizes_that_it_is_checked_with() -> None:
    text = "seed F {\n in x: f32[N, D]\n out y: f32[N, L=2, K=3]\n y = split[over=D, into=(L, K), L=2](x)\n}\n"
    cogseedc.load(text + "export seed Net {\n in x: f32[N, D=6]\n out y: f32[N, D]\n y = x\n}\n")


def test_budgets_are_held() -> None:
    text = (
        "export seed Net {\n budget params worst <= 10\n in x: f32[N, D=4]\n out y: f32[N, 4]\n y = linear[4](x)\n}\n"
    )
    with pytest.raises(UserError) as caught:
        cogseedc.build(text, rng=0)
    assert caught.value.diagnostics[0].labels[0].span.line == 2
