"""How many blanks stand between two tokens of a line; looks at nothing but the two and what they stand in."""

from __future__ import annotations

from dataclasses import dataclass

from cogseedc.frontend.tokens import OPENING, RESERVED, WORDS_IN_PLACE

COMMENT = "COMMENT"
_TIGHT_AFTER = frozenset(["(", "[", ".", "@"])
_TIGHT_BEFORE = frozenset([")", "]", ",", ".", ":"])
_ENDS_VALUE = frozenset([")", "]", "}", "NUMBER", "STRING", "BOOLEAN"])


@dataclass(slots=True)
class Piece:
    """A token or a comment, and what the layout found out about it."""

    kind: str
    text: str
    start: int
    column: int
    breaks: int
    """Line breaks before it."""
    spaced: bool
    """Whether anything stood between it and the piece before it."""
    begins: bool = False
    """Whether an item, member, statement, arm or yield begins with it."""
    follows_mark: bool = False
    is_arm_else: bool = False
    within: int = -1
    """Index of the innermost bracket around it."""
    partner: int = -1
    """Index of the bracket that closes or opens it."""
    multiline: bool = False
    loose: bool = False
    """For `=` in brackets: whether it gives the default of a typed parameter."""
    prefix: bool = False
    """For `-`: whether it is a sign."""


def gap(left: Piece, right: Piece) -> int:
    """Blanks between two pieces of a line."""
    if right.begins and left.kind not in OPENING and not right.follows_mark and left.kind != "=>":
        return 2
    if left.kind == "in" and left.begins:
        return 2
    if left.kind in _TIGHT_AFTER or right.kind in _TIGHT_BEFORE or left.prefix:
        return 0
    if left.kind == "{" and right.kind == "}":
        return 0
    if "=" in (left.kind, right.kind):
        sign = left if left.kind == "=" else right
        return int(sign.loose)
    return _before_bracket(left, right) if right.kind in ("(", "[") else 1


def _before_bracket(left: Piece, right: Piece) -> int:
    """A call's bracket touches what it calls; after a word or sign there is a blank."""
    if left.kind in WORDS_IN_PLACE:
        return int(right.spaced)
    if left.kind in RESERVED and left.kind not in ("true", "false"):
        return 1
    return 0 if _is_word(left) or left.kind in (")", "]") else 1


def _is_word(piece: Piece) -> bool:
    return piece.text[0].isalpha() or piece.text[0] == "_"


def mark_signs(pieces: list[Piece]) -> None:
    """Notes which minus is a sign, and which `=` stands with blanks around it."""
    previous = Piece("{", "{", 0, 0, 0, False)
    colon: dict[int, bool] = {}
    for piece in pieces:
        if piece.kind == COMMENT:
            continue
        if piece.kind == "MINUS":
            piece.prefix = not (previous.kind in _ENDS_VALUE or (_is_word(previous) and previous.kind not in RESERVED))
        elif piece.kind in (",", ":"):
            colon[piece.within] = piece.kind == ":"
        elif piece.kind == "=":
            bracketed = piece.within >= 0 and pieces[piece.within].kind != "{"
            piece.loose = not bracketed or colon.get(piece.within, False)
        previous = piece
