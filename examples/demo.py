"""Trains an early-exit classifier of handwritten digits in plain PyTorch, compiles it for two runtimes, verifies both,
and measures what leaving early saves. `make demo` runs it.

The images are scikit-learn's bundled digits: 1,797 of 8x8 pixels, no download. The threshold is chosen on a validation
split, and all figures are from a test split that neither training nor that choice has seen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn.functional import cross_entropy

import cogseedc
from cogseedc.driver.costs import measured
from cogseedc.driver.picture import draw
from cogseedc.publish import write_file
from cogseedc.runtime import Result, Session
from cogseedc.verify import verify_artifact

SOURCE = Path(__file__).with_name("demo.seed")
BATCH = 32


@dataclass
class Split:
    """Images [n, 1, 8, 8] in 0 .. 1, and their digits."""

    images: torch.Tensor
    digits: torch.Tensor


def splits() -> tuple[Split, Split, Split]:
    """Training, validation and test images: 60, 20 and 20 percent, the classes in equal shares."""
    bunch = load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32)[:, None] / 16
    digits = torch.tensor(bunch.target)
    rest, test = train_test_split(np.arange(len(digits)), test_size=0.2, random_state=0, stratify=bunch.target)
    train, validation = train_test_split(rest, test_size=0.25, random_state=0, stratify=bunch.target[rest])
    train, validation, test = (Split(images[i], digits[i]) for i in (train, validation, test))
    return train, validation, test


def augmented(images: torch.Tensor) -> torch.Tensor:
    """Each image moved by up to one pixel, so that 1,078 images go further."""
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    dx, dy = torch.randint(0, 3, (2,)).tolist()
    return padded[:, :, dx : dx + 8, dy : dy + 8]


def train(module: torch.nn.Module, data: Split, epochs: int) -> None:
    """Every exit learns: in training mode the module gives the outputs of all of them."""
    torch.manual_seed(0)
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=4e-3, weight_decay=1e-2)
    steps = epochs * (len(data.digits) // 64 + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(data.digits)).split(64):
            if len(batch) < 2:
                continue
            # At threshold 1 nobody leaves early, so the outputs are those of the last head.
            result = module(augmented(data.images[batch]), tau=1.0)
            heads = [*(exit.logits for exit in result.exits.values()), result.logits]
            losses = [cross_entropy(head, data.digits[batch], label_smoothing=0.05) for head in heads]
            loss = torch.stack(losses).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    module.eval()


def accuracy(logits: np.ndarray | torch.Tensor, digits: torch.Tensor) -> float:
    return float((np.asarray(logits).argmax(-1) == digits.numpy()).mean())


def choose_threshold(module: torch.nn.Module, data: Split, allowed_loss: float = 0.003) -> float:
    """The lowest threshold whose accuracy on the validation images is within `allowed_loss` of never leaving early."""
    with torch.no_grad():
        full = accuracy(module(data.images, tau=1.0).logits, data.digits)
        for tau in np.arange(0.50, 1.0, 0.02):
            if accuracy(module(data.images, tau=float(tau)).logits, data.digits) >= full - allowed_loss:
                return round(float(tau), 2)
    return 1.0


def measure(sessions: Mapping[str, Session], images: np.ndarray, tau: float) -> dict[str, float]:
    """Microseconds per image in batches of `BATCH`: the best of many turns, in which the sessions take turns."""
    batches = [images[i : i + BATCH] for i in range(0, len(images) - BATCH + 1, BATCH)]
    best = dict.fromkeys(sessions, float("inf"))
    for _ in range(15):
        for name, session in sessions.items():
            knobs = {knob.name: tau for knob in session.knobs}
            start = time.perf_counter()
            for batch in batches:
                session(image=batch, knobs=knobs)
            best[name] = min(best[name], time.perf_counter() - start)
    return {name: seconds / (len(batches) * BATCH) * 1e6 for name, seconds in best.items()}


def verify(artifact: Path) -> str:
    """What `cogseedc verify` says in its first line; ends the demo when it finds a mismatch."""
    report = verify_artifact(artifact)
    if not report.ok:
        raise SystemExit(report.to_text())
    return report.to_text().splitlines()[0]


def table(test: Split, result: Result, full: Result, macs: Mapping[str, int], times: Mapping[str, float]) -> Table:
    """The demo's outcome. `macs` are per image for each exit and for the end."""
    shares = {name: float(taken.mean()) for name, taken in result.exits.items()}
    shares["the end"] = 1.0 - sum(shares.values())
    mean = sum(shares[name] * macs[name] for name in shares)
    rows = [
        ("accuracy", f"{accuracy(result['logits'], test.digits):.1%}", f"{accuracy(full['logits'], test.digits):.1%}"),
        *((f"leave at {name}", f"{share:.0%}", "") for name, share in shares.items()),
        ("mean MACs per image", f"{mean:,.0f}", f"{macs['without']:,}"),
        ("", f"{mean / macs['without']:.0%}", "100%"),
        (f"time per image, batches of {BATCH}", f"{times['exits']:.1f} us", f"{times['without']:.1f} us"),
        ("speed-up", f"{times['without'] / times['exits']:.2f}x", "1x"),
    ]
    made = Table(title=f"{len(test.digits)} held-out images, ONNX Runtime", box=SIMPLE, title_justify="left")
    for title, side in (("", "left"), ("with exits", "right"), ("without exits", "right")):
        made.add_column(title, justify=side)
    for row in rows:
        made.add_row(*row)
    return made


def macs_of(program: cogseedc.Program) -> dict[str, int]:
    """MACs of one image that leaves at each exit, or at the end."""
    found = measured(program.structure, {})
    exits = {exit["name"] or "the end": exit["worst"] for exit in found["exits"]}
    return exits or {"without": found["macs"]["worst"]}


def main() -> None:
    """Everything, in the order in which a user would do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("build/demo"))
    parser.add_argument("--epochs", type=int, default=40)
    chosen = parser.parse_args()
    console, start = Console(), time.perf_counter()
    torch.set_num_threads(1)  # layers this small gain nothing from more, and lose much on a busy machine
    training, validation, test = splits()

    console.print(f"[bold]1[/] a PyTorch module from {SOURCE.name}, trained on {len(training.digits)} images")
    program = cogseedc.load(SOURCE, seed="Digits")
    module = cogseedc.build(program)
    train(module, training, chosen.epochs)
    tau = choose_threshold(module, validation)
    seconds = time.perf_counter() - start
    console.print(f"  trained in {seconds:.0f} s; threshold {tau}, chosen on {len(validation.digits)} others")

    console.print("[bold]2[/] compiled for PyTorch and for ONNX")
    state = module.state_dict()
    artifacts = {
        target: cogseedc.compile(program, target, chosen.output / target, weights=state)
        for target in ("torch-cpu", "onnx-cpu")
    }
    baseline = cogseedc.load(SOURCE, seed="DigitsFull")
    kept = {key: value for key, value in state.items() if not key.startswith("exits.")}
    without = cogseedc.compile(baseline, "onnx-cpu", chosen.output / "without-exits", weights=kept)
    page = chosen.output / "graph.html"
    write_file(page, draw(program, "html"))

    console.print("[bold]3[/] verified against the meaning of the program")
    for artifact in (*artifacts.values(), without):
        console.print(f"  {verify(artifact)}")

    console.print("[bold]4[/] run")
    sessions = {"exits": cogseedc.open(artifacts["onnx-cpu"], threads=1), "without": cogseedc.open(without, threads=1)}
    images = test.images.numpy()
    result = sessions["exits"](image=images, knobs={"tau": tau}, trace=True)
    full = sessions["without"](image=images)
    macs = macs_of(program) | macs_of(baseline)
    console.print(table(test, result, full, macs, measure(sessions, images, tau)))
    for target, artifact in artifacts.items():
        console.print(f"{target:<10} {artifact}", highlight=False, soft_wrap=True)
    console.print(f"{'graph':<10} {page}   (open it in a browser)", highlight=False, soft_wrap=True)
    console.print(f"done in {time.perf_counter() - start:.0f} s", highlight=False)


if __name__ == "__main__":
    main()
