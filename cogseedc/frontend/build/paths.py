"""Dotted paths of calls and weights, and the origins of nodes that have them."""

from __future__ import annotations

from cogseedc.ir import Origin
from cogseedc.source import Span


def join(prefix: str, name: str) -> str:
    """A dotted path."""
    return f"{prefix}.{name}" if prefix and name else prefix or name


def numbered(counts: dict[str, int], path: str) -> str:
    """The next free path: repeats get `_2`, `_3`. `counts` are those taken already, and this one."""
    counts[path] = count = counts.get(path, 0) + 1
    return path if count == 1 else f"{path}_{count}"


def placed(origin: Origin, path: str, span: Span) -> Origin:
    """The origin of a node in an instance. Every node needs one, and `replace` would take thrice as long."""
    return Origin(path, origin.seeds, origin.scope, span, origin.bits, origin.forced_bits, origin.level)
