"""The one layout of a source text: spaces between tokens and indentation are set, line breaks and comments are the
user's; it changes no token, so it cannot change a meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cogseedc.diagnostics.model import Diagnostics
from cogseedc.frontend import ast
from cogseedc.frontend.parser import parse
from cogseedc.frontend.spacing import COMMENT, Piece, gap, mark_signs
from cogseedc.frontend.tokens import CLOSING, OPENING, Tokens, tokenize
from cogseedc.frontend.walk import MARKED, walk
from cogseedc.limits import Limits
from cogseedc.source import Source

WIDTH = 120
"""A line that is longer has its outermost one-line blocks opened; where else to break is left to the user."""
_INDENT = "    "
_LISTED = (
    *MARKED, ast.Arm, ast.Meta, ast.Budget, ast.Port, ast.KnobDeclaration, ast.SeedDeclaration, ast.Const, ast.Import,
)  # fmt: skip


def format_source(source: Source, limits: Limits) -> str:
    """`source` in the one layout. Raises UserError when it has mistakes of syntax."""
    diagnostics = Diagnostics(limits.diagnostics)
    file = parse(source, diagnostics, limits)
    diagnostics.check()
    tokens = tokenize(source, diagnostics, limits)
    pieces = _pieces(tokens)
    if not pieces or file is None:
        return ""
    _mark_starts(file, pieces)
    _match(pieces)
    mark_signs(pieces)
    _break_blocks(pieces)
    while True:
        lines = _lines(pieces)
        if not _open_long_lines(lines, pieces):
            return _text(lines)
        _break_blocks(pieces)


@dataclass(slots=True)
class _Line:
    indent: int
    blank: bool
    """Whether an empty line stands before it."""
    pieces: list[Piece] = field(default_factory=list)
    text: str = ""
    comment: Piece | None = None
    """The comment at its end, which `text` is without."""

    def finish(self) -> None:
        if len(self.pieces) > 1 and self.pieces[-1].kind == COMMENT:
            self.comment = self.pieces.pop()
        words = [_INDENT * self.indent, self.pieces[0].text]
        for left, right in zip(self.pieces, self.pieces[1:], strict=False):
            words += [" " * gap(left, right), right.text]
        self.text = "".join(words)


def _pieces(tokens: Tokens) -> list[Piece]:
    """Tokens and comments in order, without the end."""
    text = tokens.source.text
    places = [*zip(tokens.starts, tokens.ends, tokens.kinds, strict=True)][:-1]
    places += [(start, end, COMMENT) for start, end in tokens.comments]
    pieces: list[Piece] = []
    end = 0
    for start, next_end, kind in sorted(places):
        between = text[end:start]
        column = start - text.rfind("\n", 0, start)
        pieces.append(Piece(kind, text[start:next_end].rstrip(), start, column, between.count("\n"), bool(between)))
        end = next_end
    return pieces


def _mark_starts(file: ast.File, pieces: list[Piece]) -> None:
    """Notes the pieces with which an item, member, statement, arm or yield begins."""
    starts: set[int] = set()
    marks: set[int] = set()
    for node in walk(file):
        if isinstance(node, _LISTED):
            starts.add(node.span.start)
        if isinstance(node, MARKED) and node.marks:
            marks.add(node.marks[-1].span.end)
    after_mark = False
    for index, piece in enumerate(pieces):
        piece.begins = piece.start in starts or piece.kind == "yield"
        piece.follows_mark = after_mark and piece.kind != COMMENT
        if piece.kind != COMMENT:
            after_mark = piece.start + len(piece.text) in marks
        piece.is_arm_else = piece.kind == "else" and index + 1 < len(pieces) and pieces[index + 1].kind == "=>"
        if piece.kind == "else" and not piece.is_arm_else and pieces[index - 1].kind == "}":
            piece.breaks = 0
        if piece.kind == "{" and index and pieces[index - 1].kind != COMMENT:
            piece.breaks = 0


def _match(pieces: list[Piece]) -> None:
    """Notes for each piece the bracket that it stands in, and for each bracket its partner."""
    stack: list[int] = []
    for index, piece in enumerate(pieces):
        if piece.kind in CLOSING:
            opening = stack.pop()
            piece.partner, pieces[opening].partner = opening, index
        piece.within = stack[-1] if stack else -1
        if piece.kind in OPENING:
            stack.append(index)


def _break_blocks(pieces: list[Piece]) -> None:
    """Gives each statement of a block of several lines a line of its own."""
    for index in range(len(pieces) - 1, -1, -1):
        piece = pieces[index]
        own_line = piece.begins or piece.kind in (COMMENT, "}") or (index and piece.within == index - 1)
        if piece.breaks and own_line:
            _open(pieces, piece.partner if piece.kind == "}" else piece.within)
    for index, piece in enumerate(pieces):
        block = piece.partner if piece.kind == "}" else piece.within
        first = index > 0 and piece.within == index - 1
        if block < 0:
            must = piece.begins and index > 0
        else:
            must = pieces[block].multiline and (piece.begins or piece.kind == "}" or first)
        if must and not (piece.kind == COMMENT and not piece.breaks):
            piece.breaks = max(1, piece.breaks)


def _open(pieces: list[Piece], index: int) -> None:
    """Makes a block, and all that it stands in, one of several lines."""
    while index >= 0 and not pieces[index].multiline:
        pieces[index].multiline = pieces[index].kind == "{"
        index = pieces[index].within


def _lines(pieces: list[Piece]) -> list[_Line]:
    """The pieces in lines, each with its indentation."""
    lines: list[_Line] = []
    inner = [0]
    outer = [0]
    statement = [0]
    for index, piece in enumerate(pieces):
        if piece.breaks or not lines:
            if lines:
                lines[-1].finish()
            indent = _indent(piece, pieces, inner, outer, statement)
            previous = pieces[index - 1] if index else None
            blank = piece.breaks > 1 and previous is not None
            blank = blank and not (piece.kind in CLOSING or (previous is not None and _just_opened(pieces, index)))
            lines.append(_Line(indent, blank))
        lines[-1].pieces.append(piece)
        if piece.kind in OPENING:
            base = statement[-1] if piece.kind == "{" else lines[-1].indent
            outer.append(base)
            inner.append(base + 1)
            statement.append(base + 1)
        elif piece.kind in CLOSING:
            outer.pop()
            inner.pop()
            statement.pop()
    lines[-1].finish()
    return lines


def _just_opened(pieces: list[Piece], index: int) -> bool:
    """Whether only an opening bracket, and a comment behind it, stand before a piece."""
    before = pieces[index - 1]
    if before.kind == COMMENT and not before.breaks and index > 1:
        before = pieces[index - 2]
    return before.kind in OPENING


def _indent(piece: Piece, pieces: list[Piece], inner: list[int], outer: list[int], statement: list[int]) -> int:
    """Indentation of a line by its first piece. A statement's further lines are a level deeper than its first."""
    if piece.kind in CLOSING:
        return outer[-1]
    plain = piece.begins or piece.follows_mark or piece.kind == COMMENT or piece.kind == "else"
    if plain or (piece.within >= 0 and pieces[piece.within].kind != "{"):
        return inner[-1]
    first = piece.within >= 0 and pieces[piece.within + 1] is piece
    return inner[-1] if first else inner[-1] + 1


def _open_long_lines(lines: list[_Line], pieces: list[Piece]) -> bool:
    """Opens the outermost one-line blocks of lines that are too long; whether there was one."""
    opened = False
    for line in lines:
        if len(line.text) <= WIDTH:
            continue
        closed = -1
        for piece in line.pieces:
            if piece.kind == "{" and not piece.multiline and piece.start > closed:
                closed = pieces[piece.partner].start
                piece.multiline = opened = True
    return opened


def _text(lines: list[_Line]) -> str:
    """The lines as text; comments that end neighbouring lines keep a common column when they had one."""
    _align_comments(lines)
    return "".join(f"{chr(10) if line.blank else ''}{line.text}\n" for line in lines)


def _align_comments(lines: list[_Line]) -> None:
    start = 0
    while start < len(lines):
        comment = lines[start].comment
        end = start + 1
        if comment is not None:
            while end < len(lines) and not lines[end].blank and _column(lines[end]) == comment.column:
                end += 1
            width = max(len(line.text) for line in lines[start:end]) + 2
            for line in lines[start:end]:
                if line.comment is not None:
                    line.text = line.text.ljust(width) + line.comment.text
        start = end


def _column(line: _Line) -> int:
    return line.comment.column if line.comment is not None else -1
