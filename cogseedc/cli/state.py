"""What one call of the command line remembers between its parts."""

from __future__ import annotations

from dataclasses import dataclass

OK, FINDINGS, USAGE, MISMATCH, BUDGET, FAULT = 0, 1, 2, 3, 4, 70
"""Exit statuses."""


@dataclass
class State:
    """Filled while options are read."""

    debug: bool = False
    json: bool = False
    """Whether a program reads the diagnostics: they then go to stdout as JSON."""
