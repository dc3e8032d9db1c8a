"""Which decisions to force so that every arm of every gate runs: found from the meaning alone. Runs nothing.

Gates with one and the same operand decide alike, so a compiler may make them one: they are forced together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from cogseedc.interp import Schedule, Step, arms_of, kind_of
from cogseedc.ir import Call, Constant, Exit, Gate, GateKind, Input, Knob, Loop, Merge, MergeMode, NodeId, Return, Value

Force = int | None
"""An arm that a gate takes everywhere; None: a MANY gate selects nothing; ROTATE (not for MANY)."""

ROTATE = -1
"""In place of an arm: element i of a decision, counted in the rows that the artifact gives, takes arm i modulo arms."""

Allowed = dict[str, int]
"""Per group of gates a bit set of the arms that it may take; MANY has one more bit, for none."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run: its name for people and the gates that are forced in it."""

    name: str
    forces: tuple[tuple[str, Force], ...] = ()


@dataclass(frozen=True)
class Groups:
    """Gates that decide alike, under the name of the first of them. Gates in a loop are alike within its body only."""

    plan: Schedule
    levels: Mapping[str, Schedule]
    """The schedule that each gate is in: the program's, or that of a body."""
    first: Mapping[str, str]
    members: Mapping[str, tuple[str, ...]]

    def full(self, name: str) -> int:
        node = self.plan.decider(name)
        return (1 << (arms_of(node) + (kind_of(node) is GateKind.MANY))) - 1

    def arm(self, name: str, bit: int) -> Force:
        return None if bit == arms_of(self.plan.decider(name)) else bit

    def expand(self, forces: Mapping[str, Force]) -> tuple[tuple[str, Force], ...]:
        """The same force on every gate of each group."""
        return tuple((member, force) for name, force in forces.items() for member in self.members[name])


def groups(plan: Schedule) -> Groups:
    """Groups by value numbering: equal operations on equal operands are equal; a gate equals its operand."""
    levels: dict[str, Schedule] = {}
    first: dict[str, str] = {}
    members: dict[str, list[str]] = {}
    for level in _levels(plan):
        levels |= dict.fromkeys(level.gates, level)
        _number(level, first, members)
    return Groups(plan, levels, first, {name: tuple(found) for name, found in members.items()})


def _levels(plan: Schedule) -> Iterator[Schedule]:
    """A schedule, then those of the bodies of its loops."""
    yield plan
    for step in plan.loops:
        yield from _levels(step.body)


def _number(plan: Schedule, first: dict[str, str], members: dict[str, list[str]]) -> None:
    numbers: dict[Value, int] = {}
    known: dict[object, int] = {}
    leaders: dict[object, str] = {}
    by_id = {step.id: name for name, step in plan.gates.items()}
    for step in plan.steps:
        fed = tuple(None if v is None else numbers[v] for v in step.operands)
        if isinstance(step.node, (Gate, Exit)):
            name = by_id[step.id]
            leader = leaders.setdefault((fed[0], kind_of(step.node), arms_of(step.node)), name)
            first[name] = leader
            members.setdefault(leader, []).append(name)
            numbers[Value(step.id)] = fed[0] if fed and fed[0] is not None else -1
            continue
        key = _number_of(step, fed)
        base = known.setdefault(key, len(known))
        for port in range(len(step.outputs)):
            numbers[Value(step.id, port)] = known.setdefault((base, port), len(known))


def _number_of(step: Step, fed: tuple[int | None, ...]) -> object:
    """What makes two nodes equal; inputs, knobs and weights equal themselves only."""
    match step.node:
        case Call(op=op, attrs=attrs):
            return (op, attrs, fed)
        case Constant(type=type, values=values):
            return (type.dtype, type.shape, tuple(map(repr, values)))
        case Merge(mode=mode, arms=arms, otherwise=otherwise, axes=axes, type=type):
            return (mode, arms, otherwise, axes, type.dtype, fed)
    return step.id


def scenarios(plan: Schedule, rotate: bool) -> tuple[Scenario, ...]:
    """Every gate each way, with what lets it be reached; then all gates taken, none, and in turn (`rotate`)."""
    found = groups(plan)
    ways = _ways(plan, found, {})
    result = list(_each_way(found, ways))
    taken = {name: _last(plan, name) for name in found.members}
    none: dict[str, Force] = {name: None if _many(plan, name) else 0 for name in found.members}
    if taken:
        result.append(Scenario("all gates taken", found.expand(taken)))
        result.append(Scenario("no gate taken", found.expand(none)))
    if rotate:  # decisions of a MANY gate differ between rows anyway
        turning = [name for name in found.members if not _many(plan, name)]
        for name in turning:
            way = {other: _lowest(found, other, bits) for other, bits in ways.get(name, {}).items()}
            result.append(Scenario(f"{name} in turn", found.expand({**way, name: ROTATE})))
        if len(turning) > 1:
            result.append(Scenario("all gates in turn", found.expand(dict.fromkeys(turning, ROTATE))))
    varying = _varying(plan)
    kept = [Scenario(s.name, tuple((n, f) for n, f in s.forces if n in varying)) for s in result]
    return tuple({s.forces: s for s in reversed(kept) if s.forces}.values())[::-1]


def _varying(plan: Schedule) -> set[str]:
    """Gates that depend on an input or a knob, or on what goes from turn to turn. Others may be folded, and cannot be
    forced then."""
    names: set[str] = set()
    for level in _levels(plan):
        found: set[NodeId] = set()
        for step in level.steps:
            if isinstance(step.node, (Input, Knob)) or any(d in found for d in step.dependencies):
                found.add(step.id)
        names.update(name for name, step in level.gates.items() if step.id in found)
    return names


def _last(plan: Schedule, name: str) -> Force:
    return 0 if _many(plan, name) else arms_of(plan.decider(name)) - 1


def _many(plan: Schedule, name: str) -> bool:
    return kind_of(plan.decider(name)) is GateKind.MANY


def _each_way(found: Groups, ways: Mapping[str, Allowed]) -> Iterator[Scenario]:
    for name in found.members:
        for bit in range(found.full(name).bit_length()):
            allowed = _both(ways.get(name, {}), {name: 1 << bit}) or {name: 1 << bit}
            allowed = _both(allowed, _implied(found, name, bit)) or allowed
            forces = {other: _lowest(found, other, bits) for other, bits in allowed.items()}
            arm = found.arm(name, bit)
            yield Scenario(f"{name} = {'none' if arm is None else arm}", found.expand(forces))


def _lowest(found: Groups, name: str, bits: int) -> Force:
    return found.arm(name, (bits & -bits).bit_length() - 1)


def _both(a: Allowed, b: Allowed) -> Allowed | None:
    """What both allow; None when they contradict each other."""
    result = dict(a)
    for name, bits in b.items():
        result[name] = result.get(name, bits) & bits
        if not result[name]:
            return None
    return result


def _implied(found: Groups, name: str, bit: int) -> Allowed:
    """What a bool decision says of the gates that it is made of: both sides of a true `and`, of a false `or`."""
    plan = found.levels[name]
    by_id = {step.id: other for other, step in plan.gates.items()}
    result: Allowed = {}
    stack = [(plan.gates[name].operands[0], bool(bit))] if kind_of(plan.decider(name)) is GateKind.BOOL else []
    while stack:
        value, truth = stack.pop()
        step = plan.step[value.node] if value is not None else None
        if step is None:
            continue
        if isinstance(step.node, Gate) and step.node.kind is GateKind.BOOL:
            result[found.first[by_id[step.id]]] = 1 << truth
            stack.append((step.operands[0], truth))
        elif isinstance(step.node, Call) and step.node.op == "logical_not":
            stack.append((step.operands[0], not truth))
        elif isinstance(step.node, Call) and step.node.op == ("logical_and" if truth else "logical_or"):
            stack += [(operand, truth) for operand in step.operands]
    return result


def untold(plan: Schedule, found: Groups, forced: Collection[str]) -> frozenset[str]:
    """Gates whose reach a forced k-of-n gate decides: its trace lists what the scores chose, so theirs does too."""
    many = {found.first[name] for name in forced if _many(plan, name)}
    ways = _ways(plan, found, {}) if many else {}
    return frozenset(m for leader, way in ways.items() if not many.isdisjoint(way) for m in found.members[leader])


def _ways(plan: Schedule, found: Groups, around: Allowed) -> dict[str, Allowed]:
    """Per group what the other gates must take so that an output depends on one of its gates; `around`: so that the
    loop is run whose body this is."""
    by_id = {step.id: found.first[name] for name, step in plan.gates.items()}
    way: dict[Value, Allowed] = {}
    result: dict[str, Allowed] = {}

    def add(value: Value | None, allowed: Allowed | None) -> None:
        if value is None or allowed is None:
            return
        old = way.get(value)
        if old is None or len(allowed) < len(old):
            way[value] = allowed

    for step in reversed(plan.steps):
        ports = [way[v] for v in (Value(step.id, p) for p in range(max(len(step.outputs), 1))) if v in way]
        here = min(ports, key=len, default=None)
        if step.id in by_id and here is not None:
            name = by_id[step.id]
            result[name] = min(result.get(name, here), here, key=len)
        match step.node:
            case Merge():
                for value, allowed in _merge_ways(found, by_id, step, step.node, here):
                    add(value, allowed)
            case Return():
                for value, allowed in _return_ways(plan, found, by_id, step, way):
                    add(value, allowed)
            case Exit():
                add(step.operands[0], here)
            case Loop() if here is not None:
                result |= _ways(step.body, found, here)
                for operand in step.operands:
                    add(operand, here)
            case _:
                for operand in step.operands:
                    add(operand, here if step.outputs else around)
    return result


def _narrow(found: Groups, allowed: Allowed | None, name: str, bit: int, taken: bool) -> Allowed | None:
    if allowed is None:
        return None
    return _both(allowed, {name: 1 << bit if taken else found.full(name) & ~(1 << bit)})


def _merge_ways(
    found: Groups, by_id: Mapping[NodeId, str], step: Step, node: Merge, here: Allowed | None
) -> Iterator[tuple[Value | None, Allowed | None]]:
    count, left = len(node.arms), here
    for i, arm in enumerate(node.arms):
        gate = step.operands[count + i]
        assert gate is not None
        name = by_id[gate.node]
        asked = left if node.mode is MergeMode.SELECT else here
        yield gate, asked
        yield step.operands[i], _narrow(found, asked, name, arm, True)
        left = _narrow(found, left, name, arm, False)
    if node.otherwise:
        yield step.operands[2 * count], left
    if node.mode is MergeMode.WEIGHTED_SUM:
        yield step.operands[2 * count + node.otherwise], here


def _return_ways(
    plan: Schedule, found: Groups, by_id: Mapping[NodeId, str], step: Step, way: Mapping[Value, Allowed]
) -> Iterator[tuple[Value | None, Allowed | None]]:
    for port, own in enumerate(step.operands):
        left = way.get(Value(step.id, port))
        for id in step.exits:
            yield Value(id), left
            yield plan.step[id].operands[1 + port], _narrow(found, left, by_id[id], 1, True)
            left = _narrow(found, left, by_id[id], 1, False)
        yield own, left
