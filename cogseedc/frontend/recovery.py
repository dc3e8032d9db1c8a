"""What happens at a token that cannot stand: one message, then a place to read on from, so that it causes no second.

A mistake that the table knows how to mend is mended, and its statement read again. Else the statement is given up:
reading goes on at the next one, found by keywords, brackets and indentation.
"""

from __future__ import annotations

from cogseedc.diagnostics.model import Diagnostics, Label
from cogseedc.frontend import mistakes
from cogseedc.frontend.layout import Layout
from cogseedc.frontend.machine import Machine, advance
from cogseedc.frontend.mistakes import Mistake, Situation
from cogseedc.frontend.tokens import CLOSING, END, HEADS, OPENING, SIGNS, words

_ITEM, _STATEMENT = "const", "share"
"""Words that a list of items, and of statements or members, takes in every place."""
_ITEM_STARTS = frozenset(["import", "from", "const", "export", "seed"])
_STARTS = words("in out knob param state gate exit exits next loss share yield @") | set(HEADS.values())
_CONTEXT = 24
"""Tokens of the statement that the table of mistakes looks at."""
_SHOWN_AS = {kind: word for word, kind in [*HEADS.items(), *SIGNS.items()]}
_ROUNDS = 10
"""Attempts to go on, for each message that may be shown."""
_SHOWN = 4
"""Expected tokens that a message names."""
_NAMES = frozenset(["NAME", *HEADS.values()])
_GROUPS = (
    ("an expression", "not", words("NUMBER STRING BOOLEAN ( MINUS not when route for repeat scan") | _NAMES),
    ("a statement", "loss", words("share param state gate exit exits next loss @") | _NAMES),
    ("a port", "out", frozenset(["in", "out", "knob"])),
    ("an operator", "PLUS", words("PLUS MINUS STAR SLASH PERCENT CARET COMPARISON |> and or . ( [")),
    ("a name", "NAME", _NAMES),
    ("a comparison", "COMPARISON", frozenset(["COMPARISON"])),
    ("a number", "NUMBER", frozenset(["NUMBER"])),
    ("a text in double quotes", "STRING", frozenset(["STRING"])),
    ("a version such as 1.0.0", "VERSION", frozenset(["VERSION"])),
)
"""How several expected tokens are named at once: when the second is expected, the set is."""


class Recovery:
    """Brings a machine that has stopped to a place where it can go on."""

    def __init__(self, machine: Machine, diagnostics: Diagnostics) -> None:
        self.machine = machine
        self.tokens = machine.tokens
        self.diagnostics = diagnostics
        self.layout = Layout(machine.tokens)
        self.mended: list[int] = []
        """Starts of the tokens that were mended."""
        self.reported = -1
        """Start of the first token of the last statement that a message was about."""
        self.rounds = 0
        self.local = True
        """Whether every mistake was mended, or given up with its statement alone: the rest of the tree then holds."""
        self.suspects: set[str] = set()
        """Names in statements that were given up: what they would bind is not known."""
        self.states: list[int] = []
        """States before the token that cannot stand was looked at."""

    def resume(self) -> bool:
        """Reports what stands at the machine's position; False when there is nothing to go on with."""
        machine = self.machine
        self.rounds += 1
        if len(self.diagnostics) >= self.diagnostics.limit or self.rounds > _ROUNDS * self.diagnostics.limit:
            self.diagnostics.dropped += 1
            return False
        height = self._list()
        first = machine.begins[height - 1] if height <= len(machine.begins) else machine.position
        if machine.shifts(height, _ITEM) and machine.accepts(len(machine.states), _ITEM):
            first = machine.position
        self.layout.refresh()
        self.states = list(machine.states) if first == machine.position else machine.replay(height, first)
        silent = self.tokens.starts[first] == self.reported and first < machine.position
        self.reported = self.tokens.starts[first]
        if self._report(height, first, silent):
            return True
        going_on = self._skip(height, first)
        self.local = self.local and going_on and len(machine.states) == height
        given_up = range(first, machine.position)
        self.suspects.update(self.tokens.text(i) for i in given_up if self.tokens.kinds[i] in _NAMES)
        return going_on

    def _list(self) -> int:
        """Height of the innermost list of statements or items on the stack that no brace has closed."""
        machine, kinds, begins = self.machine, self.tokens.kinds, self.machine.begins
        top = len(machine.states)
        if begins and kinds[begins[-1]] == "}":
            top = next((k + 1 for k in range(len(begins) - 2, -1, -1) if kinds[begins[k]] == "{"), top)
        for height in range(top, 1, -1):
            if machine.shifts(height, _STATEMENT) or machine.shifts(height, _ITEM):
                return height
        return 1

    # Messages

    def _report(self, height: int, first: int, silent: bool) -> bool:
        """Says what is wrong; True when the statement is mended and can be read again."""
        machine, tokens = self.machine, self.tokens
        position = machine.position
        opening = self._unclosed(first)
        found = None if opening is not None else self.diagnose(first, height)
        if found is None:
            if not silent and opening is not None:
                self._report_unclosed(opening)
            elif not silent:
                self._report_plainly(first)
            return False
        mistake, groups = found
        blamed = self._blamed(mistake, groups, first)
        if not silent:
            message, fix = mistakes.fill(mistake.message, groups), mistakes.fill(mistake.help, groups)
            self.diagnostics.error(mistake.code, message, tokens.span(blamed), help=fix)
        start = tokens.starts[blamed]
        if mistake.edit is None or start in self.mended or tokens.kinds[blamed] == END:
            return False
        self.mended.append(start)
        self._mend(blamed, mistake)
        machine.names.clear()
        machine.truncate(height)
        machine.position = min(first, position)
        return True

    def diagnose(self, first: int, height: int) -> tuple[Mistake, dict[str, str]] | None:
        """What the table of mistakes says."""
        machine, layout = self.machine, self.layout
        position = machine.position
        before = range(max(first, position - _CONTEXT), position)
        where = "file" if machine.shifts(height, _ITEM) and first == position else "seed"
        return mistakes.diagnose(
            Situation(
                " ".join(map(layout.shown, before)),
                self.tokens.text(position),
                " ".join(map(layout.shown, range(position + 1, min(position + 4, len(self.tokens.kinds))))),
                where,
                self._accepts,
            )
        )

    def _accepts(self, kind: str) -> bool:
        return advance(self.machine.tables, list(self.states), (kind,))

    def _blamed(self, mistake: Mistake, groups: dict[str, str], first: int) -> int:
        """Index of the token that a mistake is about."""
        position = self.machine.position
        if not mistake.at:
            return position
        word = groups.get(mistake.at, mistake.at)
        return next((i for i in range(position - 1, first - 1, -1) if self.tokens.text(i) == word), position)

    def _mend(self, index: int, mistake: Mistake) -> None:
        tokens = self.tokens
        if mistake.insert:
            for values, value in ((tokens.starts, tokens.starts[index]), (tokens.ends, tokens.starts[index])):
                values.insert(index, value)
            tokens.kinds.insert(index, mistake.edit or "")
        elif mistake.edit:
            tokens.kinds[index] = mistake.edit
        else:
            del tokens.kinds[index], tokens.starts[index], tokens.ends[index]

    def _unclosed(self, first: int) -> int | None:
        """The bracket that must be closed before the token that cannot stand, by what this begins; or None."""
        machine, tokens, layout = self.machine, self.tokens, self.layout
        position = machine.position
        opening = layout.open_before(self._item(), position)
        if opening is None or position == opening + 1 != len(tokens.kinds) - 1:
            return None
        kind, sign = tokens.kinds[position], tokens.text(opening)
        if kind == END or self._begins_item(position) or (position == first + 1 and self._begins_item(first)):
            return opening if kind != END or self._accepts(OPENING[sign]) or sign == "{" else None
        if not layout.leads(position) or kind in CLOSING:
            return None
        outdented = layout.column(position) <= layout.margin(opening)
        begins = kind == "else" if sign == "{" else kind in _STARTS or tokens.kinds[position + 1] in ("=", ",", "=>")
        return opening if outdented and begins and self._accepts(OPENING[sign]) else None

    def _report_unclosed(self, opening: int) -> None:
        tokens, position = self.tokens, self.machine.position
        sign = tokens.text(opening)
        labels = [Label(tokens.span(opening), "opened here")]
        if tokens.kinds[position] != END:
            labels.append(Label(tokens.span(position), "not closed before this"))
        fix = f"close it with `{OPENING[sign]}`"
        self.diagnostics.error("CS0102", f"this `{sign}` is never closed", labels=tuple(labels), help=fix)

    def _report_plainly(self, first: int) -> None:
        """A message for what the table of mistakes does not know, and how the statement around is written."""
        tokens, position = self.tokens, self.machine.position
        kind, span = tokens.kinds[position], tokens.span(position)
        if kind in CLOSING:
            self._report_closing(position, self.layout.open_before(self._item(), position))
            return
        shown = "the end of the file" if kind == END else f"`{tokens.text(position)}`"
        expected = self.expected()
        message = f"expected {expected}, found {shown}" if expected else f"{shown} cannot stand here"
        before = (tokens.text(i) for i in range(position - 1, first - 1, -1))
        form = next((form for word in before if (form := mistakes.forms().get(word))), None)
        fix = form.help if form else "the language reference shows how this is written"
        self.diagnostics.error("CS0101", message, span, help=fix)

    def _report_closing(self, position: int, opening: int | None) -> None:
        tokens = self.tokens
        sign = tokens.text(position)
        if opening is None or (tokens.text(opening) == "{" and sign != "}"):
            fix = "remove it, or look for a missing opening bracket before it"
            self.diagnostics.error("CS0103", f"this `{sign}` closes nothing", tokens.span(position), help=fix)
        elif OPENING[tokens.text(opening)] != sign:
            partner = OPENING[tokens.text(opening)]
            labels = (Label(tokens.span(position), f"expected `{partner}`"), Label(tokens.span(opening), "opened here"))
            message = f"`{sign}` does not close `{tokens.text(opening)}`"
            self.diagnostics.error("CS0103", message, labels=labels, help=f"write `{partner}` before it")
        else:
            expected = self.expected()
            message = f"expected {expected} before `{sign}`" if expected else f"`{sign}` comes too early"
            fix = "complete what the bracket holds, or remove what is too much"
            self.diagnostics.error("CS0101", message, tokens.span(position), help=fix)

    def expected(self) -> str:
        """What could stand at the machine's position, in words."""
        kinds = [kind for kind in self.machine.tables.terminals if self._accepts(kind)]
        words: list[str] = []
        for title, key, group in _GROUPS:
            if key in kinds:
                words.append(title)
                kinds = [kind for kind in kinds if kind not in group]
        words += ["the end of the file" if kind == END else f"`{_SHOWN_AS.get(kind, kind)}`" for kind in kinds]
        if not words or len(words) > _SHOWN:
            return ""
        return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)

    # Going on

    def _begins_item(self, index: int) -> bool:
        """Whether a token begins an item of the file, by its word and its place on the line."""
        if self.tokens.text(index) not in _ITEM_STARTS or not self.layout.leads(index):
            return False
        return self.layout.column(index) <= self.layout.column(self._item())

    def _item(self) -> int:
        """Index of the first token of the item of the file that is being read."""
        height = self._items()
        return self.machine.begins[height - 1] if height <= len(self.machine.begins) else self.machine.position

    def _skip(self, height: int, first: int) -> bool:
        """Gives up the statement that begins at `first`; moves to where one can read on. False at the end."""
        machine, tokens, layout = self.machine, self.tokens, self.layout
        position = machine.position
        if position == first + 1 and not machine.shifts(height, _ITEM) and tokens.text(first) in _ITEM_STARTS:
            position = first
        if position - 1 > first and tokens.kinds[position] in ("=", ",", ":") and layout.leads(position - 1):
            position -= 1
        margin = layout.column(first) if layout.leads(first) else layout.margin(first)
        begin = position
        opened = self._open(first, position)
        while tokens.kinds[position] != END:
            kind = tokens.kinds[position]
            moved = position > begin or position < machine.position or first < position
            if layout.leads(position) and kind not in CLOSING and layout.column(position) <= margin:
                opened.clear()
            if self._begins_item(position) and machine.accepts(self._items(), tokens.text(position)):
                return self._go_on(self._items(), position)
            if not opened:
                target = self._resting_place(position, margin, height, moved)
                if target:
                    return self._go_on(target, position)
                if kind == "}":
                    height, margin = self._leave(height, margin)
            if kind in OPENING:
                opened.append(kind)
            elif kind in CLOSING:
                while opened and opened.pop() != CLOSING[kind]:
                    pass
            position += 1
        return False

    def _open(self, first: int, position: int) -> list[str]:
        """The brackets of a statement that are open before a token of it."""
        found: list[str] = []
        for kind in self.tokens.kinds[first:position]:
            if kind in OPENING:
                found.append(kind)
            elif kind in CLOSING and found:
                found.pop()
        return found

    def _go_on(self, height: int, position: int) -> bool:
        self.machine.truncate(height)
        self.machine.position = position
        return True

    def _items(self) -> int:
        """Height of the list of items of the file."""
        machine = self.machine
        return next(h for h in (2, 1) if h <= len(machine.states) and machine.shifts(h, _ITEM))

    def _resting_place(self, position: int, margin: int, height: int, moved: bool) -> int:
        """Height of the stack at which the token at `position` can be read; 0 when it cannot."""
        machine, kinds = self.machine, self.tokens.kinds
        kind = kinds[position]
        if kind == "}":
            return self._closing(position, height)
        if kind == "{":
            candidates = range(len(machine.states), height, -1)
            return next((h for h in candidates if machine.accepts(h, "{") and not machine.shifts(h, _STATEMENT)), 0)
        if not moved or not (self.layout.leads(position) or kind == "yield"):
            return 0
        named = kind == "NAME" and (kinds[position + 1] in ("=", ",") or self.layout.column(position) <= margin)
        if not (named or kind in _STARTS):
            return 0
        return self._enclosing(position, kind)

    def _enclosing(self, position: int, kind: str) -> int:
        """Height of the innermost list of statements whose braces are still open by the look of the indentation."""
        machine, layout = self.machine, self.layout
        for height in range(len(machine.states), 1, -1):
            if not machine.shifts(height, _STATEMENT):
                continue
            brace = self._brace(height)
            deeper = not layout.leads(position) or layout.column(position) > layout.margin(brace)
            if (deeper or layout.line(brace) == layout.line(position)) and machine.accepts(height, kind):
                return height
        return 0

    def _brace(self, height: int) -> int:
        """Index of the brace that opens the list at `height`."""
        machine = self.machine
        last = machine.begins[height - 2]
        return last if self.tokens.kinds[last] == "{" else machine.begins[height - 3]

    def _closing(self, position: int, height: int) -> int:
        """Height at which a brace can close the innermost block, or 0."""
        machine = self.machine
        candidates = range(len(machine.states), max(height, 2) - 1, -1)
        return next((h for h in candidates if machine.accepts(h, "}")), 0)

    def _leave(self, height: int, margin: int) -> tuple[int, int]:
        """Gives up the block whose list is at `height`, and the statement around it.

        Height of the next list, and the margin of the statement that was given up in it.
        """
        machine = self.machine
        if height <= 2:
            return height, margin
        machine.truncate(height - 1)
        height = self._list()
        if height <= len(machine.begins):
            margin = self.layout.margin(machine.begins[height - 1])
        machine.truncate(height)
        return height, margin
