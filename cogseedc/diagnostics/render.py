"""How diagnostics look: text with source excerpts for people, plain objects for programs; decides nothing else."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from cogseedc.diagnostics.model import Diagnostic, Label, Severity
from cogseedc.source import Span

JsonValue = str | int | list["JsonValue"] | dict[str, "JsonValue"]

_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.NOTE: "36"}
_TAB = "    "
_WIDTH = 160
"""Longer source lines are shown in part."""
_LEAD = 60
"""Characters that are kept before the marked ones when a line is shown in part."""


def render(diagnostics: Iterable[Diagnostic], color: bool = False) -> str:
    """All diagnostics as text; each ends in a newline. Text of the user is shown without control characters."""
    return "\n".join(_render(diagnostic, color) for diagnostic in diagnostics)


def to_json(diagnostics: Iterable[Diagnostic]) -> list[dict[str, JsonValue]]:
    """One object per diagnostic: code, severity, message, help, spans; lines and columns are one-based."""
    return [
        {
            "code": diagnostic.code,
            "severity": diagnostic.severity.value,
            "message": clean(diagnostic.message),
            "help": clean(diagnostic.help),
            "spans": [_span_to_json(label) for label in diagnostic.labels],
        }
        for diagnostic in diagnostics
    ]


def clean(text: str) -> str:
    """`text` with every character that does not show, or that changes how others show, escaped; newlines stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c == "\n" or _shows(c) else _escaped(c) for c in text)


def _shows(character: str) -> bool:
    return character == " " or unicodedata.category(character)[0] not in "CZ"


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _span_to_json(label: Label) -> dict[str, JsonValue]:
    span = label.span
    end_line, end_column = span.source.position(span.end)
    return {
        "file": clean(span.source.name),
        "line": span.line,
        "column": span.column,
        "end_line": end_line,
        "end_column": end_column,
        "text": clean(label.text),
    }


def _render(diagnostic: Diagnostic, color: bool) -> str:
    paint = _COLOURS[diagnostic.severity] if color else ""
    head = _painted(f"{diagnostic.severity.value}[{diagnostic.code}]", paint)
    place = f"{clean(str(diagnostic.labels[0].span))}: " if diagnostic.labels else ""
    lines = [f"{place}{head}: {_indented(clean(diagnostic.message))}"]
    width = max((len(str(label.span.line)) for label in diagnostic.labels), default=1)
    home = diagnostic.labels[0].span.source.name if diagnostic.labels else ""
    for index, label in enumerate(diagnostic.labels):
        if label.span.source.name != home:
            lines.append(f"{' ' * width}--> {clean(str(label.span))}")
        lines += _excerpt(label, width, paint if index == 0 else "")
    if diagnostic.help:
        lines.append(f"{_painted('help', '32' if color else '')}: {_indented(clean(diagnostic.help))}")
    return "\n".join(lines) + "\n"


def _painted(text: str, colour: str) -> str:
    return f"\x1b[1;{colour}m{text}\x1b[0m" if colour else text


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def _excerpt(label: Label, width: int, colour: str) -> list[str]:
    """The first line of a span, with a line of carets under the span and the label's text behind them."""
    span = label.span
    line, (before, marked, after) = span.line, _cut(span)
    if not before + marked + after:
        return [f"{line:>{width}} |"] if not label.text else [f"{line:>{width}} | {clean(label.text)}"]
    carets = _painted("^" * max(1, _columns(marked)), colour)
    text = f" {clean(label.text)}" if label.text else ""
    pointer = f"{'':>{width}} | {' ' * _columns(before)}{carets}{text}"
    return [f"{line:>{width}} | {before}{marked}{after}".rstrip(), pointer]


def _cut(span: Span) -> tuple[str, str, str]:
    """What stands before, in and after a span on its first line, ready to be shown."""
    line_number, column = span.source.position(span.start)
    line = span.source.line(line_number)
    start = min(column - 1, len(line))
    end = min(start + span.end - span.start, len(line))
    before, marked, after = line[:start], line[start:end], line[end:]
    if len(line) > _WIDTH:
        before = "..." + before[-_LEAD:] if len(before) > _LEAD else before
        marked = marked[:_WIDTH]
        after = after[: max(0, _WIDTH - len(before) - len(marked))]
    shown = [clean(part.replace("\t", _TAB)) for part in (before, marked, after)]
    return shown[0], shown[1], shown[2]


def _columns(text: str) -> int:
    """Terminal columns of a text: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)
