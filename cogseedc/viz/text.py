"""Drawings that are text: Graphviz DOT and Mermaid. Every name goes through an escape of the format."""

from __future__ import annotations

from collections.abc import Iterator

from cogseedc.viz.document import ContainerJson, GraphJson, NodeJson

_SHAPES = {
    "input": "invhouse",
    "output": "house",
    "gate": "diamond",
    "merge": "trapezium",
    "knob": "cds",
    "exit": "diamond",
}
_CONTROL = 'style=dashed, color="#b45309", fontcolor="#b45309"'
_BACK = 'style=dotted, constraint=false, label="next turn"'
_COLORS = {
    "input": ("#059669", "#d1fae5"),
    "output": ("#059669", "#d1fae5"),
    "knob": ("#c026d3", "#fae8ff"),
    "gate": ("#ea580c", "#ffedd5"),
    "exit": ("#ea580c", "#ffedd5"),
    "merge": ("#4f46e5", "#e0e7ff"),
    "loop": ("#4f46e5", "#e0e7ff"),
    **dict.fromkeys(("carry", "element", "capture", "next", "yield"), ("#059669", "#d1fae5")),
    "until": ("#ea580c", "#ffedd5"),
}
"""Line and fill, as the page has them in its light theme."""
_PLAIN = ("#94a3b8", "#f8fafc")
HIDDEN = frozenset(("weight", "constant"))
"""Left out of drawings: they would bury the network."""


def dot(graph: GraphJson) -> str:
    """Graphviz DOT: seeds as clusters, control edges dashed and labelled."""
    lines = [
        f"digraph {_dot(graph['name'])} {{",
        '  graph [rankdir=TB, fontname="sans-serif", fontsize=11, newrank=true];',
        '  node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=10];',
        '  edge [fontname="sans-serif", fontsize=9, color="#64748b", arrowsize=0.7];',
    ]
    lines += _clusters(graph)
    visible = {n["id"] for n in graph["nodes"] if n["kind"] not in HIDDEN}
    for edge in graph["edges"]:
        if edge["source"] in visible and edge["target"] in visible:
            lines.append(f"  n{edge['source']} -> n{edge['target']};")
    for source, target, label in controls(graph):
        lines.append(f"  n{source} -> n{target} [{_CONTROL}, label={_dot(label)}];")
    for back in graph["backs"]:
        lines.append(f"  n{back['source']} -> n{back['target']} [{_BACK}];")
    return "\n".join([*lines, "}"]) + "\n"


def _clusters(graph: GraphJson) -> Iterator[str]:
    for depth, number, node, container in _outline(graph):
        indent = "  " * depth
        if node is not None:
            shape = _SHAPES.get(node["kind"])
            extra = f", shape={shape}" if shape else ""
            color = _COLORS.get(node["kind"], _PLAIN)
            yield f'{indent}n{number} [label={_dot(caption(node))}, color="{color[0]}", fillcolor="{color[1]}"{extra}];'
        elif container is not None:
            yield f"{indent}subgraph cluster_{number} {{"
            yield f'{indent}  label={_dot(title(container))}; color="#94a3b8"; style=rounded;'
        else:
            yield f"{indent}}}"


def _outline(graph: GraphJson) -> Iterator[tuple[int, int, NodeJson | None, ContainerJson | None]]:
    """Depth, number, node or container in nesting order: the nodes of a container, the containers inside it, then
    neither, where it ends. Takes time linear in the size of the graph."""
    nodes: dict[str, list[NodeJson]] = {}
    inside: dict[str, list[tuple[int, ContainerJson]]] = {}
    for node in graph["nodes"]:
        if node["kind"] not in HIDDEN:
            nodes.setdefault(node["container"], []).append(node)
    for number, container in enumerate(graph["containers"]):
        inside.setdefault(container["parent"], []).append((number, container))
    yield from ((1, node["id"], node, None) for node in nodes.get("", ()))
    open_containers = [iter(inside.get("", ()))]
    while open_containers:
        depth = len(open_containers)
        found = next(open_containers[-1], None)
        if found is None:
            open_containers.pop()
            if open_containers:
                yield depth - 1, 0, None, None
            continue
        number, container = found
        yield depth, number, None, container
        yield from ((depth + 1, node["id"], node, None) for node in nodes.get(container["id"], ()))
        open_containers.append(iter(inside.get(container["id"], ())))


def title(container: ContainerJson) -> str:
    """`Stage  a.Stage`."""
    return f"{container['label']}  {container['id']}" if container["id"] != container["label"] else container["label"]


def caption(node: NodeJson) -> str:
    """Two lines: what it is, and what comes out."""
    return node["label"] + (f"\n{node['types'][0]}" if node["types"] else "")


def controls(graph: GraphJson) -> Iterator[tuple[int, int, str]]:
    """Control edges that tell something: into nodes whose operands are not all governed alike."""
    guards: dict[int, set[tuple[int, int, int]]] = {}
    for edge in graph["controls"]:
        guards.setdefault(edge["target"], set()).add((edge["source"], edge["arm"], edge["term"]))
    same: dict[int, list[set[tuple[int, int, int]]]] = {}
    kinds = {n["id"]: n["kind"] for n in graph["nodes"]}
    for data in graph["edges"]:
        if kinds[data["source"]] not in HIDDEN:
            same.setdefault(data["target"], []).append(guards.get(data["source"], set()))
    for edge in graph["controls"]:
        mine = guards[edge["target"]]
        if kinds[edge["target"]] not in HIDDEN and not any(other == mine for other in same.get(edge["target"], [])):
            yield edge["source"], edge["target"], edge["label"]


def _dot(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + "".join(c if c.isprintable() else "?" for c in escaped) + '"'


def mermaid(graph: GraphJson) -> str:
    """A Mermaid flowchart, as GitHub renders it."""
    lines = ["flowchart TB"]
    lines += _subgraphs(graph)
    visible = {n["id"] for n in graph["nodes"] if n["kind"] not in HIDDEN}
    for edge in graph["edges"]:
        if edge["source"] in visible and edge["target"] in visible:
            lines.append(f"  n{edge['source']} --> n{edge['target']}")
    for source, target, label in controls(graph):
        lines.append(f'  n{source} -. "{_mermaid(label)}" .-> n{target}')
    lines += [f'  n{back["source"]} -. "next turn" .-> n{back["target"]}' for back in graph["backs"]]
    return "\n".join(lines) + "\n"


def _subgraphs(graph: GraphJson) -> Iterator[str]:
    for depth, number, node, container in _outline(graph):
        indent = "  " * depth
        if node is not None:
            left, right = ("{", "}") if node["kind"] in ("gate", "exit") else ("[", "]")
            yield f'{indent}n{number}{left}"{_mermaid(node["label"])}"{right}'
        elif container is not None:
            yield f'{indent}subgraph c{number} ["{_mermaid(title(container))}"]'
        else:
            yield f"{indent}end"


def _mermaid(text: str) -> str:
    return "".join(c if c.isalnum() or c in " _.,=[]()-" else f"#{ord(c)};" for c in text)
