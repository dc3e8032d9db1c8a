"""Altered artifacts: each is refused with a code before anything of it is used, and none ends the process."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cogseedc
from cogseedc.diagnostics import UserError
from cogseedc.driver.inspect import inspect_artifact, program_of_artifact
from cogseedc.publish import MANIFEST, sealed
from tests.trust import sample

HANGS = 30.0
"""Seconds after which a reader counts as one that hangs."""
HEADER = 512
"""Bytes at the beginning of each file of which every one is changed."""
DAMAGE = {"CS0830", "CS0831", "CS0832", "CS0833", "CS0834"}
FORGED = {*DAMAGE, "CS0835", "CS0836", "CS0838"}
"""What an artifact may be refused for whose hashes somebody made fit."""

Harm = Callable[[Path], object]


def changed(file: str, at: int, bits: int) -> Harm:
    def harm(folder: Path) -> None:
        data = bytearray((folder / file).read_bytes())
        data[at] ^= bits
        (folder / file).write_bytes(data)

    return harm


def cut(file: str, size: int) -> Harm:
    return lambda folder: os.truncate(folder / file, size)


def longer(file: str, more: bytes) -> Harm:
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes() + more)


def replaced(file: str, data: bytes) -> Harm:
    return lambda folder: (folder / file).write_bytes(data)


def linked(file: str) -> Harm:
    def harm(folder: Path) -> None:
        place = folder / file
        there = folder.parent / f"{folder.name}-outside"
        place.rename(there)
        place.symlink_to(there)

    return harm


def manifest(change: Callable[[dict[str, Any]], object], seal: bool = False) -> Harm:
    """An edit of the manifest; with `seal`, its hash is made to fit."""

    def harm(folder: Path) -> None:
        data = json.loads((folder / MANIFEST).read_bytes())
        change(data)
        text = sealed(data) if seal else json.dumps(data, indent=2, sort_keys=True).encode() + b"\n"
        (folder / MANIFEST).write_bytes(text)

    return harm


def twice(folder: Path) -> None:
    """A key that stands twice: readers of JSON take the last one."""
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace('"schema": 1', '"schema": 1,\n  "schema": 1', 1))


def reordered(folder: Path) -> None:
    data = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_bytes(json.dumps(dict(reversed(data.items())), indent=2).encode() + b"\n")


def harms(whole: Path, other: Path, rng: random.Random) -> Iterator[tuple[str, Harm]]:
    """Without end: first what is harmed by name, then every byte of every header, then anything at random."""
    here = [name for name in sample.files(whole) if not name.endswith("/")]
    size = {name: (whole / name).stat().st_size for name in here}
    there = {Path(name).name: data for name, data in sample.files(other).items() if not name.endswith("/")}
    yield "a key twice", twice
    yield "keys in another order", reordered
    yield "a newer layout", manifest(lambda m: m.update(schema=2))
    yield "a much newer layout, sealed", manifest(lambda m: m.update(schema=10**6), seal=True)
    yield "no layout", manifest(lambda m: m.update(schema=0))
    yield "another version", manifest(lambda m: m["tool"].update(version="99.0.0"))
    yield "another default", manifest(lambda m: m["interface"]["knobs"][0].update(default=[0.75]))
    yield "swapped payloads", manifest(_swap, seal=True)
    for file in here:
        name = Path(file).name
        yield f"{name} missing", lambda folder, f=file: (folder / f).unlink()
        yield f"{name} empty", cut(file, 0)
        yield f"{name} without its last byte", cut(file, size[file] - 1)
        yield f"{name} with one more byte", longer(file, b"\0")
        yield f"{name} is a link", linked(file)
        yield f"{name} is a folder", lambda folder, f=file: ((folder / f).unlink(), (folder / f).mkdir())
        yield f"{name} is a pipe", lambda folder, f=file: ((folder / f).unlink(), os.mkfifo(folder / f))
        if there[name] != (whole / file).read_bytes():
            yield f"{name} of another artifact", replaced(file, there[name])
    for file in here:
        for at in range(min(HEADER, size[file])):
            yield f"byte {at} of {Path(file).name}", changed(file, at, rng.randint(1, 255))
    while True:
        file = rng.choice(here)
        at = rng.randrange(size[file])
        yield f"bit of byte {at} of {Path(file).name}", changed(file, at, 1 << rng.randrange(8))


def _swap(data: dict[str, Any]) -> None:
    one, other = data["payloads"]["weights.safetensors"], data["payloads"]["costs.json"]
    one["path"], other["path"] = other["path"], one["path"]


def forgeries(whole: Path, rng: random.Random) -> Iterator[tuple[str, Harm]]:
    """Manifests with something else somewhere in them, sealed again: they may open, or are refused with a code."""
    places = list(_places(json.loads((whole / MANIFEST).read_bytes()), ()))
    while True:
        place = rng.choice(places)
        value = rng.choice((None, True, 0, -1, 10**30, 0.5, "", "x", "N", [], [0], {}, {"a": 1}, "../x", "1/0"))
        yield f"{'.'.join(map(str, place))} = {value!r}", manifest(lambda m, p=place, v=value: _put(m, p, v), seal=True)
        yield f"no {'.'.join(map(str, place))}", manifest(lambda m, p=place: _drop(m, p), seal=True)


def _places(value: object, above: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*above, key)
        yield from _places(inner, (*above, key))


def _put(data: Any, place: tuple[str | int, ...], value: object) -> None:
    for key in place[:-1]:
        data = data[key]
    data[place[-1]] = value


def _drop(data: Any, place: tuple[str | int, ...]) -> None:
    for key in place[:-1]:
        data = data[key]
    del data[place[-1]]


def tampering(count: int, seed: int) -> str:
    """So many altered artifacts, of both backends in turn: none is opened."""
    rng = random.Random(seed)
    codes: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        ways = [harms(sample.built(place, t), sample.built(place, t, 1), rng) for t in sample.TARGETS]
        for turn in range(count):
            target = sample.TARGETS[turn % 2]
            what, harm = next(ways[turn % 2])
            folder = _copy(place / f"{target}-0", place / "harmed")
            harm(folder)
            begin = time.process_time()
            found = {reader.__name__: _code(reader, folder) for reader in (_open, inspect_artifact)}
            slowest = max(slowest, time.process_time() - begin)
            assert slowest < HANGS, f"{what}: {slowest:.1f} s"
            for reader, code in found.items():
                assert code in DAMAGE, f"{target}, {what}: {reader} gives {code}"
            codes[str(found["_open"])] += 1
    return f"{count} altered artifacts of {' and '.join(sample.TARGETS)}, all refused: {_listed(codes)}; the slowest in {slowest:.2f} s"


def forging(count: int, seed: int) -> str:
    """So many manifests that were edited and sealed again: opened, or refused with a code."""
    rng = random.Random(seed)
    codes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        ways = [forgeries(sample.built(place, target), rng) for target in sample.TARGETS]
        for turn in range(count):
            target = sample.TARGETS[turn % 2]
            what, harm = next(ways[turn % 2])
            folder = _copy(place / f"{target}-0", place / "harmed")
            harm(folder)
            for reader in (_open, inspect_artifact, program_of_artifact):
                try:
                    code = _code(reader, folder)
                except Exception as error:
                    raise AssertionError(f"{target}, {what}: {reader.__name__} raised {error!r}") from error
                codes[code or "taken"] += 1
    return f"{count} forged manifests of {' and '.join(sample.TARGETS)}, read in 3 ways, no crash: {_listed(codes)}"


def _open(folder: str) -> None:
    cogseedc.open(folder, threads=1)(x=sample.X, trace=True)


def _copy(whole: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(whole, folder))


def _code(reader: Callable[[str], object], folder: Path) -> str | None:
    try:
        reader(str(folder))
    except UserError as error:
        return error.diagnostics[0].code
    return None


def _listed(codes: Counter[str]) -> str:
    return ", ".join(f"{code} {count}" for code, count in sorted(codes.items()))
