"""The report as one HTML file that asks for nothing from anywhere: tables, and plots as SVG within it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from cogseedc.data import DataSet
from cogseedc.evaluate.plots import Plots
from cogseedc.publish import canonical_json

if TYPE_CHECKING:
    from cogseedc.evaluate.evaluation import Run

_SHOWN = 10
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def page(report: Mapping[str, Any], data: DataSet, run: Run) -> bytes:
    """The page. Raises UserError CS1010 where matplotlib is missing."""
    plots = Plots(report)
    sections = "\n".join(
        _section(title, note, body) for title, note, body in _sections(report, data, run, plots) if body
    )
    slots = {
        "title": escape(f"{report['name']} for {report['target']}"),
        "summary": _summary(report),
        "sections": sections,
        "data": canonical_json(report).decode().replace("<", "\\u003c"),
        "style": _read("report.css"),
    }
    return _SLOT.sub(lambda slot: slots[slot[1]], _read("report.html")).encode()


def _sections(report: Mapping[str, Any], data: DataSet, run: Run, plots: Plots) -> Iterator[tuple[str, str, str]]:
    level = _level(report)
    rows = [("this artifact", report["result"]), *((b["name"], b) for b in report["baselines"])]
    full = max(1, report["result"]["worst_macs"])
    table = _table(
        ("", report["measure"], "mean MACs", "of the worst case"),
        [(name, level(r["quality"]), f"{r['macs']:,.0f}", f"{r['macs'] / full:.1%}") for name, r in rows],
    )
    note = "Each point is one way of deciding, with the same weights. Left and up is better."
    yield "What deciding brings", note, plots.trade_off() + table
    if len(report["exits"]) > 1:
        yield "Where samples leave", "", plots.exits()
    yield "Gates", "Where a gate was asked, how often it took each arm.", _gates(report)
    if report["classes"]:
        note = "The most expensive classes first; a cell is the share of the class."
        yield "What each class takes", note, plots.classes()
    yield "Samples that leave early and late", "", _examples(report, data, run, plots)
    note = "No threshold was chosen on such inputs. The worst case holds for them too."
    yield "Cost on other inputs", note, plots.shifted() + _shifts(report)
    yield "Calibration", "Thresholds were chosen on validation data; this is what came of it on these.", _gap(report)


def _section(title: str, note: str, body: str) -> str:
    shown = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{shown}{body}</section>"


def _summary(report: Mapping[str, Any]) -> str:
    result, level = report["result"], _level(report)
    tiles = [
        (level(result["quality"]), report["measure"]),
        (f"{result['share']:.1%}", "of the worst case's MACs, on average"),
        (f"{result['macs']:,.0f}", f"mean MACs per sample (worst case {result['worst_macs']:,})"),
        (f"{report['data']['samples']:,}", "test samples"),
    ]
    tiles += [(f"{ms:.3g} ms", f"per sample, batches of {size}") for size, ms in report["latency_ms"].items()]
    return "".join(f"<div class=tile><b>{escape(big)}</b><span>{escape(small)}</span></div>" for big, small in tiles)


def _gates(report: Mapping[str, Any]) -> str:
    rows = [
        (name, f"{rate['reached']:.0%}", ", ".join(f"{arm}: {share:.1%}" for arm, share in enumerate(rate["arms"])))
        for name, rate in report["gates"].items()
    ]
    return _table(("gate", "reached", "share of each arm"), rows) if rows else ""


def _shifts(report: Mapping[str, Any]) -> str:
    level, full = _level(report), max(1, report["result"]["worst_macs"])
    rows = [
        (r["name"], f"{r['samples']:,}", "" if r["quality"] is None else level(r["quality"]), f"{r['macs'] / full:.1%}")
        for r in report["shifted"]
    ]
    return _table(("inputs", "samples", report["measure"], "mean MACs"), rows)


def _gap(report: Mapping[str, Any]) -> str:
    gap, level = report["calibration_gap"], _level(report)
    if gap is None:
        return ""
    before, after = gap["validation"], gap["test"]
    unit = f"{100 * gap['quality']:+.2f} points" if report["measure"] == "accuracy" else f"{gap['quality']:+.4g}"
    rows = [
        (report["measure"], level(before["quality"]), level(after["quality"]), unit),
        ("mean MACs", f"{before['macs']:,.0f}", f"{after['macs']:,.0f}", f"{gap['macs']:+.1%}"),
        *((f"rates of {name}", "", "", f"{100 * moved:.1f} points at most") for name, moved in gap["rates"].items()),
    ]
    return _table(("", "validation", "test", "difference"), rows)


def _examples(report: Mapping[str, Any], data: DataSet, run: Run, plots: Plots) -> str:
    """The cheapest and the most expensive samples; as pictures where the input is one."""
    order = np.argsort(run.macs, kind="stable")
    spread = {"early": order[:: max(1, len(order) // 200)][:_SHOWN], "late": order[::-1][:_SHOWN]}
    inputs = list(data.inputs.values())
    picture = len(inputs) == 1 and inputs[0].ndim == 4 and inputs[0].shape[1] in (1, 3)
    if not picture or float(run.macs[order[0]]) == float(run.macs[order[-1]]):
        return ""
    parts = []
    for name, rows in spread.items():
        titles = [_class(data, row) + ("" if run.quality is None or run.quality[row] else " ✗") for row in rows]
        parts.append(f"<h3>{name}</h3>" + plots.images(inputs[0][rows], titles))
    return "".join(parts) + '<p class="note">Above each image its class; ✗ marks a wrong answer.</p>'


def _class(data: DataSet, row: int) -> str:
    if not data.labelled:
        return ""
    label = int(data.target[row])
    return data.classes[label] if label < len(data.classes) else str(label)


def _level(report: Mapping[str, Any]) -> Any:
    return "{:.2%}".format if report["measure"] == "accuracy" else "{:.5g}".format


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _read(name: str) -> str:
    return files("cogseedc.evaluate").joinpath("templates", name).read_text(encoding="utf-8")
