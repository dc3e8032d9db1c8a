"""Reads an artifact: its manifest, and payloads, none of which is used before its hash is checked. Runs nothing."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cogseedc.diagnostics.model import Diagnostic, UserError
from cogseedc.publish import MANIFEST, sealed

SCHEMA = 1
"""The newest layout of the manifest that is understood."""
_PATH = re.compile(r"([0-9a-f]{16})/([A-Za-z0-9_][A-Za-z0-9_.-]{0,126})")
_LARGEST_MANIFEST = 64 << 20

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True)
class Artifact:
    """A folder with a manifest that is understood. Payloads are read, and checked, one by one."""

    folder: Path
    manifest: Mapping[str, Json]

    def payload(self, name: str) -> bytes:
        """Content of a payload.

        Raises UserError: CS0831 damaged, CS0833 missing, CS0834 no regular file.
        """
        entry = record(record(self.manifest, "payloads"), name)
        path, digest, size = text(entry, "path"), text(entry, "sha256"), integer(entry, "size")
        match = _PATH.fullmatch(path)
        if match is None or match[2] != name or match[1] != digest[:16]:
            raise damaged(f"the path {path!r} of the payload {name!r} is not one that cogseedc writes")
        data = _read(self.folder, path.split("/"), size)
        if len(data) != size or sha256(data).hexdigest() != digest:
            raise damaged(f"{path} is not what was written: its size or its sha256 differs")
        return data

    def replaced(self) -> bool:
        """Whether the folder holds another artifact by now, so that payloads of this one may be gone."""
        try:
            return read(self.folder).manifest != self.manifest
        except UserError:
            return False

    def check(self) -> None:
        """Reads all payloads, to find damage. Raises as `payload` does."""
        for name in sorted(record(self.manifest, "payloads")):
            self.payload(name)


def read(path: str | os.PathLike[str]) -> Artifact:
    """The artifact in a folder (or at its manifest).

    Raises UserError: CS0830 no artifact, CS0831 damaged, CS0832 made by a newer version, CS0834 a link in the way.
    """
    folder = Path(path)
    if folder.name == MANIFEST:
        folder = folder.parent
    if not (folder / MANIFEST).exists() and not (folder / MANIFEST).is_symlink():
        help = "`cogseedc build net.seed --output folder` makes one"
        raise UserError(Diagnostic("CS0830", f"there is no artifact at {str(path)!r}: it has no {MANIFEST}", help=help))
    data = _read(folder, [MANIFEST], _LARGEST_MANIFEST)
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError):
        raise damaged(f"{MANIFEST} is not JSON") from None
    if not isinstance(manifest, dict):
        raise damaged(f"{MANIFEST} is not an object")
    schema = integer(manifest, "schema")
    if schema > SCHEMA:
        tool = manifest.get("tool")
        version = tool.get("version") if isinstance(tool, dict) else None
        message = f"the artifact has layout {schema} (cogseedc {version}); this version reads up to {SCHEMA}"
        raise UserError(Diagnostic("CS0832", message, help="update cogseedc, or build the artifact again"))
    if schema < 1:
        raise damaged(f"there is no layout {schema}")
    if not _is_sealed(manifest, data):
        raise damaged(f"{MANIFEST} is not what was written: its seal differs")
    return Artifact(folder, manifest)


def _is_sealed(manifest: dict[str, Json], data: bytes) -> bool:
    """Whether the text is exactly what is written for that content, seal included."""
    try:
        return sealed(manifest) == data
    except (ValueError, RecursionError):  # not numbers, or deeper than any that is written
        return False


@contextmanager
def as_written(*others: type[Exception]) -> Iterator[None]:
    """Makes CS0831 of what goes wrong where a part of an artifact is read that is sealed, but was not written by us."""
    wrong: tuple[type[Exception], ...] = (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        OverflowError,
        RecursionError,
        *others,
    )
    try:
        yield
    except wrong:
        raise damaged(f"{MANIFEST}, or what it refers to, does not say what it should") from None


def damaged(message: str) -> UserError:
    """CS0831."""
    return UserError(Diagnostic("CS0831", f"the artifact is damaged: {message}", help="build it again"))


def record(value: Mapping[str, Json], key: str) -> dict[str, Json]:
    """An object in the manifest. Raises UserError CS0831."""
    found = value.get(key)
    if not isinstance(found, dict):
        raise damaged(f"{MANIFEST} has no object {key!r}")
    return found


def records(value: Mapping[str, Json], key: str) -> list[dict[str, Json]]:
    """A list of objects in the manifest. Raises UserError CS0831."""
    found = value.get(key)
    if not isinstance(found, list):
        raise damaged(f"{MANIFEST} has no list {key!r}")
    items = [item for item in found if isinstance(item, dict)]
    if len(items) != len(found):
        raise damaged(f"{key!r} in {MANIFEST} holds something else than objects")
    return items


def text(value: Mapping[str, Json], key: str) -> str:
    """A string in the manifest. Raises UserError CS0831."""
    found = value.get(key)
    if not isinstance(found, str):
        raise damaged(f"{MANIFEST} has no string {key!r}")
    return found


def integer(value: Mapping[str, Json], key: str) -> int:
    """An integer in the manifest. Raises UserError CS0831."""
    found = value.get(key)
    if not isinstance(found, int) or isinstance(found, bool):
        raise damaged(f"{MANIFEST} has no integer {key!r}")
    return found


def _read(folder: Path, parts: list[str], limit: int) -> bytes:
    """At most `limit` + 1 bytes of a regular file, no link in the parts of its path."""
    where = "/".join(parts)
    descriptors: list[int] = []
    try:
        descriptors.append(os.open(folder, os.O_DIRECTORY))
        for part in parts[:-1]:
            flags = os.O_DIRECTORY | os.O_NOFOLLOW
            descriptors.append(os.open(part, flags, dir_fd=descriptors[-1]))
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptors.append(os.open(parts[-1], flags, dir_fd=descriptors[-1]))
        if not stat.S_ISREG(os.fstat(descriptors[-1]).st_mode):
            raise _no_file(where)
        with os.fdopen(descriptors.pop(), "rb") as file:
            return file.read(min(limit, os.fstat(file.fileno()).st_size) + 1)
    except FileNotFoundError:
        raise UserError(Diagnostic("CS0833", f"the artifact lacks {where}", help="build it again")) from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
            raise _no_file(where) from None
        raise damaged(f"{where} cannot be read: {error.strerror}") from None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _no_file(where: str) -> UserError:
    message = f"{where} in the artifact is a link, or no regular file"
    return UserError(Diagnostic("CS0834", message, help="copy artifacts with their files, not with links to them"))
