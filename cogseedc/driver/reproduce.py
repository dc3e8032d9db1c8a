"""Builds once more, in another process with another hash seed, locale, time zone and folder, and compares the bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import cogseedc
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.driver.compile import Request, compile_all
from cogseedc.driver.program import Settings
from cogseedc.driver.timing import Timing
from cogseedc.limits import Limits
from cogseedc.runtime import read
from cogseedc.runtime.artifact import record, text

_OTHER = {"PYTHONHASHSEED": "4242", "LC_ALL": "C", "TZ": "Pacific/Chatham", "SOURCE_DATE_EPOCH": "1"}


def check_reproducible(source: str | Path, artifacts: Mapping[str, Path], request: Request) -> None:
    """Compares artifacts, by target, with what the same source and request give elsewhere.

    The request's weights and calibration must be paths. Raises UserError CS0912 when a byte differs, CS0913 when
    the second build fails.
    """
    with tempfile.TemporaryDirectory(prefix="cogseedc-") as folder:
        places = {target: Path(folder) / target for target in artifacts}
        _build_elsewhere(source, places, request, folder)
        for target, artifact in artifacts.items():
            check_same(artifact, places[target])


def check_same(one: Path, other: Path) -> None:
    """Raises UserError CS0912 when two artifacts differ, and names the payloads that do."""
    digests = []
    for folder in (one, other):
        payloads = record(read(folder).manifest, "payloads")
        digests.append({name: text(record(payloads, name), "sha256") for name in payloads})
    first, second = digests
    differing = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    if differing or read(one).manifest != read(other).manifest:
        what = ", ".join(differing) or "the manifest"
        message = f"a second build of {str(one)!r} gives other bytes: {what}"
        raise UserError(Diagnostic("CS0912", message, help="please report it, with the program"))


def _build_elsewhere(source: str | Path, places: Mapping[str, Path], request: Request, folder: str) -> None:
    wanted = {
        "source": str(Path(source).absolute()),
        "places": {target: str(place) for target, place in places.items()},
        "request": {
            **asdict(request),
            "weights": _absolute(request.weights),
            "calibration": _absolute(request.calibration),
        },
    }
    roots = [str(Path(cogseedc.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    call = [sys.executable, "-c", "from cogseedc.driver.reproduce import build_again; build_again()"]
    done = subprocess.run(
        call, input=json.dumps(wanted).encode(), cwd=folder, capture_output=True, check=False,
        env={**os.environ, **_OTHER, "PYTHONPATH": os.pathsep.join(roots)},
    )  # fmt: skip
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise UserError(Diagnostic("CS0913", f"the second build failed: {last[:300]}"))


def _absolute(path: object) -> str | None:
    return None if path is None else str(Path(str(path)).absolute())


def build_again() -> None:
    """What the other process does: builds what stdin says."""
    wanted = json.load(sys.stdin)
    given, settings = wanted["request"], wanted["request"]["settings"]
    settings = Settings(
        settings["seed"],
        tuple((name, value) for name, value in settings["statics"]),
        tuple((name, size) for name, size in settings["sizes"]),
        Limits(**settings["limits"]),
    )
    places = {target: Path(place) for target, place in wanted["places"].items()}
    compile_all(wanted["source"], places, Request(**{**given, "settings": settings}), Timing())
