"""What people read about a program and its artifact: the summary that `report` prints, and the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from cogseedc.driver.manifest import Json, interface
from cogseedc.ir import Graph

if TYPE_CHECKING:
    from cogseedc.frontend.build.model import Elaborated


def summary(elaborated: Elaborated, structure: Graph) -> str:
    """Interface, gates, weights and nodes of a program."""
    lines = [f"{elaborated.name}: {_first_paragraph(elaborated.doc)}".rstrip(": ")]
    described = interface(structure)
    lines += described_lines(described)
    lines.append(f"  weights  {parameters(elaborated.graph):,} parameters")
    lines.append(f"  nodes    {len(elaborated.graph):,}")
    return "\n".join(lines)


def described_lines(described: Mapping[str, Json]) -> list[str]:
    """Inputs, outputs, states, knobs and gates, a line each."""
    lines: list[str] = []
    for kind in ("inputs", "outputs", "states", "knobs", "gates"):
        records = _records(described, kind)
        lines += [f"  {kind}"] * bool(records) + [f"    {_line(kind, record)}" for record in records]
    return lines


def parameters(graph: Graph) -> int:
    """Elements of all trainable weights."""
    return sum(node.type.elements.value or 0 for node in graph.weights().values() if node.trainable)


def model_card(manifest: Mapping[str, Json], doc: str, costs: Sequence[tuple[str, str]]) -> str:
    """The README.md of an artifact. `costs` are (what, how much) rows."""
    name, target = str(manifest["name"]), cast(dict[str, Json], manifest["target"])
    described = cast(dict[str, Json], manifest["interface"])
    parts = [f"# {name}", doc.strip(), _usage(target, described)]
    for title, kind in _TITLES:
        records = _records(described, kind)
        if records:
            parts.append(f"## {title}\n\n" + "\n".join(f"* {_line(kind, r, '`')}" for r in records))
    parts.append("## Cost\n\n| | |\n| --- | --- |\n" + "\n".join(f"| {what} | {much} |" for what, much in costs))
    parts.append(_origin(manifest))
    return "\n\n".join(part for part in parts if part) + "\n"


def _usage(target: Mapping[str, Json], described: Mapping[str, Json]) -> str:
    inputs = ", ".join(f"{r['name']}={r['name']}" for r in _records(described, "inputs"))
    rows = "one sample at a time" if target["batch_one"] else "any batch size"
    return (
        f"Compiled for `{target['name']}` ({rows}). `cogseed.json` says where the model lies; "
        "it runs without cogseedc too.\n\n"
        "```python\nimport cogseedc\n\n"
        f'session = cogseedc.open("this/folder")\nresult = session({inputs}, trace=True)\n```'
    )


def _origin(manifest: Mapping[str, Json]) -> str:
    source = cast(dict[str, Json], manifest["source"])
    weights = cast(dict[str, Json], manifest["weights"])
    tool = cast(dict[str, Json], manifest["tool"])
    statics = cast(dict[str, Json], source["set"])
    given = ", ".join(f"`{name} = {value}`" for name, value in sorted(statics.items()))
    if weights["from"] == "file":
        kind = "Weights were given."
    else:
        kind = f"Weights are initial ones (`--rng {weights['rng']}`): **this network is not trained**."
    seed = f"The source is kept beside this file{'; built with ' + given if given else ''}."
    return f"## Origin\n\n{kind} {seed} Made by cogseedc {tool['version']}."


def _records(described: Mapping[str, Json], kind: str) -> list[dict[str, Json]]:
    return cast(list[dict[str, Json]], described.get(kind, []))


def _line(kind: str, record: Mapping[str, Json], quote: str = "") -> str:
    name = f"{quote}{record['name']}{quote}"
    if kind == "gates":
        over = ", ".join(cast(list[str], record["over"])) or "the whole batch"
        strategy = f", lowered as {record['strategy']}" if record["strategy"] else ""
        loops = "".join(f", in each turn of {quote}{loop}{quote}" for loop in cast(list[str], record["loops"])[-1:])
        return f"{name}: {_GATES[str(record['kind'])].format(record['arms'])} over {over}{loops}{strategy}"
    axes = ", ".join(_axis(a) for a in cast(list[dict[str, Json]], record["axes"]))
    text = f"{name}: {quote}{record['dtype']}[{axes}]{quote}"
    if kind == "knobs":
        default = ", ".join(f"{v:g}" for v in cast(list[float], record["default"]))
        text += f" = {default}, from {record['low']:g} to {record['high']:g}"
    if kind == "states":
        text += f", before the first call {record['initial']}"
    return text


_TITLES = (
    ("Inputs", "inputs"),
    ("Outputs", "outputs"),
    ("Kept between calls", "states"),
    ("Knobs", "knobs"),
    ("Decisions", "gates"),
)
_GATES = {"bool": "yes or no", "one": "one of {0}", "many": "several of {0}"}


def _axis(axis: Mapping[str, Json]) -> str:
    if axis["name"] is None or axis["name"] == axis["size"]:
        return str(axis["size"])
    return f"{axis['name']}={axis['size']}"


def _first_paragraph(doc: str) -> str:
    return doc.strip().split("\n\n")[0].replace("\n", " ")
