"""What was measured, as a table for people and as records for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cogseedc.bench.figures import Figure

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure should reach. It holds when the end of the interval that is nearer to it does."""

    figure: str
    least: float | None = None
    most: float | None = None

    def missed(self, figures: Mapping[str, Figure]) -> str | None:
        """What to say when it does not hold."""
        found = figures.get(self.figure)
        if found is None:
            return None
        if self.least is not None and found.high < self.least:
            return f"{self.figure} {found.value:.3g}, at least {self.least:g} wanted"
        if self.most is not None and found.low > self.most:
            return f"{self.figure} {found.value:.3g}, at most {self.most:g} wanted"
        return None


@dataclass(frozen=True)
class Cell:
    """One place of one row of the table: its figures by name, and what they should reach."""

    row: str
    cell: str
    figures: Mapping[str, Figure]
    bounds: Sequence[Bound] = field(default=())

    @property
    def missed(self) -> list[str]:
        return [text for bound in self.bounds if (text := bound.missed(self.figures)) is not None]


def table(cells: Sequence[Cell]) -> list[str]:
    """Lines: one per cell, a column for every figure that any of them has."""
    names = list(dict.fromkeys(name for cell in cells for name in cell.figures))
    rows = [["", *names]]
    rows += [[cell.cell, *(_spelled(cell.figures.get(n)) for n in names)] for cell in cells]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(_laid(text, w, i) for i, (text, w) in enumerate(zip(row, widths, strict=True))) for row in rows]
    missed = [f"missed: {cell.row} {cell.cell}: {text}" for cell in cells for text in cell.missed]
    return [*(line.rstrip() for line in lines), *missed]


def _laid(text: str, width: int, column: int) -> str:
    return text.rjust(width) if column else text.ljust(width)


def _spelled(figure: Figure | None) -> str:
    """`1.23 ±.02`: half of the interval's width behind the sign."""
    if figure is None:
        return ""
    half = (figure.high - figure.low) / 2
    value = f"{figure.value:.3g}" if figure.value < 1000 else f"{figure.value:.0f}"
    return value if not half else f"{value} ±{half:.2g}"


def document(cells: Iterable[Cell], about: Mapping[str, Json]) -> dict[str, Json]:
    """Records for `bench.json`: row, cell, figures with intervals, and what is missed."""
    return {**about, "cells": [_record(cell) for cell in cells]}


def _record(cell: Cell) -> Json:
    figures: dict[str, Json] = {
        name: {"value": f.value, "low": f.low, "high": f.high} for name, f in cell.figures.items()
    }
    missed: list[Json] = [*cell.missed]
    return {"row": cell.row, "cell": cell.cell, "figures": figures, "missed": missed}
