"""A drawing of cells: for each the speed-up as a bar, with its interval, and the limit and the FLOPs as marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from cogseedc.bench.figures import Figure
from cogseedc.bench.report import Cell

WIDTH, LEFT, RIGHT, LINE, TOP = 760, 230, 60, 22, 64
BAR, LIMIT, FLOPS, INTERVAL = "#88bbdd", "#222222", "#cc6677", "#225588"
"""Colours that the colour-blind tell apart (Paul Tol, "Colour schemes", bright and muted)."""
SPEEDS = ("x static", "x everything")
"""Figures that a bar shows: the first that a cell has."""


@dataclass(frozen=True, slots=True)
class _Scale:
    most: float

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(value, self.most) / self.most


def chart(cells: Sequence[Cell], title: str) -> str:
    """An SVG of all cells that have a speed-up; the same text for the same figures."""
    shown = [cell for cell in cells if _speed(cell) is not None and "limit" in cell.figures]
    names = (*SPEEDS, "limit", "x FLOPs")
    values = [f.high for cell in shown for n in names if (f := cell.figures.get(n)) is not None]
    scale = _Scale(max([1.0, *values]) * 1.02)
    height = TOP + LINE * len(shown) + 36
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        _text(12, 20, title, size=14),
        *_legend(),
        *_axis(scale, height),
    ]
    for i, cell in enumerate(shown):
        lines += _row(cell, scale, TOP + LINE * i)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _legend() -> list[str]:
    return [
        f'<rect x="12" y="32" width="14" height="10" fill="{BAR}"/>',
        _text(30, 41, "measured, with its 90 % interval"),
        _line(240, 31, 240, 43, LIMIT, 3),
        _text(248, 41, "practical limit"),
        f'<circle cx="350" cy="37" r="4" fill="none" stroke="{FLOPS}" stroke-width="2"/>',
        _text(360, 41, "FLOPs saved"),
        _text(450, 41, "times as fast as computing everything"),
    ]


def _axis(scale: _Scale, height: int) -> list[str]:
    step = next(s for s in (0.5, 1, 2, 5, 10, 20, 50, 100, 1e9) if scale.most / s <= 10)
    found = []
    for i in range(int(scale.most / step) + 1):
        x = scale.x(i * step)
        strong = i * step == 1
        found.append(_line(x, TOP - 8, x, height - 28, "#888888" if strong else "#dddddd", 1))
        found.append(_text(x, height - 12, f"{i * step:g}", anchor="middle"))
    return found


def _row(cell: Cell, scale: _Scale, y: float) -> list[str]:
    speed = _speed(cell) or Figure.exact(1)
    middle = y + LINE / 2 - 2
    found = [
        _text(LEFT - 8, middle + 4, f"{cell.row}  {cell.cell}", anchor="end"),
        f'<rect x="{LEFT}" y="{middle - 6:.1f}" width="{scale.x(speed.value) - LEFT:.1f}" height="12" fill="{BAR}"/>',
        *_interval(speed, scale, middle),
    ]
    if (limit := cell.figures.get("limit")) is not None:
        x = scale.x(limit.value)
        found.append(_line(x, middle - 9, x, middle + 9, LIMIT, 3))
    if (flops := cell.figures.get("x FLOPs")) is not None:
        x = scale.x(flops.value)
        found.append(f'<circle cx="{x:.1f}" cy="{middle:.1f}" r="4" fill="none" stroke="{FLOPS}" stroke-width="2"/>')
    found.append(_text(WIDTH - RIGHT + 8, middle + 4, f"{speed.value:.2f}"))
    return found


def _speed(cell: Cell) -> Figure | None:
    return next((cell.figures[name] for name in SPEEDS if name in cell.figures), None)


def _interval(figure: Figure, scale: _Scale, y: float) -> list[str]:
    low, high = scale.x(figure.low), scale.x(figure.high)
    ends = [_line(x, y - 3, x, y + 3, INTERVAL, 1) for x in (low, high)]
    return [_line(low, y, high, y, INTERVAL, 1), *ends]


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: int) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'
