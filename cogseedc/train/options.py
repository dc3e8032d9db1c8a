"""What a training run is asked for. Plain data; equal options, data and program give equal weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

PHASES = ("seeds", "gates", "joint")


@dataclass(frozen=True, slots=True)
class Options:
    """Defaults are for small networks; see docs/training.md for what each is good for."""

    phases: tuple[tuple[str, int], ...] = (("joint", 20),)
    """Phase and epochs, in order: `seeds` each part on its own objective, `gates` what only decides, `joint` all."""
    batch: int = 64
    optimizer: Literal["adamw", "sgd"] = "adamw"
    rate: float = 3e-3
    """Largest learning rate; reached after `warmup`, then down to 0 along a cosine (Loshchilov and Hutter 2017)."""
    warmup: float = 0.1
    """Share of a phase in which the rate rises."""
    decay: float = 1e-2
    """Weight decay of weights with two axes or more."""
    clip: float = 0.0
    """Largest norm of the gradient; 0: no bound."""
    smoothing: float = 0.05
    """Label smoothing."""
    exits: tuple[float, ...] | Literal["equal", "linear"] = "equal"
    """Weights of the exits' losses beside the end's 1: equal ones (MSDNet), i / n (PABEE), or one number each."""
    distillation: float = 0.0
    """Share of each exit's loss that asks it to agree with the end (IMTA, section 3.3)."""
    temperature: float = 3.0
    """At which it is asked to agree."""
    equilibrium: bool = False
    """Divide each weight's gradient by the number of exits that it feeds (IMTA, section 3.1). With AdamW, which
    scales every weight by itself, this matters only where gradients are clipped."""
    losses: Mapping[str, float] = field(default_factory=dict)
    """Weights of the program's `loss` terms; those not named have 1, and 0 leaves one out."""
    knobs: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Knobs that go from one value to another, evenly over each phase: temperatures."""
    shift: int = 0
    """Images (an input of four axes) are moved by up to so many pixels."""
    noise: float = 0.0
    """Standard deviation of noise on real inputs."""
    rng: int = 0
