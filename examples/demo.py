"""Trains an early-exit classifier of handwritten digits, chooses its thresholds, compiles it for two runtimes, verifies
both, and measures what leaving early saves. `make demo` runs it.

The images are scikit-learn's bundled digits: 1,797 of 8x8 pixels, no download. Thresholds are chosen on a validation
part, and all figures are from a test part that neither training nor that choice has seen. Each step is a command of
`cogseedc` too: train, build, calibrate, verify, evaluate.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

import cogseedc
from cogseedc.calibrate import Asked, calibrate_artifact
from cogseedc.data import DataSet, load_data
from cogseedc.driver.costs import costs_of
from cogseedc.driver.picture import draw
from cogseedc.driver.program import Settings
from cogseedc.publish import write_file
from cogseedc.runtime import Result, Session
from cogseedc.train import Options, ports_of, train
from cogseedc.verify import verify_artifact

SOURCE = Path(__file__).with_name("demo.seed")
BUDGET = "accuracy>=0pt"
BATCH = 32


def accuracy(logits: np.ndarray, data: DataSet) -> float:
    return float((logits.argmax(-1) == data.target).mean())


def measure(sessions: Mapping[str, Session], images: np.ndarray) -> dict[str, float]:
    """Microseconds per image in batches of `BATCH`: the best of many turns, in which the sessions take turns."""
    batches = [images[i : i + BATCH] for i in range(0, len(images) - BATCH + 1, BATCH)]
    best = dict.fromkeys(sessions, float("inf"))
    for _ in range(15):
        for name, session in sessions.items():
            start = time.perf_counter()
            for batch in batches:
                session(image=batch)
            best[name] = min(best[name], time.perf_counter() - start)
    return {name: seconds / (len(batches) * BATCH) * 1e6 for name, seconds in best.items()}


def verify(artifact: Path) -> str:
    """What `cogseedc verify` says in its first line; ends the demo when it finds a mismatch."""
    report = verify_artifact(artifact)
    if not report.ok:
        raise SystemExit(report.to_text())
    return report.to_text().splitlines()[0]


def table(test: DataSet, result: Result, full: Result, macs: Mapping[str, int], times: Mapping[str, float]) -> Table:
    """The demo's outcome. `macs` are per image for each exit and for the end."""
    shares = {name: float(taken.mean()) for name, taken in result.exits.items()}
    shares["the end"] = 1.0 - sum(shares.values())
    mean = sum(shares[name] * macs[name] for name in shares)
    rows = [
        ("accuracy", f"{accuracy(result['logits'], test):.1%}", f"{accuracy(full['logits'], test):.1%}"),
        *((f"leave at {name}", f"{share:.0%}", "") for name, share in shares.items()),
        ("mean MACs per image", f"{mean:,.0f}", f"{macs['without']:,}"),
        ("", f"{mean / macs['without']:.1%}", "100%"),
        (f"time per image, batches of {BATCH}", f"{times['exits']:.1f} us", f"{times['without']:.1f} us"),
        ("speed-up", f"{times['without'] / times['exits']:.2f}x", "1x"),
    ]
    made = Table(title=f"{len(test)} held-out images, ONNX Runtime", box=SIMPLE, title_justify="left")
    made.add_column("")
    for title in ("with exits", "without exits"):
        made.add_column(title, justify="right")
    for row in rows:
        made.add_row(*row)
    return made


def macs_of(program: cogseedc.Program) -> dict[str, int]:
    """MACs of one image that leaves at each exit, or at the end."""
    found = costs_of(program.structure, ())
    exits = {exit.path or "the end": exit.macs.worst.value for exit in found.exits}
    return exits or {"without": found.macs.worst.value}


def main() -> None:
    """Everything, in the order in which a user would do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("build/demo"))
    parser.add_argument("--epochs", type=int, default=40)
    chosen = parser.parse_args()
    console, start = Console(), time.perf_counter()
    torch.set_num_threads(1)  # layers this small gain nothing from more, and lose much on a busy machine
    program = cogseedc.load(SOURCE, seed="Digits")
    ports = ports_of(program)
    training, validation, test = (
        load_data(f"sklearn:digits#{part}", ports.inputs, ports.outputs) for part in ("train", "validation", "test")
    )

    console.print(f"[bold]1[/] a PyTorch module from {SOURCE.name}, trained on {len(training)} images")
    module = cogseedc.build(program)
    train(program, module, training, Options(phases=(("joint", chosen.epochs),), rate=8e-3, shift=1, distillation=0.5))
    state = module.state_dict()
    console.print(f"  trained in {time.perf_counter() - start:.0f} s")

    console.print(f"[bold]2[/] thresholds chosen on {len(validation)} other images, for a budget of {BUDGET}")
    trained = cogseedc.compile(program, "onnx-cpu", chosen.output / "trained", weights=state)
    asked = Asked(str(trained), validation, chosen.output / "onnx-cpu", (BUDGET,), threads=1)
    profile = calibrate_artifact(asked).profile
    knobs = {name: tuple(values) for name, values in profile["knobs"].items()}
    console.print(f"  tau = {', '.join(f'{value:.3f}' for value in knobs['tau'])}")

    console.print("[bold]3[/] compiled for ONNX and for PyTorch, verified against the meaning of the program")
    settled = cogseedc.load(SOURCE, Settings("Digits", knobs=tuple(knobs.items())))
    artifacts = {"onnx-cpu": chosen.output / "onnx-cpu"}
    artifacts["torch-cpu"] = cogseedc.compile(settled, "torch-cpu", chosen.output / "torch-cpu", weights=state)
    baseline = cogseedc.load(SOURCE, seed="DigitsFull")
    kept = {key: value for key, value in state.items() if not key.startswith("exits.")}
    without = cogseedc.compile(baseline, "onnx-cpu", chosen.output / "without-exits", weights=kept)
    for artifact in (*artifacts.values(), without):
        console.print(f"  {verify(artifact)}")
    page = chosen.output / "graph.html"
    write_file(page, draw(program, "html"))

    console.print("[bold]4[/] run")
    sessions = {"exits": cogseedc.open(artifacts["onnx-cpu"], threads=1), "without": cogseedc.open(without, threads=1)}
    result = sessions["exits"].run(test.inputs, trace=True)
    full = sessions["without"].run(test.inputs)
    macs = macs_of(program) | macs_of(baseline)
    console.print(table(test, result, full, macs, measure(sessions, test.inputs["image"])))
    for target, artifact in artifacts.items():
        console.print(f"{target:<10} {artifact}", highlight=False, soft_wrap=True)
    console.print(f"{'graph':<10} {page}   (open it in a browser)", highlight=False, soft_wrap=True)
    console.print(f"done in {time.perf_counter() - start:.0f} s", highlight=False)


if __name__ == "__main__":
    main()
