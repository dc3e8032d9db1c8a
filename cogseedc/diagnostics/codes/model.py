"""What is documented about one code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of mistake."""

    code: str
    title: str
    why: str
    """What it means and why it is refused."""
    wrong: str
    """A small program, or command, that causes it."""
    right: str
    """What to write instead."""
