"""Programs that were wrong once: what the fuzzer found, made small, and mistakes that named cases should keep out.

Each file begins with the number of its weights and inputs: `# run: 17`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.checks import Dropped, check

PROGRAMS = sorted(Path(__file__).parent.glob("*.seed"))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_regress(path: Path) -> None:
    text = path.read_text()
    head = text.split("\n", 1)[0]
    assert head.startswith("# run: ")
    try:
        check(text, int(head.removeprefix("# run: ")))
    except Dropped as reason:
        pytest.fail(f"the program is no test any more: {reason}")
