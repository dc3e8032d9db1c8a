"""Cuts a source text into tokens with one regular expression; knows no grammar, and never raises for what it reads.

What is wrong in itself (a character, a number, a string) is reported here and replaced by a token that may stand
there, so that it causes no second message. Signs of other languages become `FOREIGN` tokens for the parser to judge.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from cogseedc.diagnostics.model import Diagnostics
from cogseedc.limits import Limits
from cogseedc.source import Source, Span


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


END = "$END"
FOREIGN = "FOREIGN"
NAME_LENGTH = 63

RESERVED = words(
    "in out knob param state gate exit exits next loss share yield when route for repeat scan not and or true false "
    "else"
)
"""Words that are never names."""
WORDS_IN_PLACE = words("import from as const export seed over at with until via merge require")
"""Words only where the grammar can take them, names elsewhere."""
HEADS = {
    "level": "LEVEL", "version": "VERSION_WORD", "bits": "BITS", "geometry": "GEOMETRY",
    "scale": "SCALE", "category": "CATEGORY", "budget": "BUDGET",
}  # fmt: skip
"""Words that are special at the head of a member, names elsewhere; the grammar itself tells them apart."""
WORDS = {
    **{word: word for word in sorted(RESERVED | WORDS_IN_PLACE)},
    **HEADS,
    "true": "BOOLEAN",
    "false": "BOOLEAN",
}
SIGNS = {sign: sign for sign in ["|>", "..", "=>", "(", ")", "[", "]", "{", "}", ",", ":", "=", ".", "|", "@"]} | {
    "+": "PLUS", "-": "MINUS", "*": "STAR", "/": "SLASH", "%": "PERCENT", "^": "CARET",
    **dict.fromkeys(["<", "<=", ">", ">=", "==", "!="], "COMPARISON"),
}  # fmt: skip
OPENING = {"(": ")", "[": "]", "{": "}"}
CLOSING = {close: open for open, close in OPENING.items()}

_TOKEN = re.compile(
    r"""[ \t\r\n]*+(?:
      ([A-Za-z_][A-Za-z0-9_]*+(?![^\x00-\x7f]))                                         # 1 word
    | (\.\.\.|\.\.[=<]|===|!==|<>|->|<-|&&|\|\||\*\*|:=|::|[-+*/%^]=|[;?$&\\`]|!(?!=)
       |//[^\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/)?|~(?!\d+\.\d+\.\d+))                        # 2 sign of another language
    | ([\^~]?\d+\.\d+\.\d+(?![A-Za-z0-9_.]))                                              # 3 version
    | (\|>|\.\.|=>|<=|>=|==|!=|[-()\[\]{},:=.|@+*/%^<>])                                  # 4 sign
    | (\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[kMG]?(?![A-Za-z0-9_]|[^\x00-\x7f]))                  # 5 number
    | ("[^"\n]*")                                                                         # 6 string
    | (\#[^\n]*)                                                                          # 7 comment
    | ("[^\s,)\]}]*|'[^'\n]*'?)                                                                # 8 broken string
    | (\d+(?:\.\d+)?(?:[A-Za-z0-9_]|[^\x00-\x7f])*)                                       # 9 broken number
    | ((?:[A-Za-z0-9_]|[^\x00-\x7f])+)                                                    # 10 word or sign beyond ASCII
    | ([^ \t\r\n])                                                                       # 11 anything else
    | \Z                                                                                  # or blanks end the text
    )""",
    re.VERBOSE,
)
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff"
    "\ud800-\udfff]|\r(?!\n)"
)
"""Characters that do not show, or that change how the text around them shows."""
_LOOKALIKES = {
    "≥": "COMPARISON", "≤": "COMPARISON", "≠": "COMPARISON", "×": "STAR", "·": "STAR", "−": "MINUS", "–": "MINUS",
    "→": "=>", "⇒": "=>", "…": "..",
}  # fmt: skip


@dataclass(slots=True)
class Tokens:
    """Tokens as parallel lists; the last one is `$END`."""

    source: Source
    kinds: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    comments: list[tuple[int, int]] = field(default_factory=list)
    docs: dict[int, str] = field(default_factory=dict)
    """Doc text by the start of the token that it stands before."""
    complete: bool = True
    """False when a limit ended the reading: the tokens are then of no use."""

    def text(self, index: int) -> str:
        return self.source.text[self.starts[index] : self.ends[index]]

    def span(self, index: int) -> Span:
        return Span(self.source, self.starts[index], self.ends[index])

    def add(self, kind: str, start: int, end: int) -> None:
        self.kinds.append(kind)
        self.starts.append(start)
        self.ends.append(end)


def tokenize(source: Source, diagnostics: Diagnostics, limits: Limits) -> Tokens:
    """All tokens of `source`; mistakes go to `diagnostics`."""
    text = source.text
    tokens = Tokens(source)
    _report_hidden(source, diagnostics)
    kinds, starts, ends = tokens.kinds, tokens.starts, tokens.ends
    depth = 0
    docs: list[str] = []
    for match in _TOKEN.finditer(text, text.startswith("\ufeff")):
        group = match.lastindex
        if group is None:
            break
        start, end = match.span(group)
        if group == 1:
            kind = WORDS.get(match[1], "NAME")
            if end - start > NAME_LENGTH:
                diagnostics.error(
                    "CS0115", f"this name has {end - start} characters; names have at most {NAME_LENGTH}",
                    Span(source, start, end), help="shorten the name",
                )  # fmt: skip
        elif group == 4:
            sign = match[4]
            kind = SIGNS[sign]
            if sign in OPENING:
                depth += 1
                if depth > limits.nesting:
                    _report_nesting(Span(source, start, end), diagnostics, limits)
                    tokens.complete = False
                    break
            elif sign in CLOSING:
                depth -= 1
        elif group == 7:
            tokens.comments.append((start, end))
            if text.startswith("##", start):
                docs.append(text[start + 2 : end].rstrip("\r"))
            continue
        elif group == 5:
            kind = "NUMBER"
        else:
            kind = _rare(group, source, start, end, diagnostics, limits)
            if not kind:
                continue
        if docs:
            tokens.docs[start] = "\n".join(line.removeprefix(" ").rstrip() for line in docs)
            docs = []
        kinds.append(kind)
        starts.append(start)
        ends.append(end)
    tokens.add(END, len(text), len(text))
    return tokens


def _rare(group: int, source: Source, start: int, end: int, diagnostics: Diagnostics, limits: Limits) -> str:
    """Kind of a token that is seldom met, after its mistakes are reported; empty when it is to be skipped."""
    span = Span(source, start, end)
    text = span.text
    match group:
        case 2:
            return FOREIGN
        case 3:
            return "VERSION"
        case 6:
            if len(text.encode("utf-8", "surrogatepass")) - 2 > limits.string_bytes:
                diagnostics.error(
                    Limits.code("string_bytes"), f"this string is longer than {limits.string_bytes} bytes", span,
                    help="shorten it, or raise the limit: --limit string_bytes=N",
                )  # fmt: skip
            return "STRING"
        case 8:
            quoted = text.startswith("'") and len(text) > 1 and text.endswith("'")
            message = "strings are written in double quotes" if quoted else "this string does not end on its line"
            fix = f'write "{text[1:-1]}"' if quoted and '"' not in text else 'close it with `"`; it has no escapes'
            diagnostics.error("CS0111", message, span, help=fix)
            return "STRING"
        case 9:
            diagnostics.error("CS0112", f"`{_short(text)}` is not a number", span, help=_number_help(text))
            return "NUMBER"
        case 10:
            return _beyond_ascii(span, diagnostics)
    if not _HIDDEN.match(text):
        diagnostics.error("CS0113", f"`{text}` is no sign of the language", span, help="remove it")
    return ""


def _number_help(text: str) -> str:
    if text[:2].lower() in ("0x", "0b", "0o"):
        return "numbers are decimal: 255, 0.5, 1e-3, 400k, 2M"
    if "_" in text and text.replace("_", "").isdigit():
        return f"write {text.replace('_', '')}"
    return "a name does not begin with a digit; suffixes of numbers are k, M and G: 400k"


def _beyond_ascii(span: Span, diagnostics: Diagnostics) -> str:
    """Reports characters beyond ASCII outside of strings and comments; kind of the token that they stand for."""
    text = span.text
    offset = next(i for i, c in enumerate(text) if not c.isascii())
    bad = text[offset]
    if _HIDDEN.match(bad):
        return "NAME" if text[0].isascii() and not text[0].isdigit() else ""
    where = Span(span.source, span.start + offset, span.start + offset + 1)
    name = unicodedata.name(bad, "a character without a name")
    plain = unicodedata.normalize("NFKC", text)
    fix = f"write `{plain}`" if plain.isascii() and plain.isidentifier() else "write names and signs in ASCII"
    diagnostics.error("CS0113", f"U+{ord(bad):04X} ({name}) may stand in comments and strings only", where, help=fix)
    if text in _LOOKALIKES:
        return _LOOKALIKES[text]
    return "NAME" if text[0].isalpha() or text[0] == "_" else ""


def _report_hidden(source: Source, diagnostics: Diagnostics) -> None:
    for match in _HIDDEN.finditer(source.text):
        if match.start() == 0 and match[0] == "\ufeff":
            continue
        name = unicodedata.name(match[0], "a control character")
        diagnostics.error(
            "CS0114", f"U+{ord(match[0]):04X} ({name}) hides or disguises text and may stand nowhere",
            Span(source, match.start(), match.end()), help="remove the character",
        )  # fmt: skip
        if len(diagnostics) >= diagnostics.limit:
            return


def _report_nesting(span: Span, diagnostics: Diagnostics, limits: Limits) -> None:
    diagnostics.error(
        Limits.code("nesting"), f"brackets nest deeper than {limits.nesting}", span,
        help="move inner parts into seeds or names of their own, or raise the limit: --limit nesting=N",
    )  # fmt: skip


def _short(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
