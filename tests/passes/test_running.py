"""When the driver of passes verifies a graph; and joins with fewer arms, as several passes make them."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from cogseedc.diagnostics import InternalError
from cogseedc.ir import MergeMode, Phase
from cogseedc.passes import Context, Pass, run_pipeline
from cogseedc.passes.rewrite import keep_arms
from tests.passes.joins import SCALAR, Joins, told
from tests.passes.toy import OPS, Toy

CONTEXT = Context(OPS)


@dataclass(frozen=True)
class Nothing(Pass):
    """Changes nothing."""

    name: ClassVar[str] = "nothing"
    requires: ClassVar[Phase] = Phase.BUILT

    def run(self, graph, context):
        return False


@dataclass(frozen=True)
class Break(Nothing):
    """Leaves an output unfed."""

    def run(self, graph, context):
        graph.remove([next(id for id, _ in graph.nodes())])
        return True


def program():
    toy = Toy()
    toy.output(toy.input())
    return toy.graph


def test_each_pass_is_verified_where_that_is_asked_for():
    assert [ran.changed for ran in run_pipeline(program(), [Break(), Nothing()], CONTEXT)] == [True, False]
    with pytest.raises(InternalError):
        run_pipeline(program(), [Break()], CONTEXT, verify_each=True)


def test_what_passes_are_given_is_verified_too():
    graph = program()
    Break().run(graph, CONTEXT)
    assert run_pipeline(graph, [], CONTEXT) == []
    with pytest.raises(InternalError):
        run_pipeline(graph, [], CONTEXT, verify_each=True)


def test_a_weighted_join_keeps_its_weights():
    joins = Joins()
    weights = joins.toy.call("f", joins.values["x"], type=SCALAR, path="weights")
    join = joins.join("a if e0, b if e1, c if e2 else d", MergeMode.WEIGHTED_SUM, weights)
    graph = joins.toy.graph
    keep_arms(graph, join.node, graph[join.node], [0, 2], joins.values["w"])
    assert told(graph, join) == "a if e0, c if e2 else w"
    assert graph.feeds(join.node)[-1] == weights
    assert len(graph.feeds(join.node)) == 6
