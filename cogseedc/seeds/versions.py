"""Semantic versions and ranges: `1.2.3` exactly, `^1.2.3` compatible, `~1.2.3` patches only."""

from __future__ import annotations

Version = tuple[int, int, int]


def parse_version(text: str) -> Version:
    """`1.2.3` as integers."""
    major, minor, patch = (int(part) for part in text.split("."))
    return major, minor, patch


def allows(wanted: str, version: Version) -> bool:
    """Whether a range admits a version (semver.org, with `^` and `~` as npm reads them)."""
    sign = wanted[0] if wanted[0] in "^~" else ""
    low = parse_version(wanted.removeprefix(sign))
    if not sign:
        return version == low
    if version < low:
        return False
    if sign == "~":
        return version[:2] == low[:2]
    if low[0]:
        return version[0] == low[0]
    return version[:2] == low[:2] if low[1] else version == low
