"""Notes on what a program may say and seldom means: of loops, of gates that skip nothing, and of the batch."""

from __future__ import annotations

from cogseedc.diagnostics import Diagnostic, Label, Severity
from cogseedc.frontend import ast
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.model import BuildError, GateRef, Item
from cogseedc.frontend.walk import walk
from cogseedc.ir import BATCH, Call, Exit, Gate, GateKind, Input, NodeId
from cogseedc.ops import OPS
from cogseedc.source import Span


def read_after_next(b: Builder, loop: ast.Repeat | ast.Scan) -> None:
    """CS0445: `until`, or a yield, reads a carry beside the very value that `next` gave it."""
    statements = loop.body.statements
    bound = _bound(loop)
    given = {
        s.names[0].text: s.value.name
        for s in statements
        if isinstance(s, ast.Next) and len(s.names) == 1 and isinstance(s.value, ast.Reference)
    }
    for read in (*([] if loop.until is None else [loop.until]), *loop.body.yields):
        places = {node.name: node.span for node in walk(read) if isinstance(node, ast.Reference)}
        for name, value in given.items():
            if name in places and value in places and name not in bound and name != value:
                message = f"behind the turn `{name}` is what `next` set it to, so here it is the same as `{value}`"
                help = f"give what it was before a name in the body, `before = {name}`, and read that"
                b.report(BuildError(Diagnostic("CS0445", message, (Label(places[name]),), help, Severity.NOTE)))


def never_set(b: Builder, loop: ast.For | ast.Repeat | ast.Scan) -> None:
    """CS0446: a carry that no `next` sets, while the body gives its name to another value."""
    carries = {carry.name.text: carry.name.span for carry in loop.carries}
    given = {name.text for s in loop.body.statements if isinstance(s, ast.Next) for name in s.names}
    for name, place in _bound(loop).items():
        if name in carries and name not in given:
            message = f"`{name}` is a value of this turn; the carry `{name}` stays what it was"
            labels = (Label(place), Label(carries[name], "the carry"))
            help = f"write `next {name} = ...` for what the next turn gets"
            b.report(BuildError(Diagnostic("CS0446", message, labels, help, Severity.NOTE)))


def chosen_for_all(b: Builder, gate: Item, sign: str, start: int, span: Span) -> None:
    """CS0448: `where` or `*` asks a gate, and the nodes from `start` on, its values, are layers."""
    made = (NodeId(id) for id in range(start, b.graph.next_id))
    nodes = (b.graph[id] for id in made if id in b.graph)  # bodies of loops are graphs of their own
    if isinstance(gate, GateRef) and any(isinstance(node, Call) and OPS[node.op].macs for node in nodes):
        message = f"`{sign}` computes its values for all, whatever `{gate.name}` decides"
        help = f"`when {gate.name} {{ ... }} else {{ ... }}` computes one where it is asked for"
        b.report(BuildError(Diagnostic("CS0448", message, (Label(span),), help, Severity.NOTE)))


def untrained(b: Builder) -> None:
    """CS0452: estimators of gates that nothing reads but as a class index, which has no gradient."""
    for graph, _ in b.graph.nested() if not b.diagnostics.failed else ():
        for id, gate in graph.of(Gate):
            drawn = gate.estimator is None or gate.estimator.name == "reinforce"  # that learns by its log-probability
            readers = [graph[edge.dst] for edge in graph.wiring().outs[id]]
            if gate.kind is GateKind.ONE and not drawn and readers and all(isinstance(r, Call) for r in readers):
                message = f"no gradient of the gate `{gate.name}` passes its index"
                help = "choose by `route`, or read `weights` of the gate; or leave `via` out"
                labels = (Label(gate.origin.span),) if gate.origin.span is not None else ()
                b.report(BuildError(Diagnostic("CS0452", message, labels, help, Severity.NOTE)))


def unbatched(b: Builder) -> None:
    """CS0447: what decides over the first axis of all inputs decides for no samples, since that is not called N."""
    inputs = [node for _, node in b.graph.of(Input) if node.type.rank]
    first = {node.type.axes[0].name for node in inputs}
    name = (next(iter(first)) or BATCH) if len(first) == 1 else None
    if b.diagnostics.failed or name is None or any(BATCH in node.type.names for node in inputs):
        return
    found: list[Gate | Exit] = [node for _, node in b.graph.nodes() if isinstance(node, (Gate, Exit))]
    deciding = [node for node in found if name in node.over]
    if deciding and deciding[0].origin.span is not None:
        message = f"this decides over {name}, which no input has as its batch: everything is computed for all of it"
        help = "samples that go ways of their own are along the axis N of the inputs: write it in their types"
        b.report(BuildError(Diagnostic("CS0447", message, (Label(deciding[0].origin.span),), help, Severity.NOTE)))


def pinned_batch(b: Builder) -> None:
    """CS0249: sizes that are equal for one number of samples only."""
    for need in b.requirements if not b.diagnostics.failed else ():
        if BATCH in (need.left - need.right).symbols():
            message = f"only batches for which {need.left} = {need.right} can be run"
            help = "N counts the samples: declare the axes in the order that they have, and others by other names"
            b.report(BuildError(Diagnostic("CS0249", message, (Label(need.span),), help, Severity.NOTE)))


def _bound(loop: ast.For | ast.Repeat | ast.Scan) -> dict[str, Span]:
    """Names that the body binds, and where."""
    return {name.text: name.span for s in loop.body.statements if isinstance(s, ast.Bind) for name in s.names}
