"""Random programs: the reference, all passes, PyTorch and ONNX Runtime agree on values, decisions and rows.

The normal suite has some fixed programs. `make fuzz` goes on with new ones for COGSEEDC_FUZZ_MINUTES; a program that
fails is made small and kept under tests/regress.
"""

from __future__ import annotations

import time

import pytest
import torch

from cogseedc.diagnostics import UserError
from tests.fuzz import findings
from tests.fuzz.checks import WHOLE, Dropped, Extent, Failure, check, some
from tests.fuzz.generator import generate
from tests.fuzz.shrink import shrink

GROUPS, IN_GROUP = 12, 5
MOST_DROPPED = 0.35
MOST_FINDINGS = 5


def attempt(seed: int, extent: Extent) -> bool:
    """Whether the program of that number was run; a Failure is shrunk and kept where we fuzz."""
    text = ""
    try:
        text = generate(seed)
        check(text, seed, extent)
    except Dropped:
        return False
    except (Failure, UserError) as error:
        kind = error.kind if isinstance(error, Failure) else "UserError"
        print(f"@seed {seed}: {error}")
        if not findings.FUZZING or not text:
            pytest.fail(f"@seed {seed}: {error}\n{text}", pytrace=False)
        small = shrink(text, lambda t: check(t, seed, extent), kind)
        path = findings.keep(small, seed, str(error))
        print(f"kept as {path.name}")
        raise
    return True


@pytest.fixture(autouse=True)
def one_thread() -> object:
    """Small tensors: threads only cost."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("group", range(GROUPS))
def test_fixed_programs(group: int) -> None:
    done = [attempt(seed := group * IN_GROUP + i, some(seed)) for i in range(IN_GROUP)]
    assert any(done)


@pytest.mark.skipif(not findings.FUZZING, reason="only `make fuzz` looks for new programs")
@pytest.mark.parametrize("part", range(findings.PARTS))
def test_new_programs(part: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Every so-many-th number from the first one, until the time is over."""
    count = findings.PARTS
    end, seed, run, dropped = time.monotonic() + findings.SECONDS, findings.START + part, 0, 0
    failed: list[str] = []
    while time.monotonic() < end and len(failed) < MOST_FINDINGS:
        try:
            kept = attempt(seed, WHOLE)
            run, dropped = run + kept, dropped + (not kept)
        except (Failure, UserError) as error:
            failed.append(f"@seed {seed}: {str(error)[:200]}")
            findings.say(capfd, failed[-1])
        seed += count
    numbers = f"seeds {findings.START + part} .. {seed} by {count}"
    findings.say(capfd, f"{run} programs run, {dropped} dropped, {len(failed)} failed, {numbers}")
    assert not failed, "\n".join(failed)
    assert dropped <= max(3, MOST_DROPPED * (run + dropped))
