"""Work in processes that are forked from this one, so that what one does to itself no other one sees."""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection, Pipe, wait
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")
MEMORY = 12 << 30


class Broken(Exception):
    """What a process says that could not do its work."""


def forked(works: Mapping[K, Callable[[], T]], jobs: int) -> Iterator[tuple[K, T | Broken | None]]:
    """Does each work in a process of its own, so many at a time, in the order in which they end; None of one that died."""
    waiting = list(works.items())[::-1]
    running: dict[Connection, tuple[K, int, str]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            key, work = waiting.pop()
            here, there = Pipe(duplex=False)
            folder = tempfile.mkdtemp(prefix="cogseedc-mutant-")
            sys.stdout.flush()
            pid = os.fork()
            if not pid:
                _child(work, there, folder)
            there.close()
            running[here] = key, pid, folder
        for connection in wait(list(running)):
            assert isinstance(connection, Connection)
            key, pid, folder = running.pop(connection)
            try:
                result = connection.recv()
            except EOFError:
                result = None
            connection.close()
            os.waitpid(pid, 0)
            shutil.rmtree(folder, ignore_errors=True)
            yield key, result


def attempted(work: Callable[[], T]) -> T | Broken:
    """What a work gives, or what went wrong."""
    try:
        return work()
    except Exception:
        return Broken(traceback.format_exc())


def _child(work: Callable[[], object], there: Connection, folder: str) -> None:
    """Never returns: what comes after a fork is the parent's."""
    try:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nothing, number)
        there.send(attempted(work))
    finally:
        os._exit(0)
