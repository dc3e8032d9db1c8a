"""Why an elaboration starts again."""

from __future__ import annotations

from cogseedc.ir import Size


class ManyCalls(Exception):  # noqa: N818  # no error: elaboration starts again when they have been counted
    """A program has many calls of seeds."""


class SizeFound(Exception):  # noqa: N818  # no error: elaboration starts again
    """The weights file, or a call, gives a size that the source leaves open; elaboration starts again with it."""

    def __init__(self, symbol: str, size: Size) -> None:
        super().__init__(symbol)
        self.symbol, self.size = symbol, size
