"""The costs of a program as data: what an artifact records, `cogseedc cost` prints and budgets are held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from cogseedc.analysis.budget import Budget, check_budgets, hold_mean
from cogseedc.analysis.cost import Costs, ExitCost, LoopCost, costs
from cogseedc.analysis.counting import RULES
from cogseedc.analysis.expected import even_rates, expected, expected_turns
from cogseedc.analysis.extremes import Range
from cogseedc.analysis.passed import Passed, passed
from cogseedc.diagnostics import Diagnostic, Diagnostics, UserError
from cogseedc.driver.manifest import Json
from cogseedc.frontend.build.model import BudgetBound
from cogseedc.ir import Gate, GateKind, Graph, Guard, Literals, decider
from cogseedc.ops import OPS


def costs_of(structure: Graph, sizes: Sequence[tuple[str, int]]) -> Costs:
    """What a program costs, by its graph with guards and the sizes that were given."""
    return costs(structure, OPS, dict(sizes))


def measured(found: Costs, rates: Mapping[str, float] | None = None) -> dict[str, Json]:
    """Costs per sample as an artifact records them.

    `rates` give, by gate, the share of the samples (or positions in them) that reach it for which it is taken; other
    gates take as many as their decision says, else every arm alike.
    Raises UserError CS0910 for an unknown gate, a share that the gate cannot have, or a gate of several arms.
    """
    shares = {**even_rates(found), **_given(found, rates or {})}
    return {
        "macs": {**_range(found.macs), "expected": expected(found, shares)},
        "bytes": _range(found.bytes),
        "params": found.params,
        "weight_bytes": found.weight_bytes,
        "rule": "macs",
        "exits": [_exit(exit) for exit in found.exits],
        "arms": [{"gate": arm.gate, "arm": arm.arm, "macs": arm.macs} for arm in found.arms],
        "loops": [_loop(loop, shares) for loop in _loops(found)],
        "rates": {gate: [*shares[gate]] for gate in sorted(shares)},
        "rates_given": [*sorted(rates or {})],
        "assumed": [*found.assumed],
    }


def published(graph: Graph, sizes: Mapping[str, int], rule: str) -> dict[str, Json]:
    """Costs per sample as published ones are counted: of all that is written, whatever gates decide.

    `graph` is the program as written. The record has the shape of that of `measured`, without what hangs on decisions.
    `rule` is one of `RULES`.
    """
    found, assumed = passed(graph, OPS, RULES[rule], sizes)
    end = found[-1]
    return {
        "rule": rule,
        "macs": {"least": end.macs, "expected": end.macs, "worst": end.macs},
        "params": end.params,
        "exits": [_exit(exit) for exit in found],
        "arms": [],
        "assumed": [*assumed],
    }


def _exit(exit: ExitCost | Passed) -> dict[str, Json]:
    if isinstance(exit, Passed):
        range = {"least": exit.macs, "worst": exit.macs}
    else:
        range = {"least": exit.macs.least.value, "worst": exit.macs.worst.value}
    return {"name": exit.path, "macs": range["worst"], "params": exit.params, **range}


def _loops(costs: Costs) -> Iterator[LoopCost]:
    """All loops, also those in the bodies of others."""
    for loop in costs.loops:
        yield loop
        yield from _loops(loop.body)


def _loop(loop: LoopCost, shares: Mapping[str, Sequence[float]]) -> Json:
    return {
        "name": loop.name,
        "turns": {"least": loop.fewest, "expected": expected_turns(loop, shares), "worst": loop.most},
        "macs": {**_range(loop.body.macs), "expected": expected(loop.body, shares)},
        "until": None if loop.until is None else loop.until.name,
    }


def work(found: Costs, traced: Mapping[str, str]) -> list[Json]:
    """MACs by the decisions that ask for them, so that a trace tells what a sample has cost.

    `traced` gives, by gate, the name under which the trace has its decisions. Of any other gate nothing is asked,
    which can only count too much. The work of a loop is that of one turn, done again in each turn that was run.
    """

    def when(guard: Guard) -> list[Json]:
        return [[*_literals(found.literals, term, traced)] for term in guard.terms]

    pieces = sorted(found.work.items(), key=lambda item: (item[0].when.terms, item[0].read.terms))
    result: list[Json] = []
    for asked, macs in pieces:
        read: dict[str, Json] = {} if asked.read.always else {"read": when(asked.read)}
        if macs:
            result.append({"macs": macs, "any": when(asked.when), **read})
    for loop in found.loops:
        until = None if loop.until is None else traced.get(loop.until.name)
        if until is None and not traced.keys() & loop.body.gates.keys():
            if loop.body.macs.worst.value:
                result.append({"macs": loop.most * loop.body.macs.worst.value, "any": when(loop.guard)})
            continue
        rows = loop.until is not None and loop.until.type.batch is not None
        turns: Json = {"most": loop.most, "until": until, "rows": rows, "work": work(loop.body, traced)}
        result.append({"turns": turns, "any": when(loop.guard)})
    return result


def hold_budgets(graph: Graph, bounds: Sequence[BudgetBound], sizes: Mapping[str, int]) -> None:
    """Raises UserError CS0704 when the worst path exceeds a budget of the program."""
    if not bounds:
        return
    found = Diagnostics()
    budgets = [Budget(b.quantity, b.measure, b.value, b.operator == "<", b.span) for b in bounds]
    check_budgets(costs(graph, OPS, sizes), budgets, found)
    found.check()


def hold_means(bounds: Sequence[BudgetBound], record: Mapping[str, Json]) -> None:
    """Raises UserError CS0705 when the expected MACs of `measured`, for given rates, exceed a mean budget."""
    macs = cast(dict[str, float], record["macs"])["expected"]
    found = Diagnostics()
    for b in bounds:
        if (b.quantity, b.measure) == ("macs", "mean"):
            hold_mean(Budget(b.quantity, b.measure, b.value, b.operator == "<", b.span), macs, found)
    found.check()


def rows(record: Mapping[str, Json]) -> Iterator[tuple[str, str, str, str]]:
    """(what, least, expected, most) per sample, for a table."""
    macs, written = cast(dict[str, float], record["macs"]), cast(dict[str, float], record["bytes"])
    yield "MACs", count(macs["least"]), count(macs["expected"]), count(macs["worst"])
    for exit in cast(list[dict[str, Json]], record["exits"]):
        name = "MACs to the end" if exit["name"] is None else f"MACs to exit {exit['name']}"
        yield name, count(cast(float, exit["least"])), "", count(cast(float, exit["worst"]))
    yield "bytes", count(written["least"]), "", count(written["worst"])
    yield "parameters", "", "", count(cast(int, record["params"]))
    for loop in cast(list[dict[str, Json]], record["loops"]):
        turns, turn = cast(dict[str, float], loop["turns"]), cast(dict[str, float], loop["macs"])
        expected = turns["expected"]
        yield f"turns of {loop['name']}", f"{turns['least']}", f"{expected:.3g}", f"{turns['worst']}"
        yield f"MACs of a turn of {loop['name']}", count(turn["least"]), count(turn["expected"]), count(turn["worst"])
    for arm in cast(list[dict[str, Json]], record["arms"]):
        yield f"MACs of {arm['gate']} = {arm['arm']}", "", "", count(cast(int, arm["macs"]))


def to_the_end(record: dict[str, Json]) -> dict[str, Json]:
    """A record whose exits have the end among them, also of a program without any."""
    macs = cast(dict[str, Json], record["macs"])
    end: Json = {
        "name": None,
        "macs": macs["worst"],
        "params": record["params"],
        "least": macs["least"],
        "worst": macs["worst"],
    }
    return record if record["exits"] else {**record, "exits": [end]}


def exit_rows(record: Mapping[str, Json]) -> Iterator[tuple[str, str, str]]:
    """(where a sample leaves, MACs up to there, parameters up to there), to the unit, for a table."""
    for exit in cast(list[dict[str, Json]], record["exits"]):
        yield cast(str | None, exit["name"]) or "the end", f"{exit['macs']}", f"{exit['params']}"


def count(value: float) -> str:
    """A number with a suffix: 1.23M."""
    for scale, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= scale:
            return f"{value / scale:.3g}{suffix}"
    return f"{value:.0f}"


def _literals(literals: Literals, term: int, traced: Mapping[str, str]) -> Iterator[Json]:
    """A conjunction as data: which arms each gate may have taken, or (k-of-n) must not have."""
    for id in literals.owners_of(term):
        gate, first = literals.gates[id], literals.first[id]
        name = traced.get(gate.name)
        if name is None:
            continue
        beyond = _beyond(literals.gates[decider(id)])
        along: dict[str, Json] = {"anywhere" if id < 0 else "along": beyond} if beyond else {}
        along |= {"uniform": True} if literals.gates[decider(id)].type.batch is None else {}
        if gate.kind is not GateKind.MANY:
            yield {"gate": name, "arms": [a for a in range(gate.arms) if not term >> (first + a) & 1], **along}
            continue
        for arm in range(gate.arms):
            excluded = term >> (first + 2 * arm) & 3
            if excluded:
                yield {"gate": name, "without" if excluded == 1 else "arms": [arm], **along}


def _beyond(gate: Gate) -> int:
    """Over how many axes beside the batch a gate decides."""
    return gate.type.rank - (gate.type.batch is not None) - (gate.kind is GateKind.MANY)


def _range(range: Range) -> dict[str, Json]:
    return {"least": range.least.value, "worst": range.worst.value}


def _given(found: Costs, rates: Mapping[str, float]) -> dict[str, tuple[float, ...]]:
    gates = found.gates
    result: dict[str, tuple[float, ...]] = {}
    for name, share in rates.items():
        gate = gates.get(name)
        if gate is None:
            raise UserError(
                Diagnostic("CS0910", f"there is no gate `{name}`", help=f"gates: {', '.join(gates) or 'none'}")
            )
        if gate.kind is not GateKind.BOOL or not 0 <= share <= 1:
            message = (
                f"a rate is a share from 0 to 1 for a yes-or-no gate; `{name}` is {gate.kind.value}, {share:g} given"
            )
            raise UserError(Diagnostic("CS0910", message))
        taken = found.even[name][1] if name in found.even else None
        if taken is not None and not taken.low <= share <= taken.high:
            low, high = f"{float(taken.low):g}", f"{float(taken.high):g}"
            part = low if low == high else f"{low} to {high}"
            message = f"`{name}` is taken at a share of {part} of its positions, as it decides; {share:g} given"
            raise UserError(Diagnostic("CS0910", message))
        result[name] = (1 - share, share)
    return result
