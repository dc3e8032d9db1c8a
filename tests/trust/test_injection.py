"""Hostile text, the short version; and names that Python, torch or a generated file have a use for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trust import injection

WORDS = [
    "compile",
    "locals",
    "open",
    "__proto__",
    "__class__",
    "_",
    "__",
    "match",
    "torch",
    "Result",
    "trace",
    "self",
    "None",
    "_block_0",
    "l",
]


def test_hostile_text_changes_nothing() -> None:
    injection.injection(12, 0)


@pytest.mark.parametrize("word", WORDS)
def test_names_of_others_are_names_like_any(word: str, tmp_path: Path) -> None:
    for kind in ("value", "knob", "gate", "param", "seed"):
        injection.models(injection.named(kind, word), tmp_path / kind)
