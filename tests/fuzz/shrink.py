"""Makes a failing program small: drops statements, unwraps blocks, puts an operand in the place of a result."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from cogseedc.diagnostics import UserError
from tests.fuzz.cases import Dropped, Failure

MOST_TRIES = 400
_DEFINED = re.compile(r"\s*(\w+) = (.*)")


def shrink(text: str, run: Callable[[str], object], kind: str) -> str:
    """The smallest text found for which `run` still raises a Failure of that kind."""
    tries = 0
    progress = True
    while progress:
        progress = False
        for smaller in _smaller(text):
            tries += 1
            if tries > MOST_TRIES:
                return text
            if len(smaller) < len(text) and _fails(smaller, run, kind):
                text, progress = smaller, True
                break
    return text


def _fails(text: str, run: Callable[[str], object], kind: str) -> bool:
    try:
        run(text)
    except Failure as failure:
        return failure.kind == kind
    except (UserError, Dropped):
        return False
    except Exception as error:
        return type(error).__name__ == kind
    return False


def _smaller(text: str) -> Iterator[str]:
    """Texts with less in them, much less first; not all are legal programs."""
    lines = text.split("\n")
    spans = sorted(_spans(lines), key=lambda s: s[0] - s[1])
    for start, stop in spans:
        yield "\n".join(lines[:start] + lines[stop:])
    for start, stop in spans:
        found = _DEFINED.match(lines[start])
        if not found:
            continue
        name, value = found.groups()
        rest = lines[stop:]
        for operand in dict.fromkeys(re.findall(r"\b[vxh]\d+\b|\bx\b", "\n".join([value, *lines[start + 1 : stop]]))):
            if operand != name:
                yield "\n".join(lines[:start] + [re.sub(rf"\b{name}\b", operand, line) for line in rest])
        for first, last in _arms(lines, start, stop):
            body = lines[first:last]
            if body and body[-1].strip().startswith("yield "):
                ending = f"{name} = {body[-1].strip().removeprefix('yield ')}"
                yield "\n".join([*lines[:start], *body[:-1], ending, *rest])


def _spans(lines: list[str]) -> list[tuple[int, int]]:
    """Lines, and blocks with their braces, as half-open ranges."""
    found: list[tuple[int, int]] = []
    for start in range(len(lines)):
        depth = 0
        for stop in range(start, len(lines)):
            depth += lines[stop].count("{") - lines[stop].count("}")
            if depth < 0 or (depth == 0 and not lines[stop].rstrip().endswith("{")):
                break
        if depth == 0:
            found.append((start, stop + 1))
    return found


def _arms(lines: list[str], start: int, stop: int) -> Iterator[tuple[int, int]]:
    """The bodies of the arms of a block."""
    opened: list[int] = []
    for at in range(start, stop):
        stripped = lines[at].strip()
        if stripped.startswith("}") and opened:
            yield opened.pop(), at
        if stripped.endswith("{"):
            opened.append(at + 1)
