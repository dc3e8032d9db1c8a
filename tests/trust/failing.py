"""Writing on a machine that fails: each operation on files in turn, with each error. Old artifact or new, and a code."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cogseedc import publish
from cogseedc.diagnostics import UserError
from cogseedc.driver import compile as driver
from cogseedc.driver.artifact import Artifact
from tests.trust import sample

OPERATIONS = ("open", "write", "fsync", "replace", "mkdir", "unlink", "rmdir", "close", "fchmod", "listdir")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT)
MOST = 300


class FaultyOs:
    """`os`, but for the k-th operation on files, which fails, or writes a part of what it is given."""

    def __init__(self, fail_at: int, error: int, short: bool = False) -> None:
        self.count, self.fail_at, self.error, self.short = 0, fail_at, error, short

    def __getattr__(self, name: str) -> Any:
        real: Callable[..., Any] = getattr(os, name)
        if name not in OPERATIONS:
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count != self.fail_at:
                return real(*args, **kwargs)
            if self.short and name == "write":
                return real(args[0], args[1][: max(1, len(args[1]) // 2)])
            if name == "close":
                real(*args)
            raise OSError(self.error, os.strerror(self.error))

        return call


@contextmanager
def faulty(fail_at: int, error: int, short: bool = False) -> Iterator[FaultyOs]:
    """What cogseedc writes meanwhile goes through a `FaultyOs`."""
    found = FaultyOs(fail_at, error, short)
    before, publish.os = publish.os, found  # type: ignore[assignment]
    try:
        yield found
    finally:
        publish.os = before


def failing(count: int, seed: int) -> str:
    """The first `count` operations of a build, each failing with each error, over nothing and over an old artifact."""
    refused = operations = 0
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        old, new = (sample.made(sample.source(place, number)) for number in (0, 1))
        wanted = {
            number: sample.files(driver._publish(place / f"whole{number}", a)) for number, a in enumerate((old, new))
        }
        for error in ERRORS:
            for before in (False, True):
                for k in range(1, min(count, MOST) + 1):
                    folder = place / f"{error}-{before}-{k}"
                    if before:
                        driver._publish(folder, old)
                    with faulty(k, error) as machine:
                        codes = _codes(folder, new)
                    assert codes in ([], ["CS0905"])
                    refused += len(codes)
                    assert sample.whole(folder) is not None or not before, f"operation {k}: the old artifact is gone"
                    driver._publish(folder, new)
                    assert sample.files(folder) == wanted[1], f"operation {k}: leftovers"
                    if machine.count < k:
                        operations = k - 1
                        break
    return f"{refused} failing operations (up to {operations} in a build), each CS0905; old or new, no leftovers"


def _codes(folder: Path, made: Artifact) -> list[str]:
    """Publishes, and gives what it is refused for."""
    try:
        driver._publish(folder, made)
    except UserError as error:
        return [d.code for d in error.diagnostics]
    return []
