"""Graphs for the tests of drawings."""

from __future__ import annotations

from pathlib import Path

from cogseedc.driver.picture import draw
from cogseedc.driver.program import Settings, load
from cogseedc.ir import Attrs, Axis, Call, Dtype, Graph, Input, Origin, Output, Size, TensorType, Value
from cogseedc.publish import canonical_json
from cogseedc.viz import GraphJson, document

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "]]><svg onload=alert(1)>",
    '" onmouseover="alert(1)',
    "'};alert(1);//",
    "{{page}} {{7*7}} {% raw %}",
    "\u2028\u2029\x00\x1b[31m",
    "</title><base href=//evil.example>",
    "javascript:alert(1)",
    '"]; n0 -> n1; x [label="',
)


def example(name: str, format: str) -> bytes:
    """An example of the tree, drawn."""
    return draw(load(str(EXAMPLES / f"{name}.seed"), Settings()), format)


def hostile(text: str) -> GraphJson:
    """A graph where every text that a user may write is `text`."""
    graph = Graph()
    type = TensorType(Dtype.F32, (Axis(None, Size.symbol("N")),))
    origin = Origin(path=text, seeds=(text,), scope=(text,))
    read = graph.add(Input(text, type, origin))
    call = graph.add(Call(text, Attrs(((text, text),)), (type,), origin), (Value(read, 0),))
    graph.add(Output(text, type, origin), (Value(call, 0),))
    return document(graph, text, text, sources={text: text})


def spelled(graph: GraphJson) -> str:
    return canonical_json(graph).decode()
