"""Verification: what is right passes, and each kind of wrong is caught by the check that is there for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cogseedc.interp import Reference, initial_weights
from cogseedc.ir import Call, Graph, Merge, NodeId, Value
from cogseedc.verify import Force, Report, RowPlan, RowSpace, Run, Settings, verify
from cogseedc.verify.rows import Literal

from .fake import Array, Artifact
from .nets import exit_net, nested_net, route_net, skip_net

NETS = (skip_net, nested_net, exit_net, route_net)
SPACES = RowPlan((RowSpace("not_keep", None, ((Literal("keep", (0,), False, True),),)),))


def check(graph: Graph, artifact: Artifact, spaces: RowPlan | None = None) -> Report:
    return verify(graph, artifact.weights, artifact, spaces=spaces)


def kinds(report: Report) -> set[str]:
    return {m.kind for m in report.mismatches}


def node_of(graph: Graph, kind: type[Any]) -> NodeId:
    return next(id for id, node in graph.nodes() if isinstance(node, kind))


@pytest.mark.parametrize("net", NETS)
def test_right_artifact_passes(net: Callable[[], Graph]) -> None:
    graph = net()
    artifact = Artifact(graph, initial_weights(graph, 0))
    report = check(graph, artifact)
    assert report.ok, report.to_text()
    assert not report.unexercised
    assert not report.untraced
    assert {0, 1, 2, 7, 16} <= set(artifact.batches)
    assert json.loads(json.dumps(report.to_json()))["ok"] is True
    assert "verified" in report.to_text()


def test_wrong_value_is_caught_in_an_arm_that_random_inputs_never_take() -> None:
    graph = nested_net()
    broken = graph.copy()
    inner = node_of(broken, Merge)
    arm = broken.wiring().operand(inner, 0)
    assert arm is not None
    swapped = Value(broken.add(replace_op(broken, arm.node, "add"), broken.wiring().operands(arm.node)))
    broken.redirect(arm, swapped)
    report = check(graph, Artifact(broken, initial_weights(graph, 0)))
    assert kinds(report) == {"value"}
    assert all("outer = 0" not in m.scenario and not m.scenario.startswith("N=") for m in report.mismatches)
    natural = verify(
        graph, initial_weights(graph, 0), Artifact(broken, initial_weights(graph, 0)), Settings(force=False)
    )
    assert natural.ok
    assert [c.gate for c in natural.unexercised] == ["inner", "inner", "outer"]
    assert "CS0851" in natural.to_text()


def replace_op(graph: Graph, id: NodeId, op: str) -> Call:
    node = graph[id]
    assert isinstance(node, Call)
    return replace(node, op=op)


def test_wrong_decision_is_caught_though_values_follow_it() -> None:
    graph = skip_net()
    broken = graph.copy()
    compare = next(id for id, n in graph.nodes() if isinstance(n, Call) and n.op == "gt")
    broken.update(compare, replace_op(broken, compare, "lt"))
    report = check(graph, Artifact(broken, initial_weights(graph, 0)))
    assert kinds(report) == {"decision"}
    assert "margin" in report.mismatches[0].detail


def test_decision_within_the_margin_is_no_mismatch() -> None:
    graph = skip_net()
    zero = {"x": np.zeros((3, 4), "float32")}
    broken = graph.copy()
    compare = next(id for id, n in graph.nodes() if isinstance(n, Call) and n.op == "gt")
    broken.update(compare, replace_op(broken, compare, "ge"))
    weights = initial_weights(graph, 0)
    assert verify(graph, weights, Artifact(broken, weights), inputs=[zero]).ok


class Unforced(Artifact):
    """Ignores what it is told."""

    def run_forced(self, inputs: Mapping[str, Array], knobs: Mapping[str, Any], forces: Mapping[str, Force]) -> Run:
        return super().run_forced(inputs, knobs, {})


def test_unforceable_gate_is_caught() -> None:
    graph = nested_net()
    report = check(graph, Unforced(graph, initial_weights(graph, 0)))
    assert "force" in kinds(report)
    assert {(c.gate, c.arm) for c in report.unexercised} >= {("outer", 1), ("inner", 0)}


class Unreached(Artifact):
    """Says that its gates were never asked."""

    def finish(self, run: Run) -> Run:
        return replace(run, trace={name: np.full_like(t, -1) for name, t in run.trace.items()})


def test_gate_that_outputs_need_must_be_reached() -> None:
    graph = skip_net()
    report = check(graph, Unreached(graph, initial_weights(graph, 0)))
    assert "reach" in kinds(report)
    assert len(report.unexercised) == 2


class Shuffled(Artifact):
    """Brings rows back in another order."""

    def finish(self, run: Run) -> Run:
        return replace(run, outputs={name: v[::-1] for name, v in run.outputs.items()})


class Short(Artifact):
    """Loses a row."""

    def finish(self, run: Run) -> Run:
        return replace(run, outputs={name: v[:-1] for name, v in run.outputs.items()})


class Nan(Artifact):
    """Gives NaN."""

    def finish(self, run: Run) -> Run:
        return replace(run, outputs={name: v * np.float32("nan") for name, v in run.outputs.items()})


class Silent(Artifact):
    """Forgets its outputs."""

    def finish(self, run: Run) -> Run:
        return replace(run, outputs={})


@pytest.mark.parametrize("kind", [Shuffled, Short, Nan, Silent])
def test_wrong_outputs_are_caught(kind: type[Artifact]) -> None:
    graph = exit_net()
    report = check(graph, kind(graph, initial_weights(graph, 0)))
    assert kinds(report) == {"value"}
    assert json.dumps(report.to_json(), allow_nan=False)


class Failing(Artifact):
    """Cannot run an empty batch."""

    def run(self, inputs: Mapping[str, Array], knobs: Mapping[str, Any]) -> Run:
        if not len(inputs["x"]):
            raise RuntimeError("no rows")
        return super().run(inputs, knobs)


def test_failing_run_is_a_finding() -> None:
    graph = skip_net()
    report = check(graph, Failing(graph, initial_weights(graph, 0)))
    assert [(m.kind, m.scenario, m.detail) for m in report.mismatches] == [("error", "N=0", "no rows")]


class Lazy(Artifact):
    """Says that a block ran on one row more than its guard."""

    def finish(self, run: Run) -> Run:
        return replace(run, rows={name: count + 1 for name, count in run.rows.items()})


def test_rows_are_those_of_the_guards() -> None:
    graph = skip_net()
    weights = initial_weights(graph, 0)
    assert check(graph, Artifact(graph, weights), SPACES).ok
    assert kinds(check(graph, Lazy(graph, weights), SPACES)) == {"rows"}


class Strange(Artifact):
    """Traces a gate that the program does not have, and an arm that its gate does not have."""

    def finish(self, run: Run) -> Run:
        return replace(run, trace={"keep": run.trace["keep"] + 7, "other": run.trace["keep"]})


def test_strange_traces_are_caught() -> None:
    graph = skip_net()
    report = check(graph, Strange(graph, initial_weights(graph, 0)))
    assert {m.name for m in report.mismatches if m.kind == "decision"} == {"keep", "other"}


class Folded(Artifact):
    """A pass has made one gate of two that decide alike: what forces it forces both."""

    def run_forced(self, inputs: Mapping[str, Array], knobs: Mapping[str, Any], forces: Mapping[str, Force]) -> Run:
        assert "again" not in forces, "the artifact has no such gate"
        return super().run_forced(inputs, knobs, {**forces, "again": forces["keep"]} if forces else {})

    def finish(self, run: Run) -> Run:
        return replace(run, trace={name: t for name, t in run.trace.items() if name != "again"})


def test_gates_that_decide_alike_are_forced_together() -> None:
    graph = twin_net()
    report = check(graph, Folded(graph, initial_weights(graph, 0)))
    assert report.ok, report.to_text()
    assert report.untraced == ("again",)
    assert "again" in report.to_text()


def twin_net() -> Graph:
    from .nets import Net, f32

    net = Net()
    x = net.input("x", f32("N", 4))
    gates = [net.gate(name, net.call("gt", net.over("mean", x, 1), net.constant(0.0))) for name in ("keep", "again")]
    a = net.merge([(net.call("mul", x, net.weight("a", 4)), gates[0], 1), (x, gates[0], 0)])
    net.output("y", net.merge([(net.call("mul", a, net.weight("b", 4)), gates[1], 1), (a, gates[1], 0)]))
    return net.graph


def test_two_runs_say_the_same() -> None:
    graph = route_net()
    weights = initial_weights(graph, 0)
    first, second = (check(graph, Artifact(graph, weights)).to_text() for _ in range(2))
    assert first == second


def test_reference_of_a_replayed_run_is_the_artifact() -> None:
    graph = exit_net()
    weights = initial_weights(graph, 3)
    inputs = {"x": np.linspace(-3, 3, 20, dtype="float32").reshape(5, 4)}
    forced = Reference(graph, weights).run(inputs, decisions={"easy": np.array([1, 0, 1, 0, -1])})
    replayed = Reference(graph, weights).run(inputs, decisions=forced.trace)
    np.testing.assert_array_equal(forced.outputs["y"], replayed.outputs["y"])
