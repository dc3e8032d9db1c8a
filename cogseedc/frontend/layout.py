"""Lines, columns and brackets of tokens, for whoever must guess what a broken text meant; changes nothing."""

from __future__ import annotations

from cogseedc.frontend.tokens import CLOSING, OPENING, Tokens


class Layout:
    """Where tokens stand. Columns are zero-based; a tab counts as one."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self._size = -1
        self._leads: list[bool] = []
        self._opening: list[int] = []

    def refresh(self) -> None:
        """Takes note of tokens that were added or removed."""
        tokens = self.tokens
        if self._size == len(tokens.kinds):
            return
        self._size = len(tokens.kinds)
        text, end = tokens.source.text, 0
        self._leads = []
        for start, next_end in zip(tokens.starts, tokens.ends, strict=True):
            self._leads.append(end == 0 or "\n" in text[end:start])
            end = next_end

    def leads(self, index: int) -> bool:
        """Whether a token is the first of its line."""
        return self._leads[index]

    def line(self, index: int) -> int:
        return self.tokens.source.position(self.tokens.starts[index])[0]

    def column(self, index: int) -> int:
        return self.tokens.source.position(self.tokens.starts[index])[1] - 1

    def margin(self, index: int) -> int:
        """Column of the first token of the line of a token."""
        line = self.tokens.source.line(self.line(index))
        return len(line) - len(line.lstrip())

    def shown(self, index: int) -> str:
        """A token's text, with a newline before it when it leads its line."""
        text = self.tokens.text(index)
        return f"\n{text}" if self._leads[index] else text

    def open_before(self, begin: int, index: int) -> int | None:
        """The bracket that is open before a token, counted from the token `begin`, or None.

        Where a closing brace leads its line, but not at the margin of the line of the brace that it closes, the latter
        is to blame when an outer one has that margin.
        """
        stack: list[int] = []
        for position in range(begin, index):
            sign = self.tokens.text(position)
            if sign in OPENING and self.tokens.kinds[position] == sign:
                stack.append(position)
            elif sign in CLOSING and self.tokens.kinds[position] == sign and stack:
                if sign == "}" and self.leads(position) and self._closes_outer(position, stack):
                    return stack[-1]
                stack.pop()
        return stack[-1] if stack else None

    def _closes_outer(self, position: int, stack: list[int]) -> bool:
        column = self.column(position)
        return self.margin(stack[-1]) != column and any(self.margin(outer) == column for outer in stack[:-1])
