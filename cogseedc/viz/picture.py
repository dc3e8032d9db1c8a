"""The static drawing: SVG. Graphviz lays it out when `dot` is installed, else networkx by layers."""

from __future__ import annotations

import shutil
import subprocess
from html import escape

import networkx

from cogseedc.viz.document import GraphJson
from cogseedc.viz.text import HIDDEN, controls, dot

_WIDTH, _HEIGHT = 150.0, 70.0
_ARROW = (
    '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
    '<path d="M0 0L8 4L0 8z"/></marker></defs>'
)


def svg(graph: GraphJson) -> bytes:
    """The graph as SVG, seeds as clusters, control edges dashed."""
    program = shutil.which("dot")
    if program is not None:
        try:
            drawn = subprocess.run(
                [program, "-Tsvg"], input=dot(graph).encode(), capture_output=True, check=True, timeout=60
            )
            return drawn.stdout
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired, OSError):
            pass  # a broken or slow Graphviz: the plain layout below is always there
    return _layered(graph)


def _layered(graph: GraphJson) -> bytes:
    nodes = {n["id"]: n for n in graph["nodes"] if n["kind"] not in HIDDEN}
    layout: networkx.DiGraph[int] = networkx.DiGraph()
    layout.add_nodes_from(sorted(nodes))
    edges = ((e["source"], e["target"]) for e in graph["edges"])
    layout.add_edges_from((source, target) for source, target in edges if source in nodes and target in nodes)
    places: dict[int, tuple[float, float]] = {}
    for row, generation in enumerate(networkx.topological_generations(layout)):
        for column, id in enumerate(sorted(generation)):
            places[id] = ((column + 0.5) * _WIDTH, (row + 0.5) * _HEIGHT)
    width = max((x for x, _ in places.values()), default=0.0) + _WIDTH / 2
    height = max((y for _, y in places.values()), default=0.0) + _HEIGHT / 2
    view = f'viewBox="0 0 {width:g} {height:g}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {view} font-family="sans-serif" font-size="10">',
        _ARROW,
    ]
    for source, target in layout.edges:
        parts.append(_line(places[source], places[target], "#475569", ""))
    for source, target, label in controls(graph):
        if source in places and target in places:
            parts.append(_line(places[source], places[target], "#b45309", label))
    for back in graph["backs"]:
        parts.append(_line(places[back["source"]], places[back["target"]], "#94a3b8", "next turn"))
    for id, (x, y) in places.items():
        text = _xml(nodes[id]["label"])
        parts.append(
            f"<g><title>{_xml(nodes[id]['path'])}</title>"
            f'<rect x="{x - 60:g}" y="{y - 14:g}" width="120" height="28" rx="6" '
            f'fill="#f8fafc" stroke="#475569"/><text x="{x:g}" y="{y + 4:g}" text-anchor="middle">{text}</text></g>'
        )
    return "\n".join([*parts, "</svg>", ""]).encode()


def _line(start: tuple[float, float], end: tuple[float, float], color: str, label: str) -> str:
    dashes = ' stroke-dasharray="5 3"' if label else ""
    line = (
        f'<line x1="{start[0]:g}" y1="{start[1] + 14:g}" x2="{end[0]:g}" y2="{end[1] - 14:g}" '
        f'stroke="{color}"{dashes} marker-end="url(#a)"/>'
    )
    if not label:
        return line
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    return line + f'<text x="{x:g}" y="{y:g}" fill="{color}">{_xml(label)}</text>'


def _xml(text: str) -> str:
    """Escaped, and without the characters that XML cannot hold at all."""
    return escape("".join(c if c.isprintable() else "?" for c in text))
