"""The table of faults fits the compiler: `make trust PROMISES=faults` tries them, which takes longer."""

from __future__ import annotations

import ast

from tests.trust.faults import FAULTS


def test_every_fault_changes_its_file() -> None:
    found = [ast.dump(fault.tree()) for fault in FAULTS]
    assert len({*found}) == len(found) >= 30
