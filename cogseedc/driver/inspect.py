"""Reads an artifact back: its manifest as text for people, and the program that its source says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from safetensors.numpy import load as load_safetensors

from cogseedc.driver.card import described_lines
from cogseedc.driver.costs import rows
from cogseedc.driver.manifest import Json
from cogseedc.driver.program import Program, Settings, load_texts
from cogseedc.runtime import Artifact, read

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]


def inspect_artifact(path: str) -> tuple[dict[str, Json], str]:
    """The manifest, and the same for people, after all hashes were checked. Raises UserError CS0830 .. CS0834."""
    found = read(path)
    found.check()
    manifest = cast(dict[str, Json], dict(found.manifest))
    target, source = _record(manifest, "target"), _record(manifest, "source")
    weights, numerics = _record(manifest, "weights"), _record(manifest, "numerics")
    lines = [
        f"{manifest['name']} for {target['name']}, by cogseedc {_record(manifest, 'tool')['version']}",
        *described_lines(_record(manifest, "interface")),
        f"  weights   {'given' if weights['from'] == 'file' else 'initial, --rng ' + str(weights['rng'])}",
        f"  numbers   {', '.join(['fp32', *cast(list[str], numerics['precisions'])])}",
        f"  within    {numerics['absolute']:g} + {numerics['relative']:g} relative of the reference",
    ]
    if source["set"] or source["size"]:
        given = {**_record(source, "set"), **_record(source, "size")}
        lines.append(f"  built with {', '.join(f'{name}={value}' for name, value in sorted(given.items()))}")
    costs = json.loads(found.payload("costs.json"))
    lines += [f"  {what:<24} {least:>8} {expected:>8} {most:>8}" for what, least, expected, most in rows(costs)]
    lines.append("  payloads")
    for name, entry in sorted(_record(manifest, "payloads").items()):
        record = cast(dict[str, Json], entry)
        lines.append(f"    {name:<20} {record['size']:>9} bytes  {str(record['sha256'])[:16]}")
    return manifest, "\n".join(lines) + "\n"


def program_of_artifact(path: str) -> Program:
    """The program that an artifact was compiled from, from the source that it keeps. Raises UserError."""
    return source_program(read(path))


def source_program(artifact: Artifact) -> Program:
    """The same for an artifact that is read."""
    source = _record(artifact.manifest, "source")
    files = cast(list[dict[str, str]], source["files"])
    texts = {record["path"]: artifact.payload(record["payload"]).decode() for record in files}
    shapes = tuple((name, tuple(array.shape)) for name, array in sorted(stored_weights(artifact).items()))
    settings = Settings(
        str(source["seed"]),
        tuple((name, str(value)) for name, value in _record(source, "set").items()),
        tuple((name, int(cast(int, value))) for name, value in _record(source, "size").items()),
        weight_shapes=shapes,
    )
    return load_texts(texts, settings)


def stored_weights(artifact: Artifact) -> dict[str, Array]:
    """The weights of an artifact by state-dict key."""
    return dict(load_safetensors(artifact.payload(str(_record(artifact.manifest, "weights")["payload"]))))


def _record(value: Mapping[str, Json], key: str) -> dict[str, Json]:
    return cast(dict[str, Json], value[key])
