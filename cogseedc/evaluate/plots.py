"""The pictures of a report, drawn by matplotlib as SVG. The same bytes for the same numbers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from cogseedc.diagnostics import Diagnostic, UserError

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

INK, BLUE, GREEN, GREY, RED = "#1f2430", "#2a6fdb", "#2e9e6b", "#9aa2b1", "#c8553d"
_STYLE = {
    "svg.hashsalt": "cogseedc",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


class Plots:
    """Draws each picture of one report."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        try:
            mpl: Any = import_module("matplotlib")
            figure: Any = import_module("matplotlib.figure")
        except ImportError:
            help = "pip install 'cogseedc[report]', or evaluate without --output"
            raise UserError(Diagnostic("CS1010", "a page with plots needs the package matplotlib", help=help)) from None
        self._report, self._context, self._figure = report, mpl.rc_context, figure.Figure
        self._percent = report["measure"] == "accuracy"

    def trade_off(self) -> str:
        """Accuracy over mean MACs: the curve, what was chosen, and the baselines."""

        def draw(axes: Any) -> None:
            full = max(1, self._report["result"]["worst_macs"])
            curve = sorted(self._report["curve"], key=lambda p: p["macs"])
            axes.plot(
                [100 * p["macs"] / full for p in curve],
                [self._level(p["quality"]) for p in curve],
                color=BLUE,
                lw=1.6,
                marker=".",
                ms=4,
                label="other thresholds" if curve else None,
                zorder=2,
            )
            marks = {"static": ("s", INK), "oracle": ("^", GREEN), "random": ("x", RED)}
            seen: set[str] = set()
            for point in self._report["baselines"]:
                kind = point["name"].partition(":")[0]
                marker, color = marks.get(kind, ("D", GREY))
                label = None if kind in seen else kind
                seen.add(kind)
                axes.plot(
                    [100 * point["macs"] / full],
                    [self._level(point["quality"])],
                    ls="",
                    marker=marker,
                    color=color,
                    ms=6,
                    label=label,
                    zorder=3,
                )
            own = self._report["result"]
            axes.plot(
                [100 * own["macs"] / full],
                [self._level(own["quality"])],
                ls="",
                marker="o",
                ms=11,
                mfc="none",
                mew=2,
                color=BLUE,
                label="this artifact",
                zorder=4,
            )
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
            axes.set_xlabel("mean MACs, % of the worst case (log scale)")
            axes.set_ylabel("accuracy, %" if self._percent else self._report["measure"])
            axes.grid(color="#e6e9ef", zorder=0)
            axes.legend(frameon=False, loc="lower right")

        return self._drawn(draw, 7.2, 3.8)

    def exits(self) -> str:
        """Share of the samples at each way out, with their accuracy."""

        def draw(axes: Any) -> None:
            rows = self._report["exits"]
            places = np.arange(len(rows))
            axes.barh(places, [100 * row["share"] for row in rows], color=BLUE, height=0.6)
            for place, row in zip(places, rows, strict=True):
                text = f" {row['share']:.0%}"
                if row["quality"] is not None and self._percent:
                    text += f", {row['quality']:.1%} of them right"
                axes.text(100 * row["share"], place, text, va="center")
            axes.set_yticks(places, [row["name"] for row in rows])
            axes.invert_yaxis()
            axes.set_xlim(0, 135)
            axes.set_xticks([0, 25, 50, 75, 100])
            axes.set_xlabel("% of the samples leave here")

        return self._drawn(draw, 7.2, 0.9 + 0.42 * len(self._report["exits"]))

    def classes(self, most: int = 40) -> str:
        """Where each class leaves and what its gates take, as a table of shades; the most expensive classes first."""
        rows = sorted(self._report["classes"], key=lambda row: -row["macs"])[:most]
        exits = [row["name"] for row in self._report["exits"]]
        gates = [
            name for name in self._report["gates"] if name not in exits and len(rows[0]["gates"].get(name, [])) > 1
        ]
        columns = (
            [(f"leave at {name}" if name != "the end" else "reach the end") for name in exits] if len(exits) > 1 else []
        )
        values = [list(row["shares"]) if columns else [] for row in rows]
        for name in gates:
            arms = rows[0]["gates"][name]
            taken = [1] if len(arms) == 2 else range(len(arms))
            columns += [name if len(arms) == 2 else f"{name} = {arm}" for arm in taken]
            for row, into in zip(rows, values, strict=True):
                into += [row["gates"].get(name, [0.0] * len(arms))[arm] for arm in taken]
        table = np.array(values, float).reshape(len(rows), len(columns))

        def draw(axes: Any) -> None:
            axes.imshow(table, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
            axes.set_yticks(range(len(rows)), [str(row["class"]) for row in rows])
            axes.set_xticks(range(len(columns)), columns, rotation=35, ha="left")
            axes.xaxis.tick_top()
            axes.tick_params(length=0)
            for spine in axes.spines.values():
                spine.set_visible(False)
            for (i, j), value in np.ndenumerate(table):
                axes.text(
                    j, i, f"{value:.0%}", ha="center", va="center", color="white" if value > 0.6 else INK, fontsize=8
                )

        return self._drawn(draw, min(11.0, 2.4 + 0.8 * len(columns)), 1.6 + 0.27 * len(rows)) if columns else ""

    def shifted(self) -> str:
        """Mean cost on these data and on shifted ones."""

        def draw(axes: Any) -> None:
            full = max(1, self._report["result"]["worst_macs"])
            rows = [
                ("these data", self._report["result"]["macs"]),
                *((r["name"], r["macs"]) for r in self._report["shifted"]),
            ]
            places = np.arange(len(rows))
            axes.barh(
                places, [100 * macs / full for _, macs in rows], color=[BLUE, *[GREY] * (len(rows) - 1)], height=0.6
            )
            for place, (_, macs) in zip(places, rows, strict=True):
                axes.text(100 * macs / full, place, f" {macs / full:.1%}", va="center")
            axes.set_yticks(places, [name for name, _ in rows])
            axes.invert_yaxis()
            axes.set_xlim(0, max(100 * macs / full for _, macs in rows) * 1.18)
            axes.set_xlabel("mean MACs, % of the worst case")

        return self._drawn(draw, 7.2, 0.9 + 0.42 * (1 + len(self._report["shifted"])))

    def images(self, images: Array, titles: Sequence[str]) -> str:
        """Images [k, C, H, W] in a row."""
        with self._context(_STYLE):
            figure = self._figure(figsize=(0.92 * len(images), 1.2))
            for i, (image, title) in enumerate(zip(images, titles, strict=True)):
                axes = figure.add_subplot(1, len(images), i + 1)
                shown = image.transpose(1, 2, 0) if len(image) == 3 else image[0]
                low, high = float(shown.min()), float(shown.max())
                axes.imshow((shown - low) / max(1e-12, high - low), cmap="gray_r", interpolation="nearest")
                axes.set_title(title, fontsize=8)
                axes.axis("off")
            return self._svg(figure)

    def _level(self, quality: float) -> float:
        return 100 * quality if self._percent else quality

    def _drawn(self, draw: Any, width: float, height: float) -> str:
        with self._context(_STYLE):
            figure = self._figure(figsize=(width, height), layout="constrained")
            draw(figure.add_subplot())
            return self._svg(figure)

    def _svg(self, figure: Any) -> str:
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        return buffer.getvalue()[buffer.getvalue().index("<svg") :]
