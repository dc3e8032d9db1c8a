"""One study: a program trained, compiled, calibrated on validation data and measured on test data, for some seeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import cogseedc
from cogseedc.bench.program import Wish, bench
from cogseedc.calibrate import Asked as Calibrate
from cogseedc.calibrate import calibrate_artifact
from cogseedc.data import DataSet
from cogseedc.driver.costs import costs_of
from cogseedc.driver.program import Program, Settings
from cogseedc.driver.reopened import reopen
from cogseedc.evaluate import Asked as Evaluate
from cogseedc.evaluate import evaluate_artifact
from cogseedc.train import Options, train

from .agreement import agreement
from .data import Splits

HERE = Path(__file__).parent
FINAL = "final"
"""Folder of the artifact that is measured, in the place of a seed."""
Result = dict[str, Any]


@dataclass(frozen=True)
class Study:
    """What is done, and what it should show."""

    name: str
    source: Path
    splits: Callable[[], Splits]
    options: Options
    goal: str
    """The figure that it should reach, in words."""
    reached: Callable[[Result], bool]
    """Whether the means over the seeds reach it."""
    budgets: tuple[str, ...] = ()
    whole: Callable[[Splits, Options, int, Path], Result] | None = None
    """The study itself, where it is another than `run`."""
    seed: str | None = None
    margin: float = 0.0
    alone: Sequence[str] = ()
    """Exits at which a static network is cut off, to be trained alone."""
    cap: str | None = None
    """A budget on the worst case, for inputs without a right answer."""
    extra: Callable[[Path, Splits], Result] = field(default=lambda artifact, splits: {})


def run(study: Study, splits: Splits, rng: int, place: Path, page: bool = False) -> Result:
    """One seed of a study; everything that it builds lies in `place`."""
    start = time.perf_counter()
    program = cogseedc.load(study.source, seed=study.seed)
    module = trained(program, splits.train, replace(study.options, rng=rng))
    built = cogseedc.compile(program, "onnx-cpu", place / "built", weights=module.state_dict())
    chosen = place / FINAL
    asked = Calibrate(str(built), splits.validation, chosen, study.budgets, margin=study.margin, threads=1)
    profile = calibrate_artifact(asked).profile
    shifts = () if splits.outside is None else (("out of scope", splits.outside),)
    shown = place / "report.html" if page else None
    report = evaluate_artifact(Evaluate(str(chosen), splits.test, shown, shifts, threads=1, timed=False))
    full = next(b for b in report["baselines"] if b["name"] == "static: everything on")
    spent = report["result"]["macs"]
    found: Result = {
        "accuracy": report["result"]["quality"],
        "full_accuracy": full["quality"],
        "points_lost": 100 * (full["quality"] - report["result"]["quality"]),
        "share_of_macs": spent / full["macs"],
        "macs": spent,
        "worst_macs": report["result"]["worst_macs"],
        "left": {exit["name"]: exit["share"] for exit in report["exits"]},
        "validation": {"accuracy": profile["chosen"]["quality"], "macs": profile["chosen"]["macs"]},
        "baselines": {b["name"]: {"accuracy": b["quality"], "macs": b["macs"]} for b in report["baselines"]},
        "shifted": {s["name"]: s["macs"] / full["macs"] for s in report["shifted"]},
        "decisions": agreement(str(chosen), module, splits.test),
    }
    if study.alone:
        found["static"] = dict(static(study, program, splits, rng, found))
    if study.cap is not None and splits.outside is not None:
        found["capped"] = capped(study, str(built), splits, place / "capped")
    found |= study.extra(chosen, splits)
    found["seconds"] = time.perf_counter() - start
    return found


def trained(program: Program, data: DataSet, options: Options) -> torch.nn.Module:
    """A module of the program, trained, in evaluation mode."""
    module = cogseedc.build(program, rng=options.rng)
    train(program, module, data, options)
    return module


def accuracy(module: torch.nn.Module, data: DataSet, **knobs: Any) -> float:
    """Share of right answers."""
    right = 0
    with torch.inference_mode():
        for part in data.batches(500):
            given = getattr(module(*map(torch.from_numpy, part.inputs.values()), **knobs), data.output)
            right += int((given.argmax(-1).numpy() == part.target).sum())
    return right / len(data)


def static(study: Study, program: Program, splits: Splits, rng: int, found: Result) -> Any:
    """Static networks of the same source, each cut off at one exit and trained alone; which of them is as good."""
    costs = _costs(program)
    nets = {"everything": (found["full_accuracy"], costs[None])}
    exits = [name for name in costs if name is not None]
    for cut in study.alone:
        before = dict.fromkeys(exits[: exits.index(cut)], (0,))
        settled = Settings(program.name, arms=tuple({**before, cut: (1,)}.items()))
        alone = cogseedc.load(study.source, settled)
        module = trained(alone, splits.train, replace(study.options, rng=rng, distillation=0.0))
        nets[f"cut at {cut}, trained alone"] = accuracy(module, splits.test), _costs(alone)[None]
    for name, (right, macs) in nets.items():
        yield name, {"accuracy": right, "macs": macs}
    equal = [macs for right, macs in nets.values() if right >= found["accuracy"]]
    yield "share_of_cheapest_as_good", found["macs"] / min(equal, default=nets["everything"][1])


def _costs(program: Program) -> dict[str | None, int]:
    """The most MACs of a sample that leaves at each exit, and of one that reaches the end (None)."""
    found = costs_of(program.structure, ())
    return {exit.path: exit.macs.worst.value for exit in found.exits} or {None: found.macs.worst.value}


def capped(study: Study, built: str, splits: Splits, place: Path) -> Result:
    """The same network under a budget on its worst case, too: what inputs without a right answer can cost at most."""
    assert study.cap is not None
    assert splits.outside is not None
    budgets = (*(b for b in study.budgets if not b.startswith("accuracy")), study.cap)
    calibrate_artifact(Calibrate(built, splits.validation, place, budgets, threads=1))
    shifts = (("out of scope", splits.outside),)
    report = evaluate_artifact(Evaluate(str(place), splits.test, None, shifts, threads=1, timed=False))
    out = next(s for s in report["shifted"] if s["name"] == "out of scope")
    worst = reopen(built).program
    full = _costs(worst)[None]
    return {
        "budget": study.cap,
        "accuracy": report["result"]["quality"],
        "share_of_macs": report["result"]["macs"] / full,
        "worst_share": report["result"]["worst_macs"] / full,
        "out_of_scope_share": out["macs"] / full,
    }


def speed(artifact: Path, splits: Splits, samples: int = 128, rounds: int = 9) -> Result:
    """Time beside the practical limit: the needed segments alone, on compacted batches, in the same runtime."""
    inputs = {name: array[:samples] for name, array in splits.test.inputs.items()}
    place = artifact.parent / "inputs.npz"
    np.savez(place, allow_pickle=False, **inputs)
    cells = bench(str(artifact), Wish(batches=(1, 32), inputs=str(place), rounds=rounds))
    return {cell.cell: {name: figure.value for name, figure in cell.figures.items()} for cell in cells}


def means(results: Sequence[Mapping[str, Any]]) -> Result:
    """Means of all numbers over the seeds."""
    found: Result = {}
    for key, value in results[0].items():
        if isinstance(value, Mapping):
            found[key] = means([r[key] for r in results])
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[key] = float(np.mean([r[key] for r in results]))
        else:
            found[key] = value
    return found
