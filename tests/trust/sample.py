"""Small programs and their artifacts, which faults are tried on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import cogseedc
from cogseedc.driver.artifact import Artifact, artifact
from cogseedc.driver.compile import Request, lowered, prepared
from cogseedc.driver.timing import Timing
from cogseedc.runtime import read

TARGETS = ("torch-cpu", "onnx-cpu")
X = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)


def text(number: int = 0) -> str:
    """A program with an exit, a gate and a knob; each number gives another one."""
    return f"""\
## Program {number}.
export seed Net {{
    in  x: f32[N, D=4]
    out y: f32[N, D]
    knob tau = 0.5 in 0 .. 1
    exit early {{ y = linear[4](x) }} when confidence(x) >= tau
    gate g over N = mean[over=D](x) > 0.{number}
    y = when g {{ linear[4](tanh(x)) }} else {{ x * {number + 2} }}
}}
"""


def source(folder: Path, number: int = 0) -> Path:
    """The program in a file; all are named alike, since names are part of an artifact."""
    place = folder / f"program{number}" / "net.seed"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text(number))
    return place


def built(folder: Path, target: str = "onnx-cpu", number: int = 0) -> Path:
    """The artifact of a program, in a folder of its own."""
    return cogseedc.compile(source(folder, number), target, folder / f"{target}-{number}", rng=0)


def made(path: Path, target: str = "onnx-cpu") -> Artifact:
    """The same, in memory."""
    request = Request(rng=0)
    program, weights = prepared(path, request, Timing())
    return artifact(program, weights, lowered(program, weights, target, request, Timing()))


def files(folder: Path) -> dict[str, bytes]:
    """All that lies in a folder, by relative path; folders end in a slash."""
    found: dict[str, bytes] = {}
    for place, inner, names in os.walk(folder):
        here = Path(place).relative_to(folder)
        found |= {f"{here / name}/": b"" for name in inner}
        found |= {str(here / name): (Path(place) / name).read_bytes() for name in names}
    return found


def whole(folder: Path) -> Mapping[str, object] | None:
    """The manifest of the artifact in a folder, all of which is as it was written; None where there is none."""
    if not (folder / "cogseed.json").exists():
        return None
    found = read(folder)
    found.check()
    return found.manifest
