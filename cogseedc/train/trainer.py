"""The loop: batches, losses, steps; what it does depends on program, data and options alone.

The module is an ordinary `torch.nn.Module` in training mode; of it only `decide`, its hook for decisions, is set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cogseedc.data import DataSet
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.driver.program import Program
from cogseedc.ir import Knob, Loss
from cogseedc.publish import canonical_json
from cogseedc.train.checkpoint import Checkpoint, optimizer_state, read_checkpoint, restore_optimizer
from cogseedc.train.losses import Objective
from cogseedc.train.options import Options
from cogseedc.train.phases import Phase, decider, phases
from cogseedc.train.roles import Roles, roles

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Step:
    """What is reported of one step: means of the batch."""

    phase: str
    number: int
    """Of the whole run, from 0."""
    of: int
    """Steps of the whole run."""
    terms: Mapping[str, float]
    """By exit, `end`, and name of the program's own terms, without their weights."""
    rate: float


Observer = Callable[[Step], None]


def train(
    program: Program,
    module: torch.nn.Module,
    data: DataSet,
    options: Options,
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    observe: Observer = lambda step: None,
) -> None:
    """Trains a module that `cogseedc.build` made of the program, in place; it is left in evaluation mode.

    With `checkpoint`, the state is written there after every epoch; with `resume`, a run goes on from there, and gives
    what it would have given without a break. Raises UserError: CS1003 no target, CS1004 a checkpoint of another run,
    CS1005 options that do not fit the program, CS1006 when the loss is no number.
    """
    run = _Run(program, module, data, options, observe)
    start = None
    if checkpoint is not None and resume and checkpoint.exists():
        start = read_checkpoint(checkpoint, run.digest)
        module.load_state_dict(dict(start.model), strict=True)
    with torch.random.fork_rng(devices=[]):
        run.all(start, checkpoint)
    module.eval()


class _Run:
    """One run. Its phases are numbered as `plan` lists them."""

    def __init__(
        self, program: Program, module: torch.nn.Module, data: DataSet, options: Options, observe: Observer
    ) -> None:
        self.module, self.data, self.options, self.observe = module, data, options, observe
        self.roles: Roles = roles(program)
        self.plan: tuple[Phase, ...] = tuple(phases(options, self.roles))
        self.graph = program.structure
        self.knobs = {n.name: n for _, n in program.structure.nodes() if isinstance(n, Knob)}
        exits = tuple(name for name in self.roles.objectives if name is not None)
        self.objective = Objective(data.output, exits, options)
        self.target = torch.from_numpy(data.target)
        self.inputs = [torch.from_numpy(array) for array in data.inputs.values()]
        self.per_epoch = max(1, len(data) // options.batch)
        self.steps = sum(phase.epochs for phase in self.plan) * self.per_epoch
        self.digest = _digest(program, data, options)
        _check(options, self.knobs, exits, [node.name for _, node in program.elaborated.graph.of(Loss)])

    def all(self, start: Checkpoint | None, place: Path | None) -> None:
        """All phases, or those behind a checkpoint."""
        for number, phase in enumerate(self.plan):
            if start is not None and number < start.phase:
                continue
            here = start if start is not None and number == start.phase else None
            for epoch, optimizer, keys in self._phase(number, phase, here):
                if place is not None:
                    _save(
                        place,
                        Checkpoint(
                            self.digest, number, epoch, self.module.state_dict(), optimizer_state(optimizer, keys)
                        ),
                    )

    def _phase(
        self, number: int, phase: Phase, start: Checkpoint | None
    ) -> Iterator[tuple[int, torch.optim.Optimizer, dict[Tensor, str]]]:
        """Yields after every epoch, with how many are done."""
        self.module.train()
        setattr(self.module, "decide", decider(self.graph, phase.held))  # noqa: B010  # a hook, no method of ours
        parameters = dict(self.module.named_parameters())
        for key, weight in parameters.items():
            weight.requires_grad_(key in phase.keys)
        keys: dict[Tensor, str] = {weight: key for key, weight in parameters.items() if key in phase.keys}
        optimizer = _optimizer(self.options, keys)
        done = 0 if start is None else start.epoch
        if start is not None:
            restore_optimizer(optimizer, keys, start.optimizer)
        still = _statistics(self.module, phase.keys)
        first = sum(p.epochs for p in self.plan[:number]) * self.per_epoch
        total = phase.epochs * self.per_epoch
        for epoch in range(done, phase.epochs):
            for i, rows in enumerate(self._batches(number, epoch)):
                at = epoch * self.per_epoch + i
                self._step(phase, first + at, at / max(1, total), optimizer, keys, rows)
                for buffer, value in still:
                    buffer.copy_(value)
            yield epoch + 1, optimizer, keys
        for weight in parameters.values():
            weight.requires_grad_(True)
        delattr(self.module, "decide")

    def _batches(self, phase: int, epoch: int) -> Iterator[Tensor]:
        """Rows in an order that depends on the options' number, the phase and the epoch alone; the rest is left out."""
        generator = np.random.Generator(np.random.PCG64([self.options.rng, phase, epoch]))
        order = torch.from_numpy(generator.permutation(len(self.data)))
        size = min(self.options.batch, len(self.data))
        yield from torch.split(order[: self.per_epoch * size], size)

    def _step(
        self,
        phase: Phase,
        number: int,
        done: float,
        optimizer: torch.optim.Optimizer,
        keys: Mapping[Tensor, str],
        rows: Tensor,
    ) -> None:
        torch.manual_seed(self.options.rng * 1_000_003 + number)  # a step draws the same, resumed or not
        rate = _rate(self.options, done)
        for group in optimizer.param_groups:
            group["lr"] = rate
        inputs = [_varied(x[rows], self.options) for x in self.inputs]
        result = self.module(*inputs, **_scheduled(self.options, done))
        terms = list(self.objective.terms(result, self.target[rows], phase.objectives))
        loss = torch.stack([weight * term for _, weight, term in terms]).sum()
        if not math.isfinite(loss.item()):
            help = "lower the learning rate (--rate), or bound the gradient (--clip 1)"
            raise UserError(Diagnostic("CS1006", f"the loss of step {number} is {loss.item()}", help=help))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.options.equilibrium:
            for weight, key in keys.items():
                if weight.grad is not None:
                    weight.grad /= max(1, len(self.roles.feeds[key]))
        if self.options.clip:
            torch.nn.utils.clip_grad_norm_(list(keys), self.options.clip)
        optimizer.step()
        self.observe(Step(phase.title, number, self.steps, {name: float(t.detach()) for name, _, t in terms}, rate))


def _optimizer(options: Options, keys: Mapping[Tensor, str]) -> torch.optim.Optimizer:
    """Biases, norms and other weights of one axis do not decay."""
    weights = list(keys)
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": options.decay},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
    ]
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=options.rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=options.rate)


def _rate(options: Options, done: float) -> float:
    if done < options.warmup:
        return options.rate * (0.04 + 0.96 * done / options.warmup)
    return options.rate * 0.5 * (1 + math.cos(math.pi * (done - options.warmup) / (1 - options.warmup)))


def _scheduled(options: Options, done: float) -> dict[str, float]:
    """Values of the knobs that have a schedule, by the keyword of `forward`."""
    return {name.replace(".", "_"): low + (high - low) * done for name, (low, high) in options.knobs.items()}


def _varied(x: Tensor, options: Options) -> Tensor:
    """The batch moved and with noise, as the options ask for."""
    if options.shift and x.ndim == 4:
        far = options.shift
        padded = torch.nn.functional.pad(x, (far,) * 4)
        down, right = torch.randint(0, 2 * far + 1, (2,)).tolist()
        x = padded[:, :, down : down + x.shape[2], right : right + x.shape[3]]
    if options.noise and x.is_floating_point():
        x = x + options.noise * torch.randn_like(x)
    return x


def _statistics(module: torch.nn.Module, keys: frozenset[str]) -> list[tuple[Tensor, Tensor]]:
    """Running statistics beside weights that are held, with their values: they are held too."""
    learning = {key.rpartition(".")[0] for key in keys}
    return [(b, b.clone()) for name, b in module.named_buffers() if name.rpartition(".")[0] not in learning]


def _check(options: Options, knobs: Mapping[str, Knob], exits: tuple[str, ...], losses: Sequence[str]) -> None:
    for name in options.losses:
        if name not in losses:
            raise UserError(
                Diagnostic("CS1005", f"there is no loss `{name}`", help=f"losses: {', '.join(losses) or 'none'}")
            )
    for name, ends in options.knobs.items():
        knob = knobs.get(name)
        if knob is None or not all(knob.low <= value <= knob.high for value in ends):
            help = f"knobs: {', '.join(f'{k.name} in {k.low:g} .. {k.high:g}' for k in knobs.values()) or 'none'}"
            message = f"there is no knob `{name}`" if knob is None else f"`{name}` would leave its range"
            raise UserError(Diagnostic("CS1005", message, help=help))
    if isinstance(options.exits, tuple) and len(options.exits) != len(exits):
        message = f"{len(options.exits)} weights are given for {len(exits)} exits"
        raise UserError(Diagnostic("CS1005", message, help=f"exits: {', '.join(exits) or 'none'}"))


def _digest(program: Program, data: DataSet, options: Options) -> str:
    content = {"files": dict(program.files), "seed": program.name, "set": dict(program.settings.statics)}
    content |= {"size": dict(program.settings.sizes), "data": data.digest, "options": asdict(options)}
    return sha256(canonical_json(content)).hexdigest()


def _save(place: Path, checkpoint: Checkpoint) -> None:
    try:
        checkpoint.write(place)
    except OSError as error:
        raise UserError(Diagnostic("CS0905", f"cannot write {str(place)!r}: {error.strerror or error}")) from None
