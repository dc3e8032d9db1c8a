"""Reading artifacts: which place, which layout, which damage; without a model in them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cogseedc.diagnostics import UserError
from cogseedc.publish import MANIFEST, publish, sealed
from cogseedc.runtime.artifact import as_written, integer, read, record, records, text

DATA = {"model.py": b"some model", "costs.json": b"{}"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return publish(tmp_path / "net", DATA, {"schema": 1, "tool": {"version": "7"}})


def said(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    [found] = caught.value.diagnostics
    return f"{found.code}: {found.message}"


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    described = json.loads((folder / MANIFEST).read_text())
    change(described)
    (folder / MANIFEST).write_bytes(sealed(described))


def payload(folder: Path) -> Path:
    [place] = folder.glob("*/model.py")
    return place


def test_an_artifact_is_its_folder_or_its_manifest(folder: Path) -> None:
    for place in (folder, folder / MANIFEST, str(folder)):
        found = read(place)
        assert {name: found.payload(name) for name in DATA} == DATA
        found.check()


def test_whether_it_was_replaced(folder: Path) -> None:
    found = read(folder)
    assert not found.replaced()
    publish(folder, DATA, {"schema": 1, "tool": {"version": "8"}})
    assert found.replaced()
    (folder / MANIFEST).unlink()
    assert not found.replaced(), "nothing has taken its place"


def no_folder(folder: Path) -> None:
    place = payload(folder).parent
    shutil.rmtree(place)
    place.write_text("a file")


@pytest.mark.parametrize(
    ("wanted", "harm"),
    [
        ("CS0830: there is no artifact at ", lambda f: (f / MANIFEST).unlink()),
        ("CS0831: the artifact is damaged: there is no layout 0", lambda f: edit(f, lambda m: m.update(schema=0))),
        ("CS0832: the artifact has layout 2 (cogseedc 7); this", lambda f: edit(f, lambda m: m.update(schema=2))),
        ("CS0832: the artifact has layout 2 (cogseedc None)", lambda f: edit(f, lambda m: m.update(schema=2, tool=7))),
        ("its seal differs", lambda f: (f / MANIFEST).write_bytes((f / MANIFEST).read_bytes() + b"\n")),
        ("its seal differs", lambda f: (f / MANIFEST).write_text('{"schema": 1, "x": NaN}')),
        ("cogseed.json is not JSON", lambda f: (f / MANIFEST).write_bytes(b"\xff")),
        ("cogseed.json is not an object", lambda f: (f / MANIFEST).write_text("[]")),
        ("CS0834", lambda f: ((f / MANIFEST).rename(f / "there"), (f / MANIFEST).symlink_to(f / "there"))),
        ("CS0834", lambda f: ((f / MANIFEST).unlink(), (f / MANIFEST).symlink_to(f / "nowhere"))),
        ("CS0834", lambda f: ((f / MANIFEST).unlink(), (f / MANIFEST).mkdir())),
    ],
)
def test_what_is_not_opened(folder: Path, wanted: str, harm: Callable[[Path], object]) -> None:
    harm(folder)
    assert wanted in said(lambda: read(folder))


@pytest.mark.parametrize(("length", "wanted"), [(64 << 20, "its seal differs"), ((64 << 20) + 2, "is not JSON")])
def test_how_much_of_a_manifest_is_read(folder: Path, length: int, wanted: str) -> None:
    (folder / MANIFEST).write_bytes(b'{"schema": 1'.ljust(length - 1) + b"}")
    assert said(lambda: read(folder)).endswith(wanted)


def linked(place: Path) -> None:
    place.rename(place.with_name("there"))
    place.symlink_to("there")


@pytest.mark.parametrize(
    ("wanted", "harm"),
    [
        ("its size or its sha256 differs", lambda f: payload(f).write_bytes(b"other model")),
        ("its size or its sha256 differs", lambda f: payload(f).write_bytes(b"same model")),
        ("its size or its sha256 differs", lambda f: payload(f).write_bytes(b"some model\n")),
        ("CS0833: the artifact lacks ", lambda f: payload(f).unlink()),
        ("CS0834", no_folder),
        ("CS0834", lambda f: linked(payload(f))),
        ("CS0834", lambda f: linked(payload(f).parent)),
    ],
)
def test_a_payload_that_is_not_what_was_written(folder: Path, wanted: str, harm: Callable[[Path], object]) -> None:
    found = read(folder)
    harm(folder)
    assert wanted in said(found.check)


@pytest.mark.parametrize(
    "entry",
    [
        {"path": "0123456789abcdef/other.py"},
        {"path": "0123456789abcdef/model.py"},
        {"path": "model.py"},
        {"size": "10"},
        {"sha256": 1},
    ],
)
def test_an_entry_that_is_not_one_of_ours(folder: Path, entry: dict[str, Any]) -> None:
    edit(folder, lambda m: m["payloads"]["model.py"].update(entry))
    assert said(lambda: read(folder).payload("model.py")).startswith("CS0831")


def test_a_file_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(folder)

    def refused(*arguments: object, **more: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    assert said(lambda: found.payload("model.py")).endswith("model.py cannot be read: Permission denied")


def test_parts_of_a_manifest() -> None:
    whole: dict[str, Any] = {"object": {}, "list": [{}], "mixed": [{}, 1], "text": "t", "number": 3, "yes": True}
    assert (record(whole, "object"), records(whole, "list"), text(whole, "text"), integer(whole, "number")) == (
        {},
        [{}],
        "t",
        3,
    )
    for read_part, keys in (
        (record, ("list", "none")), (records, ("object", "mixed", "none")), (text, ("number", "none")), (integer, ("text", "yes", "none")),
    ):  # fmt: skip
        for key in keys:
            assert said(lambda part=read_part, key=key: part(whole, key)).startswith("CS0831")


def test_what_was_not_written_by_us_is_damage() -> None:
    def raised(error: Exception, *others: type[Exception]) -> None:
        with as_written(*others):
            raise error

    for error in (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError):
        assert said(lambda error=error: raised(error("x"))).startswith("CS0831")
    assert said(lambda: raised(OSError(), OSError)).startswith("CS0831")
    with pytest.raises(OSError, match="disk"):
        raised(OSError("disk"))
