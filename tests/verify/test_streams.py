"""Verification of programs with states: several calls in a row, where some mistakes show in the second only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from cogseedc.diagnostics import InternalError
from cogseedc.interp import initial_weights
from cogseedc.ir import DataEdge, Graph, Input, NodeId, Output
from cogseedc.ir import verify as verify_graph
from cogseedc.ops import OPS
from cogseedc.passes import PIPELINES, Context, run
from cogseedc.verify import Force, Report, Run, Settings, verify
from tests.frontend.building import graph_of
from tests.verify.fake import Array, Artifact

TEXT = """
seed Count {
    in  x: f32[N, D]
    out y: f32[N, D]
    state k: f32[N, D] = full(1)
    y = x * k
    next k = k + 1
}
export seed Net {
    in  x: f32[N, D=4]
    out y: f32[N, D]
    state unread: f32[N, D] = zeros()
    next unread = x
    y = when mean[over=D](x) > 0 { Count(x) } else { x }
}
"""


@dataclass
class Forgetful(Artifact):
    """Begins anew in every call."""

    def run_forced(self, inputs: Mapping[str, Array], knobs: Mapping[str, Any], forces: Mapping[str, Force]) -> Run:
        return super().run_forced({"x": inputs["x"]}, knobs, forces)


def node(graph: Graph, kind: type[Input] | type[Output], name: str) -> NodeId:
    return next(id for id, n in graph.nodes() if isinstance(n, kind) and n.name == name)


def check(graph: Graph, artifact: Artifact) -> Report:
    return verify(graph, artifact.weights, artifact, Settings(batches=(0, 1, 2)))


def test_a_right_one_passes_and_is_called_three_times() -> None:
    graph = graph_of(TEXT)
    artifact = Artifact(graph, initial_weights(graph, 0))
    report = check(graph, artifact)
    assert report.ok, report.to_text()
    assert artifact.batches[:9] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert {name for name, _ in report.distances} == {"y", "next.unread", "next.then.Count.k"}


def test_one_that_keeps_nothing_is_caught_in_the_second_call() -> None:
    graph = graph_of(TEXT)
    report = check(graph, Forgetful(graph, initial_weights(graph, 0)))
    assert not report.ok
    assert all(", call " in m.scenario for m in report.mismatches)


def test_one_that_does_not_write_is_caught() -> None:
    graph = graph_of(TEXT)
    broken = graph.copy()
    after, before = node(broken, Output, "next.unread"), node(broken, Input, "state.unread")
    (edge,) = broken.wiring().ins[after]
    broken.disconnect(edge)
    broken.connect(DataEdge(before, 0, after, 0))
    report = check(graph, Artifact(broken, initial_weights(graph, 0)))
    assert {m.name for m in report.mismatches} == {"next.unread"}


@pytest.mark.parametrize("pipeline", sorted(PIPELINES))
def test_no_pass_drops_what_no_output_reads(pipeline: str) -> None:
    graph = graph_of(TEXT)
    run(graph, PIPELINES[pipeline], Context(OPS), verify_each=True)
    assert {n.name for _, n in graph.nodes() if isinstance(n, Output)} == {"y", "next.unread", "next.then.Count.k"}
    (edge,) = graph.wiring().ins[node(graph, Output, "next.unread")]
    assert edge.src == node(graph, Input, "x")


def test_an_input_without_its_output_is_no_state() -> None:
    graph = graph_of(TEXT)
    graph.remove([node(graph, Output, "next.unread")])
    with pytest.raises(InternalError, match="`states`"):
        verify_graph(graph)
