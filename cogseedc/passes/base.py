"""What a pass is, what it is given, and the driver that runs a list of them. No pass logic lives here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from cogseedc.analysis.demand import Demanded, Demands
from cogseedc.diagnostics import Diagnostics
from cogseedc.ir import ControlEdge, Graph, Loop, Ops, Phase, phase
from cogseedc.ir.verifier import verify
from cogseedc.limits import Limits

if TYPE_CHECKING:
    from cogseedc.target import Target


@dataclass(frozen=True, slots=True)
class Context:
    """What all passes are given."""

    ops: Ops
    """The catalogue; a test may give a small one."""
    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    """Where a pass reports what the user did wrong."""
    limits: Limits = field(default_factory=Limits)
    target: Target | None = None
    training: bool = False
    """Whether losses are wanted."""
    loop: Loop | None = None
    """The loop whose body a pass is given, and not the program."""
    demands: Demands = field(default_factory=Demands)
    """For passes that ask what is demanded of one and the same graph."""

    def demand(self, graph: Graph) -> Demanded:
        """What is demanded of a graph for which decisions over the batch."""
        return self.demands.of(graph, self.ops, self.training)


@dataclass(frozen=True)
class Pass(ABC):
    """One rewrite: valid graph in, valid graph out. Fields are its options, its docstring is its contract."""

    name: ClassVar[str]
    """Kebab-case: its name on the command line, of its file and of its test folder."""
    requires: ClassVar[Phase] = Phase.BUILT
    """The earliest form of graph that it can read."""
    establishes: ClassVar[Phase | None] = None
    """The form that it leaves, when it is another."""
    keeps_guards: ClassVar[bool] = False
    """Whether control edges stay right; if not, the driver takes them away before it runs."""

    @abstractmethod
    def run(self, graph: Graph, context: Context) -> bool:
        """Rewrites the graph in place; whether anything changed."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One pass that was run."""

    name: str
    changed: bool
    nodes: int
    """How many nodes the graph has after it."""


Observer = Callable[[Pass, Graph, bool], None]
"""Called after each pass with whether it changed anything: for dumps, timing and viewers."""


def run_pipeline(
    graph: Graph,
    passes: Sequence[Pass],
    context: Context,
    observer: Observer | None = None,
    verify_each: bool = False,
) -> list[Ran]:
    """Runs passes in order, in place.

    With `verify_each` the graph is verified before the first and after each. Reports CS0702 when a pass comes
    too early. Raises UserError as soon as a pass has reported an error, InternalError when a rule is broken.
    """
    if verify_each:
        verify(graph, context.ops)
    done = list[Ran]()
    for step in passes:
        changed = _everywhere(step, graph, context)
        if verify_each:
            verify(graph, context.ops)
        if observer is not None:
            observer(step, graph, changed)
        done.append(Ran(step.name, changed, len(graph)))
    return done


def _everywhere(step: Pass, graph: Graph, context: Context) -> bool:
    """Runs a pass on a graph, then on the bodies of the loops that are left in it: each is a graph of its own."""
    form = phase(graph)
    if form < step.requires and step.requires is not Phase.SUNK:
        context.diagnostics.error(
            "CS0702",
            f"the pass {step.name} cannot read a graph that still has exit markers",
            help="put insert-exit-points before it",
        )
        context.diagnostics.check()
    if form is Phase.SUNK and not step.keeps_guards:
        remove_guards(graph)
    changed = step.run(graph, context)
    context.diagnostics.check()
    for _, loop in graph.loops():
        changed |= _everywhere(step, loop.body, replace(context, loop=loop))
    return changed


def remove_guards(graph: Graph) -> None:
    """Takes all control edges away: every node then runs for all indices, which is always right."""
    for edge in list(graph.edges()):
        if isinstance(edge, ControlEdge):
            graph.disconnect(edge)
