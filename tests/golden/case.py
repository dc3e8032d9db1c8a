"""One golden error: a source with its command, or a .toml file with the steps that lead to it.

A source's first line is a comment with the command that it tests; `# status 0` behind it stands for what is only noted.
A .toml file has: `files` (texts by name), `steps` (each a command, or Python behind `python:`), `status`, and, where a
message ends in words of another program, `cut`: in each line nothing behind this text is compared; `lines`: nor is any
line after so many.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import cogseedc
from cogseedc.cli import report
from cogseedc.cli.main import run
from cogseedc.cli.state import State
from cogseedc.diagnostics import UserError
from cogseedc.publish import publish

SMALL = """\
export seed Small[k: int = 2] {
    in  x: f32[N, D=4]
    out y: f32[N, K=k]
    knob tau = 0.5 in 0 .. 1
    exit easy { y = x |> linear[K=k] } when confidence(y) >= tau
    y = x |> linear[8] |> relu |> linear[K=k]
}
"""
"""What the steps find as small.seed."""
_HASH = re.compile(r"\b[0-9a-f]{16}/")
"""Folders of payloads are named after their content."""


@dataclass(frozen=True)
class Case:
    """What is done, and the status that its last step ends with."""

    path: Path
    steps: tuple[str, ...]
    status: int = 1
    files: Mapping[str, str] = field(default_factory=dict)
    stream: str = "stderr"
    cut: str = ""
    lines: int = 0

    @property
    def code(self) -> str:
        return self.path.stem.split("_")[0]

    def shown(self, out: str, err: str) -> str:
        """The text that is compared."""
        text = _HASH.sub("<hash>/", out if self.stream == "stdout" else err)
        text = text.replace(f"cogseedc {cogseedc.__version__}", "cogseedc <version>")
        if not (self.cut or self.lines):
            return text
        lines = (line.partition(self.cut or "\n") for line in text.splitlines()[: self.lines or None])
        return "".join(f"{before}{sign}\n" for before, sign, _ in lines)


def read(path: Path) -> Case:
    """A case from its file."""
    if path.suffix == ".toml":
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return Case(path, tuple(table.pop("steps")), **table)
    first = path.read_bytes().split(b"\n", 1)[0].decode()
    assert first.startswith("# cogseedc "), "the first line of a golden file is its command"
    noted = re.search(r"# status (\d+)$", first)
    return Case(path, (shlex.join(shlex.split(first[2:], comments=True)),), int(noted[1]) if noted else 1)


def perform(step: str) -> int:
    """Runs one step in the current folder and gives its exit status."""
    kind, _, code = step.partition(":")
    if kind != "python":
        return run(shlex.split(step)[1:])
    names: dict[str, Any] = {"cogseedc": cogseedc, "np": np, "Path": Path, "json": json, "republish": republish}
    try:
        exec(code.strip(), names)
    except UserError as error:
        report.show(error.diagnostics, State())
        return report.status(error.diagnostics)
    finally:
        sys.stdout.flush()
    return 0


def republish(folder: str, **changed: object) -> None:
    """Publishes an artifact anew with other bytes in some payloads (names without ending), its hashes right."""
    manifest = json.loads(Path(folder, "cogseed.json").read_bytes())
    payloads = {n: Path(folder, entry["path"]).read_bytes() for n, entry in manifest["payloads"].items()}
    for name in payloads:
        new = changed.get(Path(name).stem)
        if isinstance(new, bytes):
            payloads[name] = new
    publish(folder, payloads, manifest)
