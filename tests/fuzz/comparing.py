"""Compares one run of an executor with the meaning: values, decisions, which were made, and executed rows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from cogseedc.interp import Reference, bind_sizes, kind_of
from cogseedc.ir import Gate, GateKind
from cogseedc.runtime.session import Raw
from cogseedc.verify.compare import compare_decisions, compare_reach, compare_rows
from cogseedc.verify.rows import RowPlan, predict_rows
from tests.fuzz.cases import NEAR, Case, Failure, guarded
from tests.fuzz.executors import Evaluator, Executor, states
from tests.fuzz.placing import ROWS

Array = np.ndarray[Any, np.dtype[Any]]
EVALUATED = 3
"""Rows that onnx's own evaluator runs."""
CALLS = 3
"""How often a program with states is called."""


def compare(case: Case, executor: Executor, start: int, stop: int, seen: Counter[str]) -> None:
    """One batch: rows start .. stop of the inputs. Raises Failure, Dropped."""
    label, rows = executor.name, f"rows {start}:{stop}"
    given = case.rows(start, stop)
    raw: Raw = guarded(f"{label} run", lambda: executor.backend.run(given, case.knobs, True))
    for name, whole in executor.lowered.meaning.outputs.items():
        executor.lowered.hold(case, label, f"{name} of {rows}", raw.outputs[name], whole[start:stop])
    _decisions(case, executor, raw, start, stop)
    spaces = RowPlan.of(executor.plan, executor.single)
    predicted = predict_rows(spaces, raw.trace, stop - start, bind_sizes(case.graph, given))
    for name, text in compare_rows(raw.rows, predicted):
        raise Failure(f"{label} rows", f"{name} {text} ({rows})")
    if predicted and not raw.rows:
        raise Failure(f"{label} rows", "no rows are counted")
    way = label.split()[1]
    for count in raw.rows.values():
        part = "skipped" if not count else "of some rows" if count < stop - start else "of all rows"
        seen[f"{way}: part {part}"] += 1
    seen[f"batch of {stop - start}"] += 1


def compare_evaluator(case: Case, evaluator: Evaluator, seen: Counter[str]) -> None:
    """Values of onnx's own evaluator, where it has the operators."""
    try:
        found = evaluator.run(case.rows(0, EVALUATED), case.knobs)
    except Exception as error:  # it raises whatever numpy does
        seen[f"evaluator lacks {type(error).__name__}"] += 1
        return
    seen["executor onnx-evaluator"] += 1
    wanted = evaluator.lowered.meaning.outputs
    for name, value in zip(wanted, found, strict=True):
        evaluator.lowered.hold(case, "onnx-evaluator", name, value, wanted[name][:EVALUATED])


def compare_calls(case: Case, executor: Executor, seen: Counter[str]) -> None:
    """Several calls, each with the states that the one before gave: its own, and those of the reference."""
    kept, rows = states(case), 1 if executor.single else 7
    given = case.rows(0, rows)
    own = dict(given)
    reference = Reference(case.graph, case.weights.arrays)
    for call in range(1, CALLS):
        meaning = reference.run(given, {})
        raw: Raw = guarded(f"{executor.name} call", lambda own=own: executor.backend.run(own, case.knobs, True))
        if any(m.size and not m.min() > NEAR for m in meaning.margins.values()):
            return
        for name, wanted in meaning.outputs.items():
            executor.lowered.hold(case, executor.name, f"{name} of call {call}", raw.outputs[name], wanted)
        fresh = case.rows(call, call + rows)
        after = {s.before.name: s.after.name for s in kept}
        given = {n: meaning.outputs[after[n]].astype("float32") if n in after else a for n, a in fresh.items()}
        own = {n: raw.outputs[after[n]] if n in after else a for n, a in fresh.items()}
        seen["further calls with states"] += call > 1


def _decisions(case: Case, executor: Executor, raw: Raw, start: int, stop: int) -> None:
    """Equal decisions wherever one was made; made wherever an output depends on one, and nowhere behind a closed gate."""
    expected = {gate.name for plan in executor.plan.nested() for gate in plan.gates}
    if set(raw.trace) != expected:
        raise Failure(f"{executor.name} trace", f"traces {sorted(raw.trace)}, not {sorted(expected)}")
    deciders, result = executor.lowered.schedule.deciders, executor.lowered.result
    for name, found in raw.trace.items():
        decider = deciders[name]
        axis = decider.node.type.batch if isinstance(decider.node, Gate) else 0
        many = kind_of(decider.node) is GateKind.MANY
        if axis is None and start == stop:
            continue
        parts = [_rows(a, axis, start, stop) for a in (result.trace[name], result.own[name], result.demanded[name])]
        wanted, own, needed = (_turns(a, found, len(decider.loops), axis) for a in parts)
        if found.shape[: found.ndim - many] != wanted.shape[: wanted.ndim - many]:
            raise Failure(f"{executor.name} trace shape", f"{name} has {found.shape}, not {wanted.shape}")
        wrong = compare_decisions(
            decider.node, found, own, np.full(own.shape[: own.ndim - many], np.inf), 0.0, len(decider.loops)
        )
        if wrong:
            raise Failure(f"{executor.name} decision", f"{name} of rows {start}:{stop} {wrong}")
        if axis is None and stop - start < ROWS:
            continue  # whether a decision of the whole batch was reached may depend on which rows there are
        lost = compare_reach(decider.node, found, own, needed)
        beyond = not decider.loops and (_made(found, many) & ~_made(wanted, many)).any()  # loops may run for more rows
        if lost or beyond:
            text = lost or f"is {found.ravel()[:32].tolist()}, its guards say {wanted.ravel()[:32].tolist()}"
            raise Failure(f"{executor.name} reach", f"{name} of rows {start}:{stop} {text}")


def _rows(array: Array, axis: int | None, start: int, stop: int) -> Array:
    return array if axis is None else np.moveaxis(np.moveaxis(array, axis, 0)[start:stop], 0, axis)


def _turns(array: Array, found: Array, loops: int, axis: int | None) -> Array:
    """Only so many turns as these rows took: the whole batch may have taken more."""
    first = 0 if axis is None else 1
    for place in range(first, first + loops):
        array = np.moveaxis(np.moveaxis(array, place, 0)[: found.shape[place]], 0, place)
    return array


def _made(trace: Array, many: bool) -> Array:
    return np.asarray((trace >= 0).any(axis=-1) if many else trace >= 0)
