"""Names of row spaces, for people and for emitted names: `not_easy`. They decide nothing."""

from __future__ import annotations

from collections.abc import Sequence

from cogseedc.backends.plan.spaces import Condition, Draft
from cogseedc.ir import Gate, GateKind, Graph, decider

LONGEST = 40
"""Length from which a name is cut."""


def labels(graph: Graph, drafts: Sequence[Draft]) -> list[str]:
    """A unique identifier for each space, in their order."""
    taken: dict[str, int] = {}
    found: list[str] = []
    for draft in drafts:
        name = "_or_".join("_and_".join(_condition(graph, c) for c in term) for term in draft.terms) or "all"
        name = name[:LONGEST].rstrip("_")
        count = taken[name] = taken.get(name, 0) + 1
        while count > 1 and f"{name}_{count}" in taken:
            count += 1
        if count > 1:
            name = f"{name}_{count}"
            taken[name] = 1
        found.append(name)
    return found


def _condition(graph: Graph, condition: Condition) -> str:
    id, arms, negated = condition
    if id < 0:
        return f"any_{_condition(graph, (decider(id), arms, negated))}"
    gate = graph[id]
    assert isinstance(gate, Gate)
    name = "".join(c if c.isascii() and c.isalnum() else "_" for c in gate.name).strip("_") or "gate"
    if gate.kind is GateKind.BOOL:
        return name if arms == (1,) else f"not_{name}"
    label = "_".join((name, *map(str, arms)))
    return f"not_{label}" if negated else label
