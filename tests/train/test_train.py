"""Training: laws of the loop, the phases and the losses, on programs of a few hundred weights."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import cogseedc
from cogseedc.diagnostics import UserError
from cogseedc.train import Options, Step, roles, train
from cogseedc.train.losses import Objective, agree

from .programs import EXITS, GATED, clouds

QUICK = Options(phases=(("joint", 3),), batch=32, rate=1e-2)


def trained(text: str, options: Options, **more: object) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Weights before and after."""
    program = cogseedc.load(text)
    module = cogseedc.build(program)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    train(program, module, clouds(), options, **more)  # type: ignore[arg-type]
    return before, dict(module.state_dict())


def changed(text: str, options: Options) -> set[str]:
    before, after = trained(text, options)
    return {key for key in before if not torch.equal(before[key], after[key])}


def test_roles() -> None:
    found = roles(cogseedc.load(EXITS))
    assert found.objectives == ("one", "two", None)
    assert found.feeds["a.linear.weight"] == ("one", "two", None)
    assert found.feeds["exits.two.linear.weight"] == ("two",)
    assert found.own("two") == {k for k in found.feeds if k.startswith(("b.", "exits.two."))}
    assert not found.gates
    gated = roles(cogseedc.load(GATED))
    assert gated.gates == {f"{n}.linear.{w}" for n in ("score", "want") for w in ("weight", "bias")}


def test_roles_of_weights_in_loops() -> None:
    found = roles(
        cogseedc.load(
            "export seed Net {\n in x: f32[N, D=4]\n out y: f32[N, K=3]\n"
            " h = repeat 3 with h = x until done {\n  gate done over N = linear[P=1](h)[P=0] > 0\n"
            "  next h = when linear[Q=1](h)[Q=0] > 0 { tanh(linear[D](h)) } else { h }\n }\n"
            " exit early { y = linear[K=3](h) } when confidence(y) > 0.9\n y = linear[K](h)\n}\n"
        )
    )
    assert found.feeds["h.then.linear.weight"] == ("early", None)
    assert found.gates == {f"{n}.{w}" for n in ("h.done.linear", "h.linear") for w in ("weight", "bias")}


def test_equal_options_give_equal_weights_and_others_do_not() -> None:
    first, again = trained(EXITS, QUICK)[1], trained(EXITS, QUICK)[1]
    assert all(torch.equal(first[key], again[key]) for key in first)
    other = trained(EXITS, replace(QUICK, rng=1))[1]
    assert not torch.equal(first["a.linear.weight"], other["a.linear.weight"])


@pytest.mark.parametrize("dies_at", [4, 7])
def test_a_killed_run_goes_on_to_the_same_weights(dies_at: int, tmp_path: Path) -> None:
    options = replace(QUICK, phases=(("seeds", 1), ("joint", 2)), noise=0.1)
    whole = trained(EXITS, options)[1]

    def die(step: Step) -> None:
        if step.number == dies_at:
            raise KeyboardInterrupt

    place = tmp_path / "w.checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trained(EXITS, options, checkpoint=place, observe=die)
    seen: list[int] = []
    resumed = trained(EXITS, options, checkpoint=place, resume=True, observe=lambda s: seen.append(s.number))[1]
    assert seen[0] == dies_at - dies_at % 3, "it goes on behind the last whole epoch"
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    with pytest.raises(UserError, match="CS1004"):
        trained(EXITS, replace(options, rate=1e-3), checkpoint=place, resume=True)
    place.write_bytes(b"no safetensors")
    with pytest.raises(UserError, match="CS1004"):
        trained(EXITS, options, checkpoint=place, resume=True)


def test_each_phase_trains_what_it_is_for() -> None:
    program, seen = cogseedc.load(EXITS), dict[str, set[str]]()
    module = cogseedc.build(program)
    last = {key: value.clone() for key, value in module.state_dict().items()}

    def note(step: Step) -> None:
        now = module.state_dict()
        seen.setdefault(step.phase, set()).update(k for k in now if not torch.equal(now[k], last[k]))
        last.update({key: value.clone() for key, value in now.items()})

    train(program, module, clouds(), replace(QUICK, phases=(("seeds", 1), ("joint", 1))), observe=note)
    found = roles(program)
    assert seen == {
        "seeds of one": found.own("one"),
        "seeds of two": found.own("two"),
        "seeds of the end": found.own(None),
        "joint": set(found.feeds),
    }


def test_gates_and_seeds_are_trained_apart() -> None:
    found = roles(cogseedc.load(GATED))
    assert changed(GATED, replace(QUICK, phases=(("gates", 2),))) <= found.gates
    assert changed(GATED, replace(QUICK, phases=(("gates", 2),))) >= {"score.linear.weight"}
    assert changed(GATED, replace(QUICK, phases=(("seeds", 1),))).isdisjoint(found.gates)
    with pytest.raises(UserError, match="CS1005"):
        changed(EXITS, replace(QUICK, phases=(("gates", 1),)))


def test_held_statistics_are_held() -> None:
    text = EXITS.replace("linear[8] |> relu", "linear[8] |> batch_norm |> relu").replace(
        "linear[16] |> relu", "linear[16] |> batch_norm |> relu"
    )
    program = cogseedc.load(text)
    module = cogseedc.build(program)
    states: dict[str, torch.Tensor] = {}

    def note(step: Step) -> None:
        if step.phase == "seeds of one":
            states["last"] = module.get_buffer("a.batch_norm.running_mean").clone()

    train(program, module, clouds(), replace(QUICK, phases=(("seeds", 1),)), observe=note)
    assert torch.equal(states["last"], module.get_buffer("a.batch_norm.running_mean"))
    assert module.get_buffer("b.batch_norm.running_mean").abs().max() > 0


def test_training_learns_every_exit() -> None:
    program, data = cogseedc.load(EXITS), clouds(200)
    module = cogseedc.build(program)
    train(program, module, data, Options(phases=(("joint", 15),), batch=32, rate=1e-2, distillation=0.3, clip=1.0))
    x, y = torch.from_numpy(data.inputs["x"]), data.target
    for taus in ([0.0, 1.0], [1.0, 0.0], [1.0, 1.0]):
        with torch.no_grad():
            given = module(x, tau=torch.tensor(taus)).y
        assert (given.argmax(-1).numpy() == y).mean() > 0.85


def test_equilibrium_divides_by_the_exits_behind() -> None:
    """With SGD and no momentum yet, one step is the gradient."""
    options = Options(phases=(("joint", 1),), batch=96, optimizer="sgd", rate=1e-3, decay=0.0, warmup=0.0)
    before, plain = trained(EXITS, options)
    _, scaled = trained(EXITS, replace(options, equilibrium=True))
    for key, count in {"a.linear.weight": 3, "b.linear.weight": 2, "linear_2.weight": 1}.items():
        step = plain[key] - before[key]
        torch.testing.assert_close(scaled[key] - before[key], step / count, rtol=2e-3, atol=3e-8)


def test_losses_of_exits() -> None:
    given, teacher = torch.randn(5, 4), torch.randn(5, 4)
    soft = torch.softmax(teacher / 2, -1)
    divergence = F.kl_div(torch.log_softmax(given / 2, -1), soft, reduction="batchmean")
    entropy = -(soft * soft.log()).sum(-1).mean()
    torch.testing.assert_close(agree(given, teacher, 2.0), (divergence + entropy) * 4)

    program = cogseedc.load(EXITS)
    result = cogseedc.build(program)(torch.randn(5, 6), tau=1.0)
    target = torch.randint(0, 3, (5,))

    def weights(options: Options) -> list[float]:
        return [w for _, w, _ in Objective("y", ("one", "two"), options).terms(result, target)]

    assert weights(Options()) == [1, 1, 1]
    assert weights(Options(exits="linear")) == pytest.approx([1 / 3, 2 / 3, 1])
    assert weights(Options(exits=(0.5, 0.25))) == [0.5, 0.25, 1]
    with pytest.raises(UserError, match="CS1005"):
        trained(EXITS, replace(QUICK, exits=(1.0,)))


def test_named_losses_and_knobs() -> None:
    assert "score.linear.weight" in changed(GATED, QUICK)
    assert "score.linear.weight" not in changed(GATED, replace(QUICK, losses={"open": 0.0}))
    trained(EXITS, replace(QUICK, knobs={"tau": (1.0, 0.5)}))
    for knobs in ({"tua": (1.0, 0.5)}, {"tau": (2.0, 0.5)}):
        with pytest.raises(UserError, match="CS1005"):
            trained(EXITS, replace(QUICK, knobs=knobs))
    with pytest.raises(UserError, match="CS1005"):
        trained(GATED, replace(QUICK, losses={"opne": 0.5}))


def test_a_loss_that_is_no_number_ends_the_run() -> None:
    with pytest.raises(UserError, match="CS1006"):
        trained(EXITS, replace(QUICK, optimizer="sgd", rate=1e9))


def test_numbers_as_targets() -> None:
    program = cogseedc.load(
        "export seed Line {\n    in  x: f32[N, D=6]\n    out y: f32[N, K=2]\n    y = linear[K](x)\n}\n"
    )
    data = clouds()
    wanted = data.inputs["x"] @ np.random.default_rng(1).standard_normal((6, 2)).astype(np.float32)
    module = cogseedc.build(program)
    train(program, module, replace(data, targets={"y": wanted}), Options(phases=(("joint", 150),), batch=32, rate=3e-2))
    with torch.no_grad():
        given = module(torch.from_numpy(data.inputs["x"])).y.numpy()
    assert np.abs(given - wanted).mean() < 0.05


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "examples" / "distributed.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    difference = float(done.stdout.partition("differ from those of one by ")[2].partition(";")[0])
    assert done.stdout.startswith("2 processes")
    assert difference < 1e-6


@pytest.mark.slow
def test_the_plain_loop(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "examples" / "plain_loop.py"
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.partition("right: ")[2].partition("%")[0]) > 80
    cogseedc.compile(
        script.with_name("01_digits.seed"), "onnx-cpu", tmp_path / "art", weights=tmp_path / "digits.safetensors"
    )
