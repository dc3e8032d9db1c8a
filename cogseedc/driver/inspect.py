"""Reads an artifact back: its manifest as text for people, and the program that its source says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from cogseedc.driver.card import described_lines
from cogseedc.driver.costs import rows
from cogseedc.driver.manifest import Json
from cogseedc.driver.program import Program, Settings, load_texts
from cogseedc.runtime import Artifact, read
from cogseedc.runtime.artifact import as_written, damaged, integer, record, records, text
from cogseedc.runtime.interface import read_interface

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array


def inspect_artifact(path: str) -> tuple[dict[str, Json], str]:
    """The manifest, and the same for people, after all hashes were checked. Raises UserError CS0830 .. CS0834."""
    found = read(path)
    found.check()
    read_interface(found)
    with as_written():
        return dict(found.manifest), _described(found)


def _described(found: Artifact) -> str:
    manifest = cast(dict[str, Json], dict(found.manifest))
    target, source = record(manifest, "target"), record(manifest, "source")
    weights, numerics = record(manifest, "weights"), record(manifest, "numerics")
    lines = [
        f"{manifest['name']} for {target['name']}, by cogseedc {record(manifest, 'tool')['version']}",
        *described_lines(record(manifest, "interface")),
        f"  weights   {'given' if weights['from'] == 'file' else 'initial, --rng ' + str(weights['rng'])}",
        f"  numbers   {', '.join(['fp32', *cast(list[str], numerics['precisions'])])}",
        f"  within    {numerics['absolute']:g} + {numerics['relative']:g} relative of the reference",
    ]
    if source["set"] or source["size"]:
        given = {**record(source, "set"), **record(source, "size")}
        lines.append(f"  built with {', '.join(f'{name}={value}' for name, value in sorted(given.items()))}")
    costs = json.loads(found.payload("costs.json"))
    lines += [f"  {what:<24} {least:>8} {expected:>8} {most:>8}" for what, least, expected, most in rows(costs)]
    lines.append("  payloads")
    payloads = record(manifest, "payloads")
    for name in sorted(payloads):
        entry = record(payloads, name)
        lines.append(f"    {name:<20} {integer(entry, 'size'):>9} bytes  {text(entry, 'sha256')[:16]}")
    return "\n".join(lines) + "\n"


def program_of_artifact(path: str) -> Program:
    """The program that an artifact was compiled from, from the source that it keeps. Raises UserError."""
    return source_program(read(path))


def source_program(artifact: Artifact) -> Program:
    """The same for an artifact that is read."""
    source = record(artifact.manifest, "source")
    statics, sizes = record(source, "set"), record(source, "size")
    with as_written():
        if not records(source, "files"):
            raise damaged("it keeps no source")
        files = {text(r, "path"): artifact.payload(text(r, "payload")).decode() for r in records(source, "files")}
    settings = Settings(
        text(source, "seed"),
        tuple((name, text(statics, name)) for name in statics),
        tuple((name, integer(sizes, name)) for name in sizes),
        weight_shapes=tuple((name, tuple(array.shape)) for name, array in sorted(stored_weights(artifact).items())),
        knobs=tuple((name, tuple(map(float, values))) for name, values in _lists(source, "knobs")),
        arms=tuple((name, tuple(map(int, values))) for name, values in _lists(source, "arms")),
    )
    return load_texts(files, settings)


def _lists(source: Mapping[str, Json], key: str) -> Iterator[tuple[str, list[float]]]:
    """Lists of numbers by name; none where the artifact settled nothing."""
    for name, values in record(source, key).items() if key in source else ():
        if not isinstance(values, list) or not all(isinstance(v, int | float) for v in values):
            raise damaged(f"{key!r} of the source holds something else than numbers")
        yield name, cast(list[float], values)


def stored_weights(artifact: Artifact) -> dict[str, Array]:
    """The weights of an artifact by state-dict key. Raises UserError CS0831."""
    data = artifact.payload(text(record(artifact.manifest, "weights"), "payload"))
    with as_written(SafetensorError):
        return dict(load_safetensors(data))
