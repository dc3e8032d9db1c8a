"""Every limit of the compiler, in one table: name, value, code of its diagnostic, flag that raises it."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that are checked before work is done. Raise one with `--limit name=value`."""

    source_bytes: int = 1 << 20
    nesting: int = 64
    string_bytes: int = 4 << 10
    imported_files: int = 256
    recursion: int = 64
    nodes: int = 100_000
    rank: int = 8
    dimension: int = (1 << 31) - 1
    elements: int = (1 << 63) - 1
    diagnostics: int = 100
    arms: int = 4096
    calls: int = 1 << 14
    weight_bytes: int = 8 << 30

    @staticmethod
    def code(name: str) -> str:
        """Diagnostic code of a limit."""
        return LIMIT_CODES[name]


LIMIT_CODES = {
    "source_bytes": "CS0601",
    "nesting": "CS0602",
    "string_bytes": "CS0603",
    "imported_files": "CS0604",
    "recursion": "CS0605",
    "nodes": "CS0606",
    "rank": "CS0607",
    "dimension": "CS0608",
    "elements": "CS0609",
    "diagnostics": "CS0610",
    "arms": "CS0611",
    "calls": "CS0612",
    "weight_bytes": "CS0613",
}
assert set(LIMIT_CODES) == {f.name for f in fields(Limits)}
