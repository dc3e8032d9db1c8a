"""The same bytes whatever the machine: hash seeds, locales, time zones, folders, and builds one after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import cogseedc
from tests.fuzz.generator import generate
from tests.fuzz.placing import files

ROOT = Path(__file__).parents[2]
LOCALES = ("C", "C.UTF-8")
ZONES = ("UTC", "Pacific/Chatham")
FOLDERS = ("here", "anderswo/wö rter")
HASH_SEEDS = 8
TARGETS = ("torch-cpu", "onnx-cpu", "onnx-edge")


def programs(count: int, seed: int) -> Iterator[str]:
    """Examples, then random programs."""
    examples = sorted((ROOT / "examples").glob("*.seed"))[: count // 2]
    yield from (path.read_text(encoding="utf-8") for path in examples)
    yield from (generate(seed + i) for i in range(count - len(examples)))


def machines() -> list[dict[str, str]]:
    """Settings of processes: every hash seed, with each pair of locale and folder, and time zones in turn."""
    found = []
    for i, (hash_seed, language, folder) in enumerate(product(range(HASH_SEEDS), LOCALES, FOLDERS)):
        names = {"PYTHONHASHSEED": str(hash_seed), "LC_ALL": language, "LANG": language, "TZ": ZONES[i // 2 % 2]}
        found.append({**names, "FOLDER": folder, **({"SOURCE_DATE_EPOCH": "0"} if i % 3 else {})})
    return found


def determinism(count: int, seed: int, most: int = 1000) -> str:
    """So many programs for all CPU targets, on `most` of the machines; each process builds everything twice."""
    chosen = machines()[:: max(1, len(machines()) // most)][:most]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for i, text in enumerate(programs(count, seed)):
            (place / f"p{i}").mkdir()
            for file, part in files(text).items():
                (place / f"p{i}" / file).write_text(part, encoding="utf-8")
        found = [_elsewhere(place, settings, i) for i, settings in enumerate(chosen)]
        for settings, digests in zip(chosen, found, strict=True):
            differing = [key for key in digests if digests[key] != found[0][key]]
            assert not differing, f"{settings}: {differing[:5]} differ"
    count_of_files = len(found[0])
    return f"{count} programs, {', '.join(TARGETS)}: one hash for each of {count_of_files} files over {len(chosen)} machines x 2 builds"


def _elsewhere(place: Path, settings: dict[str, str], turn: int) -> dict[str, str]:
    folder = place / f"machine{turn}" / settings["FOLDER"]
    folder.mkdir(parents=True)
    env = {**os.environ, **settings, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-c", "from tests.trust.determinism import build_all; build_all()", str(place)]
    done = subprocess.run(call, cwd=folder, env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-3000:]
    digests: dict[str, str] = json.loads(done.stdout)
    return digests


def build_all() -> None:
    """What each process does: builds all programs twice, and prints the hash of each payload and manifest."""
    place, digests = Path(sys.argv[1]), {}
    for turn, path in enumerate([*sorted(place.glob("p*/net.seed"))] * 2):
        for target in TARGETS:
            folder = cogseedc.compile(path, target, f"{path.parent.name}-{target}-{turn}", rng=0)
            manifest = json.loads((folder / "cogseed.json").read_bytes())
            here = {name: entry["sha256"] for name, entry in manifest["payloads"].items()} | {
                "manifest": manifest["seal"]
            }
            for name, digest in here.items():
                key = f"{path.parent.name} {target} {name}"
                assert digests.setdefault(key, digest) == digest, f"{key} differs in a second build of one process"
    print(json.dumps(digests))
