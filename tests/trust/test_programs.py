"""Laws over some random programs. `tests/fuzz` runs others everywhere; `make trust` has the full figures of both."""

from __future__ import annotations

from tests.trust import programs


def test_laws() -> None:
    programs.laws(25, 0)
