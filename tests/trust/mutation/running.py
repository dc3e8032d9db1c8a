"""Runs tests one by one, in processes: without a change, to see which lines each one runs, and with one.

Both happen where pytest would run what it has collected, so that collecting is done once.
"""

from __future__ import annotations

import ast
import faulthandler
import functools
import hashlib
import importlib
import itertools
import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import coverage
import pytest
import torch

from tests.trust.mutation.areas import AREAS, PACKAGE, ROOT
from tests.trust.mutation.changes import Mutant
from tests.trust.mutation.processes import Broken, attempted, forked
from tests.trust.mutation.swapping import apply

STORE = ROOT / "build" / "mutants" / "lines.pickle"
"""What was seen of tests, by what the compiler and their folder were then."""
_MEASURED = sorted({str(PACKAGE / file) for area in AREAS.values() for file in area.files})
SLOW = 20.0
"""Seconds that a test of which nothing is known may take."""
Lines = dict[str, int]
"""Which lines of each file were run: bit n is line n."""


@dataclass(frozen=True)
class Seen:
    """What a test does without a change; seconds are of processor time, with the tracer."""

    fine: bool
    seconds: float
    lines: Lines


DEAD = Seen(False, 0.0, {})
"""A test that ends its process."""


@dataclass(frozen=True)
class Survey:
    """What is known of the tests of an area, by node id; and the lines that are run when they are imported."""

    tests: dict[str, Seen]
    imported: Lines

    def frozen(self, mutant: Mutant) -> bool:
        """Whether the import has run what is changed, so that it has to be imported anew."""
        return not mutant.lines or bool(mutant.lines & self.imported.get(mutant.file, 0))

    def queue(self, mutant: Mutant, patience: float) -> list[str]:
        """The tests that may see a change, quick ones first, until the patience (seconds) is over.

        Where an import runs the line that may be any test: those that run other lines of its file are first.
        """
        fine = {test: seen for test, seen in self.tests.items() if seen.fine}
        if self.frozen(mutant):
            order = sorted(fine, key=lambda test: (mutant.file not in fine[test].lines, fine[test].seconds))
        else:
            able = (test for test, seen in fine.items() if seen.lines.get(mutant.file, 0) & mutant.lines)
            order = sorted(able, key=lambda test: fine[test].seconds)
        taken: list[str] = []
        for test in order:
            patience -= fine[test].seconds
            if taken and patience < 0:
                break
            taken.append(test)
        return taken


@dataclass(eq=False)
class Session:
    """Tests that pytest has collected, and what their import has run; a plugin in the place of pytest's own loop over them."""

    work: Callable[[Session], object]
    tracer: coverage.Coverage
    imported: Lines = field(default_factory=dict)
    items: dict[str, pytest.Item] = field(default_factory=dict)
    failures: int = 0
    result: object = None

    def pytest_configure(self) -> None:
        from hypothesis import settings  # not before pytest, which rewrites it

        settings.register_profile("mutants", database=None, derandomize=True)  # no change leaves anything to others
        settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.imported = _stopped(self.tracer)
        if not session.testsfailed:  # what cannot be imported
            self.items = {item.nodeid: item for item in session.items}
            self.result = attempted(lambda: self.work(self))  # pytest would print what is raised
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failures += report.failed

    def passes(self, test: str, seconds: float) -> bool:
        """Runs one test; a process that takes longer dies of it."""
        before = self.failures
        with open(os.devnull, "w") as nowhere:
            faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
            self.items[test].ihook.pytest_runtest_protocol(item=self.items[test], nextitem=None)
            faulthandler.cancel_dump_traceback_later()
        return self.failures == before

    def killer(self, queue: Sequence[tuple[str, float]]) -> str | None:
        """The first test of a queue that fails, each with the seconds that it takes else; None where all pass."""
        return next((test for test, seconds in queue if not self.passes(test, 30 + 20 * seconds)), None)

    def survey(self, jobs: int) -> Survey:
        """Runs each test, most of them alone, and remembers what it does."""
        known: dict[str, tuple[str, Seen]] = pickle.loads(STORE.read_bytes()) if STORE.exists() else {}
        keys = {test: _key(item.path.parent) for test, item in self.items.items()}
        unknown = [test for test in keys if test not in known or known[test][0] != keys[test]]
        works = {group: functools.partial(self._seen, group) for group in _groups(unknown)}
        for group, found in forked(works, jobs):
            if isinstance(found, Broken):
                raise found
            known |= {test: (keys[test], seen) for test, seen in zip(group, found or [DEAD] * len(group), strict=True)}
            _store(known)
        _store(known)
        return Survey({test: known[test][1] for test in keys}, self.imported)

    def _seen(self, group: Sequence[str]) -> list[Seen]:
        """What tests do one after the other; as an earlier one may leave values to a later one, all share their lines."""
        tracer, found = _started(), list[tuple[bool, float]]()
        for test in group:
            begin = os.times()
            fine = self.passes(test, 600)
            found.append((fine, sum(os.times()[:4]) - sum(begin[:4])))
        lines = _stopped(tracer)
        return [Seen(fine, seconds, lines) for fine, seconds in found]


def _groups(tests: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Some cases of one function at a time: where there are hundreds, each is short."""
    for _, found in itertools.groupby(tests, key=lambda test: test.partition("[")[0]):
        cases = tuple(found)
        together = 1 + len(cases) // 100 * 7
        yield from (cases[start : start + together] for start in range(0, len(cases), together))


def preload() -> None:
    """Imports what takes long and is never changed, before processes are forked; each of them computes with one thread."""
    for heavy in ("numpy", "onnx", "onnxruntime"):
        importlib.import_module(heavy)
    torch.set_num_threads(1)


def session(tests: Sequence[str], work: Callable[[Session], object]) -> object:
    """What a function makes of tests that are collected in this process; None where they cannot be collected."""
    plugin = Session(work, _started())
    pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", "--no-header", *tests], plugins=[plugin])
    return plugin.result


def killer(file: str, tree: ast.Module, tests: Sequence[str], queue: Sequence[tuple[str, float]] = ()) -> str | None:
    """The first test that fails when a changed file is imported in this process, which has imported nothing of the compiler.

    The queue is tried in its order; without one, each of the tests.
    """
    apply(file, tree)
    found = session(tests, lambda session: [session.killer(queue or [(test, SLOW) for test in session.items])])
    return found[0] if isinstance(found, list) else "the import"


def _store(known: dict[str, tuple[str, Seen]]) -> None:
    STORE.parent.mkdir(parents=True, exist_ok=True)
    STORE.write_bytes(pickle.dumps(known))


def _started() -> coverage.Coverage:
    tracer = coverage.Coverage(data_file=None, config_file=False, include=_MEASURED)
    tracer.start()
    return tracer


def _stopped(tracer: coverage.Coverage) -> Lines:
    tracer.stop()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing was run
        data = tracer.get_data()
    found = {str(Path(file).relative_to(PACKAGE)): data.lines(file) or [] for file in data.measured_files()}
    return {file: sum(1 << line for line in lines) for file, lines in found.items() if lines}


@functools.cache
def _key(folder: Path) -> str:
    """The compiler, and the tests of a folder."""
    compiler = [path for part in ("cogseedc", "grammar", "targets") for path in (ROOT / part).rglob("*.*")]
    files = sorted(path for path in [*compiler, *folder.rglob("*.*")] if path.is_file() and path.suffix != ".pyc")
    return hashlib.sha256(b"".join(str(path).encode() + path.read_bytes() for path in files)).hexdigest()
