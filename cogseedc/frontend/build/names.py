"""Did-you-mean: the closest known name to a misspelled one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MOST = 1000
"""Names that are compared: those of about the same length."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """A help text naming the closest known name, or an empty one."""
    alike = sorted(set(known), key=lambda k: (abs(len(k) - len(name)), k))[:MOST]
    near = get_close_matches(name, alike, n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""
