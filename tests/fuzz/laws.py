"""Changes of a program, of its inputs or of its decisions that change nothing else: laws over random programs."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from cogseedc.driver.choices import settle
from cogseedc.frontend.format import format_source
from cogseedc.interp import Reference, Result, forced
from cogseedc.ir import Gate, GateKind, Graph, Merge, NodeId
from cogseedc.ir.printer import print_graph
from cogseedc.limits import Limits
from cogseedc.ops import OPS
from cogseedc.source import Source
from tests.fuzz.cases import Case, Failure, case_of
from tests.fuzz.placing import FILE, read

Array = np.ndarray[Any, np.dtype[Any]]
_NAME = re.compile(r"\b([vgramhdwneip]\d+n?)\b")
"""Names that the generator gives: of values, gates, carries, exits, variables and parameters."""
_STATEMENT = re.compile(r"( +)(v\d+) = ([^{}]*)$")
"""A binding of one line: its indentation, its name, its value."""
_EXCEEDS = re.compile(r"^    gate (g\d+) over N = [^<>=\n]* > (-?\d+\.\d+)$", re.MULTILINE)
"""A gate of the exported seed that asks for one threshold to be exceeded."""


def check_laws(text: str, seed: int) -> None:
    """All of them for one program. Raises Failure."""
    case = case_of(text, seed)
    for law in LAWS:
        law(case, text, seed)


def comments(case: Case, text: str, seed: int) -> None:
    """Comments and blank lines leave the same graph and weights."""
    rng = random.Random(seed)
    lines = [
        line + ("  # a note" if rng.random() < 0.3 and line and not line.startswith("#") else "")
        for line in text.split("\n")
    ]
    _same_graph(
        "comments", case, "\n".join(x for line in lines for x in ([line, ""] if rng.random() < 0.2 else [line]))
    )


def layout(case: Case, text: str, seed: int) -> None:
    """What the formatter writes is the same program, and stays as it is."""
    parts = re.split(r"(^# ---- .*\n)", text, flags=re.MULTILINE)
    laid = [part if part.startswith(FILE[:6]) else format_source(Source("x", part), Limits()) for part in parts if part]
    again = [part if part.startswith(FILE[:6]) else format_source(Source("x", part), Limits()) for part in laid]
    if laid != again:
        raise Failure("law layout", "a text that was laid out is laid out anew")
    _same_graph("layout", case, "".join(laid))


def renaming(case: Case, text: str, seed: int) -> None:
    """Other names: the same values and decisions, by the new names."""
    other = read(_renamed(text)).elaborated.graph
    weights = {_renamed(path): array for path, array in case.weights.arrays.items()}
    found = Reference(other, weights, together=True).run(case.inputs, {})
    _same("renaming", found, case.meaning, {_renamed(name): name for name in case.meaning.trace})


def replay(case: Case, text: str, seed: int) -> None:
    """Decisions that are given back reproduce the run."""
    found = Reference(case.graph, case.weights.arrays, together=True).run(case.inputs, {}, case.meaning.trace)
    _same("replay", found, case.meaning, {name: name for name in case.meaning.trace})


def order_of_samples(case: Case, text: str, seed: int) -> None:
    """Samples in another order, some twice, give the same, sample by sample."""
    rows = np.random.default_rng(seed).integers(0, 16, 20)
    _rows("order", case, rows)


def samples_alone(case: Case, text: str, seed: int) -> None:
    """A sample alone gives what it gives among others."""
    _rows("alone", case, np.array([seed % 16]))


def dead_code(case: Case, text: str, seed: int) -> None:
    """What nobody reads changes nothing."""
    main, mark, rest = text.partition(FILE[:6])
    head, brace, _ = main.rstrip().rpartition("}")
    lines = (
        "    gate unused over N = mean(linear[3](flatten(x0))) > 0\n    idle = when unused { tanh(x0) } else { x0 }\n"
    )
    other = read(f"{head}{lines}{brace}\n{mark}{rest}").elaborated.graph
    arrays = dict(case.weights.arrays)
    arrays |= {
        path: np.zeros([s.value or 0 for s in w.type.shape], "float32")
        for path, w in other.weights().items()
        if path not in arrays
    }
    _same(
        "dead code",
        Reference(other, arrays, together=True).run(case.inputs, {}),
        case.meaning,
        {n: n for n in case.meaning.trace},
    )


def order_of_statements(case: Case, text: str, seed: int) -> None:
    """Two statements of which neither reads the other may change places."""
    lines = text.split("\n")
    for at in range(len(lines) - 1):
        first, second = (_STATEMENT.match(line) for line in lines[at : at + 2])
        if first and second and first[1] == second[1] and not re.search(rf"\b{first[2]}\b", second[3]):
            lines[at : at + 2] = lines[at + 1], lines[at]
    other = read("\n".join(lines)).elaborated.graph
    found = Reference(other, case.weights.arrays, together=True).run(case.inputs, {})
    _same("statements", found, case.meaning, {name: name for name in case.meaning.trace})


def settled_gates(case: Case, text: str, seed: int) -> None:
    """Gates that are forced to one arm give what a program without them gives, whose other arms are folded away."""
    nodes = [node for id, node in case.graph.of(Gate) if node.name in case.meaning.own and _chooses(case.graph, id)]
    arm = seed % 2
    decisions = {node.name: forced(node, arm) for node in nodes}
    wanted = Reference(case.graph, case.weights.arrays, together=True).run(case.inputs, {}, decisions)
    graph = case.graph.copy()
    settle(graph, (), tuple((node.name, (arm,)) for node in nodes))
    found = case.run(graph)
    _same("settled", found, wanted, {})


def _chooses(graph: Graph, id: NodeId) -> bool:
    """Whether a gate is boolean, and nothing but a choice of arms: no value, and no part of another gate."""
    node = graph[id]
    users = [graph[edge.dst] for edge in graph.wiring().outs[id]]
    return isinstance(node, Gate) and node.kind is GateKind.BOOL and all(isinstance(user, Merge) for user in users)


def thresholds(case: Case, text: str, seed: int) -> None:
    """A higher threshold is exceeded by no other samples."""
    places = list(_EXCEEDS.finditer(text.partition(FILE[:6])[0]))
    places = [place for place in places if place[1] in case.meaning.own]
    if not places:
        return
    place = random.Random(seed).choice(places)
    raised = f"{float(place[2]) + 0.25:.4f}"
    other = read(text[: place.start(2)] + raised + text[place.end(2) :]).elaborated.graph
    found = Reference(other, case.weights.arrays, together=True).run(case.inputs, {})
    if (found.own[place[1]] > case.meaning.own[place[1]]).any():
        raise Failure("law thresholds", f"the gate {place[1]} takes more with a higher threshold")


LAWS = (
    comments, layout, renaming, replay, order_of_samples, samples_alone, dead_code, order_of_statements, settled_gates,
    thresholds,
)  # fmt: skip


def _renamed(text: str) -> str:
    return _NAME.sub(lambda m: f"other_{m[1]}", text)


def _same_graph(law: str, case: Case, text: str) -> None:
    found = print_graph(read(text).elaborated.graph, case.program.name, OPS)
    if found != print_graph(case.graph, case.program.name, OPS):
        raise Failure(f"law {law}", "the graph differs")


def _rows(law: str, case: Case, rows: Array) -> None:
    if not all(_first_is_batch(value) for value in (*case.inputs.values(), *case.meaning.outputs.values())):
        return
    found = Reference(case.graph, case.weights.arrays, together=True).run(
        {name: a[rows] for name, a in case.inputs.items()}, {}
    )
    for name, value in case.meaning.outputs.items():
        if not np.allclose(found.outputs[name], value[rows], 1e-9, 1e-12):
            raise Failure(f"law {law}", f"{name} differs")


def _first_is_batch(value: Array) -> bool:
    return value.ndim > 0 and value.shape[0] == 16


def _same(law: str, found: Result, wanted: Result, gates: Mapping[str, str]) -> None:
    for name, value in wanted.outputs.items():
        if not np.allclose(found.outputs[name], value, 1e-9, 1e-12):
            raise Failure(f"law {law}", f"{name} differs")
    for new, old in gates.items():
        if new not in found.trace or not np.array_equal(found.trace[new], wanted.trace[old]):
            raise Failure(f"law {law}", f"the gate {old} decides differently")
