"""Trains an early-exit classifier of handwritten digits in plain PyTorch, compiles it for two runtimes, verifies both, and
measures what leaving early saves. `make demo` runs it.

The images are scikit-learn's bundled digits: 1,797 of 8x8 pixels, no download. Thresholds are chosen on a validation split, and
all figures are from a test split that neither training nor that choice has seen.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn.functional import cross_entropy

import cogseedc

SOURCE = Path(__file__).with_name("demo.seed")
BASELINE = Path(__file__).with_name("demo_baseline.seed")
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
            result = module(augmented(data.images[batch]))
            heads = [exit.logits for exit in result.exits.values()]
            loss = sum(
                (cross_entropy(head, data.digits[batch], label_smoothing=0.05) for head in heads), torch.zeros(())
            )
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


def measure(session: cogseedc.Session, images: np.ndarray, knobs: dict[str, float]) -> float:
    """Seconds per image over batches of `BATCH`, the best of several turns."""
    batches = [images[i : i + BATCH] for i in range(0, len(images) - BATCH + 1, BATCH)]
    times = []
    for _ in range(12):
        start = time.perf_counter()
        for batch in batches:
            session(image=batch, knobs=knobs)
        times.append(time.perf_counter() - start)
    return min(times) / (len(batches) * BATCH)
