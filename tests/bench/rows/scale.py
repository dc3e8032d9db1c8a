"""P11: how long compiling takes, stage by stage, and how it grows with the program. CPU seconds, the best of two runs."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from cogseedc.bench import Bound, Cell, Figure
from tests.bench.generate import SHAPES, exits, nested
from tests.bench.measure import Cost, measure
from tests.bench.setting import Setting
from tests.trust.memory import peak

NAMES = ("P11",)

STATEMENTS = (1_000, 10_000)
CONTROL = {"200 exits in a row": exits(200), "40 nested when": nested(40)}
STAGES = ("check", "passes", "plan", "emit", "model", "total", "session")
BOUNDS = {
    10_000: [Bound("model", most=4.0), Bound("x 1k", most=12.0)],
    "large": [Bound("total", most=45.0), Bound("GiB", most=2.0)],
}


def rows(setting: Setting, asked: frozenset[str]) -> Iterator[Cell]:
    """Programs of 1,000 and 10,000 statements, deep and long control flow, and one near the limit of 100,000 nodes."""
    measure(SHAPES["mixed"](100), "onnx-cpu", session=True)  # imports, caches
    repeat = 1 if setting.quick else 2
    for shape in setting.each(list(SHAPES)):
        before = 0.0
        for count in (50, 100) if setting.quick else STATEMENTS:
            cost = _best(SHAPES[shape](count), "onnx-cpu", repeat, session=False)
            figures = _figures(cost) | ({"x 1k": Figure.exact(cost.total / before)} if before else {})
            yield Cell("P11", f"{shape} {count}", figures, BOUNDS.get(count, []))
            before = cost.total
    for name, text in setting.each(list(CONTROL.items())):
        for target in ("onnx-cpu", "onnx-edge", "torch-cpu"):
            cost = _best(text, target, repeat, session=target != "torch-cpu")
            yield Cell("P11", f"{name}, {target}", _figures(cost), [Bound("session", most=1.0)])
    if not setting.quick:
        with ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn")
        ) as alone:  # its memory is that of this program
            cost, most = alone.submit(_large, SHAPES["seeds"](16_000)).result()
        yield Cell("P11", "seeds 16000", {**_figures(cost), "GiB": Figure.exact(most / (1 << 30))}, BOUNDS["large"])


def _large(text: str) -> tuple[Cost, int]:
    """What a program takes, and the bytes that this process has taken at most."""
    return measure(text, "onnx-cpu", session=False), peak()


def _best(text: str, target: str, repeat: int, session: bool) -> Cost:
    """The quickest of several runs."""
    return min((measure(text, target, session) for _ in range(repeat)), key=lambda cost: cost.total)


def _figures(cost: Cost) -> dict[str, Figure]:
    seconds = {stage: Figure.exact(getattr(cost, stage)) for stage in STAGES}
    return {"nodes": Figure.exact(cost.nodes), **seconds}
