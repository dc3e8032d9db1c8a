"""Random small programs of gates and joins, for laws; and all decisions that they can make."""

from itertools import combinations, product

from hypothesis import strategies as st

from cogseedc.ir import Gate, GateKind, Graph, MergeMode
from tests.passes.toy import ROW, UNIFORM, YES, Toy


@st.composite
def programs(draw, most=8):
    """A graph with one or two outputs; later statements read earlier values and gates."""
    toy = Toy()
    values = [toy.input()]
    gates = []
    value = st.deferred(lambda: st.sampled_from(values))
    for i in range(draw(st.integers(2, most))):
        kind = draw(st.sampled_from("ffgwwrmue"))
        if kind == "f":
            values.append(toy.layer(draw(value), f"l{i}", macs=draw(st.integers(0, 9))))
        elif kind == "g":
            values.append(toy.call("g", draw(value), draw(value)))
        elif kind == "w":
            fresh = not gates or draw(st.booleans())
            gate = toy.gate(f"g{i}", draw(value)) if fresh else draw(st.sampled_from(gates))
            gates += [gate] * fresh
            values.append(toy.when(gate, draw(value), draw(value)))
        elif kind == "u":
            gate = toy.gate(f"u{i}", draw(value), type=UNIFORM)
            values.append(toy.when(gate, draw(value), draw(value), axes=()))
        elif kind == "r":
            gate = toy.one(f"g{i}", draw(value), 3)
            values.append(toy.merge([(gate, a, draw(value)) for a in (0, 2)], draw(value)))
        elif kind == "m":
            gate = toy.many(f"g{i}", draw(value), 3, 2)
            arms = [(gate, a, draw(value)) for a in range(3)]
            values.append(toy.merge(arms, draw(st.none() | value), mode=MergeMode.SUM))
        else:
            exits = [(toy.gate(f"e{i}{j}", draw(value), exit=f"e{i}{j}"), 1, draw(value)) for j in range(2)]
            values.append(toy.merge(exits, draw(value)))
    toy.output(values[-1])
    if draw(st.booleans()):
        toy.output(draw(value), "z")
    return toy.graph


def worlds(graph: Graph, most: int = 600):
    """Decisions of all gates: an arm, or the set of arms that a k-of-n gate (k = 2 at most) selects."""
    gates = [(id, n) for id, n in graph.nodes() if isinstance(n, Gate)]
    choices = []
    for _, gate in gates:
        arms = range(gate.arms)
        if gate.kind is GateKind.MANY:
            choices.append([frozenset(c) for k in range(3) for c in combinations(arms, k)])
        else:
            choices.append(list(arms))
    for number, decided in enumerate(product(*choices)):
        if number == most:
            return
        yield dict(zip([id for id, _ in gates], decided, strict=True))


def satisfied(literals, guard, decisions):
    """Whether a guard holds for decisions."""
    world = 0
    for id, gate in literals.gates.items():
        for arm in range(gate.arms):
            first = literals.first[id]
            if gate.kind is GateKind.MANY:
                world |= (2 if arm in decisions[id] else 1) << (first + 2 * arm)
            elif decisions[id] != arm:
                world |= 1 << (first + arm)
    return any(not term & ~world for term in guard.terms)


__all__ = ["ROW", "YES", "programs", "satisfied", "worlds"]
