"""Verification of published artifacts, on every CPU target, and of ones that were compiled wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from cogseedc.backends.plan import Plan, plan
from cogseedc.driver import lower
from cogseedc.driver.compile import compile as compile_program
from cogseedc.ir import Call, Graph
from cogseedc.verify import verify_artifact

PROGRAM = """
export seed Small {
    in  x: f32[N, D=6]
    out y: f32[N, K=3]
    knob tau = 0.9 in 0 .. 1
    a = x |> linear[D] |> tanh
    exit easy { y = linear[K](a) } when confidence(linear[K](a)) >= tau
    gate keep over N = linear[1](a) > 5
    b = when keep { a + tanh(linear[D](a)) } else { a * 0.5 }
    y = b |> linear[K]
}
"""
TARGETS = ("torch-cpu", "onnx-cpu", "onnx-edge")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("gates", ["auto", "dense"])
def test_compiled_program_means_its_source(target: str, gates: str, tmp_path: Path) -> None:
    source = tmp_path / "small.seed"
    source.write_text(PROGRAM)
    report = verify_artifact(compile_program(source, target, tmp_path / "out", rng=0, gates=gates))
    assert report.ok, report.to_text()
    assert not report.unexercised
    assert {(c.gate, c.arm) for c in report.census} == {("easy", 0), ("easy", 1), ("keep", 0), ("keep", 1)}


def wrong(graph: Graph, old: str, new: str) -> None:
    for id, node in graph.nodes():
        if isinstance(node, Call) and node.op == old:
            graph.update(id, Call(new, node.attrs, node.types, node.origin))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("old", "new", "kind"), [("gt", "le", "decision"), ("mul", "div", "value")])
def test_wrong_compilation_is_caught(
    target: str, old: str, new: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The arm with `mul` is one that the inputs do take; the gate's decision follows `le` in values and trace alike."""
    source = tmp_path / "small.seed"
    source.write_text(PROGRAM)

    def broken(graph: Graph, *rest: object, **options: object) -> Plan:
        wrong(graph, old, new)
        return plan(graph, *rest, **options)  # type: ignore[arg-type]  # passes on what it is given

    with monkeypatch.context() as patch:
        patch.setattr(lower, "plan", broken)
        place = compile_program(source, target, tmp_path / "out", rng=0)
    report = verify_artifact(place)
    assert {m.kind for m in report.mismatches} == {kind}
