"""Damaged sources end in diagnostics with places in the file, or are fine after all; nothing else ever comes out."""

from __future__ import annotations

import random
import re
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cogseedc.diagnostics import UserError
from cogseedc.driver.program import Settings, decode, load
from cogseedc.frontend.format import format_source
from cogseedc.limits import Limits
from cogseedc.source import Source, Span
from tests.fuzz import findings

TOUR = [path.read_bytes() for path in sorted((Path(__file__).parents[1] / "tour").glob("*.seed"))]
LANGUAGE = [path.read_bytes() for path in sorted((Path(__file__).parents[1] / "language").glob("*.seed"))]
CORPUS = TOUR + LANGUAGE
TOKEN = re.compile(rb"[A-Za-z_]\w*|\d+(?:\.\d+)?|\s+|.", re.DOTALL)
HOSTILE = [
    *(b"\x00", b"\xff\xfe", b"\xe2\x80\xae", b"\xc2\xa0", b"\xcc\x81", b"{" * 70, b"(" * 300, b'"', b"9" * 400),
    *(b"1e999", b"\r", b"..", b"@", b"|>", b"- -", b"[", b"]", b"}", b"2 ^ 99", b"0", b"-1"),
    *(b"D", b"N", b"x", b"true", b"when"),
]
HANGS = 30.0
"""Seconds of processor time."""
MOST_MEMORY = 16 << 30
"""Of addresses, most of which other tests' libraries hold."""
NAME = "mutant.seed"

Mutation = Callable[[random.Random, bytes], bytes]


def _bytes(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _truncated(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def _inserted(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(HOSTILE) + data[at:]


def _tokens(rng: random.Random, data: bytes) -> bytes:
    parts = TOKEN.findall(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(parts))
        match rng.randrange(4):
            case 0:
                del parts[at]
            case 1:
                parts.insert(at, parts[rng.randrange(len(parts))])
            case 2:
                other = rng.randrange(len(parts))
                parts[at], parts[other] = parts[other], parts[at]
            case _:
                parts[at] = rng.choice(TOKEN.findall(rng.choice(CORPUS)))
        if not parts:
            return b""
    return b"".join(parts)


def _spliced(rng: random.Random, data: bytes) -> bytes:
    other = rng.choice(CORPUS)
    start = rng.randrange(len(other))
    at = rng.randrange(len(data))
    return data[:at] + other[start : start + rng.randrange(200)] + data[at + rng.randrange(60) :]


def _lines(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    at, other = rng.randrange(len(lines)), rng.choice(rng.choice(CORPUS).split(b"\n"))
    match rng.randrange(3):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, other)
        case _:
            lines[at] = other
    return b"\n".join(lines)


def _numbers(rng: random.Random, data: bytes) -> bytes:
    found = list(re.finditer(rb"\d+", data))
    if not found:
        return data
    one = rng.choice(found)
    value = rng.choice([b"0", b"1", b"2", b"3", b"7", b"1000000007", b"9223372036854775808", b"-1", b"0.5"])
    return data[: one.start()] + value + data[one.end() :]


MUTATIONS: tuple[Mutation, ...] = (_bytes, _truncated, _inserted, _tokens, _tokens, _spliced, _lines, _lines, _numbers)


def mutant(seed: int) -> bytes:
    rng = random.Random(seed)
    data = rng.choice(CORPUS)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(MUTATIONS)(rng, data) or b" "
    return data


def _outside(span: Span) -> bool:
    return span.source.name == NAME and not 0 <= span.start <= span.end <= len(span.source.text)


def read(data: bytes) -> str | None:
    """What is wrong with how the compiler took a damaged source; None: nothing."""
    began = time.process_time()
    try:
        source = decode(NAME, data, Limits())
        load(source, Settings())
    except UserError as error:
        for diagnostic in error.diagnostics:
            if any(_outside(label.span) for label in diagnostic.labels):
                return f"a span outside the file: {diagnostic}"
        placed = [d for d in error.diagnostics if d.labels]
        if not error.diagnostics or (not placed and len(data) > 1):
            return f"no place is given: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if time.process_time() - began > HANGS:
        return f"it took {time.process_time() - began:.1f} s"
    return None


def laid_out(data: bytes) -> str | None:
    """The formatter refuses with diagnostics, or gives a text that it leaves as it is."""
    try:
        once = format_source(decode(NAME, data, Limits()), Limits())
        again = format_source(Source(NAME, once), Limits())
    except UserError:
        return None
    except Exception as error:
        return f"fmt: {type(error).__name__}: {error}"
    return None if once == again else "fmt is not idempotent"


def attempt(seed: int) -> str | None:
    data = mutant(seed)
    wrong = read(data) or laid_out(data)
    return wrong and f"@seed {seed}: {wrong}\n{data[:3000]!r}"


@pytest.mark.parametrize("group", range(6))
def test_fixed_mutants(group: int) -> None:
    wrong = [found for i in range(40) if (found := attempt(group * 40 + i))]
    assert not wrong, "\n".join(wrong[:3])


@pytest.mark.parametrize(
    "body",
    [
        "y = route argmax(linear[E=1000000007](x)) { 0 => x  else => x * 2 }",
        "gate g over N = top[2](linear[E=1000000007](x))  y = route g { 0 => x  else => x * 2 }",
        "knob w = 0 in 0 .. 1000000007  y = route w { 0 => x  else => x * 2 }",
        "one = argmax(zeros[N, 1000000007]())  y = route one { 0 => x  1 => x * 2 }",
    ],
)
def test_gates_of_a_billion_arms_cost_nothing(body: str) -> None:
    assert read(f"export seed Net {{\n in x: f32[N, D=4]\n out y: f32[N, D]\n {body}\n}}\n".encode()) is None


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Makes a source that takes all memory a MemoryError, before it ends more than this process."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.skipif(not findings.FUZZING, reason="only `make fuzz` looks for new mutants")
@pytest.mark.parametrize("part", range(findings.PARTS))
def test_new_mutants(part: int, capfd: pytest.CaptureFixture[str]) -> None:
    count = findings.PARTS
    end, seed = time.monotonic() + findings.SECONDS, findings.START + part
    wrong: list[str] = []
    with bounded_memory():
        while time.monotonic() < end and len(wrong) < 5:
            if found := attempt(seed):
                findings.say(capfd, found)
                wrong.append(found)
            seed += count
    findings.say(capfd, f"mutants with seeds {findings.START + part} .. {seed} by {count}, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong)
