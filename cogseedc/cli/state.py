"""What one call of the command line remembers between its parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class State:
    """Filled while options are read."""

    debug: bool = False
    json: bool = False
    """Whether a program reads the diagnostics: they then go to stdout as JSON."""
