"""Atomic writing: a reader sees the old artifact or the new one, whatever fails and whenever."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

import pytest

from cogseedc import publish as module
from cogseedc.publish import MANIFEST, PublishError, canonical_json, make_folder, publish, write_file
from tests.trust.failing import FaultyOs

OLD = {"model.py": b"old model\n" * 50, "weights.safetensors": b"same"}
NEW = {"model.py": b"new model\n" * 90, "weights.safetensors": b"same", "README.md": b""}


def read(folder: Path) -> dict[str, bytes]:
    """What a reader sees; fails when the manifest and the payloads disagree."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    found = {}
    for name, entry in manifest["payloads"].items():
        data = (folder / entry["path"]).read_bytes()
        assert sha256(data).hexdigest() == entry["sha256"]
        assert len(data) == entry["size"]
        found[name] = data
    return found


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("before", [False, True])
def test_each_failing_call_leaves_old_or_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, before: bool
) -> None:
    for k in range(1, 200):
        folder = tmp_path / str(k)
        if before:
            publish(folder, OLD, {"turn": "old"})
        faulty = FaultyOs(k, error)
        with monkeypatch.context() as patch:
            patch.setattr(module, "os", faulty)
            try:
                publish(folder, NEW, {"turn": "new"})
                finished = True
            except OSError:
                finished = False
        if (folder / MANIFEST).exists():
            assert read(folder) in (OLD, NEW)
        else:
            assert not before
        publish(folder, NEW, {"turn": "new"})
        assert read(folder) == NEW
        assert not list(folder.glob(".*")), "a temporary file is left"
        assert len(list(folder.iterdir())) == 1 + len(NEW)
        if finished and faulty.count < k:
            return
    raise AssertionError("publishing never ended without a fault")


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in range(1, 60):
        monkeypatch.setattr(module, "os", FaultyOs(k, 0, short=True))
        try:
            publish(tmp_path / str(k), NEW, {})
        except OSError:
            continue
        assert read(tmp_path / str(k)) == NEW


def test_same_input_gives_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        publish(tmp_path / name, dict(reversed(NEW.items())) if name == "b" else NEW, {"z": 1, "a": [1.5, "ü"]})
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path / "b") for p in (tmp_path / "b").rglob("*") if p.is_file())
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_manifest_as_it_lies_there(tmp_path: Path) -> None:
    folder = publish(tmp_path / "new" / "net", {"a": b""}, {"schema": 1})
    empty, seal = sha256(b"").hexdigest(), json.loads((folder / MANIFEST).read_bytes())["seal"]
    assert (folder / MANIFEST).read_text() == (
        f'{{\n  "payloads": {{\n    "a": {{\n      "path": "{empty[:16]}/a",\n      "sha256": "{empty}",\n      "size": 0\n'
        f'    }}\n  }},\n  "schema": 1,\n  "seal": "{seal}"\n}}\n'
    )


def test_old_payloads_go(tmp_path: Path) -> None:
    publish(tmp_path / "x", OLD, {})
    (tmp_path / "x" / "notes.txt").write_text("mine")
    publish(tmp_path / "x", NEW, {})
    names = {p.name for p in (tmp_path / "x").iterdir()}
    assert names == {MANIFEST, "notes.txt", *(sha256(d).hexdigest()[:16] for d in NEW.values())}


def test_damaged_payload_is_written_again(tmp_path: Path) -> None:
    publish(tmp_path / "x", OLD, {})
    entry = json.loads((tmp_path / "x" / MANIFEST).read_bytes())["payloads"]["model.py"]
    (tmp_path / "x" / entry["path"]).write_bytes(b"damaged")
    publish(tmp_path / "x", OLD, {})
    assert read(tmp_path / "x") == OLD


def test_links_files_and_strangers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    for name in ("link", "file", "full"):
        with pytest.raises(PublishError):
            publish(tmp_path / name, OLD, {})
    assert not list((tmp_path / "real").iterdir())
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.tex"]


def test_a_link_at_a_payload_or_manifest_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = publish(tmp_path / "x", OLD, {})
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).symlink_to(victim)
    with pytest.raises(PublishError):
        publish(folder, NEW, {})
    assert victim.read_text() == "mine"


def test_a_link_at_a_payloads_folder_is_refused(tmp_path: Path) -> None:
    folder = publish(tmp_path / "x", OLD, {})
    entry = json.loads((folder / MANIFEST).read_bytes())["payloads"]["model.py"]
    place = (folder / entry["path"]).parent
    place.rename(tmp_path / "there")
    place.symlink_to(tmp_path / "there")
    with pytest.raises(PublishError, match="is a link"):
        publish(folder, OLD, {})
    publish(folder, {"other": b""}, {})
    assert place.is_symlink(), "what is no folder of ours stays"
    assert (tmp_path / "there" / "model.py").read_bytes() == OLD["model.py"]


def test_what_killed_writers_left_is_no_stranger_and_goes(tmp_path: Path) -> None:
    (tmp_path / "x" / ("0" * 16)).mkdir(parents=True)
    (tmp_path / "x" / ".cogseed-1.tmp").write_bytes(b"")
    publish(tmp_path / "x", OLD, {})
    assert len(list((tmp_path / "x").iterdir())) == 1 + len(OLD)


def test_what_somebody_else_left_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".cogseed-1.tmp").write_bytes(b"")
    unlink = os.unlink

    def refused(path: str | Path) -> None:
        if Path(path).name == ".cogseed-1.tmp":
            raise PermissionError(path)
        unlink(path)

    monkeypatch.setattr(module.os, "unlink", refused)
    write_file(tmp_path / "x", b"one")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".cogseed-1.tmp", "x"]


def test_a_payload_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    folder = publish(tmp_path / "x", OLD, {})
    before = {path: path.stat().st_ino for path in folder.rglob("*") if path.is_file()}
    publish(folder, OLD, {})
    kept = {path.name for path, inode in before.items() if path.stat().st_ino == inode}
    assert kept == set(OLD), "the manifest is what a publication replaces"


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a\nb", "x" * 200])
def test_payload_names_are_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(PublishError):
        publish(tmp_path / "x", {name: b""}, {})


def _race(folder: str, turn: int) -> None:
    for i in range(20):
        publish(folder, {"model.py": f"{turn} {i}".encode() * 100}, {"turn": turn})


def test_many_writers_of_one_folder(tmp_path: Path) -> None:
    workers = [get_context("spawn").Process(target=_race, args=(str(tmp_path / "x"), n)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0, 0, 0, 0]
    assert read(tmp_path / "x")["model.py"].split()[0] in {b"0", b"1", b"2", b"3"}
    assert len(list((tmp_path / "x").iterdir())) == 2


def test_killed_writers_leave_a_whole_artifact(tmp_path: Path) -> None:
    folder = publish(tmp_path / "x", {"a": b"0" * 4096, "b": b"0" * 4096}, {})
    script = (
        "import sys\nfrom cogseedc.publish import publish\n"
        "n = 0\nwhile True:\n    n += 1\n"
        "    publish(sys.argv[1], {'a': str(n).encode() * 4096, 'b': str(n).encode() * 4096}, {})\n"
        "    print(n, flush=True)\n"
    )
    for turn in range(8):
        with subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(0.003 * turn)
            child.send_signal(signal.SIGKILL)
        found = read(folder)
        assert found["a"] == found["b"]


def umask() -> int:
    os.umask(found := os.umask(0))
    return found


def test_write_file(tmp_path: Path) -> None:
    path = write_file(tmp_path / "new" / "more" / "x.html", b"one")
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()
    write_file(path, b"one")  # its folder is there by now
    path.chmod(0o600)
    write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(PublishError):
        write_file(tmp_path / "link", b"three")
    with pytest.raises(PublishError):
        write_file(tmp_path / "new", b"a folder")


def test_make_folder_takes_only_new_ones(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "x" / "b")
    make_folder(tmp_path / "a" / "b")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "a" / "b")


def test_canonical_json() -> None:
    assert canonical_json({"b": 1, "a": [0.1, "é"]}) == b'{"a":[0.1,"\\u00e9"],"b":1}\n'
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))
