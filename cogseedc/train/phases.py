"""The phases of modular training: what each one trains, on which objectives, and how decisions are held meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.ir import Gate, GateKind, Graph
from cogseedc.train.options import PHASES, Options
from cogseedc.train.roles import Roles

Decide = Callable[[str, Tensor], Tensor]


@dataclass(frozen=True)
class Phase:
    """A stretch of training with an optimizer and a schedule of its own."""

    title: str
    epochs: int
    keys: frozenset[str]
    """Weights that learn; the others are held."""
    objectives: tuple[str | None, ...] | None
    """Exits (None: the end) whose losses count; None: all of them, and the program's own terms."""
    held: bool
    """Whether parts are to work whatever the gates say: every yes-or-no gate is taken, every choice is drawn."""


def phases(options: Options, roles: Roles) -> Iterator[Phase]:
    """The phases of a run. Raises UserError CS1005 for a phase that there is not, or that has nothing to train."""
    everything = frozenset(roles.feeds)
    for name, epochs in options.phases:
        match name:
            case "seeds":
                yield from _alone(roles, epochs)
            case "gates":
                if not roles.gates:
                    message = "the phase `gates` has nothing to train: no weight serves decisions alone"
                    raise UserError(Diagnostic("CS1005", message, help="exits decide by what they give; leave it out"))
                yield Phase("gates", epochs, roles.gates, None, False)
            case "joint":
                yield Phase("joint", epochs, everything, None, False)
            case _:
                message = f"there is no phase `{name}`"
                raise UserError(Diagnostic("CS1005", message, help=f"phases: {', '.join(PHASES)}"))


def _alone(roles: Roles, epochs: int) -> Iterator[Phase]:
    """Each objective in turn trains what it needs and no earlier one does, on nothing but its own loss."""
    for objective in roles.objectives:
        keys = roles.own(objective) - roles.gates
        if keys:
            yield Phase(f"seeds of {objective or 'the end'}", epochs, keys, (objective,), True)


def decider(graph: Graph, held: bool) -> Decide:
    """What a module's `decide` is while it trains: no exit is taken, so that the output is the end's.

    `held` makes every part work, whatever its gate says: yes, all of several, and one of several by lot; and no loop
    stops before its last turn.
    """
    levels = [level for level, _ in graph.nested()]
    gates = {node.name: node for level in levels for _, node in level.nodes() if isinstance(node, Gate)}
    stops = {loop.until.name for level in levels for _, loop in level.loops() if loop.until is not None}

    def decide(name: str, decision: Tensor) -> Tensor:
        gate = gates[name]
        if gate.exit is not None:
            return torch.zeros_like(decision)
        if not held:
            return decision
        if name in stops:
            return torch.zeros_like(decision)
        if gate.kind is GateKind.ONE:
            return torch.randint_like(decision, gate.arms)
        return torch.ones_like(decision)

    return decide
