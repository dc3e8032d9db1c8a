"""The data that all drawings are made of, and the drawings that are text."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from cogseedc.viz import GraphJson, dot, mermaid, svg
from cogseedc.viz.picture import _layered
from cogseedc.viz.text import HIDDEN, controls

from .graphs import EXAMPLES, HOSTILE, example, hostile

NAMES = (
    "01_digits",
    "03_layer_skip",
    "06_multi_scale",
    "09_group_limited_router",
    "10_neural_tree",
    "65_adaptive_computation_time",
    "72_resolution_per_frame",
)


def graph_of(name: str) -> GraphJson:
    found: GraphJson = json.loads(example(name, "json"))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_document_is_consistent(name: str) -> None:
    graph = graph_of(name)
    ids = [n["id"] for n in graph["nodes"]]
    assert graph["schema"] == 1
    assert len(set(ids)) == len(ids)
    containers = {c["id"]: c for c in graph["containers"]}
    assert len(containers) == len(graph["containers"])
    assert all(c["parent"] in containers or c["parent"] == "" for c in graph["containers"])
    assert all(n["container"] in containers or n["container"] == "" for n in graph["nodes"])
    for edge in (*graph["edges"], *graph["controls"]):
        assert edge["source"] in ids
        assert edge["target"] in ids
    assert {n["kind"] for n in graph["nodes"] if n["id"] in {c["source"] for c in graph["controls"]}} <= {"gate"}
    assert all(n["family"] for n in graph["nodes"] if n["kind"] == "call")


def test_digits_containers_controls_and_spans() -> None:
    graph = graph_of("01_digits")
    assert [c["id"] for c in graph["containers"]] == sorted(c["id"] for c in graph["containers"])
    assert {"id": "a.Stage", "kind": "seed", "label": "Stage", "parent": ""} in graph["containers"]
    assert {c["label"] for c in graph["controls"]} == {"not easy", "not medium"}
    assert list(graph["sources"]) == ["01_digits.seed"]
    convolution = next(n for n in graph["nodes"] if n["path"] == "a.Stage.conv2d")
    assert convolution["span"] is not None
    assert convolution["span"]["file"] == "01_digits.seed"
    line = graph["sources"]["01_digits.seed"].split("\n")[convolution["span"]["line"] - 1]
    assert "conv2d" in line
    assert convolution["macs"] == 16 * 1 * 3 * 3 * 8 * 8


def test_loops_are_containers_with_a_way_back() -> None:
    graph = graph_of("65_adaptive_computation_time")
    loops = {c["id"]: c for c in graph["containers"] if c["kind"] == "loop"}
    assert {(c["label"], c["parent"]) for c in loops.values()} == {("scan T", ""), ("repeat 5 until", "scan")}
    nodes = {n["id"]: n for n in graph["nodes"]}
    kinds = [nodes[id]["kind"] for id in nodes if nodes[id]["container"] == "h.repeat"]
    assert {kind: kinds.count(kind) for kind in ("carry", "element", "capture", "next", "until")} == {
        "carry": 4,
        "element": 0,
        "capture": 1,
        "next": 4,
        "until": 1,
    }
    for back in graph["backs"]:
        source, target = nodes[back["source"]], nodes[back["target"]]
        assert source["label"] == f"next {target['label']}"
        assert source["container"] == target["container"] in loops
    assert len(graph["backs"]) == 2 + 4
    cell = next(n for n in graph["nodes"] if n["label"] == "gru_cell")
    assert cell["macs"] == 32 * 5 * (3 * 10 * 7 + 3 * 10 * 10), "of all turns, 32 for an axis that only the run knows"
    assert sum(n["parameters"] for n in graph["nodes"]) == 3 * 10 * (7 + 10) + 2 * 3 * 10 + 10 + 1 + 30 + 3
    assert 'style=dotted, constraint=false, label="next turn"' in dot(graph)
    assert mermaid(graph).count("next turn") == 6


def test_tree_is_nested() -> None:
    parents = {c["id"]: c["parent"] for c in graph_of("10_neural_tree")["containers"]}
    depth, at = 0, max(parents, key=len)
    while at:
        depth, at = depth + 1, parents[at]
    assert depth == 5  # a tree of depth four and its leaf


@pytest.mark.parametrize("name", NAMES)
def test_text_has_each_visible_node_once_and_closes_each_cluster(name: str) -> None:
    graph = graph_of(name)
    visible = [n["id"] for n in graph["nodes"] if n["kind"] not in HIDDEN]
    for text, opening, closing in ((dot(graph), "subgraph cluster_", "  }"), (mermaid(graph), "subgraph c", "end")):
        lines = text.split("\n")
        assert sum(line.strip().startswith(opening) for line in lines) == len(graph["containers"])
        ends = [line for line in lines if line.endswith(closing) and line.strip() == closing.strip()]
        assert len(ends) == len(graph["containers"])
    declared = [
        line.split(" [")[0].strip() for line in dot(graph).split("\n") if " [label=" in line and "->" not in line
    ]
    assert sorted(declared) == sorted(f"n{id}" for id in visible)


def test_controls_tell_only_what_operands_do_not() -> None:
    graph = graph_of("01_digits")
    drawn = list(controls(graph))
    assert 0 < len(drawn) < len(graph["controls"])
    assert {label for _, _, label in drawn} == {"not easy", "not medium"}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_inert_in_dot_mermaid_and_svg(text: str) -> None:
    graph = hostile(text)
    assert re.sub(r'"(?:[^"\\]|\\.)*"', "", dot(graph)).count("->") == 2
    assert "<" not in mermaid(graph).replace("-->", "")
    for drawn in (_layered(graph), svg(graph)):
        tags = {element.tag.rsplit("}", 1)[-1] for element in ET.fromstring(drawn).iter()}
        assert not tags & {"img", "script", "base"}
        names = {name for element in ET.fromstring(drawn).iter() for name in element.attrib}
        assert not any(name.startswith("on") for name in names)


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize("name", NAMES)
def test_graphviz_takes_our_dot(name: str) -> None:
    made = subprocess.run(["dot", "-Tsvg"], input=example(name, "dot"), capture_output=True, timeout=60)
    assert made.returncode == 0, made.stderr[:500]


def test_svg_without_graphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    drawn = ET.fromstring(svg(graph_of("03_layer_skip")))
    assert sum(e.tag.endswith("rect") for e in drawn.iter()) > 80


def test_graph_command_needs_neither_torch_nor_onnx() -> None:
    code = (
        "import sys; from cogseedc.cli.main import main\n"
        f"sys.argv = ['cogseedc', 'graph', {str(EXAMPLES / '01_digits.seed')!r}, '-o', '-']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'onnx', 'onnxruntime', 'jinja2') if m in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == "[]"
    assert done.stdout.startswith("flowchart")
