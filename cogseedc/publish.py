"""The only code that writes files: artifacts as content-addressed payloads with the manifest replaced last,
single files by an atomic replace. It knows nothing of what the bytes mean.

A reader follows the manifest only, so that it sees the old artifact or the new one, never a mix.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

MANIFEST = "cogseed.json"
SEAL = "seal"
"""Key of the manifest's own hash."""
_PAYLOAD_FOLDER = re.compile(r"[0-9a-f]{16}")
_TEMPORARY = re.compile(r"\.cogseed-[0-9]+\.tmp")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,126}")


class PublishError(OSError):
    """The place that should be written to is not one that may be written to."""


def canonical_json(value: object, indent: int | None = None) -> bytes:
    """The one spelling of a JSON value: sorted keys, ASCII, fixed separators, a newline at the end.

    Raises ValueError for NaN and infinities, TypeError for what JSON does not have.
    """
    separators = (",", ": ") if indent is not None else (",", ":")
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False, indent=indent, separators=separators)
    return text.encode("ascii") + b"\n"


def sealed(manifest: Mapping[str, object]) -> bytes:
    """A manifest in its one spelling, with the sha256 of all the rest of it as `seal`: what differs was altered.

    It finds damage and slips; whoever wants to can seal anything.
    """
    rest = {key: value for key, value in manifest.items() if key != SEAL}
    return canonical_json({**rest, SEAL: sha256(canonical_json(rest)).hexdigest()}, indent=2)


def publish(folder: str | Path, payloads: Mapping[str, bytes], manifest: Mapping[str, object]) -> Path:
    """Writes an artifact and returns its folder.

    Each payload lies at `<first 16 digits of its sha256>/<name>`; the manifest's entry `payloads` says for each name
    the path, the sha256 and the size in bytes. Replacing the manifest is the commit; payloads that nobody refers to
    are removed after it. Calls for one folder wait for each other.

    Raises PublishError when `folder` is a link, a file, or holds what is no artifact; OSError when writing fails, and
    then the old artifact is whole.
    """
    folder = Path(folder)
    entries = {name: _entry(name, data) for name, data in sorted(payloads.items())}
    content = sealed({**manifest, "payloads": entries})
    _make_folder(folder)
    with _locked(folder):
        _refuse_strangers(folder)
        for name, data in sorted(payloads.items()):
            _write_payload(folder, str(entries[name]["path"]), data)
        _replace(folder / MANIFEST, content, folder)
        _collect(folder, {str(entry["path"]).partition("/")[0] for entry in entries.values()})
    return folder


def write_file(path: str | Path, data: bytes) -> Path:
    """Writes one file atomically, keeping the permissions of the file that it replaces; makes missing folders.

    Calls for one folder wait for each other, and remove what killed ones left there.

    Raises PublishError when `path` is a link or no regular file, OSError when writing fails; an old file is then whole.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent):
        _replace(path, data, path.parent)
        _collect_temporaries(path.parent)
    return path


def make_folder(path: str | Path) -> Path:
    """Makes a folder that must not be there yet. Raises FileExistsError."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkdir(path)
    return path


def _entry(name: str, data: bytes) -> dict[str, object]:
    if not _NAME.fullmatch(name):
        raise PublishError(f"a payload cannot be named {name!r}")
    digest = sha256(data).hexdigest()
    return {"path": f"{digest[:16]}/{name}", "sha256": digest, "size": len(data)}


def _make_folder(folder: Path) -> None:
    if folder.is_symlink():
        raise PublishError(f"{folder} is a link; an artifact is not written through one")
    if folder.exists() and not folder.is_dir():
        raise PublishError(f"{folder} is a file, not a folder")
    folder.mkdir(parents=True, exist_ok=True)


def _refuse_strangers(folder: Path) -> None:
    """A folder with other things in it is somebody's work; only an artifact is written over."""
    if (folder / MANIFEST).exists():
        return
    for entry in sorted(folder.iterdir()):
        if not (_PAYLOAD_FOLDER.fullmatch(entry.name) or _TEMPORARY.fullmatch(entry.name)):
            raise PublishError(f"{folder} is not empty and is no artifact (it has {entry.name!r})")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_payload(folder: Path, path: str, data: bytes) -> None:
    place = folder / path
    if place.parent.is_symlink():
        raise PublishError(f"{place.parent} is a link; an artifact is not written through one")
    if not place.is_symlink() and place.is_file() and place.read_bytes() == data:
        return
    if not place.parent.is_dir():
        os.mkdir(place.parent)
    _replace(place, data, folder)
    _sync(folder)


def _replace(place: Path, data: bytes, folder: Path) -> None:
    """Puts `data` at `place` by way of a file in `folder`, which is on the same file system."""
    mode = _mode(place)
    temporary = folder / f".cogseed-{threading.get_native_id()}.tmp"
    with suppress(FileNotFoundError):
        os.unlink(temporary)  # a former thread with this id was killed
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    try:
        try:
            if mode is not None:
                os.fchmod(descriptor, mode)
            _write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, place)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync(place.parent)


def _mode(place: Path) -> int | None:
    """Permissions of the file that is replaced; None where there is none."""
    try:
        status = os.lstat(place)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        kind = "a link" if stat.S_ISLNK(status.st_mode) else "no regular file"
        raise PublishError(f"{place} is {kind}; it is not written over")
    return stat.S_IMODE(status.st_mode)


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _collect(folder: Path, kept: set[str]) -> None:
    """Removes payloads of former artifacts and what killed writers left. The new artifact is complete already."""
    _collect_temporaries(folder)
    for entry in sorted(folder.iterdir()):
        if _PAYLOAD_FOLDER.fullmatch(entry.name) and entry.name not in kept and not entry.is_symlink():
            for file in sorted(entry.iterdir()):
                os.unlink(file)
            os.rmdir(entry)


def _collect_temporaries(folder: Path) -> None:
    """Under the lock, no other writer has one. Those of another user, where they cannot be removed, stay."""
    for name in sorted(os.listdir(folder)):
        if _TEMPORARY.fullmatch(name):
            with suppress(PermissionError):
                os.unlink(folder / name)
