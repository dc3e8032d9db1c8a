"""Diagnostics as data; how they look is decided in `render`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from cogseedc.source import Span


class Severity(Enum):
    """How much harm it does: an error stops the build, a warning and a note do not."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Label:
    """A span with what is said about it. The first label of a diagnostic is where it happened."""

    span: Span
    text: str = ""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing to tell: what was found, where, why, and how to fix it."""

    code: str
    message: str
    labels: tuple[Label, ...] = ()
    help: str = ""
    severity: Severity = Severity.ERROR


class UserError(Exception):
    """One or more diagnostics that end the work; exit status 1."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(f"{d.code}: {d.message}" for d in diagnostics))
        self.diagnostics = diagnostics


class InternalError(Exception):
    """A slip of the compiler itself; exit status 70. Never the user's fault."""


@dataclass
class Diagnostics:
    """Collects diagnostics up to a limit; equal ones count once."""

    limit: int = 100
    _items: dict[Diagnostic, None] = field(default_factory=dict)
    dropped: int = 0

    def add(self, diagnostic: Diagnostic) -> None:
        if len(self._items) >= self.limit:
            self.dropped += diagnostic not in self._items
            return
        self._items[diagnostic] = None

    def mark(self) -> tuple[dict[Diagnostic, None], int]:
        """What is collected so far, for `back_to`."""
        return dict(self._items), self.dropped

    def back_to(self, mark: tuple[dict[Diagnostic, None], int]) -> None:
        """Forgets what was added since a mark: the work that told it begins again."""
        self._items, self.dropped = dict(mark[0]), mark[1]

    def error(
        self, code: str, message: str, *spans: Span | None, help: str = "", labels: tuple[Label, ...] = ()
    ) -> None:
        """Adds an error at `spans` (None is skipped), or at `labels`."""
        self.add(Diagnostic(code, message, tuple(Label(s) for s in spans if s) + labels, help))

    def __iter__(self) -> Iterator[Diagnostic]:
        yield from sorted(self._items, key=_position)
        if self.dropped:
            message = f"there is more to tell than these {self.limit} messages"
            fix = "mend these first, or raise the limit: --limit diagnostics=N"
            yield Diagnostic("CS0610", message, help=fix, severity=Severity.NOTE)

    def __len__(self) -> int:
        return len(self._items)

    @property
    def failed(self) -> bool:
        return any(d.severity is Severity.ERROR for d in self._items)

    def check(self) -> None:
        """Raises UserError when an error was collected."""
        if self.failed:
            raise UserError(*self)


def _position(diagnostic: Diagnostic) -> tuple[str, int]:
    if not diagnostic.labels:
        return "", -1
    span = diagnostic.labels[0].span
    return span.source.name, span.start
